//! The merge builder's questions: a recipe as a form, its check, and partners.

use std::collections::BTreeMap;

use ::web::{
    Failure,
    view::{Bytes, Count, MergeCheck, RecipeForm},
};
use analysis::merge::{MergeConfig, TokenizerChoice};
use domain::{Class, Item, RepoId};
use jobs::{Access, Extras, MergePayload, Registry};
use serde_json::{Map, Value};

use super::Result;

/// Starts a merge; the id of its job, or all that is wrong with the recipe and the name.
pub async fn submit(registry: &Registry, yaml: &str, output: &str) -> Result<String> {
    match RepoId::parse(output.trim()) {
        Ok(output) => {
            let (yaml, extras, pins) = (yaml.to_owned(), Extras::default(), BTreeMap::new());
            Ok(jobs::submit(registry, MergePayload { yaml, output, extras, pins }, None).await?.id)
        }
        Err(error) => {
            let fault = Item { pointer: "/output".to_owned(), message: error.to_string() };
            let plan = async || jobs::plan_merge(registry, yaml, &Access::registry()).await;
            Err(jobs::beside(vec![fault], plan).await.into())
        }
    }
}

fn too_much(what: &str) -> Failure {
    let told = format!("The form has no place for {what}; the recipe stays as it is written.");
    Failure::new(Class::Invalid, "invalid_request", told)
}

/// A value of the canonical recipe as it is typed into a field.
fn typed(name: &str, value: &Value, flag: Flag) -> Result<String> {
    // Settings are written as a list of cases, of which the form knows the one for all tensors.
    let value = match value.as_array().map(Vec::as_slice) {
        Some([case]) if case.get("filter").is_some_and(Value::is_null) => case.get("value").unwrap_or(value),
        _ => value,
    };
    match value {
        Value::Number(number) if flag == Flag::Yes => Ok((number.as_f64() != Some(0.0)).to_string()),
        Value::String(text) => Ok(text.clone()),
        Value::Number(_) | Value::Bool(_) => Ok(value.to_string()),
        Value::Array(items) if items.iter().all(Value::is_number) => Ok(value.to_string()),
        _ => Err(too_much(&format!("`{name}` by parts of names"))),
    }
}

/// Whether a parameter is true or false.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flag {
    Yes,
    No,
}

fn settings(parameters: Option<&Value>, flags: &[String]) -> Result<Vec<(String, String)>> {
    let empty = Map::new();
    let fields = parameters.and_then(Value::as_object).unwrap_or(&empty);
    let flag = |name: &String| if flags.contains(name) { Flag::Yes } else { Flag::No };
    fields.iter().map(|(name, value)| Ok((name.clone(), typed(name, value, flag(name))?))).collect()
}

/// What the form has places for at the top level of a recipe.
const PLACES: [&str; 14] = [
    "merge_method",
    "models",
    "modules",
    "base_model",
    "parameters",
    "dtype",
    "out_dtype",
    "tokenizer_source",
    "tokenizer",
    "chat_template",
    "seed",
    "random_seed",
    "missing",
    "on_mismatch",
];

/// What a recipe says beside its models, as the form's folded fields.
fn more(config: &MergeConfig, written: &Map<String, Value>) -> Result<Vec<(&'static str, String)>> {
    let mut more = Vec::new();
    more.extend(config.out_dtype.clone().map(|dtype| ("out_dtype", dtype)));
    if let Some(choice) = config.tokenizer_choice() {
        if choice != (TokenizerChoice { source: choice.source.clone(), ..TokenizerChoice::default() }) {
            return Err(too_much("rules for tokens in `tokenizer`"));
        }
        more.push(("tokenizer_source", choice.source));
    }
    match written.get("chat_template").and_then(Value::as_str) {
        Some(text) if text.contains('{') => return Err(too_much("the text of a `chat_template`")),
        word => more.extend(word.map(|word| ("chat_template", word.to_owned()))),
    }
    if written.contains_key("seed") || written.contains_key("random_seed") {
        more.push(("seed", config.seed.to_string()));
    }
    let policies = serde_json::to_value(config.policies).unwrap_or_default();
    for key in ["missing", "on_mismatch"] {
        more.extend(policies.get(key).and_then(Value::as_str).map(|word| (key, word.to_owned())));
    }
    Ok(more)
}

/// A recipe as the fields of the form.
pub fn read(yaml: &str) -> Result<RecipeForm> {
    let mut stages = analysis::merge::parse_stages(yaml)?;
    if stages.len() > 1 {
        return Err(too_much("several documents"));
    }
    let Some(config) = stages.pop().map(|stage| stage.config) else { return Err(too_much("no recipe")) };
    if !config.slices.is_empty() {
        return Err(too_much("slices"));
    }
    let written = analysis::merge::top_level(yaml);
    if let Some(key) = written.keys().find(|key| !PLACES.contains(&key.as_str())) {
        return Err(too_much(&format!("`{key}`")));
    }
    let document = config.canonical();
    let method = super::numbers::methods().into_iter().find(|method| method.id == config.merge_method);
    let params = method.map(|method| method.params).unwrap_or_default();
    let flags: Vec<String> =
        params.iter().filter(|param| param.kind == "flag").map(|param| param.name.clone()).collect();
    let all = settings(document.get("parameters"), &flags)?;
    let own =
        |(name, _): &(String, String)| params.iter().any(|param| param.per_model && param.name == *name);
    let (each, shared): (Vec<_>, Vec<_>) = all.into_iter().partition(own);
    let mut models = Vec::new();
    for (entry, written) in config.models.iter().zip(document["models"].as_array().into_iter().flatten()) {
        if entry.layer_range.is_some() {
            return Err(too_much("ranges of layers"));
        }
        let mut params = settings(written.get("parameters"), &flags)?;
        // The form asks for these model by model; a model's own value outranks the one for all.
        let missing: Vec<_> =
            each.iter().filter(|(name, _)| params.iter().all(|(own, _)| own != name)).cloned().collect();
        params.extend(missing);
        models.push((entry.model.clone(), params));
    }
    Ok(RecipeForm {
        method: config.merge_method.clone(),
        base: config.base_model.clone(),
        dtype: config.dtype.clone(),
        more: more(&config, &written)?,
        models,
        params: shared,
    })
}

