//! `GET /api/v1/models/{org}/{name}/relatives`: the models whose weights are nearest.

use actix_web::{HttpResponse, get, web};
use domain::Digest;
use http::{Problem, Result};
use jobs::{Access, Registry, RelativesQuery, RelativesReport};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{models::ModelPath, paging::page_length, query::Query, seen::Seen};

/// How many relatives to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct RelativesLimit {
    /// 1 to 100, default 20.
    pub limit: Option<u64>,
}

/// A model near the one asked for, by sketches of their matrices.
#[derive(Debug, Serialize, ToSchema)]
pub struct RelativeView {
    pub model: String,
    /// Content digest of its current revision.
    #[schema(value_type = Option<String>)]
    pub revision: Option<Digest>,
    /// Whether the matrices have the same names and shapes, vocabulary sizes aside.
    pub same_layout: bool,
    /// Cosine of the weights that both have, −1 to 1.
    pub cosine: f64,
    /// Of `cosine`.
    pub standard_error: f64,
    /// Norm of the difference of the weights that both have, as a share of the norm of those of the model asked for.
    pub distance: f64,
    /// Of `distance`.
    pub distance_error: f64,
    /// Matrices that both have.
    pub matrices: usize,
    /// Share of the weights of the model asked for that both have, 0 to 1.
    pub share: f64,
    /// What the numbers say.
    pub evidence: String,
}

/// The nearest relatives of a model.
#[derive(Debug, Serialize, ToSchema)]
pub struct RelativesView {
    pub model: String,
    /// Models searched.
    pub searched: usize,
    /// Models searched whose layout is another; those that share nothing cannot be near.
    pub other_layouts: usize,
    /// Nearest first, where what only one of the two has counts as apart; models no nearer than chance are not listed.
    pub relatives: Vec<RelativeView>,
}

impl From<RelativesReport> for RelativesView {
    fn from(report: RelativesReport) -> Self {
        let relatives = report.relatives.into_iter().map(|relative| RelativeView {
            model: relative.model,
            revision: relative.revision,
            same_layout: relative.same_layout,
            cosine: relative.closeness.cosine,
            standard_error: relative.closeness.standard_error,
            distance: relative.closeness.distance,
            distance_error: relative.closeness.distance_error,
            matrices: relative.closeness.matrices,
            share: relative.closeness.share,
            evidence: relative.evidence,
        });
        Self {
            model: report.model,
            searched: report.searched,
            other_layouts: report.other_layouts,
            relatives: relatives.collect(),
        }
    }
}

/// The models whose weights are nearest, from stored sketches.
#[utoipa::path(tag = "kinship", params(("org" = String, Path), ("name" = String, Path), RelativesLimit),
    responses((status = 200, body = RelativesView), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
#[get("/api/v1/models/{org}/{name}/relatives")]
pub async fn get_relatives(
    registry: Seen,
    path: web::Path<ModelPath>,
    asked: Query<RelativesLimit>,
) -> Result<HttpResponse> {
    relatives_of(&registry, &path.id(), &asked).await
}

/// The relatives of the model called `id`.
pub async fn relatives_of(registry: &Registry, id: &str, asked: &RelativesLimit) -> Result<HttpResponse> {
    let limit = page_length(registry, asked.limit)?;
    let query = RelativesQuery { model: id.to_owned(), limit, access: Access::registry() };
    Ok(HttpResponse::Ok().json(RelativesView::from(jobs::relatives(registry, query).await?)))
}
