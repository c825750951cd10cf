//! A comparison in one sentence.

use super::table::{DiffReport, Totals};

/// Architecture, values, then what has no counterpart.
pub(super) fn verdict(report: &DiffReport) -> String {
    let estimated = (!report.exact).then(|| "estimated from sketches".to_owned());
    let (values, structure) = (Some(values(&report.totals)), Some(structure(report)));
    let told = [architecture(report), values, estimated, structure, numbers(report)];
    let told: Vec<String> = told.into_iter().flatten().collect();
    let mut text = told.join("; ") + ".";
    // Only the first letter: names of classes follow.
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    text
}

fn architecture(report: &DiffReport) -> Option<String> {
    let (a, b) = (report.architecture_a.as_ref()?, report.architecture_b.as_ref()?);
    Some(match a == b {
        true => format!("the same architecture, {a}"),
        false => format!("another architecture, {a} against {b}"),
    })
}

fn values(totals: &Totals) -> String {
    let Totals { tensors, identical, relative_l2, error, unchanged_share, .. } = totals;
    if identical == tensors {
        return format!("all {tensors} tensors that both hold are identical, bit for bit");
    }
    let mut text = format!("{} of {tensors} tensors differ", tensors - identical);
    if let Some(size) = relative_l2 {
        let error = error.map(|error| format!(" ± {:.3}", error * 100.0)).unwrap_or_default();
        text.push_str(&format!(
            "; the difference is {:.3}{error}\u{a0}% of the second model's norm",
            size * 100.0
        ));
    }
    if let Some(share) = unchanged_share {
        text.push_str(&format!(", {:.1}\u{a0}% of the weights are unchanged", share * 100.0));
    }
    text
}

fn structure(report: &DiffReport) -> String {
    let counts = [
        (report.only_a.len(), "only in the first"),
        (report.only_b.len(), "only in the second"),
        (report.shape_mismatches.len(), "in another shape"),
        (report.renamed.len(), "under another name"),
    ];
    if counts.iter().all(|(count, _)| *count == 0) {
        return "none is missing, renamed or in another shape".to_owned();
    }
    counts.map(|(count, what)| format!("{count} {what}")).join(", ")
}

fn numbers(report: &DiffReport) -> Option<String> {
    let nonfinite = report.totals.nonfinite;
    (nonfinite > 0).then(|| format!("{nonfinite} values are NaN or infinite"))
}
