//! The longest pages of the fake.

use domain::{Class, EdgeStatus, Item, Note, Relation, Source};
use web::{Failure, Result, view::*};

use super::{Fake, files::revision};

impl Fake {
    pub fn search_page(&self, query: &SearchQuery) -> Result<SearchPage> {
        let found = |text: &str, weights| Found {
            name: self.name(text),
            parent: Some((Relation::Finetune, self.name("meta-llama/Llama-3.1-8B"))),
            more_parents: 2,
            parameters: Some(8_030_261_248),
            license: Some(format!("apache-2.0{}", self.mark)),
            pipeline_tag: Some(format!("text-generation{}", self.mark)),
            library: Some("transformers".into()),
            downloads: Some(1_234_567),
            likes: Some(812),
            created_at: Some(1_720_000_000),
            has_weights: weights,
            verified: Some(weights),
            advised: weights,
            private: weights,
            gated: true,
            ghost: !weights,
            kinship: weights.then_some(0.987_6),
        };
        let items = if matches!(query.text.as_deref(), Some("nothing" | "tensor:nobody")) {
            Vec::new()
        } else {
            vec![found("NousResearch/Hermes-3-Llama-3.1-8B", true), found("org/seen-only-by-name", false)]
        };
        let values = vec![(format!("llama{}", self.mark), 31_204), ("qwen2".to_owned(), 17)];
        let facets = FACETS.map(|(facet, _)| FacetGroup { facet, values: values.clone(), more: 2 }).to_vec();
        let near = vec![format!("lm_head.weight{}", self.mark)];
        let next = Some(format!("n&{}", self.mark));
        Ok(SearchPage { items, next, total: Some(31_221), near, facets })
    }

    pub fn path_page(&self, (from, to): (&str, &str)) -> Result<PathPage> {
        if from.starts_with("no/") {
            return Err(self.unknown([("from", from), ("to", to)]));
        }
        let mut page = PathPage {
            from: self.name(from),
            to: self.name(to),
            sentence: format!("No path between them is known.{}", self.mark),
            ..PathPage::default()
        };
        if to == "o/stranger" {
            return Ok(page);
        }
        let link = |phrase| PathLink {
            phrase,
            sources: format!("declared in the card{}", self.mark),
            inferred: true,
            contradicted: true,
        };
        let line = |name: &str, edge| PathLine { name: self.name(name), ghost: name == "o/root", edge };
        page.ancestor = Some(self.name("o/root"));
        page.lines = vec![
            line(from, None),
            line("o/root", Some(link("is a fine-tune of"))),
            line(to, Some(link("has the adapter"))),
        ];
        let node = |name: &str, parent, relation| LineageNode {
            name: self.name(name),
            parent,
            relation,
            ..LineageNode::default()
        };
        page.nodes = vec![
            node("o/root", None, None),
            node(from, Some(0), Some(Relation::Finetune)),
            node(to, Some(0), Some(Relation::Adapter)),
        ];
        page.ends = [1, 2];
        page.hidden = 7;
        Ok(page)
    }

    pub fn lineage_page(&self, name: &str) -> LineagePage {
        let parents = [None, Some(0), Some(1), Some(2), Some(2), Some(2), Some(2), Some(4), Some(4)];
        let licences =
            ["llama3.1", "apache-2.0", "", "cc-by-nc-4.0", "mit", "gpl-3.0", "llama3.1", "mit", "mit"];
        let node = |at: usize| LineageNode {
            name: match at {
                2 => Name::from(name),
                _ => self.name(&format!("some-org/Model-{at}-8B-Instruct")),
            },
            parent: parents[at],
            relation: (at > 0).then(|| Relation::ALL[at % 5]),
            ghost: at == 0,
            inferred: at % 4 == 3,
            contradicted: at == 5,
            verified: at == 6,
            evidence: vec![Source::Card],
            license: Some(licences[at].to_owned()),
            hidden: match at {
                2 => vec![Rest { relation: Some(Relation::Adapter), count: 381 }],
                _ => Vec::new(),
            },
            downloads: (at > 3).then_some(12 * at as u64),
            advised: at == 6,
            measured: vec!["289 of 291 tensors are unchanged".to_owned()],
            later: Some(12),
            further: match at {
                2 => vec![FurtherParent {
                    node: 9,
                    relation: Relation::Merge,
                    inferred: false,
                    contradicted: true,
                }],
                _ => Vec::new(),
            },
            ..LineageNode::default()
        };
        let beside = LineageNode {
            name: self.name("o/claimed"),
            ghost: true,
            beside: Some(2),
            ..LineageNode::default()
        };
        LineagePage {
            name: Name::from(name),
            nodes: (0..parents.len()).map(node).chain([beside]).collect(),
            below: 1_009,
            focus: 2,
            other_parents: vec![ParentLink {
                verdict: Some(VerdictMark {
                    contradicted: true,
                    sentence: format!("they descend from `o/else`{}", self.mark),
                }),
                ..self.parent(Relation::Merge, EdgeStatus::Accepted)
            }],
            other_parents_hidden: 3,
            other_children: vec![self.elsewhere()],
            other_children_hidden: 7,
            ancestors: vec![self.ancestor()],
            ancestors_hidden: 255,
            groups: vec![ChildGroup { relation: Relation::Adapter, count: 412 }],
            growth: Growth {
                months: vec![
                    (format!("2024-05{}", self.mark), 300),
                    ("2024-06".to_owned(), 0),
                    ("2024-07".to_owned(), 40),
                ],
                outside: 2,
                undated: 70,
            },
            held_back: 12,
            rejected_hidden: 9,
            rejected: vec![RejectedEdge {
                child: Name::from(name),
                parent: self.name("a/b"),
                relation: Relation::Finetune,
                reason: format!("It would close a circle of descent.{}", self.mark),
            }],
        }
    }

