//! Parameter settings of a recipe: a scalar, a gradient over the layers, or a list of values filtered by tensor name.

use std::collections::BTreeMap;

use domain::Item;
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::{Kind, ParamSpec, keys, yaml};

/// Most filtered values of one setting; each is tried against every tensor.
const MOST_CASES: usize = 256;

/// Settings by parameter name.
pub type Settings = BTreeMap<String, Setting>;

/// A number or the word of a choice, or several of them placed along the layers.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Curve {
    Constant(f64),
    Gradient(Vec<f64>),
    /// Flags along the layers, each up to the next.
    Flags(Vec<bool>),
    Choice(Chosen),
    /// Words along the layers, each up to the next.
    Choices(Vec<Chosen>),
    /// Name of a file.
    File(String),
}

/// A word of a choice, written as that word.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Chosen {
    word: &'static str,
    place: usize,
}

impl Serialize for Chosen {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word)
    }
}

impl Curve {
    /// The value at `t` from 0 (first layer) to 1 (last).
    fn at(&self, t: f64) -> f64 {
        match self {
            Self::Constant(value) => *value,
            Self::Choice(chosen) => chosen.place as f64,
            // A file is opened by its name and has no number.
            Self::File(_) => 0.0,
            Self::Choices(words) => below(words, t).map_or(0.0, |chosen| chosen.place as f64),
            Self::Flags(flags) => f64::from(u8::from(below(flags, t).is_some_and(|flag| *flag))),
            Self::Gradient(values) => {
                let last = values.len() - 1;
                let place = t.clamp(0.0, 1.0) * last as f64;
                let below = (place.floor() as usize).min(last);
                let share = place - below as f64;
                if share == 0.0 {
                    values[below]
                } else {
                    (1.0 - share) * values[below] + share * values[(below + 1).min(last)]
                }
            }
        }
    }
}

/// A number as people read it: a very large or small one by its power of ten.
pub(super) fn figure(value: f64) -> String {
    match value.abs() {
        0.0 | 1e-6..1e15 => value.to_string(),
        _ => format!("{value:e}"),
    }
}

/// The one of several values placed along the layers that is at `t` or before it.
fn below<T>(values: &[T], t: f64) -> Option<&T> {
    values.get((t.clamp(0.0, 1.0) * values.len().saturating_sub(1) as f64).floor() as usize)
}

/// A curve for the tensors whose name contains `filter`; no filter or `*` means all.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Case {
    pub filter: Option<String>,
    pub value: Curve,
}

/// One setting: the first case that matches wins.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Setting {
    cases: Vec<Case>,
}

impl Setting {
    /// Value for a tensor at position `t`; `None` when no filter matches.
    pub fn of(&self, tensor: &str, t: f64) -> Option<f64> {
        let matches = |case: &&Case| case.filter.as_deref().is_none_or(|f| f == "*" || tensor.contains(f));
        self.cases.iter().find(matches).map(|case| case.value.at(t))
    }

    /// The file that is named, the same for all tensors.
    pub(super) fn file(&self) -> Option<&str> {
        match self.cases.as_slice() {
            [Case { filter: None, value: Curve::File(name) }] => Some(name),
            _ => None,
        }
    }

    /// This one, and `next` for the tensors that none of its filters match.
    pub(super) fn then(mut self, next: Self) -> Self {
        self.cases.extend(next.cases);
        self
    }

    /// Whether tensors that no layer holds get the first of several values.
    pub(super) fn is_gradient(&self) -> bool {
        self.cases.iter().any(|case| matches!(&case.value, Curve::Gradient(values) if values.len() > 1))
    }

