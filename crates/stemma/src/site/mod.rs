//! What the pages show, drawn from the registry: the binary's side of `web::Source`.

mod about;
mod account;
mod advisories;
mod changes;
mod compare;
mod differences;
mod family;
mod files;
mod heritage;
mod jobs_view;
mod kinship;
mod lineage;
mod merging;
mod models;
mod namespace;
mod numbers;
mod partners;
mod path;
mod reports;
mod revisions;
mod search;
#[cfg(test)]
mod testing;
mod transfers;
mod trust;

use std::sync::Arc;

use ::web::{
    Failure, Source,
    view::{
        AboutPage, AccountPage, AdvisoryForm, AdvisoryPage, AdvisoryRow, Answer, AtlasPage, AtlasQuery,
        ChildrenPage, ChildrenQuery, ComparePage, Contradictions, Counts, DifferenceForm, EdgeForm, Family,
        FamilyRow, FilePage, HomePage, JobPage, JobRow, KinshipPage, KinshipQuery, LineagePage, LineageQuery,
        MeasureCard, MergeCheck, MethodCard, ModelPage, Name, NamespacePage, Narrowing, Numbers, Partners,
        PathPage, RecipeForm, ReportAnswer, ReportCard, RevisionsPage, SearchPage, SearchQuery, Sides,
        TokenForm, TransferCheck, TransferForm,
    },
};
use async_trait::async_trait;
use domain::{Class, RepoId, Viewer};
use jobs::Registry;

use self::partners::Measured;

type Result<T> = std::result::Result<T, Failure>;

/// Pages over a registry.
pub struct Site {
    registry: Registry,
    partners: Measured,
}

impl Site {
    /// The site as the pages hold it.
    pub fn shared(registry: Registry) -> Arc<dyn Source> {
        Arc::new(Self { registry, partners: Measured::default() })
    }
}

fn output_id(text: &str) -> Result<RepoId> {
    RepoId::parse(text.trim()).map_err(|error| Failure::new(Class::Invalid, "bad_id", error.to_string()))
}

/// A stored signed number as the unsigned count it is.
fn count(value: i64) -> u64 {
    u64::try_from(value).unwrap_or_default()
}

#[async_trait]
impl Source for Site {
    fn seen_by(&self, viewer: Viewer) -> Arc<dyn Source> {
        Arc::new(Self { registry: self.registry.seen_by(viewer), partners: self.partners.clone() })
    }

    async fn open_session(&self, token: &str) -> Result<Option<String>> {
        Ok(jobs::open_session(&self.registry, token).await?)
    }

    async fn end_session(&self, secret: &str) -> Result<()> {
        Ok(self.registry.store.end_session(secret).await?)
    }

    async fn about(&self) -> Result<AboutPage> {
        about::page(&self.registry).await
    }

    async fn account(&self) -> Result<Option<AccountPage>> {
        account::page(&self.registry).await
    }

    async fn create_token(&self, form: &TokenForm) -> Result<String> {
        account::create_token(&self.registry, form).await
    }

    async fn revoke_token(&self, id: i64) -> Result<()> {
        Ok(jobs::revoke_own(&self.registry, id).await?)
    }

    async fn ask_access(&self, model: &str) -> Result<()> {
        jobs::ask_access(&self.registry, model).await?;
        Ok(())
    }

    async fn decide_access(&self, model: &str, by: (&str, &str)) -> Result<()> {
        account::decide(&self.registry, model, by).await
    }

    async fn counts(&self) -> Result<Counts> {
        let counts = self.registry.store.count_models().await?;
        Ok(Counts {
            models: counts.models,
            ghosts: counts.ghosts,
            edges: counts.edges,
            with_weights: counts.with_weights,
            jobs_queued: counts.jobs_queued,
        })
    }

    async fn home(&self) -> Result<HomePage> {
        Ok(HomePage {
            counts: self.counts().await?,
            families: lineage::families(&self.registry, 0..10).await?.0,
            recent: models::recent(&self.registry).await?,
        })
    }

    async fn search(&self, query: &SearchQuery) -> Result<SearchPage> {
        search::page(&self.registry, query).await
    }

    async fn suggest(&self, text: &str) -> Result<Vec<Name>> {
        search::suggest(&self.registry, text).await
    }

    async fn model(&self, name: &str, revision: Option<&str>) -> Result<Option<ModelPage>> {
        models::page(&self.registry, name, revision).await
    }

    async fn known_as(&self, name: &str) -> Result<Option<Name>> {
        Ok(self.registry.store.model_by_id(name).await?.map(|row| Name(row.name)))
    }

    async fn file(&self, name: &str, place: &[String]) -> Result<Option<FilePage>> {
        files::page(&self.registry, name, place).await
    }

    async fn namespace(&self, name: &str) -> Result<Option<NamespacePage>> {
        namespace::page(&self.registry, name).await
    }

    async fn revisions(&self, name: &str, range: (&str, &str)) -> Result<Option<RevisionsPage>> {
        revisions::page(&self.registry, name, range).await
    }

