//! Right answers from the forest, and questions without an end that come to one.

use std::sync::Arc;

use analysis::{
    export::model_iri,
    lineage::{Forest, ForestEdge, Node},
};
use domain::{EdgeStatus, Fault as _, Limits, Relation};

use super::{Lineage, Lookup, Rows, answer};
use crate::Error;

fn node(id: i64, name: &str, license: Option<&str>) -> Node {
    Node {
        id,
        name: name.to_owned(),
        created_at: Some(1_700_000_000 + id),
        ghost: license.is_none(),
        downloads: Some(10 * id),
        license: license.map(str::to_owned),
        size: None,
    }
}

fn edge(id: i64, child: i64, parent: i64, relation: Relation) -> ForestEdge {
    ForestEdge { id, child, parent, relation, status: EdgeStatus::Accepted }
}

/// A base, two fine-tunes of it, a merge of one of them with a model of another family.
fn family() -> Arc<Forest> {
    let nodes = [
        node(1, "a/base", Some("cc-by-nc-4.0")),
        node(2, "a/tuned", Some("mit")),
        node(3, "b/other tuned", Some("mit")),
        node(4, "c/far", None),
        node(5, "b/merged", Some("mit")),
    ];
    let edges = [
        edge(10, 2, 1, Relation::Finetune),
        edge(11, 3, 1, Relation::Finetune),
        edge(12, 5, 2, Relation::Merge),
        edge(13, 5, 4, Relation::Merge),
    ];
    Arc::new(Forest::build(nodes.into_iter(), edges.into_iter()))
}

/// A line of so many models.
fn line(length: i64) -> Arc<Forest> {
    let nodes = (0..length).map(|id| node(id, &format!("line/m{id}"), Some("mit")));
    let edges = (1..length).map(|id| edge(id, id, id - 1, Relation::Finetune));
    Arc::new(Forest::build(nodes, edges))
}

fn answer_for(forest: &Arc<Forest>, text: &str, limits: &Limits) -> Result<String, Error> {
    let names = Arc::clone(forest);
    let lookup: Lookup =
        Arc::new(move |name: &str| Ok(names.nodes().find(|node| node.name == name).map(|node| node.id)));
    let data = Lineage::new(Arc::clone(forest), lookup);
    let answer = answer(data, text, (Rows::Csv, limits, Arc::default()))?;
    Ok(String::from_utf8_lossy(&answer.body).into_owned())
}

#[test]
fn a_name_that_cannot_be_looked_up_is_a_failure_and_no_answer() {
    let lookup: Lookup = Arc::new(|_: &str| Err(store::Error::Silent { part: "the database", seconds: 1 }));
    let data = Lineage::new(family(), lookup);
    let text = format!("ASK {{ <{}> ?any ?value }}", model_iri("a/base"));

    let answer = answer(data, &text, (Rows::Csv, &Limits::default(), Arc::default()));

    assert_eq!(answer.err().unwrap().code(), "storage_silent");
}

/// Runs on a thread as deep as the real one; each has a purse of its own.
fn ask_with(forest: &Arc<Forest>, text: &str, limits: Limits) -> Result<String, (&'static str, String)> {
    let (forest, text) = (Arc::clone(forest), text.to_owned());
    let asked =
        move || answer_for(&forest, &text, &limits).map_err(|error| (error.code(), error.to_string()));
    std::thread::Builder::new().stack_size(super::STACK).spawn(asked).unwrap().join().unwrap()
}

fn ask(forest: &Arc<Forest>, text: &str) -> Vec<String> {
    let told = ask_with(forest, text, Limits::default()).unwrap();
    let mut lines: Vec<String> = told.lines().skip(1).map(str::to_owned).collect();
    lines.sort();
    lines
}

fn code(forest: &Arc<Forest>, text: &str) -> &'static str {
    let limits = Limits { sparql_seconds: 2, sparql_memory_bytes: 32 << 20, ..Limits::default() };
    ask_with(forest, text, limits).expect_err("it is answered").0
}

