//! The one door through which pages get their data; the binary implements it over store, jobs and analysis.

use async_trait::async_trait;
use std::sync::Arc;

use domain::{Class, Fault, Item, Viewer};

use crate::view::{
    AboutPage, AccountPage, AdvisoryForm, AdvisoryPage, AdvisoryRow, Answer, AtlasPage, AtlasQuery,
    ChildrenPage, ChildrenQuery, ComparePage, Contradictions, Counts, DifferenceForm, EdgeForm, Family,
    FamilyRow, FilePage, HomePage, JobPage, JobRow, KinshipPage, KinshipQuery, LineagePage, LineageQuery,
    MeasureCard, MergeCheck, MethodCard, ModelPage, Name, NamespacePage, Narrowing, Numbers, Partners,
    PathPage, RecipeForm, ReportAnswer, ReportCard, RevisionsPage, SearchPage, SearchQuery, Sides, TokenForm,
    TransferCheck, TransferForm,
};

/// Why a page cannot be shown or a request is refused.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The broad kind; decides the HTTP status.
    pub class: Class,
    /// Stable code.
    pub code: String,
    /// What was wrong and what would be right, fit for a reader.
    pub detail: String,
    /// All faults found at once.
    pub items: Vec<Item>,
}

impl Failure {
    /// A failure with one message; a fault of our own goes to the log, and the reader gets its number.
    pub fn new(class: Class, code: &str, detail: impl Into<String>) -> Self {
        let detail = match class {
            Class::Internal => format!(
                "The fault is on our side; the log has it under {}. Trying again may help.",
                http::logged(&format_args!("{code}: {}", detail.into()))
            ),
            _ => detail.into(),
        };
        Self { class, code: code.to_owned(), detail, items: Vec::new() }
    }

    /// The named thing does not exist.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(Class::NotFound, "not_found", detail)
    }

    /// No model has this name.
    pub fn unknown_model(name: &str) -> Self {
        Self::not_found(format!("No model `{name}` is known here."))
    }
}

impl<F: Fault> From<F> for Failure {
    fn from(fault: F) -> Self {
        let items = if fault.class() == Class::Internal { Vec::new() } else { fault.items() };
        Self { items, ..Self::new(fault.class(), fault.code(), fault.headline()) }
    }
}

/// What a page gets.
pub type Result<T> = std::result::Result<T, Failure>;

