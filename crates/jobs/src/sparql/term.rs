//! Terms as positions in the forest; only what is not in it is held as text.

use std::{
    hash::{Hash, Hasher},
    sync::Arc,
};

use spargebra::term::Term;

use super::purse::Share;

/// Names that the data uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Word {
    Type,
    Label,
    License,
    GeneratedAt,
    AttributedTo,
    DerivedFrom,
    QualifiedDerivation,
    From,
    Relation,
    Primary,
    Proposed,
    Ghost,
    Downloads,
    Family,
    Entity,
    Derivation,
    Agent,
}

const PROV: &str = "http://www.w3.org/ns/prov#";
const RDF: &str = "http://www.w3.org/1999/02/22-rdf-syntax-ns#";
const RDFS: &str = "http://www.w3.org/2000/01/rdf-schema#";
const TERMS: &str = "http://purl.org/dc/terms/";
const OWN: &str = "urn:stemma:terms:";

/// Prefixes that a question need not declare.
pub const PREFIXES: [(&str, &str); 6] = [
    ("prov", PROV),
    ("rdf", RDF),
    ("rdfs", RDFS),
    ("dcterms", TERMS),
    ("stemma", OWN),
    ("xsd", "http://www.w3.org/2001/XMLSchema#"),
];

impl Word {
    const ALL: [Self; 17] = [
        Self::Type,
        Self::Label,
        Self::License,
        Self::GeneratedAt,
        Self::AttributedTo,
        Self::DerivedFrom,
        Self::QualifiedDerivation,
        Self::From,
        Self::Relation,
        Self::Primary,
        Self::Proposed,
        Self::Ghost,
        Self::Downloads,
        Self::Family,
        Self::Entity,
        Self::Derivation,
        Self::Agent,
    ];

    const fn parts(self) -> (&'static str, &'static str) {
        match self {
            Self::Type => (RDF, "type"),
            Self::Label => (RDFS, "label"),
            Self::License => (TERMS, "license"),
            Self::GeneratedAt => (PROV, "generatedAtTime"),
            Self::AttributedTo => (PROV, "wasAttributedTo"),
            Self::DerivedFrom => (PROV, "wasDerivedFrom"),
            Self::QualifiedDerivation => (PROV, "qualifiedDerivation"),
            Self::From => (PROV, "entity"),
            Self::Relation => (OWN, "relation"),
            Self::Primary => (OWN, "primary"),
            Self::Proposed => (OWN, "proposed"),
            Self::Ghost => (OWN, "ghost"),
            Self::Downloads => (OWN, "downloads"),
            Self::Family => (OWN, "family"),
            Self::Entity => (PROV, "Entity"),
            Self::Derivation => (PROV, "Derivation"),
            Self::Agent => (PROV, "Agent"),
        }
    }

    pub fn iri(self) -> String {
        let (space, name) = self.parts();
        format!("{space}{name}")
    }

    pub fn of(iri: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|word| {
            let (space, name) = word.parts();
            iri.strip_prefix(space) == Some(name)
        })
    }
}

/// What a term is; the same term is always the same kind.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// A model, by position.
    Model(u32),
    /// An edge, by position.
    Derivation(u32),
    Word(Word),
    Other(Arc<Held>),
}

/// A term that stands nowhere in the forest.
#[derive(Debug)]
pub(super) struct Held {
    pub term: Term,
    _share: Share,
}

impl PartialEq for Held {
    fn eq(&self, other: &Self) -> bool {
        self.term == other.term
    }
}

impl Eq for Held {}

impl Hash for Held {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.term.hash(state);
    }
}

impl Kind {
    /// A term of so many bytes.
    pub fn other(term: Term, bytes: usize) -> Self {
        Self::Other(Arc::new(Held { term, _share: Share::of(64 + bytes as u64) }))
    }
}

/// A term as the evaluator holds it: it counts against the memory of the question.
#[derive(Debug)]
pub struct Internal {
    pub(super) kind: Kind,
    _share: Share,
}

impl Internal {
    pub(super) fn new(kind: Kind) -> Self {
        Self { kind, _share: Share::of_term() }
    }
}

impl Clone for Internal {
    fn clone(&self) -> Self {
        Self::new(self.kind.clone())
    }
}

impl PartialEq for Internal {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind
    }
}

impl Eq for Internal {}

impl Hash for Internal {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.kind.hash(state);
    }
}
