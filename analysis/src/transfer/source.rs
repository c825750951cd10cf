//! The result of a transfer as a checkpoint, every element computed when it is read.

use std::{collections::BTreeMap, sync::Arc};

use domain::Item;
use weights::{HEAD, TensorInfo, TensorSource, is_quantised};

use super::{
    AlignedRows, Missing, Operands, Options,
    options::Rule,
    rows::{Place, Side, align},
};
use crate::{
    Error,
    computed::{self, Computed, Equal, SourceTensor, keep_or_refuse_nonfinite, made_nonfinite},
    excess::Excess,
    kinship::{Module, Named},
    merge::tied,
};

/// Names that a warning spells out.
const SPELLED: usize = 5;

/// A fine-tune carried over to another base: tensors and dtypes of the target base, with the fine-tune's rows where
/// it brings a tokenizer of its own.
pub struct TransferSource {
    operands: Operands,
    infos: Vec<TensorInfo>,
    parts: Vec<Part>,
    aligned: Vec<AlignedRows>,
    /// What became of tensors that not all models have.
    told: Vec<Item>,
}

/// How one tensor of the result is made.
enum Part {
    /// The target's, at this position.
    Copied(usize),
    /// No floats: the target's, and the same in the source base and the tuned model.
    Equal { places: [usize; 3], equal: Equal },
    /// In the target, the source base and the tuned model.
    Added { places: [Place; 3], lambda: f64 },
}

impl TransferSource {
    /// Checks the three layouts against each other, whatever wrappers are around the names; the result has the target's. A head
    /// that one of them does not store is its embedding table.
    ///
    /// # Errors
    /// Every tensor that is missing or shaped differently, and every fault of the options, at once.
    pub fn new(operands: Operands, options: &Options) -> Result<Self, Error> {
        let operands = operands.aligned();
        let rule = options.rule(operands.target_base.source.tensors())?;
        let mut plan = Planned { operands: &operands, rule: &rule, aligned: Vec::new() };
        let (mut rows, mut faults) = (Vec::new(), Vec::new());
        let (mut selected, mut unpaired) = (false, Unpaired::default());
        let mut fault = |name: &str, message| faults.push(Item { pointer: name.to_owned(), message });
        for (at, info) in operands.target_base.source.tensors().iter().enumerate() {
            let wanted = rule.of(info).is_some();
            if wanted && options.missing != Missing::Error && plan.lacks(info) {
                unpaired.target.push(&info.name);
                rows.extend((options.missing == Missing::Base).then(|| (info.clone(), Part::Copied(at))));
                continue;
            }
            selected |= wanted;
            match plan.part(at, info) {
                Ok(row) => rows.push(row),
                Err(messages) => messages.into_iter().for_each(|message| fault(&info.name, message)),
            }
        }
        if let Some((at, info)) = head_to_make(&operands, &rule) {
            match plan.part(at, &info) {
                Ok(row) => rows.push(row),
                Err(messages) => messages.into_iter().for_each(|message| fault(&info.name, message)),
            }
        }
        let target = &operands.target_base.source;
        for info in operands.source_tuned.source.tensors() {
            let known = target.position(&info.name).or_else(|| tied(&info.name, &**target)).is_some();
            if !known && !computed::is_buffer(&info.name) && rule.of(info).is_some() {
                if options.missing != Missing::Error {
                    unpaired.tuned.push(&info.name);
                    continue;
                }
                let message =
                    "only the tuned model has it; the target base must have every tensor of the diff";
                fault(&info.name, message.to_owned());
            }
        }
        if !selected {
            let preset = options.preset;
            let at = match (&options.include, &options.exclude) {
                (Some(_), _) => "/include",
                (None, Some(_)) => "/exclude",
                (None, None) => "/preset",
            };
            fault(at, format!("`{preset}` with these patterns selects no tensor of the target base"));
        }
        if !faults.is_empty() {
            return Err(Error::faults(faults));
        }
        let aligned = plan.aligned;
        let told = unpaired.told(options.missing);
        rows.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
        let (infos, parts) = rows.into_iter().unzip();
        Ok(Self { operands, infos, parts, aligned, told })
    }

