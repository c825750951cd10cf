//! Liveness, readiness and the limits in force.

use actix_web::{HttpResponse, Responder, get, web};
use domain::{FIXED, Fixed, Limits};
use jobs::Registry;
use serde::Serialize;
use serde_json::json;

use crate::seen::Seen;

/// The process runs.
#[utoipa::path(tag = "service", responses((status = 200, description = "alive")))]
#[get("/livez")]
pub async fn livez() -> impl Responder {
    HttpResponse::Ok().json(json!({ "status": "ok" }))
}

/// Database, blob store and device are usable, and the schema is that of this program.
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
    let (store, pending) = match registry.store.check().await {
        Ok(()) => (Ok(()), registry.store.pending_migrations().await.map_err(|error| error.to_string())),
        // Whoever is silent is not asked a second time.
        Err(error) => (Err(error.to_string()), Err("not known".to_owned())),
    };
    let migrations = pending.and_then(|pending| match pending {
        0 => Ok(()),
        more => Err(format!("{more} to make; run `stemma migrate`")),
    });
    let (mut answer, status) = match store.is_ok() && migrations.is_ok() {
        true => (HttpResponse::Ok(), "ok"),
        false => (HttpResponse::ServiceUnavailable(), "degraded"),
    };
    let told = |part: Result<(), String>| part.err().unwrap_or_else(|| "ok".to_owned());
    answer.json(json!({
        "status": status, "store": told(store), "migrations": told(migrations), "device": device,
    }))
}

/// Every limit in force, and under `fixed` the bounds that nobody sets.
#[utoipa::path(tag = "service", responses((status = 200, description = "limits by name", body = Object)))]
#[get("/api/v1/limits")]
pub async fn limits(registry: Seen) -> impl Responder {
    #[derive(Serialize)]
    struct Told {
        #[serde(flatten)]
        limits: Limits,
        fixed: Fixed,
    }
    HttpResponse::Ok().json(Told { limits: registry.limits, fixed: FIXED })
}
