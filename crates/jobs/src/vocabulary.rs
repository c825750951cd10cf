//! The tokenizer that a merge asks for: the models' tables aligned to it, and the files the result inherits.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use analysis::merge::{Inputs, MergeConfig, TokenizerChoice, Tokens, Touched, align};
use domain::{
    Item,
    files::{TOKENIZER, TOKENIZER_CONFIG},
};
use serde_json::{Map, Value, json};
use weights::{Tokenizer, Vocabulary};

use crate::{
    Error, Operand, Registry,
    operand::{Companion, CompanionFrom},
    tokens::{self, Tokenizers},
};

/// Fields of config.json that name rows of a vocabulary.
pub(crate) const SPECIAL: [&str; 4] = ["bos_token_id", "eos_token_id", "pad_token_id", "unk_token_id"];
/// Tokens without a row that a warning spells out.
const SPELLED: usize = 5;
/// Files that say in another form what tokenizer.json says.
const OTHER_FORMS: [&str; 5] =
    [TOKENIZER, "tokenizer.model", "vocab.json", "merges.txt", "added_tokens.json"];

/// What became of the tokenizers of a merge.
#[derive(Default)]
pub(crate) struct Retokenized {
    pub inputs: Inputs,
    /// Rows of the result's tables, where they were aligned.
    pub rows: Option<u64>,
    pub warnings: Vec<Item>,
    pub faults: Vec<Item>,
    /// What a policy of the recipe did to them.
    pub policies: Vec<Touched>,
    /// The model whose tokenizer files the result has, if not the heir.
    pub donor: Option<Operand>,
    /// The tokenizer, where it is none of the models' own.
    pub grown: Option<Tokenizer>,
}

/// Aligns the tables of tokens of all `inputs` as the recipe asks; a recipe that asks for nothing, and models that
/// have one tokenizer and equally many rows, are left as they are.
pub(crate) async fn retokenize(
    registry: &Registry,
    config: &MergeConfig,
    operands: &BTreeMap<String, Operand>,
    inputs: Inputs,
) -> Result<Retokenized, Error> {
    let (Some(choice), Some(own)) = (config.tokenizer_choice(), config.tokenizer_model()) else {
        return Ok(Retokenized::of(inputs));
    };
    let Some(source) = operands.get(&own) else { return Ok(Retokenized::of(inputs)) };
    let alike = |other: &Operand| {
        tokens::key(&other.companions) == tokens::key(&source.companions) && rows_of(other) == rows_of(source)
    };
    let plain = choice.tokens.is_empty() && choice.pad_to_multiple_of.is_none();
    let mut reading = Reading { registry, tokenizers: Tokenizers::new(registry), faults: Vec::new() };
    if plain && operands.values().all(alike) && !reading.overflows(source).await {
        return Ok(Retokenized::of(inputs));
    }
    let Some((output, grown, tokens, warnings)) = reading.output(config, (&choice, &own), operands).await?
    else {
        return Ok(Retokenized { faults: reading.faults, ..Retokenized::of(inputs) });
    };
    let donor = (config.heir().as_ref() != Some(&own)).then(|| source.clone());
    let (config, limits, mut faults) = (config.clone(), registry.limits, reading.faults);
    let aligned =
        tokio::task::spawn_blocking(move || align(&config, &inputs, (&output, &tokens), &limits)).await?;
    faults.extend(aligned.faults);
    let warnings = warnings.into_iter().chain(aligned.warnings).collect();
    let (inputs, rows) = (aligned.inputs, aligned.rows);
    Ok(Retokenized { inputs, rows, warnings, faults, donor, grown, policies: Vec::new() })
}

type Output = (Arc<Vocabulary>, Option<Tokenizer>, Tokens, Vec<Item>);

struct Reading<'r> {
    registry: &'r Registry,
    tokenizers: Tokenizers<'r>,
    faults: Vec<Item>,
}

