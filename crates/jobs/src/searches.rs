//! Searches for merge recipes: checked when they are created, moved on when a generation has all its scores.
//!
//! Scores are durable before anything follows from them, and what follows is computed from stored state alone, so a
//! search interrupted anywhere goes on with the same candidates.

use std::collections::{BTreeMap, HashMap};

use analysis::{
    kinship::{Matrix, Partial},
    merge::{parse, yaml_fault},
    search::{Basis, Better, Draft, Next, Proposal, Search, SearchConfig, SearchMethod, Strategy, layers},
};
use domain::{Fault as _, Item, RepoId};
use serde_json::{Value, json};
use store::{CandidateRow, JobRow, NewCandidate, NewSearch, SearchRow, Step};
use ulid::Ulid;

use crate::{
    Access, Error, Extras, KinshipQuery, MergePayload, Reading, Registry, cancel::may_stop, kinship,
    open_operand, plan_config, submit,
};

/// Where a search stands.
#[derive(Debug, Clone)]
pub struct SearchReport {
    pub row: SearchRow,
    pub best: Option<CandidateRow>,
    /// Candidates that wait for a score; none once the search has ended.
    pub pending: Vec<Pending>,
}

/// A candidate that waits for a score.
#[derive(Debug, Clone)]
pub struct Pending {
    pub candidate: CandidateRow,
    /// Merges of this search that its recipe builds on and that are not in the registry yet.
    pub missing: Vec<String>,
}

/// How a caller ends a search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    Finish,
    Cancel,
}

/// [`create_search`] of a YAML document.
///
/// # Errors
/// As there, and when it is no YAML.
pub async fn create_search_from(registry: &Registry, yaml: &str) -> Result<SearchReport, Error> {
    let document =
        serde_saphyr::from_str(yaml).map_err(|error| Error::BadSearch(vec![item("", yaml_fault(&error))]))?;
    create_search(registry, document, None).await
}

/// Checks and stores a search, which `document` describes; the same request under a `key` that is known gives its search.
///
/// # Errors
/// [`Error::BadSearch`] with every fault of the document and of its models, fields that are unknown, missing or of another
/// kind among them; a key that stands for another request; whatever stops their kinship.
pub async fn create_search(
    registry: &Registry,
    document: Value,
    key: Option<String>,
) -> Result<SearchReport, Error> {
    if let Some(key) = &key
        && let Some(known) = registry.store.known_search(key, &document).await?
    {
        return search_report(registry, &known).await;
    }
    let request = document.clone();
    let mut draft = Draft::read(document).map_err(Error::BadSearch)?;
    let config = &mut draft.config;
    let id = Ulid::generate().to_string();
    let output = config.output.get_or_insert_with(|| format!("searches/{}", id.to_ascii_lowercase())).clone();
    let found = config.faults(&registry.limits);
    let mut faults = draft.with(found);
    let config = &draft.config;
    if let Err(error) = RepoId::parse(&output) {
        faults.push(item("/output", error.to_string()));
    } else if RepoId::parse(&config.output_of(registry.limits.search_candidates)).is_err() {
        faults.push(item(
            "/output",
            format!("`{output}` is too long: the numbers of candidates are added to it"),
        ));
    }
    let listed = config.models.len() <= registry.limits.merge_models;
    let layers = match listed && !config.models.is_empty() {
        true => model_faults(registry, config, &mut faults).await?,
        false => None,
    };
    if let Some(layers) = layers.filter(|_| draft.faults.is_empty()) {
        faults.extend(config.layer_faults(layers, &registry.limits));
    }
    let Some(layers) = layers.filter(|_| faults.is_empty()) else {
        return Err(Error::BadSearch(faults));
    };
    let config = draft.config;
    let (products, scatter) = match (config.strategy, &config.base) {
        (Strategy::Greedy, Some(base)) => products(registry, &config.models, base).await?,
        _ => (Vec::new(), 0.0),
    };
    let lower = config.better == Better::Lower;
    let basis = Basis { config, layers, products };
    let (search, proposals) = Search::start(&basis);
    let mut stored = json!(basis);
    stored[SCATTER] = json!(scatter);
    let new = NewSearch {
        id: id.clone(),
        progress: json!(search),
        lower,
        candidates: candidates((&basis, &stored), 0, proposals),
        basis: stored,
        request,
        idempotency_key: key,
    };
    let id = registry.store.create_search(new).await?;
    search_report(registry, &id).await
}

