//! The merge builder's questions: a recipe as a form, its check, and partners.

use ::web::{
    Failure,
    view::{Bytes, Count, MergeCheck, Name, Partner, Partners, RecipeForm},
};
use domain::Class;
use jobs::{Access, Registry, SuggestQuery};
use serde_json::{Map, Value};

use super::Result;

/// Partners suggested, and models that the fields offer.
const SUGGESTED: usize = 6;
const OFFERED: usize = 50;

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
    let document = config.canonical();
    let method = super::numbers::methods().into_iter().find(|method| method.id == config.merge_method);
    let params = method.map(|method| method.params).unwrap_or_default();
    let flags: Vec<String> =
        params.into_iter().filter(|param| param.kind == "flag").map(|param| param.name).collect();
    let mut models = Vec::new();
    for (entry, written) in config.models.iter().zip(document["models"].as_array().into_iter().flatten()) {
        if entry.layer_range.is_some() {
            return Err(too_much("ranges of layers"));
        }
        models.push((entry.model.clone(), settings(written.get("parameters"), &flags)?));
    }
    Ok(RecipeForm {
        method: config.merge_method.clone(),
        base: config.base_model.clone(),
        dtype: config.dtype.clone(),
        models,
        params: settings(document.get("parameters"), &flags)?,
    })
}

/// What a recipe needs and gives, or every fault of it.
pub async fn check(registry: &Registry, yaml: &str) -> Result<MergeCheck> {
    let plan = match jobs::plan_merge(registry, yaml, &Access::registry()).await.map_err(Failure::from) {
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
    let forecast = plan.forecast(2);
    let mut facts = vec![
        ("Method", forecast.method),
        ("Tensors", Count(forecast.tensors as u64).to_string()),
        ("Size", Bytes(forecast.bytes).to_string()),
        ("Memory, at most", Bytes(forecast.memory_bytes).to_string()),
        ("Disk while it runs", Bytes(forecast.disk_bytes).to_string()),
    ];
    facts.extend(forecast.vocabulary.map(|rows| ("Rows of tokens", Count(rows).to_string())));
    Ok(MergeCheck { facts, warnings: forecast.warnings, ..MergeCheck::default() })
}

/// With whom a model can be merged, against a base or its own parent.
pub async fn partners(registry: &Registry, model: &str, base: Option<&str>) -> Result<Partners> {
    let Some(row) = registry.store.model_by_id(model).await? else {
        return Err(Failure::not_found(format!("No model `{model}` is known here.")));
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

    #[test]
    fn a_recipe_of_whole_models_fits_the_form_and_one_of_slices_does_not() {
        let yaml = "merge_method: ties\nbase_model: o/b\nmodels:\n  - model: o/x\n    parameters: { weight: [0, 0.5] }\n  \
                    - model: o/y\n    parameters: { weight: 1 }\nparameters: { normalize: false, density: 0.4 }\n";

        let form = read(yaml).unwrap();
        let sliced =
            read("merge_method: passthrough\nslices: [{ sources: [{ model: o/x, layer_range: [0, 1] }] }]");

        assert_eq!((form.method.as_str(), form.base.as_deref()), ("ties", Some("o/b")));
        let weights: Vec<&str> = form.models.iter().map(|(_, params)| params[0].1.as_str()).collect();
        assert_eq!(weights, ["[0.0,0.5]", "1.0"]);
        assert!(form.params.contains(&("normalize".to_owned(), "false".to_owned())), "{:?}", form.params);
        assert!(sliced.unwrap_err().detail.contains("slices"));
    }
}
