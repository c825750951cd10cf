//! Builds the forest of a list of edges, `parent<TAB>child` a line: `forest_bench FILE`. Prints seconds from the first
//! line read to the finished forest, peak resident KiB, and edges in use.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, DefaultHasher},
    io::BufRead as _,
    time::Instant,
};

use analysis::lineage::{Forest, ForestEdge, Node};
use domain::{EdgeStatus, Relation};

fn main() -> std::io::Result<()> {
    let path = std::env::args().nth(1).unwrap_or_default();
    let began = Instant::now();
    let mut reader = std::io::BufReader::with_capacity(1 << 20, fs_err::File::open(path)?);
    let mut numbers: HashMap<Box<str>, i64, BuildHasherDefault<DefaultHasher>> = HashMap::default();
    let (mut edges, mut line) = (Vec::new(), String::new());
    while reader.read_line(&mut line)? > 0 {
        if let Some((parent, child)) = line.trim_end().split_once('\t') {
            let [parent, child] = [parent, child].map(|name| {
                let next = numbers.len() as i64;
                match numbers.get(name) {
                    Some(number) => *number,
                    None => *numbers.entry(name.into()).or_insert(next),
                }
            });
            edges.push((parent, child));
        }
        line.clear();
    }
    let nodes = numbers.into_iter().map(|(name, id)| Node {
        id,
        name: name.into(),
        created_at: None,
        ghost: false,
        downloads: 0,
        license: None,
        size: None,
    });
    let edges = (0..).zip(edges).map(|(id, (parent, child))| ForestEdge {
        id,
        child,
        parent,
        relation: Relation::Finetune,
        status: EdgeStatus::Accepted,
    });
    let forest = Forest::build(nodes, edges);
    let took = began.elapsed().as_secs_f64();
    let status = fs_err::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    println!("{took:.3} {} {}", peak.trim().trim_end_matches(" kB"), forest.edge_count());
    Ok(())
}
