//! Every format of one pedigree with hostile strings in it.

use std::collections::BTreeSet;

use domain::{Evidence, Relation, Source};
use serde_json::Value;

use super::{Descent, Format, Model, Pedigree, write};
use crate::recover::Verdict;

/// A merge of a ghost and a model with a licence that tries to break out, and a child.
fn family() -> Pedigree {
    let named = |name: &str| Model { name: name.to_owned(), ..Model::default() };
    let edge = |child, parent, primary| Descent {
        child,
        parent,
        relation: Relation::Merge,
        primary,
        evidence: vec![Evidence {
            source: Source::Card,
            detail: "\"]; <b>'\\\n\u{1}".to_owned(),
            confidence: 0.8,
        }],
        verdict: None,
    };
    Pedigree {
        models: vec![
            Model { licence: Some("apache-2.0".to_owned()), created_at: Some(0), ..named("me/child") },
            Model { licence: Some("x\" y='<\u{0}".to_owned()), ..named("org/o'base") },
            Model { ghost: true, ..named("gpt2") },
            named("me/grandchild"),
        ],
        ancestors: 2,
        edges: vec![edge(0, 1, true), edge(0, 2, false), edge(3, 0, true)],
        truncated: true,
        as_of: 86_400,
    }
}

fn json(format: Format) -> Value {
    serde_json::from_str(&write(&family(), format)).unwrap()
}

#[test]
fn a_hostile_text_stays_inside_its_quotes_in_dot() {
    let text = write(&family(), Format::Dot);

    assert!(text.contains(r#""org/o'base" -> "me/child" [label="merge""#), "{text}");
    assert!(text.contains(r#"licence="x\" y='< ""#), "{text}");
    assert!(text.contains(r#""gpt2" [ghost=true"#), "{text}");
    assert!(text.contains("truncated=true"), "{text}");
}

#[test]
fn csv_has_a_line_for_each_edge_and_no_cell_that_a_spreadsheet_would_run() {
    let mut family = family();
    family.models[3].licence = Some("=HYPERLINK(\"x\")".to_owned());
    family.edges[1].verdict = Some(Verdict::Contradicted);

    let text = write(&family, Format::Csv);

    let lines: Vec<&str> = text.split("\r\n").collect();
    assert!(lines[0].starts_with("child,parent,relation,primary,evidence") && lines.len() == 5, "{text}");
    assert!(lines[1].starts_with("me/child,org/o'base,merge,true,card,0.8,,apache-2.0,\"x\"\""), "{text}");
    assert_eq!(lines[2], "me/child,gpt2,merge,false,card,0.8,contradicted,apache-2.0,,false,true,true");
    assert!(lines[3].contains("\"'=HYPERLINK(\"\"x\"\")\""), "{text}");
}

#[test]
fn graphml_escapes_markup_and_leaves_out_what_xml_cannot_write() {
    let text = write(&family(), Format::GraphMl);

    assert!(text.contains("x&quot; y=&apos;&lt; </data>"), "{text}");
    assert!(text.contains(r#"<edge source="org/o&apos;base" target="me/child">"#), "{text}");
    assert!(!text.contains('\u{0}'));
}

#[test]
fn newick_is_the_tree_of_primary_parents_with_quotes_doubled() {
    let text = write(&family(), Format::Newick);

    assert_eq!(text, "(('me/grandchild')'me/child')'org/o''base'[cut at the limit];\n");
}

#[test]
fn newick_separates_siblings_and_has_no_depth_to_fear() {
    let mut family = family();
    let mut brother = family.edges[2].clone();
    family.models.push(Model { name: "me/brother".to_owned(), ..Model::default() });
    brother.child = 4;
    family.edges.push(brother);

    let text = write(&family, Format::Newick);

    assert!(text.starts_with("(('me/grandchild','me/brother')'me/child')"), "{text}");
}

#[test]
fn prov_derives_each_child_from_its_parents_with_the_evidence() {
    let document = json(Format::Prov);

    let child = &document["@graph"][0];
    assert_eq!(child["@id"], "pkg:huggingface/me/child");
    assert_eq!(child["prov:wasDerivedFrom"].as_array().unwrap().len(), 2);
    let derivation = &child["prov:qualifiedDerivation"][1];
    assert_eq!(derivation["prov:entity"]["@id"], "pkg:huggingface/gpt2");
    assert_eq!(derivation["stemma:evidence"][0]["stemma:source"], "card");
    let about = document["@graph"].as_array().unwrap().last().unwrap();
    assert_eq!(about["stemma:truncated"], true);
    assert!(document.get("@id").is_none(), "an id here would make it a named graph");
}

#[test]
fn a_bill_of_materials_holds_ancestors_only_and_every_reference_once() {
    let bom = json(Format::CycloneDx);

    let component = &bom["metadata"]["component"];
    assert_eq!(component["licenses"][0]["license"]["id"], "Apache-2.0");
    assert_eq!(component["pedigree"]["ancestors"].as_array().unwrap().len(), 2);
    let components = bom["components"].as_array().unwrap();
    assert_eq!(components.len(), 2);
    assert_eq!(components[0]["licenses"][0]["license"]["name"], "x\" y='<\u{0}");
    let references: Vec<&Value> =
        components.iter().chain([component]).map(|component| &component["bom-ref"]).collect();
    let distinct: BTreeSet<&str> = references.iter().filter_map(|reference| reference.as_str()).collect();
    assert_eq!(distinct.len(), 3);
    for dependency in bom["dependencies"].as_array().unwrap() {
        for on in dependency["dependsOn"].as_array().unwrap() {
            assert!(distinct.contains(on.as_str().unwrap()), "{on}");
        }
    }
}

#[test]
fn spdx_has_what_the_ai_profile_wants_and_plain_packages_for_ghosts() {
    let document = json(Format::Spdx);

    let graph = document["@graph"].as_array().unwrap();
    let of = |kind: &str| graph.iter().filter(|element| element["type"] == kind).collect::<Vec<_>>();
    for package in of("ai_AIPackage") {
        for field in [
            "suppliedBy",
            "releaseTime",
            "software_packageVersion",
            "software_downloadLocation",
            "software_primaryPurpose",
        ] {
            assert!(package[field].is_string(), "{field} of {package}");
        }
    }
    assert_eq!(of("software_Package").len(), 1);
    let descents: Vec<_> =
        of("Relationship").into_iter().filter(|r| r["relationshipType"] == "ancestorOf").collect();
    assert_eq!(descents.len(), 3);
    let ids: BTreeSet<&str> = graph.iter().filter_map(|element| element["spdxId"].as_str()).collect();
    assert_eq!(ids.len(), graph.len() - 1, "every element but the creation info has an id of its own");
}

#[test]
fn every_format_says_that_the_weights_contradict_an_edge() {
    let mut family = family();
    family.edges[0].verdict = Some(Verdict::Contradicted);

    for format in Format::ALL {
        let text = write(&family, format);
        assert_eq!(text.matches("contradicted").count(), 1, "{}: {text}", format.label());
        assert!(!write(&self::family(), format).contains("contradicted"), "{}", format.label());
    }
    let newick = write(&family, Format::Newick);
    assert_eq!(
        newick,
        "(('me/grandchild')'me/child'[contradicted by the weights])'org/o''base'[cut at the limit];\n"
    );
}

#[test]
fn an_empty_pedigree_is_written_in_every_format() {
    for format in Format::ALL {
        assert!(!write(&Pedigree::default(), format).is_empty(), "{}", format.label());
    }
}