impl Reading<'_> {
    fn fault(&mut self, message: String) {
        self.faults.push(Item { pointer: "/tokenizer".to_owned(), message });
    }

    /// The tokens of the result, its tokenizer where it is a new one, and the tokens of every model.
    async fn output(
        &mut self,
        config: &MergeConfig,
        (choice, own): (&TokenizerChoice, &str),
        operands: &BTreeMap<String, Operand>,
    ) -> Result<Option<Output>, Error> {
        let Some((base, tokens, warnings)) = self.known_tokens(own, operands).await? else {
            return Ok(None);
        };
        let others = match choice.source.as_str() {
            "union" => with_more(config, own, (&base, &tokens)),
            _ => Vec::new(),
        };
        let texts: Vec<&str> =
            choice.tokens.keys().map(String::as_str).filter(|text| base.row(text).is_none()).collect();
        if others.is_empty() && texts.is_empty() {
            if choice.pad_to_multiple_of.is_none()
                && let Some(count) = operands.get(own).and_then(rows_of)
                && count < u64::from(base.next_row())
            {
                return self.within((own, count as u32), operands, (base, tokens, warnings)).await.map(Some);
            }
            return Ok(Some((base, None, tokens, warnings)));
        }
        let grown = self.grown((own, &others), &texts, operands).await?;
        Ok(grown.map(|grown| (Arc::new(grown.vocabulary().clone()), Some(grown), tokens, warnings)))
    }

    /// The tokens of `own` and of every model; one whose tokenizer is not known, and that has as many rows, is taken to have
    /// those of `own`. None, and a fault, where the tokenizer of `own` itself is not known.
    async fn known_tokens(
        &mut self,
        own: &str,
        operands: &BTreeMap<String, Operand>,
    ) -> Result<Option<(Arc<Vocabulary>, Tokens, Vec<Item>)>, Error> {
        let mut tokens = Tokens::new();
        let (mut unknown, mut warnings) = (Vec::new(), Vec::new());
        for (name, operand) in operands {
            match self.tokenizers.of(&operand.companions).await {
                Some(known) => drop(tokens.insert(name.clone(), known)),
                None => unknown.push((name, rows_of(operand))),
            }
        }
        let Some(base) = tokens.get(own).cloned() else {
            self.fault(format!(
                "the tokenizer of `{own}` is not known; a tokenizer.json that can be read is needed"
            ));
            return Ok(None);
        };
        for (name, count) in unknown {
            if count == operands.get(own).and_then(rows_of) {
                let message = format!(
                    "the tokenizer of `{name}` is not known; its rows are taken for those of `{own}`"
                );
                warnings.push(Item { pointer: "/tokenizer".to_owned(), message });
                tokens.insert(name.clone(), Arc::clone(&base));
            } else {
                self.fault(format!(
                    "the tokenizer of `{name}` is not known, so its rows cannot be matched by token"
                ));
            }
        }
        Ok(Some((base, tokens, warnings)))
    }

    /// The tokenizer of `own` with the tokens of the others, and with these texts as tokens.
    async fn grown(
        &mut self,
        (own, others): (&str, &[String]),
        texts: &[&str],
        operands: &BTreeMap<String, Operand>,
    ) -> Result<Option<Tokenizer>, Error> {
        let mut documents = Vec::new();
        for name in std::iter::once(own).chain(others.iter().map(String::as_str)) {
            match self.document(name, operands).await? {
                Some(document) => documents.push(document),
                None => {
                    self.fault(format!(
                        "`{name}` has no tokenizer.json that can be read, which is needed to add tokens"
                    ));
                }
            }
        }
        let whole = documents.len() == 1 + others.len();
        let mut documents = documents.into_iter();
        let Some(first) = documents.next().filter(|_| whole) else { return Ok(None) };
        let rest: Vec<Tokenizer> = documents.collect();
        let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        let grow = move || {
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            first.grown(&rest.iter().collect::<Vec<_>>(), &texts)
        };
        match tokio::task::spawn_blocking(grow).await? {
            Ok(grown) => Ok(Some(grown)),
            Err(reason) => {
                self.fault(format!(
                    "the tokenizer of `{own}` cannot take the tokens of the others: {reason}"
                ));
                Ok(None)
            }
        }
    }

    /// Whether a model's tokenizer has tokens that its tables have no row for.
    async fn overflows(&mut self, operand: &Operand) -> bool {
        let known = self.tokenizers.of(&operand.companions).await;
        let rows = rows_of(operand);
        known.is_some_and(|known| rows.is_some_and(|rows| rows < u64::from(known.next_row())))
    }

    /// The tokens of `own` that have one of its `rows`, with the tokenizer of them alone. Where that cannot be made, all of
    /// them, and a warning.
    async fn within(
        &mut self,
        (own, rows): (&str, u32),
        operands: &BTreeMap<String, Operand>,
        (base, tokens, mut warnings): (Arc<Vocabulary>, Tokens, Vec<Item>),
    ) -> Result<Output, Error> {
        let lost: Vec<(u32, &str)> = base.rows().into_iter().filter(|(row, _)| *row >= rows).collect();
        let texts: BTreeSet<&str> =
            base.tokens().filter(|(_, row)| *row >= rows).map(|(text, _)| text).collect();
        let cut = match operands.get(own) {
            Some(operand) if !self.is_special(operand, &texts).await? => {
                self.document(own, operands).await?.and_then(|document| document.cut(rows))
            }
            _ => None,
        };
        let some: Vec<String> = lost.iter().take(SPELLED).map(|(_, text)| format!("`{text}`")).collect();
        let (count, some) = (lost.len(), some.join(", "));
        let told = match &cut {
            Some(_) => format!(
                "{count} tokens of `{own}` have no row in its tables of {rows} and are left out of the tokenizer: {some}"
            ),
            None => format!(
                "{count} tokens of `{own}` have no row in its tables of {rows}, and its tokenizer cannot be written without \
                 them: {some}; `pad_to_multiple_of` gives them rows"
            ),
        };
        warnings.push(Item { pointer: "/tokenizer".to_owned(), message: told });
        let output = cut.as_ref().map_or_else(|| Arc::clone(&base), |cut| Arc::new(cut.vocabulary().clone()));
        Ok((output, cut, tokens, warnings))
    }

    /// Whether the configuration of a tokenizer gives one of `texts` a part, such as the end of a text: readers add it
    /// where the tokenizer lacks it.
    async fn is_special(&self, operand: &Operand, texts: &BTreeSet<&str>) -> Result<bool, Error> {
        let Some(file) = operand.companions.iter().find(|file| file.path == TOKENIZER_CONFIG) else {
            return Ok(false);
        };
        let text = file.text(self.registry, self.registry.limits.tokenizer_bytes).await?;
        let config = weights::config_document(&text).ok();
        let fields = config.as_ref().and_then(Value::as_object).into_iter().flatten();
        let mut named = fields
            .filter(|(key, _)| key.ends_with("_token"))
            .filter_map(|(_, token)| token.as_str().or_else(|| token.get("content")?.as_str()));
        Ok(named.any(|text| texts.contains(text)))
    }

    async fn document(
        &mut self,
        name: &str,
        operands: &BTreeMap<String, Operand>,
    ) -> Result<Option<Tokenizer>, Error> {
        let files = operands.get(name).map(|operand| operand.companions.as_slice()).unwrap_or_default();
        let Some(file) = files.iter().find(|file| file.path == TOKENIZER) else { return Ok(None) };
        let limits = self.registry.limits;
        let text = file.text(self.registry, limits.tokenizer_bytes).await?;
        let parsed = tokio::task::spawn_blocking(move || Tokenizer::parse(text.as_bytes(), &limits)).await?;
        Ok(Some(parsed?))
    }
}