#[test]
fn descendants_are_found_along_a_path_from_either_end() {
    let forest = family();

    let below =
        ask(&forest, "SELECT ?n { ?m prov:wasDerivedFrom+ <pkg:huggingface/a/base> ; rdfs:label ?n }");
    let above = ask(&forest, "SELECT ?n { <pkg:huggingface/b/merged> prov:wasDerivedFrom+/rdfs:label ?n }");

    assert_eq!(below, ["a/tuned", "b/merged", "b/other tuned"]);
    assert_eq!(above, ["a/base", "a/tuned", "c/far"]);
}

#[test]
fn every_place_of_a_pattern_may_be_asked_for() {
    let forest = family();
    let count = |pattern: &str| ask(&forest, &format!("SELECT (COUNT(*) AS ?n) {{ {pattern} }}")).concat();

    assert_eq!(count("?s prov:wasDerivedFrom ?o"), "4");
    assert_eq!(count("?s a prov:Entity"), "5");
    assert_eq!(count("?s a prov:Agent"), "3");
    assert_eq!(count("?s a prov:Derivation ; stemma:relation \"merge\" ; prov:entity ?o"), "2");
    assert_eq!(count("?s dcterms:license \"mit\""), "3");
    assert_eq!(count("?s rdfs:label \"a/base\" ; dcterms:license ?l"), "1");
    assert_eq!(count("?s prov:wasAttributedTo <urn:stemma:org:b>"), "2");
    assert_eq!(count("<urn:stemma:org:b> rdfs:label ?l"), "1");
    assert_eq!(count("<urn:stemma:org:nobody> ?p ?o"), "0");
    assert_eq!(count("?s stemma:ghost true"), "1");
    assert_eq!(count("?s stemma:family <pkg:huggingface/a/base>"), "3");
    assert_eq!(count("?s stemma:family <pkg:huggingface/c/far>"), "2");
    assert_eq!(count("?s ?p <pkg:huggingface/b/other%20tuned>"), "0");
    assert_eq!(count("?d prov:entity <pkg:huggingface/c/far> . ?m prov:qualifiedDerivation ?d"), "1");
    assert_eq!(count("<urn:stemma:derivation:12> stemma:relation ?r"), "1");
    assert_eq!(count("?s prov:generatedAtTime ?t FILTER(?t > \"2023-11-14T22:13:23Z\"^^xsd:dateTime)"), "2");
    assert_eq!(count("?s <urn:x:unknown> ?o"), "0");
    assert_eq!(count("GRAPH ?g { ?s ?p ?o }"), "0");
}

#[test]
fn every_fact_found_from_its_object_is_found_from_its_subject() {
    let forest = family();
    let all = ask(&forest, "SELECT ?s ?p ?o { ?s ?p ?o }");
    let again = ask(&forest, "SELECT ?s ?p ?o { ?s ?p ?o . ?s ?p ?o }");
    let objects = ask(&forest, "SELECT ?s ?p ?o { { SELECT DISTINCT ?o { ?x ?y ?o } } ?s ?p ?o }");
    let paired = ask(&forest, "SELECT ?s ?p ?o { { SELECT DISTINCT ?p ?o { ?x ?p ?o } } ?s ?p ?o }");

    assert!(all.len() > 40, "{all:?}");
    assert_eq!(all, again);
    assert_eq!(all, objects);
    assert_eq!(all, paired);
}

#[test]
fn what_is_hidden_has_a_place_and_no_name() {
    let forest = Arc::new(family().veiled([2]));

    let named = ask(&forest, "SELECT ?o { <pkg:huggingface/a/tuned> ?p ?o }");
    let licences = ask(&forest, "SELECT ?m { ?m dcterms:license \"mit\" }");
    let between = ask(&forest, "SELECT ?n { <pkg:huggingface/b/merged> prov:wasDerivedFrom/rdfs:label ?n }");

    assert!(named.is_empty(), "{named:?}");
    assert_eq!(licences.len(), 2);
    assert_eq!(between, ["c/far", "private model 2"]);
}

