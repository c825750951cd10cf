//! `GET /api/v1/models.atom`: new models as a feed.

use actix_web::{HttpRequest, HttpResponse, get};
use analysis::{
    catalogue::Order,
    export::{self, Arrival, Feed},
};
use http::{Problem, Result};
use store::ModelRow;

use crate::{
    catalogue::{ModelFilter, wanted},
    query::Query,
    seen::Seen,
};

/// New models as an Atom feed, the newest first: all, or those that pass the filters of the list of models.
///
/// `limit` is how many; `cursor`, `facets`, `pin` and `tensor` have no part in it. Names of models that have not been seen
/// themselves are left out.
#[utoipa::path(tag = "models", params(ModelFilter), responses((status = 200, description = "an Atom feed"), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
#[get("/api/v1/models.atom")]
pub async fn get_arrivals(
    request: HttpRequest,
    registry: Seen,
    filter: Query<ModelFilter>,
) -> Result<HttpResponse> {
    let filter = filter.into_inner();
    let strange = [
        ("tensor", filter.tensor.is_some()),
        ("pin", filter.pin.is_some()),
        ("cursor", filter.cursor.is_some()),
        ("facets", filter.facets.is_some()),
    ];
    if let Some((name, _)) = strange.iter().find(|(_, given)| *given) {
        return Err(Problem::bad_request(format!("`{name}` has no part in a feed")));
    }
    let sorted = filter.sort.is_some();
    let mut query = wanted(&registry, filter)?;
    query.no_ghosts = true;
    if !sorted {
        query.order = Order::Created;
    }
    let found = jobs::find(&registry, query).await?;
    let models: Vec<Arrival> = found.rows.iter().map(arrival).collect();
    let path = match request.query_string() {
        "" => request.path().to_owned(),
        query => format!("{}?{query}", request.path()),
    };
    let feed = Feed { title: "New models".to_owned(), site: http::address(&request), path };
    let body = export::arrivals(&feed, &models);
    Ok(HttpResponse::Ok().content_type("application/atom+xml; charset=utf-8").body(body))
}

fn arrival(row: &ModelRow) -> Arrival {
    let created = row.created_at.or(row.last_modified).unwrap_or_default();
    let said = [
        row.architecture.clone(),
        row.parameters.map(|count| format!("{count} parameters")),
        row.licence().map(str::to_owned),
        row.pipeline_tag.clone(),
    ];
    Arrival {
        id: row.name.clone(),
        created_at: created,
        changed_at: row.last_modified.unwrap_or(created),
        about: said.into_iter().flatten().collect::<Vec<_>>().join(", "),
    }
}
