//! Streams any source out as a checkpoint that a killed process leaves in a state to go on from.
//!
//! Beside the files lies a journal: what is being written, then the digest of each finished tensor. Whoever writes the
//! same again hashes what the journal vouches for and computes only the rest, so that the bytes are those of an
//! uninterrupted run.

use std::{
    collections::BTreeSet,
    io::{self, BufRead as _, Write},
    ops::Range,
    path::{Path, PathBuf},
};

use domain::Digest;
use fs_err::{File, OpenOptions};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::{
    Account, LocalFile, ReadAt, Result, TensorInfo, TensorSource,
    unbuffered::Unbuffered,
    writer::{BLOCK_BYTES, header, shards, write_body},
};

/// How a checkpoint is laid out in files.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// Files are named after it: `model` or `adapter_model`.
    pub stem: &'static str,
    /// Bytes of tensors in one file.
    pub most: u64,
}

/// Where a checkpoint is written. Nobody else may write there meanwhile.
#[derive(Debug, Clone)]
pub struct Place {
    /// Holds the files and nothing else: what an earlier attempt left and is not wanted is removed.
    pub folder: PathBuf,
    /// A file outside the folder.
    pub journal: PathBuf,
    pub layout: Layout,
    /// Everything the bytes depend on, such as the digest of a recipe; a journal of another identity counts for nothing.
    pub identity: String,
}

/// Bytes that are done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Found finished, and read to be sure.
    Kept(u64),
    Written(u64),
}

/// A checkpoint that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpointed {
    /// Names of the files, all of them durable.
    pub names: Vec<String>,
    /// Digest of the bytes of each tensor, in the order of the source.
    pub digests: Vec<Digest>,
    /// How each was made, in the same order.
    pub accounts: Vec<Account>,
    /// Bytes of the tensors that an earlier attempt had finished.
    pub kept: u64,
}

/// First line of a journal.
#[derive(Serialize, Deserialize, PartialEq, Eq)]
struct Title {
    identity: String,
    /// Digest of the names and headers of all files.
    layout: Digest,
}

/// A further line: the next tensor in the order of the source.
#[derive(Serialize, Deserialize)]
struct Entry {
    tensor: String,
    digest: Digest,
    #[serde(default, skip_serializing_if = "Account::is_empty")]
    account: Account,
}

/// Writes `source` into `place`: one file, or shards and their index where it has more bytes than the layout allows in
/// one. Tensors are laid out in name order, so that the same source is cut the same way each time; a tensor is never
/// cut. What an earlier attempt at the same finished is kept, once its digests are found right.
///
/// # Errors
/// What reading, writing or `progress` fails with; the place can be given to another attempt then.
pub fn write_checkpoint(
    source: &dyn TensorSource,
    place: &Place,
    progress: &(dyn Fn(Step) -> Result<()> + Sync),
) -> Result<Checkpointed> {
    let plan = Plan::new(source, place)?;
    let mut entries = plan.title.read(&place.journal);
    entries.truncate(source.tensors().len());
    let digests: Vec<Digest> = entries.iter().map(|entry| entry.digest).collect();
    entries.truncate(plan.verified(&digests, progress)?);
    let done = entries.len();
    plan.clear(done)?;
    let mut journal = plan.title.begin(&place.journal, &entries)?;
    for shard in &plan.shards {
        let rest = done.clamp(shard.tensors.start, shard.tensors.end)..shard.tensors.end;
        let whole = rest.start == shard.tensors.start;
        if whole {
            File::create(&shard.path)?;
        }
        let expected = source.tensors()[rest.clone()].iter().map(TensorInfo::bytes).sum();
        let mut file = Unbuffered::append(&shard.path, expected)?;
        if whole {
            file.write_all(&header(source, shard.tensors.clone())?)?;
        }
        let mut out = Journaled {
            out: file,
            source,
            left: rest.clone(),
            missing: 0,
            hash: None,
            journal: &mut journal,
            entries: &mut entries,
        };
        out.next()?;
        write_body(source, rest, &mut out, &|bytes| progress(Step::Written(bytes)))?;
        out.out.finish()?;
    }
    let names = plan.finish()?;
    let kept = source.tensors()[..done].iter().map(TensorInfo::bytes).sum();
    let (digests, accounts) = entries.into_iter().map(|entry| (entry.digest, entry.account)).unzip();
    Ok(Checkpointed { names, digests, accounts, kept })
}

