//! Repositories as a whole: created, renamed, deleted, set up.

use actix_web::{
    HttpRequest, HttpResponse, delete,
    http::StatusCode,
    post,
    web::{self, Payload},
};
use domain::{Act, Gating, RepoId};
use http::{Problem, Result};
use jobs::Registry;
use serde::Deserialize;
use serde_json::{Value, json};
use store::{Founding, ModelRow, NewCommit, Openness};

use super::{
    Call,
    answer::{self, hex_of, misread, present_row},
    other_kinds,
    stop::Outcome,
    who,
};
use crate::seen::Seen;

/// Which repository; clients leave the organisation out for the user's own.
#[derive(Debug, Deserialize)]
pub struct Named {
    name: String,
    organization: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    #[serde(flatten)]
    openness: Asked,
}

/// How open a repository is to be, in the words of older and newer clients.
#[derive(Debug, Default, Deserialize)]
pub struct Asked {
    private: Option<bool>,
    visibility: Option<String>,
    gated: Option<Value>,
}

impl Asked {
    fn read(&self) -> Result<Openness> {
        let private = match self.visibility.as_deref() {
            None => self.private,
            Some("private") => Some(true),
            Some("public") => Some(false),
            Some(other) => {
                let detail = format!("the visibility `{other}` is not one of public, private");
                return Err(Problem::bad_request(detail));
            }
        };
        let gated = match &self.gated {
            None | Some(Value::Null) => None,
            Some(Value::Bool(false)) => Some(None),
            Some(Value::String(word)) if word == Gating::Auto.as_str() => Some(Some(Gating::Auto)),
            Some(Value::String(word)) if word == Gating::Manual.as_str() => Some(Some(Gating::Manual)),
            Some(other) => {
                let detail = format!("`gated` is auto, manual or false, not {other}");
                return Err(Problem::bad_request(detail));
            }
        };
        Ok(Openness { private, gated })
    }
}

impl Named {
    /// The id, under the user's own name when neither organisation nor slash is given.
    async fn id(&self, request: &HttpRequest, registry: &Registry) -> Result<RepoId> {
        models_only(self.kind.as_deref())?;
        let org = match &self.organization {
            Some(org) => Some(org.clone()),
            None if self.name.contains('/') => None,
            None => who::author(request, registry).await?,
        };
        let id = org.map_or_else(|| self.name.clone(), |org| format!("{org}/{}", self.name));
        RepoId::parse(&id).map_err(misread)
    }
}

/// The kind of repositories that are kept here.
const MODEL: &str = "model";

/// Refuses repositories of another kind than models.
///
/// # Errors
/// 400.
pub fn models_only(kind: Option<&str>) -> Result<()> {
    match kind {
        None | Some(MODEL) => Ok(()),
        Some(other) => {
            Err(Problem::bad_request(format!("this registry holds models, no repository of type `{other}`")))
        }
    }
}

/// Makes an empty repository.
#[post("/api/repos/create")]
pub async fn create(request: HttpRequest, registry: Seen, named: web::Json<Named>) -> Result<HttpResponse> {
    let id = named.id(&request, &registry).await?;
    let author = who::author(&request, &registry).await?;
    let told = |name: &str| json!({ "url": format!("{}/{name}", http::address(&request)), "name": name, "id": hex_of(&name.to_ascii_lowercase(), 24) });
    let private = named.openness.read()?.private == Some(true);
    let founds = Some(if private { Founding::Private } else { Founding::Open });
    let first = NewCommit { author, founds, ..NewCommit::default() };
    match jobs::create_repository(&registry, &id, first).await {
        Ok(row) => Ok(HttpResponse::Ok().json(told(&row.name))),
        // The client reads the address of what is there from the refusal.
        Err(jobs::Error::OutputExists(name)) => {
            let mut body = told(&name);
            body["error"] = format!("You already created this model repo: {name}").into();
            Ok(HttpResponse::Conflict().json(body))
        }
        Err(error) => Err(error.into()),
    }
}

/// The repository of this name; an older one does not stand for it.
async fn called(registry: &Registry, id: &RepoId) -> Result<ModelRow> {
    let row = present_row(registry, id.as_str()).await?;
    match row.name.eq_ignore_ascii_case(id.as_str()) {
        true => Ok(row),
        false => {
            let told =
                format!("repository `{id}` (it is called `{}` now; under its former name it)", row.name);
            Err(Problem::not_found(told).for_hub("RepoNotFound", None))
        }
    }
}

