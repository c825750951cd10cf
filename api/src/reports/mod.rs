//! Reports over the registry, and what descent says of one model's licence and version.

use actix_web::{
    HttpResponse, get,
    http::{StatusCode, header},
    web,
};
use domain::Relation;
use http::{Problem, Result};
use jobs::{Registry, Subject};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    models::{ModelPath, find},
    query::Query,
    seen::Seen,
};

/// How to write a report.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ReportQuery {
    /// `json` (all of it, the default) or `csv` (its main list).
    pub format: Option<String>,
}

/// One of the reports: traits, mutation, drift, families, licences or names. Of a large registry that has changed, the
/// last one while a new one is being made.
#[utoipa::path(tag = "reports", params(("subject" = String, Path), ReportQuery),
    responses((status = 200, body = Object), (status = 404, body = Problem, content_type = "application/problem+json")))]
#[get("/api/v1/reports/{subject}")]
pub async fn get_report(
    registry: Seen,
    subject: web::Path<String>,
    query: Query<ReportQuery>,
) -> Result<HttpResponse> {
    let Some(subject) = Subject::of(&subject) else {
        let known = Subject::ALL.map(Subject::label).join(", ");
        let asked: String = subject.chars().take(40).collect();
        let told = format!("there is no report `{asked}`; there are {known}");
        return Err(Problem::new(StatusCode::NOT_FOUND, "not_found", told));
    };
    let made = || async {
        let found = jobs::report_at_hand(&registry, subject).await?;
        found.map(|(report, _)| report).ok_or(jobs::Error::ReportPending)
    };
    match query.format.as_deref() {
        None | Some("json") => Ok(HttpResponse::Ok().json(&*made().await?)),
        Some("csv") => {
            let name = format!("attachment; filename=\"{}.csv\"", subject.label());
            Ok(HttpResponse::Ok()
                .content_type("text/csv; charset=utf-8")
                .insert_header((header::CONTENT_DISPOSITION, name))
                .body(made().await?.table().csv()))
        }
        Some(other) => Err(Problem::bad_request(format!("format is json or csv, not `{other}`"))),
    }
}

/// A parent's licence beside the model's.
#[derive(Debug, Serialize, ToSchema)]
pub struct JudgedParentView {
    pub parent: String,
    pub ghost: bool,
    #[schema(value_type = String)]
    pub relation: Relation,
    pub licence: Option<String>,
    /// same, compatible, conflict, undetermined or missing.
    pub verdict: String,
    /// The rule that fired.
    pub rule: String,
    pub reason: String,
}

/// What an ancestor's licence asks, and what became of it.
#[derive(Debug, Serialize, ToSchema)]
pub struct JudgedAncestorView {
    pub ancestor: String,
    pub licence: String,
    pub family: String,
    pub obligations: Vec<String>,
    pub verdict: String,
    pub rule: String,
    pub reason: String,
    /// From the ancestor down to the model; of more than 64 models the first and the last 32.
    pub path: Vec<String>,
    /// Models of the path that are not listed, those between its halves.
    pub path_hidden: usize,
    /// The first model on the path whose licence drops what the ancestor's asks.
    pub dropped_by: Option<String>,
}

/// Two parents that each want their own licence carried on.
#[derive(Debug, Serialize, ToSchema)]
pub struct TensionView {
    pub parents: Vec<String>,
    pub licences: Vec<String>,
}

