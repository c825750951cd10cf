//! What mergekit-yaml's options would be here, for those that `stemma merge` does not take.

/// Why `option` is not taken, and what to do instead.
pub fn explained(option: &str) -> Option<&'static str> {
    let option = option.split('=').next().unwrap_or(option);
    let told = match option {
        "--allow-crimes" => {
            "models of different architectures are not merged: every tensor must be in all models, in one shape"
        }
        "--trust-remote-code" | "--no-trust-remote-code" => {
            "nothing from a model repository is ever executed"
        }
        "--cuda" | "--no-cuda" | "--gpu-rich" | "--read-to-gpu" | "--multi-gpu" | "--low-cpu-memory"
        | "--device" => "merges stream through the processor in bounded memory; leave it out",
        "--lazy-unpickle" | "--no-lazy-unpickle" | "--lazy-loader" => {
            "only safetensors are read, and always in blocks; leave it out"
        }
        "--clone-tensors" | "--safe-serialization" => "that is always so; leave it out",
        "--no-safe-serialization" => "only safetensors are written",
        "--async-write" | "--write-threads" => "reading, merging and writing overlap already; leave it out",
        "--num-threads" | "-j" => "all processors are used; set RAYON_NUM_THREADS for fewer",
        "--lora-merge-cache" | "--lora-merge-dtype" | "--transformers-cache" => {
            "adapters are applied while they are read, without a copy; leave it out"
        }
        "--write-model-card" | "--no-write-model-card" => {
            "a card with the recipe is always written; leave it out"
        }
        "--verbose" | "-v" => "progress is shown unless `--quiet`; leave it out",
        _ => return None,
    };
    Some(told)
}

/// A number of bytes as mergekit writes it: `5B` are 5 billion.
pub fn shard_size(text: &str) -> Result<u64, String> {
    let bad = || format!("`{text}` is no size; use a number with k, M or B, e.g. 5B for 5 billion bytes");
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit.to_ascii_lowercase().as_str() {
        "" => 1,
        "k" => 1_000,
        "m" => 1_000_000,
        "b" => 1_000_000_000,
        _ => return Err(bad()),
    };
    let number: u64 = number.parse().map_err(|_| bad())?;
    number.checked_mul(factor).filter(|&bytes| bytes > 0).ok_or_else(bad)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_of_mergekit_is_explained_and_others_are_not() {
        assert!(explained("--allow-crimes").is_some_and(|told| told.contains("different architectures")));
        assert!(explained("--write-threads=3").is_some());
        assert!(explained("--out").is_none());
    }

    #[test]
    fn a_shard_size_has_mergekits_units() {
        assert_eq!(
            [shard_size("5B"), shard_size("20m"), shard_size("7")],
            [Ok(5_000_000_000), Ok(20_000_000), Ok(7)]
        );
        assert!(
            shard_size("0").is_err() && shard_size("5GiB").is_err() && shard_size("99999999999B").is_err()
        );
    }
}
