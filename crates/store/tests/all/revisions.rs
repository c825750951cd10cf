//! Publishing: all or nothing, under the newest fence.

use domain::{Digest, Metadata, Relation, Source, Viewer};
use futures::TryStreamExt as _;
use serde_json::json;
use store::{
    Attach, CurrentRevision, Draft, Error, FileRow, Hold, Holder, NewJob, Openness, Publish, SignatureRow,
    SketchRow, Store, TensorRow,
};

use crate::common::{Db, card_claim, claim, db_test, files_only, named};

db_test!(
    a_published_revision_reads_back_whole,
    publishing_the_same_files_again_keeps_the_revision,
    what_was_published_last_comes_first_and_counts_once,
    a_stale_fence_publishes_nothing,
    a_missing_blob_publishes_nothing,
    a_refused_row_takes_the_whole_revision_with_it,
    a_corrected_card_leaves_nothing_of_the_old_one_behind,
    a_job_never_publishes_over_weights_of_another_origin,
    what_is_made_here_has_the_time_of_its_making_and_a_folder_has_none,
    what_a_recipe_made_is_found_by_it_and_hidden_where_its_model_is,
    a_cancelled_job_publishes_nothing,
    only_current_revisions_are_signed_and_old_ones_can_be_signed_later,
    the_number_format_is_that_of_most_weights_and_not_of_most_bytes,
    what_is_owed_to_weights_is_written_down_with_them,
    what_is_asked_of_many_revisions_is_what_each_of_them_says,
    sketches_of_an_earlier_scheme_are_known_and_replaced_by_those_of_a_later_one,
);

async fn file(store: &Store, path: &str, bytes: &[u8]) -> FileRow {
    let (digest, size) = store.put_bytes(&Holder::new(), bytes).await.unwrap();
    FileRow { path: path.to_owned(), size, digest }
}

pub fn tensor(name: &str) -> TensorRow {
    TensorRow {
        name: name.to_owned(),
        dtype: "BF16".to_owned(),
        shape: vec![2, 3],
        digest: Digest::of(name.as_bytes()),
        file: "model.safetensors".to_owned(),
        offset_begin: 64,
        offset_end: 76,
        l2: Some(1.5),
        mean: Some(f64::NAN),
        min: Some(-1.0),
        max: None,
        std: Some(0.5),
        skewness: None,
        kurtosis: Some(-1.25),
        zeros: Some(3),
        nonfinite: 2,
    }
}

pub fn sketch(position: i64) -> SketchRow {
    let cells = (0..4_096).map(|n| n as f32 * 0.5 - 7.0).collect();
    SketchRow { position, scheme: 1, exact: false, sum: -0.25, block_sums: vec![0.5, -0.75], cells }
}

pub fn signature(value: f32) -> SignatureRow {
    SignatureRow { scheme: 1, signature: Some((Digest::of(b"layout"), vec![value; 1_024])) }
}

pub fn publish(metadata: Metadata, files: Vec<FileRow>) -> Publish {
    Publish {
        metadata,
        claims: vec![card_claim("b/base")],
        files,
        tensors: (0..2_500).map(|n| tensor(&format!("t{n}"))).collect(),
        sketches: vec![sketch(3)],
        signature: Some(signature(0.5)),
        recipe: Some((Digest::of(b"recipe"), json!({"merge_method": "linear"}))),
        provenance: None,
        fence: None,
        weights_of: None,
        survey: None,
        commit: store::NewCommit::default(),
    }
}

async fn what_is_asked_of_many_revisions_is_what_each_of_them_says(db: Db) {
    let mut revisions = Vec::new();
    for (id, files) in [("a/b", vec!["z.txt", "README.md"]), ("a/c", vec!["README.md"]), ("a/d", vec!["x"])] {
        let mut rows = Vec::new();
        for path in files {
            rows.push(file(&db.store, path, id.as_bytes()).await);
        }
        revisions.push(db.store.publish(publish(named(id), rows)).await.unwrap().revision.unwrap());
    }

    let files = db.store.files_of_many(&revisions).await.unwrap();
    let parts = db.store.compositions(&revisions).await.unwrap();
    let cards = db.store.digests_of("README.md", &revisions).await.unwrap();

    for revision in &revisions {
        assert_eq!(files[revision], db.store.files(*revision).await.unwrap());
        assert_eq!(parts[revision], db.store.composition(*revision).await.unwrap());
    }
    let expected = revisions[..2].iter().zip(["a/b", "a/c"]);
    assert_eq!(cards, expected.map(|(revision, id)| (*revision, Digest::of(id.as_bytes()))).collect());
    assert!(db.store.files_of_many(&[]).await.unwrap().is_empty());
}

