//! The Hub's own addresses, as its official clients use them: `HF_ENDPOINT` set to this service is all they need.

mod access;
mod address;
mod answer;
mod card;
mod commit;
mod content;
mod discussions;
mod entries;
mod history;
mod ignored;
mod info;
mod lfs;
mod list;
mod listing;
mod names;
mod ndjson;
mod other_kinds;
mod repos;
mod stop;
mod tree;
mod who;

use actix_web::{
    HttpRequest, HttpResponse,
    web::{self, Payload, ServiceConfig},
};
use http::{
    Result,
    hub_path::{Place, Verb},
};
use jobs::Registry;

pub use self::{
    answer::{commit_and_path, missing_entry, missing_model, moved, page, sha},
    commit::announced,
    entries::{Kept, content_name, git_oid, kept},
};

use self::stop::settled;
use crate::seen::Seen;

/// Registers the Hub's addresses under `/api` and the git LFS ones.
pub fn configure(cfg: &mut ServiceConfig) {
    cfg.service(who::whoami)
        .service(who::agent_harnesses)
        .service(list::list_models)
        .service(access::ask_at_the_page)
        .service(repos::create)
        .service(repos::delete)
        .service(repos::rename)
        .service(repos::validate_yaml)
        .service(lfs::batch)
        .service(lfs::put)
        .service(lfs::verify)
        .service(web::resource("/api/models/{tail:.*}").to(of_a_model))
        .configure(other_kinds::configure);
}

/// Everything about one repository: the id may have one part or two, so the address is taken apart here.
async fn of_a_model(request: HttpRequest, registry: Seen, payload: Payload) -> Result<HttpResponse> {
    let registry = &*registry;
    // As it came: a slash within a revision is told from one between the parts by its encoding.
    let tail = request.match_info().query("tail");
    let Place { id, verb, rest } = address::split(registry, tail).await?;
    let call = Call { request: &request, registry, id, verb, rest };
    let answered = match (request.method().as_str(), verb) {
        ("GET", Verb::Info) => info::model_info(&call).await,
        ("GET", Verb::Revision) => info::at_revision(&call).await,
        ("GET", Verb::Tree) => tree::list(&call).await,
        ("POST", Verb::PathsInfo) => tree::paths_info(&call, payload).await,
        ("GET", Verb::Refs) => names::list(&call).await,
        ("GET", Verb::Commits) => names::commits(&call).await,
        ("POST", Verb::Branch) => names::create_branch(&call, payload).await,
        ("DELETE", Verb::Branch) => names::delete_branch(&call).await,
        ("POST", Verb::Tag) => names::create_tag(&call, payload).await,
        ("DELETE", Verb::Tag) => names::delete_tag(&call).await,
        ("GET", Verb::AuthCheck) => repos::auth_check(&call).await,
        ("PUT", Verb::Settings) => repos::settings(&call, payload).await,
        ("GET" | "POST", Verb::AccessRequest) => access::requests(&call, payload).await,
        ("POST", Verb::AskAccess) => access::ask(&call).await,
        ("POST", Verb::Preupload) => commit::preupload(&call, payload).await,
        ("POST", Verb::Commit) => commit::commit(&call, payload).await,
        ("GET", Verb::Discussions) => discussions::list(&call).await,
        ("POST", Verb::Discussions) => discussions::refuse(&call).await,
        ("GET", Verb::LfsFiles) if call.rest.is_empty() => history::large_files(&call).await,
        ("POST", Verb::LfsFiles) if call.rest == ["batch"] => history::forget(&call, payload).await,
        ("POST", Verb::SuperSquash) => history::squash(&call, payload).await,
        ("POST", Verb::LfsFiles) => lfs::duplicate(&call, payload).await,
        ("GET", Verb::Resolve) => content::resolve(&call).await,
        ("GET", Verb::SafetensorsMetadata) => content::safetensors_metadata(&call).await,
        ("GET", Verb::XetWriteToken | Verb::XetReadToken) => Err(lfs::no_xet().into()),
        _ => Err(answer::wrong_method(call.request).into()),
    };
    settled(answered)
}

/// A request about one repository.
struct Call<'a> {
    request: &'a HttpRequest,
    registry: &'a Registry,
    /// The repository's id as asked for.
    id: String,
    verb: Verb,
    /// What follows the verb, percent-decoded.
    rest: Vec<String>,
}

impl Call<'_> {
    /// A part of the address after the verb.
    fn part(&self, index: usize) -> Option<&str> {
        self.rest.get(index).map(String::as_str).filter(|part| !part.is_empty())
    }

    /// The revision that an address ends in, also where its slashes are not encoded.
    fn revision(&self) -> Option<String> {
        let revision = self.rest.join("/");
        (!revision.is_empty()).then_some(revision)
    }

    /// Values of a query parameter, in order.
    fn asked(&self, name: &str) -> Vec<String> {
        answer::query(self.request)
            .into_iter()
            .filter(|(key, _)| key == name)
            .map(|(_, value)| value)
            .collect()
    }

    /// A query parameter as yes or no; older clients write `True`.
    fn says(&self, name: &str) -> Answer {
        match self.asked(name).last().map(|value| value.eq_ignore_ascii_case("true") || value == "1") {
            Some(true) => Answer::Yes,
            _ => Answer::No,
        }
    }
}

/// Yes or no.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Yes,
    No,
}
