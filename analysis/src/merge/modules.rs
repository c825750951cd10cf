//! Parts of a model that have layers of their own, under mergekit's names: which tensor belongs to which.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::layout::{Behind, layer_count, position};

/// A part of a model with several stacks of layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MergeModule {
    /// The language model of one that also sees.
    TextDecoder,
    VisionTower,
    /// The same, as some architectures call it.
    VisionModel,
    MultiModalProjector,
    Encoder,
    Decoder,
    /// What encoder and decoder share: the embedding, and the head.
    Shared,
}

impl MergeModule {
    pub const ALL: [Self; 7] = [
        Self::TextDecoder,
        Self::VisionTower,
        Self::VisionModel,
        Self::MultiModalProjector,
        Self::Encoder,
        Self::Decoder,
        Self::Shared,
    ];

    /// As a recipe writes it.
    pub fn word(self) -> &'static str {
        match self {
            Self::TextDecoder => "text_decoder",
            Self::VisionTower => "vision_tower",
            Self::VisionModel => "vision_model",
            Self::MultiModalProjector => "multi_modal_projector",
            Self::Encoder => "encoder",
            Self::Decoder => "decoder",
            Self::Shared => "shared",
        }
    }

    /// Whether a tensor of a model that has this module belongs to it.
    pub fn holds(self, tensor: &str) -> bool {
        match self {
            Self::VisionModel => Self::VisionTower.holds(tensor),
            Self::TextDecoder | Self::VisionTower | Self::MultiModalProjector => seeing(tensor) == self,
            Self::Encoder | Self::Decoder | Self::Shared => translating(tensor) == self,
        }
    }

    /// Whether it has layers, along which a list of values is spread.
    fn layered(self) -> bool {
        !matches!(self, Self::MultiModalProjector | Self::Shared)
    }
}

/// The parts of the name, without the `model.` that some libraries put before all.
fn parts(tensor: &str) -> impl Iterator<Item = &str> {
    tensor.strip_prefix("model.").unwrap_or(tensor).split('.')
}

/// The module of a tensor in a model that also sees.
fn seeing(tensor: &str) -> MergeModule {
    const EYES: [&str; 4] = ["vision_tower", "vision_model", "visual", "vision_encoder"];
    const BETWEEN: [&str; 4] = ["multi_modal_projector", "mm_projector", "connector", "embed_vision"];
    let first = parts(tensor).next().unwrap_or_default();
    let merging = |part: &str| part.starts_with("merger") || part == "deepstack_merger_list";
    if BETWEEN.contains(&first) || first == "visual" && parts(tensor).nth(1).is_some_and(merging) {
        MergeModule::MultiModalProjector
    } else if EYES.contains(&first) {
        MergeModule::VisionTower
    } else {
        MergeModule::TextDecoder
    }
}

/// The module of a tensor in a model with an encoder and a decoder.
fn translating(tensor: &str) -> MergeModule {
    match parts(tensor).next() {
        Some("encoder") => MergeModule::Encoder,
        Some("decoder") => MergeModule::Decoder,
        _ => MergeModule::Shared,
    }
}

/// The modules that a model with these tensors has; none where it is one stack of layers.
pub(crate) fn modules<'n>(names: impl Iterator<Item = &'n str>) -> Vec<MergeModule> {
    let names: Vec<&str> = names.collect();
    let all = |of: fn(&str) -> MergeModule| -> Vec<MergeModule> {
        let found: BTreeSet<MergeModule> = names.iter().map(|name| of(name)).collect();
        found.into_iter().collect()
    };
    let translates = all(translating);
    if translates.contains(&MergeModule::Encoder) && translates.contains(&MergeModule::Decoder) {
        return translates;
    }
    let sees = all(seeing);
    if sees.contains(&MergeModule::VisionTower) { sees } else { Vec::new() }
}

