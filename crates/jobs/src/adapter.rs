//! Adapters as operands: a LoRA applied to its base, read like any other model.

use std::sync::Arc;

use analysis::{licence::covering, lineage::located};
use domain::Limits;
use serde_json::Value;
use weights::{Baked, TensorSource, Untied, Unties};

use crate::{Access, Error, Operand, Registry, operand::open_whole};

/// The file that makes a folder an adapter.
pub use domain::files::ADAPTER_CONFIG as CONFIG;

/// What the tensors of adapters are called that are no low-rank change: (IA)³, VeRA, LoHa, LoKr.
const OTHERS: [&str; 4] = [".ia3_l", ".vera_lambda_", ".hada_w", ".lokr_w"];

/// Whether a checkpoint holds the tensors of an adapter of any kind rather than a whole model that was trained with one.
pub fn holds_factors(checkpoint: &dyn TensorSource) -> bool {
    let other = |name: &str| OTHERS.iter().any(|part| name.contains(part));
    checkpoint.tensors().iter().any(|info| is_factor(&info.name) || other(&info.name))
}

/// Whether a tensor of this name is a factor of a low-rank change.
pub fn is_factor(name: &str) -> bool {
    [".lora_A.", ".lora_B.", ".lora_embedding_"].iter().any(|part| name.contains(part))
}

/// The base that an adapter's configuration names.
pub fn base_of(config: &Value) -> Option<String> {
    config.get("base_model_name_or_path").and_then(Value::as_str).map(str::to_owned)
}

/// The model that an adapter's configuration names, perhaps by its address or by its place in a cache, as trees know it.
pub(crate) async fn open_base(registry: &Registry, named: &str, access: &Access) -> Result<Operand, Error> {
    match open_whole(registry, named, access).await {
        Err(error) if error.is_unknown() => match located(named) {
            Some(id) => open_whole(registry, id.as_str(), access).await,
            None => Err(error),
        },
        opened => opened,
    }
}

/// The base with a head of its own, where it ties its head to its embedding and the adapter changes one of the two.
fn untied((adapter, config): (&dyn TensorSource, &Value), base: &Operand) -> Option<Untied> {
    match Unties::of(adapter, config)? {
        Unties::Head => Untied::of(&base.source),
        Unties::Table => Untied::of(&base.source).filter(|_| ties_its_head(base.config.as_ref())),
    }
}

/// Whether a model that stores no head has one all the same, which is its embedding.
fn ties_its_head(config: Option<&Value>) -> bool {
    let names = config.and_then(|config| config.get("architectures")?.as_array());
    let heads = ["CausalLM", "LMHead", "ConditionalGeneration"];
    let headed =
        |name: &Value| name.as_str().is_some_and(|name| heads.iter().any(|head| name.contains(head)));
    let ties = config.and_then(|config| config.get("tie_word_embeddings")) != Some(&Value::Bool(false));
    ties && names.is_some_and(|names| names.iter().any(headed))
}

/// `adapter` applied to `base`: a model with the base's tensors and configuration, and the adapter's name.
pub async fn bake(adapter: Operand, base: Operand, limits: Limits) -> Result<Operand, Error> {
    bake_scaled((adapter, 1.0), base, limits).await
}

/// The same with `scale` of the adapter's change.
pub async fn bake_scaled(
    (adapter, scale): (Operand, f64),
    base: Operand,
    limits: Limits,
) -> Result<Operand, Error> {
    let Some(config) = adapter.adapter else {
        return Err(Error::Invalid(format!("`{}` is not an adapter", adapter.label)));
    };
    let untied = untied((&*adapter.source, &config), &base);
    let mut merged = base.config.clone();
    if let Some(fields) = merged.as_mut().filter(|_| untied.is_some()).and_then(Value::as_object_mut) {
        fields.insert("tie_word_embeddings".to_owned(), Value::Bool(false));
    }
    let low = Arc::clone(&adapter.source);
    let whole: Arc<dyn TensorSource> = match untied {
        Some(untied) => Arc::new(untied),
        None => Arc::clone(&base.source),
    };
    let baked = tokio::task::spawn_blocking(move || Baked::new(whole, low, &config, &limits)).await??;
    let baked = baked.with_strength(scale);
    let own_tokenizer = adapter.companions.iter().any(|file| file.path.starts_with("tokenizer"));
    Ok(Operand {
        source: Arc::new(baked),
        adapter: None,
        config: merged,
        license: covering(&[adapter.license.as_deref(), base.license.as_deref()]).map(str::to_owned),
        companions: if own_tokenizer { adapter.companions } else { base.companions.clone() },
        base: Some(Box::new(base)),
        planned: None,
        ..adapter
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::ties_its_head;

    #[test]
    fn only_a_model_with_a_head_that_is_not_said_to_be_its_own_ties_it() {
        let ties = |config| ties_its_head(Some(&config));

        assert!(ties(json!({"architectures": ["GPT2LMHeadModel"]})));
        assert!(ties(json!({"architectures": ["Qwen2ForCausalLM"], "tie_word_embeddings": true})));
        assert!(!ties(json!({"architectures": ["LlamaForCausalLM"], "tie_word_embeddings": false})));
        assert!(!ties(json!({"architectures": ["LlamaForSequenceClassification"]})));
        assert!(!ties(json!({})) && !ties_its_head(None));
    }
}
