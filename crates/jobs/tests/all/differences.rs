//! Stored differences: what they were taken of goes with them, and they stand for no whole model.

use std::path::Path;

use domain::{Fault as _, Limits, Part, RepoId};
use jobs::{
    Access, AppliedPlan, ApplyPayload, DiffForm, DiffPayload, Pin, Pulse, Registry, StoredPayload,
    TransferPayload, Workplace, ingest_folder,
};
use serde_json::{Value, json};
use tempfile::TempDir;

const SIDE: usize = 64;

struct Place {
    folder: TempDir,
    registry: Registry,
}

impl Place {
    /// A registry with a base, two fine-tunes of it under other licences, and another base.
    async fn new() -> Self {
        let (folder, registry) = crate::common::registry(Limits::default()).await;
        let place = Self { registry, folder };
        let base = values(1, 1.0);
        let moved = |seed| base.iter().zip(values(seed, 0.01)).map(|(a, b)| a + b).collect::<Vec<_>>();
        place.ingest("o/base", &base, "mit").await;
        place.ingest("o/french", &moved(2), "cc-by-nc-4.0").await;
        place.ingest("o/german", &moved(3), "apache-2.0").await;
        place.ingest("o/other", &moved(4), "mit").await;
        place
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    async fn ingest(&self, id: &str, weights: &[f32], license: &str) {
        let folder = tempfile::tempdir().unwrap();
        fs_err::write(folder.path().join("model.safetensors"), bytes(weights)).unwrap();
        fs_err::write(folder.path().join("README.md"), format!("---\nlicense: {license}\n---\n")).unwrap();
        self.bring(id, folder.path()).await;
    }

    async fn bring(&self, id: &str, folder: &Path) {
        ingest_folder(&self.registry, folder, &RepoId::parse(id).unwrap(), &|_, _| {}).await.unwrap();
    }

    /// Stores `o/french − o/base` in a form; gives its file.
    async fn stored(&self, form: &str) -> String {
        let access = Access::Folders(Pin::Content);
        let form = DiffForm { form: Some(form.to_owned()), ..DiffForm::default() };
        let work = Workplace::new_in(self.folder.path()).unwrap();
        let at = (&self.registry, &work);
        let written = if form.form.as_deref() == Some("emr") {
            let asked = DiffPayload {
                tuned: "o/french".to_owned(),
                with: vec!["o/german".to_owned()],
                base: "o/base".to_owned(),
                form,
                pins: Default::default(),
            };
            let models = jobs::open_members(&self.registry, &asked, &access).await.unwrap();
            jobs::write_unified(at, &models, &asked.form, &Pulse::default()).await.unwrap()
        } else {
            let tuned = jobs::open_operand(&self.registry, "o/french", &access).await.unwrap();
            let base = jobs::open_operand(&self.registry, "o/base", &access).await.unwrap();
            jobs::write_diff(at, (&tuned, &base), &form, &Pulse::default()).await.unwrap()
        };
        let out = self.folder.path().join("kept.safetensors");
        fs_err::copy(&written.file, &out).unwrap();
        out.display().to_string()
    }

    async fn applied(&self, base: &str, diff: &str) -> AppliedPlan {
        let payload = ApplyPayload {
            base: base.to_owned(),
            diff: diff.to_owned(),
            scale: 1.0,
            output: RepoId::parse("me/x").unwrap(),
            pins: Default::default(),
        };
        jobs::plan_apply(&self.registry, &payload, &Access::Folders(Pin::Content)).await.unwrap()
    }
}

fn parents(plan: &AppliedPlan) -> Vec<&str> {
    plan.derived.parents.iter().map(|parent| parent.label.as_str()).collect()
}

fn licences(plan: &AppliedPlan) -> Vec<&str> {
    let mut all: Vec<&str> =
        plan.derived.inputs.iter().filter_map(|input| input.license.as_deref()).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// One matrix as a safetensors file.
fn bytes(weights: &[f32]) -> Vec<u8> {
    let header = format!(
        "{{\"model.layers.0.mlp.up_proj.weight\": {{\"dtype\": \"F32\", \"shape\": [{SIDE}, {SIDE}], \
         \"data_offsets\": [0, {}]}}}}",
        SIDE * SIDE * 4
    );
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.into_bytes());
    bytes.extend(weights.iter().flat_map(|value| value.to_le_bytes()));
    bytes
}

fn values(seed: u64, size: f32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1_u32 << 24) as f32 - 0.5
    };
    (0..SIDE * SIDE).map(|_| next() * size).collect()
}

