//! EMR (arXiv 2405.17461) as a stored form: one difference that several fine-tunes share, and of each the signs it agrees
//! with and its size.

use std::{collections::BTreeMap, io, sync::Arc};

use kernels::Dtype;
use rayon::prelude::*;
use serde::Serialize;
use serde_json::{Map, Value, json};
use weights::{ReadAt, TensorInfo, TensorSource, decode_range, slice_of};

use super::together::Together;
use crate::{Error, Progress, computed::CHUNK, excess::Excess, lowrank::share, room::Room};

/// Blocks computed at a time, for each thread.
const AHEAD: usize = 4;
/// Bytes of one member's bits in a whole block.
const BITS: usize = CHUNK / 8;

/// How near a member comes to itself when it is rebuilt.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MemberFit {
    pub name: String,
    /// `Σ|δ| / Σ|m·U|` over the whole model.
    pub scale: f64,
    /// `‖δ − s·m·U‖ / ‖δ‖` over the whole model; 0 for a member that is equal to the base.
    pub relative_error: f64,
    /// Of every stored tensor its name and that error.
    #[serde(skip)]
    pub tensors: Vec<(String, f64)>,
}

/// Sums over elements of one member.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    /// `Σ|δ|`, and `Σ|m·U|` before it is rounded.
    size: [f64; 2],
    /// `Σ δ²`, `Σ δ·m·U` and `Σ (m·U)²`, with U as it is stored.
    squares: [f64; 3],
}

impl Sums {
    fn add(&mut self, other: &Self) {
        self.size.iter_mut().zip(other.size).for_each(|(sum, more)| *sum += more);
        self.squares.iter_mut().zip(other.squares).for_each(|(sum, more)| *sum += more);
    }

    /// `Σ|δ| / Σ|m·U|`; 1 where nothing is shared.
    fn scale(&self) -> f64 {
        if self.size[1] > 0.0 { self.size[0] / self.size[1] } else { 1.0 }
    }

    /// `‖δ − s·m·U‖ / ‖δ‖`.
    fn error(&self, scale: f64) -> f64 {
        let [whole, cross, part] = self.squares;
        (1.0 - share(2.0 * scale * cross - scale * scale * part, whole)).max(0.0).sqrt()
    }
}

/// What was written, to be opened over the file it went to.
pub struct Unified {
    infos: Vec<TensorInfo>,
    parts: Vec<Part>,
    scales: Vec<f64>,
    metadata: BTreeMap<String, String>,
    /// How near each member comes, in the order given.
    pub fits: Vec<MemberFit>,
}

/// Where the bytes of a stored tensor are.
#[derive(Clone, Copy)]
enum Part {
    Scales,
    Shared(Blocks),
    Masks(Blocks),
}

/// The blocks of one tensor in the scratch file: of each the shared difference, then the bits of every member.
#[derive(Clone, Copy)]
struct Blocks {
    at: u64,
    elements: u64,
    width: u64,
    members: u64,
}

impl Blocks {
    fn bytes(&self) -> u64 {
        let blocks = self.elements.div_ceil(CHUNK as u64);
        (0..blocks)
            .next_back()
            .map_or(0, |last| self.start(last) - self.at + self.shared(last) + self.all_bits(last))
    }

    /// Elements of a block.
    fn len(&self, block: u64) -> u64 {
        (self.elements - block * CHUNK as u64).min(CHUNK as u64)
    }

    fn shared(&self, block: u64) -> u64 {
        self.len(block) * self.width
    }

    fn all_bits(&self, block: u64) -> u64 {
        self.len(block).div_ceil(8) * self.members
    }

    /// Place of a block in the file; all before the last are whole.
    fn start(&self, block: u64) -> u64 {
        self.at + block * (CHUNK as u64 * self.width + BITS as u64 * self.members)
    }
}

