//! The difference that several operands share, as a file.

use std::sync::Arc;

use analysis::diff::{Origin, Together, Told, Unified, unify};
use domain::Limits;
use serde_json::{Map, json};
use weights::{Layout, LocalFile, TensorInfo};

use crate::{
    Access, DiffPayload, Error, Operand, Registry, Workplace,
    artefact::{DiffFile, DiffForm, dtype_of, spool},
    open_operand,
    operand::all_missing,
    output::shown,
    submit::pin,
    taken::told,
    worker::Pulse,
};

/// Fine-tunes and their base, opened.
pub struct Members {
    pub members: Vec<Operand>,
    pub base: Operand,
}

impl<'m> IntoIterator for &'m Members {
    type Item = &'m Operand;
    type IntoIter = std::iter::Chain<std::slice::Iter<'m, Operand>, std::iter::Once<&'m Operand>>;

    fn into_iter(self) -> Self::IntoIter {
        self.members.iter().chain(std::iter::once(&self.base))
    }
}

/// Opens `tuned`, all of `with`, and the base.
///
/// # Errors
/// As [`open_operand`]; [`Error::Missing`] with all that are not there.
pub async fn open_members(
    registry: &Registry,
    asked: &DiffPayload,
    access: &Access,
) -> Result<Members, Error> {
    let mut named = vec![("/tuned".to_owned(), asked.tuned.as_str())];
    named.extend(asked.with.iter().enumerate().map(|(at, name)| (format!("/with/{at}"), name.as_str())));
    named.push(("/base".to_owned(), &asked.base));
    let opened = async {
        let mut members = Vec::with_capacity(named.len());
        for (_, name) in &named {
            members.push(open_operand(registry, name, access).await?.with_weights(registry).await?);
        }
        let base = members.pop().ok_or_else(|| Error::Invalid("a base is needed".to_owned()))?;
        Ok(Members { members, base })
    };
    let opened = opened.await;
    all_missing(registry, &named, access, opened).await
}

/// The models paired by tensor, in the number format asked for.
///
/// # Errors
/// As [`DiffForm::check`] and [`Together::new`].
pub(crate) fn together(models: &Members, asked: &DiffForm, limits: &Limits) -> Result<Together, Error> {
    asked.check(limits)?;
    let origin = |operand: &Operand, name: String| Origin {
        told: Told { name, ..told(operand) },
        source: Arc::clone(&operand.source),
    };
    let members = models.members.iter().zip(names(&models.members)).map(|(of, name)| origin(of, name));
    let base = origin(&models.base, shown(&models.base.label));
    let paired = Together::new(base, members.collect())?;
    match asked.dtype.as_deref() {
        None => Ok(paired),
        word => Ok(paired.stored_as(dtype_of(word)?)?),
    }
}

/// What the file calls the members: their names, each another.
fn names(members: &[Operand]) -> Vec<String> {
    let mut names: Vec<String> = Vec::with_capacity(members.len());
    for (at, operand) in members.iter().enumerate() {
        let mut name = shown(&operand.label).replace(char::is_control, " ");
        if names.contains(&name) {
            name = format!("{name}-{}", at + 1);
        }
        while names.contains(&name) {
            name.push('\'');
        }
        names.push(name);
    }
    names
}

/// Writes the difference that the members share with the bits and the scale of each (EMR, arXiv 2405.17461).
///
/// # Errors
/// As [`DiffForm::check`] and [`Together::new`]; values that are not finite or leave the number format, and failed reads and
/// writes.
pub async fn write_unified(
    (registry, place): (&Registry, &Workplace),
    models: &Members,
    asked: &DiffForm,
    pulse: &Pulse,
) -> Result<DiffFile, Error> {
    let paired = together(models, asked, &registry.limits)?;
    let pins: Vec<_> = models.into_iter().map(pin).collect();
    let named: Vec<_> = models.into_iter().map(told).collect();
    let identity = format!("{} {} {}", json!(pins), json!(named), json!(asked));
    pulse.begin("finding what they share", paired.infos().iter().map(TensorInfo::bytes).sum());
    let (folder, ahead) = (registry.scratch.clone(), pulse.clone());
    let spooled = tokio::task::spawn_blocking(move || {
        spool(&folder, |out| Ok(unify(&paired, out, &|bytes| Ok(ahead.advance(bytes)?))?))
    });
    let (scratch, unified) = spooled.await??;
    let report = report(&unified);
    let file = LocalFile::open(scratch.path())?;
    let source = Arc::new(unified.open(Arc::new(file)));
    let layout = Layout { stem: "diff", most: u64::MAX };
    let kept = place.write((source, layout), identity, pulse).await?.kept;
    let file = place.out().join("diff.safetensors");
    let bytes = fs_err::metadata(&file)?.len();
    Ok(DiffFile { file, bytes, kept, report })
}

/// The form and how near each member comes.
fn report(unified: &Unified) -> Map<String, serde_json::Value> {
    Map::from_iter([("form".to_owned(), json!("emr")), ("members".to_owned(), json!(unified.fits))])
}
