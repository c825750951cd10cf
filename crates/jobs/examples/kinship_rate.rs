//! Exact kinship of registered models against a plain sum of the same bytes: both by all threads, both from the page
//! cache, round by round.
//!
//! `cargo run --release -p stemma-jobs --example kinship_rate DATA-FOLDER ROUNDS BASE MODEL MODEL …`

use std::{error::Error, sync::Arc, time::Instant};

use analysis::kinship::{Named, kinship};
use jobs::{Access, Registry, open_operand};
use rayon::prelude::*;
use store::Store;
use weights::TensorSource;

/// Bytes a thread sums at a time.
const PIECE: u64 = 2 << 20;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [data, rounds, base, models @ ..] = &arguments[..] else {
        return Err("usage: kinship_rate DATA-FOLDER ROUNDS BASE MODEL MODEL …".into());
    };
    let rounds: usize = rounds.parse()?;
    let store = Store::open(&format!("sqlite://{data}/stemma.sqlite"), &format!("{data}/blobs")).await?;
    let registry = Registry::new(store, domain::Limits::default(), format!("{data}/scratch").into());
    let mut sources = Vec::new();
    for name in std::iter::once(base).chain(models) {
        let operand = open_operand(&registry, name, &Access::registry()).await?;
        sources.push(Named { label: operand.label, source: operand.source });
    }
    tokio::task::spawn_blocking(move || measure(&sources, rounds)).await?
}

fn measure(sources: &[Named], rounds: usize) -> Result<(), Box<dyn Error + Send + Sync>> {
    let bytes: u64 = sources.iter().flat_map(|named| named.source.tensors()).map(|info| info.bytes()).sum();
    let (mut sums, mut measured) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let begin = Instant::now();
        std::hint::black_box(plain_sum(sources)?);
        sums.push(begin.elapsed().as_secs_f64());
        let begin = Instant::now();
        let report = kinship(&sources[1..], Some(&sources[0]), &|_| Ok(()))?;
        std::hint::black_box(report.elements);
        measured.push(begin.elapsed().as_secs_f64());
    }
    let gigabytes = bytes as f64 / 1e9;
    let (sum, kin) = (median(&mut sums), median(&mut measured));
    println!("threads                  {}", rayon::current_num_threads());
    println!("bytes                    {gigabytes:.2} GB of {} checkpoints", sources.len());
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
    Ok(())
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
    let piece = |source: &Arc<dyn TensorSource>, index: usize, offset: u64| {
        let len = PIECE.min(source.tensors()[index].bytes() - offset) as usize;
        let words = |bytes: &[u8]| {
            bytes
                .as_chunks::<8>()
                .0
                .iter()
                .fold(0u64, |sum, word| sum.wrapping_add(u64::from_le_bytes(*word)))
        };
        if let Some(view) = source.view(index, offset, len) {
            return Ok(words(&view));
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
