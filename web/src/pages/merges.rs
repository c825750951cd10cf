//! The merge builder: a form that writes a mergekit recipe, and a recipe that starts a job.

use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use domain::{Class, Item};

use super::{Answer, Data};
use crate::{
    answer,
    asked::Asked,
    caller::{sign_in, wants_part},
    form::Form,
    source::{self, Failure},
    view::{
        Faults, Field, FileBody, MergeCheck, MethodCard, ParamField, Partner, Partners, RecipeForm, SignIn,
        encoded,
    },
};

/// Lines for models in the form of a method that takes any number.
const ROWS: usize = 2;
/// The most of them.
const MOST: usize = 64;
/// The number formats that a recipe can name.
const FORMATS: &[&str] = &["bfloat16", "float16", "float32", "float64"];
/// What a recipe says beside its models, seldom enough to be folded.
const MORE: [Extra; 6] = [
    Extra { key: "out_dtype", label: "Number format of the files", words: FORMATS, hint: "unset: as above" },
    Extra {
        key: "tokenizer_source",
        label: "Tokenizer",
        words: &[],
        hint: "base, union or one of the models",
    },
    Extra {
        key: "chat_template",
        label: "Chat template",
        words: &["auto", "alpaca", "chatml", "exaone", "llama3", "mistral"],
        hint: "unset: that of the base, or of the first model",
    },
    Extra { key: "seed", label: "Seed", words: &[], hint: "a whole number, 0 unless given" },
    Extra {
        key: "missing",
        label: "Tensors that some models lack",
        words: &["base", "error", "skip", "union"],
        hint: "unset: norms and biases from the base, else an error; base copies all from it, skip leaves out, union merges those that have it",
    },
    Extra {
        key: "on_mismatch",
        label: "Tensors of several shapes",
        words: &["base"],
        hint: "unset: an error; base copies from it",
    },
];

/// What is sent off; places in the recipe are told as they are written there.
const FIELDS: [Field; 2] = [
    Field { pointer: "/output", name: "output", label: "Name of the new model" },
    Field { pointer: "/", name: "yaml", label: "mergekit YAML" },
];

/// A folded field.
struct Extra {
    key: &'static str,
    label: &'static str,
    /// What can be chosen; none for a text.
    words: &'static [&'static str],
    hint: &'static str,
}

#[derive(Template)]
#[template(path = "pages/merges.html")]
struct Page {
    methods: Vec<MethodCard>,
    chosen: Option<MethodCard>,
    rows: Vec<Row>,
    fields: Vec<(ParamField, String)>,
    base: String,
    dtype: String,
    more: Vec<(&'static Extra, String)>,
    /// The form has written a recipe before.
    written: bool,
    yaml: String,
    output: String,
    faults: Faults,
    check: Option<MergeCheck>,
    partners: Option<Partners>,
    /// Suggested partners with the address of the form that has them too.
    added: Vec<(Partner, String)>,
    sign_in: Option<SignIn>,
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

    /// What is typed into the form above the recipe, as far as `method` has a place for it.
    fn kept(&self, method: &MethodCard) -> Vec<(String, String)> {
        let mut kept = vec![("method".to_owned(), method.id.clone())];
        kept.extend(self.written.then(|| ("write".to_owned(), "1".to_owned())));
        kept.push(("base".to_owned(), self.base.clone()));
        let fits = |param: &ParamField, value: &str| {
            let same = |own: &&ParamField| own.name == param.name && own.per_model == param.per_model;
            let words = method.params.iter().find(same).map(ParamField::words);
            words.is_some_and(|words| words.is_empty() || words.contains(&value))
        };
        let named = |name: String, param: &ParamField, value: &String| {
            fits(param, value).then(|| (name, value.clone()))
        };
        for row in &self.rows {
            kept.push((format!("model.{}", row.at), row.model.clone()));
            let own = row.params.iter();
            kept.extend(own.filter_map(|(p, value)| named(format!("p.{}.{}", p.name, row.at), p, value)));
        }
        kept.extend(self.fields.iter().filter_map(|(p, value)| named(format!("p.{}", p.name), p, value)));
        kept.push(("dtype".to_owned(), self.dtype.clone()));
        kept.extend(self.more.iter().map(|(extra, value)| (extra.key.to_owned(), value.clone())));
        kept.retain(|(_, value)| !value.is_empty());
        kept
    }

    /// Words with whether each is the one chosen.
    fn options(&self, words: &'static [&'static str], value: &str) -> Vec<(&'static str, bool)> {
        words.iter().map(|word| (*word, *word == value)).collect()
    }

