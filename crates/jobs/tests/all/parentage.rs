//! Parents proposed from stored sketches, and verdicts on what cards claim.

use std::{
    collections::BTreeMap,
    sync::Mutex,
    time::{Duration, Instant},
};

use domain::{EdgeStatus, Fault as _, Limits, RepoId, Source};
use jobs::{Access, Examined, Pin, Registry, ingest_folder};
use store::{Findings, JobRow, VerdictRow, VerdictWord};
use tempfile::TempDir;

const ENOUGH: Duration = Duration::from_secs(240);
const SIDE: usize = 96;
const MATRICES: usize = 4;

/// A registry on SQLite; the folder goes with it.
struct Place {
    _folder: TempDir,
    registry: Registry,
}

impl Place {
    async fn new() -> Self {
        Self::with(Limits::default()).await
    }

    async fn with(limits: Limits) -> Self {
        let (folder, registry) = crate::common::registry(limits).await;
        Self { _folder: folder, registry }
    }

    async fn ingest(&self, id: &str, weights: &[f32], claim: Option<&str>) {
        let folder = tempfile::tempdir().unwrap();
        fs_err::write(folder.path().join("model.safetensors"), bytes(weights)).unwrap();
        let base = claim.map_or(String::new(), |base| format!("base_model: {base}\n"));
        fs_err::write(folder.path().join("README.md"), format!("---\nlicense: mit\n{base}---\n")).unwrap();
        ingest_folder(&self.registry, folder.path(), &RepoId::parse(id).unwrap(), &|_, _| {}).await.unwrap();
    }

    /// Parents of a model that nobody but the weights names.
    async fn proposed(&self, id: &str) -> Vec<String> {
        let store = &self.registry.store;
        let row = store.model_by_id(id).await.unwrap().unwrap();
        let edges = store.edges_of(row.id).await.unwrap();
        let proposed = edges.into_iter().filter(|edge| edge.status == EdgeStatus::Proposed);
        proposed.map(|edge| edge.as_written).collect()
    }

    /// Looks at models in this order; what was told of them.
    async fn look(&self, ids: &[&str]) -> Vec<Examined> {
        let told: Mutex<Vec<Examined>> = Mutex::default();
        let ids: Vec<String> = ids.iter().map(|id| (*id).to_owned()).collect();
        let tell = |examined: &Examined| told.lock().unwrap().push(examined.clone());
        jobs::examine_all(&self.registry, &ids, &tell).await.unwrap();
        told.into_inner().unwrap()
    }

    /// Runs jobs until none is left and nothing is due.
    async fn work(&self) {
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let worker = tokio::spawn(jobs::run_worker(self.registry.clone(), stopped));
        let begun = Instant::now();
        loop {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let jobs = self.registry.store.jobs(None, 100, None).await.unwrap();
            // A look that failed stays due and is not asked for again.
            assert!(begun.elapsed() < ENOUGH, "it does not come to an end: {:?}", jobs.items);
            if self.registry.store.due().await.unwrap().looks.is_empty()
                && jobs.items.iter().all(JobRow::over)
            {
                break;
            }
        }
        stop.send(true).unwrap();
        worker.await.unwrap();
    }

    async fn verdicts(&self, id: &str) -> Vec<VerdictRow> {
        let row = self.registry.store.model_by_id(id).await.unwrap().unwrap();
        self.registry.store.verdicts_of(&[row.id]).await.unwrap()
    }
}

/// Square matrices in two layers, as a safetensors file.
fn bytes(weights: &[f32]) -> Vec<u8> {
    let size = SIDE * SIDE * 4;
    let entry = |at: usize| {
        let part = ["up_proj", "down_proj"][at % 2];
        format!(
            "\"model.layers.{}.mlp.{part}.weight\": {{\"dtype\": \"F32\", \"shape\": [{SIDE}, {SIDE}], \
             \"data_offsets\": [{}, {}]}}",
            at / 2,
            at * size,
            (at + 1) * size
        )
    };
    let header = format!("{{{}}}", (0..MATRICES).map(entry).collect::<Vec<_>>().join(", "));
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.into_bytes());
    bytes.extend(weights.iter().flat_map(|value| value.to_le_bytes()));
    bytes
}

