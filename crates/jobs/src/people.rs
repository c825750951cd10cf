//! Users, organisations, tokens and access, as whoever asks may have them: the commands' operator may do all of it.

use domain::{Act, Class, Fault as _, Gating, RepoId, Role, TOKEN_MARK};
use store::{
    AccountKind, AccountRow, GrantRow, GrantState, MemberRow, ModelRow, Page, Scope, Slice, TokenRow,
};
use time::{Duration, OffsetDateTime};

use crate::{Error, Registry};

/// The label of the token that a user is added with.
const FIRST: &str = "first";

/// A token that is asked for.
#[derive(Debug, Clone)]
pub struct NewToken {
    pub owner: String,
    pub label: String,
    pub scope: Scope,
    /// Days it lasts; none lasts until it is revoked.
    pub days: Option<u32>,
}

/// How somebody stands to a gated or private model.
#[derive(Debug, Clone, Default)]
pub struct Standing {
    /// What became of the viewer's own request; none was made.
    pub asked: Option<GrantState>,
    /// Whether the viewer may read its files.
    pub reads: bool,
    /// Whether the viewer decides who does.
    pub decides: bool,
    /// Requests by others, those that wait first; only for whoever decides.
    pub requests: Vec<GrantRow>,
}

/// One page of the users, by name.
///
/// # Errors
/// [`Error::NotAdmin`] for anybody but an administrator.
pub async fn users(registry: &Registry, part: Slice<'_>) -> Result<Page<AccountRow>, Error> {
    administrator(registry)?;
    Ok(registry.store.accounts(Some(AccountKind::User), part).await?)
}

/// Creates an organisation.
///
/// # Errors
/// [`Error::NotAdmin`], a name that is none or is taken.
pub async fn create_organisation(registry: &Registry, name: &str) -> Result<AccountRow, Error> {
    administrator(registry)?;
    account_name(name)?;
    let kind = AccountKind::Org;
    registry
        .store
        .add_account(&AccountRow { name: name.to_owned(), kind, admin: false, created_at: 0 })
        .await?;
    known(registry, (name, kind)).await
}

/// Adds a user with a first token, or neither; gives the token's secret, which is not kept.
///
/// # Errors
/// As [`create_organisation`].
pub async fn add_user(
    registry: &Registry,
    (name, admin): (&str, bool),
) -> Result<(AccountRow, String), Error> {
    administrator(registry)?;
    account_name(name)?;
    let new = AccountRow { name: name.to_owned(), kind: AccountKind::User, admin, created_at: 0 };
    let (owner, label) = (new.name.clone(), FIRST.to_owned());
    let first = TokenRow {
        id: 0,
        owner,
        label,
        scope: Scope::Write,
        created_at: 0,
        expires_at: None,
        last_used_on: None,
    };
    let secret = secret()?;
    registry.store.add_user(&new, (&secret, &first)).await?;
    Ok((known(registry, (&new.name, AccountKind::User)).await?, secret))
}

/// Removes a user or an organisation with their tokens; their models stay.
///
/// # Errors
/// [`Error::NotAdmin`], [`Error::UnknownAccount`].
pub async fn remove_account(registry: &Registry, named: (&str, AccountKind)) -> Result<(), Error> {
    administrator(registry)?;
    known(registry, named).await?;
    registry.store.remove_account(named.0).await?;
    Ok(())
}

/// One page of the organisations with the viewer's roles in them; an administrator of the registry gets all.
///
/// # Errors
/// When the database cannot be read.
pub async fn organisations(registry: &Registry, part: Slice<'_>) -> Result<Page<(String, Role)>, Error> {
    let viewer = registry.store.viewer();
    if let Some(role) = viewer.everywhere {
        let all = registry.store.accounts(Some(AccountKind::Org), part).await?;
        return Ok(all.map(|row| (row.name, role)));
    }
    Ok(match &viewer.name {
        Some(name) => registry.store.memberships(name, part).await?.map(|one| (one.org, one.role)),
        None => Page { items: Vec::new(), next: None },
    })
}

/// One page of the members of an organisation, by name.
///
/// # Errors
/// [`Error::NotAdmin`] for whoever has no role in it, whether it is there or not; [`Error::UnknownAccount`].
pub async fn members(registry: &Registry, org: &str, part: Slice<'_>) -> Result<Page<MemberRow>, Error> {
    in_org(registry, (org, Role::Read))?;
    known(registry, (org, AccountKind::Org)).await?;
    Ok(registry.store.members_of(org, part).await?)
}

/// Makes a user a member, or gives a member another role.
///
/// # Errors
/// As [`members`], for whoever is no administrator of it; as [`somebody`] for the member.
pub async fn set_member(registry: &Registry, new: &MemberRow) -> Result<(), Error> {
    in_org(registry, (&new.org, Role::Admin))?;
    somebody(registry, &new.person).await?;
    Ok(registry.store.set_member(new).await?)
}

