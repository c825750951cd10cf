//! Models that do not exist yet: what a recipe makes is measured, carried over and sent like the model that was made by it.

use std::path::{Path, PathBuf};

use domain::{Fault as _, Limits, RepoId};
use futures::TryStreamExt as _;
use jobs::{
    Access, Extras, KinshipQuery, Pin, Pulse, Reading, Registry, TransferPayload, ingest_folder, plan_merge,
};
use serde_json::json;
use tempfile::TempDir;

const SIDE: usize = 48;
const FOLDERS: Access = Access::Folders(Pin::Content);

/// A safetensors file of two matrices.
fn file(seed: u64) -> Vec<u8> {
    let size = SIDE * SIDE * 4;
    let names = ["model.layers.0.mlp.down_proj.weight", "model.layers.0.mlp.up_proj.weight"];
    let entry = |(at, name)| {
        let offsets = [at * size, (at + 1) * size];
        format!(r#""{name}":{{"dtype":"F32","shape":[{SIDE},{SIDE}],"data_offsets":{offsets:?}}}"#)
    };
    let header = format!("{{{}}}", names.into_iter().enumerate().map(entry).collect::<Vec<_>>().join(","));
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.into_bytes());
    let value = |key, at: usize| kernels::splitmix_unit(key, at as u64) * 2.0 - 1.0;
    let values = (0..2 * SIDE * SIDE).map(|at| value(1, at) + value(seed, at) * 0.01);
    bytes.extend(values.flat_map(|value| (value as f32).to_le_bytes()));
    bytes
}

struct Place {
    folder: TempDir,
    registry: Registry,
}

