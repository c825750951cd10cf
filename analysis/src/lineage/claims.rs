//! Claims of descent from one model's metadata: which parents, how related, on what evidence.

use std::collections::{HashMap, HashSet};

use domain::{Claim, DeclaredParent, EdgeStatus, Evidence, Limits, Metadata, Note, Relation, RepoId, Source};

use super::{
    normalise::{from_local_path, modernise, normalise},
    relation::infer,
    rename::{Resolved, Unknown, former},
};

/// Reads every parent a model's metadata names.
///
/// What the Hub resolved (`baseModels`, tags) comes first, then the card and tables, then files. A lower
/// source adds evidence and parents; a name that merely spells a parent the Hub resolved the old way becomes
/// a note. Relation: stated in the card, else by the Hub, else inferred.
pub fn claims(metadata: &Metadata, limits: &Limits) -> (Vec<Claim>, Vec<Note>) {
    let mut draft = Draft { own: metadata.id.key(), ..Draft::default() };
    let mut declared: Vec<&DeclaredParent> = metadata.parents.iter().collect();
    declared.sort_by_key(|parent| rank(parent.source));
    for tier in declared.chunk_by(|a, b| tier(a.source) == tier(b.source)) {
        draft.read_tier(tier);
    }
    draft.finish(metadata, limits.parents)
}

/// A parent found so far; `stated` is the relation its best source gives.
struct Found {
    parent: RepoId,
    as_written: String,
    stated: Option<Relation>,
    evidence: Vec<Evidence>,
}

#[derive(Default)]
struct Draft {
    own: String,
    found: Vec<Found>,
    by_key: HashMap<String, usize>,
    notes: Vec<Note>,
}

impl Draft {
    fn read_tier(&mut self, tier: &[&DeclaredParent]) {
        let mut seen: Vec<(Source, Option<Relation>, String)> = Vec::new();
        let mut ids: Vec<(RepoId, f64, &DeclaredParent)> = Vec::new();
        for parent in tier {
            let Some((id, confidence)) = self.identify(parent) else { continue };
            let mark = (parent.source, parent.relation, id.key());
            if seen.contains(&mark) {
                if parent.source != Source::MergeConfig {
                    self.note("duplicate_parent", format!("`{id}` is {} twice", parent.source.phrase()));
                }
                continue;
            }
            seen.push(mark);
            ids.push((id, confidence, parent));
        }
        let old = self.former_names(&ids);
        for (position, (id, confidence, parent)) in ids.into_iter().enumerate() {
            if old.contains(&position) {
                let detail =
                    format!("`{id}`, {}, is not among the parents the Hub resolved", parent.source.phrase());
                self.note("unresolved_parent", detail);
            } else {
                self.add(id, confidence, parent);
            }
        }
    }

    /// Positions of names that only spell a renamed parent the old way: at most as many as the Hub resolved
    /// parents that this tier does not name.
    fn former_names(&self, ids: &[(RepoId, f64, &DeclaredParent)]) -> Vec<usize> {
        let hub = |evidence: &Evidence| matches!(evidence.source, Source::Api | Source::Tag);
        let named: HashSet<String> = ids.iter().map(|(id, ..)| id.key()).collect();
        let unnamed: Vec<Resolved<'_>> = self
            .found
            .iter()
            .filter(|found| found.evidence.iter().any(hub))
            .filter(|found| found.parent.key() != self.own && !named.contains(&found.parent.key()))
            .map(|found| Resolved { id: &found.parent, confirmed: !found.evidence.iter().all(hub) })
            .collect();
        let mut positions: HashMap<String, Vec<usize>> = HashMap::new();
        let mut unknown: Vec<Unknown<'_>> = Vec::new();
        for (position, (id, _, parent)) in ids.iter().enumerate() {
            let key = id.key();
            if key == self.own || self.by_key.contains_key(&key) {
                continue;
            }
            let same = positions.entry(key).or_default();
            let carded = parent.source == Source::Card;
            if same.is_empty() {
                unknown.push(Unknown { id, carded });
            } else if let Some(known) = unknown.iter_mut().find(|known| carded && known.id.key() == id.key())
            {
                known.carded = true;
            }
            same.push(position);
        }
        let old = former(&unknown, &unnamed);
        old.into_iter().filter_map(|at| positions.remove(&unknown[at].id.key())).flatten().collect()
    }