/// Whether there is a person of this name: a user, or the owner of a token. Whoever got a name later would have the rights that
/// it was given before.
///
/// # Errors
/// A name that is none, [`Error::UnknownAccount`].
pub async fn somebody(registry: &Registry, person: &str) -> Result<(), Error> {
    account_name(person)?;
    let user = registry.store.account(person).await?.is_some_and(|account| account.kind == AccountKind::User);
    match user || !registry.store.tokens_of(person, (None, 1)).await?.items.is_empty() {
        true => Ok(()),
        false => Err(Error::UnknownAccount(person.to_owned())),
    }
}

/// Takes a member out of an organisation.
///
/// # Errors
/// As [`set_member`]; [`Error::UnknownAccount`] for whoever is no member.
pub async fn remove_member(registry: &Registry, (org, person): (&str, &str)) -> Result<(), Error> {
    in_org(registry, (org, Role::Admin))?;
    match registry.store.remove_member(org, person).await? {
        true => Ok(()),
        false => Err(Error::UnknownAccount(person.to_owned())),
    }
}

/// One page of the viewer's tokens, the latest first.
///
/// # Errors
/// [`Error::NotAdmin`] for somebody without a name.
pub async fn own_tokens(registry: &Registry, part: Slice<'_>) -> Result<Page<TokenRow>, Error> {
    Ok(registry.store.tokens_of(&whoever(registry)?, part).await?)
}

/// Makes a token; gives its secret, which is not kept, and when it ends, in Unix seconds.
///
/// # Errors
/// [`Error::NotAdmin`] for somebody else's, or with a token that may only read; a name that is none.
pub async fn create_token(registry: &Registry, new: NewToken) -> Result<(String, Option<i64>), Error> {
    let NewToken { owner, label, scope, days } = new;
    let label = label.trim();
    account_name(&owner)?;
    in_name_of(registry, &owner)?;
    if registry.store.account(&owner).await?.is_some_and(|account| account.kind == AccountKind::Org) {
        return Err(Error::Invalid(format!("`{owner}` is an organisation; tokens are its members'")));
    }
    crate::trust::fits(registry, "label", label)?;
    if days == Some(0) {
        return Err(Error::Invalid(
            "`days` is 0: the token would have ended already; give 1 or more".to_owned(),
        ));
    }
    let end = days.map(|days| (OffsetDateTime::now_utc() + Duration::days(days.into())).unix_timestamp());
    let label = if label.is_empty() { "unnamed" } else { label }.to_owned();
    let secret = secret()?;
    let row = TokenRow { id: 0, owner, label, scope, created_at: 0, expires_at: end, last_used_on: None };
    registry.store.add_token(&secret, &row).await?;
    Ok((secret, end))
}

/// Begins a browser's session with a living token; gives its secret, which is not the token's. None for another one.
///
/// # Errors
/// When the database refuses.
pub async fn open_session(registry: &Registry, token: &str) -> Result<Option<String>, Error> {
    let Some(row) = registry.store.token(token).await? else { return Ok(None) };
    let secret = secret()?;
    registry.store.open_session(&secret, &row).await?;
    Ok(Some(secret))
}

/// Ends one of the viewer's own tokens.
///
/// # Errors
/// [`Error::UnknownToken`], also for one of somebody else's.
pub async fn revoke_own(registry: &Registry, id: i64) -> Result<(), Error> {
    let owner = whoever(registry)?;
    in_name_of(registry, &owner)?;
    match registry.store.owns_token(&owner, id).await? && registry.store.revoke_token(id).await? {
        true => Ok(()),
        false => Err(Error::UnknownToken(id)),
    }
}

/// How the viewer stands to a model.
///
/// # Errors
/// When the database cannot be read.
pub async fn standing(registry: &Registry, row: &ModelRow) -> Result<Standing, Error> {
    let store = &registry.store;
    if row.gated.is_none() {
        return Ok(Standing { reads: true, ..Standing::default() });
    }
    let allowed = async |act| match store.may_with(act, row).await {
        Ok(()) => Ok(true),
        Err(refused) if matches!(refused.class(), Class::Forbidden | Class::NotFound) => Ok(false),
        Err(error) => Err(error),
    };
    let decides = allowed(Act::Close).await?;
    let mut requests = Vec::new();
    for state in GrantState::ALL.into_iter().filter(|_| decides) {
        requests.extend(store.access_of(row.id, state, registry.limits.report_rows as u64).await?);
    }
    let asked = match &store.viewer().name {
        Some(name) => store.grant_of(row.id, name).await?,
        None => None,
    };
    Ok(Standing { asked, reads: allowed(Act::Read).await?, decides, requests })
}

/// Asks for a gated model's files in the viewer's name.
///
/// # Errors
/// [`Error::UnknownModel`], a model without a gate, [`Error::NotAdmin`] for somebody without a name.
pub async fn ask_access(registry: &Registry, model: &str) -> Result<GrantState, Error> {
    let (row, gate) = gated(registry, model).await?;
    Ok(registry.store.ask_access((row.id, &whoever(registry)?), gate).await?)
}

