//! A source with a small family, for tests and for looking at the pages.

mod files;
mod forms;
mod parts;

use std::sync::Arc;

use async_trait::async_trait;
use domain::{Class, EdgeStatus, Evidence, Item, Relation, Source as Seen, Viewer};
use web::{Failure, Result, Source, view::*};

/// Text that would act if it were not escaped.
pub const HOSTILE: &str = "<script>alert(1)</script>\" onmouseover=\"x";

/// The fake; every text it gives carries `mark`.
pub struct Fake {
    pub mark: String,
}

impl Fake {
    fn name(&self, text: &str) -> Name {
        Name(format!("{text}{}", self.mark))
    }

    fn family(&self) -> FamilyRow {
        let license = Some(format!("apache-2.0{}", self.mark));
        FamilyRow { root: self.name("meta-llama/Llama-3.1-8B"), ghost: true, size: 32_481, depth: 9, license }
    }

    fn parent(&self, relation: Relation, status: EdgeStatus) -> ParentLink {
        let seen = |source, detail: &str| Evidence {
            source,
            detail: format!("{detail}{}", self.mark),
            confidence: 1.0,
        };
        ParentLink {
            name: self.name("meta-llama/Llama-3.1-8B"),
            ghost: false,
            relation,
            status,
            as_written: self.mark.clone(),
            license: Some("llama3.1".into()),
            evidence: vec![
                seen(Seen::Card, "meta-llama/Llama-3.1-8B"),
                seen(Seen::Tag, "base_model:finetune:…"),
                seen(Seen::Weights, "duplicate by its weights; 289 of 291 tensors are unchanged"),
            ],
            later: Some(12),
            verdict: Some(VerdictMark {
                contradicted: status != EdgeStatus::Accepted,
                sentence: format!("cosine 0.0012{}", self.mark),
            }),
            decisions: vec![DecisionMark {
                word: "confirmed",
                person: format!("ann{}", self.mark),
                reason: format!("I made it{}", self.mark),
                decided_at: 1_732_400_000,
            }],
            older_decisions: 40,
        }
    }

    fn advisory_row(&self) -> AdvisoryRow {
        AdvisoryRow {
            id: "STM-1".into(),
            model: Some(self.name("org/a")),
            digest: Some(format!("sha256:{}", self.mark)),
            kind: "recall".into(),
            severity: format!("high{}", self.mark),
            summary: format!("Leaks secrets{}", self.mark),
            filed_at: 1_732_400_000,
            withdrawn: true,
        }
    }

    fn job_row(&self, state: JobState) -> JobRow {
        JobRow {
            id: "01JD8Z".into(),
            kind: format!("merge_models{}", self.mark),
            state,
            step: Some(format!("writing tensors{}", self.mark)),
            output: Some(format!("org/merged{}", self.mark)),
            done: 6 << 30,
            total: [15 << 30, 0][usize::from(matches!(state, JobState::Queued | JobState::Cancelled))],
            rate: Some(48 << 20),
            eta: Some(192),
            created_at: 1_732_400_000,
            finished_at: None,
        }
    }
}

#[async_trait]
impl Source for Fake {
    fn seen_by(&self, _: Viewer) -> Arc<dyn Source> {
        Arc::new(Self { mark: self.mark.clone() })
    }

    async fn about(&self) -> Result<AboutPage> {
        let parts = vec![("Device", self.mark.clone(), false)];
        Ok(AboutPage { version: "1", parts, limits: vec![(self.mark.clone(), self.mark.clone())] })
    }

    async fn account(&self) -> Result<Option<AccountPage>> {
        if self.mark == "nobody" {
            return Ok(None);
        }
        let token = TokenLine {
            id: 7,
            label: self.mark.clone(),
            scope: "read",
            created_at: 0,
            expires_at: Some(9),
            last_used_on: Some(86_400),
        };
        Ok(Some(AccountPage {
            name: format!("ann{}", self.mark),
            admin: false,
            writes: true,
            tokens: vec![token],
            orgs: vec![(format!("acme{}", self.mark), "admin")],
            cut: vec!["orgs"],
        }))
    }

    async fn create_token(&self, form: &TokenForm) -> Result<String> {
        match form.days.as_str() {
            "never" => Err(Failure::new(Class::Invalid, "invalid_request", format!("no days{}", self.mark))),
            _ => Ok("stemma_secret".into()),
        }
    }

