//! The difference of two operands as a file: dense, sparse, of low rank, packed or as signs. That of several: [`crate::write_unified`].

use std::{
    io::{self, Write as _},
    path::PathBuf,
    sync::Arc,
};

use analysis::{
    Progress,
    diff::{DiffSource, Energies, Recorded, SignSource, SkillPack, SparseSource, Taken, low_rank, skillpack},
    lowrank::{Plan, Rank},
    merge::dtype,
    recipe::Recipe,
};
use domain::Limits;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tempfile::NamedTempFile;
use weights::{Dtype, Layout, LocalFile, TensorInfo, TensorSource};

use crate::{
    Error, Operand, Registry, Workplace,
    faults::{Faults, placed},
    submit::pin,
    taken::told,
    worker::Pulse,
};

/// Most tensors named in a job's result; the file names all of them.
const NAMED: usize = 1_000;
/// Rank of factors when neither rank nor energy is asked for.
const RANK: usize = 32;
const DENSITY: f64 = 0.1;
/// What is wrong with a shared difference of one fine-tune.
pub(crate) const ALONE: &str =
    "the form emr stores two or more fine-tunes of the base together; name the others in `with`";

/// How a difference is to be stored.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DiffForm {
    /// `dense` (default), `sparse`, `low-rank`, `bitdelta`, `skillpack-rtn`, or `emr` for several fine-tunes together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub form: Option<String>,
    /// Share of the elements that a sparse form keeps, or a pack of embedding tables; above 0 to 1, default 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub density: Option<f64>,
    /// Rank of a low-rank form, default 32, or of a pack, default a quarter of each matrix's smaller side.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rank: Option<usize>,
    /// Or the share of the squared norm that it holds, above 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub energy: Option<f64>,
    /// `float32` (default), `float16`, `bfloat16` or `float64`; of `emr` by default that of the models where all of them are
    /// halves of one kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dtype: Option<String>,
}

/// A checked form.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Form {
    Dense,
    Sparse(f64),
    LowRank(Rank),
    BitDelta,
    SkillPack(SkillPack),
    Emr,
}

impl DiffForm {
    /// The word of the form, the one that is meant where none was given.
    pub fn word(&self) -> &str {
        self.form.as_deref().unwrap_or("dense")
    }

    /// The form and the number format.
    ///
    /// # Errors
    /// Every unknown word, option of another form and value out of range, each with its field's place.
    pub fn check(&self, limits: &Limits) -> Result<(Form, Dtype), Error> {
        let mut faults = Faults::default();
        let dtype = faults.at("/dtype", dtype_of(self.dtype.as_deref())).unwrap_or(Dtype::F32);
        let (rank, density) = (self.rank, self.density.unwrap_or(DENSITY));
        if !(density > 0.0 && density <= 1.0) {
            faults
                .say("/density", format!("density is {density}; it must be above 0 and at most 1, e.g. 0.1"));
        }
        let form = match self.word() {
            "dense" => Form::Dense,
            "sparse" => Form::Sparse(density),
            "low-rank" => {
                let rank = faults.take(rank_of(rank, self.energy, limits));
                Form::LowRank(rank.unwrap_or(Rank::Fixed(RANK)))
            }
            "bitdelta" => Form::BitDelta,
            "emr" => Form::Emr,
            "skillpack-rtn" => {
                if rank.is_some() {
                    faults.take(rank_of(rank, None, limits));
                }
                Form::SkillPack(SkillPack { rank, most: limits.low_rank, density, dtype })
            }
            other => {
                let other: String = other.chars().take(60).collect();
                let message = format!(
                    "`{other}` is no form; dense, sparse, low-rank, bitdelta, skillpack-rtn and emr are"
                );
                faults.say("/form", message);
                return faults.done(None);
            }
        };
        let ranked = matches!(form, Form::LowRank(_) | Form::SkillPack(_));
        if rank.is_some() && !ranked {
            faults.say("/rank", "rank belongs to the forms low-rank and skillpack-rtn");
        }
        if self.energy.is_some() && !matches!(form, Form::LowRank(_)) {
            faults.say("/energy", "energy belongs to the form low-rank; skillpack-rtn takes a rank");
        }
        if self.density.is_some() && !matches!(form, Form::Sparse(_) | Form::SkillPack(_)) {
            faults.say("/density", "density belongs to the forms sparse and skillpack-rtn");
        }
        faults.done(Some((form, dtype)))
    }
}

