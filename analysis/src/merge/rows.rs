//! Each tensor of the result: what it is merged from, what a policy makes of it, or the faults that forbid it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use domain::Item;
use weights::{Scratch, TensorInfo, TensorSource, is_quantised};

use super::{
    Mismatch, Missing, Stacked,
    check::{Job, MOST_FAULTS, Scope, TIED, dtype, tied},
    layout::{Place, Seat, Section, layer_count},
    members::Members,
    policy::{Outcome, Policy, Touched},
    source::{Part, Row},
    spec::{Operands, Params},
};
use crate::{
    computed::{SourceTensor, is_buffer, other_vocabulary},
    kinship::Module,
};

/// The end of a fault of tables of tokens with several numbers of rows: what would be right.
pub const OTHER_VOCABULARY: &str =
    "; the vocabularies differ: `tokenizer_source: base` or `union` matches rows by token";

/// The tensors of one name, each with the place of its model.
type Seated<'s> = [(&'s Seat, SourceTensor)];

/// How a tensor of the result comes about.
pub(super) enum Fate<'g> {
    /// Merged among all members.
    Merged,
    /// Merged among some of them.
    Among(Members<'g>),
    /// Copied from a model, as a policy says.
    Copied(SourceTensor, Policy),
    /// A buffer that only some models have.
    Kept(SourceTensor),
    LeftOut(Policy),
    /// Its faults are told.
    Refused,
}

