//! Two models side by side as the pages show them: metadata, configuration, tokenizer, files, tensors.

use std::collections::{BTreeMap, HashMap, HashSet};

use ::web::{
    Failure,
    view::{
        ComparePage, Count, FieldDiff, FileDiff, Name, Numbers, Sides, TensorDiff, ThreeWay, ThreeWayTensor,
        VocabularyDiff, plural,
    },
};
use analysis::{
    diff::{DiffReport, Renamed, ShapeMismatch},
    kinship::{Layer, Module},
    versions::{KeyChange, key_changes},
};
use domain::{Class, Fault as _};
use jobs::{Access, Reading, Registry, Wording};
use serde_json::Value;
use store::ModelRow;

use super::Result;

/// Values of a configuration that are looked at, and characters of one that are shown.
const VALUES: usize = 2_000;
const SHOWN: usize = 120;
/// Results of evaluations that are shown.
const RESULTS: usize = 100;

/// Two models side by side.
pub async fn page(
    registry: &Registry,
    (a, b): (&str, &str),
    (sides, numbers): (Sides, Numbers),
) -> Result<ComparePage> {
    let reading = match numbers {
        Numbers::AtHand => Reading::Stored,
        Numbers::Exact => Reading::Weights,
    };
    let compared = jobs::compare(registry, [a, b], (&Access::registry(), reading)).await;
    let (left, right) = (side(registry, a).await?, side(registry, b).await?);
    let (mut page, left, right) = match (compared, left, right) {
        (Ok(report), Some(left), Some(right)) => (measured(&report), left, right),
        (Ok(report), ..) => return Ok(measured(&report)),
        (Err(error), Some(left), Some(right)) if error.class() != Class::Internal => {
            (unmeasured(registry, (&left, &right), &error).await?, left, right)
        }
        (Err(error), ..) => return Err(error.into()),
    };
    let forest = registry.forests.current().await.map_err(Failure::from)?;
    let ancestor =
        forest.merge_base(left.id, right.id).and_then(|id| forest.node(id)).map(|n| n.name.to_owned());
    if let (Sides::Three, Some(base), None) = (sides, &ancestor, &page.unmeasured) {
        page.three_way =
            Some(three_way(registry, [&operand(a, &left), &operand(b, &right)], (base, reading)).await?);
    }
    page.merge_base = ancestor.map(Name);
    page.fields = fields(&left, &right);
    page.fields.extend(results(registry, &left, &right).await?);
    (page.config, page.config_same) = config(&left, &right);
    page.files = files(registry, &left, &right).await?;
    page.vocabulary = jobs::wording(registry, [&left, &right]).await?.map(vocabulary);
    page.at = [a, b].map(|operand| operand.split_once('@').map(|(_, at)| at.to_owned()));
    page.digests = [&left, &right].map(|row| row.digest.map(|digest| digest.to_string()));
    page.a = Name(left.name);
    page.b = Name(right.name);
    Ok(page)
}

/// An operand with its model's name as its owner writes it.
fn operand(asked: &str, row: &ModelRow) -> String {
    asked.split_once('@').map_or_else(|| row.name.clone(), |(_, at)| format!("{}@{at}", row.name))
}

/// The model that an operand names, with the content of the revision that it names.
async fn side(registry: &Registry, operand: &str) -> Result<Option<ModelRow>> {
    let (name, at) = operand.split_once('@').unwrap_or((operand, store::MAIN));
    let Some(mut row) = registry.store.model_by_id(name).await? else { return Ok(None) };
    if let Some(commit) = registry.store.commit(row.id, at).await? {
        (row.revision, row.digest) = (Some(commit.revision), Some(commit.digest));
    }
    Ok(Some(row))
}

fn measured(report: &DiffReport) -> ComparePage {
    let mismatch = |m: &ShapeMismatch| otherwise(&m.name, (&m.shape_a, &m.shape_b));
    ComparePage {
        shape_mismatches: report.shape_mismatches.iter().map(mismatch).collect(),
        tensors: report.tensors.iter().map(tensor).collect(),
        verdict: report.verdict.clone(),
        estimated: !report.exact,
        only_a: report.only_a.clone(),
        only_b: report.only_b.clone(),
        renamed: report.renamed.iter().map(|Renamed { a, b }| format!("{a} → {b}")).collect(),
        ..ComparePage::default()
    }
}

fn otherwise(name: &str, (a, b): (&[u64], &[u64])) -> String {
    format!("{name}: {a:?} against {b:?}")
}