    /// Embeddings and heads whose rows were matched by token, in the order of the target's tensors.
    pub fn aligned(&self) -> &[AlignedRows] {
        &self.aligned
    }

    fn models(&self) -> [&Named; 3] {
        [&self.operands.target_base, &self.operands.source_base, &self.operands.source_tuned]
    }
}

/// The head of a target that stores none, where another model stores one: a tensor of its own from now on.
fn head_to_make(operands: &Operands, rule: &Rule) -> Option<(usize, TensorInfo)> {
    let target = &operands.target_base.source;
    let others = [&operands.source_base.source, &operands.source_tuned.source];
    if target.position(HEAD).is_some() || others.iter().all(|other| other.position(HEAD).is_none()) {
        return None;
    }
    let at = tied(HEAD, &**target)?;
    let info = TensorInfo { name: HEAD.to_owned(), ..target.tensors()[at].clone() };
    rule.of(&info).is_some().then_some((at, info))
}

/// Tensors that not all models have, where the options say what becomes of them.
#[derive(Default)]
struct Unpaired<'a> {
    /// Of the target.
    target: Vec<&'a str>,
    /// Of the tuned model alone.
    tuned: Vec<&'a str>,
}

impl Unpaired<'_> {
    fn told(&self, missing: Missing) -> Vec<Item> {
        let outcome = match missing {
            Missing::Skip => "are left out",
            Missing::Error | Missing::Base => "stay as they are",
        };
        let parts = [
            (&self.target, format!("that the source models lack {outcome}")),
            (&self.tuned, "that only the tuned model has are not carried over".to_owned()),
        ];
        let message = |(names, what): (&Vec<&str>, String)| {
            let some: Vec<String> = names.iter().take(SPELLED).map(|name| format!("`{name}`")).collect();
            let more = if names.len() > some.len() { ", …" } else { "" };
            let message = format!("{} tensors {what}: {}{more}", names.len(), some.join(", "));
            (!names.is_empty()).then(|| Item { pointer: "/missing".to_owned(), message })
        };
        parts.into_iter().filter_map(message).collect()
    }
}

struct Planned<'a> {
    operands: &'a Operands,
    rule: &'a Rule,
    aligned: Vec<AlignedRows>,
}