/// Repeatable normal values.
fn noise(seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        ((state >> 40) as f32 + 0.5) / (1u64 << 24) as f32
    };
    let mut normal = || (-2.0 * next().ln()).sqrt() * (std::f32::consts::TAU * next()).cos();
    (0..MATRICES * SIDE * SIDE).map(|_| normal()).collect()
}

/// A step of training: it moves some rows far more than others.
fn trained(base: &[f32], seed: u64) -> Vec<f32> {
    let strengths = noise(seed + 1_000);
    let step = |(at, step): (usize, f32)| 0.04 * strengths[at / SIDE].exp() * step;
    base.iter().zip(noise(seed).into_iter().enumerate().map(step)).map(|(base, step)| base + step).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_are_verified_or_contradicted_and_strangers_left_alone() {
    let place = Place::new().await;
    let (base, stranger) = (noise(1), noise(2));
    place.ingest("t/base", &base, None).await;
    place.ingest("t/stranger", &stranger, None).await;

    place.ingest("t/true", &trained(&base, 3), Some("t/base")).await;
    place.ingest("t/false", &trained(&stranger, 4), Some("t/base")).await;

    let verified = &place.verdicts("t/true").await[0];
    assert_eq!((verified.verdict, verified.claimed.as_str()), (VerdictWord::Verified, "t/base"));
    let contradicted = &place.verdicts("t/false").await[0];
    let really = place.registry.store.model_by_id("t/stranger").await.unwrap().unwrap();
    assert_eq!((contradicted.verdict, contradicted.instead), (VerdictWord::Contradicted, Some(really.id)));
    assert!(contradicted.log10_p < -6.0 && contradicted.sentence.contains("t/stranger"), "{contradicted:?}");
    assert_eq!(place.proposed("t/false").await, ["t/stranger"]);
    assert!(place.proposed("t/stranger").await.is_empty() && place.verdicts("t/stranger").await.is_empty());
    let listed = place.registry.store.contradictions(None, 10).await.unwrap();
    assert_eq!(listed.items.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_base_that_comes_last_is_the_parent_of_what_is_there_and_a_new_look_changes_nothing() {
    let place = Place::new().await;
    let base = noise(1);
    place.ingest("t/one", &trained(&base, 3), None).await;
    place.ingest("t/two", &trained(&base, 4), None).await;
    place.ingest("t/claims", &trained(&base, 5), Some("t/base")).await;
    let (before, unseen) = (place.proposed("t/two").await, place.verdicts("t/claims").await);

    place.ingest("t/base", &base, None).await;

    for child in ["t/one", "t/two"] {
        assert_eq!(place.proposed(child).await, ["t/base"], "{child}, before {before:?}");
    }
    assert!(unseen.is_empty());
    assert_eq!(place.verdicts("t/claims").await[0].verdict, VerdictWord::Verified);
    assert!(place.proposed("t/base").await.is_empty());
    // The first look at all reads weights, an import only sketches.
    jobs::examine_all(&place.registry, &[], &|_| {}).await.unwrap();
    for child in ["t/one", "t/two"] {
        assert_eq!(place.proposed(child).await, ["t/base"], "{child}");
    }
    let counter = place.registry.store.change_counter().await.unwrap();
    jobs::examine_all(&place.registry, &[], &|_| {}).await.unwrap();
    assert_eq!(place.registry.store.change_counter().await.unwrap(), counter, "nothing new is found");
}

#[tokio::test(flavor = "multi_thread")]
async fn looks_in_any_order_find_the_same_and_tell_what_is_stored() {
    let place = Place::new().await;
    let base = noise(1);
    let (one, two) = (trained(&base, 3), trained(&base, 4));
    let mixed: Vec<f32> = one.iter().zip(&two).map(|(one, two)| 0.6 * one + 0.4 * two).collect();
    let all = ["t/base", "t/one", "t/two", "t/mixed", "t/later"];
    for (id, weights) in all.iter().zip([&base, &one, &two, &mixed, &trained(&mixed, 5)]) {
        place.ingest(id, weights, None).await;
    }
    let row = place.registry.store.model_by_id("t/two").await.unwrap().unwrap();
    let ruling = jobs::Ruling {
        child: "t/two".to_owned(),
        parent: "t/base".to_owned(),
        decision: store::Decision::Reject,
        relation: None,
        person: "ann".to_owned(),
        reason: String::new(),
    };
    jobs::rule(&place.registry, ruling).await.unwrap();

    let mut found = Vec::new();
    for order in [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [2, 4, 0, 3, 1]] {
        let told = place.look(&order.map(|at| all[at])).await;
        let mut proposed = Vec::new();
        for id in all {
            let mut parents = place.proposed(id).await;
            parents.sort();
            let mut listed = told.iter().find(|told| told.model == id).unwrap().parents.clone();
            listed.sort();
            assert_eq!(listed, parents, "{id}");
            proposed.push(parents);
        }
        found.push(proposed);
    }

    assert!(found.iter().all(|one| *one == found[0]), "{found:?}");
    assert!(!found[0][1].is_empty() && found[0][2].is_empty(), "{found:?}");
    assert_eq!(place.registry.store.edges_of(row.id).await.unwrap()[0].status, EdgeStatus::RejectedPerson);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contradicted_claim_is_judged_again_when_a_relative_comes() {
    let place = Place::new().await;
    let base = noise(1);
    place.ingest("t/base", &base, None).await;
    place.ingest("t/child", &trained(&base, 3), Some("t/base")).await;
    let mut verdict = place.verdicts("t/child").await.remove(0);
    let row = place.registry.store.model(verdict.child).await.unwrap().unwrap();
    verdict.verdict = VerdictWord::Contradicted;
    let found = Findings {
        model: row.id,
        revision: row.revision.unwrap(),
        edges: Vec::new(),
        verdicts: vec![verdict],
    };
    place.registry.store.record_findings(&found).await.unwrap();

    place.ingest("t/sibling", &trained(&base, 4), None).await;

    assert_eq!(place.verdicts("t/child").await[0].verdict, VerdictWord::Verified);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_looked_at_is_told_and_every_unknown_name_is() {
    let place = Place::new().await;
    place.ingest("t/one", &noise(1), Some("t/ghost")).await;

    let told = place.look(&["t/ghost", "t/one"]).await;
    let names = ["t/one", "t/nope", "t/no"].map(str::to_owned);
    let unknown = jobs::examine_all(&place.registry, &names, &|_| {}).await.unwrap_err();

    assert!(told[0].skipped.as_ref().unwrap().contains("metadata"), "{told:?}");
    assert!(told[1].skipped.is_none());
    let items = unknown.items();
    assert_eq!(
        items.iter().map(|item| item.pointer.as_str()).collect::<Vec<_>>(),
        ["/models/1", "/models/2"]
    );
    assert!(items[1].message.contains("t/no"), "{items:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn other_weights_under_the_same_name_take_back_what_the_old_ones_said() {
    let place = Place::new().await;
    let base = noise(1);
    place.ingest("t/base", &base, None).await;
    place.ingest("t/one", &trained(&base, 3), Some("t/base")).await;
    let row = place.registry.store.model_by_id("t/one").await.unwrap().unwrap();
    let before = place.registry.store.edges_of(row.id).await.unwrap();

    place.ingest("t/one", &noise(7), Some("t/base")).await;

    let by_weights = |edges: &[store::EdgeRow]| {
        edges
            .iter()
            .flat_map(|edge| &edge.evidence)
            .filter(|evidence| evidence.source == Source::Weights)
            .count()
    };
    let after = place.registry.store.edges_of(row.id).await.unwrap();
    assert_eq!((by_weights(&before), by_weights(&after)), (1, 0));
    assert_eq!(after[0].status, EdgeStatus::Accepted, "what the card declares stays");
    assert_eq!(place.verdicts("t/one").await[0].verdict, VerdictWord::Contradicted);
}

#[tokio::test(flavor = "multi_thread")]
async fn weights_are_read_when_nothing_else_is_to_be_done_and_say_what_a_look_at_all_says() {
    let place = Place::new().await;
    let base = noise(1);
    let (one, two) = (trained(&base, 3), trained(&base, 4));
    let dropped: Vec<f32> = (0..base.len())
        .map(|at| match at % 3 {
            0 => base[at],
            1 => base[at] + 0.8 * (one[at] - base[at]),
            _ => base[at] + 0.8 * (two[at] - base[at]),
        })
        .collect();
    let all = ["t/dropped", "t/one", "t/base", "t/two"];
    for (id, weights) in all.iter().zip([&dropped, &one, &base, &two]) {
        place.ingest(id, weights, None).await;
    }
    let due = place.registry.store.due().await.unwrap().looks.len();

    place.work().await;

    let mut merged = place.proposed("t/dropped").await;
    merged.sort();
    assert_eq!((due, &merged[..]), (4, &["t/one".to_owned(), "t/two".to_owned()][..]));
    let mut found = Vec::new();
    for id in all {
        found.push(place.proposed(id).await);
    }
    jobs::examine_all(&place.registry, &[], &|_| {}).await.unwrap();
    for (id, found) in all.iter().zip(found) {
        assert_eq!(place.proposed(id).await, found, "{id}");
    }
    let done = place.registry.store.jobs(None, 10, None).await.unwrap().items;
    assert!(done.iter().all(|job| job.kind == "recover_lineage" && job.state == "succeeded"), "{done:?}");
    assert_eq!(done[0].result.as_ref().unwrap()["compared"], 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn models_too_large_to_be_read_are_never_due() {
    let place = Place::with(Limits { lineage_bytes: 1_000, ..Limits::default() }).await;
    let base = noise(1);
    place.ingest("t/base", &base, None).await;

    place.ingest("t/one", &trained(&base, 3), None).await;

    assert!(place.registry.store.due().await.unwrap().looks.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn many_models_that_a_new_one_concerns_are_looked_at_later_also_where_only_sketches_are() {
    let place = Place::with(Limits { lineage_bytes: 1_000, ..Limits::default() }).await;
    let base = noise(1);
    let children: Vec<String> = (0..9).map(|at| format!("t/child-{at}")).collect();
    for (seed, id) in (10..).zip(&children) {
        place.ingest(id, &trained(&base, seed), Some("t/base")).await;
    }
    place.ingest("t/base", &base, None).await;
    let due = place.registry.store.due().await.unwrap().looks.len();

    place.work().await;

    assert!(due >= children.len(), "{due}");
    for id in &children {
        assert_eq!(place.verdicts(id).await[0].verdict, VerdictWord::Verified, "{id}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_made_here_is_no_parent_of_what_was_here_before() {
    let place = Place::new().await;
    let base = noise(1);
    place.ingest("t/base", &base, None).await;
    place.ingest("t/child", &trained(&base, 3), Some("t/base")).await;
    place.work().await;
    let yaml = "merge_method: linear\nmodels:\n  - model: t/base\n    parameters: {weight: 0.3}\n  \
                - model: t/child\n    parameters: {weight: 0.7}\n";
    let payload = jobs::MergePayload {
        yaml: yaml.to_owned(),
        output: RepoId::parse("t/made").unwrap(),
        extras: jobs::Extras::default(),
        pins: BTreeMap::new(),
    };
    jobs::submit(&place.registry, payload, None).await.unwrap();

    place.work().await;

    assert!(place.registry.store.model_by_id("t/made").await.unwrap().unwrap().revision.is_some());
    for step in ["by sketches", "by weights"] {
        assert!(place.proposed("t/child").await.is_empty(), "{step}: {:?}", place.proposed("t/child").await);
        assert!(place.proposed("t/base").await.is_empty(), "{step}");
        place.look(&["t/child", "t/base"]).await;
    }
    let made = &place.look(&["t/made"]).await[0];
    assert!(made.skipped.as_ref().unwrap().contains("recipe"), "{made:?}");
    // What is trained from it later is its child.
    let mixed: Vec<f32> = base.iter().zip(trained(&base, 3)).map(|(a, b)| 0.3 * a + 0.7 * b).collect();
    place.ingest("t/later", &trained(&mixed, 9), None).await;
    place.work().await;
    assert_eq!(place.proposed("t/later").await, ["t/made"]);
}

/// A recipe of the mean of these models.
fn mean(models: &[&str]) -> String {
    let entry = |model: &&str| format!("  - model: {model}\n    parameters: {{weight: 1}}\n");
    format!("merge_method: linear\nmodels:\n{}", models.iter().map(entry).collect::<String>())
}

/// Warnings of a merge, each with its place.
async fn warned(place: &Place, yaml: &str, access: &Access) -> Vec<(String, String)> {
    let plan = jobs::plan_merge(&place.registry, yaml, access).await.unwrap();
    plan.warnings.iter().map(|item| (item.pointer.clone(), item.message.clone())).collect()
}

#[tokio::test]
async fn a_merge_of_strangers_warns_of_what_was_compared_and_one_of_relatives_does_not() {
    let place = Place::new().await;
    let (base, stranger) = (noise(1), noise(2));
    place.ingest("t/base", &base, None).await;
    place.ingest("t/tuned", &trained(&base, 3), None).await;
    place.ingest("t/stranger", &stranger, None).await;
    let folders = tempfile::tempdir().unwrap();
    let named = |name: &str| folders.path().join(name).display().to_string();
    for (name, weights) in [("base", &base), ("stranger", &stranger)] {
        fs_err::create_dir(named(name)).unwrap();
        fs_err::write(format!("{}/model.safetensors", named(name)), bytes(weights)).unwrap();
    }
    let (stored, mixed) = (Access::registry(), Access::Folders(Pin::Nothing));

    let strange = warned(&place, &mean(&["t/base", "t/tuned", "t/stranger"]), &stored).await;
    let related = warned(&place, &mean(&["t/base", "t/tuned"]), &stored).await;
    let on_disk = warned(&place, &mean(&[&named("base"), &named("stranger")]), &mixed).await;
    let half = warned(&place, &mean(&[&named("base"), "t/stranger"]), &mixed).await;
    let same = warned(&place, &mean(&[&named("base"), "t/tuned"]), &mixed).await;

    assert_eq!(strange.len(), 2, "{strange:?}");
    for (one, (pointer, message)) in ["t/base", "t/tuned"].into_iter().zip(&strange) {
        assert_eq!(pointer, "/models");
        let told = format!("`{one}` and `t/stranger` have no common origin: the cosine over 4 matrices is ");
        assert!(message.starts_with(&told), "{message}");
    }
    assert!(related.is_empty() && same.is_empty(), "{related:?} {same:?}");
    for (told, one, other) in
        [(on_disk, named("base"), named("stranger")), (half, named("base"), "t/stranger".into())]
    {
        let [(_, message)] = told.as_slice() else { panic!("{told:?}") };
        assert!(message.starts_with(&format!("`{one}` and `{other}` have no common origin")), "{message}");
    }
}

#[tokio::test]
async fn layers_of_strangers_may_be_stacked_and_a_stage_between_hides_none() {
    let place = Place::new().await;
    for (id, seed) in [("t/base", 1), ("t/stranger", 2)] {
        place.ingest(id, &noise(seed), None).await;
    }
    let slice = |model: &str| format!("  - sources: [{{model: {model}, layer_range: [0, 2]}}]\n");
    let stacked = format!("merge_method: passthrough\nslices:\n{}{}", slice("t/base"), slice("t/stranger"));
    let both = "merge_method: linear\nslices:\n  - sources:\n      - {model: t/base, layer_range: [0, 2], parameters: \
                {weight: 1}}\n      - {model: t/stranger, layer_range: [0, 2], parameters: {weight: 1}}\n";
    let copied = "name: copy\nmerge_method: passthrough\nmodels:\n  - model: t/base\n";
    let staged = format!("{copied}---\n{}", mean(&["copy", "t/stranger"]));
    let access = Access::registry();

    let stacked = warned(&place, &stacked, &access).await;
    let both = warned(&place, both, &access).await;
    let staged = warned(&place, &staged, &access).await;

    assert!(stacked.is_empty(), "{stacked:?}");
    let [(pointer, _)] = both.as_slice() else { panic!("{both:?}") };
    assert_eq!(pointer, "/slices/0/sources");
    let [(_, message)] = staged.as_slice() else { panic!("{staged:?}") };
    assert!(message.starts_with("`t/base` and `t/stranger` have no common origin"), "{message}");
}
