//! Exact kinship of registered models against a plain sum of the same bytes: both by all threads, both from the page
//! cache, round by round.
//!
//! `cargo run --release -p stemma-jobs --example kinship_rate DATA-FOLDER ROUNDS BASE MODEL MODEL …`

use std::{sync::Arc, time::Instant};

use analysis::kinship::{Named, kinship};
use jobs::{Access, Registry, open_operand};
use rayon::prelude::*;
use store::Store;
use weights::TensorSource;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Bytes a thread sums at a time.
const PIECE: u64 = 2 << 20;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [data, rounds, base, models @ ..] = &arguments[..] else {
        return Err("usage: kinship_rate DATA-FOLDER ROUNDS BASE MODEL MODEL …".into());
    };
    let rounds: usize = rounds.parse()?;
    let store = Store::open(&format!("sqlite://{data}/stemma.sqlite"), &format!("{data}/blobs")).await?;
    let registry = Registry::new(store, domain::Limits::default(), format!("{data}/scratch").into());
    let names: Vec<&String> = std::iter::once(base).chain(models).collect();
    let (mut sums, mut measured) = (Vec::new(), Vec::new());
    let mut bytes = 0;
    for _ in 0..rounds {
        let sources = open(&registry, &names).await?;
        bytes = sources.iter().flat_map(|named| named.source.tensors()).map(|info| info.bytes()).sum();
        sums.push(timed(sources, |sources| plain_sum(sources).map(drop).map_err(Failure::from)).await?);
        let sources = open(&registry, &names).await?;
        let kin = |sources: &[Named]| {
            let report = kinship(&sources[1..], Some(&sources[0]), &|_| Ok(()));
            report.map(drop).map_err(Failure::from)
        };
        measured.push(timed(sources, kin).await?);
    }
    report(bytes, (sums, measured), names.len());
    Ok(())
}

/// Opened anew for every measurement, so that both pay for their own mappings.
async fn open(registry: &Registry, names: &[&String]) -> Result<Vec<Named>, Failure> {
    let mut sources = Vec::new();
    for name in names {
        let operand = open_operand(registry, name, &Access::registry()).await?;
        sources.push(Named { label: operand.label, source: operand.source, tokens: None });
    }
    Ok(sources)
}

async fn timed(
    sources: Vec<Named>,
    work: impl FnOnce(&[Named]) -> Result<(), Failure> + Send + 'static,
) -> Result<f64, Failure> {
    tokio::task::spawn_blocking(move || {
        let begin = Instant::now();
        work(&sources)?;
        Ok(begin.elapsed().as_secs_f64())
    })
    .await?
}

fn report(bytes: u64, (mut sums, mut measured): (Vec<f64>, Vec<f64>), checkpoints: usize) {
    let gigabytes = bytes as f64 / 1e9;
    let (sum, kin) = (median(&mut sums), median(&mut measured));
    println!("threads                  {}", rayon::current_num_threads());
    println!("bytes                    {gigabytes:.2} GB of {checkpoints} checkpoints");
    println!(
        "plain sum of the bytes   {:.2} GB/s ({:.2}–{:.2})",
        gigabytes / sum,
        gigabytes / last(&sums),
        gigabytes / sums[0]
    );
    println!(
        "exact kinship            {:.2} GB/s ({:.2}–{:.2})",
        gigabytes / kin,
        gigabytes / last(&measured),
        gigabytes / measured[0]
    );
    println!("kinship ÷ plain sum      {:.2} of its rate", sum / kin);
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn last(times: &[f64]) -> f64 {
    times.last().copied().unwrap_or_default()
}

/// The little-endian words of all tensors added up, in place where they can be mapped.
fn plain_sum(sources: &[Named]) -> Result<u64, weights::Error> {
    let piece = |source: &Arc<dyn TensorSource>, index: usize, offset: u64| -> Result<u64, weights::Error> {
        let len = PIECE.min(source.tensors()[index].bytes() - offset) as usize;
        let words = |bytes: &[u8]| {
            bytes
                .as_chunks::<8>()
                .0
                .iter()
                .fold(0u64, |sum, word| sum.wrapping_add(u64::from_le_bytes(*word)))
        };
        if let Some(view) = source.view(index, offset, len) {
            return Ok(words(view));
        }
        let mut bytes = vec![0; len];
        source.read_bytes(index, offset, &mut bytes)?;
        Ok(words(&bytes))
    };
    // Interleaved, as the kinship reads them.
    let tensors = sources[0].source.tensors();
    let places: Vec<(usize, u64)> = (0..tensors.len())
        .flat_map(|index| (0..tensors[index].bytes().div_ceil(PIECE)).map(move |at| (index, at * PIECE)))
        .collect();
    let sums: Vec<u64> = places
        .par_iter()
        .map(|&(index, offset)| {
            sources
                .iter()
                .try_fold(0u64, |sum, named| Ok(sum.wrapping_add(piece(&named.source, index, offset)?)))
        })
        .collect::<Result<_, weights::Error>>()?;
    Ok(sums.into_iter().fold(0, u64::wrapping_add))
}
