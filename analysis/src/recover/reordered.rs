//! A checkpoint whose hidden units, heads or residual stream are put in another order.

use std::{collections::BTreeMap, sync::Arc};

use weights::{TensorInfo, TensorSource};

use crate::computed::refused;

/// Where each place of an axis is found in the stored tensor.
pub(super) type Order = Arc<Vec<u32>>;

/// The orders of the axes of one tensor; none where an axis stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Axes {
    pub(super) rows: Option<Order>,
    pub(super) columns: Option<Order>,
}

impl Axes {
    /// Whether a tensor can be put into these orders.
    fn fit(&self, info: &TensorInfo) -> bool {
        let fits = |order: &Option<Order>, axis: usize| {
            let holds = |order: &Order| info.shape.get(axis) == Some(&(order.len() as u64));
            order.as_ref().is_none_or(holds)
        };
        info.shape.len() <= 2
            && info.dtype.bits().is_multiple_of(8)
            && fits(&self.rows, 0)
            && fits(&self.columns, 1)
    }
}

/// `source` with rows and columns of some tensors gathered in another order. Only tensors of one or two axes and of
/// whole bytes an element are reordered.
pub(super) struct Reordered {
    source: Arc<dyn TensorSource>,
    axes: BTreeMap<usize, Axes>,
}

impl Reordered {
    /// `source` with these axes, by the places of its tensors, in other orders.
    ///
    /// # Errors
    /// When an axis is not as long as its order, or a tensor has more than two.
    pub(super) fn new(
        source: Arc<dyn TensorSource>,
        axes: BTreeMap<usize, Axes>,
    ) -> Result<Self, weights::Error> {
        for (index, axes) in &axes {
            let info = source.tensors().get(*index);
            if !info.is_some_and(|info| axes.fit(info)) {
                let name = info.map_or("", |info| info.name.as_str());
                return Err(refused(format!("the orders of the axes of tensor `{name}` do not fit it")));
            }
        }
        Ok(Self { source, axes })
    }

    /// Reads elements of one tensor row by row: `read` fills a stored row from a place in it, `put` takes its elements.
    fn gather<T: Copy + Default>(
        &self,
        (index, axes): (usize, &Axes),
        (start, out): (u64, &mut [T]),
        read: impl Fn(u64, &mut [T]) -> Result<(), weights::Error>,
    ) -> Result<(), weights::Error> {
        let width = self.source.tensors()[index].shape.get(1).copied().unwrap_or(1) as usize;
        let mut row = vec![T::default(); width];
        let (mut at, mut rest) = (start as usize, out);
        while !rest.is_empty() && width > 0 {
            let (line, within) = (at / width, at % width);
            let (now, later) = rest.split_at_mut((width - within).min(rest.len()));
            let line = axes.rows.as_ref().map_or(line, |order| order[line] as usize);
            match &axes.columns {
                None => read((line * width + within) as u64, now)?,
                Some(order) => {
                    read((line * width) as u64, &mut row)?;
                    now.iter_mut().zip(&order[within..]).for_each(|(out, from)| *out = row[*from as usize]);
                }
            }
            at += now.len();
            rest = later;
        }
        Ok(())
    }
}

impl TensorSource for Reordered {
    fn tensors(&self) -> &[TensorInfo] {
        self.source.tensors()
    }

    fn read_bytes(&self, index: usize, offset: u64, out: &mut [u8]) -> Result<(), weights::Error> {
        let Some(axes) = self.axes.get(&index) else { return self.source.read_bytes(index, offset, out) };
        let size = self.source.tensors()[index].dtype.bits() / 8;
        let (first, skipped) = (offset / size, (offset % size) as usize);
        let count = (skipped + out.len()).div_ceil(size as usize);
        // An element is moved as one number of its size.
        let mut elements = vec![[0u8; 8]; count];
        self.gather((index, axes), (first, &mut elements), |start, values| {
            let mut bytes = vec![0u8; values.len() * size as usize];
            self.source.read_bytes(index, start * size, &mut bytes)?;
            for (value, bytes) in values.iter_mut().zip(bytes.chunks_exact(size as usize)) {
                value[..size as usize].copy_from_slice(bytes);
            }
            Ok(())
        })?;
        let bytes = elements.iter().flat_map(|element| &element[..size as usize]).skip(skipped);
        out.iter_mut().zip(bytes).for_each(|(out, byte)| *out = *byte);
        Ok(())
    }

    fn read_f32(&self, index: usize, start: u64, out: &mut [f32]) -> Result<(), weights::Error> {
        match self.axes.get(&index) {
            None => self.source.read_f32(index, start, out),
            Some(axes) => self.gather((index, axes), (start, out), |start, values| {
                self.source.read_f32(index, start, values)
            }),
        }
    }

    fn ready(&self, index: usize) -> Result<(), weights::Error> {
        self.source.ready(index)
    }

    fn metadata(&self) -> BTreeMap<String, String> {
        self.source.metadata()
    }
}
