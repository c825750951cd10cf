//! The forest as linked data: every fact is read from it when it is asked for, none is stored.

use std::{
    collections::HashMap,
    convert::Infallible,
    iter,
    panic::resume_unwind,
    sync::{Arc, OnceLock},
};

use analysis::{
    export::{agent_iri, agent_named, model_iri, model_named},
    lineage::{Forest, Shown, Toward},
};
use spareval::{InternalQuad, QueryableDataset};
use spargebra::term::{Literal, NamedNode, Term};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{
    purse::{self, Share},
    term::{Internal, Kind, Word},
};

/// Finds the number of a model by its name.
pub(super) type Lookup = Arc<dyn Fn(&str) -> Result<Option<i64>, store::Error>>;

/// The data of one question.
#[derive(Clone)]
pub(super) struct Lineage {
    forest: Arc<Forest>,
    lookup: Lookup,
    /// Read once a question, where it asks for owners at all.
    owners: Arc<OnceLock<Owners>>,
}

/// Owners of models, each with the place of its first model; they count until the question is answered.
struct Owners {
    places: HashMap<String, u32>,
    _shares: Vec<Share>,
}

type Kinds = Box<dyn Iterator<Item = Kind>>;

/// Edges by their numbers, which survive a restart.
const DERIVATION: &str = "urn:stemma:derivation:";

fn iri(text: String) -> Term {
    NamedNode::new_unchecked(text).into()
}

fn text(text: &str) -> Kind {
    Kind::other(Literal::new_simple_literal(text).into(), text.len())
}

fn org(node: Shown<'_>) -> Option<&str> {
    node.name.split_once('/').map(|(org, _)| org)
}

fn agent(org: &str) -> Kind {
    Kind::other(iri(agent_iri(org)), org.len())
}

fn length(term: &Term) -> usize {
    match term {
        Term::NamedNode(node) => node.as_str().len(),
        Term::BlankNode(node) => node.as_str().len(),
        Term::Literal(literal) => literal.value().len(),
    }
}

impl Lineage {
    pub(super) fn new(forest: Arc<Forest>, lookup: Lookup) -> Self {
        Self { forest, lookup, owners: Arc::default() }
    }

    fn models(&self) -> Kinds {
        let all = 0..u32::try_from(self.forest.len()).unwrap_or(u32::MAX);
        Box::new(all.inspect(|_| purse::tick()).map(Kind::Model))
    }

    fn derivations(&self) -> Kinds {
        let all = 0..u32::try_from(self.forest.edge_count()).unwrap_or(u32::MAX);
        Box::new(all.inspect(|_| purse::tick()).map(Kind::Derivation))
    }

