//! Branches, tags and history.

use actix_web::{HttpResponse, http::header, web::Payload};
use domain::Act;
use http::{Problem, Result};
use serde::Deserialize;
use serde_json::{Value, json};
use store::{CommitRow, MAIN, ModelRow, RefKind, RefRow};

use super::{
    Call,
    answer::{self, date, missing_revision},
    stop::Outcome,
};
use crate::paging::place;

/// Commits on one page.
const PAGE: u64 = 50;

/// `GET …/refs`.
///
/// # Errors
/// 404.
pub async fn list(call: &Call<'_>) -> Outcome {
    let row = answer::find(call).await?;
    let (refs, total) = call.registry.store.refs(row.id, call.registry.limits.list_rows).await?;
    let of = |kind: RefKind, folder: &str| -> Vec<Value> {
        refs.iter()
            .filter(|one| one.kind == kind)
            .map(|one| {
                let full = format!("refs/{folder}/{}", one.name);
                json!({ "name": one.name, "ref": full, "targetCommit": one.oid })
            })
            .collect()
    };
    let mut branches = of(RefKind::Branch, "heads");
    if branches.is_empty() {
        let target = answer::sha(&row, None);
        branches.push(json!({ "name": MAIN, "ref": "refs/heads/main", "targetCommit": target }));
    }
    let tags = of(RefKind::Tag, "tags");
    let mut told = json!({ "branches": branches, "converts": [], "tags": tags, "pullRequests": [] });
    let hidden = total.saturating_sub(refs.len() as u64);
    if hidden > 0 {
        // The Hub lists all of them and has no word for this.
        told["hidden"] = hidden.into();
    }
    Ok(HttpResponse::Ok().json(told))
}

/// `GET …/commits/REV`.
///
/// # Errors
/// 404.
pub async fn commits(call: &Call<'_>) -> Outcome {
    let row = answer::find(call).await?;
    let revision = call.rest.join("/");
    let Some(head) = answer::commit_of(call.registry, &row, &revision).await? else {
        return Ok(answer::page(call.request, &[] as &[Value], None));
    };
    let skip = place(call.asked("cursor").last().map(String::as_str))? as u64;
    let (found, total) = call.registry.store.history(row.id, &head.oid, (skip, PAGE)).await?;
    let wants = |name: &str| call.asked(name).iter().any(|field| field == "formatted");
    let formatted = wants("expand[]") || wants("expand");
    let one = |commit: &CommitRow| {
        let author = commit.author.as_deref().unwrap_or("stemma");
        let mut told = json!({
            "id": commit.oid, "title": commit.title, "message": commit.message,
            "authors": [{ "user": author }], "date": date(commit.created_at),
        });
        if formatted {
            told["formatted"] = json!({ "title": html(&commit.title), "message": html(&commit.message) });
        }
        told
    };
    let items: Vec<Value> = found.iter().map(one).collect();
    let next = (skip + PAGE < total).then(|| (skip + PAGE).to_string());
    let mut answer = answer::page(call.request, &items, next.as_deref());
    answer.headers_mut().insert(header::HeaderName::from_static("x-total-count"), total.into());
    Ok(answer)
}

/// A text as HTML that shows it; of markup in it nothing is left in force.
fn html(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => shown.push_str("&amp;"),
            '<' => shown.push_str("&lt;"),
            '>' => shown.push_str("&gt;"),
            '"' => shown.push_str("&quot;"),
            '\'' => shown.push_str("&#39;"),
            other => shown.push(other),
        }
    }
    shown
}

/// A repository that may be written to, and the name the address ends in.
async fn target(call: &Call<'_>) -> Outcome<(Box<ModelRow>, String)> {
    let row = answer::find(call).await?;
    call.registry.store.may_with(Act::Write, &row).await?;
    Ok((row, call.rest.join("/")))
}

