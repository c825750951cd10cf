//! The merged checkpoint: every element computed when it is read, scalars of a tensor computed once.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use weights::{TensorInfo, TensorSource};

use super::{Combine, Method, Operands};
use crate::computed::{self, Computed, Stored, keep_or_refuse_nonfinite, must_be_equal, read_f64, refused};

/// How one output tensor is made.
pub(super) enum Part {
    Merged(Operands),
    /// Equal in all inputs that hold it.
    Copied(Vec<Stored>),
}

pub(super) struct Row {
    info: TensorInfo,
    part: Part,
    /// Filled by the first read; held while it is computed, so it is computed once.
    ready: Mutex<Option<Arc<dyn Combine>>>,
    /// Whether the inputs of a copied tensor were found equal.
    equal: Mutex<bool>,
}

impl Row {
    pub(super) fn new(info: TensorInfo, part: Part) -> Self {
        Self { info, part, ready: Mutex::new(None), equal: Mutex::new(false) }
    }

    /// Compares the inputs of a copied tensor, once.
    fn found_equal(&self, held: &[Stored]) -> Result<(), weights::Error> {
        let mut equal = self.equal.lock().unwrap_or_else(PoisonError::into_inner);
        if !*equal {
            must_be_equal(held)?;
            *equal = true;
        }
        Ok(())
    }
}

/// A merge as a checkpoint. Any range of any tensor can be read in any order.
pub struct MergeSource {
    method: &'static dyn Method,
    infos: Vec<TensorInfo>,
    rows: Vec<Row>,
}

impl std::fmt::Debug for MergeSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MergeSource({}, {} tensors)", self.method.spec().id, self.rows.len())
    }
}

impl MergeSource {
    pub(super) fn new(method: &'static dyn Method, rows: Vec<Row>) -> Self {
        Self { method, infos: rows.iter().map(|row| row.info.clone()).collect(), rows }
    }

    fn combine(&self, row: &Row, operands: &Operands) -> Result<Arc<dyn Combine>, weights::Error> {
        let mut ready = row.ready.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(ready) = &*ready {
            return Ok(Arc::clone(ready));
        }
        let made = self.method.prepare(operands)?;
        *ready = Some(Arc::clone(&made));
        Ok(made)
    }
}

impl Computed for MergeSource {
    fn infos(&self) -> &[TensorInfo] {
        &self.infos
    }

    fn fill(&self, index: usize, start: u64, out: &mut [f64]) -> Result<(), weights::Error> {
        let row = &self.rows[index];
        let Part::Merged(operands) = &row.part else {
            return Err(refused(format!(
                "tensor `{}` is {}, not a float tensor",
                row.info.name, row.info.dtype
            )));
        };
        let combine = self.combine(row, operands)?;
        let read = |stored: &Stored| {
            let mut values = vec![0.0; out.len()];
            read_f64(&*stored.source, stored.index, start, &mut values).map(|()| values)
        };
        let models: Vec<Vec<f64>> = operands.models.iter().map(read).collect::<Result<_, _>>()?;
        let base = operands.base.as_ref().map(read).transpose()?.unwrap_or_default();
        let views: Vec<&[f64]> = models.iter().map(Vec::as_slice).collect();
        combine.combine(start, &views, &base, out);
        let labels = || operands.models.iter().chain(&operands.base).map(|stored| stored.label.as_str());
        let values: Vec<&[f64]> =
            views.iter().copied().chain((!base.is_empty()).then_some(&base[..])).collect();
        keep_or_refuse_nonfinite(&row.info.name, start, (&values, labels()), out)
    }

    fn copied(&self, index: usize, offset: u64, out: &mut [u8]) -> Option<Result<(), weights::Error>> {
        let row = &self.rows[index];
        let Part::Copied(held) = &row.part else { return None };
        Some(row.found_equal(held).and_then(|()| held[0].source.read_bytes(held[0].index, offset, out)))
    }
}

impl TensorSource for MergeSource {
    fn tensors(&self) -> &[TensorInfo] {
        &self.infos
    }

    fn read_bytes(&self, index: usize, offset: u64, out: &mut [u8]) -> Result<(), weights::Error> {
        computed::read_bytes(self, index, offset, out)
    }

    fn read_f32(&self, index: usize, start: u64, out: &mut [f32]) -> Result<(), weights::Error> {
        computed::read_f32(self, index, start, out)
    }

    fn metadata(&self) -> BTreeMap<String, String> {
        BTreeMap::from([("format".into(), "pt".into())])
    }
}
