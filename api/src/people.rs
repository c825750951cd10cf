//! Users, organisations and their members, and the asker's own tokens.

use actix_web::{HttpRequest, HttpResponse, delete, get, http::StatusCode, post, put, web};
use domain::Role;
use http::{Problem, Result};
use jobs::NewToken;
use serde::{Deserialize, Serialize};
use store::{AccountKind, AccountRow, MemberRow, Scope, TokenRow};
use utoipa::{ToSchema, openapi::schema::Object};

use crate::{
    body::Body,
    paging::{Listed, listed},
    query::Query,
    schema::one_of,
    seen::Seen,
};

/// A user or an organisation to add.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewAccount {
    /// The first part of the ids of its models.
    pub name: String,
    /// For a user: every role everywhere.
    #[serde(default)]
    pub admin: bool,
}

/// A user or an organisation.
#[derive(Debug, Serialize, ToSchema)]
pub struct AccountView {
    pub name: String,
    pub admin: bool,
    /// Unix seconds.
    pub created_at: i64,
    /// Of a user who was just added: their first token, told once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

impl From<AccountRow> for AccountView {
    fn from(row: AccountRow) -> Self {
        let AccountRow { name, admin, created_at, .. } = row;
        Self { name, admin, created_at, token: None }
    }
}

/// An organisation and the asker's role in it.
#[derive(Debug, Serialize, ToSchema)]
pub struct OrgView {
    pub name: String,
    /// read, write or admin.
    #[schema(value_type = String)]
    pub role: Role,
}

/// A member of an organisation.
#[derive(Debug, Serialize, ToSchema)]
pub struct MemberView {
    /// The user, in lower case.
    pub user: String,
    /// read, write or admin.
    #[schema(value_type = String)]
    pub role: Role,
}

impl From<(String, Role)> for OrgView {
    fn from((name, role): (String, Role)) -> Self {
        Self { name, role }
    }
}

impl From<MemberRow> for MemberView {
    fn from(row: MemberRow) -> Self {
        Self { user: row.person, role: row.role }
    }
}

/// A member's role.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRole {
    /// read, write or admin.
    #[schema(schema_with = roles)]
    pub role: Role,
}

fn roles() -> Object {
    one_of(["read", "write", "admin"])
}

/// A token to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenRequest {
    #[serde(default)]
    pub label: String,
    #[serde(default)]
    pub read_only: bool,
    /// Days it lasts; left out, it lasts until it is revoked.
    pub days: Option<u32>,
}

/// A token; its secret is told once, when it is made.
#[derive(Debug, Serialize, ToSchema)]
pub struct TokenView {
    pub id: i64,
    pub label: String,
    /// read or write.
    pub scope: String,
    /// Unix seconds.
    pub created_at: i64,
    /// Unix seconds.
    pub expires_at: Option<i64>,
    /// When the day began, by UTC, on which it was last used, in Unix seconds; null where no use is known.
    pub last_used_on: Option<i64>,
}

impl From<TokenRow> for TokenView {
    fn from(row: TokenRow) -> Self {
        let TokenRow { id, label, scope, created_at, expires_at, last_used_on, .. } = row;
        Self { id, label, scope: scope.word().to_owned(), created_at, expires_at, last_used_on }
    }
}

/// The secret of a new token.
#[derive(Debug, Serialize, ToSchema)]
pub struct SecretView {
    pub token: String,
}

/// The users, by name; for administrators.
#[utoipa::path(tag = "people", params(Listed), responses((status = 200, body = Vec<AccountView>), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
#[get("/api/v1/users")]
pub async fn list_users(request: HttpRequest, registry: Seen, asked: Query<Listed>) -> Result<HttpResponse> {
    let page = jobs::users(&registry, asked.part(&registry)?).await?;
    Ok(listed::<_, AccountView>(&request, page))
}

/// Add a user, with a first token; for administrators.
#[utoipa::path(tag = "people", request_body = NewAccount, responses((status = 201, body = AccountView), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
#[post("/api/v1/users")]
pub async fn add_user(registry: Seen, Body(new): Body<NewAccount>) -> Result<HttpResponse> {
    let (row, token) = jobs::add_user(&registry, (&new.name, new.admin)).await?;
    let told = AccountView { token: Some(token), ..row.into() };
    Ok(HttpResponse::build(StatusCode::CREATED).json(told))
}