#[tokio::test]
async fn a_difference_of_any_form_brings_its_fine_tune_and_both_licences_along() {
    let place = Place::new().await;
    for form in ["dense", "sparse", "low-rank", "bitdelta", "skillpack-rtn", "emr"] {
        let file = place.stored(form).await;
        let name = if form == "emr" { format!("{file}#o/french") } else { file };

        let plan = place.applied("o/base", &name).await;

        assert_eq!(parents(&plan), ["o/base", "o/french"], "{form}");
        assert_eq!(licences(&plan), ["cc-by-nc-4.0", "mit"], "{form}");
        assert!(plan.derived.warnings.is_empty(), "{form}: {:?}", plan.derived.warnings);
        assert!(
            plan.derived.cautions(&*plan.source).iter().any(|item| item.message.contains("cc-by-nc-4.0"))
        );
        assert!(plan.derived.summary.contains("o/french − o/base"), "{}", plan.derived.summary);
        let claims = plan.derived.made().claims;
        let parts = claims.iter().map(|claim| claim.evidence[0].part()).collect::<Vec<_>>();
        assert_eq!(parts, [Some(Part::Base), Some(Part::Nth(1))]);
        assert_eq!(
            claims.iter().map(|claim| claim.parent.as_str()).collect::<Vec<_>>(),
            ["o/base", "o/french"]
        );
    }
}

#[tokio::test]
async fn a_difference_applied_to_another_base_warns_and_carried_over_it_does_not() {
    let place = Place::new().await;
    let file = place.stored("dense").await;

    let applied = place.applied("o/other", &file).await;
    let payload = StoredPayload {
        target_base: "o/other".to_owned(),
        diff: file,
        options: Default::default(),
        output: RepoId::parse("me/x").unwrap(),
        pins: Default::default(),
    };
    let access = Access::Folders(Pin::Content);
    let moved = jobs::plan_stored_transfer(&place.registry, &payload, &access).await.unwrap();

    let [warning] = applied.derived.warnings.as_slice() else { panic!("{:?}", applied.derived.warnings) };
    assert!(warning.message.contains("`o/base`") && warning.message.contains("`o/other`"), "{warning:?}");
    assert_eq!(parents(&applied), ["o/other", "o/french"]);
    assert!(moved.derived.warnings.is_empty());
    assert_eq!(parents(&moved), ["o/other", "o/french"]);
    assert_eq!(licences(&moved), ["cc-by-nc-4.0", "mit"]);
}

#[tokio::test]
async fn the_base_is_the_same_under_another_name_and_a_file_without_a_record_still_works() {
    let place = Place::new().await;
    let file = place.stored("dense").await;
    place.ingest("o/copy", &values(1, 1.0), "mit").await;
    let bare = place.path("bare.safetensors");
    let mut header = "{\"__metadata__\": {\"content\": \"difference\", \"form\": \"dense\"}, ".to_owned();
    let plain = bytes(&values(9, 0.01));
    let length = u64::from_le_bytes(plain[..8].try_into().unwrap()) as usize;
    header.push_str(std::str::from_utf8(&plain[9..8 + length]).unwrap());
    let mut text = (header.len() as u64).to_le_bytes().to_vec();
    text.extend(header.into_bytes());
    text.extend(&plain[8 + length..]);
    fs_err::write(&bare, text).unwrap();

    let copied = place.applied("o/copy", &file).await;
    let unknown = place.applied("o/base", &bare).await;

    assert!(copied.derived.warnings.is_empty(), "{:?}", copied.derived.warnings);
    assert_eq!(parents(&unknown), ["o/base"]);
    assert!(unknown.derived.warnings.is_empty());
}

