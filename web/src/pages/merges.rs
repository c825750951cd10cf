//! The merge builder: a form that writes a mergekit recipe, and a recipe that starts a job.

use actix_web::{HttpRequest, http::StatusCode, web};
use askama::Template;
use domain::Item;

use super::{Answer, Data};
use crate::{
    answer,
    asked::Asked,
    view::{MergeCheck, MethodCard, ParamField, Partner, Partners, RecipeForm, encoded},
};

/// Lines for models in the form.
const ROWS: usize = 3;
/// The most of them.
const MOST: usize = 64;

#[derive(Template)]
#[template(path = "pages/merges.html")]
struct Page {
    methods: Vec<MethodCard>,
    chosen: Option<MethodCard>,
    rows: Vec<Row>,
    fields: Vec<(ParamField, String)>,
    base: String,
    dtype: String,
    yaml: String,
    output: String,
    fault: Option<String>,
    items: Vec<Item>,
    check: Option<MergeCheck>,
    partners: Option<Partners>,
    /// Suggested partners with the address of the form that has them too.
    added: Vec<(Partner, String)>,
}

#[derive(Template)]
#[template(path = "parts/check.html")]
struct Checked {
    check: Option<MergeCheck>,
}

impl Page {
    fn is_chosen(&self, id: &str) -> bool {
        self.chosen.as_ref().is_some_and(|method| method.id == id)
    }
}

/// A line of the form: a model and its own parameters.
struct Row {
    at: usize,
    model: String,
    params: Vec<(String, String)>,
}

/// `GET /merges/new?method=&base=&model.0=&p.weight.0=`: the form, with the recipe it describes.
pub async fn form(source: Data, request: HttpRequest) -> Answer {
    let asked = Asked::read(request.query_string());
    let mut page = empty(source.merge_methods(), &asked);
    if asked.get("write").is_some()
        && let Some(method) = &page.chosen
    {
        page.yaml = recipe(method, &page);
        page.check = Some(source.check_merge(&page.yaml).await?);
    }
    let first = page.rows.iter().find(|row| !row.model.is_empty()).map(|row| row.model.clone());
    if let Some(model) = first.filter(|_| page.chosen.is_some()) {
        let base = Some(page.base.as_str()).filter(|base| !base.is_empty());
        // Who there is to merge with is a help; the form stands without it.
        if let Ok(partners) = source.partners(&model, base).await {
            let named = |partner: &&Partner| page.rows.iter().all(|row| row.model != partner.name.0);
            let suggested = partners.suggested.iter().filter(named);
            page.added = suggested.map(|partner| (partner.clone(), with(&page, &asked, partner))).collect();
            if page.base.is_empty() && page.chosen.as_ref().is_some_and(|method| method.needs_base) {
                page.base = partners.base.to_string();
            }
            page.partners = Some(partners);
        }
    }
    Ok(answer::ok(&page))
}

/// The address of the form with one more model.
fn with(page: &Page, asked: &Asked, partner: &Partner) -> String {
    let free = page.rows.iter().find(|row| row.model.is_empty()).map_or(page.rows.len(), |row| row.at);
    let kept =
        asked.pairs().filter(|(key, _)| !key.starts_with("model") && *key != "yaml" && *key != "output");
    let mut fields: Vec<String> =
        kept.map(|(key, value)| format!("{}={}", encoded(key), encoded(value))).collect();
    let named = page.rows.iter().filter(|row| !row.model.is_empty());
    fields.extend(named.map(|row| format!("model.{}={}", row.at, encoded(&row.model))));
    fields.push(format!("model.{free}={}", partner.name.query()));
    format!("/merges/new?{}#models", fields.join("&"))
}

/// `POST /merges/check`: what stands below the recipe while one writes it.
pub async fn check(source: Data, body: actix_web::Result<web::Bytes>) -> Answer {
    let asked = match answer::form(body) {
        Ok(bytes) => Asked::body(&bytes),
        Err(refusal) => return Ok(refusal),
    };
    let check = match asked.get("yaml") {
        Some(yaml) => Some(source.check_merge(yaml).await?),
        None => None,
    };
    Ok(answer::ok(&Checked { check }))
}