/// A name that git takes too.
fn sound(name: &str) -> Result<String> {
    let part = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.ends_with(".lock");
    let odd = |c: char| c.is_control() || " ~^:?*[\\".contains(c);
    let fine = name.len() <= 255
        && name.split('/').all(part)
        && !name.contains(odd)
        && !name.contains("..")
        && !name.ends_with('.');
    if fine {
        return Ok(name.to_owned());
    }
    Err(Problem::bad_request(format!("`{name}` is not a name for a branch or tag")))
}

async fn start(call: &Call<'_>, row: &ModelRow, from: &str) -> Result<CommitRow> {
    let commit = answer::commit_of(call.registry, row, from).await?;
    commit.ok_or_else(|| missing_revision(&row.name, from))
}

/// `POST …/branch/NAME`.
///
/// # Errors
/// 404 for a start that does not exist, 409 when the branch does.
pub async fn create_branch(call: &Call<'_>, payload: Payload) -> Outcome {
    #[derive(Default, Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Asked {
        starting_point: Option<String>,
    }
    let (row, name) = target(call).await?;
    let bytes = answer::bytes(call, payload).await?;
    let asked: Asked = if bytes.is_empty() { Asked::default() } else { answer::read(&bytes)? };
    let from = start(call, &row, asked.starting_point.as_deref().unwrap_or(MAIN)).await?;
    let new = RefRow { kind: RefKind::Branch, name: sound(&name)?, oid: from.oid };
    call.registry.store.create_ref(row.id, &new).await?;
    Ok(HttpResponse::Ok()
        .json(json!({ "url": format!("{}/{}/tree/{name}", http::address(call.request), row.name) })))
}

/// `DELETE …/branch/NAME`.
///
/// # Errors
/// 404 when there is none, 403 for `main`.
pub async fn delete_branch(call: &Call<'_>) -> Outcome {
    let (row, name) = target(call).await?;
    if name == MAIN {
        let detail = "the branch `main` cannot be deleted";
        return Err(Problem::new(actix_web::http::StatusCode::FORBIDDEN, "forbidden", detail).into());
    }
    delete(call, &row, (RefKind::Branch, &name)).await
}

/// `POST …/tag/REV`.
///
/// # Errors
/// 404 for a revision that does not exist, 409 when the tag does.
pub async fn create_tag(call: &Call<'_>, payload: Payload) -> Outcome {
    #[derive(Deserialize)]
    struct Asked {
        tag: String,
    }
    let (row, revision) = target(call).await?;
    let asked: Asked = answer::body(call, payload).await?;
    let from = start(call, &row, &revision).await?;
    let new = RefRow { kind: RefKind::Tag, name: sound(&asked.tag)?, oid: from.oid };
    call.registry.store.create_ref(row.id, &new).await?;
    Ok(HttpResponse::Ok().json(json!({})))
}

/// `DELETE …/tag/NAME`.
///
/// # Errors
/// 404 when there is none.
pub async fn delete_tag(call: &Call<'_>) -> Outcome {
    let (row, name) = target(call).await?;
    delete(call, &row, (RefKind::Tag, &name)).await
}

async fn delete(call: &Call<'_>, row: &ModelRow, what: (RefKind, &str)) -> Outcome {
    if call.registry.store.delete_ref(row.id, what).await? {
        return Ok(HttpResponse::Ok().json(json!({})));
    }
    Err(missing_revision(&row.name, what.1).into())
}

#[cfg(test)]
mod tests {
    use super::{html, sound};

    #[test]
    fn markup_of_a_message_is_shown_and_not_in_force() {
        assert_eq!(html("<b a=\"'\">&"), "&lt;b a=&quot;&#39;&quot;&gt;&amp;");
    }

    #[test]
    fn names_are_those_that_git_takes() {
        for good in ["main", "v1.0", "refs-pr", "feature/x"] {
            assert!(sound(good).is_ok(), "{good}");
        }
        for bad in ["", "/", "a//b", ".a", "a b", "a..b", "a~1", "x.lock", "a\n", "a."] {
            assert!(sound(bad).is_err(), "{bad:?}");
        }
    }
}
