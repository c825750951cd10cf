//! Searches for merge recipes: create, ask, tell, end.

mod views;

use actix_web::{
    HttpRequest, HttpResponse, delete, get,
    http::header,
    post,
    web::{self, ServiceConfig},
};
use http::{Problem, Result};
use jobs::Ending;
use serde_json::Value;

use crate::{
    body::Body,
    jobs_api::{JobHeaders, JobView, accepted, idempotency_key},
    paging::{PageQuery, page_size},
    query::{Nothing, Query},
    seen::Seen,
};
use views::{CandidatePage, NewScores, NewSearch, SearchPage};
pub use views::{CandidateView, SearchView};

/// Registers every route of searches.
pub fn configure(cfg: &mut ServiceConfig) {
    cfg.service(list_searches)
        .service(create_search)
        .service(get_search)
        .service(cancel_search)
        .service(finish_search)
        .service(list_candidates)
        .service(tell_scores)
        .service(merge_candidate);
}

/// Searches, newest first.
#[utoipa::path(tag = "searches", params(PageQuery), responses((status = 200, body = SearchPage), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
#[get("/api/v1/searches")]
pub async fn list_searches(registry: Seen, asked: Query<PageQuery>) -> Result<HttpResponse> {
    let limit = page_size(&registry, asked.limit)?;
    let page = registry.store.searches(asked.cursor.as_deref(), limit).await?;
    let items = page.items.into_iter().map(SearchView::from).collect();
    Ok(HttpResponse::Ok().json(SearchPage { items, next: page.next }))
}

/// Begin a search for a merge recipe; models and configuration are checked first, and every fault is listed.
///
/// The body holds `strategy` (`greedy` or `cma_es`), `method`, `models`, and what docs/searching.md lists beside them.
/// Nothing is evaluated here: score the candidates in `pending` and tell the scores.
#[utoipa::path(tag = "searches", params(JobHeaders), request_body = NewSearch, responses((status = 201, body = SearchView), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
#[post("/api/v1/searches")]
pub async fn create_search(
    request: HttpRequest,
    registry: Seen,
    _: Query<Nothing>,
    wanted: web::Json<Value>,
) -> Result<HttpResponse> {
    let key = idempotency_key(&request)?;
    let report = jobs::create_search(&registry, wanted.into_inner(), key).await?;
    Ok(HttpResponse::Created()
        .insert_header((header::LOCATION, format!("/api/v1/searches/{}", report.row.id)))
        .json(SearchView::from(report)))
}

/// A search: how far it is, the best so far, and the candidates that wait for a score.
#[utoipa::path(tag = "searches", params(("id" = String, Path)), responses((status = 200, body = SearchView), (status = 404, body = Problem, content_type = "application/problem+json")))]
#[get("/api/v1/searches/{id}")]
pub async fn get_search(registry: Seen, id: web::Path<String>) -> Result<HttpResponse> {
    Ok(HttpResponse::Ok().json(SearchView::from(jobs::search_report(&registry, &id).await?)))
}

/// Cancel a search; what it found is kept.
///
/// Whoever asked for it may, a member with the role write where its merges go, and an administrator.
#[utoipa::path(tag = "searches", params(("id" = String, Path)), responses((status = 200, body = SearchView), (status = 403, description = "the search is somebody else's", body = Problem, content_type = "application/problem+json"), (status = 404, body = Problem, content_type = "application/problem+json")))]
#[delete("/api/v1/searches/{id}")]
pub async fn cancel_search(registry: Seen, id: web::Path<String>) -> Result<HttpResponse> {
    let report = jobs::end_search(&registry, &id, Ending::Cancel).await?;
    Ok(HttpResponse::Ok().json(SearchView::from(report)))
}

/// Finish a search before it would end by itself.
///
/// Whoever asked for it may, a member with the role write where its merges go, and an administrator.
#[utoipa::path(tag = "searches", params(("id" = String, Path)), responses((status = 200, body = SearchView), (status = 403, description = "the search is somebody else's", body = Problem, content_type = "application/problem+json"), (status = 404, body = Problem, content_type = "application/problem+json")))]
#[post("/api/v1/searches/{id}/finish")]
pub async fn finish_search(registry: Seen, id: web::Path<String>) -> Result<HttpResponse> {
    let report = jobs::end_search(&registry, &id, Ending::Finish).await?;
    Ok(HttpResponse::Ok().json(SearchView::from(report)))
}

/// Every candidate that a search proposed, in order.
#[utoipa::path(tag = "searches", params(("id" = String, Path), PageQuery), responses((status = 200, body = CandidatePage), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
#[get("/api/v1/searches/{id}/candidates")]
pub async fn list_candidates(
    registry: Seen,
    id: web::Path<String>,
    asked: Query<PageQuery>,
) -> Result<HttpResponse> {
    let limit = page_size(&registry, asked.limit)?;
    if registry.store.recipe_search(&id).await?.is_none() {
        return Err(jobs::Error::UnknownSearch(id.into_inner()).into());
    }
    let page = registry.store.candidates(&id, asked.cursor.as_deref(), limit).await?;
    let items = page.items.into_iter().map(CandidateView::from).collect();
    Ok(HttpResponse::Ok().json(CandidatePage { items, next: page.next }))
}

/// Tell scores, all or none; with the last one of a generation the next begins. A score told again is no change.
#[utoipa::path(tag = "searches", params(("id" = String, Path)), request_body = NewScores, responses((status = 200, body = SearchView), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
#[post("/api/v1/searches/{id}/scores")]
pub async fn tell_scores(
    registry: Seen,
    id: web::Path<String>,
    Body(told): Body<NewScores>,
) -> Result<HttpResponse> {
    let scores: Vec<(u64, f64)> = told.scores.iter().map(|told| (told.candidate, told.score)).collect();
    Ok(HttpResponse::Ok().json(SearchView::from(jobs::tell(&registry, &id, &scores).await?)))
}

/// Queue the merge of a candidate; the result is called `model` of the candidate.
#[utoipa::path(tag = "searches", params(("id" = String, Path), ("number" = u64, Path), JobHeaders), responses((status = 202, body = JobView), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
#[post("/api/v1/searches/{id}/candidates/{number}/merge")]
pub async fn merge_candidate(
    request: HttpRequest,
    registry: Seen,
    path: web::Path<(String, u64)>,
    _: Query<Nothing>,
) -> Result<HttpResponse> {
    let (id, number) = path.into_inner();
    let job = jobs::merge_candidate(&registry, (&id, number), idempotency_key(&request)?).await?;
    Ok(accepted(&job))
}