/// The rank that a request asks for; its fault stands at `/rank` or `/energy`.
pub(crate) fn rank_of(rank: Option<usize>, energy: Option<f64>, limits: &Limits) -> Result<Rank, Error> {
    let most = limits.low_rank;
    let invalid = |pointer: &str, message: String| Err(placed(Error::Invalid(message), pointer));
    match (rank, energy) {
        (Some(_), Some(_)) => invalid("/energy", "rank and energy exclude each other; name one".to_owned()),
        (_, Some(energy)) if energy > 0.0 && energy <= 1.0 => Ok(Rank::Energy { energy, most }),
        (_, Some(energy)) => {
            invalid("/energy", format!("energy is {energy}; it must be above 0 and at most 1, e.g. 0.9"))
        }
        (rank, None) => match rank.unwrap_or(RANK.min(most)) {
            rank if (1..=most).contains(&rank) => Ok(Rank::Fixed(rank)),
            rank => invalid("/rank", format!("rank is {rank}; it must be a whole number from 1 to {most}")),
        },
    }
}

/// The number format that a request asks for; F32 without one.
pub(crate) fn dtype_of(word: Option<&str>) -> Result<Dtype, Error> {
    let word = word.unwrap_or("float32");
    dtype(word).ok_or_else(|| {
        let word: String = word.chars().take(60).collect();
        Error::Invalid(format!("dtype is `{word}`; float32, float16, bfloat16 and float64 are known"))
    })
}

/// A difference written to its workplace.
pub struct DiffFile {
    pub file: PathBuf,
    pub bytes: u64,
    /// Bytes that an earlier attempt had written.
    pub kept: u64,
    /// `form` and, where something is left out, the captured `energy` and `energies` by tensor.
    pub report: Map<String, Value>,
}

/// Writes `tuned − base` in `form`.
///
/// # Errors
/// As [`DiffForm::check`], no tensor in common, values that are not finite where they must be, and failed reads and
/// writes.
pub async fn write_diff(
    (registry, place): (&Registry, &Workplace),
    (tuned, base): (&Operand, &Operand),
    asked: &DiffForm,
    pulse: &Pulse,
) -> Result<DiffFile, Error> {
    let (form, dtype) = asked.check(&registry.limits)?;
    let recipe = Recipe::Diff { tuned: pin(tuned), base: pin(base) };
    let of = async |operand: &Operand| Ok::<_, Error>(told(&operand.clone().with_weights(registry).await?));
    let taken = Taken { tuned: of(tuned).await?, base: of(base).await? };
    let identity = format!("{} {} {}", recipe.digest(), json!(taken), json!(asked));
    let diff = DiffSource::new(Arc::clone(&tuned.source), Arc::clone(&base.source))?;
    let total: u64 = diff.tensors().iter().map(TensorInfo::bytes).sum();
    let (source, energies, _scratch): Written = match form {
        Form::Dense => (Arc::new(diff.stored_as(dtype)?), None, None),
        Form::Sparse(density) => {
            pulse.begin("ranking elements", total);
            let pulse = pulse.clone();
            let ranked = tokio::task::spawn_blocking(move || {
                SparseSource::new(Arc::new(diff), (density, dtype), &|bytes| Ok(pulse.advance(bytes)?))
            });
            let source = ranked.await??;
            let energies = source.energies();
            (Arc::new(source), Some(energies), None)
        }
        Form::BitDelta => {
            pulse.begin("measuring tensors", total);
            let pulse = pulse.clone();
            let measured = tokio::task::spawn_blocking(move || {
                SignSource::new(diff, dtype, &|bytes| Ok(pulse.advance(bytes)?))
            });
            let source = measured.await??;
            let energies = source.energies();
            (Arc::new(source), Some(energies), None)
        }
        Form::LowRank(rank) => {
            let diff = Arc::new(diff.stored_as(dtype)?);
            let factors = move |out: &mut dyn io::Write, progress: Progress<'_>| {
                low_rank(&diff, (rank, dtype), out, progress)
            };
            factored(registry, (factors, total), pulse).await?
        }
        Form::SkillPack(asked) => {
            let diff = Arc::new(diff.stored_as(dtype)?);
            let factors =
                move |out: &mut dyn io::Write, progress: Progress<'_>| skillpack(&diff, asked, out, progress);
            factored(registry, (factors, total), pulse).await?
        }
        Form::Emr => return Err(Error::Invalid(ALONE.to_owned())),
    };
    let layout = Layout { stem: "diff", most: u64::MAX };
    let source = Arc::new(Recorded { source, taken });
    let kept = place.write((source, layout), identity, pulse).await?.kept;
    let file = place.out().join("diff.safetensors");
    let bytes = fs_err::metadata(&file)?.len();
    Ok(DiffFile { file, bytes, kept, report: report(form, energies) })
}

