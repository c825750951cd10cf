//! Parents as merge recipes name them: those of a card's blocks of YAML, or of `mergekit_config.yml`.

use domain::{Evidence, Metadata, Part, Relation, Source, files::Beginning};
use serde_json::Value;

use super::parents::push_part;
use crate::card::{self, note};

/// Most characters of a setting, of a method's word and of a step's name.
const SETTING: usize = 60;

/// Methods whose `base_model` is one of the models that are merged, or is taken over as it stands.
const WITHOUT_DELTAS: [&str; 4] = ["linear", "passthrough", "slerp", MIXTURE];

/// The word for recipes of mergekit-moe, which name no method.
const MIXTURE: &str = "moe";

/// What a model has a share by: all that recipes tell of it.
const SHARES: [&str; 2] = ["weight", "density"];

/// The models of the recipes in a card, those of the last step first, each in the order of its recipe; names that are no
/// `org/name` are local.
pub(super) fn from_card(metadata: &mut Metadata, body: &str) {
    let documents = documents(card::embedded_mergekit(body).iter().map(String::as_str));
    read(metadata, &documents);
}

/// The models of a `mergekit_config.yml`, where the card says nothing of a recipe.
pub(super) fn from_file(metadata: &mut Metadata, file: &Beginning) {
    if metadata.parents.iter().any(|parent| parent.source == Source::MergeConfig) {
        return;
    }
    match std::str::from_utf8(&file.bytes).ok().filter(|text| text.len() as u64 == file.size) {
        Some(text) => read(metadata, &documents([text])),
        None => metadata.notes.push(note(
            "recipe_unread",
            format!("mergekit_config.yml has {} bytes or is no text; it was not read", file.size),
        )),
    }
}

/// The model that the changes of a merge are measured from, as the recipe of a card writes it, without a revision; none
/// where the method knows no such model.
pub fn delta_base(card: &str) -> Option<String> {
    let documents = documents(card::embedded_mergekit(card).iter().map(String::as_str));
    let recipe = documents.get(last_step(&documents)?)?;
    let base = bases(recipe).into_iter().next()?.into_iter().next()?;
    let base = base.split(['+', '@']).next()?.trim();
    measures_changes(method(recipe)?).then(|| base.to_owned())
}

/// Whether a merge's recipe says that the changes are measured from this parent.
pub fn is_delta_base(evidence: &Evidence) -> bool {
    evidence.source == Source::MergeConfig
        && evidence.part() == Some(Part::Base)
        && evidence.method().is_some_and(measures_changes)
}

fn measures_changes(method: &str) -> bool {
    !WITHOUT_DELTAS.contains(&method)
}

fn documents<'a>(texts: impl IntoIterator<Item = &'a str>) -> Vec<Value> {
    let all = texts.into_iter().flat_map(card::yaml_documents);
    all.filter(|recipe| method(recipe).is_some()).collect()
}

/// The word of the recipe's method.
fn method(recipe: &Value) -> Option<&str> {
    let mixture = || recipe.get("experts").filter(|experts| experts.is_array()).map(|_| MIXTURE);
    recipe.get("merge_method").and_then(Value::as_str).or_else(mixture)
}

fn name(recipe: &Value) -> Option<&str> {
    recipe.get("name").and_then(Value::as_str).map(str::trim).filter(|name| !name.is_empty())
}

/// The last recipe that no other one takes a model from.
fn last_step(documents: &[Value]) -> Option<usize> {
    let used = |at: &usize| {
        let others = documents.iter().enumerate().filter(|(other, _)| other != at);
        let mut raws = others.flat_map(|(_, recipe)| named(recipe));
        name(&documents[*at]).is_some_and(|name| raws.any(|raw| is_step(&raw, name)))
    };
    (0..documents.len()).rev().find(|at| !used(at)).or(documents.len().checked_sub(1))
}

/// Every model that a recipe names, as it writes them.
fn named(recipe: &Value) -> Vec<String> {
    let models = entries(recipe).into_iter().flat_map(|entry| entry.raws);
    models.chain(bases(recipe).into_iter().flatten()).map(str::to_owned).collect()
}

/// Whether a reference means what another step of this name makes: the name itself, or a folder called so.
fn is_step(raw: &str, step: &str) -> bool {
    let path = raw.split(['+', '@']).next().unwrap_or(raw).trim().trim_end_matches('/');
    let folder = is_local(path) || path.contains("intermediate");
    path == step || (folder && path.rsplit('/').next() == Some(step))
}

fn is_local(path: &str) -> bool {
    path.starts_with(['.', '/', '~'])
}

/// A model that a recipe lists.
struct Entry<'a> {
    raws: Vec<&'a str>,
    /// Itself and what stands around it, the nearest first; each may have `parameters`.
    levels: Vec<&'a Value>,
}

fn entries(recipe: &Value) -> Vec<Entry<'_>> {
    let mut found = Vec::new();
    listed(recipe, &mut vec![recipe], &mut found);
    let modules = recipe.get("modules").and_then(Value::as_object);
    for module in modules.into_iter().flat_map(|modules| modules.values()) {
        listed(module, &mut vec![module, recipe], &mut found);
    }
    let experts = list(recipe, "experts").iter().chain(list(recipe, "shared_experts"));
    found.extend(experts.filter_map(|expert| entry(expert, "source_model", &[recipe])));
    found
}