async fn a_published_revision_reads_back_whole(db: Db) {
    let files = vec![file(&db.store, "z.txt", b"z").await, file(&db.store, "README.md", b"card").await];
    let row = db.store.publish(publish(named("a/b"), files.clone())).await.unwrap();
    assert!(row.has_weights && row.digest.is_some());
    let revision = row.revision.unwrap();
    assert_eq!(db.store.files(revision).await.unwrap(), [files[1].clone(), files[0].clone()]);
    let tensors = db.store.tensors(revision).await.unwrap();
    assert_eq!((tensors.len() as u64, db.store.tensor_count(revision).await.unwrap()), (2_500, 2_500));
    assert_eq!(tensors[2_499], TensorRow { mean: None, ..tensor("t2499") });
    let parts = db.store.composition(revision).await.unwrap();
    let (count, elements, bytes) = tensors.iter().fold((0, 0, 0), |(count, elements, bytes), tensor| {
        let length = tensor.offset_end - tensor.offset_begin;
        (count + 1, elements + tensor.shape.iter().product::<u64>(), bytes + length)
    });
    let [part] = parts.as_slice() else { panic!("{parts:?}") };
    assert_eq!((part.tensors, part.elements, part.bytes), (count, elements, bytes));
    let page = db.store.tensors_after(revision, Some("t1"), 2).await.unwrap();
    assert_eq!(page, tensors[2..4]);
    assert_eq!(db.store.tensors_after(revision, None, 1).await.unwrap(), tensors[..1]);
    let lost = db.store.tensors_after(revision, Some("none"), 1).await;
    assert!(matches!(lost, Err(store::Error::BadCursor(_))), "{lost:?}");
    let sketched = db.store.sketches(revision).await.unwrap();
    assert_eq!((sketched.len(), sketched[0].name.as_str()), (1, "t3"));
    assert_eq!(sketched[0].sketch, sketch(3));
    let recipe = Some(json!({"merge_method": "linear"}));
    assert_eq!(db.store.recipe_of(revision).await.unwrap(), recipe);
    assert_eq!(db.store.recipe(&Digest::of(b"recipe")).await.unwrap(), recipe);
    assert_eq!(db.store.edges_of(row.id).await.unwrap().len(), 1);
    assert_eq!(db.store.count_models().await.unwrap().with_weights, 1);
}

async fn publishing_the_same_files_again_keeps_the_revision(db: Db) {
    let files = vec![file(&db.store, "a", b"a").await];
    let first = db.store.publish(publish(named("a/b"), files.clone())).await.unwrap();
    let again = db.store.publish(publish(named("a/b"), files)).await.unwrap();
    assert_eq!(first.revision, again.revision);
    let changed = vec![file(&db.store, "a", b"other").await];
    let next = db.store.publish(publish(named("A/B"), changed)).await.unwrap();
    assert_eq!(next.id, first.id);
    assert!(next.revision != first.revision && next.digest != first.digest);
    assert_eq!(db.store.tensor_count(first.revision.unwrap()).await.unwrap(), 2_500, "the old one stays");
}

async fn what_was_published_last_comes_first_and_counts_once(db: Db) {
    for (name, bytes) in [("a/b", b"1"), ("a/c", b"2"), ("a/b", b"3"), ("x/closed", b"4"), ("a/d", b"5")] {
        let files = vec![file(&db.store, "f", bytes).await];
        db.store.publish(publish(named(name), files)).await.unwrap();
    }
    let closed = db.store.model_by_id("x/closed").await.unwrap().unwrap().id;
    db.store.set_openness(closed, Openness { private: Some(true), gated: None }).await.unwrap();
    let last = async |store: &Store, count| {
        let rows = store.published_last(count).await.unwrap();
        assert!(rows.iter().all(|(_, at)| *at > 1_700_000_000));
        rows.into_iter().map(|(row, _)| row.name).collect::<Vec<_>>()
    };

    assert_eq!(last(&db.store, 9).await, ["a/d", "x/closed", "a/b", "a/c"]);
    assert_eq!(last(&db.store.seen_by(Viewer::default()), 2).await, ["a/d", "a/b"]);
}

