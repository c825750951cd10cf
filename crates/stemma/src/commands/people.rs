//! `stemma user`, `stemma org` and `stemma access`: who there is, and who may do what with a model.

use domain::Class;
use jobs::Registry;
use serde_json::json;
use store::{AccountKind, AccountRow, GrantState, MemberRow, ModelRow, Openness, Scope, Store};

use super::{Context, all, token};
use crate::{
    cli::{AccessCommand, MemberArgs, MemberCommand, OrgCommand, UserCommand},
    exit::Failure,
    output, wiring,
};

/// Runs one of the user commands.
pub async fn user(context: Context, command: UserCommand) -> Result<(), Failure> {
    let registry = wiring::open(&context.config).await?;
    match command {
        UserCommand::Add { name, admin } => {
            let (_, secret) = jobs::add_user(&registry, (&name, admin)).await?;
            token::print(&context, (&secret, &name), (Scope::Write, None));
        }
        UserCommand::List => {
            let limit = registry.limits.list_rows;
            let accounts =
                all(async |after| Ok(registry.store.accounts(None, (after, limit)).await?)).await?;
            if context.json {
                output::json(&accounts);
                return Ok(());
            }
            for AccountRow { name, kind, admin, .. } in accounts {
                let admin = if admin { "  administrator" } else { "" };
                output::line(format!("{:<5} {name}{admin}", kind.as_str()));
            }
        }
        UserCommand::Remove { name } => remove(&context, &registry, (&name, AccountKind::User)).await?,
    }
    Ok(())
}

/// Runs one of the organisation commands.
pub async fn org(context: Context, command: OrgCommand) -> Result<(), Failure> {
    let registry = wiring::open(&context.config).await?;
    match command {
        OrgCommand::Create { name } => {
            let new = jobs::create_organisation(&registry, &name).await?;
            done(&context, json!({ "created": new.name }));
        }
        OrgCommand::Remove { name, member: None } => {
            remove(&context, &registry, (&name, AccountKind::Org)).await?;
        }
        OrgCommand::Member { command } => member(&context, &registry, command).await?,
        OrgCommand::Remove { name: org, member: Some(user) } => {
            member(&context, &registry, MemberCommand::Remove { org, user }).await?;
        }
        OrgCommand::Members { org } => member(&context, &registry, MemberCommand::List { org }).await?,
        OrgCommand::Add(args) => member(&context, &registry, MemberCommand::Add(args)).await?,
    }
    Ok(())
}

async fn member(context: &Context, registry: &Registry, command: MemberCommand) -> Result<(), Failure> {
    match command {
        MemberCommand::Add(MemberArgs { org, user, role }) => {
            jobs::set_member(registry, &MemberRow { org, person: user.clone(), role }).await?;
            done(context, json!({ "member": user, "role": role }));
        }
        MemberCommand::List { org } => {
            let limit = registry.limits.list_rows;
            let members = all(async |after| Ok(jobs::members(registry, &org, (after, limit)).await?)).await?;
            if context.json {
                output::json(&members);
                return Ok(());
            }
            members.iter().for_each(|one| output::line(format!("{:<5} {}", one.role, one.person)));
        }
        MemberCommand::Remove { org, user } => {
            jobs::remove_member(registry, (&org, &user)).await?;
            done(context, json!({ "removed": user }));
        }
    }
    Ok(())
}

/// Runs one of the access commands.
pub async fn access(context: Context, command: AccessCommand) -> Result<(), Failure> {
    let registry = wiring::open(&context.config).await?;
    let store = registry.store.clone();
    match command {
        AccessCommand::Set { id, private, public, gate } => {
            let row = model(&store, &id).await?;
            let private = (private || public).then_some(private);
            store.set_openness(row.id, Openness { private, gated: gate.map(|gate| gate.gating()) }).await?;
            let now = model(&store, &id).await?;
            done(&context, json!({ "model": now.name, "private": now.private, "gated": now.gated }));
        }
        AccessCommand::List { id, state } => {
            let row = model(&store, &id).await?;
            let most = context.config.limits.report_rows as u64;
            let rows = store.access_of(row.id, state, most).await?;
            if context.json {
                output::json(&rows);
                return Ok(());
            }
            rows.iter().for_each(|one| output::line(&one.person));
        }
        AccessCommand::Grant { id, user } => {
            jobs::somebody(&registry, &user).await?;
            decide(&context, &store, (&id, &user, GrantState::Accepted)).await?
        }
        AccessCommand::Revoke { id, user } => {
            decide(&context, &store, (&id, &user, GrantState::Rejected)).await?
        }
    }
    Ok(())
}

async fn decide(
    context: &Context,
    store: &Store,
    (id, user, state): (&str, &str, GrantState),
) -> Result<(), Failure> {
    let row = model(store, id).await?;
    jobs::account_name(user)?;
    store.decide_access((row.id, user), state, None).await?;
    done(context, json!({ "model": row.name, "user": user, "state": state }));
    Ok(())
}

async fn model(store: &Store, id: &str) -> Result<ModelRow, Failure> {
    let row = store.model_by_id(id).await?.filter(|row| !row.ghost);
    row.ok_or_else(|| {
        Failure::new("unknown_model", Class::NotFound, format!("`{id}` is not in this registry"))
    })
}

async fn remove(context: &Context, registry: &Registry, named: (&str, AccountKind)) -> Result<(), Failure> {
    jobs::remove_account(registry, named).await?;
    done(context, json!({ "removed": named.0 }));
    Ok(())
}

fn done(context: &Context, told: serde_json::Value) {
    if context.json {
        output::json(&told);
    }
}
