//! The merged checkpoint: every element computed when it is read, scalars of a tensor computed once.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use domain::Item;
use kernels::{Dtype, device::Device};
use serde_json::Value;
use weights::{Account, Scratch, TensorInfo, TensorSource};

use super::{
    Combine, Explained, Method, Operands, Stacked, Touched,
    explain::explained,
    methods::UNCHANGED,
    nonfinite::{self, NonFinite},
    spec::Found,
    strips::Merging,
    underflow::Underflow,
};
use crate::{
    computed::{self, BLOCK, Computed, Equal, SourceTensor, refused},
    excess::Excess,
};

/// How one output tensor is made.
pub(super) enum Part {
    Merged(Box<Operands>),
    /// A tensor of one model as it is, in the number format of the result.
    Single(Box<Operands>),
    /// Equal in all inputs that hold it.
    Copied(Vec<SourceTensor>),
}

pub(super) struct Row {
    info: TensorInfo,
    part: Part,
    /// What is known of the inputs of a copied tensor.
    equal: Equal,
    /// What a policy made of the tensor.
    account: Account,
}

impl Row {
    pub(super) fn new(info: TensorInfo, part: Part) -> Self {
        Self { info, part, equal: Equal::default(), account: Account::new() }
    }

    /// With what the `policy` of the recipe made of it, for the record.
    pub(super) fn told(mut self, policy: &str, (what, models): (&str, Value)) -> Self {
        let told = [("policy", policy.into()), (what, models)];
        self.account.extend(told.map(|(name, value)| (name.to_owned(), value)));
        self
    }

    pub(super) fn info(&self) -> &TensorInfo {
        &self.info
    }

    pub(super) fn part(&self) -> &Part {
        &self.part
    }

    pub(super) fn account(&self) -> &Account {
        &self.account
    }

    pub(super) fn is_merged(&self) -> bool {
        matches!(self.part, Part::Merged(_))
    }

    pub(super) fn name(&self) -> &str {
        &self.info.name
    }
}

/// Numbers that prepared tensors hold for a block of a writer: as many as it has bytes, so at most.
const BLOCK_HELD: u64 = 1 << 20;

/// A tensor that is ready to be combined.
struct Prepared {
    index: usize,
    /// Numbers in memory and in scratch.
    held: u64,
    combine: Arc<dyn Combine>,
}

/// A merge as a checkpoint. Any range of any tensor can be read in any order.
pub struct MergeSource {
    method: &'static dyn Method,
    infos: Vec<TensorInfo>,
    rows: Vec<Row>,
    /// The tensors prepared last. Nothing is computed under this lock: a thread that waited for it inside a
    /// parallel loop could be the one that has to finish the work.
    prepared: Mutex<VecDeque<Prepared>>,
    /// What the method found over all tensors, by tensor; empty for a method that does not look.
    survey: OnceLock<BTreeMap<usize, Found>>,
    outline: Outline,
    /// How each tensor was made, of those prepared before.
    accounts: Mutex<BTreeMap<usize, Account>>,
    underflow: Underflow,
    /// Computes what it can of the tensors, with the same bits.
    device: Option<Arc<dyn Device>>,
}

/// What is known of a merge besides its tensors.
#[derive(Debug, Default)]
pub(super) struct Outline {
    pub warnings: Vec<Item>,
    /// Where layers come from that are not simply those of the heir.
    pub stacked: Vec<Stacked>,
    pub touched: Vec<Touched>,
}

impl std::fmt::Debug for MergeSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MergeSource({}, {} tensors)", self.method.spec().id, self.rows.len())
    }
}

impl MergeSource {
    pub(super) fn new(method: &'static dyn Method, rows: Vec<Row>, outline: Outline) -> Self {
        let infos = rows.iter().map(|row| row.info.clone()).collect();
        let (prepared, survey) = (Mutex::default(), OnceLock::new());
        let (accounts, underflow) = (Mutex::default(), Underflow::default());
        Self { method, infos, rows, prepared, survey, outline, accounts, underflow, device: None }
    }

    /// The same, computed on a device where it can be.
    #[must_use]
    pub fn on(self, device: Option<Arc<dyn Device>>) -> Self {
        Self { device, ..self }
    }

    /// What the recipe says that it probably does not mean.
    pub fn warnings(&self) -> &[Item] {
        &self.outline.warnings
    }

    /// Which values every tensor gets, sorted by name.
    pub fn explain(&self) -> impl Iterator<Item = Explained> {
        self.rows.iter().map(|row| explained(self.method.spec(), row))
    }

    /// The tensors that policies of the recipe decided about; empty where the models have the same.
    pub fn touched(&self) -> &[Touched] {
        &self.outline.touched
    }