async fn a_stale_fence_publishes_nothing(db: Db) {
    let new = NewJob { kind: "merge".to_owned(), payload: json!({}), idempotency_key: None, output: None };
    db.store.enqueue(new, 10).await.unwrap();
    let old = db.store.claim(&["merge"], "slow", -1).await.unwrap().unwrap();
    let new = db.store.claim(&["merge"], "fast", 60).await.unwrap().unwrap();
    let files = vec![file(&db.store, "a", b"a").await];
    let before = db.store.change_counter().await.unwrap();
    let stale = Publish { fence: Some(old.hold()), ..publish(named("a/b"), files.clone()) };
    assert!(matches!(db.store.publish(stale).await, Err(Error::LeaseLost(_))));
    let batch = || Draft::of([(named("a/b"), vec![])]).unwrap();
    let late = db.store.upsert_under(Some(&old.hold()), batch()).await;
    assert!(matches!(late, Err(Error::LeaseLost(_))), "{late:?}");
    assert!(db.store.model_by_id("a/b").await.unwrap().is_none());
    assert_eq!(db.store.change_counter().await.unwrap(), before);
    let fresh = Publish { fence: Some(new.hold()), ..publish(named("a/b"), files) };
    assert!(db.store.publish(fresh).await.unwrap().has_weights);
}

async fn a_missing_blob_publishes_nothing(db: Db) {
    let ghost = FileRow { path: "a".to_owned(), size: 1, digest: Digest::of(b"never stored") };
    let refused = db.store.publish(publish(named("a/b"), vec![ghost])).await;
    assert!(matches!(refused, Err(Error::BlobMissing(_))));
    assert!(db.store.model_by_id("a/b").await.unwrap().is_none());
}

async fn a_refused_row_takes_the_whole_revision_with_it(db: Db) {
    let twice = file(&db.store, "same", b"a").await;
    let refused = db.store.publish(publish(named("a/b"), vec![twice.clone(), twice])).await;
    assert!(matches!(refused, Err(Error::Database(_))), "{refused:?}");
    assert!(db.store.model_by_id("a/b").await.unwrap().is_none());
    assert!(db.store.forest_edges().try_concat().await.unwrap().is_empty());
    assert_eq!(db.store.recipe(&Digest::of(b"recipe")).await.unwrap(), None);
    // The turn was given back: the next writer is not kept waiting.
    db.store.upsert(&[(named("c/d"), vec![])]).await.unwrap();
}

async fn a_corrected_card_leaves_nothing_of_the_old_one_behind(db: Db) {
    let tagged = claim("c/tagged", Relation::Finetune, Source::Tag, 0.9);
    let known = Metadata { downloads: Some(7), ..named("a/b") };
    db.store.upsert(&[(known, vec![tagged])]).await.unwrap();
    let wrong = Metadata { license: Some("mit".into()), architecture: Some("Old".into()), ..named("a/b") };
    let files = vec![file(&db.store, "README.md", b"wrong").await];
    db.store.publish(publish(wrong, files)).await.unwrap();

    let files = vec![file(&db.store, "README.md", b"right").await];
    let right = Publish { claims: vec![card_claim("b/other")], ..publish(named("a/b"), files) };
    let row = db.store.publish(right).await.unwrap();

    assert_eq!((row.license, row.architecture, row.downloads), (None, None, Some(7)));
    let edges = db.store.edges_of(row.id).await.unwrap();
    let mut parents: Vec<&str> = edges.iter().map(|edge| edge.as_written.as_str()).collect();
    parents.sort_unstable();
    assert_eq!(parents, ["b/other", "c/tagged"]);
}

async fn running(store: &Store) -> Hold {
    let new = NewJob { kind: "merge".to_owned(), payload: json!({}), idempotency_key: None, output: None };
    store.enqueue(new, 10).await.unwrap();
    store.claim(&["merge"], "worker", 60).await.unwrap().unwrap().hold()
}

async fn a_job_never_publishes_over_weights_of_another_origin(db: Db) {
    let uploaded = vec![file(&db.store, "a", b"uploaded").await];
    db.store.publish(Publish { recipe: None, ..publish(named("a/b"), uploaded) }).await.unwrap();
    let fence = Some(running(&db.store).await);
    let made = vec![file(&db.store, "a", b"made").await];

    let refused =
        db.store.publish(Publish { fence: fence.clone(), ..publish(named("a/b"), made.clone()) }).await;
    assert!(matches!(refused, Err(Error::OutputTaken(name)) if name == "a/b"));

    let own = Publish { fence, ..publish(named("a/own"), made) };
    db.store.publish(own.clone()).await.unwrap();
    db.store.publish(own.clone()).await.unwrap();
    // What comes from elsewhere was made by no recipe of ours, and replaces on purpose what has its name.
    db.store.publish(Publish { recipe: None, ..own }).await.unwrap();
}

