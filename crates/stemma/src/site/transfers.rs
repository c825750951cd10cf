//! Transfers as the form asks for them.

use ::web::{
    Failure,
    view::{Count, TransferCheck, TransferForm},
};
use analysis::transfer::{Options, Preset};
use domain::{Class, RepoId};
use jobs::{Access, Registry, TransferPayload};
use serde_json::Value;

use super::Result;

/// The request that a form makes.
pub fn payload(form: &TransferForm, output: RepoId) -> Result<TransferPayload> {
    let lambda: Value = serde_json::from_str(form.lambda.trim()).map_err(|_| {
        let told = format!(
            "λ is a number, a list of numbers from the first layer to the last as `[0.5, 1]`, or a list as \
             `[{{\"filter\": \"mlp\", \"value\": 0.5}}]`; `{}` is none of them",
            form.lambda
        );
        Failure::new(Class::Invalid, "bad_lambda", told)
    })?;
    let known = Preset::ALL.map(Preset::label);
    let preset = Preset::ALL.into_iter().find(|preset| preset.label() == form.preset).ok_or_else(|| {
        let told = format!("`{}` is no preset; expected one of {}", form.preset, known.join(", "));
        Failure::new(Class::Invalid, "invalid_request", told)
    })?;
    let pattern = |text: &str| (!text.trim().is_empty()).then(|| text.trim().to_owned());
    let (include, exclude) = (pattern(&form.include), pattern(&form.exclude));
    Ok(TransferPayload {
        target_base: form.target_base.trim().to_owned(),
        source_base: form.source_base.trim().to_owned(),
        source_tuned: form.source_tuned.trim().to_owned(),
        options: Options { preset, lambda, include, exclude },
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
        ("Size of the change, relative", number(report.model.relative_delta)),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_asks_for_what_a_request_can_and_nothing_unknown_is_taken_for_the_usual() {
        let form = |lambda: &str, preset: &str| TransferForm {
            lambda: lambda.into(),
            preset: preset.into(),
            exclude: "lm_head".into(),
            ..TransferForm::default()
        };
        let asked = |form: &TransferForm| payload(form, RepoId::parse("o/new").unwrap());

        let options = asked(&form("[0.5, 1]", "shadow_ft")).unwrap().options;
        let filtered = asked(&form(r#"[{"filter": "mlp", "value": 0.5}]"#, "diff_vector")).unwrap().options;

        assert_eq!((options.preset, options.lambda.to_string().as_str()), (Preset::ShadowFt, "[0.5,1]"));
        assert_eq!((options.include.as_deref(), options.exclude.as_deref()), (None, Some("lm_head")));
        assert!(filtered.canonical().is_ok(), "{filtered:?}");
        assert!(asked(&form("1", "zork")).unwrap_err().detail.contains("shadow_ft"));
        assert!(asked(&form("much", "diff_vector")).unwrap_err().detail.contains("`much`"));
    }
}
