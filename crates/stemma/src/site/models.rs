//! The page of one model.

use std::collections::BTreeMap;

use ::web::{
    Failure,
    view::{
        ChildGroup, CommitView, DtypeRow, EvaluationRow, FileRow, ModelPage, Name, ParentLink, RecentRow,
        RevisionView, Way, WeightChange, days,
    },
};
use analysis::lineage::{Forest, KinQuery};
use jobs::Registry;
use serde_json::Value;
use store::{CheckedFile, CommitRow, ModelRow};

use super::{Result, account, advisories, changes, count, heritage, trust};

/// Parents that a page lists.
const PARENTS: usize = 50;
/// Siblings that a page lists.
const SIBLINGS: usize = 5;
/// Nearest ancestors of a line whose claims are looked at.
const NEAR: usize = 64;

/// Everything about one model; `None` when there is no such model or revision.
pub async fn page(registry: &Registry, name: &str, revision: Option<&str>) -> Result<Option<ModelPage>> {
    let Some(row) = registry.store.model_by_id(name).await? else { return Ok(None) };
    let (commit, wanted) = shown(registry, row.id, revision.unwrap_or(store::MAIN)).await?;
    if commit.is_none() && wanted != store::MAIN {
        return Ok(None);
    }
    let at =
        commit.as_ref().filter(|commit| Some(commit.revision) != row.revision).map(|_| wanted.to_owned());
    let forest = registry.forests.current().await.map_err(Failure::from)?;
    let named = |id: i64| forest.node(id).map(|node| Name(node.name.to_owned()));
    let mut line = forest.path_from_root(row.id);
    let doubted = doubted(registry, &forest, &line).await?;
    line.pop();
    let path = Way::of(line.into_iter().filter_map(named).collect()).doubting(doubted);
    let children = forest
        .child_counts(row.id)
        .into_iter()
        .map(|(relation, count)| ChildGroup { relation, count: count as u64 })
        .filter(|group| group.count > 0)
        .collect();
    let siblings = siblings(&forest, row.id);
    let (mut files, mut dtypes, mut recipe, mut made) = (Vec::new(), Vec::new(), None, Vec::new());
    let mut evaluations = Vec::new();
    let (history, commits, changed) = match &commit {
        Some(commit) => history(registry, row.id, commit).await?,
        None => (Vec::new(), 0, None),
    };
    if let Some(id) = commit.as_ref().map(|commit| commit.revision) {
        files = stored_files(registry, id).await?;
        dtypes = dtype_rows(registry, id).await?;
        let stated = jobs::evaluations(registry, id).await.map_err(Failure::from)?;
        evaluations = stated.into_iter().map(evaluation).collect();
        recipe = registry.store.recipe_of(id).await?.map(|recipe| format!("{recipe:#}"));
        made = registry.store.provenance_of(id).await?.map(|record| told(&record)).unwrap_or_default();
    }
    if commit.is_none() {
        dtypes = headers(registry, row.id).await?;
    }
    let mut parents = parents(registry, &row).await?;
    let parents_hidden = parents.len().saturating_sub(PARENTS) as u64;
    parents.truncate(PARENTS);
    let (advisories, advisories_hidden) = advisories::notices(registry, &row).await?;
    let (versions, versions_hidden) = heritage::versions(registry, &row).await?;
    Ok(Some(ModelPage {
        parents,
        parents_hidden,
        advisories,
        advisories_hidden,
        notes: jobs::notes(registry, &row).await?,
        new_version: jobs::newest_version(registry, &row).await?.map(Name),
        heritage: heritage::licence(registry, &row).await?,
        versions,
        versions_hidden,
        closure: account::closure(registry, &row).await?,
        path,
        outweighed: forest.outweighed_children(row.id) as u64,
        children,
        siblings,
        files,
        dtypes,
        evaluations,
        recipe,
        revision: commit.map(|commit| RevisionView {
            digest: commit.digest.to_string(),
            created_at: Some(commit.created_at),
        }),
        history,
        commits,
        changed,
        at,
        made,
        license: row.licence().map(str::to_owned),
        name: Name(row.name),
        ghost: row.ghost,
        pipeline_tag: row.pipeline_tag,
        library: row.library,
        architecture: row.architecture,
        model_type: row.model_type,
        parameters: row.parameters.map(count),
        downloads: row.downloads.map(count),
        likes: row.likes.map(count),
        created_at: row.created_at,
        last_modified: row.last_modified,
        languages: row.languages,
        datasets: row.datasets,
        tags: row.tags,
        card: row.card,
    }))
}

