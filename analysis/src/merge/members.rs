//! The models that are merged together, in a fixed order, and whose tensors the result has.

use super::{BaseNeed, Entry, check::Job, config::Group, layout::Seat, spec::Law};

/// The models of one group.
pub(super) struct Members<'a> {
    pub merged: Vec<(Seat, Option<&'a Entry>)>,
    pub delta_base: Option<Seat>,
    /// Base, else the first model: gives shapes and default dtypes.
    pub reference: Option<Seat>,
    /// The recipe's base, whatever it means to the method, else the first model: what policies copy from.
    pub heir: Option<Seat>,
}

impl<'a> Members<'a> {
    /// Each once, the reference first.
    pub fn all(&self) -> Vec<&Seat> {
        let mut all: Vec<&Seat> = self.reference.iter().collect();
        for seat in self.delta_base.iter().chain(self.merged.iter().map(|(seat, _)| seat)) {
            if !all.contains(&seat) {
                all.push(seat);
            }
        }
        all
    }

    /// Those of them that `has` holds for.
    pub fn among(&self, has: impl Fn(&Seat) -> bool) -> Members<'a> {
        let kept = |seat: &Option<Seat>| seat.clone().filter(&has);
        let merged: Vec<(Seat, Option<&Entry>)> =
            self.merged.iter().filter(|(seat, _)| has(seat)).cloned().collect();
        let reference = kept(&self.reference).or_else(|| Some(merged.first()?.0.clone()));
        Members { merged, delta_base: kept(&self.delta_base), reference, heir: self.heir.clone() }
    }
}

/// The groups of each module with their members.
pub(super) fn by_module<'r, 'g, 'm>(
    groups: &'r [Group<'g>],
    members: &'r [Members<'m>],
) -> impl Iterator<Item = (&'r [Group<'g>], &'r [Members<'m>])> {
    let mut rest = members;
    groups.chunk_by(|one, other| one.module() == other.module()).map(move |part| {
        let (own, others) = rest.split_at(part.len());
        rest = others;
        (part, own)
    })
}

fn seat(entry: &Entry) -> Seat {
    Seat { label: entry.model.clone(), first: entry.layer_range.map_or(0, |range| range.first) }
}

impl Job<'_> {
    /// The members of a group; what is wrong with their number is a fault.
    pub fn members<'g>(&mut self, group: &Group<'g>) -> Members<'g> {
        let spec = self.method.spec();
        if group.base.is_none() && matches!(spec.base, BaseNeed::Delta | BaseNeed::Endpoint) {
            // A module has no base of its own.
            let place = if group.slice.is_some() { group.place() } else { String::new() };
            self.fault(format!("{place}/base_model"), format!("`{}` needs a base model", spec.id));
        }
        let base = match spec.base {
            BaseNeed::Unused => None,
            _ => group.base.map(|name| self.base_seat(group, name)),
        };
        let is_base = |seat: &Seat| base.as_ref().is_some_and(|base| base.label == seat.label);
        let mut merged: Vec<(Seat, Option<&Entry>)> =
            group.sources.iter().map(|entry| (seat(entry), Some(entry))).collect();
        match spec.base {
            BaseNeed::Delta | BaseNeed::Optional => {
                let itself = merged.iter().find(|(seat, _)| is_base(seat)).cloned();
                merged.retain(|(seat, _)| !is_base(seat));
                // A model merged with itself alone: one delta, of zero, so that the base is given back.
                let alone = merged.is_empty() && spec.base == BaseNeed::Delta && spec.models.min == 1;
                merged.extend(itself.filter(|_| alone));
            }
            BaseNeed::Endpoint => {
                // A model merged with itself is listed twice; otherwise the base is the end at t = 0.
                let at = merged.iter().position(|(seat, _)| is_base(seat));
                let end = at.map(|at| merged.remove(at)).or_else(|| base.clone().map(|seat| (seat, None)));
                merged.splice(0..0, end);
            }
            BaseNeed::Unused => {}
        }
        // A fixed order of summation: permuting the list does not change a bit.
        if spec.laws.contains(&Law::Symmetry) {
            merged.sort_by(|(a, _), (b, _)| a.cmp(b));
        }
        let count = merged.len();
        if !spec.models.allows(count) {
            let wanted = match spec.models.max {
                Some(1) => "exactly one model".to_owned(),
                Some(max) if max == spec.models.min => format!("exactly {max} models"),
                _ => format!("{} or more models", spec.models.min),
            };
            let delta = matches!(spec.base, BaseNeed::Delta | BaseNeed::Optional);
            let besides = if delta && base.is_some() { " besides the base" } else { "" };
            self.fault(group.pointer(), format!("`{}` merges {wanted}{besides}, {count} given", spec.id));
        }
        let first = || group.sources.first().map(seat);
        // A base that only says whose configuration the result gets has to be in line where it is copied from.
        let unread = group.base.filter(|_| base.is_none() && self.config.copies());
        let heir = base.clone().or_else(|| unread.map(|name| self.base_seat(group, name))).or_else(first);
        Members {
            merged,
            delta_base: base.clone().filter(|_| matches!(spec.base, BaseNeed::Delta | BaseNeed::Optional)),
            reference: base.or_else(first),
            heir,
        }
    }

    /// A base that a slice does not list stands with the same layers as the models it lists.
    fn base_seat(&mut self, group: &Group<'_>, name: &str) -> Seat {
        let listed = group.sources.iter().find(|entry| entry.model == name).map(seat);
        let mut firsts = group.sources.iter().map(|entry| seat(entry).first);
        let first = firsts.next().unwrap_or_default();
        if listed.is_none() && firsts.any(|other| other != first) {
            let message = format!(
                "its models start at different layers, so `{name}`, their base, must be listed with its `layer_range`"
            );
            self.fault(group.pointer(), message);
        }
        listed.unwrap_or_else(|| Seat { label: name.to_owned(), first })
    }
}
