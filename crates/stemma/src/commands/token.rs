//! `stemma token create|list|revoke`: personal access tokens.

use domain::Class;
use serde_json::json;
use store::{AccountKind, Scope, TokenRow};

use super::{Context, people};
use crate::{cli::TokenCommand, exit::Failure, output, wiring};

const DAY: i64 = 86_400;

/// Runs one of the token commands.
pub async fn run(context: Context, command: TokenCommand) -> Result<(), Failure> {
    let store = wiring::open(&context.config).await?.store;
    match command {
        TokenCommand::Create { user, label, read_only, days } => {
            people::user_name(&user)?;
            if store.account(&user).await?.is_some_and(|account| account.kind == AccountKind::Org) {
                let told = format!("`{user}` is an organisation; tokens are its members'");
                return Err(Failure::new("bad_user", Class::Invalid, told));
            }
            let secret = secret()?;
            let new = TokenRow {
                id: 0,
                owner: user,
                label: label.unwrap_or_else(|| "command line".to_owned()),
                scope: if read_only { Scope::Read } else { Scope::Write },
                created_at: 0,
                expires_at: days.map(|days| now() + i64::from(days) * DAY),
            };
            store.add_token(&secret, &new).await?;
            if context.json {
                output::json(&json!({
                    "token": secret, "user": new.owner, "scope": new.scope, "expires_at": new.expires_at,
                }));
            } else {
                output::line(secret);
            }
        }
        TokenCommand::List => {
            let tokens = store.tokens().await?;
            if context.json {
                output::json(&tokens);
            } else {
                for token in tokens {
                    let state = match token.expires_at {
                        Some(end) if end <= now() => "expired",
                        Some(_) => "ends",
                        None => "lasts",
                    };
                    let TokenRow { id, owner, scope, label, .. } = token;
                    output::line(format!("{id:<5} {owner:<24} {:<6} {state:<8} {label}", scope.word()));
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

fn now() -> i64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .ok()
        .and_then(|age| i64::try_from(age.as_secs()).ok())
        .unwrap_or_default()
}

/// 256 random bits.
fn secret() -> Result<String, Failure> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes)
        .map_err(|error| Failure::new("random", Class::Internal, format!("no random numbers: {error}")))?;
    Ok(bytes.iter().fold("stemma_".to_owned(), |text, byte| format!("{text}{byte:02x}")))
}