/// The most downloaded of the other children of the parent that a model hangs under, and how many there are.
fn siblings(forest: &Forest, id: i64) -> (Vec<Name>, u64) {
    let Some(parent) = forest.primary_parent(id) else { return (Vec::new(), 0) };
    let kin = forest.kin_but(parent, &KinQuery { limit: SIBLINGS, ..KinQuery::default() }, id);
    let name = |id| forest.node(id).map(|node| Name(node.name.to_owned()));
    // One whose claim its weights contradict hangs elsewhere.
    let here: Vec<_> =
        kin.links.iter().filter(|link| forest.primary_parent(link.id) == Some(parent)).collect();
    let elsewhere = (kin.links.len() - here.len()) as u64;
    (here.iter().filter_map(|link| name(link.id)).collect(), kin.total - elsewhere)
}

/// The commit that an address names, and the name without what follows it.
async fn shown<'a>(registry: &Registry, model: i64, wanted: &'a str) -> Result<(Option<CommitRow>, &'a str)> {
    if let Some(commit) = registry.store.commit(model, wanted).await? {
        return Ok((Some(commit), wanted));
    }
    // A path may follow, as in the Hub's addresses of folders and files.
    Ok(match registry.store.commit_along(model, wanted).await? {
        Some((commit, path)) => (Some(commit), wanted[..wanted.len() - path.len()].trim_end_matches('/')),
        None => (None, wanted),
    })
}

/// Models that the front page names.
const RECENT: u64 = 6;

/// What was brought in last.
pub async fn recent(registry: &Registry) -> Result<Vec<RecentRow>> {
    let rows = registry.store.published_last(RECENT).await?;
    let told = |(row, at): (ModelRow, i64)| RecentRow {
        name: Name(row.name),
        architecture: row.architecture,
        parameters: row.parameters.map(count),
        at,
    };
    Ok(rows.into_iter().map(told).collect())
}

fn evaluation(stated: jobs::Evaluation) -> EvaluationRow {
    EvaluationRow {
        task: stated.task,
        dataset: stated.dataset,
        metric: stated.metric,
        value: stated.value,
        verified: stated.verified,
        source: stated.source,
        url: stated.url,
    }
}

/// Commits that a page shows.
const SHOWN: u64 = 20;

/// The latest commits up to one, how many there are in all, and when the weights last became others among them.
async fn history(
    registry: &Registry,
    model: i64,
    shown: &CommitRow,
) -> Result<(Vec<CommitView>, u64, Option<WeightChange>)> {
    let (commits, total) = registry.store.history(model, &shown.oid, (0, SHOWN)).await?;
    let oids: Vec<&str> = commits.iter().map(|commit| commit.oid.as_str()).collect();
    let refs = registry.store.refs_at(model, &oids, registry.limits.list_rows).await?;
    let changed = changes::last(registry, &commits).await?;
    let view = |commit: CommitRow| CommitView {
        names: refs.iter().filter(|name| name.oid == commit.oid).map(|name| name.name.clone()).collect(),
        shown: commit.oid == shown.oid,
        parent: commit.parent,
        oid: commit.oid,
        title: commit.title,
        author: commit.author,
        created_at: commit.created_at,
    };
    Ok((commits.into_iter().map(view).collect(), total, changed))
}

/// The record of how a model was made, in short.
fn told(record: &Value) -> Vec<(&'static str, String)> {
    let text = |value: &Value| match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Array(items) if items.is_empty() => None,
        other => Some(other.to_string()),
    };
    let listed = |key: &str, of: &dyn Fn(&Value) -> String| -> Option<String> {
        let items: Vec<String> = record[key].as_array()?.iter().map(of).collect();
        (!items.is_empty()).then(|| items.join("\n"))
    };
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    // The record itself has them whole.
    let digest =
        |value: &Value| value.as_str().map(|text| format!("{}…", text.chars().take(19).collect::<String>()));
    let seconds = |key: &str| record["run"][key].as_f64().map(|seconds| format!("{seconds:.1} s"));
    let branches = record["tensors"].as_array().map(|tensors| {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        tensors
            .iter()
            .filter_map(|tensor| tensor["branch"].as_str())
            .for_each(|branch| *counts.entry(branch).or_default() += 1);
        counts
            .into_iter()
            .map(|(branch, count)| format!("{branch}: {count} tensors"))
            .collect::<Vec<_>>()
            .join(", ")
    });
    let spread = |fact: &str| -> Option<String> {
        let of = |tensor: &Value| match &tensor[fact] {
            Value::Array(models) => models.iter().filter_map(Value::as_f64).collect(),
            one => one.as_f64().into_iter().collect::<Vec<_>>(),
        };
        let shares: Vec<f64> =
            record["tensors"].as_array()?.iter().flat_map(of).map(|share| 100.0 * share).collect();
        let (low, high) =
            (shares.iter().copied().reduce(f64::min)?, shares.iter().copied().reduce(f64::max)?);
        Some(format!("{low:.1} to {high:.1} % of a tensor's"))
    };
    let version = record["method"]["version"].to_string();
    [
        ("Method", text(&record["method"]["id"]).map(|id| format!("{id}, version {version}"))),
        ("Seed", text(&record["seed"])),
        ("Engine", text(&record["engine"]["version"]).map(|version| format!("stemma {version}"))),
        (
            "Inputs",
            listed("inputs", &|input| {
                format!("{} {}", word(&input["model"]), digest(&input["digest"]).unwrap_or_default())
            }),
        ),
        ("Recipe digest", digest(&record["recipe_digest"])),
        ("Recipe address", digest(&record["recipe_address"])),
        ("Root of the tensors", digest(&record["output"]["root"])),
        ("Branches", branches.filter(|text| !text.is_empty())),
        ("Elements kept of the deltas", spread("kept")),
        ("Squared norm kept of them", spread("energy")),
        ("Elements held back", spread("saturation")),
        ("Warnings", listed("warnings", &|item| word(&item["message"]))),
        ("Device", text(&record["run"]["device"])),
        ("Time", seconds("wall_seconds")),
        ("Processor time", seconds("process_cpu_seconds")),
    ]
    .into_iter()
    .filter_map(|(label, text)| Some((label, text?)))
    .collect()
}

