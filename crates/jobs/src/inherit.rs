//! What a merged model inherits besides weights: its configuration fitted to its layers, and its chat template.

use std::collections::BTreeMap;

use analysis::merge::{AUTO_TEMPLATE, MergeModule, MergeSource, Stacked};
use domain::files::TOKENIZER_CONFIG;
use serde_json::{Map, Value, json};

use crate::{
    Error, Operand, Registry,
    operand::{Companion, CompanionFrom},
};

/// Fields with a value a layer.
const LISTS: [&str; 3] = ["layer_types", "mlp_layer_types", "no_rope_layers"];
/// The file of a chat template.
pub const TEMPLATE: &str = "chat_template.jinja";

/// What configurations call the number of layers of a module, and the part of the configuration that tells of it, if
/// it has one.
fn counts(module: Option<MergeModule>) -> (&'static str, &'static [&'static str]) {
    match module {
        None | Some(MergeModule::TextDecoder) => {
            ("text_config", &["num_hidden_layers", "n_layer", "num_layers", "n_layers"])
        }
        Some(MergeModule::VisionTower | MergeModule::VisionModel) => {
            ("vision_config", &["num_hidden_layers", "depth", "num_layers", "n_layer"])
        }
        Some(MergeModule::Encoder) => ("encoder", &["encoder_layers", "num_layers", "num_hidden_layers"]),
        Some(MergeModule::Decoder) => ("decoder", &["decoder_layers", "num_decoder_layers"]),
        Some(MergeModule::MultiModalProjector | MergeModule::Shared) => ("", &[]),
    }
}

/// Gives the configuration of `heir` the layers of a model stacked from slices, each with the settings of the layer
/// that it comes from.
pub(crate) fn fit_layers(heir: &mut Operand, source: &MergeSource, inputs: &BTreeMap<String, Operand>) {
    for Stacked { module, layers } in source.stacked() {
        let (part, counts) = counts(*module);
        let Some(mut config) = heir.config.as_mut() else { return };
        let parted = config.get(part).is_some_and(Value::is_object);
        if parted {
            config = &mut config[part];
        }
        let Some(fields) = config.as_object_mut() else { return };
        for name in counts.iter().filter(|name| fields.contains_key(**name)).collect::<Vec<_>>() {
            fields.insert((*name).to_owned(), json!(layers.len()));
        }
        for name in LISTS.into_iter().filter(|name| fields.contains_key(*name)).collect::<Vec<_>>() {
            let of = |(label, layer): &(String, u64)| {
                let config = inputs.get(label)?.config.as_ref()?;
                let config = if parted { config.get(part)? } else { config };
                config.get(name)?.get(usize::try_from(*layer).ok()?).cloned()
            };
            if let Some(list) = layers.iter().map(of).collect::<Option<Vec<Value>>>() {
                fields.insert(name.to_owned(), Value::Array(list));
            }
        }
    }
}

/// Gives `heir` another chat template, in the file of its own and in the tokenizer's configuration; where the recipe
/// leaves it open, the one that most of `models` have, of equally common ones the first.
pub(crate) async fn set_template(
    registry: &Registry,
    heir: &mut Operand,
    (template, models): (&str, Vec<&Operand>),
) -> Result<(), Error> {
    if template != AUTO_TEMPLATE {
        return write_template(registry, heir, template).await;
    }
    let mut found: Vec<(String, usize)> = Vec::new();
    for model in models {
        let Some(template) = template_of(registry, model).await? else { continue };
        match found.iter_mut().find(|(known, _)| *known == template) {
            Some((_, count)) => *count += 1,
            None => found.push((template, 1)),
        }
    }
    let most = found.iter().map(|(_, count)| *count).max();
    let Some((template, _)) = found.into_iter().find(|(_, count)| Some(*count) == most) else {
        return Ok(());
    };
    if template_of(registry, heir).await?.as_ref() == Some(&template) {
        return Ok(());
    }
    write_template(registry, heir, &template).await
}

/// The chat template of a model: the file of its own, else what its tokenizer's configuration holds.
async fn template_of(registry: &Registry, model: &Operand) -> Result<Option<String>, Error> {
    let most = registry.limits.config_bytes;
    let file = |path: &str| model.companions.iter().find(|companion| companion.path == path);
    if let Some(own) = file(TEMPLATE) {
        return own.text(registry, most).await.map(Some);
    }
    let Some(config) = file(TOKENIZER_CONFIG) else { return Ok(None) };
    let text = config.text(registry, most).await?;
    let config: Value = serde_json::from_str(&text).unwrap_or_default();
    let held = match &config["chat_template"] {
        Value::Array(named) => named
            .iter()
            .find(|named| named["name"] == "default")
            .map_or(Value::Null, |named| named["template"].clone()),
        other => other.clone(),
    };
    Ok(held.as_str().map(str::to_owned))
}

async fn write_template(registry: &Registry, heir: &mut Operand, template: &str) -> Result<(), Error> {
    let known = heir.companions.iter().find(|companion| companion.path == TOKENIZER_CONFIG);
    let mut written = vec![(TEMPLATE, template.to_owned())];
    if let Some(known) = known {
        let text = known.text(registry, registry.limits.config_bytes).await?;
        let mut fields: Map<String, Value> = serde_json::from_str(&text)
            .map_err(|error| Error::Invalid(format!("{TOKENIZER_CONFIG}: {error}")))?;
        fields.insert("chat_template".to_owned(), json!(template));
        written.push((TOKENIZER_CONFIG, format!("{:#}\n", Value::Object(fields))));
    }
    heir.companions.retain(|companion| written.iter().all(|(path, _)| companion.path != *path));
    heir.companions.extend(
        written
            .into_iter()
            .map(|(path, text)| Companion { path: path.to_owned(), from: CompanionFrom::Text(text) }),
    );
    Ok(())
}

impl Companion {
    /// The file as text, of at most `most` bytes.
    pub(crate) async fn text(&self, registry: &Registry, most: u64) -> Result<String, Error> {
        match &self.from {
            CompanionFrom::Blob(digest, _) => Ok(registry.store.read_text(digest, most).await?),
            CompanionFrom::Text(text) => Ok(text.clone()),
            CompanionFrom::Hub(file) => String::from_utf8(file.read_all(most).await?)
                .map_err(|_| Error::Invalid(format!("{} is not UTF-8", self.path))),
            CompanionFrom::File(at) => {
                let at = at.clone();
                tokio::task::spawn_blocking(move || {
                    let size = fs_err::metadata(&at)?.len();
                    if size > most {
                        let file = at.display().to_string();
                        return Err(weights::Error::TooLarge { file, size, limit: most }.into());
                    }
                    Ok(fs_err::read_to_string(&at)?)
                })
                .await?
            }
        }
    }
}