    /// A child that hangs under another parent.
    fn elsewhere(&self) -> ChildLink {
        ChildLink {
            name: self.name("org/claims-it"),
            relation: Some(Relation::Finetune),
            contradicted: true,
            under: Some(self.name("org/other-parent")),
            ..ChildLink::default()
        }
    }

    /// A failure with a fault at each place.
    pub fn faulty(&self, class: Class, places: &[&str]) -> Failure {
        let mut failure =
            Failure::new(class, "invalid_request", format!("the request has {} faults", places.len()));
        failure.items = places
            .iter()
            .map(|place| Item { pointer: (*place).into(), message: format!("it is wrong{}", self.mark) })
            .collect();
        failure
    }

    /// Of two models those whose names begin with `no/` are unknown.
    fn unknown(&self, pair: [(&str, &str); 2]) -> Failure {
        let missing = pair.into_iter().filter(|(_, name)| name.starts_with("no/"));
        self.faulty(Class::NotFound, &missing.map(|(field, _)| field).collect::<Vec<_>>())
    }

    pub fn advise(&self, form: &AdvisoryForm) -> Result<String> {
        match form.summary.is_empty() {
            true => Err(self.faulty(Class::Invalid, &["/link", "/summary"])),
            false => Ok("STM-1".into()),
        }
    }

    pub fn ancestor(&self) -> AncestorRow {
        AncestorRow { name: self.name("org/far"), generations: 3, child: self.name("org/near") }
    }