    async fn revoke_token(&self, _id: i64) -> Result<()> {
        Ok(())
    }
    async fn ask_access(&self, _model: &str) -> Result<()> {
        Ok(())
    }
    async fn decide_access(&self, _model: &str, (person, _): (&str, &str)) -> Result<()> {
        self.unless_wrong((person, "no-one"), Class::NotFound)
    }
    async fn open_session(&self, token: &str) -> Result<Option<String>> {
        Ok((token == "right").then(|| "a session".to_owned()))
    }
    async fn end_session(&self, _secret: &str) -> Result<()> {
        Ok(())
    }

    async fn known_as(&self, name: &str) -> Result<Option<Name>> {
        Ok(Some(Name::from(if name == "old/name" { "org/name" } else { name })))
    }
    async fn file(&self, name: &str, place: &[String]) -> Result<Option<FilePage>> {
        Ok(self.file_page(name, place))
    }
    async fn namespace(&self, name: &str) -> Result<Option<NamespacePage>> {
        self.namespace_page(name).await
    }

    async fn counts(&self) -> Result<Counts> {
        Ok(Counts { models: 1_860_411, ghosts: 21_345, edges: 901_223, with_weights: 12, jobs_queued: 1 })
    }

    async fn home(&self) -> Result<HomePage> {
        let recent = RecentRow {
            name: self.name("org/fresh"),
            architecture: Some(format!("LlamaForCausalLM{}", self.mark)),
            parameters: Some(8_030_261_248),
            at: 1_732_400_000,
        };
        let families = vec![self.family(), self.family()];
        Ok(HomePage { counts: self.counts().await?, families, recent: vec![recent] })
    }

    async fn search(&self, query: &SearchQuery) -> Result<SearchPage> {
        self.search_page(query)
    }

    async fn path(&self, pair: (&str, &str)) -> Result<PathPage> {
        self.path_page(pair)
    }

    async fn suggest(&self, text: &str) -> Result<Vec<Name>> {
        Ok(vec![self.name(&format!("org/{text}-7b"))])
    }

    async fn model(&self, name: &str, revision: Option<&str>) -> Result<Option<ModelPage>> {
        if revision == Some("nope") {
            return Ok(None);
        }
        self.model_page(name)
    }

    async fn lineage(&self, name: &str, _query: LineageQuery) -> Result<Option<LineagePage>> {
        Ok((!name.starts_with("no/")).then(|| self.lineage_page(name)))
    }

    async fn families(&self, from: usize) -> Result<(Vec<FamilyRow>, u64)> {
        Ok((vec![self.family(); 559_usize.saturating_sub(from).min(200)], 559))
    }

    async fn children(&self, name: &str, query: &ChildrenQuery) -> Result<Option<ChildrenPage>> {
        let row = |relation| ChildRow {
            name: self.name("org/child"),
            relation,
            ghost: true,
            inferred: true,
            contradicted: true,
            elsewhere: true,
            advised: true,
            license: Some(self.mark.clone()),
            downloads: Some(77),
            below: 12,
        };
        Ok((!name.starts_with("no/")).then(|| ChildrenPage {
            name: Name::from(name),
            groups: vec![ChildGroup { relation: Relation::Adapter, count: 412 }],
            items: query
                .narrowing
                .relation
                .first()
                .and_then(|word| word.parse().ok())
                .map(row)
                .into_iter()
                .collect(),
            total: 1,
            next: Some(format!("7.7&{}", self.mark)),
        }))
    }

    async fn family(&self, name: &str, _detail: (usize, u64), _: &Narrowing) -> Result<Option<Family>> {
        let slice = |depth, start, size| FamilySlice {
            name: self.name(&format!("org/branch-{depth}")),
            ghost: depth == 1,
            relation: (depth > 0).then_some(Relation::Merge),
            depth,
            start,
            size,
            small: (20, size / 2, start + size / 2),
        };
        Ok((!name.starts_with("no/")).then(|| Family {
            name: Name::from(name),
            path: (0..40).map(|at| self.name(&format!("org/ancestor-{at}"))).collect(),
            size: 9_000,
            held_back: 12,
            slices: vec![slice(0, 0, 9_000), slice(1, 0, 4_000), slice(2, 0, 1_000)],
        }))
    }

    async fn atlas(&self, query: AtlasQuery) -> Result<AtlasPage> {
        let range = AtlasTile::Range { from: 1, to: 900, models: 2_000, sizes: (9, 2) };
        Ok(AtlasPage {
            families: 900,
            models: 34_000,
            singletons: 1_100_000,
            from: query.from,
            to: query.to.unwrap_or(900),
            tiles: vec![AtlasTile::Family(self.family()), range],
            sizes: vec![(2, 3, 700), (4, 7, 200)],
        })
    }

