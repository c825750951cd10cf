//! Transfers as the form asks for them.

use ::web::{
    Failure,
    view::{Count, TransferCheck, TransferForm},
};
use analysis::transfer::{Options, Preset};
use domain::{Class, Item, RepoId};
use jobs::{Access, Registry, TransferPayload};
use serde_json::Value;

use super::Result;

/// What a look calls a result whose name is not given or is none; nothing of this name is ever made.
const UNNAMED: &str = "check/only";

/// What the fields of a form say, with the name of the new model where they say one, and what is wrong with them; a field
/// that says nothing readable counts as left alone.
fn read(form: &TransferForm) -> Result<(TransferPayload, Option<RepoId>, Vec<Item>)> {
    let mut faults = Vec::new();
    let mut fault =
        |pointer: &str, message: String| faults.push(Item { pointer: pointer.to_owned(), message });
    let models = [
        ("/source_base", &form.source_base),
        ("/source_tuned", &form.source_tuned),
        ("/target_base", &form.target_base),
    ];
    for (pointer, name) in models {
        if name.trim().is_empty() {
            fault(pointer, "it is missing: name a model".to_owned());
        }
    }
    let options = Options::default();
    let lambda: Value = serde_json::from_str(form.lambda.trim()).unwrap_or_else(|_| {
        let told = format!(
            "it is a number, a list of numbers from the first layer to the last as `[0.5, 1]`, or a list as \
             `[{{\"filter\": \"mlp\", \"value\": 0.5}}]`; `{}` is none of them",
            form.lambda
        );
        fault("/lambda", told);
        options.lambda.clone()
    });
    let preset = Preset::ALL.into_iter().find(|preset| preset.label() == form.preset).unwrap_or_else(|| {
        let known = Preset::ALL.map(Preset::label).join(", ");
        fault("/preset", format!("`{}` is no preset; expected one of {known}", form.preset));
        options.preset
    });
    let output = match form.output.trim() {
        "" => None,
        text => RepoId::parse(text).map_err(|error| fault("/output", error.to_string())).ok(),
    };
    let pattern = |text: &str| (!text.trim().is_empty()).then(|| text.trim().to_owned());
    let (include, exclude) = (pattern(&form.include), pattern(&form.exclude));
    let payload = TransferPayload {
        target_base: form.target_base.trim().to_owned(),
        source_base: form.source_base.trim().to_owned(),
        source_tuned: form.source_tuned.trim().to_owned(),
        options: Options { preset, lambda, include, exclude, ..Options::default() },
        output: output.clone().map_or_else(|| super::output_id(UNNAMED), Ok)?,
        pins: std::collections::BTreeMap::new(),
    };
    Ok((payload, output, faults))
}

/// Starts a transfer; the id of its job, or all that is wrong with the form.
pub async fn submit(registry: &Registry, form: &TransferForm) -> Result<String> {
    let (payload, _, mut faults) = read(form)?;
    if form.output.trim().is_empty() {
        let message = "it is missing: name the new model".to_owned();
        faults.push(Item { pointer: "/output".to_owned(), message });
    }
    if !faults.is_empty() {
        let plan = async || jobs::plan_transfer(registry, &payload, &Access::registry()).await;
        return Err(jobs::beside(faults, plan).await.into());
    }
    Ok(jobs::submit(registry, payload, None).await?.id)
}

/// What a look at the weights finds; what is wrong with the request is part of that.
pub async fn check(registry: &Registry, form: &TransferForm) -> Result<TransferCheck> {
    let looked = async {
        let (payload, output, faults) = read(form)?;
        let access = Access::registry();
        let plan = async || jobs::plan_transfer(registry, &payload, &access).await;
        if !faults.is_empty() {
            return Err(jobs::beside(faults, plan).await.into());
        }
        let plan = jobs::with_output(registry, output.as_ref(), plan).await.map_err(Failure::from)?;
        let report = jobs::check_transfer(registry, &plan).await.map_err(Failure::from)?;
        Ok::<_, Failure>((report, payload))
    };
    let (report, payload) = match looked.await {
        Ok(looked) => looked,
        Err(failure) if failure.class == Class::Internal => return Err(failure),
        Err(failure) => {
            let fault = Some(failure.detail);
            return Ok(TransferCheck { fault, items: failure.items, ..TransferCheck::default() });
        }
    };
    let covered = report.coverage;
    let number =
        |value: Option<f64>| value.map_or_else(|| "undefined".to_owned(), |value| format!("{value:.4}"));
    let mut facts = vec![
        (
            "Tensors that the change fits",
            format!("{} of {}", Count(covered.tensors as u64), Count(covered.of_tensors as u64)),
        ),
        ("Weights that it fits", format!("{:.1} % of {}", 100.0 * covered.share, Count(covered.of_elements))),
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
    let models = [payload.source_base, payload.source_tuned, payload.target_base];
    let warned = jobs::warned(registry, &models).await?;
    let reasons = report.reasons.into_iter().map(|reason| (reason.verdict.label(), reason.message));
    Ok(TransferCheck {
        verdict: report.verdict.label(),
        reasons: reasons.chain(warned.into_iter().map(|item| ("warning", item.message))).collect(),
        facts,
        ..TransferCheck::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(lambda: &str, preset: &str) -> TransferForm {
        TransferForm {
            source_base: "o/base".into(),
            source_tuned: "o/tuned".into(),
            target_base: "o/target".into(),
            lambda: lambda.into(),
            preset: preset.into(),
            exclude: "lm_head".into(),
            output: "o/new".into(),
            ..TransferForm::default()
        }
    }

    #[test]
    fn a_form_asks_for_what_a_request_can() {
        let asked = |form: &TransferForm| {
            let (payload, output, faults) = read(form).unwrap();
            assert!(faults.is_empty() && output.is_some(), "{faults:?}");
            payload.options
        };

        let options = asked(&form("[0.5, 1]", "shadow_ft"));
        let filtered = asked(&form(r#"[{"filter": "mlp", "value": 0.5}]"#, "diff_vector"));

        assert_eq!((options.preset, options.lambda.to_string().as_str()), (Preset::ShadowFt, "[0.5,1]"));
        assert_eq!((options.include.as_deref(), options.exclude.as_deref()), (None, Some("lm_head")));
        assert!(filtered.canonical().is_ok(), "{filtered:?}");
    }

    #[test]
    fn every_field_that_cannot_be_read_is_told_and_none_is_taken_for_the_usual() {
        let wrong =
            TransferForm { source_base: " ".into(), output: "bad name!!".into(), ..form("much", "zork") };

        let (_, output, faults) = read(&wrong).unwrap();

        let places: Vec<&str> = faults.iter().map(|item| item.pointer.as_str()).collect();
        assert_eq!((places, output), (vec!["/source_base", "/lambda", "/preset", "/output"], None));
        assert!(faults[1].message.contains("`much`") && faults[2].message.contains("shadow_ft"));
    }
}