/// How many layers a model has, each of its modules counted by itself.
#[derive(Debug, Default, Clone)]
pub(crate) struct Depths {
    whole: u64,
    modules: BTreeMap<MergeModule, u64>,
}

impl Depths {
    pub fn of<'n>(names: impl Iterator<Item = &'n str> + Clone) -> Self {
        let count = |module: MergeModule| {
            let layers = layer_count(names.clone().filter(|name| module.holds(name)));
            (module, if module.layered() { layers } else { 0 })
        };
        let modules = modules(names.clone()).into_iter().map(count).collect();
        Self { whole: layer_count(names), modules }
    }

    /// Place of a tensor along a gradient; 0 in a module without layers.
    pub fn position(&self, tensor: &str, behind: Behind) -> f64 {
        let layers = self.modules.iter().find(|(module, _)| module.holds(tensor)).map(|(_, layers)| *layers);
        match layers {
            Some(0) => 0.0,
            layers => position(tensor, (0, layers.unwrap_or(self.whole)), behind),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QWEN: [&str; 5] = [
        "model.embed_tokens.weight",
        "model.layers.27.mlp.down_proj.weight",
        "lm_head.weight",
        "visual.blocks.31.attn.proj.bias",
        "visual.merger.mlp.2.bias",
    ];
    const GEMMA: [&str; 3] = [
        "language_model.model.layers.1.mlp.up_proj.weight",
        "vision_tower.vision_model.encoder.layers.3.mlp.fc1.weight",
        "multi_modal_projector.mm_input_projection_weight",
    ];

    #[test]
    fn the_parts_of_a_model_are_told_by_names_as_any_library_writes_them() {
        use MergeModule::{Decoder, Encoder, MultiModalProjector, Shared, TextDecoder, VisionTower};
        let of = |names: &[&str]| modules(names.iter().copied());

        assert_eq!(of(&QWEN), [TextDecoder, VisionTower, MultiModalProjector]);
        assert_eq!(of(&GEMMA), [TextDecoder, VisionTower, MultiModalProjector]);
        assert_eq!(
            of(&["model.visual.blocks.0.norm1.weight", "model.visual.deepstack_merger_list.1.norm.bias"]),
            [VisionTower, MultiModalProjector]
        );
        let t5 = ["shared.weight", "encoder.block.0.layer.0.q.weight", "decoder.block.0.layer.0.q.weight"];
        assert_eq!(of(&t5), [Encoder, Decoder, Shared]);
        assert_eq!(
            of(&["model.decoder.layers.0.fc1.weight", "model.encoder.conv1.bias"]),
            [Encoder, Decoder]
        );
        assert_eq!(of(&["encoder.layer.0.output.dense.weight", "pooler.dense.weight"]), []);
        assert_eq!(of(&["model.layers.0.mlp.up_proj.weight", "lm_head.weight"]), []);
    }

    #[test]
    fn a_gradient_spans_the_layers_of_the_module() {
        let depths = Depths::of(QWEN.iter().copied());

        assert_eq!(depths.position("model.layers.27.mlp.down_proj.weight", Behind::First), 1.0);
        assert_eq!(depths.position("visual.blocks.31.attn.proj.bias", Behind::First), 1.0);
        assert_eq!(depths.position("visual.merger.mlp.2.bias", Behind::First), 0.0);
        assert_eq!(depths.position("lm_head.weight", Behind::First), 0.0);
    }

    #[test]
    fn what_is_behind_the_layers_can_stand_at_the_end_of_a_gradient() {
        let depths = Depths::of(QWEN.iter().copied());
        let at = |tensor| depths.position(tensor, Behind::Last);

        assert_eq!(at("lm_head.weight"), 1.0);
        assert_eq!(at("model.norm.weight"), 1.0);
        assert_eq!(at("model.embed_tokens.weight"), 0.0);
        assert_eq!(at("visual.merger.mlp.2.bias"), 0.0, "between the two stacks there are no layers");
    }
}
