//! What is wrong with a configuration: every fault at once, each at its key.

use domain::{Item, Limits, nearest};
use figment::{
    Figment,
    error::Kind,
    providers::Serialized,
    value::{Dict, Value},
};
use tracing_subscriber::EnvFilter;

use super::Config;

/// Limits that mean something at 0; all others count or measure what there must be some of.
const MAY_BE_NONE: [&str; 22] = [
    "body_grace_seconds",
    "body_rate",
    "check_bytes",
    "device_bytes",
    "event_listeners",
    "export_models",
    "hub_cache_bytes",
    "hub_tries",
    "hub_wait_seconds",
    "inline_bytes",
    "lineage_bytes",
    "lineage_models",
    "pull_wait_seconds",
    "queued_jobs",
    "queued_jobs_each",
    "rate_api",
    "rate_measure",
    "rate_pages",
    "rate_resolve",
    "reserve_bytes",
    "search_bytes",
    "watch_models",
];
const LIMITS: &str = "limits";

/// Unknown keys, with the nearest known one, and values of another kind; what can be read goes on to [`of_values`].
pub fn of_keys(figment: &Figment) -> Vec<Item> {
    let given: Dict = match figment.extract() {
        Ok(given) => given,
        Err(error) => return vec![unread(&error)],
    };
    let (top, limits) = (names(&Config::default()), names(&Limits::default()));
    let mut faults = Vec::new();
    for (key, value) in &given {
        match value {
            Value::Dict(_, within) if key == LIMITS => {
                for (key, value) in within {
                    faults.extend(of_key((LIMITS, key), value, &limits));
                }
            }
            value => faults.extend(of_key(("", key), value, &top)),
        }
    }
    faults
}

/// A configuration that cannot be read at all, such as a file that is no TOML.
pub fn unread(error: &figment::Error) -> Item {
    item("", error.to_string())
}

fn names(of: &impl serde::Serialize) -> Vec<String> {
    match serde_json::to_value(of) {
        Ok(serde_json::Value::Object(fields)) => fields.keys().cloned().collect(),
        _ => Vec::new(),
    }
}

fn of_key((above, key): (&str, &str), value: &Value, known: &[String]) -> Option<Item> {
    let path = if above.is_empty() { key.to_owned() } else { format!("{above}.{key}") };
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    if !known.contains(&key) {
        let told = match nearest(key, &known) {
            Some(near) => format!("there is no such key; did you mean `{near}`?"),
            None if above.is_empty() => format!("there is no such key; there are {}", known.join(", ")),
            None => "there is no such limit; `stemma config show` lists all".to_owned(),
        };
        return Some(item(&path, told));
    }
    let alone = Figment::from(Serialized::defaults(Config::default()));
    let read = alone.merge(Serialized::global(&path, value)).extract::<Config>();
    let told = match read.err()?.kind {
        Kind::InvalidType(found, wanted) | Kind::InvalidValue(found, wanted) => {
            let wanted = wanted.to_string();
            let wanted = match wanted.as_str() {
                "u64" | "u32" | "usize" => "a whole number, 0 or more",
                "i64" | "i32" => "a whole number",
                other => other,
            };
            format!("expected {wanted}, found {found}")
        }
        Kind::UnknownVariant(found, wanted) => {
            format!("`{found}` is none of {}", wanted.join(", "))
        }
        other => other.to_string(),
    };
    Some(item(&path, told))
}

/// Values that are of the right kind and mean nothing.
pub fn of_values(config: &Config) -> Vec<Item> {
    let mut faults = Vec::new();
    let mut fault = |key: &str, told: String| faults.push(item(key, told));
    if let Err(error) = config.device.parse::<gpu::Choice>() {
        fault("device", error);
    }
    if let Some(error) = config.public_url.as_deref().and_then(|url| http::PublicUrl::parse(url).err()) {
        fault("public_url", error.to_string());
    }
    if let Err(error) = EnvFilter::try_new(&config.log) {
        fault("log", error.to_string());
    }
    let port =
        config.listen.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?)));
    if port.is_none_or(|(host, _)| host.is_empty()) {
        fault("listen", format!("`{}` is no address with a port, such as 127.0.0.1:8080", config.listen));
    }
    if let Some(hub) = &config.hub
        && let Err(error) = hub::HubClient::new(hub, &config.limits)
    {
        fault("hub", error.to_string());
    }
    if let Ok(serde_json::Value::Object(limits)) = serde_json::to_value(config.limits) {
        for (key, value) in &limits {
            if value.as_f64().is_some_and(|value| value <= 0.0) && !MAY_BE_NONE.contains(&key.as_str()) {
                fault(&format!("{LIMITS}.{key}"), format!("it must be 1 or more, {value} given"));
            }
        }
    }
    if config.limits.matrix == 1 {
        fault("limits.matrix", "kinship compares two models or more, 1 given".to_owned());
    }
    faults
}

fn item(key: &str, message: String) -> Item {
    Item { pointer: key.to_owned(), message }
}

#[cfg(test)]
mod tests {
    use figment::providers::{Format as _, Toml};

    use super::*;

    fn told(toml: &str) -> Vec<String> {
        let figment = Figment::from(Serialized::defaults(Config::default())).merge(Toml::string(toml));
        let mut faults = of_keys(&figment);
        if faults.is_empty() {
            faults = of_values(&figment.extract().unwrap());
        }
        faults.into_iter().map(|fault| format!("{}: {}", fault.pointer, fault.message)).collect()
    }

    #[test]
    fn every_key_that_is_unknown_or_of_another_kind_is_told_at_once_with_the_nearest() {
        let faults = told(
            "listn = \"x\"\nreads = \"everybody\"\nlog_format = \"xml\"\npull = \"maybe\"\n[foo]\n[limits]\npage = \"x\"\ntensrs = 3\nrank = -1",
        );

        assert_eq!(faults.len(), 8, "{faults:#?}");
        for wanted in [
            "listn: there is no such key; did you mean `listen`?",
            "reads: `everybody` is none of anyone, token",
            "log_format: `xml` is none of text, json",
            "limits.tensrs: there is no such key; did you mean `tensors`?",
            "limits.page: expected a whole number, 0 or more, found string \"x\"",
        ] {
            assert!(faults.iter().any(|told| told == wanted), "{wanted} in {faults:#?}");
        }
        assert!(faults.iter().any(|told| told.starts_with("foo: there is no such key; did you mean ")));
    }

    #[test]
    fn values_that_mean_nothing_are_told_at_once_too() {
        let faults = told(
            "listen = \"nonsense\"\nhub = \"ftp://x\"\ndevice = \"tpu\"\n[limits]\nmatrix = 0\npage = 0\nlineage_bytes = 0",
        );

        let keys: Vec<&str> = faults.iter().filter_map(|told| told.split(':').next()).collect();
        assert_eq!(keys, ["device", "listen", "hub", "limits.page", "limits.matrix"]);
    }

    #[test]
    fn the_example_of_the_readme_has_no_fault() {
        let readme = include_str!("../../../../README.md");

        let example = readme.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();

        assert!(example.contains("[limits]"), "{example}");
        assert_eq!(told(example), Vec::<String>::new());
    }

    #[test]
    fn the_defaults_have_no_fault() {
        assert_eq!(told(""), Vec::<String>::new());
    }
}