/// What the headers say of two models whose weights cannot be compared.
async fn unmeasured(
    registry: &Registry,
    (left, right): (&ModelRow, &ModelRow),
    error: &jobs::Error,
) -> Result<ComparePage> {
    let (a, b) = (shapes(registry, left).await?, shapes(registry, right).await?);
    let mut page = ComparePage { unmeasured: Some(why(error)), ..ComparePage::default() };
    let unknown = [(left, &a), (right, &b)].into_iter().find(|(_, shapes)| shapes.is_empty());
    if let Some((row, _)) = unknown {
        page.verdict = format!("Which tensors {} has is not known here.", row.name);
        return Ok(page);
    }
    let only = |own: &Shapes, other: &Shapes| -> Vec<String> {
        own.keys().filter(|name| !other.contains_key(*name)).cloned().collect()
    };
    let both = a.iter().filter_map(|(name, shape)| Some((name, shape, b.get(name)?)));
    let (same, differing): (Vec<_>, Vec<_>) = both.partition(|(_, a, b)| a == b);
    page.shape_mismatches = differing.iter().map(|(name, a, b)| otherwise(name, (a, b))).collect();
    (page.only_a, page.only_b) = (only(&a, &b), only(&b, &a));
    page.verdict = format!(
        "By name and shape {} in both, {} in another shape, {} only in the first, {} only in the second.",
        plural(same.len() as u64, "tensor is the same", "tensors are the same"),
        Count(differing.len() as u64),
        Count(page.only_a.len() as u64),
        Count(page.only_b.len() as u64),
    );
    Ok(page)
}

/// Why no weights are compared; of each side what is wrong with it, as its name is in the sentence.
fn why(error: &jobs::Error) -> String {
    let told = match error.items() {
        none if none.is_empty() => error.to_string(),
        items => items.into_iter().map(|item| item.message).collect::<Vec<_>>().join("; "),
    };
    format!("No weights are compared, since {told}.")
}

/// Shapes of tensors by name.
type Shapes = BTreeMap<String, Vec<u64>>;

async fn shapes(registry: &Registry, row: &ModelRow) -> Result<Shapes> {
    let stored = match row.revision {
        Some(revision) => registry.store.tensors(revision).await?,
        None => Vec::new(),
    };
    if !stored.is_empty() {
        return Ok(stored.into_iter().map(|tensor| (tensor.name, tensor.shape)).collect());
    }
    let headers = registry.store.shapes_of(row.id).await?;
    Ok(headers.into_iter().map(|tensor| (tensor.name, tensor.shape)).collect())
}

fn tensor(t: &analysis::diff::TensorDiff) -> TensorDiff {
    let (module, layer) = (Module::of(&t.name), Layer::of(&t.name));
    TensorDiff {
        name: t.name.clone(),
        dtype_a: t.dtype_a.clone(),
        dtype_b: t.dtype_b.clone(),
        shape: t.shape.clone(),
        elements: t.elements,
        relative_l2: t.relative_l2,
        cosine: t.cosine,
        max_abs: t.max_abs,
        unchanged_share: t.unchanged_share,
        identical: t.identical,
        module: module.label().to_owned(),
        module_rank: module as u8,
        layer: layer.label(),
        layer_rank: rank(layer),
    }
}

/// The place of a layer in reading order; below 0 for what stands before the first.
pub fn rank(layer: Layer) -> i64 {
    match layer {
        Layer::Embed => -1,
        Layer::Number(number) => i64::try_from(number).unwrap_or(i64::MAX - 3),
        Layer::Norm => i64::MAX - 2,
        Layer::Head => i64::MAX - 1,
        Layer::Other => i64::MAX,
    }
}

/// What each of the two changed since a common ancestor; an ancestor without weights is a failure that says so.
async fn three_way(
    registry: &Registry,
    [a, b]: [&str; 2],
    (base, reading): (&str, Reading),
) -> Result<ThreeWay> {
    let mut rows: BTreeMap<String, ThreeWayTensor> = BTreeMap::new();
    // The ancestor may be one of the two: it has changed nothing since itself.
    let own = [a, b].map(|model| model == base);
    for (side, model) in [a, b].into_iter().enumerate().filter(|(side, _)| !own[*side]) {
        let report = jobs::compare(registry, [model, base], (&Access::registry(), reading)).await?;
        for tensor in &report.tensors {
            let row = rows.entry(tensor.name_b.clone()).or_insert_with(|| ThreeWayTensor {
                name: tensor.name_b.clone(),
                changes: own.map(|own| own.then_some(0.0)),
                changed: own.map(|own| own.then_some(false)),
            });
            let changed = !tensor.identical && tensor.unchanged_share.is_none_or(|share| share < 1.0);
            row.changed[side] = Some(changed);
            row.changes[side] = if changed { tensor.relative_l2 } else { Some(0.0) };
        }
    }
    Ok(ThreeWay { base: Name::from(base), tensors: rows.into_values().collect() })
}

