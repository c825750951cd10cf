//! CycloneDX ML-BOM 1.6: the model, its ancestors as a flat list of components, and who depends on whom.
//!
//! Pedigrees are not nested: a graph of merges unrolled as a tree would grow without bound.

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
    // Of the focus too: a reader who knows no purl still finds the name.
    bom["metadata"]["component"]["name"] = short(focus).into();
    bom
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
