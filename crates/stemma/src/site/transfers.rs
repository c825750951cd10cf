//! Transfers as the form asks for them.

use ::web::{
    Failure,
    view::{Count, TransferCheck, TransferForm},
};
use analysis::transfer::{Options, Preset};
use domain::{Class, RepoId};
use jobs::{Access, Registry, TransferPayload};

use super::Result;

/// The request that a form makes.
pub fn payload(form: &TransferForm, output: RepoId) -> Result<TransferPayload> {
    let lambda: f64 = form.lambda.trim().parse().map_err(|_| {
        let told = format!("`{}` is not a number; 1 adds the whole diff", form.lambda);
        Failure::new(Class::Invalid, "bad_lambda", told)
    })?;
    let preset = Preset::ALL.into_iter().find(|preset| preset.label() == form.preset).unwrap_or_default();
    Ok(TransferPayload {
        target_base: form.target_base.trim().to_owned(),
        source_base: form.source_base.trim().to_owned(),
        source_tuned: form.source_tuned.trim().to_owned(),
        options: Options { preset, lambda: lambda.into(), ..Options::default() },
        output,
        pins: std::collections::BTreeMap::new(),
    })
}

/// What a look at the weights finds; what is wrong with the request is part of that.
pub async fn check(registry: &Registry, form: &TransferForm) -> Result<TransferCheck> {
    let looked = async {
        let payload = payload(form, super::output_id("check/only")?)?;
        let access = Access::registry();
        let plan = jobs::plan_transfer(registry, &payload, &access).await.map_err(Failure::from)?;
        let report = jobs::check_transfer(registry, &payload, &access).await.map_err(Failure::from)?;
        Ok::<_, Failure>((plan, report))
    };
    let (plan, report) = match looked.await {
        Ok(looked) => looked,
        Err(failure) if failure.class == Class::Internal => return Err(failure),
        Err(failure) => {
            let fault = Some(failure.detail);
            return Ok(TransferCheck { fault, items: failure.items, ..TransferCheck::default() });
        }
    };
    let tensors = plan.source.tensors();
    let all: u64 = tensors.iter().map(|tensor| tensor.shape.iter().product::<u64>()).sum();
    let share = if all == 0 { 0.0 } else { 100.0 * report.model.elements as f64 / all as f64 };
    let number =
        |value: Option<f64>| value.map_or_else(|| "undefined".to_owned(), |value| format!("{value:.4}"));
    let mut facts = vec![
        (
            "Tensors that the change fits",
            format!("{} of {}", Count(report.tensors.len() as u64), Count(tensors.len() as u64)),
        ),
        ("Weights that it fits", format!("{share:.1} % of {}", Count(all))),
        ("Gap of the bases, relative", number(report.model.relative_gap)),
        ("Cosine of change and gap", number(report.model.cosine)),
        ("Norm of the change / of the gap", number(report.model.delta_to_gap)),
        ("Neurons in place", number(report.neurons.share)),
    ];
    facts.extend(report.rows.iter().map(|rows| {
        let told = format!(
            "{}: {} rows, {} in the target, {} in the base",
            rows.tensor, rows.rows, rows.in_target_base, rows.in_source_base
        );
        ("Rows matched by token", told)
    }));
    Ok(TransferCheck {
        verdict: report.verdict.label(),
        reasons: report.reasons.into_iter().map(|reason| (reason.verdict.label(), reason.message)).collect(),
        facts,
        ..TransferCheck::default()
    })
}
