//! Model metadata from the Hub's API rows and from checkpoint folders.

pub(crate) mod columns;
mod dates;
mod derived;
mod fields;
pub(crate) mod identity;
mod other;
mod papers;
mod parents;
mod recipes;

use std::collections::HashSet;

use domain::{Gating, Limits, Metadata, Note, Relation, RepoId, Source, files::Beginning};
use serde_json::{Map, Value};

pub(crate) use self::fields::scalar;
pub use self::{
    derived::{AutoClass, auto_class},
    recipes::{delta_base, is_delta_base},
};

use self::{
    dates::timestamp,
    fields::{Fields, listed, number, strings},
    papers::papers,
};
use crate::{
    card::{self, Card, note},
    literal,
};

/// Most tags, files, languages or datasets kept of one model.
const MOST: usize = domain::FIXED.metadata_values;

/// Most bytes of a tag, a language, a dataset, a licence or an author.
const LONGEST: usize = domain::FIXED.metadata_text_bytes;

/// Most bytes of a licence's own name.
const LICENCE_NAME: usize = 100;

/// Reads one record of the Hub's API or of a dump of it.
///
/// Knows camelCase and snake_case names, `cardData` as object, JSON or YAML text, `siblings` as objects or
/// as text, and the card's text in `_card`.
///
/// # Errors
/// When the record has no valid id.
pub fn from_api_row(row: &Value, limits: &Limits) -> Result<Metadata, String> {
    let object = row.as_object().ok_or_else(|| format!("expected an object, got {}", kind(row)))?;
    let fields = Fields(object);
    let mut metadata = Metadata::named(identity::of(&fields)?);

    let text = fields.text(columns::CARD).map(|text| card::parse(text, limits));
    if text.is_some() {
        metadata.sources.extend([Source::Card, Source::MergeConfig]);
    }
    let mut card = text.unwrap_or_default();
    if let Some(front) = card_data(&fields, &mut card) {
        card.front = front;
        metadata.sources.push(Source::Card);
    }
    if let Some(author) = fields.text(columns::AUTHOR) {
        metadata.author = Some(card::plain(author));
    }
    metadata.sha = fields.owned(columns::SHA);
    metadata.created_at = fields.get(columns::CREATED).and_then(timestamp);
    metadata.last_modified = fields.get(columns::MODIFIED).and_then(timestamp);
    metadata.downloads = fields.count(columns::DOWNLOADS);
    metadata.likes = fields.count(columns::LIKES);
    metadata.private = fields.get(columns::PRIVATE).is_some_and(closed);
    metadata.gated = gate(&fields);
    metadata.notes.extend(odd_values(&fields));
    metadata.tags = fields.listed(columns::TAGS);
    metadata.license = first_licence(&mut metadata.notes, fields.strings(columns::LICENSE), "row");
    metadata.pipeline_tag = fields.owned(columns::TASK);
    metadata.library = fields.owned(columns::LIBRARY);
    metadata.new_version = fields.owned(columns::NEW_VERSION);
    metadata.languages = match fields.get(columns::LANGUAGES) {
        Some(text @ Value::String(_)) => listed(text),
        other => languages(other),
    };
    metadata.datasets = fields.listed(columns::DATASETS);
    metadata.parameters = parameters(&fields);
    metadata.dtype = dtype(&fields);
    metadata.files = files(&fields);
    let config = fields.json(columns::CONFIG).filter(Value::is_object);
    apply_config(&mut metadata, config.as_ref());

    metadata.declared_relation = declared_relation(&mut metadata.notes, fields.text(columns::RELATION));
    parents::from_row(&mut metadata, &fields);
    metadata.sources.extend(parents::sources(&fields));
    apply_card(&mut metadata, card);
    name_licence(&mut metadata, &fields);
    if let Some(peft) = config.as_ref().and_then(|config| config.get("peft")) {
        parents::from_adapter_config(&mut metadata, peft);
    }
    from_tags(&mut metadata);
    cap(&mut metadata);
    Ok(metadata)
}

/// How a record says that the model's files are given out.
fn gate(fields: &Fields<'_>) -> Option<Gating> {
    let value = fields.get(columns::GATED)?;
    let auto = value.as_str().is_some_and(|word| word.trim().eq_ignore_ascii_case(Gating::Auto.as_str()));
    if auto { Some(Gating::Auto) } else { closed(value).then_some(Gating::Manual) }
}

/// Whether a value shuts people out: whatever is not plainly a no does.
fn closed(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(flag) => *flag,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(word) => {
            !["", "false", "no", "none", "null", "0"].contains(&word.trim().to_ascii_lowercase().as_str())
        }
        Value::Array(_) | Value::Object(_) => true,
    }
}

