//! Kinship and relatives of models of a registry: from sketches, from weights, and with other tokenizers.

use std::fmt::Write as _;

use analysis::kinship::{LeftOut, Parity, Partial, Report, RowRule, SIGNATURE_SCHEME};
use domain::{Claim, EdgeStatus, Evidence, Fault as _, Limits, Metadata, Relation, RepoId};
use jobs::{
    Access, Error, KinshipQuery, Reading, Registry, RelativesQuery, SuggestQuery, Suggestion, ingest_folder,
};
use store::SignatureRow;
use tempfile::TempDir;

const EMBED: &str = "model.embed_tokens.weight";
const MATRIX: &str = "model.layers.0.self_attn.q_proj.weight";

/// A registry on SQLite; the folder goes with it.
struct Place {
    folder: TempDir,
    registry: Registry,
}

impl Place {
    async fn new() -> Self {
        let (folder, registry) = crate::common::registry(Limits::default()).await;
        Self { folder, registry }
    }

    /// Another process on the same registry.
    fn another(&self) -> Registry {
        Registry::new(self.registry.store.clone(), Limits::default(), self.folder.path().join("scratch"))
    }

    async fn ingest(&self, id: &str, model: &Model) {
        let folder = tempfile::tempdir().unwrap();
        fs_err::write(folder.path().join("model.safetensors"), model.bytes()).unwrap();
        if !model.tokens.is_empty() {
            let mut vocab = String::new();
            for (row, token) in model.tokens.iter().enumerate() {
                let _ = write!(vocab, "{}\"{token}\": {row}", if row == 0 { "" } else { ", " });
            }
            let text =
                format!("{{\"model\": {{\"type\": \"BPE\", \"vocab\": {{{vocab}}}, \"merges\": []}}}}");
            fs_err::write(folder.path().join("tokenizer.json"), text).unwrap();
        }
        ingest_folder(&self.registry, folder.path(), &RepoId::parse(id).unwrap(), &|_, _| {}).await.unwrap();
    }

    async fn measure(&self, models: [&str; 2], reading: Reading) -> Result<Report, Error> {
        let models = models.map(str::to_owned).to_vec();
        jobs::kinship(&self.registry, asked(models, reading, Partial::Refuse)).await
    }

    async fn suggest(&self, model: &str, limit: usize) -> Vec<Suggestion> {
        let (model, base, access) = (model.to_owned(), "t/base".to_owned(), Access::registry());
        let query = SuggestQuery { model, base, limit, access };
        jobs::suggest(&self.registry, query).await.unwrap().suggestions
    }
}

/// Against `t/base`.
fn asked(models: Vec<String>, reading: Reading, partial: Partial) -> KinshipQuery {
    let (base, access) = (Some("t/base".into()), Access::registry());
    KinshipQuery { models, base, access, reading, partial, parity: None }
}

/// A matrix, and an embedding two columns wide with its tokens.
#[derive(Clone, Default)]
struct Model {
    tokens: Vec<String>,
    embed: Vec<f32>,
    matrix: Vec<f32>,
}

impl Model {
    fn speaking(tokens: &[String], embed: Vec<f32>) -> Self {
        Self { tokens: tokens.to_vec(), embed, matrix: vec![1.0; 4] }
    }

    fn of(matrix: Vec<f32>) -> Self {
        Self { matrix, ..Self::default() }
    }

    fn bytes(&self) -> Vec<u8> {
        let (embed, matrix) = (self.embed.len() * 4, self.matrix.len() * 4);
        let rows = |values: &[f32]| values.len() / 2;
        let mut header = format!(
            "{{\"{MATRIX}\": {{\"dtype\": \"F32\", \"shape\": [{}, 2], \"data_offsets\": [{embed}, {}]}}",
            rows(&self.matrix),
            embed + matrix
        );
        if embed > 0 {
            let _ = write!(
                header,
                ", \"{EMBED}\": {{\"dtype\": \"F32\", \"shape\": [{}, 2], \"data_offsets\": [0, {embed}]}}",
                rows(&self.embed)
            );
        }
        header.push('}');
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.into_bytes());
        bytes.extend(self.embed.iter().chain(&self.matrix).flat_map(|value| value.to_le_bytes()));
        bytes
    }
}

/// Repeatable values between −1 and 1.
fn noise(seed: u64, len: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..len).map(|_| next()).collect()
}