async fn what_is_made_here_has_the_time_of_its_making_and_a_folder_has_none(db: Db) {
    let recipe = (Digest::of(b"recipe"), json!({ "method": "linear" }));
    let folder = Publish { recipe: None, provenance: None, ..publish(named("a/folder"), Vec::new()) };
    let made = Publish { recipe: Some(recipe), ..publish(named("a/made"), Vec::new()) };

    let folder = db.store.publish(folder).await.unwrap();
    let first = db.store.publish(made.clone()).await.unwrap();
    let second = db.store.publish(made.clone()).await.unwrap();

    assert_eq!(folder.created_at, None);
    assert!(first.created_at.is_some_and(|at| at > 1_700_000_000));
    assert_eq!(second.created_at, first.created_at);
    let told = Metadata { created_at: Some(7), ..named("a/dated") };
    let dated = db.store.publish(Publish { metadata: told, ..made }).await.unwrap();
    assert_eq!(dated.created_at, Some(7), "what the source says is kept");
}

async fn what_a_recipe_made_is_found_by_it_and_hidden_where_its_model_is(db: Db) {
    let recipe = |text: &str| Some((Digest::of(text.as_bytes()), json!({ "method": text })));
    let made = async |name: &str, text: &str| {
        let files = vec![file(&db.store, "a", name.as_bytes()).await];
        db.store.publish(Publish { recipe: recipe(text), ..publish(named(name), files) }).await.unwrap()
    };
    let (one, two) = (made("a/one", "linear").await, made("a/two", "linear").await);
    made("a/other", "slerp").await;
    let found = async |store: &Store| {
        let products = store.products(&Digest::of(b"linear")).await.unwrap();
        products.into_iter().map(|product| (product.model, Some(product.revision))).collect::<Vec<_>>()
    };
    let nobody = db.store.seen_by(Viewer::default());
    let open = found(&nobody).await;

    let closed = Openness { private: Some(true), gated: None };
    db.store.set_openness(two.id, closed).await.unwrap();

    assert_eq!(open, [(two.id, two.revision), (one.id, one.revision)]);
    assert_eq!(found(&db.store).await, open);
    assert_eq!(found(&nobody).await, [(one.id, one.revision)]);
}

async fn a_cancelled_job_publishes_nothing(db: Db) {
    let hold = running(&db.store).await;
    db.store.cancel(&hold.job).await.unwrap();
    let files = vec![file(&db.store, "a", b"a").await];

    let refused = db.store.publish(Publish { fence: Some(hold), ..publish(named("a/b"), files) }).await;

    assert!(matches!(refused, Err(Error::Cancelled(_))));
    assert!(db.store.model_by_id("a/b").await.unwrap().is_none());
}

async fn only_current_revisions_are_signed_and_old_ones_can_be_signed_later(db: Db) {
    let revision_of = async |name: &str, bytes: &[u8], signature: Option<SignatureRow>| {
        let files = vec![file(&db.store, "a", bytes).await];
        let row = db.store.publish(Publish { signature, ..publish(named(name), files) }).await.unwrap();
        CurrentRevision { model: row.id, revision: row.revision.unwrap() }
    };
    let old = revision_of("a/b", b"one", Some(signature(1.0))).await;
    let new = revision_of("a/b", b"two", Some(signature(2.0))).await;
    let unsigned = revision_of("c/d", b"three", None).await;
    let none = SignatureRow { scheme: 1, signature: None };
    let without = revision_of("e/f", b"four", Some(none.clone())).await;

    assert_eq!(db.store.signed_revisions(1).await.unwrap(), [new]);
    assert_eq!(db.store.unsigned_revisions(1, 10).await.unwrap(), [unsigned.revision]);
    assert_eq!(db.store.unsigned_revisions(2, 2).await.unwrap(), [new.revision, unsigned.revision]);
    let before = db.store.change_counter().await.unwrap();
    db.store.sign(&[(unsigned.revision, signature(3.0)), (new.revision, signature(4.0))]).await.unwrap();
    let after = db.store.change_counter().await.unwrap();
    let touched = db.store.touched((before, after)).await.unwrap();

    assert_eq!(db.store.signed_revisions(1).await.unwrap(), [new, unsigned]);
    assert_eq!(touched.unwrap(), [new.model, unsigned.model], "their rows say that they are sketched");
    assert!(db.store.unsigned_revisions(1, 10).await.unwrap().is_empty());
    let wanted = [old, new, unsigned, without].map(|of| of.revision);
    let kept = db.store.signatures(&wanted).await.unwrap();
    assert_eq!(
        kept,
        wanted.into_iter().zip([signature(1.0), signature(4.0), signature(3.0), none]).collect::<Vec<_>>()
    );
    assert!(db.store.sign(&[(i64::MAX, signature(0.0))]).await.is_err());
}

