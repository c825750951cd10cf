//! Stored differences as operands: what they were taken of, for what they are applied to, and where they are none.

use std::sync::Arc;

use analysis::diff::{Taken, Told};
use domain::{Item, RepoId};

use crate::{Access, Error, Operand, Registry, faults::placed, operand::open_all, output::shown};

/// Most characters of a licence that a file states.
const LICENSE: usize = 100;
/// Most models that one side of a difference is made of: a base and an adapter.
const MODELS: usize = 8;

/// What a file says of a model.
pub(crate) fn told(operand: &Operand) -> Told {
    Told {
        name: shown(&operand.label).replace(char::is_control, " "),
        digest: operand.digest,
        content: operand.content(),
        license: operand.license.clone(),
        models: operand.behind().iter().flat_map(ids).map(str::to_owned).collect(),
    }
}

impl Operand {
    /// Itself, unless it is a stored difference.
    ///
    /// # Errors
    /// [`Error::IsDifference`].
    pub(crate) fn whole(self) -> Result<Self, Error> {
        self.must_be_whole().map(|()| self)
    }

    fn must_be_whole(&self) -> Result<(), Error> {
        match weights::is_difference(&*self.source) {
            true => Err(Error::IsDifference(self.label.clone())),
            false => Ok(()),
        }
    }
}

/// [`open_all`] of whole models, where a stored difference is none.
///
/// # Errors
/// As [`open_all`], and [`Error::IsDifference`].
pub(crate) async fn open_models<const N: usize>(
    registry: &Registry,
    named: [(&str, &str); N],
    access: &Access,
) -> Result<[Operand; N], Error> {
    let opened = open_all(registry, named, access).await?;
    for (operand, (pointer, _)) in opened.iter().zip(named) {
        operand.must_be_whole().map_err(|error| placed(error, pointer))?;
    }
    Ok(opened)
}

/// The ids of a model and of what it is applied to, the latter first; a folder has none.
pub(crate) fn ids(operand: &Operand) -> Vec<&str> {
    let mut ids = operand.base.as_deref().map(ids).unwrap_or_default();
    ids.extend(operand.id.as_ref().map(RepoId::as_str));
    ids
}

/// The models that a difference was taken of, as a result inherits from them.
pub(crate) struct Origins {
    pub(crate) taken: Taken,
    /// The models of the fine-tune.
    pub(crate) tuned: Vec<Operand>,
    /// Those of its base.
    pub(crate) base: Vec<Operand>,
}

impl Origins {
    /// What the file of a difference says; none where it says nothing.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub(crate) async fn of(registry: &Registry, diff: &Operand) -> Result<Option<Self>, Error> {
        let Some(taken) = Taken::read(&diff.source.metadata(), diff.member.as_deref()) else {
            return Ok(None);
        };
        let tuned = stand_ins(registry, &taken.tuned, diff).await?;
        let base = stand_ins(registry, &taken.base, diff).await?;
        Ok(Some(Self { taken, tuned, base }))
    }

    /// Says that `base` is not the model that the difference was taken of.
    pub(crate) fn caution(&self, diff: &Operand, base: &Operand) -> Option<Item> {
        let own = &self.taken.base;
        let other = own.is(&told(base)) == Some(false);
        other.then(|| Item {
            pointer: "/base".to_owned(),
            message: format!(
                "`{}` was taken of `{}`, whose weights are not those of `{}`",
                shown(&diff.label),
                own.name,
                shown(&base.label)
            ),
        })
    }

    /// `tuned − base` by their names.
    pub(crate) fn sum(&self) -> String {
        let Taken { tuned, base } = &self.taken;
        format!("{} − {}", tuned.name, base.name).replace('`', "'")
    }
}

/// The models of one side. Licences come from the file, else from the registry; a folder has its licence only, if any.
async fn stand_ins(registry: &Registry, told: &Told, diff: &Operand) -> Result<Vec<Operand>, Error> {
    let stated = told.license.as_ref().map(|license| license.chars().take(LICENSE).collect::<String>());
    let stand_in = |id: Option<RepoId>, license: Option<String>| {
        let label = id.as_ref().map_or_else(|| told.name.clone(), |id| id.as_str().to_owned());
        let source = Arc::clone(&diff.source);
        Operand { id, digest: told.digest, license, ..Operand::of(told.name.clone(), label, source) }
    };
    let mut models = Vec::new();
    for id in told.ids().into_iter().take(MODELS).filter_map(|id| RepoId::parse(id).ok()) {
        // A file may name anything: what it names tells nothing of a private model.
        let known = registry.store.model_by_id(id.as_str()).await?.filter(|row| !row.private);
        let license = known.and_then(|row| row.licence().map(str::to_owned)).or_else(|| stated.clone());
        models.push(stand_in(Some(id), license));
    }
    if models.is_empty() && stated.is_some() {
        models.push(stand_in(None, stated));
    } else if let Some(last) = models.last_mut().filter(|_| stated.is_some()) {
        last.license = stated;
    }
    Ok(models)
}