/// Those of a model's line, itself the last, whose child in it descends from another model, as its weights have it.
async fn doubted(registry: &Registry, forest: &Forest, whole: &[i64]) -> Result<Vec<Name>> {
    // A long line shows its ends, and those near the model are what its reader can judge.
    let line = &whole[whole.len().saturating_sub(NEAR)..];
    let contradicted = jobs::contradicted(registry, line).await?;
    let against = line.windows(2).filter(|step| contradicted.contains(&(step[1], step[0])));
    let named = |step: &[i64]| forest.node(step[0]).map(|node| Name(node.name.to_owned()));
    Ok(against.filter_map(named).collect())
}

/// A model's parents with their evidence.
pub async fn parents(registry: &Registry, row: &ModelRow) -> Result<Vec<ParentLink>> {
    let edges = registry.store.edges_of(row.id).await?;
    let ids: Vec<i64> = edges.iter().map(|edge| edge.parent).collect();
    let known = registry.store.models_by_ids(&ids).await?;
    let verdicts = registry.store.verdicts_of(&[row.id]).await?;
    let mut decisions = registry.store.decisions_of(row.id, registry.limits.page_max).await?;
    Ok(edges
        .into_iter()
        .map(|edge| {
            let parent = known.iter().find(|row| row.id == edge.parent);
            let decided = decisions.remove(&edge.parent).unwrap_or_default();
            ParentLink {
                name: Name(parent.map_or_else(|| edge.as_written.clone(), |row| row.name.clone())),
                ghost: parent.is_none_or(|row| row.ghost),
                relation: edge.relation,
                status: edge.status,
                as_written: edge.as_written,
                license: parent.and_then(|row| row.licence().map(str::to_owned)),
                later: parent.and_then(|parent| days(parent.created_at, row.created_at)),
                evidence: edge.evidence,
                verdict: verdicts.iter().find(|row| row.parent == edge.parent).map(trust::mark),
                decisions: decided.latest.iter().map(trust::decided).collect(),
                older_decisions: decided.older,
            }
        })
        .collect())
}

async fn stored_files(registry: &Registry, revision: i64) -> Result<Vec<FileRow>> {
    let files = registry.store.checked_files(revision).await?;
    let row = |checked: CheckedFile| FileRow {
        path: checked.file.path,
        size: checked.file.size,
        digest: checked.file.digest.to_string(),
        verified_at: checked.verified_at,
        damaged: checked.damaged,
    };
    Ok(files.into_iter().map(row).collect())
}

/// Formats of the tensors of a model that is here without its weights.
async fn headers(registry: &Registry, model: i64) -> Result<Vec<DtypeRow>> {
    let mut rows: BTreeMap<String, DtypeRow> = BTreeMap::new();
    for tensor in registry.store.shapes_of(model).await? {
        let row = rows.entry(tensor.dtype.clone()).or_default();
        row.dtype = tensor.dtype;
        row.tensors += 1;
        row.elements += tensor.shape.iter().copied().fold(1, u64::saturating_mul);
        row.bytes += tensor.bytes;
    }
    Ok(rows.into_values().collect())
}

async fn dtype_rows(registry: &Registry, revision: i64) -> Result<Vec<DtypeRow>> {
    let mut rows: BTreeMap<String, DtypeRow> = BTreeMap::new();
    for part in registry.store.composition(revision).await? {
        let row = rows.entry(part.dtype.clone()).or_default();
        row.dtype = part.dtype;
        row.tensors += part.tensors;
        row.elements = row.elements.saturating_add(part.elements);
        row.bytes = row.bytes.saturating_add(part.bytes);
    }
    Ok(rows.into_values().collect())
}