async fn the_number_format_is_that_of_most_weights_and_not_of_most_bytes(db: Db) {
    let sized = |name: &str, dtype: &str, bytes: u64| TensorRow {
        dtype: dtype.to_owned(),
        offset_begin: 0,
        offset_end: bytes,
        ..tensor(name)
    };
    let tensors = vec![sized("table", "BF16", 1_050), sized("a", "F8_E4M3", 400), sized("b", "F8_E4M3", 337)];
    let (sketches, signature) = (Vec::new(), None);
    let eight_bits = Publish { tensors, sketches, signature, ..publish(named("a/fp8"), Vec::new()) };

    let row = db.store.publish(eight_bits).await.unwrap();

    let listed = db.store.catalogue_rows_of(&[row.id]).await.unwrap();
    assert_eq!(listed[0].dtype.as_deref(), Some("F8_E4M3"));
}

async fn sketches_of_an_earlier_scheme_are_known_and_replaced_by_those_of_a_later_one(db: Db) {
    let file = file(&db.store, "model.safetensors", b"w").await;
    let row = db.store.publish(publish(named("a/old"), vec![file])).await.unwrap();
    let revision = row.revision.unwrap();
    let look = |scheme: i32| Attach {
        revision,
        tensors: vec![tensor("w")],
        sketches: vec![SketchRow { scheme, sum: 7.0, ..sketch(0) }],
        signature: Some(SignatureRow { scheme, ..signature(0.5) }),
        parameters: None,
        notes: Vec::new(),
        fence: None,
    };

    assert_eq!(db.store.outdated_sketches(2, 9).await.unwrap(), [("a/old".to_owned(), revision)]);
    db.store.attach(look(1)).await.unwrap();
    assert_ne!(db.store.sketches(revision).await.unwrap()[0].sketch.sum, 7.0, "nothing is newer");
    db.store.attach(look(2)).await.unwrap();

    assert!(db.store.outdated_sketches(2, 9).await.unwrap().is_empty());
    let kept = db.store.sketches(revision).await.unwrap();
    assert_eq!((kept.len(), kept[0].sketch.scheme, kept[0].sketch.sum), (1, 2, 7.0));
    assert_eq!(db.store.signatures(&[revision]).await.unwrap()[0].1.scheme, 2);
}

async fn what_is_owed_to_weights_is_written_down_with_them(db: Db) {
    let survey = |model: String, revision: i64| NewJob {
        kind: "survey".to_owned(),
        payload: json!({ "model": model, "revision": revision }),
        idempotency_key: None,
        output: None,
    };
    let file = file(&db.store, "model.safetensors", b"w").await;
    let pushed = |name: &str, path: &str| {
        let files = vec![FileRow { path: path.to_owned(), ..file.clone() }];
        Publish { survey: Some(survey), ..files_only(name, files) }
    };
    let known = Publish { survey: Some(survey), ..publish(named("a/known"), vec![file.clone()]) };

    let row = db.store.publish(pushed("a/B", "model.safetensors")).await.unwrap();
    db.store.publish(pushed("a/text", "notes.txt")).await.unwrap();
    let known = db.store.publish(known).await.unwrap();

    let job = db.store.claim(&["survey"], "worker", 60).await.unwrap().unwrap();
    assert_eq!(job.payload, json!({ "model": "a/B", "revision": row.revision.unwrap() }));
    assert!(db.store.claim(&["survey"], "worker", 60).await.unwrap().is_none());
    let due = async || {
        let looks = db.store.due().await.unwrap().looks;
        looks.into_iter().map(|look| look.of.model).collect::<Vec<_>>()
    };
    assert_eq!(due().await, [known.id]);
    let found = Attach {
        revision: row.revision.unwrap(),
        tensors: vec![tensor("w")],
        sketches: Vec::new(),
        signature: None,
        parameters: None,
        notes: Vec::new(),
        fence: None,
    };
    db.store.attach(found).await.unwrap();
    let mut both = [row.id, known.id];
    both.sort_unstable();
    assert_eq!(due().await, both);
}
