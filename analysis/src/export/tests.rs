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
        cosine: None,
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
fn newick_gives_a_branch_the_length_that_the_weights_were_found_apart() {
    let mut family = family();
    family.truncated = false;
    family.edges[0].cosine = Some(0.75);
    family.edges[2].cosine = Some(1.000_001);
    let mut brother = family.edges[2].clone();
    family.models.push(Model { name: "me/brother".to_owned(), ..Model::default() });
    (brother.child, brother.cosine) = (4, None);
    family.edges.push(brother);

    let text = write(&family, Format::Newick);

    let wanted = "(('me/grandchild':0.000000,'me/brother')'me/child':0.250000)'org/o''base';\n";
    assert_eq!(text, wanted);
}

#[test]
fn a_bill_has_hashes_files_data_sets_and_a_number_of_its_own() {
    let digest = |text: &str| domain::Digest::of(text.as_bytes()).to_string();
    let mut family = family();
    family.models[0].digest = Some(digest("revision"));
    family.models[0].datasets = vec!["org/data".to_owned()];
    family.models[0].files =
        vec![super::File { path: "model.safetensors".to_owned(), digest: digest("file") }];
    let (name, value, dataset) = ("accuracy".to_owned(), "0.9".to_owned(), "org/test".to_owned());
    family.models[0].metrics = vec![super::Metric { name, value, dataset }];

    let bill =
        |family: &Pedigree| -> Value { serde_json::from_str(&write(family, Format::CycloneDx)).unwrap() };
    let (told, again) = (bill(&family), bill(&family));
    family.as_of += 1;
    let later = bill(&family);

    let own = &told["metadata"]["component"];
    assert_eq!(format!("sha256:{}", own["hashes"][0]["content"].as_str().unwrap()), digest("revision"));
    assert_eq!(own["components"][0]["name"], "model.safetensors");
    assert_eq!(
        format!("sha256:{}", own["components"][0]["hashes"][0]["content"].as_str().unwrap()),
        digest("file")
    );
    assert_eq!(own["modelCard"]["modelParameters"]["datasets"][0]["name"], "org/data");
    assert_eq!(own["modelCard"]["quantitativeAnalysis"]["performanceMetrics"][0]["value"], "0.9");
    assert_eq!(told["serialNumber"], again["serialNumber"]);
    assert_ne!(told["serialNumber"], later["serialNumber"]);
    let serial = told["serialNumber"].as_str().unwrap().strip_prefix("urn:uuid:").unwrap();
    assert_eq!(serial.split('-').map(str::len).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
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
fn a_line_of_json_is_an_edge_with_its_revisions() {
    let mut family = family();
    family.models[0].commit = Some("0".repeat(40));
    family.truncated = false;

    let text = write(&family, Format::Jsonl);

    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 3);
    assert_eq!((&lines[1]["child"], &lines[1]["parent"]), (&"me/child".into(), &"gpt2".into()));
    assert_eq!(
        (&lines[1]["child_revision"], &lines[1]["source"][0]),
        (&"0".repeat(40).into(), &"card".into())
    );
    assert_eq!(lines[1]["parent_revision"], Value::Null);
}

#[test]
fn a_header_asks_for_the_format_it_likes_best() {
    let cases = [
        ("application/vnd.cyclonedx+json", Some(Format::CycloneDx)),
        ("application/vnd.cyclonedx+json; version=1.6", Some(Format::CycloneDx)),
        ("text/html, text/csv;q=0.5, application/ld+json;q=0.9", Some(Format::Prov)),
        ("application/json, text/csv", None),
        ("text/csv, */*;q=0.1", Some(Format::Csv)),
        ("*/*", None),
        ("text/csv;q=0", None),
        ("text/csv;q=x", None),
        ("", None),
    ];
    for (accept, wanted) in cases {
        assert_eq!(Format::accepted(accept), wanted, "{accept}");
    }
}

#[test]
fn an_empty_pedigree_is_written_in_every_format() {
    // Of no edge there is no line.
    for format in Format::ALL.into_iter().filter(|format| *format != Format::Jsonl) {
        assert!(!write(&Pedigree::default(), format).is_empty(), "{}", format.label());
    }
}