    /// Models that something is true of.
    fn models_with(&self, wanted: impl Fn(Shown<'_>) -> bool + 'static) -> Kinds {
        let forest = Arc::clone(&self.forest);
        let fits =
            move |kind: &Kind| matches!(kind, Kind::Model(at) if forest.node_at(*at).is_some_and(&wanted));
        Box::new(self.models().filter(fits))
    }

    fn owners(&self) -> &Owners {
        self.owners.get_or_init(|| {
            let (mut places, mut shares) = (HashMap::new(), Vec::new());
            for at in 0..u32::try_from(self.forest.len()).unwrap_or(u32::MAX) {
                purse::tick();
                let Some(org) = self.forest.node_at(at).and_then(org) else { continue };
                if !places.contains_key(org) {
                    shares.push(Share::of(64 + org.len() as u64));
                    places.insert(org.to_owned(), at);
                }
            }
            Owners { places, _shares: shares }
        })
    }

    /// Owners, each once, in the order of their first models.
    fn agents(&self) -> Kinds {
        let mut firsts: Vec<u32> = self.owners().places.values().copied().collect();
        firsts.sort_unstable();
        let forest = Arc::clone(&self.forest);
        let owner = move |at: u32| {
            purse::tick();
            Some(agent(org(forest.node_at(at)?)?))
        };
        Box::new(firsts.into_iter().filter_map(owner))
    }

    fn named(&self, name: &str) -> Option<Kind> {
        purse::tick();
        // A name that could not be looked up must not be answered as one that nobody has.
        let found = (self.lookup)(name).unwrap_or_else(|error| resume_unwind(Box::new(error)));
        let at = self.forest.position(found?)?;
        // Found in any case and under older names; the term is the one it has now.
        (self.forest.node_at(at)?.name == name).then_some(Kind::Model(at))
    }

    /// What may have `object` as the value of `predicate`.
    fn candidates(&self, predicate: Option<Word>, object: Option<&Kind>) -> Kinds {
        let asks = |word: Word| predicate.is_none_or(|predicate| predicate == word);
        match (object, predicate) {
            (Some(Kind::Model(at)), _) => self.pointing_at(*at, predicate),
            (Some(Kind::Derivation(at)), _) if asks(Word::QualifiedDerivation) => {
                let child = self.forest.edge_at(*at).map(|edge| Kind::Model(edge.child));
                Box::new(child.into_iter())
            }
            (Some(Kind::Word(class)), _) if asks(Word::Type) => match class {
                Word::Entity => self.models(),
                Word::Derivation => self.derivations(),
                Word::Agent => self.agents(),
                _ => Box::new(iter::empty()),
            },
            (Some(Kind::Derivation(_) | Kind::Word(_)), _) => Box::new(iter::empty()),
            (Some(Kind::Other(held)), Some(predicate)) => match (&held.term, predicate) {
                (Term::Literal(literal), Word::Label) => {
                    let model = self.named(literal.value());
                    Box::new(model.into_iter().chain(iter::once(agent(literal.value()))))
                }
                (Term::Literal(literal), Word::License) => {
                    let wanted = literal.value().to_owned();
                    self.models_with(move |node| node.license == Some(wanted.as_str()))
                }
                (Term::NamedNode(node), Word::AttributedTo) => match agent_named(node.as_str()) {
                    Some(wanted) => self.models_with(move |node| org(node) == Some(&wanted)),
                    None => Box::new(iter::empty()),
                },
                _ => self.all_with(Some(predicate)),
            },
            (_, predicate) => self.all_with(predicate),
        }
    }

    /// What leads to a model.
    fn pointing_at(&self, at: u32, predicate: Option<Word>) -> Kinds {
        let below = || self.forest.along(at, Toward::Descendants).inspect(|_| purse::tick());
        let forest = Arc::clone(&self.forest);
        let child = move |edge| forest.edge_at(edge).map(|edge| Kind::Model(edge.child));
        let forest = Arc::clone(&self.forest);
        let related = move |kind: &Kind| matches!(kind, Kind::Model(of) if forest.root_at(*of) == Some(at));
        let is_root = self.forest.root_at(at) == Some(at);
        match predicate {
            Some(Word::DerivedFrom) => Box::new(below().filter_map(child)),
            Some(Word::From) => Box::new(below().map(Kind::Derivation)),
            Some(Word::Family) if is_root => Box::new(self.models().filter(related)),
            Some(_) => Box::new(iter::empty()),
            None => {
                let near = below().filter_map(child).chain(below().map(Kind::Derivation));
                match is_root {
                    // Its children are among its family: each subject is told once.
                    true => Box::new(
                        self.models()
                            .filter(related)
                            .chain(below().map(Kind::Derivation))
                            .chain(self.strangers(at)),
                    ),
                    false => Box::new(near),
                }
            }
        }
    }

    /// Children of a root that belong to the family of another parent.
    fn strangers(&self, at: u32) -> impl Iterator<Item = Kind> + use<> {
        let forest = Arc::clone(&self.forest);
        let children = forest.along(at, Toward::Descendants);
        children.filter_map(move |edge| {
            let child = forest.edge_at(edge)?.child;
            (forest.root_at(child) != Some(at)).then_some(Kind::Model(child))
        })
    }

    /// Whatever may have this predicate.
    fn all_with(&self, predicate: Option<Word>) -> Kinds {
        match predicate {
            None => Box::new(self.models().chain(self.derivations()).chain(self.agents())),
            Some(Word::Type) => self.all_with(None),
            Some(Word::Label) => Box::new(self.models().chain(self.agents())),
            Some(Word::From | Word::Relation | Word::Primary | Word::Proposed) => self.derivations(),
            Some(_) => self.models(),
        }
    }

    /// The facts with this subject, and with this predicate where one is asked for.
    fn facts(&self, subject: &Kind, predicate: Option<Word>) -> Vec<(Word, Kind)> {
        let mut facts = Facts { predicate, found: Vec::new() };
        match subject {
            Kind::Model(at) => self.of_model(*at, &mut facts),
            Kind::Derivation(at) => self.of_derivation(*at, &mut facts),
            Kind::Other(held) => {
                if let Term::NamedNode(node) = &held.term
                    && let Some(name) = agent_named(node.as_str())
                    && self.owners().places.contains_key(name.as_str())
                {
                    facts.tell(Word::Type, || Some(Kind::Word(Word::Agent)));
                    facts.tell(Word::Label, || Some(text(&name)));
                }
            }
            Kind::Word(_) => {}
        }
        facts.found
    }

    fn of_model(&self, at: u32, facts: &mut Facts) {
        let Some(node) = self.forest.node_at(at) else { return };
        facts.tell(Word::Type, || Some(Kind::Word(Word::Entity)));
        facts.tell(Word::Label, || Some(text(node.name)));
        facts.tell(Word::License, || node.license.map(text));
        facts.tell(Word::Ghost, || node.ghost.then(|| Kind::other(Literal::from(true).into(), 0)));
        let downloads = || Some(Kind::other(Literal::from(node.downloads?).into(), 0));
        facts.tell(Word::Downloads, downloads);
        facts.tell(Word::GeneratedAt, || {
            let at = OffsetDateTime::from_unix_timestamp(node.created_at?).ok()?.format(&Rfc3339).ok()?;
            let kind = NamedNode::new_unchecked("http://www.w3.org/2001/XMLSchema#dateTime");
            Some(Kind::other(Literal::new_typed_literal(at, kind).into(), 0))
        });
        facts.tell(Word::AttributedTo, || org(node).map(agent));
        facts.tell(Word::Family, || self.forest.root_at(at).map(Kind::Model));
        for edge in self.forest.along(at, Toward::Ancestors) {
            purse::tick();
            let parent = || self.forest.edge_at(edge).map(|edge| Kind::Model(edge.parent));
            facts.tell(Word::DerivedFrom, parent);
            facts.tell(Word::QualifiedDerivation, || Some(Kind::Derivation(edge)));
        }
    }

    fn of_derivation(&self, at: u32, facts: &mut Facts) {
        let Some(edge) = self.forest.edge_at(at) else { return };
        let flag = |set: bool| Some(Kind::other(Literal::from(set).into(), 0));
        facts.tell(Word::Type, || Some(Kind::Word(Word::Derivation)));
        facts.tell(Word::From, || Some(Kind::Model(edge.parent)));
        facts.tell(Word::Relation, || Some(text(edge.relation.as_str())));
        facts.tell(Word::Primary, || flag(edge.primary));
        facts.tell(Word::Proposed, || flag(edge.proposed));
    }

    fn kind_of(&self, term: Term) -> Kind {
        if let Term::NamedNode(node) = &term {
            if let Some(word) = Word::of(node.as_str()) {
                return Kind::Word(word);
            }
            // The term is a model's only where it is written as that model's is.
            let model = model_named(node.as_str()).filter(|name| model_iri(name) == node.as_str());
            if let Some(kind) = model.and_then(|name| self.named(&name)) {
                return kind;
            }
            if let Some(at) = node.as_str().strip_prefix(DERIVATION).and_then(|id| self.derivation(id)) {
                return Kind::Derivation(at);
            }
        }
        let bytes = length(&term);
        Kind::other(term, bytes)
    }

    fn derivation(&self, id: &str) -> Option<u32> {
        let number: i64 = id.parse().ok()?;
        let found = self.derivations().find_map(|kind| match kind {
            Kind::Derivation(at) => (self.forest.edge_at(at)?.id == number).then_some(at),
            _ => None,
        });
        found.filter(|_| number.to_string() == id)
    }

    fn term_of(&self, kind: &Kind) -> Term {
        match kind {
            Kind::Model(at) => iri(model_iri(self.forest.node_at(*at).map_or("", |node| node.name))),
            Kind::Derivation(at) => {
                iri(format!("{DERIVATION}{}", self.forest.edge_at(*at).map_or(0, |edge| edge.id)))
            }
            Kind::Word(word) => iri(word.iri()),
            Kind::Other(held) => held.term.clone(),
        }
    }
}

/// The facts found of one subject.
struct Facts {
    predicate: Option<Word>,
    found: Vec<(Word, Kind)>,
}

impl Facts {
    fn tell(&mut self, word: Word, object: impl FnOnce() -> Option<Kind>) {
        if self.predicate.is_none_or(|predicate| predicate == word) {
            self.found.extend(object().map(|object| (word, object)));
        }
    }
}

type Quad = Result<InternalQuad<Internal>, Infallible>;

impl QueryableDataset<'static> for Lineage {
    type InternalTerm = Internal;
    type Error = Infallible;