impl Planned<'_> {
    /// Whether one of the source models has no tensor for one of the target.
    fn lacks(&self, info: &TensorInfo) -> bool {
        let sources = [&self.operands.source_base.source, &self.operands.source_tuned.source];
        let has = |source: &&Arc<dyn TensorSource>| {
            source.position(&info.name).or_else(|| tied(&info.name, &***source)).is_some()
        };
        !computed::is_buffer(&info.name) && !sources.iter().all(has)
    }

    /// How the tensor `info`, at `at` in the target, is made; or all that is wrong with it.
    fn part(&mut self, at: usize, info: &TensorInfo) -> Result<(TensorInfo, Part), Vec<String>> {
        let copied = || Ok((info.clone(), Part::Copied(at)));
        let selected = self.rule.of(info);
        let vocabulary = is_table(info);
        let Some(lambda) = selected else {
            return match vocabulary && self.rule.takes_tokenizer() && self.moves(at, info) {
                true => Err(vec![
                    "left out, but the result has the fine-tune's tokenizer and needs its rows; include it, or use \
                     shadow_ft, which keeps the target's"
                        .to_owned(),
                ]),
                false => copied(),
            };
        };
        let mut faults = Vec::new();
        if is_quantised(&info.name) {
            faults.push("quantised; transfer between full-precision models instead".to_owned());
        }
        let roles =
            [("source base", &self.operands.source_base), ("tuned model", &self.operands.source_tuned)];
        let mut found = Vec::new();
        for (role, model) in roles {
            match partner(info, &*model.source) {
                Ok(place) => found.extend(place),
                Err(what) => faults.push(format!("the {role} {what}")),
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let [base, tuned] = found[..] else { return copied() };
        if !info.dtype.is_float() {
            let places = [at, base, tuned];
            return Ok((info.clone(), Part::Equal { places, equal: Equal::default() }));
        }
        if vocabulary && let Some(rows) = self.rows([at, base, tuned]).map_err(|what| vec![what])? {
            return Ok(self.in_rows(info, ([at, base, tuned], rows), lambda));
        }
        match lambda {
            0.0 => copied(),
            _ => Ok((info.clone(), Part::Added { places: [at, base, tuned].map(Place::whole), lambda })),
        }
    }

    /// A tensor whose rows are those of the tuned model.
    fn in_rows(
        &mut self,
        info: &TensorInfo,
        ([target, base, tuned], [target_rows, base_rows]): ([usize; 3], [Arc<Vec<u32>>; 2]),
        lambda: f64,
    ) -> (TensorInfo, Part) {
        let mut info = info.clone();
        let width = info.shape.iter().skip(1).product();
        let rows = target_rows.len() as u64;
        if let Some(axis) = info.shape.first_mut() {
            *axis = rows;
        }
        let place = |index, rows| Place { index, rows: Some(rows), width };
        let places = [place(target, target_rows), place(base, base_rows), Place::whole(tuned)];
        self.aligned.push(AlignedRows {
            tensor: info.name.clone(),
            rows,
            in_target_base: places[0].held(),
            in_source_base: places[1].held(),
        });
        (info, Part::Added { places, lambda })
    }

    /// Where the rows of the two bases are, if not where the tuned model has them.
    fn rows(&self, [target, base, tuned]: [usize; 3]) -> Result<Option<[Arc<Vec<u32>>; 2]>, String> {
        let Operands { target_base, source_base, source_tuned } = self.operands;
        let sides = [side(target_base, target), side(source_base, base)];
        align(side(source_tuned, tuned), sides).map_err(|reason| {
            let rows = [sides[0].rows, sides[1].rows, side(source_tuned, tuned).rows];
            format!(
                "the target base has {} rows of a vocabulary, the source base {}, the tuned model {}; {reason}",
                rows[0], rows[1], rows[2]
            )
        })
    }

    /// Whether the tuned model's tokens have other rows than the target's.
    fn moves(&self, at: usize, info: &TensorInfo) -> bool {
        let Operands { target_base, source_tuned, .. } = self.operands;
        let Ok(Some(tuned)) = partner(info, &*source_tuned.source) else { return false };
        !matches!(align(side(source_tuned, tuned), [side(target_base, at)]), Ok(None))
    }
}

/// Whether a tensor has one row a token.
fn is_table(info: &TensorInfo) -> bool {
    Module::is_vocabulary(&info.name) && info.elements() > 0
}

fn side(model: &Named, index: usize) -> Side<'_> {
    Side { model, rows: model.source.tensors()[index].shape.first().copied().unwrap_or_default() }
}

/// Position of the tensor that matches `info`; `None` for a buffer the source does without. Tables of a vocabulary
/// may differ in their rows.
fn partner(info: &TensorInfo, source: &dyn TensorSource) -> Result<Option<usize>, String> {
    let Some(at) = source.position(&info.name).or_else(|| tied(&info.name, source)) else {
        return if computed::is_buffer(&info.name) {
            Ok(None)
        } else {
            Err("lacks this tensor of the target base".into())
        };
    };
    let other = &source.tensors()[at];
    let skipped = usize::from(is_table(info));
    if other.shape.len() != info.shape.len()
        || other.shape.iter().skip(skipped).ne(info.shape.iter().skip(skipped))
    {
        return Err(format!("has shape {:?}, the target base {:?}", other.shape, info.shape));
    }
    if other.dtype.is_float() != info.dtype.is_float() {
        return Err(format!("stores {}, the target base {}", other.dtype, info.dtype));
    }
    Ok(Some(at))
}