/// Whether a value says plainly whether people are shut out.
fn plain(value: &Value, words: &[&str]) -> Option<()> {
    let known = match value {
        Value::Null | Value::Bool(_) => true,
        Value::Number(number) => [Some(0.0), Some(1.0)].contains(&number.as_f64()),
        Value::String(word) => {
            let word = word.trim().to_ascii_lowercase();
            ["true", "yes", "1"].contains(&word.as_str()) || words.contains(&word.as_str()) || !closed(value)
        }
        Value::Array(_) | Value::Object(_) => false,
    };
    known.then_some(())
}

/// What a record says that cannot be taken over as it stands.
fn odd_values(fields: &Fields<'_>) -> Vec<Note> {
    let mut notes = Vec::new();
    for names in [columns::DOWNLOADS, columns::LIKES] {
        let found = fields.unread(names, |_| fields.count(names));
        notes.extend(found.map(|found| {
            let name = names[0];
            note("unreadable_value", format!("`{name}` is {found}; a count of zero or more is expected"))
        }));
    }
    for names in [columns::CREATED, columns::MODIFIED] {
        let found = fields.unread(names, timestamp);
        notes.extend(
            found.map(|found| {
                note("unreadable_value", format!("`{}` is {found}; a date is expected", names[0]))
            }),
        );
    }
    for (names, words, meant) in [
        (columns::PRIVATE, &[][..], "true or false"),
        (columns::GATED, &["auto", "manual"][..], "auto, manual, true or false"),
    ] {
        let found = fields.unread(names, |value| plain(value, words));
        notes.extend(found.map(|found| {
            let name = names[0];
            let detail = format!("`{name}` is {found}; {meant} is expected, and it is taken for true");
            note("unreadable_value", detail)
        }));
    }
    if fields.flag(columns::DISABLED) {
        let detail = "the Hub has disabled this model; its files cannot be fetched there".to_owned();
        notes.push(note("disabled", detail));
    }
    notes
}

/// What a checkpoint folder says about itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct Folder<'a> {
    /// README.md.
    pub card: Option<&'a Beginning>,
    /// config.json.
    pub config: Option<&'a Value>,
    /// adapter_config.json.
    pub adapter_config: Option<&'a Value>,
    /// mergekit_config.yml.
    pub recipe: Option<&'a Beginning>,
    /// Every file's name.
    pub files: &'a [String],
}

/// Reads what a checkpoint folder says about itself. Faults become notes.
pub fn from_checkpoint(id: RepoId, folder: &Folder<'_>, limits: &Limits) -> Metadata {
    let mut metadata = Metadata::named(id);
    metadata.files = folder.files.to_vec();
    metadata.sources.extend([Source::Card, Source::MergeConfig, Source::AdapterConfig]);
    apply_config(&mut metadata, folder.config);
    if let Some(readme) = folder.card {
        let (text, card) = card::read(readme, limits);
        let (named, papers) = (other::says(&card.front), papers(&text));
        let licences = several_licences(&card);
        apply_card(&mut metadata, card);
        metadata.notes.extend(named.as_ref().and_then(other::fault));
        // The Hub derives these from the card.
        let derived = named.map(|_| "license:other".to_owned()).into_iter().chain(licences).chain(papers);
        for tag in derived {
            if !metadata.tags.contains(&tag) {
                metadata.tags.push(tag);
            }
        }
        // Nobody but the card's author wrote these tags.
        parents::from_tags(&mut metadata, Source::Card);
    }
    if let Some(recipe) = folder.recipe {
        recipes::from_file(&mut metadata, recipe);
    }
    if let Some(adapter) = folder.adapter_config {
        parents::from_adapter_config(&mut metadata, adapter);
        if metadata.library.is_none() {
            metadata.library = Some("peft".to_owned());
        }
    }
    from_tags(&mut metadata);
    derived::fill(&mut metadata);
    cap(&mut metadata);
    metadata
}

/// Fills what is still unknown from the card.
fn apply_card(metadata: &mut Metadata, card: Card) {
    let fields = Fields(&card.front);
    let license = first_licence(&mut metadata.notes, fields.strings(&["license"]), "card");
    let fill = |slot: &mut Option<String>, value: Option<String>| {
        if slot.is_none() {
            *slot = value;
        }
    };
    fill(&mut metadata.license, license);
    let tagged = metadata.tags.iter().find_map(|tag| tag.strip_prefix("license:")).map(str::to_owned);
    fill(&mut metadata.license, tagged);
    name_licence(metadata, &fields);
    fill(&mut metadata.pipeline_tag, fields.owned(&["pipeline_tag"]));
    fill(&mut metadata.library, fields.owned(&["library_name"]));
    fill(&mut metadata.new_version, fields.owned(&["new_version"]));
    if metadata.languages.is_empty() {
        metadata.languages = languages(fields.get(columns::LANGUAGES));
    }
    if metadata.datasets.is_empty() {
        metadata.datasets = fields.strings(columns::DATASETS);
    }
    let mut known: HashSet<String> = metadata.tags.iter().cloned().collect();
    metadata.tags.extend(fields.strings(&["tags"]).into_iter().filter(|tag| known.insert(tag.clone())));
    let declared = declared_relation(&mut metadata.notes, fields.text(&["base_model_relation"]));
    metadata.declared_relation = declared.or(metadata.declared_relation);
    parents::from_front_matter(metadata, &fields);
    recipes::from_card(metadata, &card.body);
    metadata.notes.extend(card.notes);
    let body = card.body.trim_end();
    if !body.trim().is_empty() {
        metadata.card = Some(body.to_owned());
    }
}