/// Rows of a model's tables of tokens.
fn rows_of(operand: &Operand) -> Option<u64> {
    analysis::merge::table_rows(&*operand.source)
}

/// The models of a recipe that have a token which `own` has not.
fn with_more(config: &MergeConfig, own: &str, (base, tokens): (&Vocabulary, &Tokens)) -> Vec<String> {
    let more = |name: &String| name != own && tokens.get(name).is_some_and(|other| lacks(base, other));
    config.model_refs().into_iter().filter(more).collect()
}

/// Whether `other` has a token that `base` has not.
fn lacks(base: &Vocabulary, other: &Vocabulary) -> bool {
    other.tokens().any(|(token, _)| base.row(token).is_none())
}

impl Retokenized {
    /// These inputs as they are.
    pub(crate) fn of(inputs: Inputs) -> Self {
        Self { inputs, ..Self::default() }
    }

    /// Gives `heir` the tokenizer, and the numbers of its configuration that go with it.
    ///
    /// # Errors
    /// When a file of the tokenizer cannot be read.
    pub(crate) async fn fit(self, registry: &Registry, heir: &mut Operand) -> Result<(), Error> {
        if let Some(donor) = &self.donor {
            heir.companions.clone_from(&donor.companions);
            take_special(&mut heir.config, donor.config.as_ref());
        }
        if self.rows != analysis::merge::table_rows(&*heir.source) {
            set_rows(&mut heir.config, self.rows);
        }
        let Some(grown) = self.grown else { return Ok(()) };
        let config = heir.companions.iter().find(|companion| companion.path == TOKENIZER_CONFIG);
        let decoder = match config {
            Some(config) => {
                let text = config.text(registry, registry.limits.tokenizer_bytes).await?;
                with_added(&text, &grown)
            }
            None => None,
        };
        heir.companions.retain(|companion| !OTHER_FORMS.contains(&companion.path.as_str()));
        let text = |path: &str, text| Companion { path: path.to_owned(), from: CompanionFrom::Text(text) };
        if let Some(decoder) = decoder {
            heir.companions.retain(|companion| companion.path != TOKENIZER_CONFIG);
            heir.companions.push(text(TOKENIZER_CONFIG, format!("{decoder:#}\n")));
        }
        heir.companions.push(text(TOKENIZER, format!("{:#}\n", grown.document())));
        Ok(())
    }
}