    fn internal_quads_for_pattern(
        &self,
        subject: Option<&Internal>,
        predicate: Option<&Internal>,
        object: Option<&Internal>,
        graph_name: Option<Option<&Internal>>,
    ) -> impl Iterator<Item = Quad> + use<> {
        let predicate = match predicate.map(|term| &term.kind) {
            Some(Kind::Word(word)) => Some(Some(*word)),
            Some(_) => None,
            None => Some(None),
        };
        // There is one graph, and it has no name.
        let (Some(predicate), Some(None)) = (predicate, graph_name) else {
            return Box::new(iter::empty()) as Box<dyn Iterator<Item = Quad>>;
        };
        let object = object.map(|term| term.kind.clone());
        let subjects: Kinds = match subject {
            Some(subject) => Box::new(iter::once(subject.kind.clone())),
            None => self.candidates(predicate, object.as_ref()),
        };
        let this = self.clone();
        let quads = subjects.flat_map(move |subject| {
            let mut facts = this.facts(&subject, predicate);
            if let Some(object) = &object {
                facts.retain(|(_, found)| found == object);
            }
            facts.into_iter().map(move |(predicate, object)| {
                purse::fact();
                Ok(InternalQuad {
                    subject: Internal::new(subject.clone()),
                    predicate: Internal::new(Kind::Word(predicate)),
                    object: Internal::new(object),
                    graph_name: None,
                })
            })
        });
        Box::new(quads)
    }

    fn internal_named_graphs(&self) -> impl Iterator<Item = Result<Internal, Infallible>> + use<> {
        iter::empty()
    }

    fn internalize_term(&self, term: Term) -> Result<Internal, Infallible> {
        Ok(Internal::new(self.kind_of(term)))
    }

    fn externalize_term(&self, term: Internal) -> Result<Term, Infallible> {
        let term = self.term_of(&term.kind);
        purse::read(length(&term));
        Ok(term)
    }
}