/// Names and lengths of the files of weights that [`write_checkpoint`] writes of `source` in a layout, known before anything
/// is computed; the index of shards is not among them.
///
/// # Errors
/// When a header cannot be written.
pub fn checkpoint_files(source: &dyn TensorSource, layout: Layout) -> Result<Vec<(String, u64)>> {
    let parts = shards(source.tensors(), layout.most);
    let count = parts.len();
    let file = |(at, tensors): (usize, Range<usize>)| {
        let head = header(source, tensors.clone())?.len() as u64;
        let bytes = source.tensors()[tensors].iter().map(TensorInfo::bytes).sum::<u64>();
        Ok((file_name(layout.stem, (at, count)), head + bytes))
    };
    parts.into_iter().enumerate().map(file).collect()
}

fn file_name(stem: &str, (at, count): (usize, usize)) -> String {
    match count {
        1 => format!("{stem}.safetensors"),
        _ => format!("{stem}-{:05}-of-{count:05}.safetensors", at + 1),
    }
}

/// One file of a checkpoint.
struct Shard {
    name: String,
    path: PathBuf,
    tensors: Range<usize>,
    /// Bytes before its data.
    data: u64,
}

struct Plan<'a> {
    source: &'a dyn TensorSource,
    folder: &'a Path,
    stem: &'static str,
    shards: Vec<Shard>,
    title: Title,
}

impl<'a> Plan<'a> {
    fn new(source: &'a dyn TensorSource, place: &'a Place) -> Result<Self> {
        let Layout { stem, most } = place.layout;
        let parts = shards(source.tensors(), most);
        let (count, mut hash) = (parts.len(), Sha256::new());
        let mut planned = Vec::with_capacity(count);
        for (at, tensors) in parts.into_iter().enumerate() {
            let name = file_name(stem, (at, count));
            let head = header(source, tensors.clone())?;
            hash.update(name.as_bytes());
            hash.update(&head);
            let (path, data) = (place.folder.join(&name), head.len() as u64);
            planned.push(Shard { name, path, tensors, data });
        }
        let layout = Digest::from_bytes(hash.finalize().into());
        let title = Title { identity: place.identity.clone(), layout };
        Ok(Self { source, folder: &place.folder, stem, shards: planned, title })
    }

    /// How many of the first tensors lie in the files with these digests.
    fn verified(&self, digests: &[Digest], progress: &(dyn Fn(Step) -> Result<()> + Sync)) -> Result<usize> {
        for shard in self.shards.iter().filter(|shard| shard.tensors.start < digests.len()) {
            let Ok(file) = LocalFile::open(&shard.path) else { return Ok(shard.tensors.start) };
            let wanted = header(self.source, shard.tensors.clone())?;
            let mut found = vec![0; wanted.len()];
            if file.read_at(0, &mut found).is_err() || found != wanted {
                return Ok(shard.tensors.start);
            }
            let claimed = shard.tensors.start..shard.tensors.end.min(digests.len());
            let mut places = Vec::with_capacity(claimed.len());
            let mut begin = shard.data;
            for index in claimed.clone() {
                let end = begin + self.source.tensors()[index].bytes();
                places.push((begin..end, digests[index]));
                begin = end;
            }
            let right = |(range, digest): (Range<u64>, Digest)| {
                let right = digest_of(&file, range.clone()) == Some(digest);
                if right { progress(Step::Kept(range.end - range.start)).map(|()| true) } else { Ok(false) }
            };
            let right: Vec<bool> = places.into_par_iter().map(right).collect::<Result<_>>()?;
            if let Some(wrong) = right.iter().position(|right| !right) {
                return Ok(shard.tensors.start + wrong);
            }
        }
        Ok(digests.len())
    }

    /// Removes everything but the bytes of the first `done` tensors.
    fn clear(&self, done: usize) -> Result<()> {
        let begun = self.shards.iter().filter(|shard| shard.tensors.start < done);
        let kept: BTreeSet<&str> = begun.clone().map(|shard| shard.name.as_str()).collect();
        for entry in fs_err::read_dir(self.folder)? {
            let entry = entry?;
            if !entry.file_name().to_str().is_some_and(|name| kept.contains(name)) {
                fs_err::remove_file(entry.path())?;
            }
        }
        for shard in begun {
            let tensors = &self.source.tensors()[shard.tensors.start..shard.tensors.end.min(done)];
            let length = shard.data + tensors.iter().map(TensorInfo::bytes).sum::<u64>();
            OpenOptions::new().write(true).open(&shard.path)?.set_len(length)?;
        }
        Ok(())
    }

    /// Writes the index that shards need; gives the names of all files.
    fn finish(self) -> Result<Vec<String>> {
        let mut names: Vec<String> = self.shards.iter().map(|shard| shard.name.clone()).collect();
        if names.len() > 1 {
            let tensors = self.source.tensors();
            let total: u64 = tensors.iter().map(TensorInfo::bytes).sum();
            let entries = self.shards.iter().flat_map(|shard| {
                tensors[shard.tensors.clone()].iter().map(|info| (info.name.clone(), json!(shard.name)))
            });
            let index =
                json!({"metadata": {"total_size": total}, "weight_map": entries.collect::<Map<_, _>>()});
            let name = format!("{}.safetensors.index.json", self.stem);
            let mut out = File::create(self.folder.join(&name))?;
            out.write_all(format!("{index:#}\n").as_bytes())?;
            out.sync_all()?;
            names.push(name);
        }
        File::open(self.folder)?.sync_all()?;
        Ok(names)
    }
}

