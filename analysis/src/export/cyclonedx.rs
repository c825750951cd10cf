//! CycloneDX ML-BOM 1.6: the model, its ancestors as a flat list of components, and who depends on whom.
//!
//! Pedigrees are not nested: a graph of merges unrolled as a tree would grow without bound.

use domain::Digest;
use serde_json::{Map, Value, json};

use super::{
    pedigree::{Descent, Model, Pedigree, moment},
    purl,
};
use crate::licence::lookup;

pub(super) fn document(pedigree: &Pedigree) -> Value {
    let mut bom = json!({ "bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1 });
    let Some(focus) = pedigree.models.first() else { return bom };
    let known = pedigree.ancestors;
    let mut parents: Vec<Vec<&Descent>> = vec![Vec::new(); known + 1];
    for edge in pedigree.upward() {
        parents[edge.child].push(edge);
    }
    let whole = |at: usize| component(pedigree, at, &parents[at]);
    bom["metadata"] = json!({
        "timestamp": moment(pedigree.as_of),
        "component": whole(0),
        "properties": [property("stemma:truncated", pedigree.truncated)],
    });
    bom["components"] = (1..=known).map(whole).collect();
    bom["dependencies"] = (0..=known)
        .map(|at| {
            let on: Vec<String> = parents[at].iter().map(|edge| reference(pedigree, edge.parent)).collect();
            json!({ "ref": reference(pedigree, at), "dependsOn": on })
        })
        .collect();
    add_own(&mut bom["metadata"]["component"], focus);
    // Of the focus too: a reader who knows no purl still finds the name.
    bom["metadata"]["component"]["name"] = short(focus).into();
    let serial = Digest::of(bom.to_string().as_bytes());
    bom["serialNumber"] = uuid(&serial).into();
    bom
}

/// The same document has the same number: a UUID of version 8 out of its digest.
fn uuid(digest: &Digest) -> String {
    let hex = digest.hex();
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    let [a, b, c, d, e] = [part(0, 8), part(8, 12), part(13, 16), part(17, 20), part(20, 32)];
    format!("urn:uuid:{a}-{b}-8{c}-8{d}-{e}")
}

/// What is told of the model asked for only: its files, and the results that its card states.
fn add_own(component: &mut Value, focus: &Model) {
    let files = focus.files.iter().map(|file| {
        let mut told = json!({ "type": "file", "name": file.path });
        told["hashes"] = hashes(Some(&file.digest));
        told
    });
    let files: Vec<Value> = files.collect();
    if !files.is_empty() {
        component["components"] = files.into();
    }
    let metrics = focus
        .metrics
        .iter()
        .map(|metric| json!({ "type": metric.name, "value": metric.value, "slice": metric.dataset }));
    let metrics: Vec<Value> = metrics.collect();
    if !metrics.is_empty() {
        component["modelCard"]["quantitativeAnalysis"] = json!({ "performanceMetrics": metrics });
    }
}

/// A digest as CycloneDX writes hashes; an empty list for one that is no SHA-256.
fn hashes(digest: Option<&String>) -> Value {
    let hex = digest.and_then(|digest| digest.strip_prefix("sha256:"));
    hex.map(|content| json!({ "alg": "SHA-256", "content": content })).into_iter().collect()
}

/// Ids of components are theirs alone even where two names encode alike.
fn reference(pedigree: &Pedigree, at: usize) -> String {
    format!("{}#{at}", purl::versioned(&pedigree.models[at]))
}

fn short(model: &Model) -> &str {
    model.name.split_once('/').map_or(model.name.as_str(), |(_, name)| name)
}

fn component(pedigree: &Pedigree, at: usize, parents: &[&Descent]) -> Value {
    let model = &pedigree.models[at];
    let mut component = described(model);
    component.insert("bom-ref".to_owned(), reference(pedigree, at).into());
    if !parents.is_empty() {
        let ancestors: Vec<Value> = parents
            .iter()
            .map(|edge| {
                let mut ancestor = described(&pedigree.models[edge.parent]);
                let mut properties = vec![
                    property("stemma:relation", edge.relation),
                    property("stemma:primary", edge.primary),
                    property("stemma:confidence", edge.confidence()),
                ];
                properties.extend(edge.verdict.map(|verdict| property("stemma:verdict", verdict.as_str())));
                properties.extend(edge.evidence.iter().map(|evidence| {
                    property("stemma:evidence", format!("{}: {}", evidence.source.as_str(), evidence.detail))
                }));
                if pedigree.models[edge.parent].ghost {
                    properties.push(property("stemma:ghost", true));
                }
                ancestor.insert("properties".to_owned(), properties.into());
                ancestor.into()
            })
            .collect();
        component.insert("pedigree".to_owned(), json!({ "ancestors": ancestors }));
    }
    let mut properties = Vec::new();
    if model.ghost {
        properties.push(property("stemma:ghost", true));
    }
    if let Some(digest) = &model.digest {
        properties.push(property("stemma:revision", digest));
    }
    if !properties.is_empty() {
        component.insert("properties".to_owned(), properties.into());
    }
    let mut parameters = Map::new();
    for (key, value) in [
        ("task", &model.task),
        ("architectureFamily", &model.model_type),
        ("modelArchitecture", &model.architecture),
    ] {
        if let Some(value) = value {
            parameters.insert(key.to_owned(), value.as_str().into());
        }
    }
    let datasets = model.datasets.iter().map(|name| json!({ "type": "dataset", "name": name }));
    let datasets: Vec<Value> = datasets.collect();
    if !datasets.is_empty() {
        parameters.insert("datasets".to_owned(), datasets.into());
    }
    if !parameters.is_empty() {
        component.insert("modelCard".to_owned(), json!({ "modelParameters": parameters }));
    }
    component.into()
}

/// What a component says of a model wherever it stands.
fn described(model: &Model) -> Map<String, Value> {
    let mut component = Map::new();
    let mut set = |key: &str, value: Value| component.insert(key.to_owned(), value);
    set("type", "machine-learning-model".into());
    set("name", short(model).into());
    if let Some(org) = model.org() {
        set("group", org.into());
    }
    if let Some(version) = model.version() {
        set("version", version.into());
    }
    set("purl", purl::versioned(model).into());
    if model.digest.is_some() {
        set("hashes", hashes(model.digest.as_ref()));
    }
    if let Some(licence) = model.licence.as_deref().filter(|licence| !licence.trim().is_empty()) {
        let spdx = lookup(licence).filter(|licence| !licence.approximate).and_then(|licence| licence.spdx);
        let licence = spdx.map_or_else(|| json!({ "name": licence }), |id| json!({ "id": id }));
        set("licenses", json!([{ "license": licence }]));
    }
    component
}

fn property(name: &str, value: impl ToString) -> Value {
    json!({ "name": name, "value": value.to_string() })
}