    fn reports(&self) -> Vec<ReportCard> {
        vec![ReportCard { id: "drift", title: "Drift", question: "Which way?" }]
    }

    async fn report(&self, word: &str) -> Result<Option<ReportAnswer>> {
        let card = self.reports().remove(0);
        let interval = Some((0.3, 0.5));
        let bar = ReportBar { label: self.mark.clone(), value: 0.4, text: self.mark.clone(), interval };
        let section = ReportSection {
            title: format!("Drift{}", self.mark),
            text: self.mark.clone(),
            formula: "a / b",
            bars: vec![bar],
            columns: vec!["From", "To", "Model"],
            rows: vec![vec![
                ReportCell::Text(self.mark.clone()),
                ReportCell::Number("7".into()),
                ReportCell::Model(self.name("a/b")),
            ]],
            ..ReportSection::default()
        };
        Ok(match word {
            "none" => None,
            "pending" => Some(ReportAnswer::Pending(card)),
            _ => {
                Some(ReportAnswer::Ready(Box::new(ReportPage { card, stale: true, sections: vec![section] })))
            }
        })
    }

    fn most_compared(&self) -> usize {
        8
    }

    fn measures(&self) -> Vec<MeasureCard> {
        let measure = |id: &str, name: &str| MeasureCard {
            id: id.into(),
            name: format!("{name}{}", self.mark),
            formula: "⟨a, b⟩ / ‖a‖‖b‖".into(),
            reference: String::new(),
        };
        vec![measure("cosine", "Cosine"), measure("euclidean", "Euclidean distance")]
    }

    async fn kinship(&self, query: &KinshipQuery) -> Result<Answer<KinshipPage>> {
        self.kinship_page(query)
    }

    async fn revisions(&self, name: &str, range: (&str, &str)) -> Result<Option<RevisionsPage>> {
        self.revisions_page(name, range)
    }

    async fn compare(&self, pair: (&str, &str), asked: (Sides, Numbers)) -> Result<Answer<ComparePage>> {
        self.compare_page(pair, asked)
    }

    fn merge_methods(&self) -> Vec<MethodCard> {
        let param = |name: &str, per_model| ParamField {
            name: name.into(),
            kind: "number".into(),
            default: Some("1".into()),
            range: Some(format!("0 to 1{}", self.mark)),
            choices: Vec::new(),
            per_model,
            help: format!("What `{name}` does.{}", self.mark),
        };
        let norm = || ParamField {
            kind: "choice".into(),
            default: Some("l1".into()),
            choices: vec!["l1".into(), format!("l2{}", self.mark)],
            ..param("norm", false)
        };
        let method = |id: &str, name: &str, summary: &str| MethodCard {
            id: id.into(),
            name: format!("{name}{}", self.mark),
            summary: summary.into(),
            formula: "b + λ·Σ wᵢ·δᵢ".into(),
            reference: "https://arxiv.org/abs/2306.01708".into(),
            needs_base: id == "ties",
            base: "needed",
            models: "two models or more".into(),
            count: (2, (id == "slerp").then_some(2)),
            params: vec![param("weight", true), param("density", true), param("lambda", false), norm()],
        };
        vec![
            method("linear", "Linear", "The weighted mean of all models."),
            method("slerp", "SLERP", "Along the arc between two models."),
            method("ties", "TIES", "Trim each change, elect a sign, average what agrees."),
        ]
    }

    fn read_recipe(&self, yaml: &str) -> Result<RecipeForm> {
        match yaml.contains("slices") {
            true => Err(Failure::new(Class::Invalid, "invalid_request", format!("no place{}", self.mark))),
            false => Ok(RecipeForm {
                method: "ties".into(),
                base: Some("o/b".into()),
                models: vec![("o/x".into(), vec![("weight".into(), "0.5".into())])],
                ..RecipeForm::default()
            }),
        }
    }

    async fn check_merge(&self, yaml: &str) -> Result<MergeCheck> {
        let item = |at: &str| Item { pointer: at.into(), message: format!("unknown model{}", self.mark) };
        Ok(match yaml.contains("bad") {
            true => MergeCheck {
                fault: Some(format!("The recipe has faults{}", self.mark)),
                items: vec![item("/models/0")],
                ..MergeCheck::default()
            },
            false => MergeCheck {
                facts: vec![("Size", format!("15 GiB{}", self.mark))],
                warnings: vec![item("/models")],
                ..MergeCheck::default()
            },
        })
    }