/// Decides who reads a gated model's files.
///
/// # Errors
/// As [`ask_access`]; for whoever is no administrator of its namespace; as [`somebody`] for who is let in.
pub async fn decide_access(
    registry: &Registry,
    model: &str,
    (person, state): (&str, GrantState),
) -> Result<(), Error> {
    let (row, _) = gated(registry, model).await?;
    registry.store.may_with(Act::Close, &row).await?;
    account_name(person)?;
    if state == GrantState::Accepted {
        somebody(registry, person).await?;
    }
    let by = registry.store.viewer().name.clone();
    Ok(registry.store.decide_access((row.id, person), state, by.as_deref()).await?)
}

async fn gated(registry: &Registry, model: &str) -> Result<(ModelRow, Gating), Error> {
    let row = registry.store.model_by_id(model).await?.filter(|row| !row.ghost);
    let row = row.ok_or_else(|| Error::UnknownModel(model.to_owned()))?;
    let open = || Error::Invalid(format!("`{}` is not gated; whoever sees it may read its files", row.name));
    let gate = row.gated.ok_or_else(open)?;
    Ok((row, gate))
}

async fn known(registry: &Registry, (name, kind): (&str, AccountKind)) -> Result<AccountRow, Error> {
    let row = registry.store.account(name).await?.filter(|row| row.kind == kind);
    row.ok_or_else(|| Error::UnknownAccount(name.to_owned()))
}

/// Checks a user's or an organisation's name: the first part of the ids of their models.
///
/// # Errors
/// [`Error::BadAccount`].
pub fn account_name(name: &str) -> Result<(), Error> {
    match RepoId::parse(name) {
        Ok(id) if id.org().is_none() && !id.is_reserved() => Ok(()),
        _ => Err(Error::BadAccount(name.chars().take(120).collect())),
    }
}

fn administrator(registry: &Registry) -> Result<(), Error> {
    match registry.store.viewer().everywhere {
        Some(Role::Admin) => Ok(()),
        _ => Err(Error::NotAdmin("an administrator of the registry".to_owned())),
    }
}

fn in_org(registry: &Registry, (org, least): (&str, Role)) -> Result<(), Error> {
    match registry.store.viewer().role_in(Some(org)) {
        Some(role) if role >= least => Ok(()),
        _ if least == Role::Admin => Err(Error::NotAdmin(format!("an administrator of `{org}`"))),
        _ => Err(Error::NotAdmin(format!("a member of `{org}`"))),
    }
}

/// Whether the viewer may write in somebody's name.
fn in_name_of(registry: &Registry, owner: &str) -> Result<(), Error> {
    match registry.store.viewer().role_in(Some(owner)) {
        Some(Role::Admin) => Ok(()),
        _ => Err(Error::NotAdmin(format!("`{owner}`, with a token that may write,"))),
    }
}

/// The viewer's name.
fn whoever(registry: &Registry) -> Result<String, Error> {
    let name = registry.store.viewer().name.clone();
    name.ok_or_else(|| Error::NotAdmin("somebody who signed in with a token".to_owned()))
}

/// 256 random bits.
fn secret() -> Result<String, Error> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).map_err(|error| Error::Task(format!("no random numbers: {error}")))?;
    Ok(bytes.iter().fold(TOKEN_MARK.to_owned(), |text, byte| format!("{text}{byte:02x}")))
}

#[cfg(test)]
mod tests {
    use domain::Metadata;
    use store::Openness;

    use super::*;

    #[tokio::test]
    async fn only_somebody_who_is_there_is_let_in() {
        let folder = tempfile::tempdir().unwrap();
        let registry = crate::testing::registry(&folder).await;
        let id = RepoId::parse("org/gated").unwrap();
        registry.store.upsert(&[(Metadata::named(id), vec![])]).await.unwrap();
        let row = registry.store.model_by_id("org/gated").await.unwrap().unwrap();
        let gated = Openness { private: None, gated: Some(Some(Gating::Manual)) };
        registry.store.set_openness(row.id, gated).await.unwrap();
        let decide = async |state| decide_access(&registry, "org/gated", ("bob", state)).await;

        let refused = decide(GrantState::Accepted).await;
        decide(GrantState::Rejected).await.unwrap();
        let bob = AccountRow { name: "Bob".to_owned(), kind: AccountKind::User, admin: false, created_at: 0 };
        registry.store.add_account(&bob).await.unwrap();
        decide(GrantState::Accepted).await.unwrap();

        assert!(matches!(refused, Err(Error::UnknownAccount(name)) if name == "bob"));
        assert_eq!(registry.store.grant_of(row.id, "bob").await.unwrap(), Some(GrantState::Accepted));
    }
}