/// Remove a user with their memberships and tokens; their models stay. For administrators.
#[utoipa::path(tag = "people", params(("user" = String, Path)), responses((status = 204), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
#[delete("/api/v1/users/{user}")]
pub async fn remove_user(registry: Seen, user: web::Path<String>) -> Result<HttpResponse> {
    jobs::remove_account(&registry, (&user, AccountKind::User)).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// The organisations that the asker is a member of; every one for administrators.
#[utoipa::path(tag = "people", params(Listed), responses((status = 200, body = Vec<OrgView>)))]
#[get("/api/v1/orgs")]
pub async fn list_orgs(request: HttpRequest, registry: Seen, asked: Query<Listed>) -> Result<HttpResponse> {
    let page = jobs::organisations(&registry, asked.part(&registry)?).await?;
    Ok(listed::<_, OrgView>(&request, page))
}

/// Create an organisation; for administrators.
#[utoipa::path(tag = "people", request_body = NewAccount, responses((status = 201, body = AccountView), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
#[post("/api/v1/orgs")]
pub async fn create_org(registry: Seen, Body(new): Body<NewAccount>) -> Result<HttpResponse> {
    let row = jobs::create_organisation(&registry, &new.name).await?;
    Ok(HttpResponse::build(StatusCode::CREATED).json(AccountView::from(row)))
}

/// Remove an organisation with its memberships; its models stay. For administrators.
#[utoipa::path(tag = "people", params(("org" = String, Path)), responses((status = 204), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
#[delete("/api/v1/orgs/{org}")]
pub async fn remove_org(registry: Seen, org: web::Path<String>) -> Result<HttpResponse> {
    jobs::remove_account(&registry, (&org, AccountKind::Org)).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Members of an organisation; for its members.
#[utoipa::path(tag = "people", params(("org" = String, Path), Listed), responses((status = 200, body = Vec<MemberView>), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
#[get("/api/v1/orgs/{org}/members")]
pub async fn list_members(
    request: HttpRequest,
    registry: Seen,
    org: web::Path<String>,
    asked: Query<Listed>,
) -> Result<HttpResponse> {
    let page = jobs::members(&registry, &org, asked.part(&registry)?).await?;
    Ok(listed::<_, MemberView>(&request, page))
}

/// Make a user a member, or give a member another role; for the organisation's administrators.
#[utoipa::path(tag = "people", params(("org" = String, Path), ("user" = String, Path)), request_body = NewRole, responses((status = 200, body = MemberView), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
#[put("/api/v1/orgs/{org}/members/{user}")]
pub async fn set_member(
    registry: Seen,
    path: web::Path<(String, String)>,
    Body(new): Body<NewRole>,
) -> Result<HttpResponse> {
    let ((org, user), role) = (path.into_inner(), new.role);
    jobs::set_member(&registry, &MemberRow { org, person: user.clone(), role }).await?;
    Ok(HttpResponse::Ok().json(MemberView { user: user.to_ascii_lowercase(), role }))
}

/// Take a member out of an organisation; for its administrators.
#[utoipa::path(tag = "people", params(("org" = String, Path), ("user" = String, Path)), responses((status = 204), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
#[delete("/api/v1/orgs/{org}/members/{user}")]
pub async fn remove_member(registry: Seen, path: web::Path<(String, String)>) -> Result<HttpResponse> {
    jobs::remove_member(&registry, (&path.0, &path.1)).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// The asker's own tokens, without their secrets.
#[utoipa::path(tag = "people", params(Listed), responses((status = 200, body = Vec<TokenView>), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
#[get("/api/v1/tokens")]
pub async fn list_tokens(request: HttpRequest, registry: Seen, asked: Query<Listed>) -> Result<HttpResponse> {
    let page = jobs::own_tokens(&registry, asked.part(&registry)?).await?;
    Ok(listed::<_, TokenView>(&request, page))
}

/// Make a token of one's own.
#[utoipa::path(tag = "people", request_body = TokenRequest, responses((status = 201, body = SecretView), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
#[post("/api/v1/tokens")]
pub async fn create_token(registry: Seen, Body(asked): Body<TokenRequest>) -> Result<HttpResponse> {
    let TokenRequest { label, read_only, days } = asked;
    let owner = registry.store.viewer().name.clone().ok_or_else(http::bad_token)?;
    let scope = if read_only { Scope::Read } else { Scope::Write };
    let (token, _) = jobs::create_token(&registry, NewToken { owner, label, scope, days }).await?;
    Ok(HttpResponse::build(StatusCode::CREATED).json(SecretView { token }))
}

/// End one of one's own tokens.
#[utoipa::path(tag = "people", params(("id" = i64, Path)), responses((status = 204), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
#[delete("/api/v1/tokens/{id}")]
pub async fn revoke_token(registry: Seen, id: web::Path<i64>) -> Result<HttpResponse> {
    jobs::revoke_own(&registry, *id).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Registers these addresses.
pub fn configure(cfg: &mut web::ServiceConfig) {
    cfg.service(list_users)
        .service(add_user)
        .service(remove_user)
        .service(list_orgs)
        .service(create_org)
        .service(remove_org)
        .service(list_members)
        .service(set_member)
        .service(remove_member)
        .service(list_tokens)
        .service(create_token)
        .service(revoke_token);
}
