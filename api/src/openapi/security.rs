//! Who may call an operation, as the gate of this registry decides.

use domain::TOKEN_MARK;
use http::{Door, Doors};
use utoipa::openapi::{
    Components, OpenApi,
    path::Operation,
    security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
};

const BEARER: &str = "bearer";
const SESSION: &str = "session";

/// Signs of life, which answer whatever the rules are.
const OPEN: [&str; 3] = ["livez", "readyz", "healthz"];
/// Operations about accounts and their tokens, which answer nobody without one.
const OWN: [&str; 11] = [
    "list_users",
    "add_user",
    "remove_user",
    "create_org",
    "remove_org",
    "list_members",
    "set_member",
    "remove_member",
    "list_tokens",
    "create_token",
    "revoke_token",
];
/// A question that is too long for an address changes nothing.
const ASKS: [&str; 2] = ["ask_in_body", "explain_merge"];

/// Writes the schemes and what every operation needs of them.
pub fn secure(document: &mut OpenApi, doors: Doors) {
    let components = document.components.get_or_insert_with(Components::new);
    components.add_security_scheme(BEARER, SecurityScheme::Http(bearer()));
    components.add_security_scheme(SESSION, SecurityScheme::ApiKey(session()));
    for item in document.paths.paths.values_mut() {
        for operation in [&mut item.get, &mut item.head].into_iter().flatten() {
            demand(operation, doors.reads);
        }
        for operation in [&mut item.put, &mut item.post, &mut item.delete, &mut item.patch] {
            let Some(operation) = operation else { continue };
            let asks = operation.operation_id.as_deref().is_some_and(|name| ASKS.contains(&name));
            demand(operation, if asks { doors.reads } else { doors.for_writes() });
        }
    }
}

fn demand(operation: &mut Operation, door: Door) {
    let name = operation.operation_id.as_deref().unwrap_or_default();
    let either = || [BEARER, SESSION].map(|scheme| SecurityRequirement::new(scheme, [""; 0]));
    operation.security = Some(match door {
        _ if OPEN.contains(&name) => Vec::new(),
        Door::Anyone if !OWN.contains(&name) => {
            // The empty requirement is how the format says that the others are optional.
            [SecurityRequirement::default()].into_iter().chain(either()).collect()
        }
        _ => either().to_vec(),
    });
}

fn bearer() -> Http {
    let form = format!("{TOKEN_MARK}…");
    let told = format!(
        "A token of `POST /api/v1/tokens`, `stemma token create` or the page of settings: `{form}`. It shows what is \
         private to its owner's namespaces, and lends their rights."
    );
    HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format(form).description(Some(told)).build()
}

fn session() -> ApiKey {
    let told = "The session of a browser that signed in at `/login`; behind TLS the cookie is named \
                `__Host-stemma_token`. Requests that change something have to come from the registry's own pages.";
    ApiKey::Cookie(ApiKeyValue::with_description("stemma_token", told))
}