/// What a recipe needs and gives, or every fault of it.
pub async fn check(registry: &Registry, yaml: &str) -> Result<MergeCheck> {
    let fitting = async {
        let plan = jobs::plan_merge(registry, yaml, &Access::registry()).await?;
        plan.fits(&registry.scratch).map(|()| plan)
    };
    let plan = match fitting.await.map_err(Failure::from) {
        Ok(plan) => plan,
        Err(failure) if failure.class == Class::Internal => return Err(failure),
        Err(failure) => {
            return Ok(MergeCheck {
                fault: Some(match failure.items.len() {
                    0 => failure.detail,
                    count => {
                        format!("The recipe has {}.", ::web::view::plural(count as u64, "fault", "faults"))
                    }
                }),
                items: failure.items,
                ..MergeCheck::default()
            });
        }
    };
    // Once in scratch and once as blobs.
    let mut forecast = plan.forecast(2, &registry.scratch);
    forecast.warnings.extend(jobs::warned(registry, &plan.models()).await?);
    let mut facts = vec![
        ("Method", forecast.method),
        ("Tensors", Count(forecast.tensors as u64).to_string()),
        ("Size", Bytes(forecast.bytes).to_string()),
        ("Memory, at most", Bytes(forecast.memory_bytes).to_string()),
        ("Disk while it runs", Bytes(forecast.disk_bytes).to_string()),
    ];
    facts.extend(forecast.free_disk_bytes.map(|free| ("Disk that is left", Bytes(free).to_string())));
    facts.extend(forecast.vocabulary.map(|rows| ("Rows of tokens", Count(rows).to_string())));
    let made = jobs::made_before(registry, &plan.recipe).await?;
    facts.extend(made.map(|model| ("Made by this recipe before", model)));
    Ok(MergeCheck { facts, warnings: forecast.warnings, ..MergeCheck::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIES: &str = "merge_method: dare_ties\nbase_model: o/b\nmodels:\n  - model: o/x\n    \
                        parameters: { weight: [0, 0.5] }\n  - model: o/y\n    parameters: { weight: 1, density: 0.3 }\n\
                        parameters: { normalize: false, density: 0.4 }\n";

    #[test]
    fn a_recipe_of_whole_models_fits_the_form_and_one_of_slices_does_not() {
        let form = read(TIES).unwrap();
        let sliced =
            read("merge_method: passthrough\nslices: [{ sources: [{ model: o/x, layer_range: [0, 1] }] }]");

        assert_eq!((form.method.as_str(), form.base.as_deref()), ("dare_ties", Some("o/b")));
        let values = |at: usize, name: &str| -> Vec<String> {
            let own = form.models[at].1.iter().filter(|(own, _)| own == name);
            own.map(|(_, value)| value.clone()).collect()
        };
        assert_eq!(
            (values(0, "weight"), values(1, "weight")),
            (vec!["[0.0,0.5]".into()], vec!["1.0".into()])
        );
        assert_eq!((values(0, "density"), values(1, "density")), (vec!["0.4".into()], vec!["0.3".into()]));
        assert_eq!(form.params, [("normalize".to_owned(), "false".to_owned())]);
        assert!(sliced.unwrap_err().detail.contains("slices"));
    }

    #[test]
    fn no_key_of_a_recipe_is_lost_on_its_way_into_the_form() {
        for (line, want) in [
            ("seed: 7", ("seed", "7")),
            ("random_seed: 7", ("seed", "7")),
            ("out_dtype: float32", ("out_dtype", "float32")),
            ("chat_template: chatml", ("chat_template", "chatml")),
            ("tokenizer_source: union", ("tokenizer_source", "union")),
            ("tokenizer: { source: union }", ("tokenizer_source", "union")),
            ("missing: skip", ("missing", "skip")),
            ("on_mismatch: base", ("on_mismatch", "base")),
        ] {
            let form = read(&format!("{TIES}{line}\n")).unwrap();

            assert_eq!(form.more, [(want.0, want.1.to_owned())], "{line}");
        }
        for (line, told) in [
            ("name: foo", "no place for `name`"),
            ("trust_remote_code: true", "no place for `trust_remote_code`"),
            ("tokenizer: { source: base, pad_to_multiple_of: 64 }", "`tokenizer`"),
            ("chat_template: '{{ messages }}'", "`chat_template`"),
        ] {
            let refused = read(&format!("{TIES}{line}\n")).unwrap_err();

            assert!(refused.detail.contains(told), "{line}: {}", refused.detail);
        }
        assert_eq!(read(&format!("{TIES}dtype: float64\n")).unwrap().dtype.as_deref(), Some("float64"));
    }
}