/// The address of the form that says the same as a recipe.
fn filled(form: &RecipeForm) -> String {
    let mut fields = vec![("method".to_owned(), form.method.clone()), ("write".to_owned(), "1".to_owned())];
    fields.extend(form.base.iter().map(|base| ("base".to_owned(), base.clone())));
    fields.extend(form.dtype.iter().map(|dtype| ("dtype".to_owned(), dtype.clone())));
    for (at, (model, params)) in form.models.iter().enumerate() {
        fields.push((format!("model.{at}"), model.clone()));
        fields.extend(params.iter().map(|(name, value)| (format!("p.{name}.{at}"), value.clone())));
    }
    fields.extend(form.params.iter().map(|(name, value)| (format!("p.{name}"), value.clone())));
    let pairs: Vec<String> =
        fields.iter().map(|(key, value)| format!("{}={}", encoded(key), encoded(value))).collect();
    format!("/merges/new?{}#models", pairs.join("&"))
}

/// `POST /merges/new`
pub async fn submit(source: Data, body: actix_web::Result<web::Bytes>) -> Answer {
    let asked = match answer::form(body) {
        Ok(bytes) => Asked::body(&bytes),
        Err(refusal) => return Ok(refusal),
    };
    let mut page = empty(source.merge_methods(), &asked);
    match asked.get("do").filter(|_| !page.yaml.is_empty()) {
        Some("check") => {
            page.check = Some(source.check_merge(&page.yaml).await?);
            return Ok(answer::ok(&page));
        }
        Some("read") => {
            return Ok(match source.read_recipe(&page.yaml) {
                Ok(form) => answer::see_other(&filled(&form)),
                Err(failure) => {
                    page.fault = Some(failure.detail);
                    page.items = failure.items;
                    answer::page(http::status_of(failure.class), &page)
                }
            });
        }
        _ => {}
    }
    if page.yaml.is_empty() || page.output.is_empty() {
        page.fault = Some("A merge needs a recipe and the name of the new model.".to_owned());
        return Ok(answer::page(StatusCode::UNPROCESSABLE_ENTITY, &page));
    }
    match source.submit_merge(&page.yaml, &page.output).await {
        Ok(job) => Ok(answer::see_other(&format!("/jobs/{}", encoded(&job)))),
        Err(failure) => {
            page.fault = Some(failure.detail);
            page.items = failure.items;
            Ok(answer::page(http::status_of(failure.class), &page))
        }
    }
}

fn empty(methods: Vec<MethodCard>, asked: &Asked) -> Page {
    let chosen = asked.get("method").and_then(|id| methods.iter().find(|method| method.id == id)).cloned();
    let params = chosen.as_ref().map(|method| method.params.clone()).unwrap_or_default();
    let given = asked.all("model");
    let places = (0..MOST).filter(|at| asked.get(&format!("model.{at}")).is_some());
    let last = places.max().map_or(0, |at| at + 2);
    let own: Vec<&ParamField> = params.iter().filter(|param| param.per_model).collect();
    let row = |at: usize| Row {
        at,
        model: asked
            .get(&format!("model.{at}"))
            .map_or_else(|| given.get(at).cloned().unwrap_or_default(), str::to_owned),
        params: own.iter().map(|p| (p.name.clone(), asked.text(&format!("p.{}.{at}", p.name)))).collect(),
    };
    let shared = params.iter().filter(|param| !param.per_model);
    Page {
        rows: (0..ROWS.max(given.len()).max(last).min(MOST)).map(row).collect(),
        fields: shared.map(|p| (p.clone(), asked.text(&format!("p.{}", p.name)))).collect(),
        base: asked.text("base"),
        dtype: asked.text("dtype"),
        yaml: asked.text("yaml"),
        output: asked.text("output"),
        fault: None,
        items: Vec::new(),
        check: None,
        partners: None,
        added: Vec::new(),
        methods,
        chosen,
    }
}

