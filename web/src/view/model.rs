//! Everything the page of one model shows.

use domain::{EdgeStatus, Evidence, Note, Part, Relation, Uninspected};

use super::{
    AdvisoryNotice, Bytes, Closure, Count, LicenceClass, LicenceHeritage, Name, Parameters, VersionRow, Way,
    When, evidence,
};

/// A parent, with the reasons to believe in it.
#[derive(Debug, Clone)]
pub struct ParentLink {
    pub name: Name,
    pub ghost: bool,
    pub relation: Relation,
    pub status: EdgeStatus,
    /// The parent as its source wrote it.
    pub as_written: String,
    pub license: Option<String>,
    pub evidence: Vec<Evidence>,
    /// What the weights say of the claim.
    pub verdict: Option<VerdictMark>,
    /// What people decided about it, the latest first.
    pub decisions: Vec<DecisionMark>,
    /// Decisions before those that are listed.
    pub older_decisions: u64,
    /// Days from its creation to that of the child.
    pub later: Option<i64>,
}

/// What the weights say of a claimed parent.
#[derive(Debug, Clone)]
pub struct VerdictMark {
    pub contradicted: bool,
    pub sentence: String,
}

/// A person's decision about an edge.
#[derive(Debug, Clone)]
pub struct DecisionMark {
    /// confirmed, rejected or added.
    pub word: &'static str,
    pub person: String,
    pub reason: String,
    /// Unix seconds.
    pub decided_at: i64,
}

impl ParentLink {
    pub(crate) fn accepted(&self) -> bool {
        self.status.stands()
    }

    /// Whether nobody but the weights says so.
    pub(crate) fn proposed(&self) -> bool {
        self.status == EdgeStatus::Proposed
    }

    /// Why the edge is left out of the tree.
    pub(crate) fn rejection(&self) -> &'static str {
        match self.status {
            EdgeStatus::Accepted | EdgeStatus::Proposed => "",
            EdgeStatus::RejectedPerson => "left out: a person rejected it",
            EdgeStatus::RejectedSelf => "left out: the model names itself as its parent",
            EdgeStatus::RejectedCycle => "left out: this edge would close a circle of descent",
        }
    }

    /// Where it is known from, in words; empty without evidence.
    pub fn sources(&self) -> String {
        let mut phrases: Vec<&str> = Vec::new();
        for evidence in &self.evidence {
            if !phrases.contains(&evidence.source.phrase()) {
                phrases.push(evidence.source.phrase());
            }
        }
        phrases.join(", ")
    }

    /// Whether a recipe that was carried out here says so.
    pub(crate) fn made_here(&self) -> bool {
        self.evidence.iter().any(|evidence| evidence.source == domain::Source::Recipe)
    }

    /// Whether the weights contradict the claim.
    pub(crate) fn contradicted(&self) -> bool {
        self.verdict.as_ref().is_some_and(|verdict| verdict.contradicted)
    }

    /// Whether the weights contradict the claim and nobody has decided about it.
    pub(crate) fn disputed(&self) -> bool {
        self.contradicted() && self.accepted() && self.decisions.is_empty()
    }

    /// One sentence: how we know, with the numbers that are known.
    pub(crate) fn sentence(&self) -> String {
        let base = self.evidence.iter().any(|evidence| evidence.part() == Some(Part::Base));
        let verb = match self.relation {
            _ if self.contradicted() => "Claimed as a parent",
            _ if evidence::kind(&self.evidence) == Some("duplicate") => "A copy of this model",
            Relation::Finetune => "Fine-tuned from this model",
            Relation::Adapter => "An adapter for this model",
            Relation::Quantized => "Quantised from this model",
            Relation::Merge if base => "The base of the merge",
            Relation::Merge => "Merged from this model",
            Relation::Transfer if base => "The change was made to this model",
            Relation::Transfer => "The change was taken from this model",
            Relation::Conversion => "Converted from this model",
            Relation::Distil => "Distilled from this model",
        };
        let mut clauses = vec![self.sources()];
        clauses.extend(evidence::measured(&self.evidence));
        clauses.extend(self.later.map(evidence::later));
        clauses.retain(|clause| !clause.is_empty());
        match clauses.is_empty() {
            true => format!("{verb}."),
            false => format!("{verb}: {}.", clauses.join("; ")),
        }
    }
}

/// How many children descend in one way.
#[derive(Debug, Clone)]
pub struct ChildGroup {
    pub relation: Relation,
    pub count: u64,
}