/// Results of evaluations that either of the two states, by set of data and metric.
async fn results(registry: &Registry, left: &ModelRow, right: &ModelRow) -> Result<Vec<FieldDiff>> {
    let mut rows: BTreeMap<String, [Option<String>; 2]> = BTreeMap::new();
    for (side, row) in [left, right].into_iter().enumerate() {
        let Some(revision) = row.revision else { continue };
        for stated in jobs::evaluations(registry, revision).await.map_err(Failure::from)? {
            let name = format!("{} {}", stated.dataset, stated.metric);
            let values = rows.entry(name.trim().to_owned()).or_default();
            // A result stated twice, by several: the first counts, as on the model's page.
            values[side].get_or_insert(stated.value);
        }
    }
    let row = |(field, [a, b]): (String, [Option<String>; 2])| FieldDiff { field, a, b };
    Ok(rows.into_iter().take(RESULTS).map(row).collect())
}

fn fields(left: &ModelRow, right: &ModelRow) -> Vec<FieldDiff> {
    let listed = |items: &[String]| (!items.is_empty()).then(|| items.join(", ").chars().take(300).collect());
    let tags = |row: &ModelRow| {
        let plain: Vec<String> = row.tags.iter().filter(|tag| !tag.contains(':')).cloned().collect();
        listed(&plain)
    };
    let number = |value: Option<i64>| value.map(|n| ::web::view::Count(super::count(n)).to_string());
    let both = |of: &dyn Fn(&ModelRow) -> Option<String>| (of(left), of(right));
    let date = |value: Option<i64>| value.map(|at| ::web::view::When(at).to_string());
    let all = [
        ("Licence", both(&|row| row.licence().map(str::to_owned))),
        ("Task", both(&|row| row.pipeline_tag.clone())),
        ("Library", both(&|row| row.library.clone())),
        ("Architecture", both(&|row| row.architecture.clone())),
        ("Parameters", both(&|row| number(row.parameters))),
        ("Languages", both(&|row| listed(&row.languages))),
        ("Training data", both(&|row| listed(&row.datasets))),
        ("Tags", both(&tags)),
        ("Author", both(&|row| row.author.clone())),
        ("Downloads", both(&|row| number(row.downloads))),
        ("Likes", both(&|row| number(row.likes))),
        ("Created", both(&|row| date(row.created_at))),
        ("Changed", both(&|row| date(row.last_modified))),
    ];
    all.into_iter()
        .filter(|(_, (a, b))| a.is_some() || b.is_some())
        .map(|(field, (a, b))| FieldDiff { field: field.to_owned(), a, b })
        .collect()
}

fn config(left: &ModelRow, right: &ModelRow) -> (Vec<FieldDiff>, u64) {
    let (changes, same) = key_changes(left.config.as_ref(), right.config.as_ref(), VALUES);
    (changes.into_iter().map(|change| field(change, SHOWN)).collect(), same as u64)
}

/// A key that differs, its values cut to `longest` characters.
pub fn field(change: KeyChange, longest: usize) -> FieldDiff {
    let text = |value: Option<Value>| {
        let whole = value?.to_string();
        let cut: String = whole.chars().take(longest).collect();
        Some(if cut.len() < whole.len() { format!("{cut}…") } else { whole })
    };
    FieldDiff { field: change.key, a: text(change.from), b: text(change.to) }
}

async fn files(registry: &Registry, left: &ModelRow, right: &ModelRow) -> Result<Vec<FileDiff>> {
    let (Some(a), Some(b)) = (left.revision, right.revision) else { return Ok(Vec::new()) };
    let (a, b) = (registry.store.files(a).await?, registry.store.files(b).await?);
    let known: HashMap<&str, &domain::Digest> =
        b.iter().map(|file| (file.path.as_str(), &file.digest)).collect();
    let mut all: Vec<FileDiff> = a
        .iter()
        .map(|file| FileDiff {
            path: file.path.clone(),
            word: match known.get(file.path.as_str()) {
                None => "only in the first",
                Some(digest) if **digest == file.digest => "the same",
                Some(_) => "differs",
            },
        })
        .collect();
    let mine: HashSet<&str> = a.iter().map(|file| file.path.as_str()).collect();
    let others = b.iter().filter(|file| !mine.contains(file.path.as_str()));
    all.extend(others.map(|file| FileDiff { path: file.path.clone(), word: "only in the second" }));
    all.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(all)
}

fn vocabulary(wording: Wording) -> VocabularyDiff {
    VocabularyDiff {
        tokens: wording.tokens.map(|count| count as u64),
        same: wording.same as u64,
        moved: wording.moved as u64,
        only: wording.only.map(|(count, named)| (count as u64, named)),
    }
}