    /// Models that are named.
    fn named(&self) -> usize {
        self.rows.iter().filter(|row| !row.model.is_empty()).count()
    }

    /// Writes the recipe of what is typed into the form where there is none.
    fn write(&mut self) {
        if let Some(method) = self.chosen.clone().filter(|_| self.yaml.is_empty() && self.named() > 0) {
            self.yaml = recipe(&method, self);
        }
    }

    fn says_more(&self) -> bool {
        self.more.iter().any(|(_, value)| !value.is_empty())
    }

    /// How many lines the form has with one more; none where the method takes no more models.
    fn longer(&self) -> Option<usize> {
        let most = self.chosen.as_ref().and_then(|method| method.count.1).unwrap_or(MOST).min(MOST);
        Some(self.rows.len() + 1).filter(|rows| *rows <= most)
    }

    /// The same, to be sent along with the recipe.
    fn carried(&self) -> Vec<(String, String)> {
        self.chosen.as_ref().map(|method| self.kept(method)).unwrap_or_default()
    }

    /// The address of the form for another method.
    fn switched(&self, method: &MethodCard) -> String {
        let mut fields = self.kept(method);
        fields.push(("output".to_owned(), self.output.clone()));
        address(&fields)
    }

    /// The recipe is not the one that the form writes.
    fn edited(&self) -> bool {
        let written = self.chosen.as_ref().map(|method| recipe(method, self));
        !self.yaml.is_empty()
            && written.is_none_or(|written| written.trim() != self.yaml.replace('\r', "").trim())
    }

    /// Faults of what was asked stand beside the recipe.
    fn refused(mut self, failure: Failure) -> HttpResponse {
        let status = http::status_of(failure.class);
        self.faults = Faults::of(failure, &FIELDS);
        answer::page(status, &self)
    }
}

/// The address of the form with these fields.
fn address(fields: &[(String, String)]) -> String {
    let pairs: Vec<String> = fields
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(key, value)| format!("{}={}", encoded(key), encoded(value)))
        .collect();
    format!("/merges/new?{}#models", pairs.join("&"))
}

/// A line of the form: a model and its own parameters.
struct Row {
    at: usize,
    /// As people count.
    number: usize,
    model: String,
    params: Vec<(ParamField, String)>,
}

/// `GET /merges/new?method=&base=&model.0=&p.weight.0=`: the form, with the recipe it describes.
pub async fn form(source: Data, request: HttpRequest) -> Answer {
    let asked = Asked::read(request.query_string());
    let methods = source.merge_methods();
    if let Some(word) = asked.get("method").filter(|id| !methods.iter().any(|method| method.id == *id)) {
        let known: Vec<&str> = methods.iter().map(|method| method.id.as_str()).collect();
        let told = format!("`{word}` is no merge method; there are {}.", known.join(", "));
        return Err(Failure::new(Class::Invalid, "invalid_request", told));
    }
    let mut page = Page { sign_in: sign_in(&request).await?, ..empty(methods, &asked) };
    if let Some(from) = asked.get("from") {
        page.yaml = recipe_of(&source, from).await?;
    }
    with_partners(&source, &mut page).await;
    // Two models are what the form is for: from then on the recipe says what is still missing.
    if (page.written || page.named() > 1)
        && let Some(method) = &page.chosen
    {
        page.yaml = recipe(method, &page);
        page.check = Some(source.check_merge(&page.yaml).await?);
    }
    Ok(answer::ok(&page))
}