/// The recipe as mergekit writes it; texts are quoted as JSON, which YAML reads.
fn recipe(method: &MethodCard, page: &Page) -> String {
    let mut yaml = format!("merge_method: {}\n", method.id);
    if !page.base.is_empty() {
        yaml.push_str(&format!("base_model: {}\n", quoted(&page.base)));
    }
    yaml.push_str("models:\n");
    for row in page.rows.iter().filter(|row| !row.model.is_empty()) {
        yaml.push_str(&format!("  - model: {}\n", quoted(&row.model)));
        yaml.push_str(&parameters(
            "    ",
            row.params.iter().map(|(name, value)| (name.as_str(), value.as_str())),
        ));
    }
    yaml.push_str(&parameters(
        "",
        page.fields.iter().map(|(param, value)| (param.name.as_str(), value.as_str())),
    ));
    if !page.dtype.is_empty() {
        yaml.push_str(&format!("dtype: {}\n", quoted(&page.dtype)));
    }
    yaml
}

fn parameters<'a>(indent: &str, pairs: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let line = |(name, value): (&str, &str)| format!("{indent}  {name}: {}\n", scalar(value));
    let lines: String = pairs.filter(|(_, value)| !value.is_empty()).map(line).collect();
    if lines.is_empty() { lines } else { format!("{indent}parameters:\n{lines}") }
}

fn scalar(value: &str) -> String {
    let number = value.parse::<f64>().is_ok_and(f64::is_finite);
    // Numbers along the layers.
    let list = value.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).is_some_and(|inside| {
        inside.split(',').all(|part| part.trim().parse::<f64>().is_ok_and(f64::is_finite))
    });
    if number || list || matches!(value, "true" | "false") { value.to_owned() } else { quoted(value) }
}

fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_' | '.');
    let word = matches!(
        text.to_ascii_lowercase().as_str(),
        "true" | "false" | "yes" | "no" | "on" | "off" | "y" | "n" | "null"
    );
    if !word && text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.chars().all(plain) {
        return text.to_owned();
    }
    let escape = |c: char| match c {
        '"' | '\\' => format!("\\{c}"),
        c if c.is_control() => format!("\\u{:04x}", u32::from(c)),
        c => c.to_string(),
    };
    format!("\"{}\"", text.chars().map(escape).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_writes_a_recipe_that_no_value_can_break() {
        let param =
            |name: &str, per_model| ParamField { name: name.into(), per_model, ..ParamField::default() };
        let params = vec![param("weight", true), param("normalize", false)];
        let ties = MethodCard { id: "ties".into(), params, ..MethodCard::default() };
        let asked = Asked::read(
            "method=ties&base=o/b&model.0=o/x&p.weight.0=0.5&model.1=a%0Ab%22&p.normalize=true&dtype=bfloat16",
        );
        let page = empty(vec![ties.clone()], &asked);

        let yaml = recipe(&ties, &page);

        let again = filled(&RecipeForm {
            method: "ties".to_owned(),
            base: Some("o/b".to_owned()),
            models: vec![("o/x".to_owned(), vec![("weight".to_owned(), "[0, 0.5]".to_owned())])],
            ..RecipeForm::default()
        });
        let read =
            empty(vec![ties.clone()], &Asked::read(again.split(['?', '#']).nth(1).unwrap_or_default()));
        assert!(
            recipe(&ties, &read).contains(
                "base_model: o/b\nmodels:\n  - model: o/x\n    parameters:\n      weight: [0, 0.5]\n"
            )
        );
        let want = "merge_method: ties\nbase_model: o/b\nmodels:\n  - model: o/x\n    parameters:\n      weight: 0.5\n  \
                    - model: \"a\\u000ab\\\"\"\nparameters:\n  normalize: true\ndtype: bfloat16\n";
        assert_eq!(yaml, want);
    }
}