    async fn lineage(&self, name: &str, query: LineageQuery) -> Result<Option<LineagePage>> {
        lineage::page(&self.registry, name, query).await
    }

    async fn path(&self, pair: (&str, &str)) -> Result<PathPage> {
        path::page(&self.registry, pair).await
    }

    async fn families(&self, from: usize) -> Result<(Vec<FamilyRow>, u64)> {
        lineage::families(&self.registry, from..from.saturating_add(200)).await
    }

    async fn children(&self, name: &str, query: &ChildrenQuery) -> Result<Option<ChildrenPage>> {
        family::children(&self.registry, name, query).await
    }

    async fn family(
        &self,
        name: &str,
        detail: (usize, u64),
        narrowing: &Narrowing,
    ) -> Result<Option<Family>> {
        family::family(&self.registry, name, detail, narrowing).await
    }

    async fn atlas(&self, query: AtlasQuery) -> Result<AtlasPage> {
        family::atlas(&self.registry, query).await
    }

    fn reports(&self) -> Vec<ReportCard> {
        reports::cards()
    }

    async fn report(&self, word: &str) -> Result<Option<ReportAnswer>> {
        reports::page(&self.registry, word).await
    }

    fn measures(&self) -> Vec<MeasureCard> {
        numbers::measures()
    }

    fn most_compared(&self) -> usize {
        self.registry.limits.matrix
    }

    async fn kinship(&self, query: &KinshipQuery) -> Result<Answer<KinshipPage>> {
        kinship::page(&self.registry, query).await.map(|page| Answer::Ready(Box::new(page)))
    }

    async fn compare(&self, pair: (&str, &str), asked: (Sides, Numbers)) -> Result<Answer<ComparePage>> {
        compare::page(&self.registry, pair, asked).await.map(|page| Answer::Ready(Box::new(page)))
    }

    fn merge_methods(&self) -> Vec<MethodCard> {
        numbers::methods()
    }

    fn read_recipe(&self, yaml: &str) -> Result<RecipeForm> {
        merging::read(yaml)
    }

    async fn check_merge(&self, yaml: &str) -> Result<MergeCheck> {
        merging::check(&self.registry, yaml).await
    }

    async fn partners(&self, model: &str, base: Option<&str>) -> Result<Partners> {
        self.partners.of(&self.registry, model, base).await
    }

    async fn submit_merge(&self, yaml: &str, output: &str) -> Result<String> {
        merging::submit(&self.registry, yaml, output).await
    }

    async fn check_transfer(&self, form: &TransferForm) -> Result<TransferCheck> {
        transfers::check(&self.registry, form).await
    }

    async fn submit_transfer(&self, form: &TransferForm) -> Result<String> {
        transfers::submit(&self.registry, form).await
    }

    async fn submit_difference(&self, pair: (&str, &str), form: &DifferenceForm) -> Result<String> {
        differences::submit(&self.registry, pair, form).await
    }

    async fn jobs(&self, cursor: Option<&str>) -> Result<(Vec<JobRow>, Option<String>)> {
        let page = self.registry.store.jobs(cursor, self.registry.limits.page, None).await?;
        let row = |job| jobs_view::row(&jobs::paced(&self.registry, job));
        Ok((page.items.into_iter().map(row).collect(), page.next))
    }

    async fn job(&self, id: &str) -> Result<Option<JobPage>> {
        match self.registry.store.job(id).await? {
            Some(job) => jobs_view::whole(&self.registry, &jobs::paced(&self.registry, job)).await.map(Some),
            None => Ok(None),
        }
    }

    async fn retry(&self, id: &str) -> Result<Option<String>> {
        Ok(jobs::retry(&self.registry, id, None).await?.map(|job| job.id))
    }

    async fn cancel(&self, id: &str) -> Result<()> {
        match jobs::cancel(&self.registry, id).await {
            // Its page says how it ended.
            Ok(_) | Err(jobs::Error::JobOver { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    async fn contradictions(&self, ground: &str, cursor: Option<&str>) -> Result<Contradictions> {
        trust::contradictions(&self.registry, ground, cursor).await
    }

    async fn advisories(&self, cursor: Option<&str>) -> Result<(Vec<AdvisoryRow>, Option<String>)> {
        advisories::list(&self.registry, cursor).await
    }

    async fn advisory(&self, id: &str, cursor: Option<&str>) -> Result<Option<AdvisoryPage>> {
        advisories::page(&self.registry, id, cursor).await
    }

    async fn file_advisory(&self, form: &AdvisoryForm, person: &str) -> Result<String> {
        advisories::file(&self.registry, form, person).await
    }

    async fn withdraw_advisory(&self, id: &str, by: (&str, &str)) -> Result<()> {
        jobs::withdraw_advisory(&self.registry, id, by).await?;
        Ok(())
    }

    async fn decide(&self, form: &EdgeForm, person: &str) -> Result<()> {
        trust::decide(&self.registry, form, person).await
    }
}
