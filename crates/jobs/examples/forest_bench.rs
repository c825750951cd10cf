//! Builds the forest of a list of edges, `parent<TAB>child` a line: `forest_bench FILE`. Prints seconds from the first
//! line read to the finished forest, peak resident KiB, and edges in use.

use std::{io::BufRead as _, time::Instant};

use analysis::lineage::NamedEdges;

/// Lines that are read together.
const BLOCK: usize = 128;

fn main() -> std::io::Result<()> {
    let path = std::env::args().nth(1).unwrap_or_default();
    let began = Instant::now();
    let mut reader = std::io::BufReader::with_capacity(1 << 20, fs_err::File::open(path)?);
    let (mut edges, mut block) = (NamedEdges::default(), String::new());
    loop {
        let mut lines = 0;
        while lines < BLOCK && reader.read_line(&mut block)? > 0 {
            lines += 1;
        }
        let pairs: Vec<[&str; 2]> =
            block.lines().filter_map(|line| line.split_once('\t')).map(|(a, b)| [a, b]).collect();
        edges.add(&pairs);
        if lines < BLOCK {
            break;
        }
        block.clear();
    }
    let forest = edges.forest();
    let took = began.elapsed().as_secs_f64();
    let status = fs_err::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    println!("{took:.3} {} {}", peak.trim().trim_end_matches(" kB"), forest.edge_count());
    Ok(())
}
