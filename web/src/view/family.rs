//! A family by size: its branches, the children of one model, and all families at once.

use domain::Relation;

use super::{ChildGroup, FamilyRow, LicenceClass, Name, Narrowing};

/// A branch of a family; sizes and starts are numbers of models.
#[derive(Debug, Clone, Default)]
pub struct FamilySlice {
    pub name: Name,
    pub ghost: bool,
    /// How it descends from its primary parent; none for a root.
    pub relation: Option<Relation>,
    /// Generations below the first.
    pub depth: usize,
    /// Models before it in its generation.
    pub start: u64,
    /// Models below it, itself among them.
    pub size: u64,
    /// Children that are only counted: branches, models in them, and models before them.
    pub small: (u64, u64, u64),
}

/// A model with everything below it.
#[derive(Debug, Clone, Default)]
pub struct Family {
    pub name: Name,
    /// From the root of the family to the primary parent.
    pub path: Vec<Name>,
    /// Models below it that are shown, itself among them.
    pub size: u64,
    /// Models below it that a narrowing holds back.
    pub held_back: u64,
    /// The model itself first, a parent before its children.
    pub slices: Vec<FamilySlice>,
}

/// The way from the root to a model, without the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Crumbs<'a> {
    pub(crate) first: &'a [Name],
    /// What a long way leaves to be unfolded.
    pub(crate) folded: &'a [Name],
    pub(crate) last: &'a [Name],
}

/// Models of a way that stand before what is folded, and behind it.
const ENDS: (usize, usize) = (1, 3);

impl Family {
    /// The way from the root: the first model and the last three of a long one.
    pub(crate) fn crumbs(&self) -> Crumbs<'_> {
        let (before, behind) = ENDS;
        // One model takes no more room than what stands for it.
        if self.path.len() <= before + behind + 1 {
            return Crumbs { first: &self.path, folded: &[], last: &[] };
        }
        let (first, rest) = self.path.split_at(before);
        let (folded, last) = rest.split_at(rest.len() - behind);
        Crumbs { first, folded, last }
    }
}

/// Which children to list.
#[derive(Debug, Clone, Default)]
pub struct ChildrenQuery {
    pub narrowing: Narrowing,
    /// A part of the name.
    pub text: String,
    pub cursor: Option<String>,
    pub limit: u32,
}

/// A child of a model.
#[derive(Debug, Clone)]
pub struct ChildRow {
    pub name: Name,
    pub relation: Relation,
    pub ghost: bool,
    /// Nobody but the weights says so.
    pub inferred: bool,
    /// The weights contradict it.
    pub contradicted: bool,
    /// Another parent is the one it hangs under in trees.
    pub elsewhere: bool,
    /// An advisory in force reaches it.
    pub advised: bool,
    pub license: Option<String>,
    /// None where nobody counts.
    pub downloads: Option<u64>,
    /// Models below it.
    pub below: u64,
}

impl ChildRow {
    pub(crate) fn licence_class(&self) -> LicenceClass {
        LicenceClass::of(self.license.as_deref())
    }
}

/// The children of one model.
#[derive(Debug, Clone, Default)]
pub struct ChildrenPage {
    pub name: Name,
    /// All its children.
    pub groups: Vec<ChildGroup>,
    pub items: Vec<ChildRow>,
    /// Children that are found, on all pages.
    pub total: u64,
    /// Cursor of the next page.
    pub next: Option<String>,
}

/// Which families to show, by their place in the list from the largest on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AtlasQuery {
    pub from: usize,
    /// The place after the last; none for all.
    pub to: Option<usize>,
}

/// A tile of the atlas.
#[derive(Debug, Clone)]
pub enum AtlasTile {
    Family(FamilyRow),
    /// Families from one place to before another, with the models in them and the sizes of the first and the last.
    Range {
        from: usize,
        to: usize,
        models: u64,
        sizes: (u64, u64),
    },
}

/// All families, or some of them.
#[derive(Debug, Clone, Default)]
pub struct AtlasPage {
    /// Families there are.
    pub families: u64,
    /// Models in them.
    pub models: u64,
    /// Models without relatives.
    pub singletons: u64,
    pub from: usize,
    pub to: usize,
    pub tiles: Vec<AtlasTile>,
    /// Families by size: the smallest and the largest size, and how many.
    pub sizes: Vec<(u64, u64, u64)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_way_shows_its_first_and_its_last_three_models_and_folds_none_away_for_good() {
        for count in [0, 1, 5, 6, 40] {
            let path: Vec<Name> = (0..count).map(|at| Name(format!("o/m{at}"))).collect();
            let family = Family { path: path.clone(), ..Family::default() };

            let Crumbs { first, folded, last } = family.crumbs();

            let all: Vec<Name> = [first, folded, last].concat();
            assert_eq!(all, path);
            let shown = first.len() + last.len();
            assert_eq!((shown, folded.is_empty()), if count > 5 { (4, false) } else { (count, true) });
        }
    }
}