impl Place {
    /// A base, two fine-tunes of it, and a recipe that merges them with random masks.
    async fn new() -> Self {
        let (folder, registry) = crate::common::registry(Limits::default()).await;
        let place = Self { folder, registry };
        for (id, seed, license) in
            [("o/base", 2, "mit"), ("o/de", 3, "apache-2.0"), ("o/fr", 4, "mit"), ("o/next", 5, "mit")]
        {
            let folder = tempfile::tempdir().unwrap();
            fs_err::write(folder.path().join("model.safetensors"), file(seed)).unwrap();
            fs_err::write(folder.path().join("config.json"), r#"{"architectures":["X"]}"#).unwrap();
            let card = format!("---\nlicense: {license}\n---\n");
            fs_err::write(folder.path().join("README.md"), card).unwrap();
            let id = RepoId::parse(id).unwrap();
            ingest_folder(&place.registry, folder.path(), &id, &|_, _| {}).await.unwrap();
        }
        place.keep("soup.yml", SOUP);
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn named(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    fn keep(&self, name: &str, text: &str) {
        fs_err::write(self.path(name), text).unwrap();
    }

    /// Writes what a recipe makes.
    async fn made(&self, yaml: &str, name: &str) -> String {
        let plan = plan_merge(&self.registry, yaml, &FOLDERS).await.unwrap();
        let id = RepoId::parse("me/made").unwrap();
        let made = plan.derived(id, yaml.to_owned(), Extras::default());
        let pulse = Pulse::default();
        jobs::write_folder(&self.registry, &self.path(name), (made, plan.source), &pulse).await.unwrap();
        self.named(name)
    }

    async fn kinship(&self, model: &str) -> f64 {
        let query = KinshipQuery {
            models: vec![model.to_owned(), "o/de".to_owned()],
            base: Some("o/base".to_owned()),
            access: Access::Folders(Pin::Nothing),
            reading: Reading::Weights,
            partial: Default::default(),
            parity: None,
        };
        jobs::kinship(&self.registry, query).await.unwrap().matrices["cosine"][0][1].unwrap()
    }

    /// Writes `o/next` with the change from `o/base` to `tuned`.
    async fn carried(&self, tuned: &str, name: &str) -> jobs::TransferPlan {
        let payload = TransferPayload {
            target_base: "o/next".to_owned(),
            source_base: "o/base".to_owned(),
            source_tuned: tuned.to_owned(),
            options: Default::default(),
            output: RepoId::parse("me/carried").unwrap(),
            pins: Default::default(),
        };
        let plan = jobs::plan_transfer(&self.registry, &payload, &FOLDERS).await.unwrap();
        let made = plan.derived(payload.output, String::new());
        let written = (made, plan.source.clone());
        jobs::write_folder(&self.registry, &self.path(name), written, &Pulse::default()).await.unwrap();
        plan
    }
}

const SOUP: &str = "merge_method: dare_ties\nbase_model: o/base\ndtype: float32\nmodels:\n  - {model: o/de, parameters: \
                    {density: 0.5, weight: 0.6}}\n  - {model: o/fr, parameters: {density: 0.5, weight: 0.4}}\n";

fn weights(folder: &Path) -> Vec<u8> {
    fs_err::read(folder.join("model.safetensors")).unwrap()
}

#[tokio::test]
async fn a_planned_merge_is_measured_and_carried_over_like_the_one_that_was_made() {
    let place = Place::new().await;
    let recipe = place.named("soup.yml");
    let made = place.made(SOUP, "soup").await;

    let looking = (&Access::Folders(Pin::Nothing), Reading::Stored);
    let report = jobs::compare(&place.registry, [&recipe, &made], looking).await.unwrap();
    let kinship = [place.kinship(&recipe).await, place.kinship(&made).await];
    let planned = place.carried(&recipe, "carried-planned").await;
    place.carried(&made, "carried-made").await;

    assert_eq!((report.totals.identical, report.totals.tensors), (2, 2));
    assert_eq!(kinship[0], kinship[1]);
    assert!(kinship[0] < 0.99, "{kinship:?}");
    assert_eq!(weights(&place.path("carried-planned")), weights(&place.path("carried-made")));
    let recipe = json!(planned.recipe.canonical());
    assert_eq!(recipe["source_tuned"]["recipe"]["config"]["merge_method"], "dare_ties");
    let derived = planned.derived(RepoId::parse("me/x").unwrap(), String::new());
    let parents: Vec<&str> = derived.parents.iter().map(|parent| parent.label.as_str()).collect();
    assert_eq!(parents, ["o/next", "o/de", "o/fr"]);
}

#[tokio::test]
async fn a_recipe_may_name_another_one_but_not_itself() {
    let place = Place::new().await;
    let inner = place.named("soup.yml");
    let outer = format!(
        "merge_method: linear\ndtype: float32\nmodels:\n  - {{model: {inner}, parameters: {{weight: 1}}}}\n  - {{model: \
         o/next, parameters: {{weight: 1}}}}\n"
    );
    let own = place.named("own.yml");
    place.keep("own.yml", &outer.replace(&inner, &own));
    place.keep("broken.yml", "merge_method: linear\nmodels: [{model: o/nobody}]\n");

    place.made(SOUP, "soup").await;
    place.made(&outer, "nested").await;
    place.made(&outer.replace(&inner, &place.named("soup")), "apart").await;
    let refused = async |name: &str| {
        jobs::open_operand(&place.registry, name, &FOLDERS).await.err().unwrap().to_string()
    };

    assert_eq!(weights(&place.path("nested")), weights(&place.path("apart")));
    let endless = refused(&own).await;
    assert!(endless.contains("8 deep"), "{endless}");
    let member = refused(&format!("{inner}#one")).await;
    assert!(member.contains("name it without `#one`"), "{member}");
    let broken = refused(&place.named("broken.yml")).await;
    assert!(broken.contains("broken.yml") && broken.contains("o/nobody"), "{broken}");
}

#[tokio::test]
async fn a_recipe_is_no_model_for_who_asks_over_the_network() {
    let place = Place::new().await;

    let asked = jobs::open_operand(&place.registry, &place.named("soup.yml"), &Access::registry()).await;

    assert_eq!(asked.err().unwrap().code(), "unknown_model");
}

#[tokio::test]
async fn a_merge_is_sent_without_being_written_and_its_length_and_tag_are_known_before() {
    let place = Place::new().await;
    place.made(SOUP, "soup").await;

    let sent = jobs::stream_merge(&place.registry, SOUP, &Access::registry()).await.unwrap();
    let (bytes, tag) = (sent.bytes, sent.tag);
    let body: Vec<Vec<u8>> = sent.body.try_collect().await.unwrap();
    let again = jobs::stream_merge(&place.registry, SOUP, &Access::registry()).await.unwrap();
    let other = SOUP.replace("0.6", "0.7");
    let other = jobs::stream_merge(&place.registry, &other, &Access::registry()).await.unwrap();
    let busy = jobs::stream_merge(&place.registry, SOUP, &Access::registry()).await.err().unwrap();
    drop((again.body, other.body));

    assert_eq!(body.concat(), weights(&place.path("soup")));
    assert_eq!(bytes, body.concat().len() as u64);
    assert!(tag == again.tag && tag != other.tag);
    assert_eq!(busy.code(), "too_many_downloads");
}