    /// Reads a setting as mergekit writes it; what is wrong goes to `faults`.
    pub(crate) fn read(
        value: &Value,
        spec: &'static ParamSpec,
        pointer: &str,
        faults: &mut Vec<Item>,
    ) -> Option<Self> {
        let curve = |value: &Value| curve(value, spec);
        let mut fault = |pointer: String, message: String| faults.push(Item { pointer, message });
        let filtered: Vec<&Value> = match value {
            Value::Object(_) => vec![value],
            Value::Array(items) if items.first().is_some_and(Value::is_object) => items.iter().collect(),
            _ => {
                let curve = curve(value).map_err(|message| fault(pointer.to_owned(), message)).ok()?;
                return Some(Self { cases: vec![Case { filter: None, value: curve }] });
            }
        };
        if filtered.len() > MOST_CASES {
            fault(pointer.to_owned(), format!("{} filters; at most {MOST_CASES} are read", filtered.len()));
            return None;
        }
        let mut cases = Vec::new();
        for (at, item) in filtered.into_iter().enumerate() {
            let pointer = match value {
                Value::Object(_) => pointer.to_owned(),
                _ => format!("{pointer}/{at}"),
            };
            let Some(fields) = item.as_object() else {
                fault(pointer, "expected `{filter, value}` like its neighbours".into());
                continue;
            };
            for key in fields.keys().filter(|key| !keys::FILTERED.contains(&key.as_str())) {
                fault(
                    format!("{pointer}/{}", domain::json::pointed(key)),
                    keys::unknown(key, keys::FILTERED),
                );
            }
            let filter = match fields.get("filter") {
                None | Some(Value::Null) => None,
                Some(Value::String(text)) => Some(text.clone()),
                Some(_) => {
                    fault(format!("{pointer}/filter"), "expected part of a tensor name".into());
                    continue;
                }
            };
            match fields.get("value").map_or_else(|| Err("`value` is missing".into()), curve) {
                Ok(value) => cases.push(Case { filter, value }),
                Err(message) => fault(format!("{pointer}/value"), message),
            }
        }
        if spec.kind == Kind::File && !matches!(cases.as_slice(), [Case { filter: None, .. }]) {
            fault(
                pointer.to_owned(),
                "one file holds all tensors of a model; name it without filters".into(),
            );
            return None;
        }
        Some(Self { cases })
    }
}

fn curve(value: &Value, spec: &'static ParamSpec) -> Result<Curve, String> {
    if spec.kind == Kind::Choice {
        return match value {
            Value::Array(items) if items.is_empty() => Err("a list needs one word or more".into()),
            Value::Array(items) => {
                Ok(Curve::Choices(items.iter().map(|v| chosen(v, spec)).collect::<Result<_, _>>()?))
            }
            word => chosen(word, spec).map(Curve::Choice),
        };
    }
    if spec.kind == Kind::File {
        let name = value.as_str().map(str::trim).filter(|name| !name.is_empty());
        let named =
            name.ok_or_else(|| "expected one name of a model, folder or safetensors file".to_owned())?;
        return Ok(Curve::File(named.to_owned()));
    }
    match value {
        Value::Array(items) if items.is_empty() => Err("a gradient needs one number or more".into()),
        Value::Array(items)
            if spec.kind == Kind::Flag && items.iter().all(|item| yaml::flag(item).is_some()) =>
        {
            Ok(Curve::Flags(items.iter().filter_map(yaml::flag).collect()))
        }
        Value::Array(items) => {
            let numbers = items.iter().map(|item| number(item, spec)).collect::<Result<_, _>>()?;
            Ok(Curve::Gradient(numbers))
        }
        other => number(other, spec).map(Curve::Constant),
    }
}

fn chosen(value: &Value, spec: &'static ParamSpec) -> Result<Chosen, String> {
    if value.is_boolean() || value.is_number() && spec.place(&value.to_string()).is_none() {
        return Err(format!("expected one of {}, found {value}", spec.choices.join(", ")));
    }
    let word = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let place = spec.place(&word).ok_or_else(|| keys::unknown(&word, spec.choices))?;
    Ok(Chosen { word: spec.choices[place], place })
}

fn number(value: &Value, spec: &'static ParamSpec) -> Result<f64, String> {
    let flag = spec.kind == Kind::Flag;
    let number = match value {
        // As mergekit reads it, a flag is 1 or 0 where a number stands, and a text is what it says.
        Value::Bool(set) => Some(f64::from(u8::from(*set))),
        other if flag => yaml::flag(other).map(|set| f64::from(u8::from(set))).or(other.as_f64()),
        Value::String(text) => text.trim().parse().ok(),
        other => other.as_f64(),
    };
    let number = number.filter(|number| !flag || [0.0, 1.0].contains(number));
    number.filter(|n| n.is_finite()).ok_or_else(|| {
        let shown: String = value.to_string().chars().take(40).collect();
        if flag {
            return format!(
                "expected true or false, a list of them or a list of `{{filter, value}}`, found {shown}"
            );
        }
        format!("expected a number, a list of numbers or a list of `{{filter, value}}`, found {shown}")
    })
}