#[test]
fn a_question_that_does_not_end_is_given_up() {
    let (family, long) = (family(), line(30_000));
    let product = "{ ?a ?b ?c . ?d ?e ?f . ?g ?h ?i . ?j ?k ?l . ?m ?n ?o . ?p ?q ?r . ?s ?t ?u . ?v ?w ?x }";
    let values: String = (0..9)
        .map(|at| format!("VALUES ?v{at} {{ {} }} ", (0..60).map(|n| format!("{n} ")).collect::<String>()))
        .collect();

    for text in [
        format!("SELECT (COUNT(*) AS ?n) {product}"),
        format!("SELECT * {product} ORDER BY ?a ?d"),
        format!("SELECT DISTINCT ?a ?d ?g ?j ?m ?p ?s {product}"),
        format!("SELECT (COUNT(*) AS ?n) {{ {values} }}"),
        format!("SELECT (COUNT(*) AS ?n) {{ {values} }} GROUP BY ?v1 ?v2 ?v3 ?v4 ?v5"),
        "SELECT (GROUP_CONCAT(?x) AS ?n) { ?a rdfs:label ?x . ?b rdfs:label ?y . ?c rdfs:label ?z . ?d ?e ?f . ?g ?h ?i }"
            .to_owned(),
        format!("ASK {{ {values} FILTER(?v0 + ?v1 + ?v2 + ?v3 + ?v4 + ?v5 + ?v6 + ?v7 + ?v8 > 1000) }}"),
        format!(
            "SELECT * {{ ?a a prov:Agent FILTER NOT EXISTS {product} FILTER EXISTS {{ {values} }} }} ORDER BY ?a"
        ),
    ] {
        let told = ask_with(
            &family,
            &text,
            Limits { sparql_seconds: 2, sparql_memory_bytes: 32 << 20, ..Limits::default() },
        );
        if let Err((code, message)) = &told {
            assert_eq!(*code, "sparql_spent", "{text}: {message}");
        } else {
            assert!(text.contains("EXISTS"), "{text}: {told:?}");
        }
    }
    for text in [
        "SELECT (COUNT(*) AS ?n) { ?a prov:wasDerivedFrom+ ?b }",
        "SELECT * { ?a prov:wasDerivedFrom* ?b } ORDER BY ?b",
        "SELECT (COUNT(DISTINCT ?b) AS ?n) { ?a (prov:wasDerivedFrom|^prov:wasDerivedFrom)+ ?b }",
    ] {
        assert_eq!(code(&long, text), "sparql_spent", "{text}");
    }
}

#[test]
fn a_path_down_a_deep_line_is_walked_without_a_deep_stack() {
    let long = line(30_000);

    let count = "SELECT (COUNT(*) AS ?n) { ?m prov:wasDerivedFrom+ <pkg:huggingface/line/m0> }";

    assert_eq!(ask(&long, count), ["29999"]);
}

#[test]
fn answers_of_more_rows_or_bytes_than_allowed_are_refused() {
    let long = line(1_000);
    let all = "SELECT * { ?m prov:wasDerivedFrom ?p }";

    let rows = ask_with(&long, all, Limits { sparql_rows: 998, ..Limits::default() });
    let bytes = ask_with(&long, all, Limits { sparql_answer_bytes: 1_000, ..Limits::default() });
    let facts = ask_with(&long, all, Limits { sparql_facts: 998, ..Limits::default() });
    let whole = ask_with(&long, all, Limits { sparql_rows: 999, sparql_facts: 999, ..Limits::default() });

    let spent = |told: Result<String, (&str, String)>, limit: &str| {
        let (code, message) = told.unwrap_err();
        assert!(code == "sparql_spent" && message.contains(limit), "{message}");
    };
    spent(rows, "sparql_rows");
    spent(bytes, "sparql_answer_bytes");
    spent(facts, "sparql_facts");
    assert_eq!(whole.unwrap().lines().count(), 1_000);
}

