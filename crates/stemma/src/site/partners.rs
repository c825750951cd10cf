//! With whom a model can be merged: measured once while nothing changes, since the form asks with every field that is typed.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use ::web::{
    Failure,
    view::{Name, Partner, Partners},
};
use jobs::{Access, Registry, SuggestQuery};

use super::Result;

/// Partners suggested, and models that the fields offer.
const SUGGESTED: usize = 6;
const OFFERED: usize = 50;
/// Answers kept, and how long at most: an index that is being brought up to date answers from before.
const KEPT: usize = 64;
const FRESH: Duration = Duration::from_secs(60);

/// What an answer depends on: model and base, the state of the registry, and the models that whoever asks may not see.
#[derive(PartialEq)]
struct Asked {
    model: String,
    base: Option<String>,
    version: i64,
    hidden: Vec<i64>,
}

/// The answers given of late, the latest last.
#[derive(Clone, Default)]
pub struct Measured {
    kept: Arc<Mutex<VecDeque<(Asked, Instant, Partners)>>>,
}

impl Measured {
    /// With whom a model can be merged, against a base or its own parent.
    pub async fn of(&self, registry: &Registry, model: &str, base: Option<&str>) -> Result<Partners> {
        let mut hidden: Vec<i64> = registry.store.hidden().await?.into_iter().collect();
        hidden.sort_unstable();
        let version = registry.store.change_counter().await?;
        let asked = Asked { model: model.to_owned(), base: base.map(str::to_owned), version, hidden };
        if let Some(known) = self.known(&asked) {
            return Ok(known);
        }
        let partners = measured(registry, model, base).await?;
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push_back((asked, Instant::now(), partners.clone()));
        while kept.len() > KEPT {
            kept.pop_front();
        }
        Ok(partners)
    }

    fn known(&self, asked: &Asked) -> Option<Partners> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(_, at, _)| at.elapsed() < FRESH);
        kept.iter().find(|(known, ..)| known == asked).map(|(.., partners)| partners.clone())
    }
}

/// With whom a model can be merged, against a base or its own parent.
async fn measured(registry: &Registry, model: &str, base: Option<&str>) -> Result<Partners> {
    let Some(row) = registry.store.model_by_id(model).await? else {
        return Err(Failure::unknown_model(model));
    };
    let compatible = jobs::mates(registry, &row.name, OFFERED).await?;
    let mut partners = Partners {
        model: Name(row.name.clone()),
        caveat: jobs::CAVEAT,
        compatible: compatible.into_iter().map(Name).collect(),
        ..Partners::default()
    };
    let forest = registry.forests.current().await.map_err(Failure::from)?;
    let parent =
        || forest.primary_parent(row.id).and_then(|id| forest.node(id)).map(|node| node.name.to_owned());
    let Some(base) = base.map(str::to_owned).or_else(parent) else {
        partners.note = Some("Name the base that it was made from to have partners suggested.".to_owned());
        return Ok(partners);
    };
    let query =
        SuggestQuery { model: row.name, base: base.clone(), limit: SUGGESTED, access: Access::registry() };
    partners.base = Name(base);
    match jobs::suggest(registry, query).await {
        Ok(found) if found.suggestions.is_empty() => {
            partners.note =
                Some("No other model here was made from the same base with the same tensors.".to_owned());
        }
        Ok(found) => {
            partners.suggested = found
                .suggestions
                .into_iter()
                .map(|partner| Partner {
                    name: Name(partner.model),
                    kinship: format!("{:.3} ± {:.3}", partner.kinship, partner.standard_error),
                    reason: partner.reason,
                })
                .collect();
        }
        Err(error) => partners.note = Some(format!("No partners are suggested: {error}.")),
    }
    Ok(partners)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::testing;

    #[tokio::test]
    async fn partners_are_measured_once_while_the_registry_stays_as_it_is() {
        let (_at, registry, row) = testing::registry().await;
        let partners = Measured::default();

        for _ in 0..2 {
            // A model without weights has no partners, and its refusal is not kept.
            assert!(partners.of(&registry, &row.name, None).await.is_err());
        }
        let version = registry.store.change_counter().await.unwrap();
        let asked = Asked { model: row.name.clone(), base: None, version, hidden: Vec::new() };
        let kept = Partners { note: Some("kept".to_owned()), ..Partners::default() };
        partners.kept.lock().unwrap().push_back((asked, Instant::now(), kept));
        let again = partners.of(&registry, &row.name, None).await.unwrap();
        let other = partners.of(&registry, &row.name, Some("o/base")).await;

        assert_eq!(again.note.as_deref(), Some("kept"));
        assert!(other.is_err());
    }
}