    fn identify(&mut self, parent: &DeclaredParent) -> Option<(RepoId, f64)> {
        let trusted = confidence(parent);
        match normalise(&parent.raw) {
            Ok(id) => return Some((modernise(id), trusted)),
            Err(_) if parent.raw.trim().is_empty() => {}
            Err(reason) => {
                let files = matches!(parent.source, Source::AdapterConfig | Source::MergeConfig);
                if let Some(id) = files.then(|| from_local_path(&parent.raw)).flatten() {
                    self.note("local_path", format!("{reason}; read as `{id}`"));
                    return Some((id, 0.3));
                }
                self.note("not_an_id", reason);
            }
        }
        None
    }

    fn add(&mut self, parent: RepoId, confidence: f64, declared: &DeclaredParent) {
        let seen = clip(&declared.raw);
        let detail = match &declared.part {
            Some(part) => Evidence::detail_of(&seen, part),
            None => seen,
        };
        let evidence = Evidence { source: declared.source, detail, confidence };
        match self.by_key.get(&parent.key()) {
            Some(&at) => {
                let known = &mut self.found[at];
                known.stated = known.stated.or(declared.relation);
                let same = |e: &Evidence| e.source == evidence.source && e.detail == evidence.detail;
                if !known.evidence.iter().any(same) {
                    known.evidence.push(evidence);
                }
            }
            None => {
                self.by_key.insert(parent.key(), self.found.len());
                let (as_written, stated) = (clip(&declared.raw), declared.relation);
                self.found.push(Found { parent, as_written, stated, evidence: vec![evidence] });
            }
        }
    }

