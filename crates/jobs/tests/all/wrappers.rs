//! One model whose files write its tensors' names in different wrappers.

use analysis::kinship::Partial;
use domain::{Limits, RepoId};
use jobs::{Access, KinshipQuery, Reading, Registry, RelativesQuery, ingest_folder};
use tempfile::TempDir;

const SIDE: usize = 300;

fn noise(key: u64, scale: f64) -> Vec<f32> {
    let value = |at: usize| (kernels::splitmix_unit(key, at as u64) * 2.0 - 1.0) * scale;
    (0..SIDE * SIDE).map(|at| value(at) as f32).collect()
}

fn plus(base: &[f32], key: u64, scale: f64) -> Vec<f32> {
    base.iter().zip(noise(key, scale)).map(|(a, b)| a + b).collect()
}

/// A safetensors file of matrices as wide as all here.
fn file(tensors: &[(String, Vec<f32>)]) -> Vec<u8> {
    let mut entries: Vec<String> = Vec::new();
    let mut begin = 0;
    for (name, values) in tensors {
        let end = begin + values.len() * 4;
        entries.push(format!(
            r#""{name}":{{"dtype":"F32","shape":[{},{SIDE}],"data_offsets":[{begin},{end}]}}"#,
            values.len() / SIDE
        ));
        begin = end;
    }
    let header = format!("{{{}}}", entries.join(","));
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.into_bytes());
    bytes.extend(tensors.iter().flat_map(|(_, values)| values).flat_map(|value| value.to_le_bytes()));
    bytes
}

/// A base with a head, and two equal fine-tunes of it without, in other wrappers; `t/other` is one more in the base's own.
async fn family() -> (TempDir, Registry) {
    let (folder, registry) = crate::common::registry(Limits::default()).await;
    let base = noise(1, 1.0);
    let tuned = plus(&base, 2, 0.05);
    let up =
        |wrapper: &str, values: &[f32]| (format!("{wrapper}layers.0.mlp.up_proj.weight"), values.to_vec());
    let head = ("lm_head.weight".to_owned(), noise(3, 1.0)[..20 * SIDE].to_vec());
    for (id, tensors) in [
        ("t/base", vec![up("model.", &base), head]),
        ("t/inner", vec![up("", &tuned)]),
        ("t/part", vec![up("model.language_model.", &tuned)]),
        ("t/other", vec![up("model.", &plus(&base, 4, 0.05))]),
    ] {
        let at = tempfile::tempdir().unwrap();
        fs_err::write(at.path().join("model.safetensors"), file(&tensors)).unwrap();
        ingest_folder(&registry, at.path(), &RepoId::parse(id).unwrap(), &|_, _| {}).await.unwrap();
    }
    (folder, registry)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_model_under_other_wrappers_and_without_its_head_is_a_relative() {
    let (_folder, registry) = family().await;

    let query = RelativesQuery { model: "t/base".into(), limit: 10, access: Access::registry() };
    let report = jobs::relatives(&registry, query).await.unwrap();

    let mut found: Vec<&str> = report.relatives.iter().map(|one| one.model.as_str()).collect();
    found.sort_unstable();
    assert_eq!((found, report.other_layouts), (vec!["t/inner", "t/other", "t/part"], 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn sketches_under_other_wrappers_are_an_estimate_as_the_weights_are_a_measure() {
    let (_folder, registry) = family().await;
    let measure = async |models: [&str; 2], reading| {
        let query = KinshipQuery {
            models: models.map(str::to_owned).to_vec(),
            base: Some("t/other".into()),
            access: Access::registry(),
            reading,
            partial: Partial::Refuse,
            parity: None,
        };
        let report = jobs::kinship(&registry, query).await.unwrap();
        (report.exact, report.coverage.share, report.mean["cosine"].unwrap())
    };

    let (exact, share, same) = measure(["t/inner", "t/part"], Reading::Sketches).await;

    assert_eq!((exact, share), (false, 1.0));
    assert!((same - 1.0).abs() < 1e-6, "{same}");
    let (_, _, read) = measure(["t/inner", "t/part"], Reading::Weights).await;
    assert!((same - read).abs() < 1e-6, "{same} {read}");
}