/// The tags of a card's licences, where it names more than the one that is shown.
fn several_licences(card: &Card) -> Vec<String> {
    let licences = Fields(&card.front).strings(&["license"]);
    if licences.len() < 2 {
        return Vec::new();
    }
    licences.into_iter().map(|licence| format!("license:{}", licence.to_ascii_lowercase())).collect()
}

/// The first of several licences, with a note on the others.
fn first_licence(notes: &mut Vec<Note>, licences: Vec<String>, whose: &str) -> Option<String> {
    if licences.len() > 1 {
        let (count, all) = (licences.len(), licences.join(", "));
        let detail = format!("the {whose} names {count} licences; the first is shown: {all}");
        notes.push(note("several_licenses", detail.chars().take(300).collect()));
    }
    licences.into_iter().next()
}

fn declared_relation(notes: &mut Vec<Note>, word: Option<&str>) -> Option<Relation> {
    let read = word?.parse();
    let fault = |reason: &String| note("bad_relation", reason.chars().take(300).collect());
    notes.extend(read.as_ref().err().map(fault));
    read.ok()
}

/// A licence that the Hub has no id for has a name beside `license: other`.
fn name_licence(metadata: &mut Metadata, fields: &Fields<'_>) {
    let other = metadata.license.as_deref().is_some_and(|id| id.trim().eq_ignore_ascii_case("other"));
    let name = fields.owned(columns::LICENSE_NAME).filter(|name| name.len() <= LICENCE_NAME);
    let says_more = |name: &String| !matches!(name.to_ascii_lowercase().as_str(), "other" | "unknown");
    if let Some(name) = name.filter(says_more).filter(|_| other) {
        metadata.license_name = Some(name);
    }
}

fn apply_config(metadata: &mut Metadata, config: Option<&Value>) {
    let Some(config) = config else { return };
    if !config.is_object() {
        let told = "config.json is no object of keys and values; nothing was read from it".to_owned();
        metadata.notes.push(note("config_unread", told));
    }
    let text = |value: Option<&Value>| {
        value.and_then(Value::as_str).map(|text| card::plain(text).chars().take(200).collect())
    };
    metadata.model_type = text(config.get("model_type"));
    metadata.architecture = text(config.get("architectures").and_then(|list| list.get(0)));
    let word = config.get("dtype").or_else(|| config.get("torch_dtype")).and_then(Value::as_str);
    let word = match config.get("quantization_config").filter(|quantised| quantised.is_object()) {
        Some(quantised) => stored_in(quantised),
        None => word,
    };
    let format = match word.map(|word| word.trim_start_matches("torch.")) {
        Some("bfloat16") => Some("BF16"),
        Some("float16" | "half") => Some("F16"),
        Some("float32" | "float") => Some("F32"),
        Some("float64" | "double") => Some("F64"),
        Some("float8_e4m3fn") => Some("F8_E4M3"),
        Some("float8_e5m2") => Some("F8_E5M2"),
        Some("int8") => Some("I8"),
        Some("uint8") => Some("U8"),
        _ => None,
    };
    metadata.dtype = metadata.dtype.take().or(format.map(str::to_owned));
    metadata.config = Some(config.clone());
}

/// The number format of quantised weights; their `dtype` is the one in which they are computed.
fn stored_in(quantised: &Value) -> Option<&'static str> {
    let word = |key: &str| quantised.get(key).and_then(Value::as_str);
    match (word("quant_method"), word("fmt")) {
        (Some("fp8"), Some("e5m2")) => Some("float8_e5m2"),
        (Some("fp8"), _) => Some("float8_e4m3fn"),
        _ => None,
    }
}

/// The codes of ISO 639-1.
const LANGUAGES: &str = "aa ab ae af ak am an ar as av ay az ba be bg bh bi bm bn bo br bs ca ce ch co cr cs cu cv cy da \
    de dv dz ee el en eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik io \
    is it iu ja jv ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mr ms mt \
    my na nb nd ne ng nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg sh si sk sl sm \
    sn so sq sr ss st su sv sw ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu";

