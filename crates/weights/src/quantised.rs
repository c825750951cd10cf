//! Quantised layouts, told from tensor names and config.json before any data is read.
//!
//! Their codes are not the weights themselves: such checkpoints are stored and listed, but not computed with.

use std::fmt;

use domain::files::is_weights;
use kernels::Dtype;
use serde_json::Value;

use crate::{Error, TensorInfo, json::shown};

/// A layout and the endings of tensor names that only it has.
struct Mark {
    layout: &'static str,
    bits: Option<u64>,
    group_size: Option<u64>,
    ends: &'static [&'static str],
}

const fn mark(layout: &'static str, bits: Option<u64>, ends: &'static [&'static str]) -> Mark {
    Mark { layout, bits, group_size: None, ends }
}

/// Packed integers in `.qweight` are of one of these two.
const GPTQ: Mark = mark("GPTQ", None, &[".qweight", ".qzeros", ".g_idx"]);
const AWQ: Mark = mark("AWQ", None, GPTQ.ends);
const MXFP4: Mark = Mark { layout: "MXFP4", bits: Some(4), group_size: Some(32), ends: &["_blocks"] };
const INTEGERS: Mark = mark("compressed-tensors", None, &[".weight_packed", ".weight_zero_point"]);

/// Told by a name alone; the first that fits decides.
const MARKS: [Mark; 10] = [
    mark(
        "bitsandbytes 4-bit",
        Some(4),
        &[".absmax", ".quant_map", ".quant_state.bitsandbytes__nf4", ".quant_state.bitsandbytes__fp4"],
    ),
    mark("bitsandbytes 8-bit", Some(8), &[".SCB"]),
    Mark { group_size: Some(16), ..mark("NVFP4", Some(4), &[".weight_scale_2", ".weight_global_scale"]) },
    INTEGERS,
    mark("HQQ", None, &[".W_q"]),
    mark("AQLM", None, &[".codebooks"]),
    mark("QuIP#", None, &[".Qidxs"]),
    mark("EETQ", Some(8), &[".weight_scales"]),
    mark("Quanto", None, &[".weight._data"]),
    GPTQ,
];

/// What stands beside a weight and scales it.
const SCALES: [&str; 2] = ["_scale", "_scale_inv"];

/// How a checkpoint is quantised, and which tensor says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quantisation {
    /// The layout's usual name, e.g. `GPTQ`.
    pub layout: String,
    /// Bits of one weight, when the layout or config.json says.
    pub bits: Option<u64>,
    /// Weights that share a scale, when the layout or config.json says.
    pub group_size: Option<u64>,
    pub tensor: String,
}

impl fmt::Display for Quantisation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.layout)?;
        let bits = self.bits.map(|bits| format!("{bits} bits"));
        let group = self.group_size.map(|size| format!("groups of {size}"));
        let known: Vec<String> = bits.into_iter().chain(group).collect();
        if known.is_empty() { Ok(()) } else { write!(f, " ({})", known.join(", ")) }
    }
}

impl From<Quantisation> for Error {
    fn from(told: Quantisation) -> Self {
        Self::Quantised { layout: told.to_string(), tensor: told.tensor }
    }
}

/// Whether a tensor of this name belongs to a quantised layout, whose codes are not the weights themselves.
pub fn is_quantised(name: &str) -> bool {
    let scale = SCALES.iter().any(|end| name.strip_suffix(end).is_some_and(|of| of.ends_with(".weight")));
    scale || MARKS.iter().flat_map(|mark| mark.ends).any(|end| name.ends_with(end))
}

