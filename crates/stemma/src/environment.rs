//! Which `STEMMA_…` variables are ours. Others may share the prefix: Kubernetes sets `STEMMA_PORT` and more in every
//! container beside a service called `stemma`.

use domain::Limits;
use figment::providers::Env;

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

/// The variables that set something.
pub fn ours() -> Env {
    let keys = keys();
    Env::prefixed(PREFIX).filter(move |name| keys.iter().any(|key| name == key.as_str())).split("__")
}

/// Variables that look like a slip of the pen, and what was probably meant.
pub fn slips<'a>(names: impl Iterator<Item = &'a str>) -> Vec<(&'a str, String)> {
    let keys = keys();
    let meant = |name: &str| {
        let own = name.strip_prefix(PREFIX)?.to_ascii_lowercase();
        let (near, key) = keys.iter().map(|key| (distance(&own, key), key)).min()?;
        let slip = near > 0 && (near <= own.len() / 4 || own.starts_with("limits__"));
        slip.then(|| format!("{PREFIX}{}", key.to_ascii_uppercase()))
    };
    names.filter_map(|name| Some((name, meant(name)?))).collect()
}

/// Letters to add, drop, change or swap with a neighbour to get from one word to the other.
fn distance(from: &str, to: &str) -> usize {
    let (from, to) = (from.as_bytes(), to.as_bytes());
    let mut rows = vec![(0..=to.len()).collect::<Vec<usize>>()];
    for (i, a) in from.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in to.iter().enumerate() {
            let mut best = (rows[i][j] + usize::from(a != b)).min(rows[i][j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == to[j - 1] && from[i - 1] == *b {
                best = best.min(rows[i - 1][j - 1] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[from.len()][to.len()]
}

#[cfg(test)]
mod tests {
    use super::{distance, slips};

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

    #[test]
    fn a_swap_of_neighbours_is_one_slip() {
        assert_eq!(
            [distance("lsiten", "listen"), distance("", "ab"), distance("kitten", "sitting")],
            [1, 2, 3]
        );
    }
}