    async fn partners(&self, model: &str, base: Option<&str>) -> Result<Partners> {
        let partner = Partner {
            name: self.name("o/partner"),
            kinship: "0.120 ± 0.010".into(),
            reason: format!("apart{}", self.mark),
        };
        Ok(Partners {
            model: Name::from(model),
            base: Name::from(base.unwrap_or("o/parent")),
            caveat: "a hint",
            suggested: vec![partner],
            compatible: vec![self.name("o/partner")],
            note: Some(self.mark.clone()),
        })
    }

    async fn submit_merge(&self, yaml: &str, _output: &str) -> Result<String> {
        self.merge(yaml)
    }

    async fn check_transfer(&self, form: &TransferForm) -> Result<TransferCheck> {
        Ok(self.transfer_check(form))
    }

    async fn submit_transfer(&self, form: &TransferForm) -> Result<String> {
        self.transfer(form)
    }

    async fn submit_difference(&self, _pair: (&str, &str), form: &DifferenceForm) -> Result<String> {
        self.difference(form)
    }

    async fn jobs(&self, cursor: Option<&str>) -> Result<(Vec<JobRow>, Option<String>)> {
        let states = [JobState::Running, JobState::Failed];
        let shown = states.into_iter().filter(|state| cursor.is_none() || state.over());
        Ok((shown.map(|state| self.job_row(state)).collect(), None))
    }

    async fn job(&self, id: &str) -> Result<Option<JobPage>> {
        let state = match id {
            "none" => return Ok(None),
            "failed" => JobState::Failed,
            "begun" => JobState::Queued,
            "stopped" => JobState::Cancelled,
            _ => JobState::Running,
        };
        Ok(Some(JobPage {
            row: self.job_row(state),
            started_at: Some(1_732_400_010),
            attempts: 1,
            error_code: Some("truncated".into()),
            error_message: (state == JobState::Failed).then(|| format!("The disk is full.{}", self.mark)),
            outputs: vec![JobLink { label: self.mark.clone(), href: "/org/merged".into() }],
            again: state == JobState::Failed,
            stoppable: id != "others",
            device: Some(format!("gpu (card){}", self.mark)),
            request: Some(format!("merge_method: ties{}", self.mark)),
            log: [10, 20, 86_410].map(|at| (1_732_400_000 + at, format!("writing{}", self.mark))).to_vec(),
            ..JobPage::default()
        }))
    }

    async fn retry(&self, id: &str) -> Result<Option<String>> {
        Ok((id != "none").then(|| "01AGAIN".into()))
    }

    async fn cancel(&self, _id: &str) -> Result<()> {
        Ok(())
    }

    async fn contradictions(&self, _ground: &str, _cursor: Option<&str>) -> Result<Contradictions> {
        let row = ContradictionRow {
            model: self.name("org/liar"),
            base: self.name("org/base"),
            instead: Some(self.name("org/other")),
            sentence: format!("the weights have no common origin{}", self.mark),
        };
        Ok((vec![row], Some(format!("7&{}", self.mark))))
    }

    async fn advisories(&self, _cursor: Option<&str>) -> Result<(Vec<AdvisoryRow>, Option<String>)> {
        Ok((vec![self.advisory_row()], Some(format!("STM-1&{}", self.mark))))
    }

    async fn advisory(&self, id: &str, _cursor: Option<&str>) -> Result<Option<AdvisoryPage>> {
        let withdrawn = (id == "STM-2").then(|| (1_732_400_060, self.mark.clone(), self.mark.clone()));
        Ok((id != "none").then(|| AdvisoryPage {
            row: self.advisory_row(),
            details: format!("Stop using it.{}", self.mark),
            link: Some(format!("https://example.org/{}", self.mark)),
            person: format!("ann{}", self.mark),
            withdrawn,
            affected: vec![AffectedRow {
                path: Way::of(vec![self.name("org/a"), self.name("org/b")]),
                by_weights: true,
            }],
            total: 9,
            next: Some(format!("1&{}", self.mark)),
        }))
    }

    async fn file_advisory(&self, form: &AdvisoryForm, _person: &str) -> Result<String> {
        self.advise(form)
    }

    async fn withdraw_advisory(&self, _id: &str, (_, reason): (&str, &str)) -> Result<()> {
        self.unless_wrong((reason, "not mine"), Class::Forbidden)
    }

    async fn decide(&self, form: &EdgeForm, _person: &str) -> Result<()> {
        match form.decision.as_str() {
            "confirm" | "reject" | "add" => Ok(()),
            other => Err(Failure::new(Class::Invalid, "invalid_request", format!("`{other}`{}", self.mark))),
        }
    }
}
