//! W3C PROV-O as JSON-LD with its own context, so that reading it needs no network.

use serde_json::{Map, Value, json};

use super::{
    pedigree::{Descent, Model, Pedigree, moment},
    purl,
};

pub(super) fn document(pedigree: &Pedigree) -> Value {
    let iri = |at: usize| purl::bare(&pedigree.models[at]);
    let mut graph: Vec<Value> = Vec::new();
    let mut above: Vec<Vec<&Descent>> = vec![Vec::new(); pedigree.models.len()];
    for edge in &pedigree.edges {
        above[edge.child].push(edge);
    }
    for (at, model) in pedigree.models.iter().enumerate() {
        let mut entity = entity(model);
        let edges = &above[at];
        if !edges.is_empty() {
            let parents: Vec<Value> = edges.iter().map(|edge| json!({ "@id": iri(edge.parent) })).collect();
            let derivations: Vec<Value> = edges
                .iter()
                .map(|edge| {
                    let evidence: Vec<Value> = edge
                        .evidence
                        .iter()
                        .map(|evidence| {
                            json!({
                                "stemma:source": evidence.source.as_str(),
                                "stemma:detail": evidence.detail,
                                "stemma:confidence": evidence.confidence,
                            })
                        })
                        .collect();
                    let mut derivation = json!({
                        "@type": "prov:Derivation",
                        "prov:entity": { "@id": iri(edge.parent) },
                        "stemma:relation": edge.relation.as_str(),
                        "stemma:primary": edge.primary,
                        "stemma:evidence": evidence,
                    });
                    if let Some(verdict) = edge.verdict {
                        derivation["stemma:verdict"] = verdict.as_str().into();
                    }
                    derivation
                })
                .collect();
            entity.insert("prov:wasDerivedFrom".to_owned(), parents.into());
            entity.insert("prov:qualifiedDerivation".to_owned(), derivations.into());
        }
        graph.push(entity.into());
    }
    let mut agents: Vec<&str> = pedigree.models.iter().filter_map(Model::org).collect();
    agents.sort_unstable();
    agents.dedup();
    graph.extend(
        agents
            .into_iter()
            .map(|org| json!({ "@id": purl::agent_iri(org), "@type": "prov:Agent", "rdfs:label": org })),
    );
    // Beside the models, not around them: an id on the outermost object would make the whole a named graph.
    graph.push(json!({
        "@id": "urn:stemma:lineage",
        "stemma:focus": pedigree.models.first().map(|model| json!({ "@id": purl::bare(model) })),
        "stemma:truncated": pedigree.truncated,
    }));
    json!({
        "@context": {
            "prov": "http://www.w3.org/ns/prov#",
            "rdfs": "http://www.w3.org/2000/01/rdf-schema#",
            "xsd": "http://www.w3.org/2001/XMLSchema#",
            "dcterms": "http://purl.org/dc/terms/",
            "stemma": "urn:stemma:terms:",
        },
        "@graph": graph,
    })
}

fn entity(model: &Model) -> Map<String, Value> {
    let mut entity = Map::new();
    let mut set = |key: &str, value: Value| entity.insert(key.to_owned(), value);
    set("@id", purl::bare(model).into());
    set("@type", "prov:Entity".into());
    set("rdfs:label", model.name.as_str().into());
    if model.ghost {
        set("stemma:ghost", true.into());
    }
    if let Some(licence) = &model.licence {
        set("dcterms:license", licence.as_str().into());
    }
    if let Some(version) = model.version() {
        set("stemma:revision", version.into());
    }
    if let Some(at) = model.created_at {
        set("prov:generatedAtTime", json!({ "@type": "xsd:dateTime", "@value": moment(at) }));
    }
    if let Some(org) = model.org() {
        set("prov:wasAttributedTo", json!({ "@id": purl::agent_iri(org) }));
    }
    entity
}