    /// Where the layers of the result come from; empty where whole models are merged and the result has as many layers as
    /// its heir.
    pub fn stacked(&self) -> &[Stacked] {
        &self.outline.stacked
    }

    /// The same, what must be held whole of large matrices in this scratch.
    #[must_use]
    pub fn within(mut self, scratch: &Scratch) -> Self {
        for row in &mut self.rows {
            if let Part::Merged(operands) = &mut row.part {
                operands.scratch = scratch.clone();
            }
        }
        self
    }

    /// Bytes of memory that writing the result on `threads` threads stays below, files' own caches not counted.
    pub fn memory(&self, threads: usize) -> u64 {
        let of = |operands: &Operands| {
            let scratch = Some(8 * self.method.scratch(operands));
            let scratch = scratch.filter(|bytes| operands.scratch.is_memory(*bytes));
            8 * self.method.held(operands) + scratch.unwrap_or_default()
        };
        let held: Vec<u64> = self.operands().map(of).collect();
        let inputs = self.operands().map(|operands| operands.inputs().count()).max().unwrap_or_default();
        let inputs = inputs as u64;
        // One that is prepared, two of which blocks are read, and those between these.
        let most = 3 * held.iter().max().unwrap_or(&0) + 8 * spare(threads);
        // A thread that waits for the parts of one block may have begun another.
        let (blocks, counters) = ((inputs + 3) * BLOCK as u64 * 8, (2 * inputs) << 22);
        let sample = (inputs + 1) << 22;
        2 * threads as u64 * (blocks + counters) + sample + held.iter().sum::<u64>().min(most)
    }

    /// Bytes of scratch in files that writing the result on `threads` threads stays below.
    pub fn scratch(&self, threads: usize) -> u64 {
        let of = |operands: &Operands| {
            let bytes = 8 * self.method.scratch(operands);
            (!operands.scratch.is_memory(bytes)).then(|| (bytes, 8 * self.method.kept(operands)))
        };
        let needs: Vec<(u64, u64)> = self.operands().filter_map(of).collect();
        let prepared = needs.iter().map(|(bytes, _)| *bytes).max().unwrap_or_default();
        let result = needs.iter().map(|(_, result)| *result).max().unwrap_or_default();
        let results = needs.iter().map(|(_, result)| *result).sum::<u64>();
        prepared + results.saturating_sub(result).min(2 * result + 8 * spare(threads))
    }

    fn operands(&self) -> impl Iterator<Item = &Operands> {
        self.rows.iter().filter_map(|row| match &row.part {
            Part::Merged(operands) => Some(&**operands),
            Part::Single(_) | Part::Copied(_) => None,
        })
    }

    /// What the method found over all tensors for tensor `index`.
    fn surveyed(&self, index: usize) -> Result<Option<Found>, weights::Error> {
        if self.survey.get().is_none() {
            let merged = |(index, row): (usize, &'_ Row)| match &row.part {
                Part::Merged(operands) => Some((index, (**operands).clone())),
                Part::Single(_) | Part::Copied(_) => None,
            };
            let (places, tensors): (Vec<usize>, Vec<Operands>) =
                self.rows.iter().enumerate().filter_map(merged).unzip();
            let found = self.method.survey(&tensors.iter().collect::<Vec<_>>())?;
            // Whoever comes second has found the same.
            drop(self.survey.set(places.into_iter().zip(found.unwrap_or_default()).collect()));
        }
        Ok(self.survey.get().and_then(|found| found.get(&index).cloned()))
    }

    fn merging(&self, index: usize) -> Result<Merging<'_>, weights::Error> {
        let row = &self.rows[index];
        let (Part::Merged(operands) | Part::Single(operands)) = &row.part else {
            return Err(refused(format!(
                "tensor `{}` is {}, not a float tensor",
                row.info.name, row.info.dtype
            )));
        };
        Ok(Merging { operands, combine: self.combine(index, operands)? })
    }

    fn combine(&self, index: usize, operands: &Operands) -> Result<Arc<dyn Combine>, weights::Error> {
        let lock = || self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = lock().iter().find(|known| known.index == index) {
            return Ok(Arc::clone(&known.combine));
        }
        let single = matches!(self.rows[index].part, Part::Single(_));
        let survey = if single { None } else { self.surveyed(index)? };
        let combine = match survey {
            None if single => UNCHANGED.prepare(operands)?,
            None => self.method.prepare(operands)?,
            survey => self.method.prepare(&Operands { survey, ..operands.clone() })?,
        };
        let combine = match operands.nonfinite {
            NonFinite::Passed => nonfinite::counted(operands, combine)?,
            NonFinite::Refused => combine,
        };
        let mut prepared = lock();
        let held =
            if single { 0 } else { self.method.held(operands).saturating_add(self.method.kept(operands)) };
        prepared.push_front(Prepared { index, held, combine: Arc::clone(&combine) });
        // A writer has two blocks a thread under way, each perhaps of a tensor of its own, and as many to be written.
        let threads = rayon::current_num_threads();
        while prepared.len() > 2 && (prepared.len() > 4 * threads + 2 || between(&prepared) > spare(threads))
        {
            let Some(done) = prepared.pop_back() else { break };
            let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
            accounts.insert(done.index, done.combine.account());
        }
        Ok(combine)
    }
}

