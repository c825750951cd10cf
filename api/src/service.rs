//! Liveness, readiness and the limits in force.

use actix_web::{HttpResponse, Responder, get, web};
use jobs::Registry;
use serde_json::json;

use crate::seen::Seen;

/// The process runs.
#[utoipa::path(tag = "service", responses((status = 200, description = "alive")))]
#[get("/livez")]
pub async fn livez() -> impl Responder {
    HttpResponse::Ok().json(json!({ "status": "ok" }))
}

/// Database, blob store and device are usable.
#[utoipa::path(tag = "service", responses((status = 200, description = "ready"), (status = 503, description = "a part is down")))]
#[get("/readyz")]
pub async fn readyz(registry: Seen) -> impl Responder {
    ready(&registry).await
}

/// Alias of `/readyz`.
#[utoipa::path(tag = "service", responses((status = 200, description = "ready"), (status = 503, description = "a part is down")))]
#[get("/healthz")]
pub async fn healthz(registry: Seen) -> impl Responder {
    ready(&registry).await
}

async fn ready(registry: &Registry) -> HttpResponse {
    let devices = registry.devices.clone();
    // Looking for a device the first time takes a driver a while.
    let device = web::block(move || devices.present()).await.ok();
    match registry.store.check().await {
        Ok(()) => HttpResponse::Ok().json(json!({ "status": "ok", "store": "ok", "device": device })),
        Err(error) => HttpResponse::ServiceUnavailable()
            .json(json!({ "status": "degraded", "store": error.to_string(), "device": device })),
    }
}

/// Every limit in force.
#[utoipa::path(tag = "service", responses((status = 200, description = "limits by name", body = Object)))]
#[get("/api/v1/limits")]
pub async fn limits(registry: Seen) -> impl Responder {
    HttpResponse::Ok().json(registry.limits)
}