impl Job<'_> {
    /// The tensors that one group gives.
    pub fn rows(&mut self, scope: &Scope<'_>) -> Vec<Row> {
        let (section, inputs) = (scope.section, self.inputs);
        let sources: Vec<(&Seat, &Arc<dyn TensorSource>)> = scope
            .members
            .all()
            .into_iter()
            .filter_map(|seat| Some((seat, &inputs.get(&seat.label)?.source)))
            .collect();
        let mut union: BTreeSet<String> = sources
            .iter()
            .flat_map(|(seat, source)| {
                source.tensors().iter().filter_map(|info| section.output(seat, &info.name))
            })
            .collect();
        if let Some(heir) = &scope.members.heir {
            let wanted = |name: &String| self.config.policies.allow_crimes || self.excluded(name).is_some();
            union
                .extend(self.names(&heir.label).filter_map(|name| section.output(heir, name)).filter(wanted));
        }
        if section.place == Place::Last && self.needs_head(scope) {
            union.insert(TIED.0.to_owned());
        }
        let mut rows = Vec::new();
        for name in &union {
            let held: Vec<(&Seat, SourceTensor)> = sources
                .iter()
                .filter_map(|(seat, _)| Some((*seat, self.stored(seat, name, section)?)))
                .collect();
            if self.faults.len() > MOST_FAULTS {
                break;
            }
            rows.extend(self.row(name, &held, scope));
        }
        rows
    }

    /// Tells what policies decided. A result that has not as many layers as its heir says whose they are.
    pub fn settle(&mut self, rows: &[Row]) {
        let touched = std::mem::take(&mut self.tally).touched();
        if touched.is_empty() {
            return;
        }
        if self.config.policies.allow_crimes && !rows.iter().any(Row::is_merged) {
            let message = "no tensor has one name and one shape in all models, so nothing would be merged";
            self.fault("/allow_crimes", message);
        } else if rows.is_empty() {
            self.fault(touched[0].pointer.clone(), "no tensor is left");
        }
        let (config, heir) = (self.config, self.config.heir().unwrap_or_default());
        let count = |label: &str| layer_count(self.names(label));
        let (theirs, ours) = (count(&heir), layer_count(rows.iter().map(Row::name)));
        if config.groups().iter().all(|group| group.slice.is_none()) && theirs != ours {
            let others = config.weight_refs();
            let of = |layer: u64| {
                let holder = others.iter().find(|label| layer < count(label)).unwrap_or(&heir);
                (if layer < theirs { heir.clone() } else { holder.clone() }, layer)
            };
            self.outline.stacked = vec![Stacked { module: None, layers: (0..ours).map(of).collect() }];
        }
        self.outline.warnings.extend(touched.iter().map(Touched::warning));
        self.outline.touched = touched;
    }

    /// The tensor of a model that goes into `name`.
    pub fn stored(&self, seat: &Seat, name: &str, section: Section) -> Option<SourceTensor> {
        let source = &self.inputs.get(&seat.label)?.source;
        let index = source.position(&section.input(seat, name)).or_else(|| tied(name, &**source))?;
        Some(SourceTensor { label: seat.label.clone(), source: Arc::clone(source), index })
    }

    /// One tensor; none where a policy leaves it out or a fault forbids it.
    fn row(&mut self, name: &str, seated: &Seated<'_>, scope: &Scope<'_>) -> Option<Row> {
        let fate = self.fate(name, seated, scope);
        match &fate {
            Fate::LeftOut(policy) => self.tally.add(*policy, Outcome::LeftOut, name),
            Fate::Copied(from, policy) => {
                self.tally.add(*policy, Outcome::Copied(from.label.clone()), name);
                return Some(self.copied(name, from.clone(), *policy));
            }
            _ => {}
        }
        let first = &seated.first()?.1;
        let members = if let Fate::Among(some) = &fate { some } else { scope.members };
        let scope =
            &Scope { members, group: scope.group, section: scope.section, depths: scope.depths.clone() };
        // What else is wrong is told with a tensor that is refused.
        let params = if info(first).dtype.is_float() && !matches!(fate, Fate::LeftOut(_)) {
            self.params(name, scope)
        } else {
            Params::default()
        };
        let stored = TensorInfo { name: name.to_owned(), ..info(first).clone() };
        let part = match fate {
            Fate::Refused | Fate::LeftOut(_) | Fate::Copied(..) => return None,
            Fate::Kept(stored) => Part::Copied(vec![stored]),
            Fate::Merged => self.part(seated, &stored, scope),
            Fate::Among(_) => {
                if self.method.surveys(&params) {
                    let id = self.method.spec().id;
                    let message = format!(
                        "`{id}` looks at all tensors of all models together here, so none can be merged among fewer \
                         models, such as `{name}`; `base` and `skip` can be chosen"
                    );
                    self.once("surveys", "/missing", message);
                    return None;
                }
                self.tally.add(Policy::Missing, Outcome::Merged, name);
                let labels: Vec<&str> = seated.iter().map(|(seat, _)| seat.label.as_str()).collect();
                let row = self.part(seated, &stored, scope);
                return Some(
                    self.finish(row, params, stored).told("missing", ("merged_among", labels.into())),
                );
            }
        };
        Some(self.finish(part, params, stored))
    }

    /// What becomes of a tensor, as far as its names, shapes and number formats tell.
    fn fate<'g>(&mut self, name: &str, seated: &Seated<'_>, scope: &Scope<'g>) -> Fate<'g> {
        if is_quantised(name) {
            self.fault(name, format!("quantised in {}; merge full-precision models instead", listed(seated)));
            return Fate::Refused;
        }
        if let Some(fate) = self.set_aside(name, scope) {
            return fate;
        }
        let policies = self.config.policies;
        if policies.allow_crimes && !self.is_common(name, seated, scope) {
            // A head that is tied to the embedding stays so.
            let heir = scope.members.heir.as_ref().and_then(|seat| self.stored(seat, name, scope.section));
            let own = heir.filter(|stored| stored.source.position(name) == Some(stored.index));
            let left_out = Fate::LeftOut(Policy::AllowCrimes);
            return own.map_or(left_out, |stored| Fate::Copied(stored, Policy::AllowCrimes));
        }
        let Some(((_, first), others)) = seated.split_first() else { return Fate::Refused };
        let ours = info(first);
        let all = scope.members.all();
        let lacking: Vec<&str> = all
            .into_iter()
            .filter(|seat| seated.iter().all(|(held, _)| held != seat))
            .map(|seat| seat.label.as_str())
            .collect();
        if !lacking.is_empty() && is_buffer(name) {
            return Fate::Kept(first.clone());
        }
        let (faults, labels) = (self.faults.len(), lacking);
        let lacking = labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ");
        let mut refused = false;
        let mut fate = Fate::Merged;
        if !lacking.is_empty() {
            match policies.missing {
                Missing::Usual if is_slight(name, ours) => {
                    let heir = scope.members.heir.as_ref();
                    let own = heir.and_then(|seat| self.stored(seat, name, scope.section));
                    return Fate::Copied(own.unwrap_or_else(|| first.clone()), Policy::Missing);
                }
                Missing::Usual | Missing::Error => {
                    self.lacking.add(name, &labels);
                    refused = true;
                }
                Missing::Skip => return Fate::LeftOut(Policy::Missing),
                Missing::Base => {
                    return self.of_heir((name, Policy::Missing), scope, &format!("missing in {lacking}"));
                }
                Missing::Union => match self.among(seated, scope.members) {
                    Some(some) => fate = Fate::Among(some),
                    None => return Fate::Copied(first.clone(), Policy::Missing),
                },
            }
        }
        let mut unlike = None;
        for (_, other) in others {
            let theirs = info(other);
            let (a, b) = (&first.label, &other.label);
            if theirs.shape != ours.shape {
                let rows = other_vocabulary(name, &ours.shape, &theirs.shape);
                // What would be right is told once.
                let hinted = rows && self.seen.insert("vocabulary".to_owned());
                let hint = if hinted { OTHER_VOCABULARY } else { "" };
                let code = if rows { "vocab_mismatch: " } else { "" };
                let message =
                    format!("{code}shape {:?} in `{a}`, {:?} in `{b}`{hint}", ours.shape, theirs.shape);
                match policies.on_mismatch {
                    Mismatch::Base if !rows => unlike = unlike.or(Some(message)),
                    _ => self.fault(name, message),
                }
            }
            let alike = theirs.dtype == ours.dtype || theirs.dtype.is_float() && ours.dtype.is_float();
            if !alike {
                self.fault(name, format!("{} in `{a}`, {} in `{b}`", ours.dtype, theirs.dtype));
            }
        }
        match unlike {
            _ if refused || self.faults.len() > faults => Fate::Refused,
            Some(message) => self.of_heir((name, Policy::OnMismatch), scope, &message),
            None => fate,
        }
    }

    /// Whether all models have a tensor in one shape, the one among them that policies copy from.
    fn is_common(&self, name: &str, seated: &Seated<'_>, scope: &Scope<'_>) -> bool {
        let heir = scope.members.heir.as_ref().and_then(|seat| self.stored(seat, name, scope.section));
        let (Some(((_, first), _)), Some(heir)) = (seated.split_first(), &heir) else { return false };
        let alike = |other: &SourceTensor| {
            let (ours, theirs) = (info(first), info(other));
            let kind = ours.dtype == theirs.dtype || ours.dtype.is_float() && theirs.dtype.is_float();
            ours.shape == theirs.shape && kind
        };
        let all = seated.iter().map(|(_, stored)| stored).chain([heir]).all(alike);
        all && seated.len() == scope.members.all().len()
    }

    /// The tensor of the model that policies copy from; where it has none, what is `wrong` is a fault.
    fn of_heir<'g>(&mut self, (name, policy): (&str, Policy), scope: &Scope<'g>, wrong: &str) -> Fate<'g> {
        let heir = scope.members.heir.as_ref();
        if let Some(stored) = heir.and_then(|seat| self.stored(seat, name, scope.section)) {
            return Fate::Copied(stored, policy);
        }
        let whence = heir.map_or("a base", |seat| seat.label.as_str());
        let key = policy.key();
        self.fault(name, format!("{wrong}; `{key}: base` copies it from `{whence}`, which has none either"));
        Fate::Refused
    }

    /// The members that have a tensor, where the method can merge them.
    fn among<'g>(&self, seated: &Seated<'_>, members: &Members<'g>) -> Option<Members<'g>> {
        let spec = self.method.spec();
        let some = members.among(|seat| seated.iter().any(|(held, _)| *held == seat));
        let based = members.delta_base.is_some() == some.delta_base.is_some();
        let enough = some.merged.len() >= spec.models.min.max(1);
        (seated.len() > 1 && based && enough).then_some(some)
    }

    /// How a tensor is merged among the members of `scope`, of which all have it; integers are copied.
    fn part(&mut self, seated: &Seated<'_>, stored: &TensorInfo, scope: &Scope<'_>) -> Part {
        if !stored.dtype.is_float() {
            return Part::Copied(seated.iter().map(|(_, stored)| stored.clone()).collect());
        }
        let members = scope.members;
        let beside = self.beside(stored, scope);
        let find =
            |seat: &Seat| seated.iter().find(|(held, _)| *held == seat).map(|(_, stored)| stored.clone());
        let content = |seat: &Seat| self.inputs.get(&seat.label).map(|input| input.content.clone());
        Part::Merged(Box::new(Operands {
            name: stored.name.clone(),
            shape: stored.shape.clone(),
            models: members.merged.iter().filter_map(|(seat, _)| find(seat)).chain(beside.along).collect(),
            contents: members.merged.iter().filter_map(|(seat, _)| content(seat)).collect(),
            base: members.delta_base.as_ref().and_then(find),
            elements: stored.elements(),
            params: Params::default(),
            seed: self.config.seed,
            nonfinite: self.config.policies.nonfinite(),
            survey: None,
            grams: beside.grams,
            scratch: Scratch::default(),
        }))
    }

    /// The tensor that a policy copies from one model.
    fn copied(&mut self, name: &str, from: SourceTensor, policy: Policy) -> Row {
        let label = from.label.clone();
        self.single(name, from).told(policy.key(), ("copied_from", label.into()))
    }

    /// The tensor of one model, in the number format of the result.
    pub fn single(&mut self, name: &str, from: SourceTensor) -> Row {
        let stored = TensorInfo { name: name.to_owned(), ..info(&from).clone() };
        let part = if stored.dtype.is_float() {
            Part::Single(Box::new(Operands {
                name: stored.name.clone(),
                shape: stored.shape.clone(),
                elements: stored.elements(),
                models: vec![from],
                contents: vec![String::new()],
                base: None,
                params: Params::default(),
                seed: self.config.seed,
                nonfinite: self.config.policies.nonfinite(),
                survey: None,
                grams: Vec::new(),
                scratch: Scratch::default(),
            }))
        } else {
            Part::Copied(vec![from])
        };
        let params = Params { models: vec![BTreeMap::from([("scale", 1.0)])], ..Params::default() };
        self.finish(part, params, stored)
    }

    fn finish(&mut self, part: Part, params: Params, stored: TensorInfo) -> Row {
        let wanted =
            self.config.out_dtype.as_ref().or(self.config.dtype.as_ref()).and_then(|word| dtype(word));
        let (part, dtype) = match part {
            Part::Merged(operands) => {
                let operands = Operands { params, ..*operands };
                let (held, most) = (self.method.held(&operands), self.limits.merge_held);
                let all = held.saturating_add(self.method.scratch(&operands));
                let id = self.method.spec().id;
                if all > most {
                    let message = format!(
                        "`{id}` must hold {all} numbers at once; at most {most} are held (`merge_held`)"
                    );
                    self.fault(&stored.name, message);
                } else if held > most / 8 {
                    let message = format!(
                        "`{id}` must hold {held} numbers in memory at once; at most {} are held there, an eighth of \
                         `merge_held`",
                        most / 8
                    );
                    self.fault(&stored.name, message);
                }
                if wanted.is_none() && stored.dtype.bits() == 8 && self.seen.insert("eight bits".to_owned()) {
                    let like = operands.inputs().find(|input| info(input).dtype == stored.dtype);
                    let like = like.map(|input| format!(", like `{}`", input.label)).unwrap_or_default();
                    let message = format!(
                        "the result is stored in 8 bits{like}, which rounds away much of what is merged; \
                         `dtype: bfloat16` keeps it"
                    );
                    self.outline.warnings.push(Item { pointer: "/dtype".to_owned(), message });
                }
                (Part::Merged(Box::new(operands)), wanted.unwrap_or(stored.dtype))
            }
            Part::Single(operands) => {
                (Part::Single(Box::new(Operands { params, ..*operands })), wanted.unwrap_or(stored.dtype))
            }
            copied => (copied, stored.dtype),
        };
        Row::new(TensorInfo { dtype, ..stored }, part)
    }
}

/// Whether a model can do without a tensor that others of its kind have: a norm or a bias, as mergekit takes it too.
fn is_slight(name: &str, info: &TensorInfo) -> bool {
    info.shape.len() == 1 && (name.ends_with(".bias") || Module::of(name) == Module::Norm)
}

fn listed(seated: &Seated<'_>) -> String {
    let labels: BTreeSet<String> = seated.iter().map(|(seat, _)| format!("`{}`", seat.label)).collect();
    labels.into_iter().collect::<Vec<_>>().join(", ")
}

fn info(stored: &SourceTensor) -> &TensorInfo {
    &stored.source.tensors()[stored.index]
}