/// Who there is to merge with is a help; the form stands without it.
async fn with_partners(source: &Data, page: &mut Page) {
    let Some(method) = page.chosen.clone() else { return };
    let Some(first) = page.rows.iter().find(|row| !row.model.is_empty()) else { return };
    let base = Some(page.base.as_str()).filter(|base| !base.is_empty());
    let Ok(partners) = source.partners(&first.model, base).await else { return };
    if page.base.is_empty() && method.needs_base {
        page.base = partners.base.to_string();
    }
    let named = |partner: &&Partner| page.rows.iter().all(|row| row.model != partner.name.0);
    let suggested = partners.suggested.iter().filter(named);
    page.added = suggested.map(|partner| (partner.clone(), with(page, &method, partner))).collect();
    page.partners = Some(partners);
}

/// The address of the form with one more model.
fn with(page: &Page, method: &MethodCard, partner: &Partner) -> String {
    let free = page.rows.iter().find(|row| row.model.is_empty()).map_or(page.rows.len(), |row| row.at);
    let mut fields = page.kept(method);
    fields.push((format!("model.{free}"), partner.name.0.clone()));
    fields.push(("output".to_owned(), page.output.clone()));
    address(&fields)
}

/// The recipe that a merged model keeps among its files, of `org/name` or `org/name@revision`.
async fn recipe_of(source: &Data, from: &str) -> source::Result<String> {
    let (name, revision) = from.split_once('@').unwrap_or((from, "main"));
    let place = [revision.to_owned(), "mergekit_config.yml".to_owned()];
    match source.file(name, &place).await?.map(|page| page.body) {
        Some(FileBody::Text(text)) => Ok(text),
        _ => Err(Failure::not_found(format!("No recipe of a merge is among the files of `{from}`."))),
    }
}

/// `POST /merges/check`: what stands below the recipe while one writes it, or the whole page for a reader without the script.
pub async fn check(source: Data, request: HttpRequest, Form(asked): Form) -> Answer {
    let check = match asked.get("yaml") {
        Some(yaml) => Some(source.check_merge(yaml).await?),
        None => None,
    };
    if wants_part(&request) {
        return Ok(answer::ok(&Checked { check }));
    }
    let mut page = Page { sign_in: sign_in(&request).await?, ..empty(source.merge_methods(), &asked) };
    with_partners(&source, &mut page).await;
    page.write();
    page.check = match check {
        None if !page.yaml.is_empty() => Some(source.check_merge(&page.yaml).await?),
        check => check,
    };
    Ok(answer::ok(&page))
}

/// The address of the form that says the same as a recipe.
fn filled(form: &RecipeForm, output: &str) -> String {
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let mut fields = vec![pair("method", &form.method), pair("write", "1")];
    fields.extend(form.base.iter().map(|base| pair("base", base)));
    fields.extend(form.dtype.iter().map(|dtype| pair("dtype", dtype)));
    fields.extend(form.more.iter().map(|(key, value)| pair(key, value)));
    for (at, (model, params)) in form.models.iter().enumerate() {
        fields.push((format!("model.{at}"), model.clone()));
        fields.extend(params.iter().map(|(name, value)| (format!("p.{name}.{at}"), value.clone())));
    }
    fields.extend(form.params.iter().map(|(name, value)| (format!("p.{name}"), value.clone())));
    fields.push(pair("output", output));
    address(&fields)
}

/// `POST /merges/new`
pub async fn submit(source: Data, request: HttpRequest, Form(asked): Form) -> Answer {
    let mut page = Page { sign_in: sign_in(&request).await?, ..empty(source.merge_methods(), &asked) };
    with_partners(&source, &mut page).await;
    if !page.yaml.is_empty() && asked.get("do") == Some("read") {
        return Ok(match source.read_recipe(&page.yaml) {
            Ok(form) if form.models.len() > MOST => {
                let told = format!("The form has no place for more than {MOST} models.");
                page.refused(Failure::new(Class::Invalid, "invalid_request", told))
            }
            Ok(form) => answer::see_other(&filled(&form, &page.output)),
            Err(failure) => page.refused(failure),
        });
    }
    page.write();
    let needed = [("/", &page.yaml, "a recipe is needed"), ("/output", &page.output, "a name is needed")];
    let missing = needed.into_iter().filter(|(_, text, _)| text.is_empty());
    let items: Vec<Item> = missing
        .map(|(pointer, _, message)| Item { pointer: pointer.to_owned(), message: message.to_owned() })
        .collect();
    if !items.is_empty() {
        let told = "A merge needs a recipe and the name of the new model.";
        let failure = Failure::new(Class::Invalid, "invalid_request", told);
        return Ok(page.refused(Failure { items, ..failure }));
    }
    match source.submit_merge(&page.yaml, &page.output).await {
        Ok(job) => Ok(answer::see_other(&format!("/jobs/{}", encoded(&job)))),
        Err(failure) => Ok(page.refused(failure)),
    }
}

