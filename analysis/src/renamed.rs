//! A model under the names that another gives to its tensors: where they differ by the wrappers around them alone.

use std::{collections::BTreeMap, sync::Arc};

use weights::{Account, TensorInfo, TensorSource, bare_name};

use crate::kinship::Bare;

/// `source`, its tensors called as in `other`; itself where they already are.
pub fn like(source: &Arc<dyn TensorSource>, other: &dyn TensorSource) -> Arc<dyn TensorSource> {
    let theirs = Bare::of(other.tensors().iter().map(|info| (info.name.as_str(), info.name.as_str())));
    let ours = Bare::of(source.tensors().iter().enumerate().map(|(at, info)| (info.name.as_str(), at)));
    let called = |(at, info): (usize, &TensorInfo)| {
        let name = info.name.as_str();
        let known = other.position(name).is_some();
        // What two tensors of either model would be called stands for neither.
        let wanted = theirs.get(name).filter(|wanted| !known && source.position(wanted).is_none());
        let wanted = wanted.filter(|_| ours.get(bare_name(name)) == Some(at));
        (TensorInfo { name: wanted.unwrap_or(name).to_owned(), ..info.clone() }, at)
    };
    let mut tensors: Vec<(TensorInfo, usize)> = source.tensors().iter().enumerate().map(called).collect();
    if tensors.iter().all(|(info, at)| info.name == source.tensors()[*at].name) {
        return Arc::clone(source);
    }
    tensors.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
    let (infos, places) = tensors.into_iter().unzip();
    Arc::new(Renamed { source: Arc::clone(source), infos, places })
}

struct Renamed {
    source: Arc<dyn TensorSource>,
    infos: Vec<TensorInfo>,
    /// Where the source has each.
    places: Vec<usize>,
}

impl Renamed {
    fn own(&self, index: usize) -> usize {
        // An index past the end stays one.
        self.places.get(index).copied().unwrap_or(index)
    }
}

impl TensorSource for Renamed {
    fn tensors(&self) -> &[TensorInfo] {
        &self.infos
    }

    fn read_bytes(&self, index: usize, offset: u64, out: &mut [u8]) -> Result<(), weights::Error> {
        self.source.read_bytes(self.own(index), offset, out)
    }

    fn read_f32(&self, index: usize, start: u64, out: &mut [f32]) -> Result<(), weights::Error> {
        self.source.read_f32(self.own(index), start, out)
    }

    fn ready(&self, index: usize) -> Result<(), weights::Error> {
        self.source.ready(self.own(index))
    }

    fn view(&self, index: usize, offset: u64, len: usize) -> Option<&[u8]> {
        self.source.view(self.own(index), offset, len)
    }

    fn read_unrounded(
        &self,
        index: usize,
        start: u64,
        out: &mut [f64],
    ) -> Option<Result<(), weights::Error>> {
        self.source.read_unrounded(self.own(index), start, out)
    }

    fn account(&self, index: usize) -> Account {
        self.source.account(self.own(index))
    }

    fn cautions(&self) -> Vec<domain::Item> {
        self.source.cautions()
    }

    fn metadata(&self) -> BTreeMap<String, String> {
        self.source.metadata()
    }
}

#[cfg(test)]
mod tests {
    use kernels::Dtype;

    use super::*;
    use crate::testing::{Fixture, Telling, bytes, hears};

    fn of(names: &[(&str, f64)]) -> Arc<dyn TensorSource> {
        let add = |made: Fixture, (name, value): &(&str, f64)| made.with(name, Dtype::F32, &[1], &[*value]);
        names.iter().fold(Fixture::empty(), add).share()
    }

    #[test]
    fn tensors_within_a_wrapper_are_called_as_the_other_model_calls_them() {
        let wrapped = of(&[
            ("model.language_model.layers.0.w", 1.0),
            ("model.language_model.norm.weight", 2.0),
            ("visual.blocks.0.w", 3.0),
            ("lm_head.weight", 4.0),
        ]);
        let plain = of(&[("model.layers.0.w", 0.0), ("model.norm.weight", 0.0), ("lm_head.weight", 0.0)]);

        let renamed = like(&wrapped, &*plain);

        let names: Vec<&str> = renamed.tensors().iter().map(|info| info.name.as_str()).collect();
        assert_eq!(names, ["lm_head.weight", "model.layers.0.w", "model.norm.weight", "visual.blocks.0.w"]);
        for (name, value) in
            [("model.layers.0.w", 1.0f32), ("model.norm.weight", 2.0), ("lm_head.weight", 4.0)]
        {
            assert_eq!(bytes(&*renamed, renamed.position(name).unwrap()), value.to_le_bytes(), "{name}");
        }
        assert!(Arc::ptr_eq(&like(&plain, &*plain), &plain));
        assert_eq!(like(&plain, &*wrapped).tensors()[1].name, "model.language_model.layers.0.w");
    }

    #[test]
    fn what_two_tensors_would_be_called_stands_for_neither() {
        let both = of(&[("model.language_model.norm.weight", 1.0), ("model.norm.weight", 2.0)]);
        let plain = of(&[("norm.weight", 0.0)]);

        assert!(Arc::ptr_eq(&like(&both, &*plain), &both));
    }

    #[test]
    fn what_the_model_has_to_say_is_heard() {
        let other = of(&[("embed_tokens.weight", 0.0)]);

        let renamed = like(&Telling::shared(), &*other);

        assert_eq!(renamed.tensors()[0].name, "embed_tokens.weight");
        hears(&*renamed);
    }
}