/// Computes the shared difference and the bits of every member in one pass over the models, and writes them to `out` as
/// they are found. With `δ = x − b`: `γ = sign(Σ δ)`, minus where it is 0; `U = γ·max |δ|` over the members that agree
/// with γ; a member's bit is set where `δ·γ > 0`. `progress` is told the stored bytes of `U`.
///
/// # Errors
/// Values that are not finite or leave the number format, read or write errors, or `progress` asking to stop.
pub fn unify(models: &Together, out: &mut dyn io::Write, progress: Progress<'_>) -> Result<Unified, Error> {
    let count = models.members().len();
    let (mut stored, mut at) = (Vec::new(), 0);
    let (mut whole, mut each) = (vec![Sums::default(); count], Vec::new());
    for (index, info) in models.infos().iter().enumerate() {
        let place =
            Blocks { at, elements: info.elements(), width: info.dtype.bits() / 8, members: count as u64 };
        let sums = tensor(models, (index, place), out, progress)?;
        whole.iter_mut().zip(&sums).for_each(|(whole, part)| whole.add(part));
        each.push(sums);
        let named = |end: &str| format!("{}.{end}", info.name);
        let bits = vec![count as u64, info.elements().div_ceil(8)];
        stored.push((TensorInfo { name: named("masks"), dtype: Dtype::U8, shape: bits }, Part::Masks(place)));
        stored.push((TensorInfo { name: named("unified"), ..info.clone() }, Part::Shared(place)));
        at += place.bytes();
    }
    out.flush().map_err(weights::Error::from)?;
    let shape = vec![count as u64];
    stored.push((TensorInfo { name: "scales".to_owned(), dtype: Dtype::F64, shape }, Part::Scales));
    stored.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
    let (infos, parts) = stored.into_iter().unzip();
    let scales: Vec<f64> = whole.iter().map(Sums::scale).collect();
    let fit = |(at, sums): (usize, &Sums)| {
        let error = |(info, of): (&TensorInfo, &Vec<Sums>)| (info.name.clone(), of[at].error(scales[at]));
        MemberFit {
            name: models.members()[at].told.name.clone(),
            scale: scales[at],
            relative_error: sums.error(scales[at]),
            tensors: models.infos().iter().zip(&each).map(error).collect(),
        }
    };
    let fits: Vec<MemberFit> = whole.iter().enumerate().map(fit).collect();
    Ok(Unified { infos, parts, metadata: described(models, &fits), scales, fits })
}

/// The description of the file.
fn described(models: &Together, fits: &[MemberFit]) -> BTreeMap<String, String> {
    let member = |(model, fit): (&super::Origin, &MemberFit)| {
        let mut told = json!(model.told);
        told["relative_error"] = json!(fit.relative_error);
        told
    };
    let members: Vec<Value> = models.members().iter().zip(fits).map(member).collect();
    let tensor = |(at, info): (usize, &TensorInfo)| {
        let errors: Vec<f64> = fits.iter().map(|fit| fit.tensors[at].1).collect();
        (info.name.clone(), json!({ "shape": info.shape, "relative_error": errors }))
    };
    let tensors: Map<String, Value> = models.infos().iter().enumerate().map(tensor).collect();
    let mut metadata = models.metadata();
    metadata.insert("form".into(), "emr".into());
    metadata.insert("version".into(), "1".into());
    metadata.insert("members".into(), Value::Array(members).to_string());
    metadata.insert("tensors".into(), Value::Object(tensors).to_string());
    metadata
}

/// Writes the blocks of one tensor in order; gives the sums of every member, added up in that order as well.
fn tensor(
    models: &Together,
    (index, place): (usize, Blocks),
    out: &mut dyn io::Write,
    progress: Progress<'_>,
) -> Result<Vec<Sums>, Error> {
    let blocks: Vec<u64> = (0..place.elements.div_ceil(CHUNK as u64)).collect();
    let mut total = vec![Sums::default(); place.members as usize];
    for group in blocks.chunks(AHEAD * rayon::current_num_threads().max(1)) {
        let computed = group.par_iter().map(|&number| {
            progress(0)?;
            block(models, index, (number * CHUNK as u64, place.len(number) as usize))
        });
        for (bytes, sums) in computed.collect::<Result<Vec<_>, Error>>()? {
            out.write_all(&bytes).map_err(weights::Error::from)?;
            total.iter_mut().zip(&sums).for_each(|(total, part)| total.add(part));
        }
        progress(group.iter().map(|&number| place.shared(number)).sum())?;
    }
    Ok(total)
}