#[tokio::test]
async fn a_difference_is_no_model_of_a_merge_or_a_transfer_and_has_no_relatives() {
    let place = Place::new().await;
    let file = place.stored("dense").await;
    let folder = tempfile::tempdir().unwrap();
    fs_err::copy(&file, folder.path().join("model.safetensors")).unwrap();
    place.bring("o/delta", folder.path()).await;
    let access = Access::registry();
    let (registry, folders) = (&place.registry, Access::Folders(Pin::Content));

    let yaml = "merge_method: linear\nmodels:\n  - {model: o/delta, parameters: {weight: 1}}\n  - {model: o/base, parameters: {weight: 1}}\n";
    let merge = jobs::plan_merge(registry, yaml, &access).await.err().unwrap();
    let named = yaml.replace("o/delta", &file);
    let of_file = jobs::plan_merge(registry, &named, &folders).await.err().unwrap();
    let payload = TransferPayload {
        target_base: "o/other".to_owned(),
        source_base: "o/base".to_owned(),
        source_tuned: "o/delta".to_owned(),
        options: Default::default(),
        output: RepoId::parse("me/x").unwrap(),
        pins: Default::default(),
    };
    let transfer = jobs::plan_transfer(registry, &payload, &access).await.err().unwrap();
    let recovered =
        jobs::recover(registry, &["o/base".to_owned(), "o/delta".to_owned()]).await.err().unwrap();

    for error in [&merge, &transfer, &recovered] {
        assert_eq!(error.code(), "is_difference", "{error}");
        assert!(error.to_string().contains("o/delta"), "{error}");
    }
    assert_eq!(of_file.code(), "is_difference", "{of_file}");
    let row = registry.store.model_by_id("o/delta").await.unwrap().unwrap();
    assert!(registry.store.sketches(row.revision.unwrap()).await.unwrap().is_empty());
    assert_eq!(parents(&place.applied("o/base", "o/delta").await), ["o/base", "o/french", "o/delta"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_takes_every_special_token_with_the_tokenizer() {
    let (_folder, registry) = crate::common::registry(Limits::default()).await;
    for (name, words, unknown) in [("o/target", "abcd", 0), ("o/base", "abcd", 0), ("o/tuned", "dcbae", 3)] {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| fs_err::write(folder.path().join(name), bytes).unwrap();
        let rows = words.len();
        let vocabulary: serde_json::Map<String, Value> =
            (0..).zip(words.chars()).map(|(row, word)| (word.to_string(), json!(row))).collect();
        let tokenizer = json!({ "model": { "type": "BPE", "vocab": vocabulary, "merges": [] } });
        write("tokenizer.json", tokenizer.to_string().as_bytes());
        write("config.json", json!({ "vocab_size": rows, "unk_token_id": unknown }).to_string().as_bytes());
        let header = json!({ "model.embed_tokens.weight": {
            "dtype": "F32", "shape": [rows, 2], "data_offsets": [0, rows * 8],
        }})
        .to_string();
        let mut file = (header.len() as u64).to_le_bytes().to_vec();
        file.extend(header.into_bytes());
        file.extend(vec![0; rows * 8]);
        write("model.safetensors", &file);
        let id = RepoId::parse(name).unwrap();
        ingest_folder(&registry, folder.path(), &id, &|_, _| {}).await.unwrap();
    }
    let asked = json!({
        "target_base": "o/target", "source_base": "o/base", "source_tuned": "o/tuned", "output": "o/new",
    });
    let asked: TransferPayload = serde_json::from_value(asked).unwrap();

    let heir = jobs::plan_transfer(&registry, &asked, &Access::registry()).await.unwrap().heir();

    let config = heir.config.unwrap();
    assert_eq!((&config["vocab_size"], &config["unk_token_id"]), (&json!(5), &json!(3)));
}