/// tokenizer_config.json with all added tokens, where it lists them, and without those that are gone.
fn with_added(text: &str, grown: &Tokenizer) -> Option<Value> {
    let mut config = weights::config_document(text).ok()?;
    let listed = config.get_mut("added_tokens_decoder")?.as_object_mut()?;
    let end = grown.vocabulary().next_row();
    listed.retain(|id, _| id.parse().is_ok_and(|id: u32| id < end));
    for token in grown.added() {
        let Some(id) = token.get("id").and_then(Value::as_u64) else { continue };
        let fields: Map<String, Value> = token
            .iter()
            .filter(|(key, _)| *key != "id")
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        listed.entry(id.to_string()).or_insert(Value::Object(fields));
    }
    Some(config)
}

/// `vocab_size` of a configuration, also of the text model in it.
pub(crate) fn set_rows(config: &mut Option<Value>, rows: Option<u64>) {
    let (Some(config), Some(rows)) = (config, rows) else { return };
    let put = |fields: Option<&mut Map<String, Value>>| {
        if let Some(fields) = fields.filter(|fields| fields.contains_key("vocab_size")) {
            fields.insert("vocab_size".to_owned(), json!(rows));
        }
    };
    put(config.get_mut("text_config").and_then(Value::as_object_mut));
    put(config.as_object_mut());
}

/// The rows of special tokens as another configuration has them.
pub(crate) fn take_special(config: &mut Option<Value>, from: Option<&Value>) {
    let Some(fields) = config.as_mut().and_then(Value::as_object_mut) else { return };
    let given = SPECIAL.iter().filter_map(|key| Some(((*key).to_owned(), from?.get(key)?.clone())));
    fields.extend(given);
}
