//! A rule of thumb over the numbers of a check. The thresholds are heuristic: only a run of the model can tell.

use kernels::Dtype;
use serde::Serialize;
use serde_json::Value;

use super::{Difference, Measures, Neurons, Severity};

/// Whether a transfer is worth trying, by its weights alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Verdict {
    #[serde(rename = "likely works")]
    Likely,
    #[serde(rename = "uncertain")]
    Uncertain,
    #[serde(rename = "unlikely")]
    Unlikely,
}

impl Verdict {
    /// As reports write it.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Likely => "likely works",
            Self::Uncertain => "uncertain",
            Self::Unlikely => "unlikely",
        }
    }
}

/// One reason of a verdict.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reason {
    /// What this reason alone would say.
    pub verdict: Verdict,
    pub message: String,
}

/// A gap or a diff this large relative to the base is most of the way to √2, that of independent trainings.
const FAR: f64 = 1.0;
/// Beyond this gap a diff no longer fits for sure; beyond this diff more than a fine-tuning changed.
const APART: f64 = 0.3;
/// Shadow-FT reports gap ratios below 0.02 for the siblings it works on.
const SIBLINGS: f64 = 0.1;
/// A diff that points along the gap this much is partly in the target already, or is being taken back.
const ALONG: f64 = 0.3;
/// Shares of neurons in place.
const MOST: f64 = 0.95;
const HALF: f64 = 0.5;

/// Characters of a configuration's value in a reason.
const SHOWN: usize = 60;

/// All that speaks for or against, and the worst of it.
pub(super) fn judge(
    measures: &Measures,
    neurons: &Neurons,
    (differences, known): (&[Difference], Vec<Reason>),
) -> (Verdict, Vec<Reason>) {
    use Verdict::{Likely, Uncertain, Unlikely};
    let mut reasons = known;
    let mut say = |verdict, message: String| reasons.push(Reason { verdict, message });
    if let Some(gap) = measures.relative_gap {
        let text = format!("the bases are {gap:.4} of the source base's norm apart");
        match gap {
            gap if gap >= FAR => {
                say(Unlikely, format!("{text}; independently trained models are about 1.41"))
            }
            gap if gap >= APART => {
                say(Uncertain, format!("{text}; more than {APART} is far for two versions"))
            }
            _ => say(Likely, text),
        }
    }
    if let Some(delta) = measures.relative_delta.filter(|delta| *delta >= APART) {
        let text = format!("the tuned model is {delta:.4} of the source base's norm away from it");
        if delta >= FAR {
            say(
                Unlikely,
                format!("{text}, as models trained independently are: it was hardly tuned from that base"),
            );
        } else {
            say(Uncertain, format!("{text}; more than {APART} is far for a fine-tuning"));
        }
    }
    if let Some(ratio) = measures.gap_ratio.filter(|ratio| *ratio >= SIBLINGS) {
        say(Uncertain, format!("the gap ratio is {ratio:.4}; siblings are below {SIBLINGS}"));
    }
    match measures.cosine {
        Some(cosine) if cosine >= ALONG => {
            let text = "the target base may already hold part of the diff, which would count twice";
            say(Uncertain, format!("diff and version gap point the same way (cosine {cosine:.3}); {text}"));
        }
        Some(cosine) if cosine <= -ALONG => say(
            Uncertain,
            format!("the target base has moved against the diff (cosine {cosine:.3}); they would cancel"),
        ),
        _ => {}
    }
    if let Some(share) = neurons.share {
        let text = format!(
            "{} of {} sampled MLP neurons are still where they were",
            neurons.in_place, neurons.sampled
        );
        match share {
            share if share < HALF => say(Unlikely, format!("only {text}; the diff would meet other neurons")),
            share if share < MOST => say(Uncertain, text),
            _ => say(Likely, text),
        }
    }
    if measures.delta_norm == 0.0 {
        say(Uncertain, "the tuned model does not differ from its base".to_owned());
    }
    for difference in differences {
        let Difference { field, target_base, source_base, source_tuned, .. } = difference;
        let verdict = match difference.severity {
            Severity::Error => Unlikely,
            Severity::Warning => Uncertain,
        };
        if field == "tokenizer" {
            let [target, base] = [target_base, source_base].map(|value| value.as_str().unwrap_or("unknown"));
            let told = format!(
                "the result has the tuned model's tokenizer; for its tokens the target base has {target}, the source base \
                 {base}"
            );
            say(verdict, told);
            continue;
        }
        let [target, base, tuned] = [target_base, source_base, source_tuned].map(shown);
        let place = "in target base, source base and tuned model";
        say(verdict, format!("`{field}` differs: {target}, {base} and {tuned} {place}"));
    }
    let verdict = reasons.iter().map(|reason| reason.verdict).max().unwrap_or(Uncertain);
    (verdict, reasons)
}

/// What to say of a tensor whose `largest` change, times `lambda`, its number format does not hold.
pub(super) fn beyond(tensor: &str, dtype: Dtype, (lambda, largest): (f64, f64)) -> Option<Reason> {
    let (change, mut bytes) = (lambda * largest, vec![0; dtype.bits() as usize / 8]);
    let leaves = !change.is_finite() || kernels::encode_f64(dtype, &[change], &mut bytes) > 0;
    let message = || {
        format!(
            "with λ = {lambda:e} values of `{tensor}` leave the range of {dtype}, and the transfer would be refused; \
             choose a smaller one"
        )
    };
    leaves.then(|| Reason { verdict: Verdict::Unlikely, message: message() })
}

/// The beginning of a value.
fn shown(value: &Value) -> String {
    value.to_string().chars().take(SHOWN).collect()
}