    fn note(&mut self, code: &str, detail: String) {
        let note = Note { code: code.to_owned(), detail };
        if self.notes.len() < 100 && !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    fn finish(mut self, metadata: &Metadata, most: usize) -> (Vec<Claim>, Vec<Note>) {
        if self.found.len() > most {
            let detail = format!("{} parents are named; the first {most} are kept", self.found.len());
            self.note("too_many_parents", detail);
            self.found.truncate(most);
        }
        let own = self.own.clone();
        let others = self.found.iter().filter(|found| found.parent.key() != own).count();
        let (guess, why) = infer(metadata, others);
        if others < self.found.len() {
            self.note("self_reference", format!("`{}` names itself as its parent", metadata.id));
        }
        let to_claim = |mut found: Found| {
            let relation = metadata.declared_relation.or(found.stated).unwrap_or(guess);
            if metadata.declared_relation.is_none() && found.stated.is_none() {
                let detail = why.clone();
                found.evidence.push(Evidence { source: Source::Inferred, detail, confidence: 0.6 });
            }
            let status =
                if found.parent.key() == own { EdgeStatus::RejectedSelf } else { EdgeStatus::Accepted };
            let Found { parent, as_written, evidence, .. } = found;
            Claim { parent, as_written, relation, status, evidence }
        };
        (self.found.into_iter().map(to_claim).collect(), self.notes)
    }
}

const fn rank(source: Source) -> u8 {
    match source {
        Source::Recipe | Source::Weights | Source::Person => 0,
        Source::Api => 1,
        Source::Tag => 2,
        Source::Card => 3,
        Source::Table => 4,
        Source::MergeConfig => 5,
        Source::AdapterConfig => 6,
        Source::Inferred => 7,
    }
}

/// Sources read together: the Hub's own, then what authors declare, then what files mention.
const fn tier(source: Source) -> u8 {
    match rank(source) {
        0 => 0,
        1 | 2 => 1,
        3 | 4 => 2,
        other => other,
    }
}

const fn confidence(parent: &DeclaredParent) -> f64 {
    match parent.source {
        Source::Recipe | Source::Weights | Source::Person => 1.0,
        Source::Api | Source::Table => 0.9,
        Source::Tag if parent.relation.is_some() => 0.9,
        Source::MergeConfig => 0.85,
        Source::Tag | Source::Card | Source::AdapterConfig => 0.8,
        Source::Inferred => 0.5,
    }
}

fn clip(text: &str) -> String {
    text.chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(metadata: &Metadata) -> (Vec<Claim>, Vec<Note>) {
        super::claims(metadata, &Limits::default())
    }

    fn model(parents: &[(&str, Source, Option<Relation>)]) -> Metadata {
        let mut metadata = Metadata::named(RepoId::parse("me/child").unwrap());
        metadata.parents = parents
            .iter()
            .map(|&(raw, source, relation)| DeclaredParent {
                raw: raw.to_owned(),
                relation,
                source,
                part: None,
            })
            .collect();
        metadata
    }

    fn names(claims: &[Claim]) -> Vec<&str> {
        claims.iter().map(|claim| claim.parent.as_str()).collect()
    }

    #[test]
    fn several_sources_for_one_parent_make_one_claim() {
        let metadata = model(&[
            ("Org/Base", Source::Card, None),
            ("org/base", Source::Api, Some(Relation::Adapter)),
            ("org/base", Source::Tag, Some(Relation::Adapter)),
            ("org/base", Source::Tag, None),
        ]);

        let (claims, notes) = claims(&metadata);

        assert_eq!(names(&claims), ["org/base"]);
        assert_eq!(claims[0].relation, Relation::Adapter);
        assert_eq!(claims[0].evidence.len(), 3);
        assert!(notes.is_empty(), "{notes:?}");
    }

    #[test]
    fn a_model_that_names_itself_is_kept_apart_with_a_note() {
        let (claims, notes) = claims(&model(&[("ME/child", Source::Card, None)]));

        assert_eq!(claims[0].status, EdgeStatus::RejectedSelf);
        assert_eq!(notes[0].code, "self_reference");
    }

    #[test]
    fn duplicates_and_words_become_notes() {
        let (claims, notes) = claims(&model(&[
            ("a/b", Source::Card, None),
            ("https://hf.co/A/B", Source::Card, None),
            ("mergekit", Source::Card, None),
        ]));

        assert_eq!(names(&claims), ["a/b"]);
        let codes: Vec<_> = notes.iter().map(|note| note.code.as_str()).collect();
        assert_eq!(codes, ["duplicate_parent", "not_an_id"]);
    }

    #[test]
    fn an_old_name_in_the_card_adds_no_second_parent() {
        let (claims, notes) = claims(&model(&[
            ("meta-llama/Llama-3.1-8B", Source::Api, Some(Relation::Finetune)),
            ("meta-llama/Meta-Llama-3.1-8B", Source::Card, None),
        ]));

        assert_eq!(names(&claims), ["meta-llama/Llama-3.1-8B"]);
        assert_eq!(notes[0].code, "unresolved_parent");
    }

    #[test]
    fn without_the_hub_no_source_hides_another() {
        let (claims, notes) = claims(&model(&[
            ("org/base", Source::Card, None),
            ("org/a", Source::MergeConfig, Some(Relation::Merge)),
            ("org/b", Source::MergeConfig, Some(Relation::Merge)),
            ("org/c", Source::AdapterConfig, Some(Relation::Adapter)),
        ]));

        assert_eq!(names(&claims), ["org/base", "org/a", "org/b", "org/c"]);
        assert!(notes.is_empty(), "{notes:?}");
    }

    #[test]
    fn one_renamed_parent_hides_one_name_and_the_others_stay() {
        let (claims, notes) = claims(&model(&[
            ("zai-org/glm-4-9b", Source::Api, Some(Relation::Merge)),
            ("x/gone", Source::Card, None),
            ("THUDM/glm-4-9b", Source::Card, None),
            ("y/gone-too", Source::Table, None),
            ("THUDM/GLM-4-9b", Source::Table, None),
        ]));

        assert_eq!(names(&claims), ["zai-org/glm-4-9b", "x/gone", "y/gone-too"]);
        assert!(notes.iter().all(|note| note.code == "unresolved_parent"), "{notes:?}");
    }

    #[test]
    fn a_recipe_adds_parents_to_those_the_card_confirmed() {
        let (claims, _) = claims(&model(&[
            ("meta-llama/Llama-3.1-8B", Source::Api, Some(Relation::Merge)),
            ("meta-llama/Llama-3.1-8B", Source::Card, None),
            ("meta-llama/Meta-Llama-3.1-8B", Source::MergeConfig, Some(Relation::Merge)),
            ("org/other", Source::MergeConfig, Some(Relation::Merge)),
        ]));

        assert_eq!(names(&claims), ["meta-llama/Llama-3.1-8B", "org/other"]);
    }

    #[test]
    fn parents_the_hub_dropped_from_a_list_are_kept() {
        let (claims, _) = claims(&model(&[
            ("a/one", Source::Api, Some(Relation::Finetune)),
            ("a/one", Source::Card, None),
            ("b/two", Source::Card, None),
        ]));

        assert_eq!(names(&claims), ["a/one", "b/two"]);
    }

    #[test]
    fn the_card_overrules_every_guess() {
        let mut metadata = model(&[("a/b", Source::Card, None)]);
        metadata.files = vec!["x-Q8_0.gguf".to_owned()];
        assert_eq!(claims(&metadata).0[0].relation, Relation::Quantized);

        metadata.declared_relation = Some(Relation::Finetune);
        assert_eq!(claims(&metadata).0[0].relation, Relation::Finetune);
    }

    #[test]
    fn the_relation_follows_from_tags_files_and_library() {
        let mut metadata = model(&[("a/b", Source::Card, None), ("c/d", Source::Card, None)]);
        assert_eq!(claims(&metadata).0[0].relation, Relation::Finetune);
        metadata.tags = vec!["merge".to_owned()];
        assert_eq!(claims(&metadata).0[1].relation, Relation::Merge);
        metadata.parents.pop();
        assert_eq!(claims(&metadata).0[0].relation, Relation::Finetune);
        metadata.library = Some("peft".to_owned());
        assert_eq!(claims(&metadata).0[0].relation, Relation::Adapter);
    }

    #[test]
    fn a_quantisation_of_mlx_is_seen_in_the_configuration() {
        let mut metadata = model(&[("a/b", Source::Card, None)]);
        metadata.config = Some(serde_json::json!({ "quantization": { "group_size": 64, "bits": 4 } }));
        assert_eq!(claims(&metadata).0[0].relation, Relation::Quantized);
        metadata.config = Some(serde_json::json!({ "quantization": null }));
        assert_eq!(claims(&metadata).0[0].relation, Relation::Finetune);
    }

    #[test]
    fn the_part_of_a_parent_in_a_recipe_goes_with_its_evidence() {
        let mut metadata = model(&[("a/b", Source::MergeConfig, Some(Relation::Merge))]);
        metadata.parents[0].part = Some("base · model 2 · weight 0.5".to_owned());

        let evidence = &claims(&metadata).0[0].evidence[0];

        assert_eq!(evidence.detail, "a/b · base · model 2 · weight 0.5");
        assert_eq!((evidence.part(), evidence.seen()), (Some(domain::Part::Base), "a/b"));
    }

    #[test]
    fn a_local_path_in_an_adapter_config_is_a_weak_claim() {
        let (claims, notes) = claims(&model(&[("/home/u/org/base", Source::AdapterConfig, None)]));

        assert_eq!(names(&claims), ["org/base"]);
        assert!(claims[0].evidence[0].confidence < 0.5);
        assert_eq!(notes[0].code, "local_path");
    }

    #[test]
    fn a_hundred_parents_are_cut_with_a_note() {
        let raws: Vec<String> = (0..100).map(|i| format!("org/p{i}")).collect();
        let parents: Vec<_> = raws.iter().map(|raw| (raw.as_str(), Source::Card, None)).collect();

        let (claims, notes) = super::claims(&model(&parents), &Limits { parents: 7, ..Limits::default() });

        assert_eq!(claims.len(), 7);
        assert_eq!(notes[0].code, "too_many_parents");
    }

    #[test]
    fn a_base_that_only_a_file_names_stays_beside_one_that_it_resembles_in_nothing() {
        let hub = ("meta/Llama-3-8B", Source::Tag, Some(Relation::Adapter));
        let file = |raw| (raw, Source::AdapterConfig, Some(Relation::Adapter));

        let (both, notes) = claims(&model(&[hub, file("qwen/Qwen2.5-7B")]));
        let (one, told) = claims(&model(&[hub, file("meta-llama/Meta-Llama-3-8B")]));

        assert_eq!((names(&both), notes.len()), (vec!["meta/Llama-3-8B", "qwen/Qwen2.5-7B"], 0));
        assert_eq!((names(&one), told[0].code.as_str()), (vec!["meta/Llama-3-8B"], "unresolved_parent"));
    }
}