fn digest_of(file: &LocalFile, range: Range<u64>) -> Option<Digest> {
    let (mut hash, mut block) = (Sha256::new(), vec![0; BLOCK_BYTES.min(range.end - range.start) as usize]);
    let mut at = range.start;
    while at < range.end {
        let len = BLOCK_BYTES.min(range.end - at) as usize;
        file.read_at(at, &mut block[..len]).ok()?;
        hash.update(&block[..len]);
        at += len as u64;
    }
    Some(Digest::from_bytes(hash.finalize().into()))
}

impl Title {
    /// What a journal of this title holds; none where it is missing or another's. A line cut short ends it.
    fn read(&self, path: &Path) -> Vec<Entry> {
        let Ok(file) = File::open(path) else { return Vec::new() };
        let mut lines = io::BufReader::new(file).lines().map_while(Result::ok);
        let title = lines.next().and_then(|line| serde_json::from_str::<Self>(&line).ok());
        if title.as_ref() != Some(self) {
            return Vec::new();
        }
        lines.map_while(|line| serde_json::from_str(&line).ok()).collect()
    }

    /// Puts a journal of these entries in the place of the one there was, open for more.
    fn begin(&self, path: &Path, entries: &[Entry]) -> Result<File> {
        let fresh = path.with_extension("new");
        let mut text = line(self)?;
        for entry in entries {
            text.push_str(&line(entry)?);
        }
        let mut file = File::create(&fresh)?;
        file.write_all(text.as_bytes())?;
        fs_err::rename(&fresh, path)?;
        Ok(OpenOptions::new().append(true).open(path)?)
    }
}

fn line(of: &impl Serialize) -> io::Result<String> {
    Ok(format!("{}\n", serde_json::to_string(of)?))
}

/// Passes the bytes of consecutive tensors on, and writes each into the journal once it has left this process.
struct Journaled<'a> {
    out: Unbuffered,
    source: &'a dyn TensorSource,
    left: Range<usize>,
    /// Bytes of the present tensor that are still to come.
    missing: u64,
    /// The present tensor, and its bytes so far.
    hash: Option<(usize, Sha256)>,
    journal: &'a mut File,
    entries: &'a mut Vec<Entry>,
}

/// `told` with its fractions to twelve digits, which a JSON reader gives back to the bit: a run that was interrupted
/// tells the same as one that was not.
fn short(told: Value) -> Value {
    match told {
        Value::Number(number) if number.is_f64() => {
            let rounded = number.as_f64().and_then(|number| format!("{number:.11e}").parse::<f64>().ok());
            rounded.map_or(Value::Number(number), Value::from)
        }
        Value::Array(items) => Value::Array(items.into_iter().map(short).collect()),
        Value::Object(fields) => {
            Value::Object(fields.into_iter().map(|(name, told)| (name, short(told))).collect())
        }
        other => other,
    }
}

impl Journaled<'_> {
    /// Ends the present tensor, and those without bytes that follow it.
    fn next(&mut self) -> io::Result<()> {
        while self.missing == 0 {
            if let Some((index, hash)) = self.hash.take() {
                let digest = Digest::from_bytes(hash.finalize().into());
                self.out.flush()?;
                let tensor = self.source.tensors()[index].name.clone();
                let account =
                    self.source.account(index).into_iter().map(|(name, told)| (name, short(told))).collect();
                let entry = Entry { tensor, digest, account };
                self.journal.write_all(line(&entry)?.as_bytes())?;
                self.entries.push(entry);
            }
            let Some(index) = self.left.next() else { break };
            self.missing = self.source.tensors()[index].bytes();
            self.hash = Some((index, Sha256::new()));
        }
        Ok(())
    }
}

impl Write for Journaled<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let here = usize::try_from(self.missing).unwrap_or(usize::MAX).min(bytes.len());
        let bytes = &bytes[..here];
        self.out.write_all(bytes)?;
        if let Some((_, hash)) = &mut self.hash {
            hash.update(bytes);
        }
        self.missing -= here as u64;
        self.next()?;
        Ok(here)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_journal_gives_back_is_what_was_written_to_the_bit() {
        let mut state = 1u64;
        for _ in 0..10_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let told = short(json!({ "energy": [(state >> 11) as f64 / (1u64 << 53) as f64] }));

            let read: Value = serde_json::from_str(&told.to_string()).unwrap();

            assert_eq!(read, told);
        }
    }
}