    pub fn model_page(&self, name: &str) -> Result<Option<ModelPage>> {
        if ["acme", "nowhere"].contains(&name)
            || name.starts_with("no/")
            || name.ends_with("/lineage")
            || name.ends_with("/kin")
        {
            return Ok(None);
        }
        if name == "broken/store" {
            return Err(Failure::new(Class::Internal, "io", "secret path"));
        }
        let digest = format!("sha256:{}", "3f9a".repeat(16));
        let file = |path: &str, size| FileRow {
            path: format!("{path}{}", self.mark),
            size,
            digest: digest.clone(),
            verified_at: (size > 1_000).then_some(1_720_000_000),
            damaged: false,
        };
        let name = match name {
            "org/case" => "Org/Case",
            "old/name" => "org/name",
            other => other,
        };
        let changed = (name == "org/changed").then(|| WeightChange {
            at: 1_732_400_000,
            from: "1".repeat(40),
            to: "2".repeat(40),
            hands: Some((format!("ann{}", self.mark), format!("bob{}", self.mark))),
        });
        Ok(Some(ModelPage {
            name: Name::from(name),
            license: Some("llama3.1".into()),
            pipeline_tag: Some(format!("text-generation{}", self.mark)),
            library: Some("transformers".into()),
            architecture: Some("LlamaForCausalLM".into()),
            parameters: Some(8_030_261_248),
            downloads: Some(1_234_567),
            likes: Some(812),
            created_at: Some(1_720_000_000),
            last_modified: Some(1_730_000_000),
            languages: vec!["en".into(), "de".into()],
            datasets: vec![format!("org/data{}", self.mark)],
            tags: vec![format!("llama-3{}", self.mark), "conversational".into()],
            new_version: Some(self.name("org/newer")),
            path: Way::of(vec![self.name("meta-llama/Llama-3.1-8B")])
                .doubting(vec![self.name("meta-llama/Llama-3.1-8B")]),
            parents: vec![
                self.parent(Relation::Finetune, EdgeStatus::Accepted),
                self.parent(Relation::Merge, EdgeStatus::RejectedCycle),
            ],
            outweighed: 1,
            siblings: (vec![self.name("org/sister")], 3),
            children: vec![
                ChildGroup { relation: Relation::Finetune, count: 412 },
                ChildGroup { relation: Relation::Quantized, count: 96 },
            ],
            revision: Some(RevisionView { digest: digest.clone(), created_at: Some(1_732_400_000) }),
            files: vec![
                file("config.json", 812),
                file("model.safetensors", 16_060_522_240),
                file("pytorch_model.bin", 16_060_522_240),
                file("mergekit_config.yml", 120),
            ],
            changed,
            dtypes: vec![DtypeRow {
                dtype: "BF16".into(),
                tensors: 291,
                elements: 8_030_261_248,
                bytes: 16_060_522_496,
            }],
            evaluations: vec![EvaluationRow {
                task: format!("Text Generation{}", self.mark),
                dataset: format!("ARC (test){}", self.mark),
                metric: format!("accuracy{}", self.mark),
                value: format!("59.98{}", self.mark),
                verified: true,
                source: Some(format!("Board{}", self.mark)),
                url: Some(format!("https://example.org/{}", self.mark)),
            }],
            recipe: Some(format!("merge_method: ties{}", self.mark)),
            card: Some(format!(
                "# A card\n\nSome *text*, a table:\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n{}",
                self.mark
            )),
            notes: vec![Note { code: "not_an_id".into(), detail: format!("`my model`{}", self.mark) }],
            advisories_hidden: 5,
            advisories: vec![AdvisoryNotice {
                row: self.advisory_row(),
                path: Way::of(vec![self.name("org/a"), self.name("org/b"), Name::from(name)]),
                by_weights: true,
            }],
            heritage: LicenceHeritage {
                asks: vec!["its own terms go along word by word".into()],
                conflicts: vec![LicenceConflict {
                    ancestor: self.name("org/root"),
                    licence: format!("gemma{}", self.mark),
                    reason: "The ancestor's own terms have to go along.".into(),
                    path: Way::of(vec![self.name("org/root"), self.name("org/middle"), Name::from(name)]),
                    dropped_by: Some(self.name("org/middle")),
                }],
                conflicts_hidden: 3,
                tensions_hidden: 4,
                tensions: vec![LicenceTension {
                    parents: vec![self.name("org/a"), self.name("org/b")],
                    licences: format!("gemma, llama3{}", self.mark),
                }],
                judged: 4,
                undetermined: 2,
                unheld: 0,
                unstated: 1,
                nearest: None,
            },
            versions_hidden: 6,
            versions: ["1.0.0", "1.1.0"]
                .map(|version| VersionRow {
                    claimed: false,
                    version: version.into(),
                    name: self.name("org/root"),
                    stated: Some(format!("v7{}", self.mark)),
                    changes: vec![("weights".into(), format!("9 of 10 tensors changed{}", self.mark))],
                    silent: version == "1.1.0",
                })
                .to_vec(),
            closure: Closure {
                private: true,
                gate: Some("manual"),
                signed_in: true,
                decides: true,
                requests: vec![RequestLine {
                    person: format!("bob{}", self.mark),
                    state: "pending",
                    asked_at: 1_732_400_000,
                }],
                ..Closure::default()
            },
            ..ModelPage::default()
        }))
    }

