//! Builds the forest of a list of edges, `parent<TAB>child` a line: `forest_bench FILE`. Prints seconds from the first
//! line read to the finished forest, peak resident KiB, and edges in use.

use std::{io::BufRead as _, time::Instant};

use analysis::lineage::NamedEdges;

fn main() -> std::io::Result<()> {
    let path = std::env::args().nth(1).unwrap_or_default();
    let began = Instant::now();
    let mut reader = std::io::BufReader::with_capacity(1 << 20, fs_err::File::open(path)?);
    let (mut edges, mut line) = (NamedEdges::default(), String::new());
    while reader.read_line(&mut line)? > 0 {
        if let Some((parent, child)) = line.trim_end().split_once('\t') {
            edges.add(parent, child);
        }
        line.clear();
    }
    let forest = edges.forest();
    let took = began.elapsed().as_secs_f64();
    let status = fs_err::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    println!("{took:.3} {} {}", peak.trim().trim_end_matches(" kB"), forest.edge_count());
    Ok(())
}