/// Numbers that tensors between the first and the last of a writer's blocks hold together.
fn spare(threads: usize) -> u64 {
    2 * threads as u64 * BLOCK_HELD
}

/// Numbers held by all but the two tensors that hold most, of which a writer's blocks may be small parts.
fn between(prepared: &VecDeque<Prepared>) -> u64 {
    let mut held: Vec<u64> = prepared.iter().map(|known| known.held).collect();
    held.sort_unstable();
    held[..held.len().saturating_sub(2)].iter().sum()
}

impl Computed for MergeSource {
    fn infos(&self) -> &[TensorInfo] {
        &self.infos
    }

    fn excess(&self) -> Excess {
        Excess::Weights
    }

    fn ready(&self, index: usize) -> Result<(), weights::Error> {
        match self.rows.get(index).map(|row| &row.part) {
            Some(Part::Merged(operands) | Part::Single(operands)) => {
                // Inputs that are computed themselves are made ready before many threads read them.
                operands.go_on()?;
                self.combine(index, operands).map(drop)
            }
            _ => Ok(()),
        }
    }

    fn fill(&self, index: usize, start: u64, out: &mut [f64]) -> Result<u64, weights::Error> {
        self.merging(index)?.fill(start, out)
    }

    fn encode(&self, index: usize, start: u64, out: (Dtype, &mut [u8])) -> Result<u64, weights::Error> {
        let (dtype, out) = out;
        let merging = self.merging(index)?;
        let beyond = merging.encode(start, (dtype, &mut *out))?;
        self.underflow.count((index, start), &merging, (dtype, out))?;
        Ok(beyond)
    }

    fn encode_elsewhere(
        &self,
        index: usize,
        start: u64,
        out: (Dtype, &mut [u8]),
    ) -> Option<Result<u64, weights::Error>> {
        let device = self.device.as_deref()?;
        // What cannot be merged says so on the way that the processor takes.
        let merging = self.merging(index).ok()?;
        let (dtype, out) = out;
        let beyond = merging.encode_on(device, start, (dtype, &mut *out))?;
        let counted = |beyond| self.underflow.count((index, start), &merging, (dtype, out)).map(|()| beyond);
        Some(beyond.and_then(counted))
    }

    fn copied(&self, index: usize, offset: u64, out: &mut [u8]) -> Option<Result<(), weights::Error>> {
        let row = &self.rows[index];
        let Part::Copied(held) = &row.part else { return None };
        Some(row.equal.require(held).and_then(|()| held[0].source.read_bytes(held[0].index, offset, out)))
    }
}

impl TensorSource for MergeSource {
    fn tensors(&self) -> &[TensorInfo] {
        &self.infos
    }

    fn ready(&self, index: usize) -> Result<(), weights::Error> {
        Computed::ready(self, index)
    }

    fn account(&self, index: usize) -> Account {
        let known = || {
            let prepared = self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(known) = prepared.iter().find(|known| known.index == index) {
                return known.combine.account();
            }
            let accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
            accounts.get(&index).cloned().unwrap_or_default()
        };
        let mut account = known();
        account.extend(self.rows.get(index).map(|row| row.account.clone()).unwrap_or_default());
        let underflow = self.underflow.of(index);
        if underflow > 0 {
            account.insert("underflow".to_owned(), underflow.into());
        }
        account
    }

    fn cautions(&self) -> Vec<Item> {
        self.outline.warnings.clone()
    }

    fn read_bytes(&self, index: usize, offset: u64, out: &mut [u8]) -> Result<(), weights::Error> {
        computed::read_bytes(self, index, offset, out)
    }

    fn read_f32(&self, index: usize, start: u64, out: &mut [f32]) -> Result<(), weights::Error> {
        weights::decode_range(self, index, start, out)
    }

    fn metadata(&self) -> BTreeMap<String, String> {
        BTreeMap::from([("format".into(), "pt".into())])
    }
}
