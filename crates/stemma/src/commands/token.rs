//! `stemma token create|list|revoke`: personal access tokens.

use domain::Class;
use jobs::NewToken;
use serde_json::json;
use store::{Scope, TokenRow};

use super::{Context, all};
use crate::{cli::TokenCommand, exit::Failure, output, wiring};

/// Runs one of the token commands.
pub async fn run(context: Context, command: TokenCommand) -> Result<(), Failure> {
    let registry = match command {
        TokenCommand::Create { .. } => wiring::open(&context.config).await?,
        _ => wiring::existing(&context.config).await?,
    };
    let store = &registry.store;
    match command {
        TokenCommand::Create { user, label, read_only, days } => {
            let scope = if read_only { Scope::Read } else { Scope::Write };
            let label = label.unwrap_or_else(|| "command line".to_owned());
            let new = NewToken { owner: user.clone(), label, scope, days };
            let (secret, end) = jobs::create_token(&registry, new).await?;
            print(&context, (&secret, &user), (scope, end));
        }
        TokenCommand::List => {
            let limit = registry.limits.list_rows;
            let tokens = all(async |after| Ok(store.tokens((after, limit)).await?)).await?;
            if context.json {
                output::json(&tokens);
            } else {
                for token in tokens {
                    let state = match token.expires_at {
                        Some(end) if end <= now() => format!("ended {}", day(end)),
                        Some(end) => format!("until {}", day(end)),
                        None => "lasts".to_owned(),
                    };
                    let used = token
                        .last_used_on
                        .map_or_else(|| "no use known".to_owned(), |on| format!("used {}", day(on)));
                    let TokenRow { id, owner, scope, label, .. } = token;
                    let scope = scope.word();
                    output::line(format!("{id:<5} {owner:<24} {scope:<6} {state:<16} {used:<15} {label}"));
                }
            }
        }
        TokenCommand::Revoke { id } => {
            if !store.revoke_token(id).await? {
                return Err(Failure::new("not_found", Class::NotFound, format!("there is no token {id}")));
            }
            if context.json {
                output::json(&json!({ "revoked": id }));
            }
        }
    }
    Ok(())
}

/// Prints a new token, once.
pub fn print(context: &Context, (secret, user): (&str, &str), (scope, end): (Scope, Option<i64>)) {
    if context.json {
        output::json(&json!({ "token": secret, "user": user, "scope": scope, "expires_at": end }));
    } else {
        output::line(secret);
    }
}

/// The day of a time in Unix seconds, by UTC.
fn day(seconds: i64) -> String {
    let time = time::OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(time::OffsetDateTime::UNIX_EPOCH);
    time.date().to_string()
}

fn now() -> i64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .ok()
        .and_then(|age| i64::try_from(age.as_secs()).ok())
        .unwrap_or_default()
}
