//! Which `STEMMA_…` variables are ours. Others may share the prefix: Kubernetes sets `STEMMA_PORT` and more in every
//! container beside a service called `stemma`.

use domain::{Item, Limits, distance};
use figment::{
    Error, Metadata, Profile, Provider,
    providers::{Env, Serialized},
    value::{Dict, Map},
};

const PREFIX: &str = "STEMMA_";

/// What the variables may be called, without the prefix and in lower case.
fn keys() -> Vec<String> {
    let mut keys = [
        "data",
        "database",
        "blobs",
        "hub",
        "hub_token",
        "listen",
        "device",
        "log",
        "log_format",
        "public_url",
        "pull",
        "reads",
        "writes",
    ]
    .map(str::to_owned)
    .to_vec();
    if let Ok(serde_json::Value::Object(limits)) = serde_json::to_value(Limits::default()) {
        keys.extend(limits.keys().map(|key| format!("limits__{key}")));
    }
    keys
}

/// Keys whose value may stand in a file that a variable with `_FILE` behind its name names.
const SECRETS: [&str; 2] = ["hub_token", "database"];

/// The variables that set something; an empty one is as none.
pub fn ours() -> Env {
    let keys = keys();
    let given = |key: &str| var(key).is_some_and(|value| !value.is_empty());
    Env::prefixed(PREFIX)
        .filter(move |name| keys.iter().any(|key| name == key.as_str() && given(key)))
        .split("__")
}

fn var(key: &str) -> Option<std::ffi::OsString> {
    std::env::var_os(format!("{PREFIX}{}", key.to_ascii_uppercase()))
}

/// A value that stands in a file, under the name of the variable that names the file.
pub struct FromFile {
    pub key: &'static str,
    pub variable: String,
    pub value: String,
}

impl Provider for FromFile {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.variable.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, Error> {
        Serialized::global(self.key, &self.value).data()
    }
}

/// Values that stand in files, and what is wrong with them.
pub fn secrets() -> (Vec<FromFile>, Vec<Item>) {
    let (mut values, mut faults) = (Vec::new(), Vec::new());
    for key in SECRETS {
        let file = format!("{key}_file");
        let Some(path) = var(&file).filter(|path| !path.is_empty()) else { continue };
        let name = format!("{PREFIX}{}", file.to_ascii_uppercase());
        if var(key).is_some_and(|value| !value.is_empty()) {
            let message = format!("{name} and the variable without _FILE are both set; keep one of the two");
            faults.push(Item { pointer: key.to_owned(), message });
            continue;
        }
        match fs_err::read_to_string(&path) {
            Ok(text) => {
                values.push(FromFile { key, variable: name, value: text.trim_end().to_owned() });
            }
            Err(error) => {
                faults.push(Item { pointer: key.to_owned(), message: format!("{name}: {error}") });
            }
        }
    }
    (values, faults)
}

/// Variables that look like a slip of the pen, and what was probably meant.
pub fn slips<'a>(names: impl Iterator<Item = &'a str>) -> Vec<(&'a str, String)> {
    let mut keys = keys();
    keys.extend(SECRETS.map(|key| format!("{key}_file")));
    let meant = |name: &str| {
        let own = name.strip_prefix(PREFIX)?.to_ascii_lowercase();
        let (near, key) = keys.iter().map(|key| (distance(&own, key), key)).min()?;
        let slip = near > 0 && (near <= own.len() / 4 || own.starts_with("limits__"));
        slip.then(|| format!("{PREFIX}{}", key.to_ascii_uppercase()))
    };
    names.filter_map(|name| Some((name, meant(name)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::{keys, slips};

    /// Set by the image, or left to the folder and the processor of a container.
    const OF_THE_IMAGE: [&str; 3] = ["data", "listen", "device"];

    #[test]
    fn what_is_set_for_docker_compose_reaches_the_program() {
        let compose = include_str!("../../../docker-compose.yml");

        let missing: Vec<String> = keys()
            .into_iter()
            .filter(|key| !key.starts_with("limits__") && !OF_THE_IMAGE.contains(&key.as_str()))
            .map(|key| format!("STEMMA_{}: ", key.to_ascii_uppercase()))
            .filter(|name| !compose.contains(name.as_str()))
            .collect();

        assert_eq!(missing, Vec::<String>::new());
    }

    #[test]
    fn slips_of_the_pen_are_told_from_variables_of_others() {
        let names = [
            "STEMMA_DATABSE",
            "STEMMA_LSITEN",
            "STEMMA_LIMITS_PAGE_MAX",
            "STEMMA_LIMITS__COLOUR_OF_PAGES",
            "STEMMA_DATABASE",
            "STEMMA_PORT",
            "STEMMA_PORT_8080_TCP_ADDR",
            "STEMMA_SERVICE_HOST",
            "STEMMA_TEST_POSTGRES",
            "PATH",
        ];

        let found = slips(names.into_iter());

        let names: Vec<&str> = found.iter().map(|(name, _)| *name).collect();
        assert_eq!(
            names,
            ["STEMMA_DATABSE", "STEMMA_LSITEN", "STEMMA_LIMITS_PAGE_MAX", "STEMMA_LIMITS__COLOUR_OF_PAGES"]
        );
        assert_eq!(found[0].1, "STEMMA_DATABASE");
        assert_eq!(found[2].1, "STEMMA_LIMITS__PAGE_MAX");
    }
}