/// The stored state of a model's files.
#[derive(Debug, Clone, Default)]
pub struct RevisionView {
    /// `sha256:…`
    pub digest: String,
    pub created_at: Option<i64>,
}

/// A commit of the model's history.
#[derive(Debug, Clone, Default)]
pub struct CommitView {
    /// 40 hex digits.
    pub oid: String,
    pub title: String,
    pub author: Option<String>,
    /// Unix seconds.
    pub created_at: i64,
    /// Branches and tags that name it.
    pub names: Vec<String>,
    /// Whether it is the one that is shown.
    pub shown: bool,
    /// The commit that it was made on.
    pub parent: Option<String>,
}

impl CommitView {
    /// The model at this commit.
    pub(crate) fn href(&self, of: &Name) -> String {
        of.below(&format!("tree/{}", self.oid))
    }

    /// What it changed.
    pub(crate) fn changes(&self, of: &Name) -> Option<String> {
        self.parent.as_ref().map(|parent| of.revisions((parent, &self.oid)))
    }

    /// The first and telling part of its id.
    pub(crate) fn short(&self) -> String {
        self.oid.chars().take(8).collect()
    }
}

/// When a name came to stand for other weights.
#[derive(Debug, Clone, Default)]
pub struct WeightChange {
    /// Unix seconds.
    pub at: i64,
    /// The commit with the weights before, and the one with those since.
    pub from: String,
    pub to: String,
    /// Who published those before and those since, where they are two people.
    pub hands: Option<(String, String)>,
}

impl WeightChange {
    /// The comparison of the two.
    pub(crate) fn href(&self, of: &Name) -> String {
        of.revisions((&self.from, &self.to))
    }
}

/// One stored file.
#[derive(Debug, Clone, Default)]
pub struct FileRow {
    pub path: String,
    pub size: u64,
    /// `sha256:…`
    pub digest: String,
    /// When its bytes were last compared with the digest, unix seconds.
    pub verified_at: Option<i64>,
    /// Whether its bytes were found to be others than those of the digest.
    pub damaged: bool,
}

impl FileRow {
    pub(crate) fn size_text(&self) -> Bytes {
        Bytes(self.size)
    }

    /// Why nothing here looks into it.
    pub(crate) fn uninspected(&self) -> Option<Uninspected> {
        Uninspected::of(&self.path)
    }

    /// The first and telling part of the digest.
    pub(crate) fn short_digest(&self) -> String {
        self.digest.chars().take(19).collect()
    }
}

/// Tensors of one number format.
#[derive(Debug, Clone, Default)]
pub struct DtypeRow {
    pub dtype: String,
    pub tensors: u64,
    pub elements: u64,
    pub bytes: u64,
}

/// A result of an evaluation, as the card states it.
#[derive(Debug, Clone, Default)]
pub struct EvaluationRow {
    pub task: String,
    pub dataset: String,
    pub metric: String,
    pub value: String,
    /// Whether the Hub marked it as verified.
    pub verified: bool,
    pub source: Option<String>,
    /// Where the source says so; https only.
    pub url: Option<String>,
}

/// A model, where the line begins with one, and what follows.
type MadeLine<'a> = (Option<Name>, &'a str);

/// Facts that lead further down the page.
const USE: &str = "How to use";
const LIMITS: &str = "Limits";
const NOT_STATED: &str = "not stated";
/// The recipe of a merge, as mergekit and merges here leave it.
const RECIPE_FILE: &str = "mergekit_config.yml";

/// What of its making is listed line by line.
const INPUTS: &str = "Inputs";
const LISTED: [&str; 2] = [INPUTS, "Warnings"];