impl Computed for TransferSource {
    fn infos(&self) -> &[TensorInfo] {
        &self.infos
    }

    fn excess(&self) -> Excess {
        Excess::Lambda
    }

    fn fill(&self, index: usize, start: u64, out: &mut [f64]) -> Result<u64, weights::Error> {
        let (places, lambda) = match &self.parts[index] {
            Part::Added { places, lambda } => (places, *lambda),
            Part::Copied(at) | Part::Equal { places: [at, ..], .. } => {
                return Place::whole(*at).read(&*self.operands.target_base.source, start, out).map(|()| 0);
            }
        };
        let mut read = [vec![0.0; out.len()], vec![0.0; out.len()], vec![0.0; out.len()]];
        for ((place, model), values) in places.iter().zip(self.models()).zip(&mut read) {
            place.read(&*model.source, start, values)?;
        }
        let [target, from, to] = &read;
        for (((out, target), base), tuned) in out.iter_mut().zip(target).zip(from).zip(to) {
            *out = carry(*target, *base, *tuned, lambda);
        }
        let labels = ["the target base", "the source base", "the tuned model"];
        let values: [&[f64]; 3] = [target, from, to];
        keep_or_refuse_nonfinite(&self.infos[index].name, start, (&values, labels.into_iter()), out)?;
        Ok(made_nonfinite(&values, out))
    }

    fn copied(&self, index: usize, offset: u64, out: &mut [u8]) -> Option<Result<(), weights::Error>> {
        let target = &self.operands.target_base.source;
        match &self.parts[index] {
            Part::Copied(at) => {
                Some(target.read_bytes(*at, offset, out).and_then(|()| self.numbers(*at, offset, out)))
            }
            Part::Equal { places, equal } => {
                let labels = ["the target base", "the source base", "the tuned model"];
                let held = labels.iter().zip(self.models()).zip(places).map(|((label, model), &index)| {
                    SourceTensor { label: (*label).to_owned(), source: Arc::clone(&model.source), index }
                });
                let mut held: Vec<SourceTensor> = held.collect();
                // A difference is reported against the source base, which both others come from.
                held.rotate_left(1);
                Some(equal.require(&held).and_then(|()| target.read_bytes(places[0], offset, out)))
            }
            Part::Added { .. } => None,
        }
    }
}

impl TransferSource {
    /// Refuses NaN among copied bytes of the target's tensor `at` that are whole elements.
    fn numbers(&self, at: usize, offset: u64, bytes: &[u8]) -> Result<(), weights::Error> {
        let info = &self.operands.target_base.source.tensors()[at];
        let width = (info.dtype.bits() / 8).max(1);
        let whole = offset.is_multiple_of(width) && (bytes.len() as u64).is_multiple_of(width);
        if whole && kernels::holds_nan(kernels::Encoded { dtype: info.dtype, bytes }) {
            let first = offset / width;
            return Err(computed::refused(format!(
                "the target base holds NaN in tensor `{}` at or after element {first}",
                info.name
            )));
        }
        Ok(())
    }
}

/// One element; exact when nothing was tuned and when source and target base agree.
fn carry(target: f64, base: f64, tuned: f64, lambda: f64) -> f64 {
    if tuned == base {
        target
    } else if target == base && lambda == 1.0 {
        tuned
    } else {
        target + lambda * (tuned - base)
    }
}

impl TensorSource for TransferSource {
    fn tensors(&self) -> &[TensorInfo] {
        &self.infos
    }

    fn read_bytes(&self, index: usize, offset: u64, out: &mut [u8]) -> Result<(), weights::Error> {
        computed::read_bytes(self, index, offset, out)
    }

    fn read_f32(&self, index: usize, start: u64, out: &mut [f32]) -> Result<(), weights::Error> {
        weights::decode_range(self, index, start, out)
    }

    fn cautions(&self) -> Vec<Item> {
        self.told.clone()
    }

    fn metadata(&self) -> BTreeMap<String, String> {
        self.operands.target_base.source.metadata()
    }
}