/// Everything the pages ask for. Names compare case-insensitively; lists are bounded by the implementation.
#[async_trait]
pub trait Source: Send + Sync + 'static {
    /// The same as `viewer` may see it.
    fn seen_by(&self, viewer: Viewer) -> Arc<dyn Source>;

    /// Begins a session for a browser that has a living access token: the session's own secret; none for another token.
    async fn open_session(&self, token: &str) -> Result<Option<String>>;
    /// Ends a browser's session.
    async fn end_session(&self, secret: &str) -> Result<()>;

    /// The registry at work.
    async fn about(&self) -> Result<AboutPage>;
    /// Who asks; none for somebody who is not signed in.
    async fn account(&self) -> Result<Option<AccountPage>>;
    /// Makes a token for whoever asks; its secret.
    async fn create_token(&self, form: &TokenForm) -> Result<String>;
    /// Ends a token of whoever asks.
    async fn revoke_token(&self, id: i64) -> Result<()>;
    /// Asks for a gated model's files.
    async fn ask_access(&self, model: &str) -> Result<()>;
    /// Decides about a person's request for a model's files: accepted, rejected or pending.
    async fn decide_access(&self, model: &str, by: (&str, &str)) -> Result<()>;

    /// The size of the catalogue.
    async fn counts(&self) -> Result<Counts>;
    /// Counts and the biggest families (about ten).
    async fn home(&self) -> Result<HomePage>;
    /// One page of search results.
    async fn search(&self, query: &SearchQuery) -> Result<SearchPage>;
    /// Names that begin with a text or hold it, the most fitting first.
    async fn suggest(&self, text: &str) -> Result<Vec<Name>>;
    /// One model, at its latest revision or the one named (`main`, or a digest).
    async fn model(&self, name: &str, revision: Option<&str>) -> Result<Option<ModelPage>>;
    /// How the model that a name or an older name stands for is called.
    async fn known_as(&self, name: &str) -> Result<Option<Name>>;
    /// One file of a model by the parts of its address, revision and path: the longest name of a revision with which the parts
    /// begin counts; none where there is no such model.
    async fn file(&self, name: &str, place: &[String]) -> Result<Option<FilePage>>;
    /// A namespace with what is in it; none where nothing is.
    async fn namespace(&self, name: &str) -> Result<Option<NamespacePage>>;
    /// Two revisions of a model side by side, each a branch, a tag, a commit or a digest.
    async fn revisions(&self, name: &str, range: (&str, &str)) -> Result<Option<RevisionsPage>>;
    /// The tree around one model.
    async fn lineage(&self, name: &str, query: LineageQuery) -> Result<Option<LineagePage>>;
    /// How two models are related.
    async fn path(&self, pair: (&str, &str)) -> Result<PathPage>;
    /// Families, largest first, without the first `from` of them; and how many there are.
    async fn families(&self, from: usize) -> Result<(Vec<FamilyRow>, u64)>;
    /// The children of one model.
    async fn children(&self, name: &str, query: &ChildrenQuery) -> Result<Option<ChildrenPage>>;
    /// A model with what is below it and passes a narrowing: so many generations, and branches of at least one in so many models.
    async fn family(&self, name: &str, detail: (usize, u64), narrowing: &Narrowing)
    -> Result<Option<Family>>;
    /// All families, or some of them by their place.
    async fn atlas(&self, query: AtlasQuery) -> Result<AtlasPage>;
    /// The reports there are.
    fn reports(&self) -> Vec<ReportCard>;
    /// A report by its word, however the registry stands; nobody waits long for it.
    async fn report(&self, word: &str) -> Result<Option<ReportAnswer>>;
    /// The measures of kinship.
    fn measures(&self) -> Vec<MeasureCard>;
    /// Most models that are compared with each other at once.
    fn most_compared(&self) -> usize;
    /// The kinship of all pairs of the named models.
    async fn kinship(&self, query: &KinshipQuery) -> Result<Answer<KinshipPage>>;
    /// Two models side by side, also against their nearest common ancestor where that is asked for.
    async fn compare(&self, pair: (&str, &str), asked: (Sides, Numbers)) -> Result<Answer<ComparePage>>;
    /// The merge methods.
    fn merge_methods(&self) -> Vec<MethodCard>;
    /// A recipe as the fields of the form, where it has no more than they can hold.
    fn read_recipe(&self, yaml: &str) -> Result<RecipeForm>;
    /// What a recipe needs and gives, or every fault of it.
    async fn check_merge(&self, yaml: &str) -> Result<MergeCheck>;
    /// With whom a model can be merged, against a base or its own parent.
    async fn partners(&self, model: &str, base: Option<&str>) -> Result<Partners>;
    /// Starts a merge; the id of its job, or every fault of the recipe at once.
    async fn submit_merge(&self, yaml: &str, output: &str) -> Result<String>;
    /// What a look at the weights of a transfer finds, or every fault of it.
    async fn check_transfer(&self, form: &TransferForm) -> Result<TransferCheck>;
    /// Starts a transfer; the id of its job.
    async fn submit_transfer(&self, form: &TransferForm) -> Result<String>;
    /// Starts to store the difference of two models, the first less the second; the id of its job.
    async fn submit_difference(&self, pair: (&str, &str), form: &DifferenceForm) -> Result<String>;
    /// Jobs, newest first, and the cursor of the next page.
    async fn jobs(&self, cursor: Option<&str>) -> Result<(Vec<JobRow>, Option<String>)>;
    /// One job.
    async fn job(&self, id: &str) -> Result<Option<JobPage>>;
    /// Asks for the same as a job that failed or was stopped once more; the id of the new job.
    async fn retry(&self, id: &str) -> Result<Option<String>>;
    /// Asks a job to stop.
    async fn cancel(&self, id: &str) -> Result<()>;
    /// Claims that `weights` or `dates` speak against, the latest first, and the cursor of the next page.
    async fn contradictions(&self, ground: &str, cursor: Option<&str>) -> Result<Contradictions>;
    /// Writes down what `person` says of an edge.
    async fn decide(&self, form: &EdgeForm, person: &str) -> Result<()>;
    /// Advisories, the latest first, and the cursor of the next page.
    async fn advisories(&self, cursor: Option<&str>) -> Result<(Vec<AdvisoryRow>, Option<String>)>;
    /// One advisory with a page of those that it reaches.
    async fn advisory(&self, id: &str, cursor: Option<&str>) -> Result<Option<AdvisoryPage>>;
    /// Files an advisory in a person's name; its id.
    async fn file_advisory(&self, form: &AdvisoryForm, person: &str) -> Result<String>;
    /// Withdraws an advisory, by person and reason.
    async fn withdraw_advisory(&self, id: &str, by: (&str, &str)) -> Result<()>;
}
