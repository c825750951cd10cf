//! A model that does not exist yet as an operand: the recipe of a merge, whose result is computed where it is read.

use std::{collections::BTreeMap, path::Path};

use futures::future::BoxFuture;
use serde_json::Value;

use crate::{Access, Error, Needs, Operand, Pin, Registry, licences, member::Named, stages::planned};

/// How a model comes about that nobody has written.
pub(crate) struct Planned {
    /// The canonical recipe.
    pub(crate) recipe: Value,
    /// The models whose weights are in it.
    pub(crate) operands: Vec<Operand>,
    /// Every model that it is made of, by the name the recipe gives it.
    pub(crate) inputs: BTreeMap<String, Operand>,
    pub(crate) needs: Needs,
}

impl Operand {
    /// The models whose weights are in it: itself, or those of the recipe that makes it.
    pub(crate) fn behind(&self) -> &[Operand] {
        self.planned.as_ref().map_or_else(|| std::slice::from_ref(self), |planned| &planned.operands)
    }

    /// All that it is made of: itself, or the models of the recipe that makes it.
    pub(crate) fn made_of(&self) -> Vec<&Operand> {
        self.planned.as_ref().map_or_else(|| vec![self], |planned| planned.inputs.values().collect())
    }

    /// What computing it needs, of what an adapter is applied to as well.
    pub(crate) fn needs(&self) -> Needs {
        let own = self.planned.as_ref().map(|planned| planned.needs).unwrap_or_default();
        self.base.as_deref().map_or(own, |base| own + base.needs())
    }
}

/// Opens what the recipe in a file makes. Models that it names are found as on the command line, by their content, on which
/// seeds of random methods depend; one of them may be a recipe again.
///
/// # Errors
/// What is wrong with the recipe, or that recipes name each other deeper than `recipe_depth`.
pub(crate) fn open_recipe<'a>(
    registry: &'a Registry,
    named: Named<'a>,
) -> BoxFuture<'a, Result<Operand, Error>> {
    Box::pin(async move {
        let about = |error: Error| match error {
            told @ Error::Operand { .. } => told,
            error => Error::Operand { model: named.bare.to_owned(), error: Box::new(error) },
        };
        if named.member.is_some() {
            let (file, asked) = (named.bare.to_owned(), named.member.map(str::to_owned));
            return Err(Error::UnknownMember { file, asked, held: Vec::new() });
        }
        let most = registry.limits.recipe_depth;
        if registry.within >= most {
            let told = format!("recipes name each other more than {most} deep (`recipe_depth`)");
            return Err(about(Error::Invalid(told)));
        }
        let below = Registry { within: registry.within + 1, ..registry.clone() };
        let opened = async {
            let yaml = read(Path::new(named.bare), registry.limits.body_bytes as u64)?;
            let read = analysis::merge::read_stages(&yaml)?;
            // A task of its own has a stack of its own, however deep recipes name each other.
            let planned =
                tokio::spawn(async move { planned(&below, read, &Access::Folders(Pin::Content)).await });
            let plan = planned.await??;
            plan.fits_scratch(&registry.scratch)?;
            let made = plan.as_operand(named.asked);
            let inputs: Vec<Operand> = plan.inputs.into_values().collect();
            let license = licences::stated(&plan.heir, &inputs).map(str::to_owned);
            Ok(Operand { license, label: named.bare.to_owned(), ..made })
        };
        opened.await.map_err(about)
    })
}

fn read(path: &Path, limit: u64) -> Result<String, Error> {
    let size = fs_err::metadata(path)?.len();
    if size > limit {
        return Err(weights::Error::TooLarge { file: path.display().to_string(), size, limit }.into());
    }
    Ok(fs_err::read_to_string(path)?)
}