/// The models of what has `models` or `slices`.
fn listed<'a>(value: &'a Value, around: &mut Vec<&'a Value>, found: &mut Vec<Entry<'a>>) {
    found.extend(list(value, "models").iter().filter_map(|model| entry(model, "model", around)));
    for slice in list(value, "slices") {
        around.insert(0, slice);
        found.extend(list(slice, "sources").iter().filter_map(|source| entry(source, "model", around)));
        around.remove(0);
    }
}

fn entry<'a>(value: &'a Value, key: &str, around: &[&'a Value]) -> Option<Entry<'a>> {
    let mut raws = Vec::new();
    references(value.get(key), &mut raws);
    let levels = std::iter::once(value).chain(around.iter().copied()).collect();
    (!raws.is_empty()).then_some(Entry { raws, levels })
}

/// The bases of a recipe and of its slices, the recipe's own first.
fn bases(recipe: &Value) -> Vec<Vec<&str>> {
    let modules = recipe.get("modules").and_then(Value::as_object);
    let modules: Vec<&Value> = modules.into_iter().flat_map(|modules| modules.values()).collect();
    let slices = std::iter::once(recipe).chain(modules).flat_map(|value| list(value, "slices"));
    let mut found: Vec<Vec<&str>> = Vec::new();
    for value in std::iter::once(recipe).chain(slices) {
        let mut raws = Vec::new();
        references(value.get("base_model"), &mut raws);
        if !raws.is_empty() && !found.contains(&raws) {
            found.push(raws);
        }
    }
    found
}

fn read(metadata: &mut Metadata, documents: &[Value]) {
    let Some(last) = last_step(documents) else { return };
    // A parent that several steps name counts as what the last one makes of it.
    let others = (0..documents.len()).filter(|at| *at != last);
    for at in std::iter::once(last).chain(others) {
        let elsewhere = documents.iter().enumerate().filter(|(other, _)| *other != at);
        let steps: Vec<&str> = elsewhere.filter_map(|(_, recipe)| name(recipe)).collect();
        let step = (at != last).then(|| match name(&documents[at]) {
            Some(name) => format!("in {}", clip(name)),
            None => "in an earlier step".to_owned(),
        });
        from_document(metadata, &documents[at], (step.as_deref(), &steps));
    }
}

/// The models of one recipe; `step` is told of those whose recipe is not the last one.
fn from_document(metadata: &mut Metadata, recipe: &Value, (step, steps): (Option<&str>, &[&str])) {
    let (base, method) = (bases(recipe), method(recipe).unwrap_or_default());
    let mut listed: Vec<(&str, String)> = Vec::new();
    let mut places: Vec<Vec<&str>> = Vec::new();
    for entry in entries(recipe) {
        let known = places.iter().position(|known| *known == entry.raws);
        let place = Part::Nth(known.unwrap_or(places.len()) + 1);
        let is_base = base.contains(&entry.raws);
        let mut told: Vec<String> = step.map(str::to_owned).into_iter().collect();
        told.extend(is_base.then(|| Part::Base.to_string()));
        told.push(place.to_string());
        told.extend(shares(&entry, (is_base, method)));
        told.push(Evidence::by(&clip(method)));
        listed.extend(entry.raws.iter().map(|raw| (*raw, told.join(Evidence::BETWEEN))));
        if known.is_none() {
            places.push(entry.raws);
        }
    }
    for raws in base.iter().filter(|base| !places.contains(base)) {
        let told = step.map(str::to_owned).into_iter();
        let told: Vec<String> = told.chain([Part::Base.to_string(), Evidence::by(&clip(method))]).collect();
        listed.extend(raws.iter().map(|raw| (*raw, told.join(Evidence::BETWEEN))));
    }
    for (raw, part) in listed {
        if steps.iter().any(|step| is_step(raw, step)) {
            continue;
        }
        // `model+adapter` applies an adapter first; `@` names a revision.
        for id in raw.split('+').map(|id| id.split('@').next().unwrap_or(id).trim()) {
            if id.matches('/').count() == 1 && !is_local(id) {
                let parent = (id, Some(part.clone()));
                push_part(metadata, parent, Some(Relation::Merge), Source::MergeConfig);
            }
        }
    }
}

/// The shares of a listed model, each from the nearest place that states it.
fn shares(entry: &Entry<'_>, (is_base, method): (bool, &str)) -> Vec<String> {
    let own = is_base && measures_changes(method);
    let levels = if own { &entry.levels[..1] } else { &entry.levels[..] };
    let stated = |name: &str, levels: &[&Value]| {
        let values = levels.iter().find_map(|level| level.get("parameters")?.get(name));
        // A gradient or a list of conditions is told as it stands.
        values.map(|value| format!("{name} {}", clip(&value.to_string())))
    };
    let mut told: Vec<String> = SHARES.iter().filter_map(|name| stated(name, levels)).collect();
    // How far the way goes from the base to the other model.
    told.extend((!is_base).then(|| stated("t", &entry.levels)).flatten());
    told
}

/// A text without what parts are told apart by, cut to what is kept.
fn clip(text: &str) -> String {
    text.replace(Evidence::BETWEEN, " ").chars().take(SETTING).collect()
}

/// A reference of mergekit's: text, or an object with a `path`, a `model` or a `lora` to apply.
fn references<'a>(value: Option<&'a Value>, raws: &mut Vec<&'a str>) {
    match value {
        Some(Value::String(text)) => raws.push(text),
        Some(Value::Object(map)) => {
            ["path", "model", "lora"].into_iter().for_each(|key| references(map.get(key), raws));
        }
        _ => {}
    }
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

#[cfg(test)]
mod tests;
