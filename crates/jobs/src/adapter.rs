//! Adapters as operands: a LoRA applied to its base, read like any other model.

use std::sync::Arc;

use analysis::licence::covering;
use serde_json::Value;
use weights::{Baked, TensorSource};

use crate::{Error, Operand};

/// The file that makes a folder an adapter.
pub const CONFIG: &str = "adapter_config.json";

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

/// `adapter` applied to `base`: a model with the base's tensors and configuration, and the adapter's name.
pub async fn bake(adapter: Operand, base: Operand) -> Result<Operand, Error> {
    bake_scaled(adapter, base, 1.0).await
}

/// The same with `scale` of the adapter's change.
pub async fn bake_scaled(adapter: Operand, base: Operand, scale: f64) -> Result<Operand, Error> {
    let Some(config) = adapter.adapter else {
        return Err(Error::Invalid(format!("`{}` is not an adapter", adapter.label)));
    };
    let (low, whole) = (Arc::clone(&adapter.source), Arc::clone(&base.source));
    let baked =
        tokio::task::spawn_blocking(move || Baked::new(whole, low, &config)).await??.with_strength(scale);
    let own_tokenizer = adapter.companions.iter().any(|file| file.path.starts_with("tokenizer"));
    Ok(Operand {
        source: Arc::new(baked),
        adapter: None,
        config: base.config.clone(),
        license: covering(&[adapter.license.as_deref(), base.license.as_deref()]).map(str::to_owned),
        companions: if own_tokenizer { adapter.companions } else { base.companions.clone() },
        base: Some(Box::new(base)),
        ..adapter
    })
}
