//! The member of a difference that several models share, named behind `#`.

use std::{path::Path, sync::Arc};

use domain::Limits;
use weights::{Difference, TensorSource, Unified};

use crate::{Access, Error};

/// Members that an error lists.
const LISTED: usize = 20;

/// A name of an operand, and what it is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Named<'n> {
    pub(crate) asked: &'n str,
    /// What holds the member.
    pub(crate) bare: &'n str,
    pub(crate) member: Option<&'n str>,
}

impl<'n> Named<'n> {
    /// A name that is no member's.
    pub(crate) fn whole(name: &'n str) -> Self {
        Self { asked: name, bare: name, member: None }
    }

    /// Where a path of this machine may be meant, `#` is part of one that is there; the id of a model has none.
    pub(crate) fn read(name: &'n str, access: &Access) -> Self {
        let local = matches!(access, Access::Folders(_));
        if local && on_disk(name) {
            return Self::whole(name);
        }
        let there = |(at, _): &(usize, &str)| local && on_disk(&name[..*at]);
        let cut = name.rmatch_indices('#').find(there).map(|(at, _)| (&name[..at], &name[at + 1..]));
        match cut.or_else(|| name.split_once('#')) {
            Some((bare, member)) => Self { asked: name, bare, member: Some(member) },
            None => Self::whole(name),
        }
    }

    pub(crate) fn choice(self) -> Choice {
        Choice { file: self.bare.to_owned(), member: self.member.map(str::to_owned) }
    }
}

/// A member asked for of a file.
#[derive(Debug, Clone)]
pub(crate) struct Choice {
    /// What errors call the file.
    pub(crate) file: String,
    pub(crate) member: Option<String>,
}

impl Choice {
    /// A stored difference as the dense one it stands for, with the name of the member that is read where several models share
    /// it: by its name, or by its number from 1. Any other file as it is.
    ///
    /// # Errors
    /// [`Error::UnknownMember`], and what is wrong with the file.
    pub(crate) fn read(
        &self,
        file: Arc<dyn TensorSource>,
        limits: &Limits,
    ) -> Result<(Arc<dyn TensorSource>, Option<String>), Error> {
        let Some(mut held) = Unified::members(&*file, limits)? else {
            return match self.member {
                None => Ok((Difference::dense(file, limits)?, None)),
                Some(_) => Err(self.unknown(Vec::new())),
            };
        };
        let Some(index) = self.member.as_deref().and_then(|member| position(&held, member)) else {
            return Err(self.unknown(held));
        };
        let source = Unified::new(file, (index, held.len()), limits)?;
        Ok((Arc::new(source), Some(held.swap_remove(index))))
    }

    fn unknown(&self, held: Vec<String>) -> Error {
        Error::UnknownMember { file: self.file.clone(), asked: self.member.clone(), held }
    }
}

/// The name of a model, or of a member of what it holds.
pub(crate) fn labelled(name: &str, member: Option<&str>) -> String {
    member.map_or_else(|| name.to_owned(), |member| format!("{name}#{member}"))
}

/// Whether `name` is a folder, a safetensors file or a recipe of this machine.
pub(crate) fn on_disk(name: &str) -> bool {
    Path::new(name).is_dir() || is_file(name) || is_recipe(name)
}

/// Whether `name` is a file of this machine that may hold the recipe of a merge.
pub(crate) fn is_recipe(name: &str) -> bool {
    let path = Path::new(name);
    path.extension().is_some_and(|end| end == "yml" || end == "yaml") && path.is_file()
}

/// Whether `name` is a safetensors file of this machine, such as a stored difference.
pub(crate) fn is_file(name: &str) -> bool {
    domain::files::is_weights(name) && Path::new(name).is_file()
}

/// The member of this name, or of this number.
fn position(held: &[String], member: &str) -> Option<usize> {
    let number = || member.parse::<usize>().ok()?.checked_sub(1).filter(|at| *at < held.len());
    held.iter().position(|name| name == member).or_else(number)
}

/// What is wrong with the member that `asked` names.
pub(crate) fn told(file: &str, asked: Option<&str>, held: &[String]) -> String {
    let named = held.iter().take(LISTED).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let more = match held.len().saturating_sub(LISTED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    match asked {
        Some(asked) if held.is_empty() => {
            format!("`{file}` is not a difference that several models share; name it without `#{asked}`")
        }
        Some(asked) => format!("`{file}` has no member `{asked}`; it holds {named}{more}"),
        None => {
            format!("several models share `{file}`; name one behind it, as `{file}#MEMBER`: {named}{more}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Pin;

    #[test]
    fn a_path_that_is_there_keeps_its_hash_and_any_other_name_ends_before_it() {
        let place = tempfile::tempdir().unwrap();
        let path = |name: &str| place.path().join(name).display().to_string();
        fs_err::create_dir(path("a#b")).unwrap();
        fs_err::write(path("c#d.safetensors"), "").unwrap();
        let folders = Access::Folders(Pin::Nothing);
        let parts = |name: &str, access: &Access| {
            let Named { bare, member, .. } = Named::read(name, access);
            (bare.to_owned(), member.map(str::to_owned))
        };

        assert_eq!(parts(&path("a#b"), &folders), (path("a#b"), None));
        assert_eq!(parts(&path("a#b#m"), &folders), (path("a#b"), Some("m".to_owned())));
        assert_eq!(parts(&path("c#d.safetensors"), &folders), (path("c#d.safetensors"), None));
        assert_eq!(parts(&path("c#d.safetensors#o/m"), &folders).1.as_deref(), Some("o/m"));
        assert_eq!(
            parts("o/n@main#o/m", &Access::registry()),
            ("o/n@main".to_owned(), Some("o/m".to_owned()))
        );
        assert_eq!(parts("o/n", &Access::registry()), ("o/n".to_owned(), None));
    }

    #[test]
    fn a_member_is_found_by_its_name_before_its_number() {
        let held = ["x", "1", "o/y"].map(str::to_owned);

        let found = ["x", "1", "3", "o/y", "0", "4", ""].map(|member| position(&held, member));

        assert_eq!(found, [Some(0), Some(1), Some(2), Some(2), None, None, None]);
    }
}