/// The quantised layout of a checkpoint; `None` for plain numbers, eight-bit floats with scales among them.
/// Tensors decide, config.json only tells more of what they show.
pub fn quantisation(tensors: &[TensorInfo], config: Option<&Value>) -> Option<Quantisation> {
    let section = config.and_then(|config| {
        config
            .get("quantization_config")
            .or_else(|| config.get("compression_config"))
            .filter(|c| c.is_object())
    });
    let method = section.and_then(|section| section.get("quant_method")).and_then(Value::as_str);
    let found = |mark: &Mark, info: &TensorInfo| Quantisation {
        layout: mark.layout.to_owned(),
        bits: mark.bits.or_else(|| number(section, &["bits", "w_bit", "nbits", "num_bits"])),
        group_size: mark.group_size.or_else(|| number(section, &["group_size", "q_group_size"])),
        tensor: info.name.clone(),
    };
    let named = MARKS
        .iter()
        .find_map(|mark| tensors.iter().find(|info| ends(&info.name, mark)).map(|info| (mark, info)));
    if let Some((mark, info)) = named {
        let awq = mark.layout == GPTQ.layout && is_awq(tensors, method);
        return Some(found(if awq { &AWQ } else { mark }, info));
    }
    let blocks = |info: &&TensorInfo| info.dtype == Dtype::U8 && ends(&info.name, &MXFP4);
    if let Some(info) = tensors.iter().find(blocks) {
        return Some(found(&MXFP4, info));
    }
    let coded = |info: &&TensorInfo| {
        let integers = matches!(info.dtype, Dtype::I8 | Dtype::U8 | Dtype::I32) && info.shape.len() >= 2;
        let scaled = || SCALES.iter().any(|end| position(tensors, &format!("{}{end}", info.name)).is_some());
        integers && info.name.ends_with(".weight") && (method.is_some() || scaled())
    };
    tensors.iter().find(coded).map(|info| {
        let layout = method.map_or_else(|| INTEGERS.layout.to_owned(), shown);
        Quantisation { layout, ..found(&INTEGERS, info) }
    })
}

fn ends(name: &str, mark: &Mark) -> bool {
    mark.ends.iter().any(|end| name.ends_with(end))
}

pub(crate) fn position(tensors: &[TensorInfo], name: &str) -> Option<usize> {
    tensors.binary_search_by(|info| info.name.as_str().cmp(name)).ok()
}

/// AWQ packs eight outputs into one column, GPTQ eight inputs into one row.
fn is_awq(tensors: &[TensorInfo], method: Option<&str>) -> bool {
    if let Some(method) = method {
        return method.eq_ignore_ascii_case("awq");
    }
    tensors.iter().any(|info| {
        let module = info.name.strip_suffix(".qweight");
        let scales = module.and_then(|module| position(tensors, &format!("{module}.scales")));
        match (&info.shape[..], scales.map(|at| &tensors[at].shape[..])) {
            ([_, packed], Some([_, outputs])) => packed < outputs,
            _ => false,
        }
    })
}

/// The first number under one of `keys`, in the section or in a group of it; what is said of activations is passed
/// over.
fn number(section: Option<&Value>, keys: &[&str]) -> Option<u64> {
    let fields = section?.as_object()?;
    let here = keys.iter().find_map(|key| fields.get(*key)?.as_u64());
    here.or_else(|| {
        let inner =
            fields.iter().filter(|(key, _)| !key.contains("activations") && !key.contains("kv_cache"));
        inner.into_iter().find_map(|(_, value)| number(Some(value), keys))
    })
}

/// A file that holds weights in a form that is not read, and what to do about it; for a repository whose safetensors, if
/// it has any, make no checkpoint.
pub fn foreign_weights<'n>(names: impl IntoIterator<Item = &'n str>) -> Option<Error> {
    const FORMS: [(&[&str], &str, &str); 4] = [
        (&[".gguf"], "GGUF", "name the model it was converted from"),
        (&[".onnx"], "ONNX", "name the model it was exported from"),
        (
            &[".bin", ".pt", ".pth", ".ckpt"],
            "a PyTorch pickle, which can run code and is never unpickled",
            "convert it to safetensors, e.g. with save_pretrained, and import that",
        ),
        (&[".h5", ".msgpack"], "TensorFlow or Flax", "convert it to safetensors and import that"),
    ];
    let names: Vec<&str> = names.into_iter().collect();
    if let Some(file) = names.iter().find(|name| is_weights(name)) {
        let (form, advice) = match file.contains('/') {
            true => ("a part in a folder of its own", "import that folder as a model"),
            false => (
                "one of several safetensors files without an index",
                "give each a folder of its own, or write shards as model-0000n-of-0000m.safetensors",
            ),
        };
        return Some(Error::Foreign { file: (*file).to_owned(), form, advice });
    }
    FORMS.into_iter().find_map(|(ends, form, advice)| {
        let file = names.iter().find(|name| {
            let pickle = ends.contains(&".bin");
            let weights = ["model", "pytorch", "adapter", "consolidated", "diffusion"];
            ends.iter().any(|end| name.ends_with(end))
                && (!pickle || weights.iter().any(|part| name.contains(part)))
        })?;
        Some(Error::Foreign { file: (*file).to_owned(), form, advice })
    })
}