/// What is wrong with the models, and their layers: they must be here, and have the same tensors as the base.
async fn model_faults(
    registry: &Registry,
    config: &SearchConfig,
    faults: &mut Vec<Item>,
) -> Result<Option<u64>, Error> {
    let models: Vec<Value> = config.models.iter().map(|model| json!({ "model": model })).collect();
    let mut probe = json!({ "merge_method": "linear", "models": models, "parameters": { "weight": 1 } });
    if let Some(base) = &config.base {
        probe["merge_method"] = json!("task_arithmetic");
        probe["base_model"] = json!(base);
    }
    let access = Access::registry();
    let planned = match parse(&probe.to_string()) {
        Ok(recipe) => plan_config(registry, recipe, &access).await.map(drop),
        Err(error) => Err(error.into()),
    };
    match planned {
        Ok(()) => {
            let first = open_operand(registry, &config.models[0], &access).await?;
            faults.extend(config.filter_faults(first.source.tensors().iter().map(|info| info.name.as_str())));
            Ok(Some(layers(&*first.source)))
        }
        Err(Error::Analysis(error)) if !error.items().is_empty() => {
            // The recipe that the models were looked at with has other places.
            let own = |pointer: &str| pointer.trim_end_matches("/model").replace("/base_model", "/base");
            faults.extend(error.items().into_iter().map(|fault| item(&own(&fault.pointer), fault.message)));
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Where a stored basis keeps the standard error of a kinship of 0, from which those of all others follow.
const SCATTER: &str = "scatter";

/// Inner products of the deltas, from sketches where they are stored, and the standard error of a kinship of 0: 0 where
/// weights were read.
async fn products(registry: &Registry, models: &[String], base: &str) -> Result<(Vec<Vec<f64>>, f64), Error> {
    let query = KinshipQuery {
        models: models.to_vec(),
        base: Some(base.to_owned()),
        access: Access::registry(),
        reading: Reading::Stored,
        partial: Partial::Refuse,
        parity: None,
    };
    let report = kinship(registry, query).await?;
    let rows = |held: &BTreeMap<String, Matrix>| held.get("cosine").cloned().unwrap_or_default();
    let (cosines, errors) = (rows(&report.matrices), rows(&report.standard_errors));
    let cells = cosines.iter().flatten().zip(errors.iter().flatten());
    let scatter = cells.filter_map(|(cosine, error)| {
        let room = 1.0 - cosine.as_ref()? * cosine.as_ref()?;
        (room > 0.0).then(|| error.unwrap_or_default() / room)
    });
    let scatter = scatter.fold(0.0, f64::max);
    Ok((Basis::products(&cosines, &report.relative_norms), scatter))
}

fn candidates((basis, stored): (&Basis, &Value), before: u64, proposals: Vec<Proposal>) -> Vec<NewCandidate> {
    let candidate = |(number, proposal): (u64, Proposal)| NewCandidate {
        recipe: proposal.yaml(),
        model: proposal.model.unwrap_or_else(|| basis.config.output_of(number)),
        about: with_error(proposal.about, (basis, stored)),
    };
    (before + 1..).zip(proposals).map(candidate).collect()
}

/// Says of the kinship in `about` whether it is exact, and its standard error from sketches. What merges that are not linear
/// add to that is not known, so it is not counted.
fn with_error(mut about: Value, (basis, stored): (&Basis, &Value)) -> Value {
    let (Some(kinship), Some(scatter)) = (about["kinship"].as_f64(), stored[SCATTER].as_f64()) else {
        return about;
    };
    let given = |parent: &Value| basis.config.models.iter().any(|model| parent == model.as_str());
    let linear = basis.config.method == SearchMethod::Linear
        || about["parents"].as_array().is_some_and(|parents| parents.iter().all(given));
    about["exact"] = json!(scatter == 0.0 && linear);
    about["standard_error"] = json!((1.0 - kinship * kinship).max(0.0) * scatter);
    about
}

fn item(pointer: &str, message: String) -> Item {
    Item { pointer: pointer.to_owned(), message }
}

async fn found(registry: &Registry, id: &str) -> Result<SearchRow, Error> {
    registry.store.recipe_search(id).await?.ok_or_else(|| Error::UnknownSearch(id.to_owned()))
}

/// Where the search called `id` stands; one that has all scores of its generation is moved on first.
///
/// # Errors
/// [`Error::UnknownSearch`]; when the database cannot be read.
pub async fn search_report(registry: &Registry, id: &str) -> Result<SearchReport, Error> {
    let (row, waiting) = moved_on(registry, id).await?;
    let best = registry.store.best_candidate(&row).await?;
    let basis: Basis = read(&row.basis)?;
    let mut pending = Vec::with_capacity(waiting.len());
    for candidate in waiting {
        let missing = missing(registry, &basis, &candidate).await?;
        pending.push(Pending { candidate, missing });
    }
    Ok(SearchReport { row, best, pending })
}

/// The search, and the candidates that wait for a score, after every step that its scores allow.
async fn moved_on(registry: &Registry, id: &str) -> Result<(SearchRow, Vec<CandidateRow>), Error> {
    loop {
        let row = found(registry, id).await?;
        if row.state != "running" {
            return Ok((row, Vec::new()));
        }
        let generation = registry.store.generation(id, row.generation).await?;
        let scores: Vec<f64> = generation.iter().filter_map(|candidate| candidate.score).collect();
        if scores.len() < generation.len() {
            let waiting = generation.into_iter().filter(|candidate| candidate.score.is_none());
            return Ok((row, waiting.collect()));
        }
        let (basis, mut search): (Basis, Search) = (read(&row.basis)?, read(&row.progress)?);
        let stepped = tokio::task::spawn_blocking(move || {
            let next = search.tell(&basis, &scores);
            (basis, search, next)
        });
        let (basis, search, next) = stepped.await?;
        let step = match next {
            Next::Propose(proposals) => {
                Step::Propose(candidates((&basis, &row.basis), row.proposed, proposals))
            }
            Next::Done(reason) => Step::Finish(reason),
        };
        // Whoever else moved it on meanwhile came to the same candidates.
        registry.store.advance(&row, &json!(search), step).await?;
    }
}

fn read<T: serde::de::DeserializeOwned>(stored: &Value) -> Result<T, Error> {
    serde_json::from_value(stored.clone())
        .map_err(|error| store::Error::Stored { what: "search", detail: error.to_string() }.into())
}

/// The merges of this search that a recipe names and that have no weights here.
async fn missing(registry: &Registry, basis: &Basis, candidate: &CandidateRow) -> Result<Vec<String>, Error> {
    let mut missing = Vec::new();
    for name in parse(&candidate.recipe)?.model_refs() {
        let given = basis.config.models.contains(&name) || basis.config.base.as_ref() == Some(&name);
        if given {
            continue;
        }
        let row = registry.store.model_by_id(&name).await?;
        if !row.is_some_and(|row| row.has_weights) {
            missing.push(name);
        }
    }
    Ok(missing)
}

/// Takes scores of candidates, all or none. A score told again is no change.
///
/// # Errors
/// [`Error::BadSearch`] for scores that are no numbers or contradict each other; unknown candidates, scores other than
/// before, and a search that has ended.
pub async fn tell(registry: &Registry, id: &str, scores: &[(u64, f64)]) -> Result<SearchReport, Error> {
    let most = registry.limits.search_candidates;
    if scores.len() as u64 > most {
        let message =
            format!("{} scores at once; at most {most} are taken (limit `search_candidates`)", scores.len());
        return Err(Error::BadSearch(vec![item("/scores", message)]));
    }
    let (mut faults, mut told) = (Vec::new(), HashMap::with_capacity(scores.len()));
    for (at, (number, score)) in scores.iter().enumerate() {
        if !score.is_finite() {
            faults.push(item(
                &format!("/scores/{at}/score"),
                format!("{score} is no score; a finite number is"),
            ));
        }
        if told.entry(*number).or_insert(*score) != score {
            let message = format!("candidate {number} is given two scores");
            faults.push(item(&format!("/scores/{at}/candidate"), message));
        }
    }
    found(registry, id).await?;
    let written = faults.len();
    let numbers: Vec<u64> = told.into_keys().collect();
    let known = registry.store.scores(id, &numbers).await?;
    for (at, (number, score)) in scores.iter().enumerate() {
        let message = match known.get(number) {
            None => format!("the search has no candidate {number}"),
            Some(known) => match known.filter(|known| known != score) {
                Some(known) => format!("candidate {number} scored {known} already; a score is final"),
                None => continue,
            },
        };
        faults.push(item(&format!("/scores/{at}/candidate"), message));
    }
    // One that is alone has a code of its own.
    if written > 0 || faults.len() > 1 {
        return Err(Error::BadSearch(faults));
    }
    registry.store.score(id, scores).await?;
    search_report(registry, id).await
}

/// Ends a search; one that has ended stays as it is.
///
/// # Errors
/// [`Error::UnknownSearch`]; [`Error::OthersWork`] where the viewer may not; when the database refuses.
pub async fn end_search(registry: &Registry, id: &str, ending: Ending) -> Result<SearchReport, Error> {
    let row = found(registry, id).await?;
    let asker = registry.store.search_asker(id).await?;
    let output = read::<Basis>(&row.basis)?.config.output;
    if !may_stop(registry, asker, output.as_deref()).await? {
        return Err(Error::OthersWork(format!("search `{id}`")));
    }
    let (state, reason) = match ending {
        Ending::Finish => ("finished", "finished on request"),
        Ending::Cancel => ("cancelled", "cancelled on request"),
    };
    registry.store.end_search(id, state, reason).await?;
    search_report(registry, id).await
}

/// Queues the merge of a candidate under the name that the search gave it.
///
/// # Errors
/// Unknown searches and candidates, a candidate that is a model already, and as [`submit`].
pub async fn merge_candidate(
    registry: &Registry,
    (id, number): (&str, u64),
    key: Option<String>,
) -> Result<JobRow, Error> {
    let row = found(registry, id).await?;
    let candidate = registry.store.candidate(id, number).await?;
    let unknown = || store::Error::NoCandidate { search: id.to_owned(), numbers: vec![number] };
    let candidate = candidate.ok_or_else(unknown)?;
    let basis: Basis = read(&row.basis)?;
    if basis.config.models.contains(&candidate.model) {
        return Err(Error::OutputExists(candidate.model));
    }
    let output = RepoId::parse(&candidate.model)?;
    let (yaml, extras, pins) = (candidate.recipe, Extras::default(), BTreeMap::new());
    submit(registry, MergePayload { yaml, output, extras, pins }, key).await
}

#[cfg(test)]
mod tests {
    use domain::Limits;

    use super::*;

    #[tokio::test]
    async fn scores_are_checked_all_at_once_and_only_so_many_are_taken() {
        let folder = tempfile::tempdir().unwrap();
        let store = crate::testing::store(&folder).await;
        let candidate = NewCandidate { recipe: String::new(), model: "s/m".to_owned(), about: json!({}) };
        let new = NewSearch {
            id: Ulid::generate().to_string(),
            basis: json!({}),
            progress: json!({}),
            lower: true,
            candidates: vec![candidate; 3],
            request: json!({}),
            idempotency_key: None,
        };
        let id = store.create_search(new).await.unwrap();
        store.score(&id, &[(1, 0.5)]).await.unwrap();
        let limits = Limits { search_candidates: 6, ..Limits::default() };
        let registry = Registry::new(store, limits, folder.path().join("scratch"));
        let faults = async |scores: &[(u64, f64)]| -> Vec<String> {
            let refused = tell(&registry, &id, scores).await.unwrap_err();
            refused.items().into_iter().map(|fault| format!("{} {}", fault.pointer, fault.message)).collect()
        };

        let several = faults(&[(1, 0.5), (2, 1.0), (2, 2.0), (1, 0.6), (9, 1.0), (3, f64::NAN)]).await;
        let many = faults(&[(1, 0.5); 7]).await;

        let begins = |at: usize, text: &str| assert!(several[at].starts_with(text), "{several:?}");
        assert_eq!(several.len(), 6, "{several:?}");
        begins(0, "/scores/2/candidate candidate 2 is given two");
        begins(1, "/scores/3/candidate candidate 1 is given two");
        begins(2, "/scores/5/score NaN is no score");
        begins(4, "/scores/3/candidate candidate 1 scored 0.5 already");
        begins(5, "/scores/4/candidate the search has no candidate 9");
        assert_eq!(many.len(), 1);
        assert!(many[0].contains("7 scores at once; at most 6") && many[0].contains("search_candidates"));
        assert_eq!(
            registry.store.scores(&id, &[2, 3, 4]).await.unwrap(),
            HashMap::from([(2, None), (3, None)])
        );
    }
}