fn plus(base: &[f32], seed: u64, share: f32) -> Vec<f32> {
    base.iter().zip(noise(seed, base.len())).map(|(base, noise)| base + share * noise).collect()
}

fn words(count: usize) -> Vec<String> {
    (0..count).map(|at| format!("w{at}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn stored_sketches_answer_even_when_the_weights_are_gone() {
    let place = Place::new().await;
    let base = noise(1, 200_000);
    for (id, values) in [("t/base", base.clone()), ("t/a", plus(&base, 2, 0.1)), ("t/b", plus(&base, 3, 0.1))]
    {
        place.ingest(id, &Model::of(values)).await;
    }
    let exact = place.measure(["t/a", "t/b"], Reading::Weights).await.unwrap();

    let first = place.measure(["t/a", "t/b"], Reading::Stored).await.unwrap();
    fs_err::remove_dir_all(place.folder.path().join("blobs")).unwrap();
    let without = place.measure(["t/a", "t/b"], Reading::Stored).await.unwrap();

    assert!(exact.exact && !first.exact && !without.exact);
    let value = |report: &Report| report.matrices["cosine"][0][1].unwrap();
    let error = first.standard_errors["cosine"][0][1].unwrap();
    assert!(
        error > 0.0 && (value(&first) - value(&exact)).abs() < 4.0 * error,
        "{} {}",
        value(&first),
        value(&exact)
    );
    assert_eq!(value(&first), value(&without));
    let refused = place.measure(["t/a", "t/b"], Reading::Weights).await.unwrap_err();
    assert_eq!(refused.code(), "blob_missing");
}

#[tokio::test(flavor = "multi_thread")]
async fn appended_tokens_are_left_out_of_an_answer_from_sketches_and_of_one_from_weights() {
    let place = Place::new().await;
    let base = noise(1, 2_000);
    place.ingest("t/base", &Model::speaking(&words(1_000), base.clone())).await;
    let longer = |seed| [plus(&base, seed, 0.1), vec![9.0; 20]].concat();
    place.ingest("t/a", &Model::speaking(&words(1_010), longer(2))).await;
    place.ingest("t/b", &Model::speaking(&words(1_010), longer(3))).await;

    let estimate = place.measure(["t/a", "t/b"], Reading::Stored).await.unwrap();
    let exact = place.measure(["t/a", "t/b"], Reading::Weights).await.unwrap();

    let cosine = |report: &Report| report.matrices["cosine"][0][1].unwrap();
    assert!(!estimate.exact && (cosine(&estimate) - cosine(&exact)).abs() < 1e-6);
    assert!(estimate.coverage.skipped[0].reason.contains("the rows beyond the base's are left out"));
    let rows = &exact.coverage.vocabulary[0];
    assert_eq!((rows.rows, rows.of, rows.rule), (1_000, 1_000, RowRule::SharedPrefix));
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_in_another_order_are_compared_by_token_and_never_row_by_row() {
    let place = Place::new().await;
    let base = noise(1, 2_000);
    place.ingest("t/base", &Model::speaking(&words(1_000), base.clone())).await;
    place.ingest("t/a", &Model::speaking(&words(1_000), plus(&base, 2, 0.1))).await;
    let tuned = plus(&base, 3, 0.1);
    let mut turned = words(1_000);
    turned.rotate_left(7);
    let mut rows = tuned.clone();
    rows.rotate_left(14);
    place.ingest("t/turned", &Model::speaking(&turned, rows)).await;
    place.ingest("t/straight", &Model::speaking(&words(1_000), tuned)).await;

    let turned = place.measure(["t/a", "t/turned"], Reading::Stored).await.unwrap();
    let straight = place.measure(["t/a", "t/straight"], Reading::Weights).await.unwrap();
    let again = place.measure(["t/a", "t/turned"], Reading::Sketches).await.unwrap_err();

    assert!(turned.exact);
    assert_eq!(turned.coverage.vocabulary[0].rule, RowRule::Token);
    assert_eq!(turned.matrices, straight.matrices);
    assert!(again.to_string().contains("give tokens other rows"), "{again}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mean_over_tensors_reads_the_weights() {
    let place = Place::new().await;
    let base = noise(1, 200);
    for (id, seed) in [("t/base", 5), ("t/a", 2), ("t/b", 3)] {
        place.ingest(id, &Model::of(plus(&base, seed, 0.1))).await;
    }
    let query = |reading| KinshipQuery {
        models: vec!["t/a".into(), "t/b".into()],
        base: Some("t/base".into()),
        access: Access::registry(),
        reading,
        partial: Partial::Refuse,
        parity: Some(Parity::ReferenceSplit),
    };

    let report = jobs::kinship(&place.registry, query(Reading::Stored)).await.unwrap();
    let refused = jobs::kinship(&place.registry, query(Reading::Sketches)).await.unwrap_err();

    assert!(report.exact && report.parity == Some(Parity::ReferenceSplit));
    assert_eq!(refused.code(), "invalid_request");
}

async fn relatives(registry: &Registry, model: &str) -> Vec<String> {
    let query = RelativesQuery { model: model.into(), limit: 5, access: Access::registry() };
    let report = jobs::relatives(registry, query).await.unwrap();
    report.relatives.into_iter().map(|relative| relative.model).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn relatives_are_the_nearest_first_and_follow_every_change_in_every_process() {
    let place = Place::new().await;
    let base = noise(1, 20_000);
    place.ingest("t/base", &Model::of(base.clone())).await;
    for (id, seed, share) in [("t/far", 2, 0.3), ("t/near", 3, 0.01), ("t/middle", 4, 0.1)] {
        place.ingest(id, &Model::of(plus(&base, seed, share))).await;
    }
    place.ingest("t/stranger", &Model::of(noise(9, 20_000))).await;
    let other = place.another();

    assert_eq!(relatives(&place.registry, "t/base").await, ["t/near", "t/middle", "t/far"]);
    assert_eq!(relatives(&other, "t/base").await, ["t/near", "t/middle", "t/far"]);
    assert!(relatives(&other, "t/stranger").await.is_empty());

    place.ingest("t/twin", &Model::of(base.clone())).await;
    place.ingest("t/near", &Model::of(noise(10, 20_000))).await;

    assert_eq!(relatives(&other, "t/base").await, ["t/twin", "t/middle", "t/far"]);
    let query = RelativesQuery { model: "t/twin".into(), limit: 1, access: Access::registry() };
    let report = jobs::relatives(&other, query).await.unwrap();
    assert_eq!((report.searched, report.other_layouts, report.relatives.len()), (5, 0, 1));
    let twin = &report.relatives[0];
    assert_eq!((twin.model.as_str(), twin.closeness.distance, twin.same_layout), ("t/base", 0.0, true));
    assert!(twin.evidence.starts_with("the same weights"), "{}", twin.evidence);
}

#[tokio::test(flavor = "multi_thread")]
async fn revisions_from_before_there_were_signatures_are_found_too() {
    let place = Place::new().await;
    let base = noise(1, 5_000);
    place.ingest("t/base", &Model::of(base.clone())).await;
    place.ingest("t/near", &Model::of(plus(&base, 3, 0.01))).await;
    let store = &place.registry.store;
    let near = store.model_by_id("t/near").await.unwrap().unwrap().revision.unwrap();
    store.sign(&[(near, SignatureRow { scheme: 0, signature: None })]).await.unwrap();

    let found = relatives(&place.registry, "t/base").await;

    assert_eq!(found, ["t/near"]);
    assert!(store.unsigned_revisions(SIGNATURE_SCHEME, 10).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_the_base_that_differs_by_rounding_is_no_partner_and_other_relatives_are() {
    let place = Place::new().await;
    let base = noise(1, 200_000);
    for (id, seed, share) in [
        ("t/base", 1, 0.0),
        ("t/a", 2, 0.1),
        ("t/b", 3, 0.1),
        ("t/rounded", 4, 0.002),
        ("t/rounded-again", 5, 0.004),
    ] {
        place.ingest(id, &Model::of(plus(&base, seed, share))).await;
    }
    let claim = |child: &str, parent: &str| {
        let parent = RepoId::parse(parent).unwrap();
        let claim = Claim {
            as_written: parent.to_string(),
            parent,
            relation: Relation::Quantized,
            status: EdgeStatus::Accepted,
            evidence: vec![Evidence::listed()],
        };
        (RepoId::parse(child).unwrap(), claim)
    };
    let claims = [claim("t/rounded", "t/base"), claim("t/rounded-again", "t/rounded")];
    let partners = async || {
        let (model, base, access) = ("t/a".to_owned(), "t/base".to_owned(), Access::registry());
        let query = SuggestQuery { model, base, limit: 10, access };
        let told = jobs::suggest(&place.registry, query).await.unwrap();
        let mut names: Vec<String> = told.suggestions.into_iter().map(|partner| partner.model).collect();
        names.sort_unstable();
        names
    };

    let before = partners().await;
    place.registry.store.add_edges(&claims).await.unwrap();

    assert_eq!(before, ["t/b", "t/rounded", "t/rounded-again"], "nothing says what they are");
    assert_eq!(partners().await, ["t/b"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_no_tokenizer_tells_apart_are_left_out_and_little_in_common_is_refused() {
    let place = Place::new().await;
    let model =
        |seed, rows: usize| Model { embed: noise(seed, 2 * rows), ..Model::of(noise(seed + 9, 4_000)) };
    for (id, seed, rows) in [("t/base", 1, 3_000), ("t/a", 2, 3_500), ("t/b", 3, 3_100)] {
        place.ingest(id, &model(seed, rows)).await;
    }
    let models = vec!["t/a".to_owned(), "t/b".to_owned()];

    for reading in [Reading::Stored, Reading::Weights, Reading::Sketches] {
        let refused = jobs::kinship(&place.registry, asked(models.clone(), reading, Partial::Refuse));
        let refused = refused.await.unwrap_err();
        let taken = jobs::kinship(&place.registry, asked(models.clone(), reading, Partial::Take)).await;
        let taken = taken.unwrap();

        assert_eq!(refused.code(), "too_little_in_common", "{reading:?}");
        let items = refused.items();
        assert!(items[0].message.contains(EMBED) && items[0].message.contains("[3500, 2]"), "{items:?}");
        assert_eq!((taken.elements, taken.coverage.share), (4_000, 4_000.0 / 11_000.0), "{reading:?}");
    }
}

/// Models of one base, one of them with its tokens in another order.
async fn with_turned_tokens() -> Place {
    let place = Place::new().await;
    let (base, matrix) = (noise(1, 2_000), noise(2, 2_000));
    let model = |tokens: &[String], embed: Vec<f32>, matrix: Vec<f32>| Model {
        matrix,
        ..Model::speaking(tokens, embed)
    };
    place.ingest("t/base", &model(&words(1_000), base.clone(), matrix.clone())).await;
    let (tuned, moved) = (plus(&base, 3, 0.1), plus(&matrix, 4, 0.1));
    place.ingest("t/a", &model(&words(1_000), tuned.clone(), moved.clone())).await;
    let (mut turned, mut rows) = (words(1_000), tuned);
    turned.rotate_left(7);
    rows.rotate_left(14);
    place.ingest("t/turned", &model(&turned, rows, moved)).await;
    place
}

#[tokio::test(flavor = "multi_thread")]
async fn partners_and_relatives_whose_tokens_have_other_rows_are_compared_without_those() {
    let place = with_turned_tokens().await;

    let partners = place.suggest("t/a", 10).await;
    let query = RelativesQuery { model: "t/a".into(), limit: 5, access: Access::registry() };
    let near = jobs::relatives(&place.registry, query).await.unwrap().relatives;

    assert_eq!(partners.len(), 1);
    let partner = &partners[0];
    assert!((partner.kinship - 1.0).abs() < 1e-9 && partner.share == 0.5, "{partner:?}");
    assert!(partner.reason.contains("tokens have other rows"), "{}", partner.reason);
    let turned = near.iter().find(|relative| relative.model == "t/turned").unwrap();
    assert_eq!((turned.closeness.distance, turned.closeness.share), (0.0, 0.5));
    assert!(turned.evidence.contains("tokens have other rows"), "{}", turned.evidence);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_number_of_partners_asked_for_changes_none_of_them() {
    let place = Place::new().await;
    let base = noise(1, 20_000);
    place.ingest("t/base", &Model::of(base.clone())).await;
    // The further a model is from the base the less akin it is, so that a small pool would miss the first.
    let common = noise(50, 20_000);
    for at in 0..12_u8 {
        let own = plus(&base, 60 + u64::from(at), 0.01 * f32::from(at));
        let moved = own.iter().zip(&common).map(|(own, common)| own + 0.05 * common).collect();
        place.ingest(&format!("t/m{at:02}"), &Model::of(moved)).await;
    }

    let all = place.suggest("t/m00", 100).await;
    let one = place.suggest("t/m00", 1).await;

    assert_eq!((all.len(), one.len()), (11, 1));
    assert_eq!(one[0].model, all[0].model);
    assert_eq!(one[0].model, "t/m11");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_somebody_declared_makes_a_partner_a_declared_one() {
    let place = Place::new().await;
    let base = noise(1, 20_000);
    place.ingest("t/base", &Model::of(base.clone())).await;
    for (id, seed) in [("t/a", 2), ("t/said", 3), ("t/proposed", 4)] {
        place.ingest(id, &Model::of(plus(&base, seed, 0.1))).await;
    }
    let claim = |child: &str, status, evidence| {
        let parent = RepoId::parse("t/base").unwrap();
        let as_written = parent.to_string();
        let relation = Relation::Finetune;
        let claim = Claim { as_written, parent, relation, status, evidence: vec![evidence] };
        (RepoId::parse(child).unwrap(), claim)
    };
    let inferred = Evidence { source: domain::Source::Weights, detail: String::new(), confidence: 0.9 };
    let claims = [
        claim("t/said", EdgeStatus::Accepted, Evidence::listed()),
        claim("t/proposed", EdgeStatus::Proposed, inferred),
    ];
    place.registry.store.add_edges(&claims).await.unwrap();

    let partners = place.suggest("t/a", 10).await;

    let declared = |model: &str| partners.iter().find(|partner| partner.model == model).unwrap().declared;
    assert!(declared("t/said") && !declared("t/proposed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_base_is_no_partner_of_its_own_and_every_unknown_name_is_told() {
    let place = Place::new().await;
    place.ingest("t/base", &Model::of(noise(1, 2_000))).await;
    let ask = async |model: &str, base: &str| {
        let (model, base) = (model.to_owned(), base.to_owned());
        let query = SuggestQuery { model, base, limit: 5, access: Access::registry() };
        jobs::suggest(&place.registry, query).await.unwrap_err()
    };

    let own = ask("t/base", "t/base").await;
    let unknown = ask("x/y", "z/nope").await;

    assert!(own.to_string().contains("is the base itself"), "{own}");
    let told: Vec<String> = unknown.items().iter().map(|item| item.message.clone()).collect();
    assert!(told.len() == 2 && told[0].contains("x/y") && told[1].contains("z/nope"), "{told:?}");
}

#[tokio::test]
async fn models_that_cannot_be_compared_stand_last_without_values_and_with_the_reason() {
    let place = Place::new().await;
    for (id, seed, len) in [("t/base", 1, 64), ("t/one", 2, 64), ("t/two", 3, 64), ("t/other", 4, 32)] {
        place.ingest(id, &Model::of(noise(seed, len))).await;
    }
    let named = Metadata::named(RepoId::parse("t/named").unwrap());
    place.registry.store.upsert(&[(named, Vec::new())]).await.unwrap();
    let ask = async |models: &[&str]| {
        let models = models.iter().map(|model| (*model).to_owned()).collect();
        jobs::comparable(&place.registry, asked(models, Reading::Stored, Partial::Refuse)).await
    };

    let (report, left_out) = ask(&["t/named", "t/one", "t/other", "t/two"]).await.unwrap();
    let pair = ask(&["t/one", "t/named"]).await.err().unwrap();
    let unknown = ask(&["t/one", "t/two", "t/nobody"]).await.err().unwrap();

    let (cosine, reasons) = (report.matrices["cosine"][0][1], left_out.clone());
    let told = report.beside(left_out);
    assert_eq!(told.models, ["t/one", "t/two", "t/named", "t/other"]);
    assert_eq!(told.left_out, reasons);
    let [LeftOut { reason: bare, .. }, LeftOut { reason: unlike, .. }] = &reasons[..] else {
        panic!("{reasons:?}")
    };
    assert!(bare.contains("known by its metadata only") && !unlike.contains("metadata"), "{reasons:?}");
    let matrix = &told.matrices["cosine"];
    assert!(
        cosine.is_some() && matrix[0][1] == cosine && matrix.iter().all(|row| row.len() == 4),
        "{matrix:?}"
    );
    assert!(matrix[2..].iter().flatten().chain(matrix[0].iter().skip(2)).all(Option::is_none), "{matrix:?}");
    assert_eq!(told.relative_norms[2..], [None, None]);
    assert_eq!((pair.code(), unknown.code()), ("no_weights", "unknown_model"));
}