/// A model's licence against those of its ancestors. Indicative only, no legal advice.
#[derive(Debug, Serialize, ToSchema)]
pub struct LicenceView {
    pub model: String,
    pub licence: Option<String>,
    /// The SPDX id, where SPDX lists the licence.
    pub spdx: Option<String>,
    /// The Hub's id leaves open which version or variant SPDX would name.
    pub approximate: bool,
    /// permissive, copyleft, non_commercial, use_restricted, custom or undetermined.
    pub family: String,
    pub obligations: Vec<String>,
    pub parents: Vec<JudgedParentView>,
    /// Ancestors that state a licence, nearest first.
    pub ancestors: Vec<JudgedAncestorView>,
    /// How many of those are in conflict.
    pub conflicts: usize,
    /// How many of those no rule decides about, since a licence is not known.
    pub undetermined: usize,
    pub tensions: Vec<TensionView>,
    /// Ancestors that state none.
    pub unstated: usize,
    /// Whether the limit left ancestors out.
    pub truncated: bool,
}

impl From<analysis::licence::LicencePath> for LicenceView {
    fn from(path: analysis::licence::LicencePath) -> Self {
        let words =
            |all: &[analysis::licence::Obligation]| all.iter().map(|o| o.as_str().to_owned()).collect();
        Self {
            spdx: path.spdx.map(str::to_owned),
            approximate: path.approximate,
            family: path.family.as_str().to_owned(),
            obligations: words(&path.obligations),
            parents: path
                .parents
                .into_iter()
                .map(|parent| JudgedParentView {
                    parent: parent.parent,
                    ghost: parent.ghost,
                    relation: parent.relation,
                    licence: parent.licence,
                    verdict: parent.verdict.as_str().to_owned(),
                    rule: parent.rule.as_str().to_owned(),
                    reason: parent.reason.to_owned(),
                })
                .collect(),
            ancestors: path
                .ancestors
                .into_iter()
                .map(|ancestor| JudgedAncestorView {
                    ancestor: ancestor.ancestor,
                    licence: ancestor.licence,
                    family: ancestor.family.as_str().to_owned(),
                    obligations: words(&ancestor.obligations),
                    verdict: ancestor.verdict.as_str().to_owned(),
                    rule: ancestor.rule.as_str().to_owned(),
                    reason: ancestor.reason.to_owned(),
                    path: ancestor.path,
                    path_hidden: ancestor.path_hidden,
                    dropped_by: ancestor.dropped_by,
                })
                .collect(),
            conflicts: path.conflicts,
            undetermined: path.undetermined,
            tensions: path
                .tensions
                .into_iter()
                .map(|tension| TensionView {
                    parents: tension.parents.to_vec(),
                    licences: tension.licences.to_vec(),
                })
                .collect(),
            unstated: path.unstated,
            truncated: path.truncated,
            model: path.model,
            licence: path.licence,
        }
    }
}

/// A model's licence against those of its ancestors.
#[utoipa::path(tag = "lineage", params(("org" = String, Path), ("name" = String, Path)),
    responses((status = 200, body = LicenceView), (status = 404, body = Problem, content_type = "application/problem+json")))]
#[get("/api/v1/models/{org}/{name}/licence")]
pub async fn get_licence(registry: Seen, path: web::Path<ModelPath>) -> Result<HttpResponse> {
    licence_of(&registry, &path.id()).await
}

/// The licence of the model called `id`.
pub async fn licence_of(registry: &Registry, id: &str) -> Result<HttpResponse> {
    let row = find(registry, id).await?;
    Ok(HttpResponse::Ok().json(LicenceView::from(jobs::licence_of(registry, &row).await?)))
}

/// Versions derived from what changed along a model's line of descent.
#[utoipa::path(tag = "lineage", params(("org" = String, Path), ("name" = String, Path)),
    responses((status = 200, body = Object), (status = 404, body = Problem, content_type = "application/problem+json")))]
#[get("/api/v1/models/{org}/{name}/versions")]
pub async fn get_versions(registry: Seen, path: web::Path<ModelPath>) -> Result<HttpResponse> {
    versions_of(&registry, &path.id()).await
}

/// The versions of the model called `id`.
pub async fn versions_of(registry: &Registry, id: &str) -> Result<HttpResponse> {
    let row = find(registry, id).await?;
    Ok(HttpResponse::Ok().json(jobs::versions(registry, &row).await?))
}
