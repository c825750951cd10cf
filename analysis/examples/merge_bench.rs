//! Time and memory of one merge: `merge_bench RECIPE.yml SCRATCH`, its models named by the paths of safetensors files, large
//! matrices held in files of the folder SCRATCH. Tells the digest of the result, seconds on the wall and of the processor,
//! and the most anonymous memory.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use analysis::merge::{Input, Inputs, check, parse};
use domain::Limits;
use weights::{Checkpoint, LocalFile, Scratch, TensorSource};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [recipe, scratch] = &arguments[..] else { return Err("name a recipe and a folder".into()) };
    let config = parse(&fs_err::read_to_string(recipe)?)?;
    let limits = Limits { merge_held: u64::MAX, ..Limits::default() };
    let names = config.model_refs().into_iter().chain(config.file_refs());
    let inputs = names.map(|name| Ok((name.clone(), input(&name, &limits)?))).collect::<Outcome<Inputs>>()?;
    let merged = check(&config, &inputs, &limits)?.within(&Scratch::in_folder(Path::new(scratch)));
    let (began, done) = (Instant::now(), AtomicBool::new(false));
    let (written, most) = std::thread::scope(|scope| {
        let most = scope.spawn(|| {
            let mut most = 0;
            while !done.load(Ordering::Relaxed) {
                most = most.max(anonymous().unwrap_or_default());
                std::thread::sleep(Duration::from_millis(20));
            }
            most
        });
        let written = weights::write_safetensors(&merged, &mut std::io::sink(), &|_| Ok(()));
        done.store(true, Ordering::Relaxed);
        (written, most.join().unwrap_or_default())
    });
    println!(
        "{} {}: {:.1?} on the wall, {:.1} s of the processor, at most {} MiB of anonymous memory",
        config.merge_method,
        &written?.digest.hex()[..12],
        began.elapsed(),
        processor().unwrap_or_default(),
        most / 1024
    );
    Ok(())
}

fn input(path: &str, limits: &Limits) -> Outcome<Input> {
    let file = Arc::new(LocalFile::open(Path::new(path))?);
    let source = Checkpoint::open_files(vec![("model.safetensors".into(), file)], None, limits)?;
    Ok(Input { source: Arc::new(source) as Arc<dyn TensorSource>, content: path.to_owned(), config: None })
}

/// KiB of anonymous memory that this process holds.
fn anonymous() -> Option<u64> {
    let status = fs_err::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Seconds that the threads of this process have run, in the system's ticks of a hundredth.
fn processor() -> Option<f64> {
    let stat = fs_err::read_to_string("/proc/self/stat").ok()?;
    let fields: Vec<&str> = stat.rsplit(')').next()?.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<f64>().ok();
    Some((ticks(11)? + ticks(12)?) / 100.0)
}
