//! Who asks, their tokens, and how they stand to closed models.

use ::web::{
    Failure,
    view::{AccountPage, Closure, RequestLine, TokenForm, TokenLine},
};
use domain::{Class, Gating, Role};
use jobs::{NewToken, Registry};
use store::{GrantState, ModelRow, Scope};

use super::Result;

/// Who asks; none for somebody without a name.
pub async fn page(registry: &Registry) -> Result<Option<AccountPage>> {
    let viewer = registry.store.viewer();
    let Some(name) = viewer.name.clone() else { return Ok(None) };
    let line = |token: store::TokenRow| TokenLine {
        id: token.id,
        label: token.label,
        scope: token.scope.word(),
        created_at: token.created_at,
        expires_at: token.expires_at,
    };
    let part = (None, registry.limits.list_rows);
    let (tokens, orgs) =
        (jobs::own_tokens(registry, part).await?, jobs::organisations(registry, part).await?);
    Ok(Some(AccountPage {
        admin: viewer.everywhere == Some(Role::Admin),
        writes: viewer.role_in(Some(&name)) >= Some(Role::Admin),
        cut: [(&tokens.next, "tokens"), (&orgs.next, "orgs")]
            .into_iter()
            .filter(|(next, _)| next.is_some())
            .map(|(_, list)| list)
            .collect(),
        tokens: tokens.items.into_iter().map(line).collect(),
        orgs: orgs.items.into_iter().map(|(org, role)| (org, role.as_str())).collect(),
        name,
    }))
}

/// Makes a token for whoever asks.
pub async fn create_token(registry: &Registry, form: &TokenForm) -> Result<String> {
    let owner = registry.store.viewer().name.clone().unwrap_or_default();
    let days = match form.days.trim() {
        "" => None,
        text => Some(text.parse().map_err(|_| {
            let told = format!("`{text}` is not a number of days; leave it empty for a token that lasts");
            Failure::new(Class::Invalid, "invalid_request", told)
        })?),
    };
    let scope = if form.read_only.is_empty() { Scope::Write } else { Scope::Read };
    Ok(jobs::create_token(registry, NewToken { owner, label: form.label.clone(), scope, days }).await?.0)
}

/// Decides about a request for access.
pub async fn decide(registry: &Registry, model: &str, (person, word): (&str, &str)) -> Result<()> {
    let state = GrantState::of(word).ok_or_else(|| {
        let told = format!("`{word}` is not one of pending, accepted, rejected");
        Failure::new(Class::Invalid, "invalid_request", told)
    })?;
    Ok(jobs::decide_access(registry, model, (person, state)).await?)
}

/// How a model is closed, and how whoever asks stands to it.
pub async fn closure(registry: &Registry, row: &ModelRow) -> Result<Closure> {
    let standing = jobs::standing(registry, row).await?;
    let line = |one: store::GrantRow| RequestLine {
        person: one.person,
        state: one.state.as_str(),
        asked_at: one.asked_at,
    };
    Ok(Closure {
        private: row.private,
        gate: row.gated.map(Gating::as_str),
        signed_in: registry.store.viewer().name.is_some(),
        reads: standing.reads,
        asked: standing.asked.map(GrantState::as_str),
        decides: standing.decides,
        requests: standing.requests.into_iter().map(line).collect(),
    })
}
