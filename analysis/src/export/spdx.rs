//! SPDX 3.0.1 with the AI profile, as JSON-LD.
//!
//! A model that is only a name is a plain package: the AI profile wants facts that nobody has seen.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{
    pedigree::{Model, Pedigree, moment},
    purl,
};
use crate::licence::spdx_expression;

const AGENT: &str = "urn:stemma:registry";

pub(super) fn document(pedigree: &Pedigree) -> Value {
    let focus = pedigree.models.first().map(purl::bare).unwrap_or_default();
    let own = |what: &str| format!("{focus}#{what}");
    let created = moment(pedigree.as_of);
    let mut graph = vec![
        json!({ "type": "CreationInfo", "@id": "_:ci", "created": created, "createdBy": [AGENT], "specVersion": "3.0.1" }),
        element("SoftwareAgent", AGENT, json!({ "name": "Stemma" })),
    ];
    let mut organisations = BTreeMap::new();
    let mut licences: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for model in &pedigree.models {
        if let Some(org) = model.org() {
            organisations.insert(org, purl::agent_iri(org));
        }
        if let Some(licence) = model.licence.as_deref().filter(|licence| !licence.trim().is_empty()) {
            licences.entry(licence).or_default().push(purl::bare(model));
        }
        graph.push(package(model, pedigree.as_of));
    }
    graph.extend(organisations.iter().map(|(org, id)| element("Organization", id, json!({ "name": org }))));
    for (at, edge) in pedigree.edges.iter().enumerate() {
        let [parent, child] = [edge.parent, edge.child].map(|at| purl::bare(&pedigree.models[at]));
        let why = edge.evidence.iter().map(|evidence| {
            format!("{}: {} ({})", evidence.source.as_str(), evidence.detail, evidence.confidence)
        });
        let verdict = edge.verdict.map(|verdict| format!("{} by the weights", verdict.as_str()));
        let why: Vec<String> = why.chain(verdict).collect();
        let body = json!({
            "from": parent, "relationshipType": "ancestorOf", "to": [child],
            "description": edge.relation.as_str(),
            "comment": why.join("; "),
        });
        graph.push(element("Relationship", &own(&format!("descent-{at}")), body));
    }
    for (at, (licence, models)) in licences.iter().enumerate() {
        let id = own(&format!("licence-{at}"));
        let expression =
            json!({ "simplelicensing_licenseExpression": spdx_expression(licence), "comment": licence });
        graph.push(element("simplelicensing_LicenseExpression", &id, expression));
        for (of, model) in models.iter().enumerate() {
            let body = json!({ "from": model, "relationshipType": "hasDeclaredLicense", "to": [id] });
            graph.push(element("Relationship", &own(&format!("licensed-{at}-{of}")), body));
        }
    }
    let mut ends = json!({
        "rootElement": [focus],
        "profileConformance": ["core", "software", "ai", "simpleLicensing"],
    });
    if pedigree.truncated {
        ends["comment"] = "cut at the limit: more relatives are known".into();
    }
    graph.push(element("SpdxDocument", &own("document"), ends));
    json!({ "@context": "https://spdx.org/rdf/3.0.1/spdx-context.jsonld", "@graph": graph })
}

fn element(kind: &str, id: &str, body: Value) -> Value {
    let mut element = Map::new();
    element.insert("type".to_owned(), kind.into());
    element.insert("spdxId".to_owned(), id.into());
    element.insert("creationInfo".to_owned(), "_:ci".into());
    if let Value::Object(body) = body {
        element.extend(body);
    }
    element.into()
}

fn package(model: &Model, as_of: i64) -> Value {
    let id = purl::bare(model);
    if model.ghost {
        let comment = "known only because a child names it";
        return element("software_Package", &id, json!({ "name": model.name, "comment": comment }));
    }
    let kind = model.model_type.as_deref().or(model.architecture.as_deref());
    let mut body = json!({
        "name": model.name,
        "suppliedBy": model.org().map_or_else(|| AGENT.to_owned(), purl::agent_iri),
        "releaseTime": moment(model.created_at.unwrap_or(as_of)),
        "software_packageVersion": model.version().unwrap_or("unknown"),
        "software_downloadLocation": purl::versioned(model),
        "software_packageUrl": purl::versioned(model),
        "software_primaryPurpose": "model",
    });
    if let Some(kind) = kind {
        body["ai_typeOfModel"] = json!([kind]);
    }
    if let Some(task) = &model.task {
        body["ai_domain"] = json!([task]);
    }
    element("ai_AIPackage", &id, body)
}