/// One model.
#[derive(Debug, Clone, Default)]
pub struct ModelPage {
    pub name: Name,
    pub ghost: bool,
    pub license: Option<String>,
    pub pipeline_tag: Option<String>,
    pub library: Option<String>,
    pub architecture: Option<String>,
    pub model_type: Option<String>,
    pub parameters: Option<u64>,
    pub downloads: Option<u64>,
    pub likes: Option<u64>,
    pub created_at: Option<i64>,
    pub last_modified: Option<i64>,
    pub languages: Vec<String>,
    pub datasets: Vec<String>,
    pub tags: Vec<String>,
    /// The successor the author names.
    pub new_version: Option<Name>,
    /// From the root of the family to the primary parent.
    pub path: Way,
    pub parents: Vec<ParentLink>,
    /// Parents that are not listed.
    pub parents_hidden: u64,
    pub children: Vec<ChildGroup>,
    /// Other children of the parent that it hangs under, the most downloaded first, and how many there are.
    pub siblings: (Vec<Name>, u64),
    /// Of the children those whose weights speak for another parent.
    pub outweighed: u64,
    pub revision: Option<RevisionView>,
    /// The latest commits up to the one shown, newest first.
    pub history: Vec<CommitView>,
    /// How many there are in all.
    pub commits: u64,
    /// The last time that its weights became others.
    pub changed: Option<WeightChange>,
    /// The revision asked for, where it is not the current one.
    pub at: Option<String>,
    pub files: Vec<FileRow>,
    pub dtypes: Vec<DtypeRow>,
    /// What the card states of evaluations.
    pub evaluations: Vec<EvaluationRow>,
    /// The recipe this revision was made from, as text.
    pub recipe: Option<String>,
    /// How it was made, as label and text in reading order, lists line by line; empty for what was not made here.
    pub made: Vec<(&'static str, String)>,
    /// Card body, Markdown.
    pub card: Option<String>,
    pub notes: Vec<Note>,
    /// What warns of it, the most severe first.
    pub advisories: Vec<AdvisoryNotice>,
    /// Those that are not listed.
    pub advisories_hidden: u64,
    pub heritage: LicenceHeritage,
    /// Along the line of descent, the oldest first.
    pub versions: Vec<VersionRow>,
    /// Older ones that are not listed.
    pub versions_hidden: u64,
    /// Whether and how it is closed.
    pub closure: Closure,
}

impl ModelPage {
    pub(crate) fn licence_class(&self) -> LicenceClass {
        LicenceClass::of(self.license.as_deref())
    }

    /// Whether its weights are here to be compared and computed with.
    pub(crate) fn measurable(&self) -> bool {
        !self.dtypes.is_empty() && self.revision.is_some()
    }

    /// How many commits there are, and how many of them are shown.
    pub(crate) fn commit_count(&self) -> String {
        let all = super::plural(self.commits, "commit", "commits");
        match self.history.len() as u64 == self.commits {
            true => format!("{all}."),
            false => format!("{all}, the latest {} of them:", self.history.len()),
        }
    }

    /// How many parents are not listed.
    pub(crate) fn more_parents(&self) -> Option<String> {
        (self.parents_hidden > 0).then(|| super::plural(self.parents_hidden, "more parent", "more parents"))
    }

    /// How many siblings are not listed.
    pub(crate) fn more_siblings(&self) -> Option<String> {
        let hidden = self.siblings.1.saturating_sub(self.siblings.0.len() as u64);
        (hidden > 0).then(|| format!("{} more", Count(hidden)))
    }

    /// How many advisories are not listed.
    pub(crate) fn more_advisories(&self) -> Option<String> {
        let hidden = self.advisories_hidden;
        (hidden > 0).then(|| super::plural(hidden, "more advisory reaches", "more advisories reach"))
    }

    /// How it was made, without what is listed line by line.
    pub(crate) fn made_facts(&self) -> impl Iterator<Item = &(&'static str, String)> {
        self.made.iter().filter(|(label, _)| !LISTED.contains(label))
    }

    /// What is listed line by line: inputs as a model and its digest, warnings as sentences.
    pub(crate) fn made_lists(&self) -> Vec<(&'static str, Vec<MadeLine<'_>>)> {
        let line = |label: &str, line| match (label, str::split_once(line, ' ')) {
            (INPUTS, Some((model, digest))) => (Some(Name::from(model)), digest),
            _ => (None, line),
        };
        let listed = self.made.iter().filter(|(label, _)| LISTED.contains(label));
        listed.map(|(label, text)| (*label, text.lines().map(|text| line(label, text)).collect())).collect()
    }

    /// The latest version, where relations alone make all of them.
    pub(crate) fn claimed_version(&self) -> Option<&str> {
        let claimed = self.versions.iter().all(|row| row.claimed);
        self.versions.last().filter(|_| claimed).map(|row| row.version.as_str())
    }

    pub(crate) fn descendants(&self) -> u64 {
        self.children.iter().map(|group| group.count).sum()
    }

    pub(crate) fn total_size(&self) -> Bytes {
        Bytes(self.files.iter().map(|file| file.size).sum())
    }

    /// Where the merge that made it is taken up again, where its recipe is among its files.
    pub(crate) fn recipe_again(&self) -> Option<String> {
        let revision = self.revision.as_ref()?;
        let there = self.files.iter().any(|file| file.path == RECIPE_FILE);
        let from = format!("{}@{}", self.name, revision.digest);
        there.then(|| format!("/merges/new?from={}", super::encoded(&from)))
    }