/// The stored bytes of one block, and the sums of every member over it.
fn block(models: &Together, index: usize, (start, len): (u64, usize)) -> Result<(Vec<u8>, Vec<Sums>), Error> {
    let info = &models.infos()[index];
    let deltas = models.deltas(index, (start, len))?;
    let (mut signs, mut shared) = (Room::filled(len, 0.0), Room::filled(len, 0.0));
    for delta in &deltas {
        signs.iter_mut().zip(delta.iter()).for_each(|(sum, delta)| *sum += delta);
    }
    signs.iter_mut().for_each(|sum| *sum = if *sum > 0.0 { 1.0 } else { -1.0 });
    for delta in &deltas {
        for (most, (delta, sign)) in shared.iter_mut().zip(delta.iter().zip(signs.iter())) {
            let size = delta * sign;
            // A comparison, since the larger of the two zeros is either.
            *most = if size > *most { size } else { *most };
        }
    }
    for (most, sign) in shared.iter_mut().zip(signs.iter()) {
        *most = if *most > 0.0 { *most * sign } else { 0.0 };
    }
    let width = info.dtype.bits() as usize / 8;
    let mut bytes = vec![0; len * width];
    match kernels::encode_f64(info.dtype, &shared, &mut bytes) {
        0 => {}
        beyond => return Err(Excess::Format.refusal(info, beyond).into()),
    }
    let mut rounded = vec![0.0; len];
    kernels::decode_f64(info.dtype, &bytes, &mut rounded);
    let mut sums = Vec::with_capacity(deltas.len());
    for delta in &deltas {
        let (mut of, from) = (Sums::default(), bytes.len());
        bytes.resize(from + len.div_ceil(8), 0);
        for (at, value) in delta.iter().enumerate() {
            of.size[0] += value.abs();
            of.squares[0] += value * value;
            if value * signs[at] > 0.0 {
                bytes[from + at / 8] |= 1 << (at % 8);
                of.size[1] += shared[at].abs();
                of.squares[1] += value * rounded[at];
                of.squares[2] += rounded[at] * rounded[at];
            }
        }
        sums.push(of);
    }
    Ok((bytes, sums))
}

impl Unified {
    /// The tensors, read from the file that [`unify`] wrote: `<name>.unified` with the shape of the tensor, `<name>.masks`
    /// (U8, `[members, ⌈n/8⌉]`, a set bit where the member agrees, the lowest bit first) and `scales` (F64, `[members]`).
    pub fn open(self, file: Arc<dyn ReadAt>) -> UnifiedSource {
        let Self { infos, parts, scales, metadata, .. } = self;
        UnifiedSource { infos, parts, scales, metadata, file }
    }
}

/// The EMR form of several fine-tunes as a checkpoint.
pub struct UnifiedSource {
    infos: Vec<TensorInfo>,
    parts: Vec<Part>,
    scales: Vec<f64>,
    metadata: BTreeMap<String, String>,
    file: Arc<dyn ReadAt>,
}

impl UnifiedSource {
    fn shared(&self, blocks: Blocks, offset: u64, out: &mut [u8]) -> Result<(), weights::Error> {
        let whole = CHUNK as u64 * blocks.width;
        pieces(whole, offset, out, |block, within, out| {
            Ok(self.file.read_at(blocks.start(block) + within, out)?)
        })
    }

    fn masks(&self, blocks: Blocks, offset: u64, out: &mut [u8]) -> Result<(), weights::Error> {
        let row = blocks.elements.div_ceil(8);
        pieces(row, offset, out, |member, offset, out| {
            pieces(BITS as u64, offset, out, |block, within, out| {
                let bits = blocks.len(block).div_ceil(8);
                let at = blocks.start(block) + blocks.shared(block) + member * bits + within;
                Ok(self.file.read_at(at, out)?)
            })
        })
    }
}

/// Cuts `out`, which begins at `offset`, where stretches of `whole` bytes end; `read` is given the number of the stretch
/// and the place in it.
fn pieces(
    whole: u64,
    offset: u64,
    out: &mut [u8],
    read: impl Fn(u64, u64, &mut [u8]) -> Result<(), weights::Error>,
) -> Result<(), weights::Error> {
    let (mut offset, mut rest) = (offset, out);
    while !rest.is_empty() {
        let within = offset % whole;
        let (piece, more) = rest.split_at_mut((whole - within).min(rest.len() as u64) as usize);
        read(offset / whole, within, piece)?;
        (offset, rest) = (offset + piece.len() as u64, more);
    }
    Ok(())
}

impl TensorSource for UnifiedSource {
    fn tensors(&self) -> &[TensorInfo] {
        &self.infos
    }

    fn read_bytes(&self, index: usize, offset: u64, out: &mut [u8]) -> Result<(), weights::Error> {
        slice_of(&self.infos, index, offset, out.len())?;
        match self.parts[index] {
            Part::Shared(blocks) => self.shared(blocks, offset, out),
            Part::Masks(blocks) => self.masks(blocks, offset, out),
            Part::Scales => {
                let bytes: Vec<u8> = self.scales.iter().flat_map(|scale| scale.to_le_bytes()).collect();
                out.copy_from_slice(&bytes[offset as usize..offset as usize + out.len()]);
                Ok(())
            }
        }
    }

    fn read_f32(&self, index: usize, start: u64, out: &mut [f32]) -> Result<(), weights::Error> {
        decode_range(self, index, start, out)
    }

    fn metadata(&self) -> BTreeMap<String, String> {
        self.metadata.clone()
    }
}
