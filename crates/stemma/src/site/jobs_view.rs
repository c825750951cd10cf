//! Jobs as the pages show them.

use ::web::view::{JobLink, JobPage, JobRow, JobState};
use domain::RepoId;
use jobs::{COMPUTES_ON, KINDS, Registry};
use serde_json::Value;

use super::{Result, count};

/// One line of the list.
pub fn row(job: &store::JobRow) -> JobRow {
    let title = KINDS.iter().find(|kind| kind.id == job.kind).map_or(job.kind.as_str(), |kind| kind.title);
    JobRow {
        id: job.id.clone(),
        kind: title.to_owned(),
        state: JobState::read(&job.state),
        step: job.step.clone().filter(|step| !step.is_empty()),
        output: output(job),
        done: count(job.done),
        total: count(job.total),
        rate: job.rate.map(count),
        eta: job.eta().map(count),
        created_at: job.created_at,
        finished_at: job.finished_at,
    }
}

/// Lines of a log that are shown.
const LINES: u64 = 50;

/// The whole job with the end of its log.
pub async fn whole(registry: &Registry, job: &store::JobRow) -> Result<JobPage> {
    let log = registry.store.job_log(&job.id, LINES).await?;
    let before = match job.state.as_str() {
        "queued" => Some(registry.store.jobs_before(&job.id).await?),
        _ => None,
    };
    let log: Vec<(i64, String)> = log.into_iter().map(|line| (line.at, line.line)).collect();
    let page = page(job);
    // A job without a result says in its log what computes it.
    let said = || log.iter().rev().find_map(|(_, line)| line.strip_prefix(COMPUTES_ON).map(str::to_owned));
    let stoppable = !page.row.state.over() && jobs::may_cancel(registry, job).await?;
    Ok(JobPage { device: page.device.clone().or_else(said), log, before, stoppable, ..page })
}

fn page(job: &store::JobRow) -> JobPage {
    JobPage {
        log: Vec::new(),
        before: None,
        row: row(job),
        again: jobs::can_retry(job),
        stoppable: false,
        started_at: job.started_at,
        attempts: u64::try_from(job.attempts).unwrap_or_default(),
        cancel_requested: job.cancel_requested,
        error_code: job.error_code.clone(),
        error_message: job.error_message.clone(),
        inputs: inputs(&job.payload),
        outputs: job.result.as_ref().map(outputs).unwrap_or_default(),
        facts: job.result.as_ref().map(facts).unwrap_or_default(),
        device: job.result.as_ref().and_then(device),
        request: Some(
            job.payload
                .get("yaml")
                .and_then(Value::as_str)
                .map_or_else(|| format!("{:#}", job.payload), str::to_owned),
        ),
    }
}

/// The model that a job makes or made.
fn output(job: &store::JobRow) -> Option<String> {
    let made = job.result.as_ref().and_then(|result| result.get("model"));
    let wanted = ["output", "model"].iter().find_map(|key| job.payload.get(key));
    made.or(wanted).and_then(Value::as_str).map(str::to_owned)
}

/// Numbers of a result that say how good it is.
fn facts(result: &Value) -> Vec<(&'static str, String)> {
    let energy = result.get("energy").and_then(Value::as_f64);
    let told = |share: f64| ("Energy captured", format!("{:.2} % of the squared norm", 100.0 * share));
    let members = result.get("members").and_then(Value::as_array).into_iter().flatten();
    let member = |of: &Value| {
        let (name, error) = (of.get("name")?.as_str()?, of.get("relative_error")?.as_f64()?);
        Some(("Relative error", format!("{name}: {:.2} %", 100.0 * error)))
    };
    energy.map(told).into_iter().chain(members.filter_map(member)).collect()
}

fn device(result: &Value) -> Option<String> {
    let used: domain::Used = serde_json::from_value(result.get("device")?.clone()).ok()?;
    Some(used.to_string())
}

/// The models that a job reads: those that its request names, then those that it was pinned to besides.
fn inputs(payload: &Value) -> Vec<JobLink> {
    let fields = ["target_base", "source_base", "source_tuned", "tuned", "base", "diff"];
    let with = payload.get("with").and_then(Value::as_array).into_iter().flatten();
    let named =
        fields.iter().filter_map(|key| payload.get(key)?.as_str()).chain(with.filter_map(Value::as_str));
    let pinned = payload.get(store::PINS).and_then(Value::as_object);
    let pinned = pinned.into_iter().flatten().map(|(name, _)| name.as_str());
    let mut names: Vec<&str> = Vec::new();
    for name in named.chain(pinned).filter(|name| RepoId::parse(name).is_ok()) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names.into_iter().map(|name| JobLink { label: name.to_owned(), href: format!("/{name}") }).collect()
}

fn outputs(result: &Value) -> Vec<JobLink> {
    let mut links = Vec::new();
    if let Some(model) = result.get("model").and_then(Value::as_str) {
        links.push(JobLink { label: model.to_owned(), href: format!("/{model}") });
    }
    if let Some(blob) = result.get("blob").and_then(Value::as_str) {
        links.push(JobLink { label: "diff.safetensors".to_owned(), href: format!("/api/v1/blobs/{blob}") });
    }
    links
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{facts, inputs};

    #[test]
    fn a_diff_tells_how_much_of_the_change_it_holds() {
        let told = facts(&json!({ "blob": "sha256:1", "energy": 0.98765 }));

        assert_eq!(told, [("Energy captured", "98.77 % of the squared norm".to_owned())]);
        assert!(facts(&json!({ "blob": "sha256:1" })).is_empty());
    }

    #[test]
    fn a_shared_difference_tells_how_near_each_member_comes_and_links_all_of_them() {
        let result = json!({ "members": [
            { "name": "o/a", "scale": 0.9, "relative_error": 0.25 },
            { "name": "o/b", "scale": 0.8, "relative_error": 0.5 },
        ] });
        let payload = json!({ "tuned": "o/a", "with": ["o/b"], "base": "o/base" });

        let told: Vec<String> = facts(&result).into_iter().map(|(_, told)| told).collect();
        let labels: Vec<String> = inputs(&payload).into_iter().map(|link| link.label).collect();

        assert_eq!(told, ["o/a: 25.00 %", "o/b: 50.00 %"]);
        assert_eq!(labels, ["o/a", "o/base", "o/b"]);
    }

    #[test]
    fn a_merge_names_the_models_that_it_was_pinned_to() {
        let pins = json!({ "org/a": "sha256:1", "org/b": "sha256:2", "/tmp/folder": "sha256:3" });
        let merge = json!({ "yaml": "…", "pins": pins });
        let transfer = json!({ "source_base": "org/b", "pins": { "org/b": "sha256:2" } });

        let labels = |payload| inputs(payload).into_iter().map(|link| link.label).collect::<Vec<_>>();

        assert_eq!(labels(&merge), ["org/a", "org/b"]);
        assert_eq!(labels(&transfer), ["org/b"]);
    }
}