fn empty(methods: Vec<MethodCard>, asked: &Asked) -> Page {
    let chosen = asked.get("method").and_then(|id| methods.iter().find(|method| method.id == id)).cloned();
    let params = chosen.as_ref().map(|method| method.params.clone()).unwrap_or_default();
    let given = asked.all("model");
    let places = (0..MOST).filter(|at| asked.get(&format!("model.{at}")).is_some());
    let last = places.max().map_or(0, |at| at + 1);
    let asked_for = asked.get("rows").and_then(|rows| rows.parse().ok()).unwrap_or(0);
    // More lines than the method takes are shown where they are filled, so that the fault can be seen.
    let rows = match chosen.as_ref().map(|method| method.count) {
        Some((_, Some(most))) => most.max(1),
        Some((least, None)) => ROWS.max(least).max(asked_for),
        None => ROWS,
    };
    let (own, shared): (Vec<ParamField>, Vec<ParamField>) =
        params.into_iter().partition(|param| param.per_model);
    let row = |at: usize| Row {
        at,
        number: at + 1,
        model: asked
            .get(&format!("model.{at}"))
            .map_or_else(|| given.get(at).cloned().unwrap_or_default(), str::to_owned),
        params: own.iter().map(|p| (p.clone(), asked.text(&format!("p.{}.{at}", p.name)))).collect(),
    };
    Page {
        rows: (0..rows.max(given.len()).max(last).min(MOST)).map(row).collect(),
        fields: shared
            .into_iter()
            .map(|p| {
                let value = asked.text(&format!("p.{}", p.name));
                (p, value)
            })
            .collect(),
        base: asked.text("base"),
        dtype: asked.text("dtype"),
        more: MORE.iter().map(|extra| (extra, asked.text(extra.key))).collect(),
        written: asked.get("write").is_some(),
        yaml: asked.text("yaml"),
        output: asked.text("output"),
        faults: Faults::default(),
        check: None,
        partners: None,
        added: Vec::new(),
        sign_in: None,
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
            row.params.iter().map(|(param, value)| (param.name.as_str(), value.as_str())),
        ));
    }
    yaml.push_str(&parameters(
        "",
        page.fields.iter().map(|(param, value)| (param.name.as_str(), value.as_str())),
    ));
    if !page.dtype.is_empty() {
        yaml.push_str(&format!("dtype: {}\n", quoted(&page.dtype)));
    }
    for (extra, value) in page.more.iter().filter(|(_, value)| !value.is_empty()) {
        let value = if extra.key == "seed" { scalar(value) } else { quoted(value) };
        yaml.push_str(&format!("{}: {value}\n", extra.key));
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

        let form = RecipeForm {
            method: "ties".to_owned(),
            base: Some("o/b".to_owned()),
            models: vec![("o/x".to_owned(), vec![("weight".to_owned(), "[0, 0.5]".to_owned())])],
            more: vec![
                ("seed", "7".to_owned()),
                ("tokenizer_source", "union".to_owned()),
                ("missing", "skip".to_owned()),
            ],
            ..RecipeForm::default()
        };
        let again = filled(&form, "o/new");
        let read =
            empty(vec![ties.clone()], &Asked::read(again.split(['?', '#']).nth(1).unwrap_or_default()));
        assert!(
            recipe(&ties, &read).ends_with("tokenizer_source: union\nseed: 7\nmissing: skip\n")
                && read.output == "o/new"
        );
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
