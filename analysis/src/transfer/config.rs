//! Configurations of the three models side by side: what must be equal, and what had better be.

use serde::Serialize;
use serde_json::Value;

/// config.json of each model, where it is known.
#[derive(Debug, Clone, Copy, Default)]
pub struct Configs<'a> {
    pub target_base: Option<&'a Value>,
    pub source_base: Option<&'a Value>,
    pub source_tuned: Option<&'a Value>,
}

/// How bad a difference is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    Warning,
    Error,
}

/// A field of the configurations that is not the same in all models that have one.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// A field of config.json, or `tokenizer`.
    pub field: String,
    pub severity: Severity,
    pub target_base: Value,
    pub source_base: Value,
    pub source_tuned: Value,
}

/// Fields of one meaning: the names that architectures give it.
struct Field {
    names: &'static [&'static str],
    severity: Severity,
}

const fn field(names: &'static [&'static str], severity: Severity) -> Field {
    Field { names, severity }
}

/// A difference of shape is an error, one of meaning a warning.
const FIELDS: &[Field] = &[
    field(&["model_type"], Severity::Warning),
    field(&["hidden_size", "n_embd", "d_model"], Severity::Error),
    field(&["num_hidden_layers", "n_layer", "num_layers"], Severity::Error),
    field(&["num_attention_heads", "n_head", "num_heads"], Severity::Error),
    field(&["num_key_value_heads"], Severity::Error),
    field(&["head_dim"], Severity::Error),
    field(&["intermediate_size", "n_inner", "d_ff"], Severity::Error),
    field(&["hidden_act", "activation_function"], Severity::Warning),
    field(&["rope_theta"], Severity::Warning),
    field(&["rope_scaling"], Severity::Warning),
    field(&["rope_parameters"], Severity::Warning),
    field(&["rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon"], Severity::Warning),
    field(&["sliding_window"], Severity::Warning),
    field(&["tie_word_embeddings"], Severity::Warning),
];

/// Fields whose absence is a value of its own; any other that a configuration lacks has its default.
const SAYS_NONE: [&str; 2] = ["rope_scaling", "sliding_window"];

/// Every field that differs.
pub(super) fn differences(configs: Configs<'_>) -> Vec<Difference> {
    let all = [configs.target_base, configs.source_base, configs.source_tuned];
    let Some(all) = all.into_iter().collect::<Option<Vec<&Value>>>() else { return Vec::new() };
    let differing = |field: &Field| {
        let values: Vec<Value> = all.iter().map(|config| value(config, field.names)).collect();
        let [target, base, tuned] = <[Value; 3]>::try_from(values).ok()?;
        let none = SAYS_NONE.contains(&field.names[0]);
        let pairs = [(&target, &base), (&base, &tuned), (&tuned, &target)];
        let differ = |(a, b): (&Value, &Value)| !alike(a, b) && (none || !(a.is_null() || b.is_null()));
        let differs = pairs.into_iter().any(differ);
        differs.then(|| Difference {
            field: field.names[0].to_owned(),
            severity: field.severity,
            target_base: target,
            source_base: base,
            source_tuned: tuned,
        })
    };
    FIELDS.iter().filter_map(differing).collect()
}

/// The fields of these `names` that both configurations have and that differ, with the first's value and the second's. One that
/// says something by its absence need not be in both.
pub(crate) fn differing<'n>(
    (one, other): (&Value, &Value),
    names: &[&'n str],
) -> Vec<(&'n str, Value, Value)> {
    let known = |name: &str| FIELDS.iter().find(|field| field.names[0] == name);
    let values = |name: &'n str| {
        let names = known(name)?.names;
        let (a, b) = (value(one, names), value(other, names));
        let said = SAYS_NONE.contains(&name) || !(a.is_null() || b.is_null());
        (said && !alike(&a, &b)).then_some((name, a, b))
    };
    names.iter().copied().filter_map(values).collect()
}

/// The first of several names that a configuration, or that of the text model in it, has a value under.
fn value(config: &Value, names: &[&str]) -> Value {
    let inner = config.get("text_config").unwrap_or(config);
    let found = names.iter().find_map(|name| inner.get(name).or_else(|| config.get(name)));
    found.cloned().unwrap_or_default()
}

/// Equal, numbers by value: one configuration writes 10000, another 10000.0.
fn alike(a: &Value, b: &Value) -> bool {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    }
}
