//! Transfers between models whose tensors go by wrapped names, or of which one has more.

use domain::Fault as _;
use kernels::Dtype;
use serde_json::json;
use weights::TensorSource;

use super::{Named, Operands, Options, TransferSource};
use crate::testing::{Fixture, bytes, model, same, values};

const EYE: &str = "visual.blocks.0.weight";

/// `model(seed)` as the text part of a larger model.
fn wrapped(seed: u64) -> Fixture {
    let plain = model(seed);
    let add = |made: Fixture, (at, info): (usize, &weights::TensorInfo)| {
        let name = info.name.replacen("model.", "model.language_model.", 1);
        made.with_bytes(&name, info.dtype, &info.shape, bytes(&plain, at))
    };
    plain.tensors().iter().enumerate().fold(Fixture::empty(), add)
}

fn seeing(model: Fixture, value: f64) -> Fixture {
    model.with(EYE, Dtype::F32, &[2], &[value; 2])
}

fn transfer(
    [target, base, tuned]: [Fixture; 3],
    wanted: serde_json::Value,
) -> Result<TransferSource, crate::Error> {
    let named =
        |label: &str, model: Fixture| Named { label: label.to_owned(), source: model.share(), tokens: None };
    let options: Options = serde_json::from_value(wanted).unwrap();
    let operands = Operands {
        target_base: named("target", target),
        source_base: named("base", base),
        source_tuned: named("tuned", tuned),
    };
    TransferSource::new(operands, &options)
}

#[test]
fn wrappers_around_names_change_no_byte_of_a_transfer() {
    let plain = transfer([model(1), model(2), model(3)], json!({})).unwrap();

    for models in [
        [model(1), model(2), wrapped(3)],
        [model(1), wrapped(2), wrapped(3)],
        [model(1), wrapped(2), model(3)],
    ] {
        assert!(same(&plain, &transfer(models, json!({})).unwrap()));
    }
    let into = transfer([wrapped(1), model(2), model(3)], json!({})).unwrap();
    for info in plain.tensors().iter().filter(|info| info.dtype.is_float()) {
        let name = info.name.replacen("model.", "model.language_model.", 1);
        assert_eq!(values(&into, &name), values(&plain, &info.name), "{name}");
    }
}

#[test]
fn what_a_model_lacks_is_a_fault_stays_as_it_is_or_is_left_out() {
    let more_in_target = || [seeing(wrapped(1), 5.0), model(2), model(3)];
    let more_in_tuned = || [model(1), seeing(wrapped(2), 1.0), seeing(wrapped(3), 2.0)];
    let plain = transfer([model(1), model(2), model(3)], json!({})).unwrap();

    let refused = transfer(more_in_target(), json!({})).err().unwrap();
    let kept = transfer(more_in_target(), json!({ "missing": "base" })).unwrap();
    let skipped = transfer(more_in_target(), json!({ "missing": "skip" })).unwrap();
    let carried = transfer(more_in_tuned(), json!({ "missing": "base" })).unwrap();

    assert_eq!(refused.items().len(), 2);
    assert!(refused.items().iter().all(|item| item.pointer == EYE), "{:?}", refused.items());
    assert_eq!(values(&kept, EYE), [5.0; 2]);
    assert_eq!(kept.tensors().len(), plain.tensors().len() + 1);
    assert_eq!(values(&kept, "model.language_model.norm.weight"), values(&plain, "model.norm.weight"));
    assert!(skipped.position(EYE).is_none() && skipped.tensors().len() == plain.tensors().len());
    assert!(same(&plain, &carried));
    let told = |source: &TransferSource| {
        let items = source.cautions();
        assert!(items.len() == 1 && items[0].pointer == "/missing", "{items:?}");
        items[0].message.clone()
    };
    assert_eq!(told(&kept), format!("1 tensors that the source models lack stay as they are: `{EYE}`"));
    assert_eq!(told(&skipped), format!("1 tensors that the source models lack are left out: `{EYE}`"));
    assert_eq!(
        told(&carried),
        format!("1 tensors that only the tuned model has are not carried over: `{EYE}`")
    );
    assert!(plain.cautions().is_empty());
}
