//! The merge builder: a form that writes a mergekit recipe, and a recipe that starts a job.

use actix_web::{HttpRequest, http::StatusCode, web};
use askama::Template;
use domain::Item;

use super::{Answer, Data};
use crate::{
    answer,
    asked::Asked,
    view::{MethodCard, ParamField, encoded},
};

/// Lines for models in the form.
const ROWS: usize = 4;

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
    }
    Ok(answer::ok(&page))
}

/// `POST /merges/new`
pub async fn submit(source: Data, body: actix_web::Result<web::Bytes>) -> Answer {
    let asked = match answer::form(body) {
        Ok(bytes) => Asked::body(&bytes),
        Err(refusal) => return Ok(refusal),
    };
    let mut page = empty(source.merge_methods(), &asked);
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
        rows: (0..ROWS.max(given.len().min(16))).map(row).collect(),
        fields: shared.map(|p| (p.clone(), asked.text(&format!("p.{}", p.name)))).collect(),
        base: asked.text("base"),
        dtype: asked.text("dtype"),
        yaml: asked.text("yaml"),
        output: asked.text("output"),
        fault: None,
        items: Vec::new(),
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
    if number || matches!(value, "true" | "false") { value.to_owned() } else { quoted(value) }
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

        let want = "merge_method: ties\nbase_model: o/b\nmodels:\n  - model: o/x\n    parameters:\n      weight: 0.5\n  \
                    - model: \"a\\u000ab\\\"\"\nparameters:\n  normalize: true\ndtype: bfloat16\n";
        assert_eq!(yaml, want);
    }
}