    pub fn kinship_page(&self, query: &KinshipQuery) -> Result<Answer<KinshipPage>> {
        if query.names.iter().any(|name| name == "slow/one") {
            return Ok(Answer::Job("01JOB".into()));
        }
        if query.names.iter().any(|name| name == "o/little") && !query.partial {
            let told = format!("too little in common{}", self.mark);
            return Err(Failure::new(Class::Invalid, "too_little_in_common", told));
        }
        let count = query.names.len();
        let cell = |row: usize, column: usize| match (row, column) {
            (0, 2) | (2, 0) => {
                Cell { reason: Some(format!("other architecture{}", self.mark)), ..Cell::default() }
            }
            (r, c) => {
                let error = (r != c && !query.exact).then_some(0.0042);
                Cell { value: Some(1.0 - 0.27 * r.abs_diff(c) as f64), error, reason: None }
            }
        };
        let part = |module: &str, module_rank: u8, value: Option<f64>| StripCell {
            module: format!("{module}{}", self.mark),
            module_rank,
            layer: format!("3{}", self.mark),
            layer_rank: 3,
            tensors: u64::from(value.is_some()),
            left_out: u64::from(value.is_none()),
            value,
            error: value.filter(|_| !query.exact).map(|_| 0.0061),
            changes: [Some(0.02), None],
            reason: value.is_none().then(|| format!("a different shape{}", self.mark)),
        };
        let pair = match query.names.as_slice() {
            [a, b] => Some([a, b]),
            _ => query.pair.as_ref().map(|[a, b]| [a, b]),
        };
        let strip = pair.map(|pair| Strip {
            pair: pair.map(|name| self.name(name)),
            base: query.base.as_deref().map(|base| self.name(base)),
            exact: query.exact,
            cells: vec![part("q", 2, Some(0.4142)), part("up", 9, Some(-0.25)), part("norm", 14, None)],
        });
        let join = |parts| Join { parts, height: 0.5, value: 0.6, text: self.mark.clone() };
        let pin = |name: &String| format!("{name}@sha256:{}", "3f9a".repeat(16));
        Ok(Answer::Ready(Box::new(KinshipPage {
            pinned: Some((query.names.iter().map(pin).collect(), query.base.as_ref().map(pin))),
            strip,
            left_out: query
                .names
                .iter()
                .filter(|name| name.starts_with("o/only"))
                .map(|name| (self.name(name), self.mark.clone()))
                .collect(),
            baseless: query.names.iter().any(|name| name == "o/baseless"),
            common: query.base.is_none().then(|| self.name("org/root")),
            joins: vec![join([0, 1]), join([2, 3])],
            models: query.names.iter().map(|name| self.name(name)).collect(),
            base: query.base.as_deref().map(|base| self.name(base)),
            measure: query.measure.clone(),
            exact: query.exact,
            share: query.partial.then(|| format!("41.0%{}", self.mark)),
            notes: vec![format!("a by 14.35%{}", self.mark)],
            device: query.exact.then(|| format!("cpu (no card){}", self.mark)),
            matrix: (0..count).map(|r| (0..count).map(|c| cell(r, c)).collect()).collect(),
            elements: 8_030_261_248,
            tensors: 291,
            skipped: vec![Skipped { tensor: self.mark.clone(), reason: self.mark.clone() }],
        })))
    }

    pub fn compare_page(
        &self,
        (a, b): (&str, &str),
        (sides, numbers): (Sides, Numbers),
    ) -> Result<Answer<ComparePage>> {
        if a.starts_with("no/") {
            return Err(self.unknown([("a", a), ("b", b)]));
        }
        let tensor = |at: u32| TensorDiff {
            name: format!("model.layers.{at}.mlp.up_proj.weight{}", self.mark),
            dtype_a: "BF16".into(),
            dtype_b: if at == 1 { "F32".into() } else { "BF16".into() },
            shape: vec![14_336, 4096],
            elements: 58_720_256,
            relative_l2: Some(0.01 * f64::from(at)),
            cosine: Some(0.999),
            max_abs: Some(3e-5),
            unchanged_share: Some(0.25),
            identical: at == 0,
            module: ["up", "down"][at as usize % 2].into(),
            module_rank: (at % 2) as u8,
            layer: format!("{at}{}", self.mark),
            layer_rank: at.into(),
        };
        let field = FieldDiff { field: self.mark.clone(), a: Some(self.mark.clone()), b: None };
        let three = ThreeWayTensor {
            name: self.mark.clone(),
            changes: [Some(0.1), None],
            changed: [Some(true), None],
        };
        let three = ThreeWay { base: self.name("org/base"), tensors: vec![three] };
        Ok(Answer::Ready(Box::new(ComparePage {
            a: self.name(revision(a).0),
            b: self.name(revision(b).0),
            at: [revision(a).1, revision(b).1],
            digests: ["3f9a", "4e0b"].map(|part| Some(format!("sha256:{}", part.repeat(16)))),
            verdict: format!("Same architecture; 4 of 5 tensors differ in value.{}", self.mark),
            estimated: a.starts_with("large/") && numbers == Numbers::AtHand,
            unmeasured: a.starts_with("un/").then(|| format!("No weights are compared.{}", self.mark)),
            merge_base: Some(self.name("meta-llama/Llama-3.1-8B")),
            fields: vec![
                FieldDiff { field: "licence".into(), a: Some(self.mark.clone()), b: None },
                FieldDiff {
                    field: "task".into(),
                    a: Some("text-generation".into()),
                    b: Some("text-generation".into()),
                },
            ],
            tensors: (0..5).map(tensor).collect(),
            config: vec![field],
            config_same: 20,
            files: vec![FileDiff { path: self.mark.clone(), word: "differs" }],
            vocabulary: Some(VocabularyDiff {
                tokens: [9, 9],
                same: 7,
                moved: 1,
                only: [(1, vec![self.mark.clone()]), (1, vec![self.mark.clone()])],
            }),
            three_way: (sides == Sides::Three).then_some(three),
            only_a: vec![self.mark.clone()],
            only_b: Vec::new(),
            shape_mismatches: vec![self.mark.clone()],
            renamed: vec![format!("x → y{}", self.mark)],
        })))
    }
}