    /// How it is fetched, in a word; what stands in the way where it cannot be.
    fn use_of(&self) -> String {
        match (self.files.is_empty(), &self.library) {
            (false, _) => format!("hf download {}", self.name),
            (true, Some(library)) => format!("with {library}; its files are not here"),
            (true, None) => "not stated; its files are not here".to_owned(),
        }
    }

    /// Facts as label and text, in reading order. The first five are what readers look for, also where nobody states them; `limits`
    /// is what the card says of those.
    pub(crate) fn facts(&self, limits: Option<&str>) -> Vec<(&'static str, String)> {
        let count = |value: Option<u64>| value.map(|n| Count(n).to_string());
        let date = |value: Option<i64>| value.map(|at| When(at).to_string());
        let list = |items: &[String]| match items.len() {
            0 => None,
            1..=8 => Some(items.join(", ")),
            more => Some(format!("{} and {} more", items[..8].join(", "), more - 8)),
        };
        // Of what is only a name nothing could be stated.
        let or =
            |value: Option<String>, else_: &str| value.or_else(|| (!self.ghost).then(|| else_.to_owned()));
        [
            ("Task", or(self.pipeline_tag.clone(), NOT_STATED)),
            ("Training data", or(list(&self.datasets), NOT_STATED)),
            (USE, (!self.ghost).then(|| self.use_of())),
            (LIMITS, or(limits.map(str::to_owned), NOT_STATED)),
            ("Licence", or(self.license.clone(), "unknown")),
            ("Parameters", self.parameters.map(|n| Parameters(n).to_string())),
            ("Architecture", self.architecture.clone().or_else(|| self.model_type.clone())),
            ("Library", self.library.clone()),
            ("Languages", list(&self.languages)),
            ("Downloads", count(self.downloads)),
            ("Likes", count(self.likes)),
            ("Created", date(self.created_at)),
            ("Changed", date(self.last_modified)),
        ]
        .into_iter()
        .filter_map(|(label, value)| value.map(|value| (label, value)))
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use domain::Source;

    use super::*;

    fn parent(relation: Relation, part: &str) -> ParentLink {
        ParentLink {
            name: Name::from("o/parent"),
            ghost: false,
            relation,
            status: EdgeStatus::Accepted,
            as_written: String::new(),
            license: None,
            evidence: vec![Evidence {
                source: Source::Recipe,
                detail: Evidence::detail_of("sha256:00", part),
                confidence: 1.0,
            }],
            verdict: None,
            decisions: Vec::new(),
            older_decisions: 0,
            later: None,
        }
    }

    #[test]
    fn what_a_change_was_made_to_is_told_apart_from_what_it_was_taken_from() {
        let told = |relation, part| parent(relation, part).sentence().split(':').next().unwrap().to_owned();

        assert_eq!(told(Relation::Transfer, "base"), "The change was made to this model");
        assert_eq!(told(Relation::Transfer, "model 1 · weight 1"), "The change was taken from this model");
        assert_eq!(told(Relation::Merge, "base"), "The base of the merge");
        assert_eq!(told(Relation::Merge, "model 2"), "Merged from this model");
    }

    #[test]
    fn inputs_and_warnings_of_a_making_are_listed_line_by_line() {
        let made =
            vec![("Method", "ties"), ("Inputs", "o/a sha256:00…\no/b sha256:11…"), ("Warnings", "a; b")];
        let made = made.into_iter().map(|(label, text)| (label, text.to_owned())).collect();
        let page = ModelPage { made, ..ModelPage::default() };

        let facts: Vec<&str> = page.made_facts().map(|(label, _)| *label).collect();
        let lists = page.made_lists();

        assert_eq!(facts, ["Method"]);
        assert_eq!(lists[0].1[1], (Some(Name::from("o/b")), "sha256:11…"));
        assert_eq!(lists[1], ("Warnings", vec![(None, "a; b")]));
    }

    #[test]
    fn a_model_without_a_licence_says_so_and_one_that_is_only_a_name_says_nothing() {
        let licence = |ghost| {
            let page = ModelPage { ghost, ..ModelPage::default() };
            page.facts(None).into_iter().find(|(label, _)| *label == "Licence").map(|(_, text)| text)
        };

        assert_eq!(licence(false).as_deref(), Some("unknown"));
        assert_eq!(licence(true), None);
    }
}
