//! First segments of this site's own addresses; they never stand for a model without an organisation.

use actix_web::guard::GuardContext;

/// Guard: the first segment of the address may be a model's name.
pub fn may_be_a_model(context: &GuardContext<'_>) -> bool {
    let first = context.head().uri.path().split('/').nth(1).unwrap_or_default();
    !domain::RESERVED.contains(&first.to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use actix_web::{guard::Guard as _, test::TestRequest};

    use super::may_be_a_model;

    #[test]
    fn our_own_addresses_are_no_names_of_models() {
        let may = |address: &str| {
            let request = TestRequest::get().uri(address).to_srv_request();
            may_be_a_model.check(&request.guard_ctx())
        };

        assert!(may("/gpt2/resolve/main/config.json"));
        assert!(!may("/compare/resolve/a...b/c"));
    }
}
