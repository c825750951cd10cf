//! Names of tensors in a wrapper that other checkpoints of the network lack: an encoder is saved without the name of the
//! model that it was trained in.

use std::collections::{BTreeMap, BTreeSet};

use weights::bare_name;

use super::facts::{Facts, Tensor};

/// What every layer of a stack holds, by the part of its names before the number of the layer.
type Stacks<'f> = BTreeMap<&'f str, BTreeSet<(&'f str, &'f [u64])>>;

/// Takes the first component off the names of models in which it wraps what another model has without it.
pub(super) fn unwrap(facts: &mut [Option<Facts>]) {
    let told: Vec<Vec<String>> = {
        let all: Vec<Option<Stacks<'_>>> =
            facts.iter().map(|facts| facts.as_ref().map(|facts| stacks(&facts.tensors))).collect();
        let of = |own: usize| -> Vec<String> {
            let Some((mine, tensors)) = all[own].as_ref().zip(facts[own].as_ref()) else { return Vec::new() };
            let peers = (0..all.len()).filter(|&peer| peer != own);
            let found = peers.filter_map(|peer| {
                let wrapper = wrapper(mine, all[peer].as_ref()?)?;
                let lacks = |facts: &Facts| facts.tensors.iter().all(|one| !one.role.starts_with(wrapper));
                (lacks(facts[peer].as_ref()?) && separate(&tensors.tensors, wrapper))
                    .then(|| wrapper.to_owned())
            });
            found.collect::<BTreeSet<_>>().into_iter().collect()
        };
        (0..all.len()).map(of).collect()
    };
    for (facts, wrappers) in facts.iter_mut().zip(told) {
        let Some(facts) = facts else { continue };
        let bare = |name: &str| wrappers.iter().find_map(|wrapper| inner(name, wrapper)).map(str::to_owned);
        for tensor in &mut facts.tensors {
            tensor.role = bare(&tensor.role).unwrap_or_else(|| std::mem::take(&mut tensor.role));
        }
        for layer in &mut facts.units {
            let probes = std::mem::take(layer).into_iter();
            *layer = probes.map(|(stack, probe)| (bare(&stack).unwrap_or(stack), probe)).collect();
        }
    }
}

/// The first component, with its dot, of a stack of the first model that the second has without it.
fn wrapper<'f>(own: &Stacks<'f>, peer: &Stacks<'_>) -> Option<&'f str> {
    own.iter().find_map(|(stack, held)| {
        let dot = stack.find('.')? + 1;
        let bare = inner(stack, &stack[..dot])?;
        (!bare.is_empty() && peer.get(bare)? == held).then_some(&stack[..dot])
    })
}

/// Whether no two tensors have one name without the wrapper.
fn separate(tensors: &[Tensor], wrapper: &str) -> bool {
    let outside: BTreeSet<&str> =
        tensors.iter().map(|one| one.role.as_str()).filter(|role| !role.starts_with(wrapper)).collect();
    tensors.iter().filter_map(|one| inner(&one.role, wrapper)).all(|role| !outside.contains(role))
}

/// What a name is without a wrapper, and without those that files of one architecture may lack.
fn inner<'n>(name: &'n str, wrapper: &str) -> Option<&'n str> {
    name.strip_prefix(wrapper).map(bare_name)
}

fn stacks(tensors: &[Tensor]) -> Stacks<'_> {
    let mut stacks = Stacks::new();
    for tensor in tensors.iter().filter(|tensor| tensor.layer.is_some()) {
        let Some((stack, rest)) = tensor.role.split_once('#') else { continue };
        stacks.entry(stack).or_default().insert((rest, &tensor.shape));
    }
    stacks
}