#[test]
fn what_leaves_the_registry_or_cannot_be_bounded_is_refused() {
    let forest = family();
    for text in [
        "INSERT DATA { <urn:a> <urn:b> <urn:c> }",
        "SELECT * FROM <urn:g> { ?s ?p ?o }",
        "SELECT * { SERVICE <http://127.0.0.1/> { ?s ?p ?o } }",
        "SELECT (REPLACE(?n, \".\", \"$0$0\") AS ?m) { ?s rdfs:label ?n }",
        "SELECT (GROUP_CONCAT(CONCAT(?n, ?n)) AS ?m) { ?s rdfs:label ?n }",
        "SELECT (COUNT(*) AS ?n) { VALUES () { () () } VALUES () { () () } }",
        "SELECT (COUNT(*) AS ?n) { { SELECT ?z { ?s ?p ?o } } { SELECT ?y { ?s ?p ?o } } }",
        "SELECT (COUNT(*) AS ?n) { { {} UNION {} } { {} UNION {} } }",
        "LOAD <http://127.0.0.1/>",
    ] {
        assert_eq!(code(&forest, text), "sparql_refused", "{text}");
    }
    let deep = format!("SELECT * {{ {}?s ?p ?o{} }}", "{".repeat(40), "}".repeat(40));
    assert_eq!(code(&forest, &deep), "sparql_refused");
}

#[test]
fn a_question_of_any_shape_overflows_no_stack() {
    let forest = family();
    let filter = |inside: String| format!("SELECT * {{ ?s ?p ?o FILTER({inside}) }}");
    let nested =
        |open: &str, inside: &str, close: &str| format!("{}{inside}{}", open.repeat(20), close.repeat(20));
    for text in [
        filter(format!("{}true", "!".repeat(15_000))),
        filter(format!("true{}", "||true".repeat(2_500))),
        filter(format!("1{}", "+1".repeat(7_000))),
        filter(nested("(", "true", ")")),
        format!("ASK {{ ?s {} ?o }}", nested("(", "prov:entity", ")")),
        format!("ASK {{ ?s {} ?o }}", nested("(", "prov:entity", ")*")),
        format!("ASK {{ ?s prov:entity{} ?o }}", "/prov:entity".repeat(1_200)),
        format!("ASK {{ {{}} {} }}", "UNION {}".repeat(1_900)),
        format!("ASK {{ {} }}", nested("{", "?s ?p ?o", "}")),
        format!("ASK {{ ?s ?p {} }}", nested("[ prov:entity ", "?o", "]")),
        format!("ASK {{ ?s ?p {} }}", nested("(", "?o", ")")),
        format!("ASK {{ {} }}", "OPTIONAL { ?a ?b ?c } ".repeat(700)),
        format!("ASK {{ {} }}", "OPTIONAL { ?a ?b ?c } ".repeat(40)),
        filter(format!("1{}", "+1".repeat(500))),
    ] {
        assert!(text.len() <= Limits::default().sparql_bytes, "{}", text.len());
        let limits = Limits { sparql_seconds: 2, ..Limits::default() };
        // An answer or an error: either way the process lives.
        drop(ask_with(&forest, &text, limits));
    }
}

#[test]
fn a_malformed_question_is_told_where() {
    let (code, message) = ask_with(&family(), "SELECT ?s {\n ?s ?p }", Limits::default()).unwrap_err();

    assert_eq!(code, "sparql_malformed");
    assert!(message.contains("2:"), "{message}");
}

#[test]
fn names_of_thousands_of_owners_are_read_once_and_not_once_an_owner() {
    // Read again for every owner these would be half a thousand million models.
    let count = 30_000;
    let nodes = (0..count).map(|id| node(id, &format!("owner{id}/m"), Some("mit")));
    let edges = (1..count).map(|id| edge(id, id, 0, Relation::Finetune));
    let forest = Arc::new(Forest::build(nodes, edges));

    let labels = ask(&forest, "SELECT (COUNT(?l) AS ?n) { ?any rdfs:label ?l }");
    let owners = ask(
        &forest,
        "SELECT (COUNT(?owner) AS ?n) { ?c prov:wasDerivedFrom ?m ; prov:wasAttributedTo ?o . ?o rdfs:label ?owner }",
    );

    assert_eq!((labels, owners), (vec![(2 * count).to_string()], vec![(count - 1).to_string()]));
}