/// What is written, how much of the difference it holds, and the file that must stay until it is.
type Written = (Arc<dyn TensorSource>, Option<Energies>, Option<NamedTempFile>);

/// Lets `factors` fill a scratch file.
async fn factored(
    registry: &Registry,
    (factors, total): (
        impl FnOnce(&mut dyn io::Write, Progress<'_>) -> Result<(Plan, Energies), analysis::Error>
        + Send
        + 'static,
        u64,
    ),
    pulse: &Pulse,
) -> Result<Written, Error> {
    pulse.begin("decomposing tensors", total);
    let (pulse, folder) = (pulse.clone(), registry.scratch.clone());
    let spooled = tokio::task::spawn_blocking(move || {
        spool(&folder, |out| Ok(factors(out, &|bytes| Ok(pulse.advance(bytes)?))?))
    });
    let (scratch, (plan, energies)) = spooled.await??;
    let file = Arc::new(LocalFile::open(scratch.path())?);
    Ok((Arc::new(plan.open(file)), Some(energies), Some(scratch)))
}

fn report(form: Form, energies: Option<Energies>) -> Map<String, Value> {
    let word = match form {
        Form::Dense => "dense",
        Form::Sparse(_) => "sparse",
        Form::LowRank(_) => "low-rank",
        Form::BitDelta => "bitdelta",
        Form::SkillPack(_) => "skillpack-rtn",
        Form::Emr => "emr",
    };
    let mut report = Map::from_iter([("form".to_owned(), json!(word))]);
    if let Some(Energies { energy, tensors }) = energies {
        let named = tensors.into_iter().take(NAMED).map(|tensor| (tensor.name, json!(tensor.energy)));
        report.insert("energy".to_owned(), json!(energy));
        report.insert("energies".to_owned(), Value::Object(named.collect()));
    }
    report
}

/// Lets `fill` write a scratch file.
pub(crate) fn spool<T>(
    folder: &std::path::Path,
    fill: impl FnOnce(&mut dyn std::io::Write) -> Result<T, Error>,
) -> Result<(NamedTempFile, T), Error> {
    fs_err::create_dir_all(folder)?;
    let mut file = NamedTempFile::new_in(folder)?;
    let mut out = std::io::BufWriter::with_capacity(1 << 20, file.as_file_mut());
    let filled = fill(&mut out)?;
    out.flush()?;
    drop(out);
    Ok((file, filled))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_that_contradicts_itself_is_refused() {
        let limits = Limits::default();
        let form = |form: &str| DiffForm { form: Some(form.to_owned()), ..DiffForm::default() };
        let refused = [
            form("thin"),
            DiffForm { density: Some(0.5), ..DiffForm::default() },
            DiffForm { density: Some(0.0), ..form("sparse") },
            DiffForm { rank: Some(8), ..form("sparse") },
            DiffForm { density: Some(1.5), ..form("skillpack-rtn") },
            DiffForm { energy: Some(0.5), ..form("skillpack-rtn") },
            DiffForm { rank: Some(limits.low_rank + 1), ..form("skillpack-rtn") },
            DiffForm { rank: Some(8), energy: Some(0.9), ..form("low-rank") },
            DiffForm { rank: Some(0), ..form("low-rank") },
            DiffForm { rank: Some(limits.low_rank + 1), ..form("low-rank") },
            DiffForm { energy: Some(1.1), ..form("low-rank") },
            DiffForm { dtype: Some("int8".to_owned()), ..DiffForm::default() },
        ];

        let told = refused.map(|form| form.check(&limits).is_err());

        assert_eq!(told, [true; 12]);
        assert_eq!(DiffForm::default().check(&limits).unwrap(), (Form::Dense, Dtype::F32));
        let energy = DiffForm { energy: Some(0.9), ..form("low-rank") }.check(&limits).unwrap().0;
        assert_eq!(energy, Form::LowRank(Rank::Energy { energy: 0.9, most: limits.low_rank }));
    }
}