/// What only the tags know.
fn from_tags(metadata: &mut Metadata) {
    let after = |prefix: &str| -> Vec<String> {
        metadata.tags.iter().filter_map(|tag| tag.strip_prefix(prefix)).map(str::to_owned).collect()
    };
    if metadata.datasets.is_empty() {
        metadata.datasets = after("dataset:");
    }
    if metadata.languages.is_empty() {
        // Other tags of two letters name a framework, as `tf`, or a field.
        let code = |tag: &&String| tag.len() == 2 && LANGUAGES.split(' ').any(|code| code == tag.as_str());
        metadata.languages = metadata.tags.iter().filter(code).cloned().collect();
    }
}

fn card_data(fields: &Fields<'_>, card: &mut Card) -> Option<Map<String, Value>> {
    let text = match fields.get(columns::FRONT_MATTER)? {
        Value::Object(front) => return Some(front.clone()),
        Value::String(text) if text.trim().is_empty() => return None,
        Value::String(text) => text,
        _ => return None,
    };
    if let Some(value) = literal::read(text) {
        return if let Value::Object(front) = value { Some(front) } else { None };
    }
    let (front, fault) = card::front_matter(text);
    card.notes.extend(fault);
    (!front.is_empty()).then_some(front)
}

fn parameters(fields: &Fields<'_>) -> Option<i64> {
    let of = |value: Value| -> Option<i64> {
        let total = value.get("total").and_then(number);
        total.or_else(|| {
            let counts = value.get("parameters")?.as_object()?;
            counts.values().filter_map(number).try_fold(0_i64, i64::checked_add)
        })
    };
    let found =
        fields.json(columns::SAFETENSORS).and_then(of).or_else(|| fields.json(columns::GGUF).and_then(of));
    found.filter(|&count| count > 0).or_else(|| fields.count(columns::PARAMETERS))
}

/// The number format that most weights have, the first of several by name.
fn dtype(fields: &Fields<'_>) -> Option<String> {
    let found = fields.json(columns::SAFETENSORS)?;
    let counts = found.get("parameters")?.as_object()?;
    let counts = counts.iter().filter_map(|(format, count)| Some((number(count)?, format)));
    let most = counts.filter(|(_, format)| format.len() <= 16);
    most.max_by(|a, b| a.0.cmp(&b.0).then_with(|| b.1.cmp(a.1))).map(|(_, format)| format.clone())
}

/// File names of `siblings`: objects with `rfilename`, plain names, or the text Python prints for them or their list.
fn files(fields: &Fields<'_>) -> Vec<String> {
    let printed = match fields.get(columns::FILES) {
        Some(Value::String(text)) => literal::read(text),
        _ => None,
    };
    let Some(list) = printed.as_ref().or_else(|| fields.get(columns::FILES)).and_then(Value::as_array) else {
        return Vec::new();
    };
    let name = |entry: &Value| -> Option<String> {
        match entry {
            Value::String(text) => Some(match text.split_once("rfilename='") {
                Some((_, rest)) => rest.split('\'').next().unwrap_or(rest).to_owned(),
                None => text.clone(),
            }),
            other => other.get("rfilename").and_then(Value::as_str).map(str::to_owned),
        }
    };
    list.iter().filter_map(name).map(|name| card::plain(&name)).take(MOST).collect()
}

/// Languages as strings; YAML 1.1 readers turn Norwegian `no` into false.
fn languages(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::Bool(false)) => vec!["no".to_owned()],
        Some(Value::Array(list)) => list.iter().flat_map(|item| languages(Some(item))).collect(),
        Some(value) => strings(value),
        None => Vec::new(),
    }
}

/// Leaves out what is said twice, and what is too long or too much, with a note.
fn cap(metadata: &mut Metadata) {
    for (what, text) in [("licence", &mut metadata.license), ("author", &mut metadata.author)] {
        if let Some(long) = text.take_if(|text| text.len() > LONGEST) {
            let detail = format!("the {what} has {} bytes; at most {LONGEST} are kept", long.len());
            metadata.notes.push(note("text_too_long", detail));
        }
    }
    metadata.author = metadata.author.take().or_else(|| metadata.id.org().map(str::to_owned));
    let lists = [
        ("tags", &mut metadata.tags),
        ("languages", &mut metadata.languages),
        ("data sets", &mut metadata.datasets),
    ];
    for (what, list) in lists {
        let mut seen = HashSet::new();
        list.retain(|text| seen.insert(text.clone()));
        let all = list.len();
        list.retain(|text| text.len() <= LONGEST);
        list.truncate(MOST);
        if list.len() < all {
            let left = all - list.len();
            let detail = format!(
                "{left} of {all} {what} are left out; at most {MOST} of up to {LONGEST} bytes are kept"
            );
            metadata.notes.push(note("list_cut", detail));
        }
    }
    metadata.notes.truncate(100);
}

pub(crate) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests;