/// Takes a repository away.
#[delete("/api/repos/delete")]
pub async fn delete(request: HttpRequest, registry: Seen, named: web::Json<Named>) -> Result<HttpResponse> {
    if let Some(kind) = named.kind.as_deref().filter(|kind| *kind != MODEL) {
        return Err(other_kinds::none(&format!("the {kind} `{}`", named.name)));
    }
    let id = named.id(&request, &registry).await?;
    let row = called(&registry, &id).await?;
    registry.store.may_with(Act::Govern, &row).await?;
    registry.store.delete_model(row.id).await?;
    registry.forests.settle_committed().await;
    Ok(HttpResponse::Ok().json(json!({})))
}

/// What is moved where.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Move {
    from_repo: String,
    to_repo: String,
    #[serde(rename = "type")]
    kind: Option<String>,
}

/// Gives a repository another name; the old one leads to it.
#[post("/api/repos/move")]
pub async fn rename(request: HttpRequest, registry: Seen, asked: web::Json<Move>) -> Result<HttpResponse> {
    models_only(asked.kind.as_deref())?;
    let parse = |id: &str| RepoId::parse(id).map_err(misread);
    let (from, to) = (parse(&asked.from_repo)?, parse(&asked.to_repo)?);
    if to.is_reserved() {
        return Err(jobs::Error::ReservedName(to.to_string()).into());
    }
    let row = called(&registry, &from).await?;
    registry.store.may_with(Act::Govern, &row).await?;
    registry.store.may(if row.private { Act::Close } else { Act::Write }, to.as_str()).await?;
    registry.store.rename_model((row.id, &from), &to).await?;
    registry.forests.settle_committed().await;
    Ok(HttpResponse::Ok().json(json!({ "url": format!("{}/{to}", http::address(&request)) })))
}

/// A card that is about to be committed.
#[derive(Debug, Deserialize)]
pub struct Draft {
    content: String,
}

/// What a card's front matter gets wrong; asked before every commit of a README.md. Front matter that cannot be read
/// is a 400, which keeps the client from committing; a body over the limit goes unlooked at.
#[post("/api/validate-yaml")]
pub async fn validate_yaml(
    registry: Seen,
    draft: std::result::Result<web::Json<Draft>, actix_web::Error>,
) -> HttpResponse {
    let notes = draft.map(|draft| jobs::card_notes(&draft.content, &registry.limits)).unwrap_or_default();
    let (errors, warnings): (Vec<_>, Vec<_>) =
        notes.into_iter().partition(|note| note.code == "card_front_matter");
    let status = if errors.is_empty() { StatusCode::OK } else { StatusCode::BAD_REQUEST };
    let told = |notes: Vec<domain::Note>| -> Vec<_> {
        notes.into_iter().map(|note| json!({ "message": note.detail })).collect()
    };
    HttpResponse::build(status).json(json!({ "errors": told(errors), "warnings": told(warnings) }))
}

/// `GET …/auth-check[/write]`: whether whoever asks may read the files, or write them.
///
/// # Errors
/// 404; 403 `GatedRepo` for files that one has to be let in to; 401 or 403 for whoever may not write.
pub async fn auth_check(call: &Call<'_>) -> Outcome {
    let row = answer::find(call).await?;
    let act = if call.part(0) == Some("write") { Act::Write } else { Act::Read };
    call.registry.store.may_with(act, &row).await?;
    Ok(HttpResponse::Ok().json(json!({})))
}

/// `PUT …/settings`: who sees it, and who gets at its files.
///
/// # Errors
/// 404; 403 for whoever is no administrator of its namespace; 400 for settings that are none.
pub async fn settings(call: &Call<'_>, payload: Payload) -> Outcome {
    let row = answer::find(call).await?;
    let wanted = answer::body::<Asked>(call, payload).await?.read()?;
    let closes = wanted.private == Some(true) || wanted.gated.flatten().is_some();
    let act = if closes { Act::Close } else { Act::Govern };
    call.registry.store.may_with(act, &row).await?;
    call.registry.store.set_openness(row.id, wanted).await?;
    // Claims on a model attach when it is public: whoever asks next sees them.
    call.registry.forests.settle_committed().await;
    Ok(HttpResponse::Ok().json(json!({})))
}
