//! Advisories with names: filed, withdrawn, and carried down the tree to whoever descends from what they are about.

use std::collections::{BTreeSet, HashMap, HashSet};

use analysis::{
    export::Advisory,
    lineage::{Toward, Walk, ends},
};
use domain::{ANYBODY, Act, Digest, Item, Role};
use serde::Serialize;
use store::{AdvisoryKind, AdvisoryRow, ModelRow, NewAdvisory, Page, Severity};

use crate::{
    Error, Registry,
    faults::Faults,
    trust::{fits, names},
};

/// Longest link, bytes.
const LINK: usize = 2_048;

/// An advisory to be filed, by names.
#[derive(Debug, Clone)]
pub struct Filing {
    /// The model it is about.
    pub model: Option<String>,
    /// Or the digest of a revision or a file.
    pub digest: Option<String>,
    pub kind: AdvisoryKind,
    pub severity: Severity,
    /// One line.
    pub summary: String,
    pub details: String,
    /// Where to read more, http:// or https://.
    pub link: Option<String>,
    /// Who files it.
    pub person: String,
}

/// A model that an advisory reaches.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AffectedModel {
    pub model: String,
    /// Generations below the nearest model that the advisory is about.
    pub steps: usize,
    /// From that model down to this one.
    pub path: Descent,
    /// Whether nobody but the weights speaks for an edge of the path.
    pub by_weights: bool,
}

/// A way down, told whole or by its ends.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Descent {
    /// From the upper end to the lower one; of more than 64 the first and the last 32.
    pub names: Vec<String>,
    /// Models left out between the two halves.
    pub hidden: usize,
}

impl Descent {
    fn of(way: &[i64], name: impl Fn(&i64) -> String) -> Self {
        let (told, hidden) = ends(way);
        Self { names: told.map(name).collect(), hidden }
    }
}

/// One page of the models that an advisory reaches, nearest first.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Affected {
    /// Models reached in all.
    pub total: usize,
    pub items: Vec<AffectedModel>,
    pub next: Option<String>,
}

/// An advisory that reaches a model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Threat {
    pub advisory: Advisory,
    /// The model that it is about: the one asked for, or an ancestor.
    pub through: String,
    /// From that model down to the one asked for.
    pub path: Descent,
    /// Whether nobody but the weights speaks for an edge of the path.
    pub by_weights: bool,
}

/// The advisories that reach a model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Threats {
    /// The most severe first, at most `report_rows`.
    pub items: Vec<Threat>,
    /// Those beyond them.
    pub hidden: usize,
}

/// Files an advisory.
///
/// # Errors
/// All that is wrong with it at once: no or two subjects, an unknown model, texts over the limit, a link that is none.
pub async fn file_advisory(registry: &Registry, filing: Filing) -> Result<Advisory, Error> {
    let new = checked(registry, filing).await?;
    let id = registry.store.file_advisory(&new).await?;
    advisory(registry, &id).await
}

async fn checked(registry: &Registry, filing: Filing) -> Result<NewAdvisory, Error> {
    let given =
        |text: Option<String>| text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    let mut faults = Faults::default();
    let (model, digest, link) = (given(filing.model), given(filing.digest), given(filing.link));
    if model.is_some() == digest.is_some() {
        faults.say("/model", "an advisory is about a model or a digest: name one of the two");
    }
    let model = match model {
        None => None,
        Some(name) => {
            let row = registry.store.model_by_id(&name).await?;
            faults.at("/model", row.ok_or(Error::UnknownModel(name))).map(|row| row.id)
        }
    };
    let digest = digest.and_then(|text| faults.at("/digest", text.parse::<Digest>().map_err(Error::from)));
    let summary = filing.summary.split_whitespace().collect::<Vec<_>>().join(" ");
    if summary.is_empty() {
        faults.say("/summary", "an advisory needs a summary of one line");
    }
    faults.at("/summary", fits(registry, "summary", &summary));
    faults.at("/details", fits(registry, "text", &filing.details));
    if let Some(link) = &link {
        let web = ["http://", "https://"].iter().any(|scheme| link.starts_with(scheme));
        if !web || link.len() > LINK || link.contains(char::is_whitespace) {
            let told = "the link must be an http:// or https:// address of at most 2,048 bytes";
            faults.say("/link", told);
        }
    }
    let Filing { kind, severity, person, .. } = filing;
    let details = filing.details.trim().to_owned();
    faults.done(Some(NewAdvisory { model, digest, kind, severity, summary, details, link, person }))
}

/// Withdraws an advisory: it stays listed and reaches nobody any more.
///
/// # Errors
/// [`Error::UnknownAdvisory`], a reason over the limit, [`Error::NotAdmin`] for anybody but who filed it, an
/// administrator, and those who may publish in the namespace of its model.
pub async fn withdraw_advisory(
    registry: &Registry,
    id: &str,
    (person, reason): (&str, &str),
) -> Result<Advisory, Error> {
    fits(registry, "reason", reason)?;
    may_withdraw(registry, &row_of(registry, id).await?).await?;
    if !registry.store.withdraw_advisory(id, (person, reason.trim())).await? {
        return Err(unknown(id));
    }
    advisory(registry, id).await
}

/// Refuses those whose warning it is not. Where writes need no token, whoever has none has no name to be told by.
async fn may_withdraw(registry: &Registry, row: &AdvisoryRow) -> Result<(), Error> {
    let viewer = registry.store.viewer();
    let model = match row.model {
        Some(id) => registry.store.model(id).await?,
        None => None,
    };
    let namespace = model.as_ref().and_then(|model| model.org.as_deref());
    let filed = viewer.name.as_deref().is_some_and(|name| filed_by(&row.person, name));
    if filed || viewer.role_in(namespace) >= Some(Role::Write) {
        return Ok(());
    }
    let open = match &model {
        Some(model) => registry.store.may_with(Act::Write, model).await.is_ok(),
        None => true,
    };
    if open && (viewer.name.is_none() || row.person == ANYBODY) {
        return Ok(());
    }
    let who = "who filed it, an administrator, or somebody with the role write in its model's namespace";
    Err(Error::NotAdmin(who.to_owned()))
}

/// Whether the person written down, a user with the label of a token, is this user.
fn filed_by(person: &str, name: &str) -> bool {
    person.split(" (").next().is_some_and(|user| user.eq_ignore_ascii_case(name))
}

fn unknown(id: &str) -> Error {
    Error::UnknownAdvisory(id.chars().take(60).collect())
}

async fn row_of(registry: &Registry, id: &str) -> Result<AdvisoryRow, Error> {
    let row = registry.store.advisory(id).await?.ok_or_else(|| unknown(id))?;
    match row.model {
        Some(model) if registry.store.hidden().await?.contains(&model) => Err(unknown(id)),
        _ => Ok(row),
    }
}

/// One advisory.
///
/// # Errors
/// [`Error::UnknownAdvisory`].
pub async fn advisory(registry: &Registry, id: &str) -> Result<Advisory, Error> {
    let row = row_of(registry, id).await?;
    let names = names(registry, row.model.as_slice()).await?;
    Ok(named(row, &names))
}

/// One page of advisories, the latest first.
///
/// # Errors
/// A cursor of another list; when the database cannot be read.
pub async fn advisories(
    registry: &Registry,
    cursor: Option<&str>,
    limit: u64,
) -> Result<Page<Advisory>, Error> {
    let page = registry.store.advisories(cursor, limit).await?;
    let ids: Vec<i64> = page.items.iter().filter_map(|row| row.model).collect();
    let names = names(registry, &ids).await?;
    Ok(Page { items: page.items.into_iter().map(|row| named(row, &names)).collect(), next: page.next })
}

fn named(row: AdvisoryRow, names: &HashMap<i64, String>) -> Advisory {
    Advisory {
        // A model that was deleted since has no name any more.
        model: row.model.map(|id| names.get(&id).cloned().unwrap_or_else(|| "a deleted model".to_owned())),
        digest: row.digest.map(|digest| digest.to_string()),
        id: row.id,
        kind: row.kind.as_str().to_owned(),
        severity: row.severity.as_str().to_owned(),
        summary: row.summary,
        details: row.details,
        link: row.link,
        person: row.person,
        filed_at: row.filed_at,
        withdrawn_at: row.withdrawn_at,
        withdrawn_by: row.withdrawn_by,
        withdrawn_reason: row.withdrawn_reason,
    }
}

/// One page of the models that an advisory reaches: those that it is about and all their descendants, also by edges
/// that only the weights know. None for a withdrawn one.
///
/// # Errors
/// [`Error::UnknownAdvisory`], a cursor that is none.
pub async fn affected(
    registry: &Registry,
    id: &str,
    (cursor, limit): (Option<&str>, u64),
) -> Result<Affected, Error> {
    let row = row_of(registry, id).await?;
    let begin: usize = match cursor {
        None => 0,
        Some(text) => text.parse().map_err(|_| store::Error::BadCursor(text.chars().take(120).collect()))?,
    };
    let mut about: Vec<i64> = row.model.into_iter().collect();
    if let Some(digest) = &row.digest {
        about.extend(registry.store.models_with(digest).await?);
    }
    if row.withdrawn_at.is_some() {
        about.clear();
    }
    let forest = registry.forests.current().await?;
    let walk = forest.walk(&about, Toward::Descendants);
    let total = walk.models.len();
    let end = begin.saturating_add(usize::try_from(limit).unwrap_or(usize::MAX)).min(total);
    let name = |id: &i64| forest.node(*id).map(|node| node.name.to_owned()).unwrap_or_default();
    let items = (begin..end).map(|at| {
        let way = walk.path(at);
        let (model, steps) = (name(&walk.models[at].id), way.len().saturating_sub(1));
        AffectedModel { model, steps, path: Descent::of(&way, name), by_weights: walk.models[at].proposed }
    });
    let next = (end < total).then(|| end.to_string());
    Ok(Affected { total, items: items.collect(), next })
}

/// The advisories in force that reach a model, its own and those about ancestors, the most severe first; at most
/// `report_rows`.
///
/// # Errors
/// When the database cannot be read.
pub async fn advisories_of(registry: &Registry, row: &ModelRow) -> Result<Threats, Error> {
    let forest = registry.forests.current().await?;
    let walk = forest.walk(&[row.id], Toward::Ancestors);
    // A model newer than the forest has no ancestors yet.
    let mut about: Vec<i64> = walk.models.iter().map(|reached| reached.id).collect();
    if about.is_empty() {
        about.push(row.id);
    }
    let mut found = registry.store.advisories_about(&about).await?;
    found.sort_by(|a, b| b.1.severity.cmp(&a.1.severity).then_with(|| b.1.id.cmp(&a.1.id)));
    let hidden = found.len().saturating_sub(registry.limits.report_rows);
    found.truncate(registry.limits.report_rows);
    let mut ids: Vec<i64> =
        found.iter().flat_map(|(about, row)| [Some(*about), row.model]).flatten().collect();
    ids.push(row.id);
    let names = names(registry, &ids).await?;
    let threats = found.into_iter().map(|(about, row_found)| {
        let (path, by_weights) = way(&walk, about);
        let name = |id: &i64| {
            let known = || forest.node(*id).map(|node| node.name.to_owned());
            names.get(id).cloned().or_else(known).unwrap_or_default()
        };
        let path = Descent::of(&path, name);
        Threat { advisory: named(row_found, &names), through: name(&about), path, by_weights }
    });
    Ok(Threats { items: threats.collect(), hidden })
}

/// Those of some models that an advisory in force reaches.
///
/// # Errors
/// When the database cannot be read.
pub async fn advised(registry: &Registry, models: &[i64]) -> Result<HashSet<i64>, Error> {
    let forest = registry.forests.current().await?;
    let above = |id: i64| {
        let walk = forest.walk(&[id], Toward::Ancestors);
        walk.models.iter().map(|reached| reached.id).chain([id]).collect::<HashSet<i64>>()
    };
    let lines: Vec<(i64, HashSet<i64>)> = models.iter().map(|id| (*id, above(*id))).collect();
    let all: BTreeSet<i64> = lines.iter().flat_map(|(_, line)| line).copied().collect();
    let found = registry.store.advisories_about(&Vec::from_iter(all)).await?;
    let reached = |line: &HashSet<i64>| found.iter().any(|(about, _)| line.contains(about));
    Ok(lines.iter().filter(|(_, line)| reached(line)).map(|(id, _)| *id).collect())
}

/// What to mind of the models that something is to be made from: the most severe advisory that reaches each.
///
/// # Errors
/// When the database cannot be read.
pub async fn warned(registry: &Registry, models: &[String]) -> Result<Vec<Item>, Error> {
    let mut told = Vec::new();
    for name in BTreeSet::from_iter(models) {
        let Some(row) = registry.store.model_by_id(name).await? else { continue };
        let Some(Threat { advisory, through, .. }) =
            advisories_of(registry, &row).await?.items.into_iter().next()
        else {
            continue;
        };
        let whence = if through == row.name { String::new() } else { format!(", through `{through}`") };
        let (kind, severity) = (advisory.kind.replace('_', " "), advisory.severity);
        let message =
            format!("`{}` is under an advisory: {kind}, {severity}: {}{whence}", row.name, advisory.summary);
        told.push(Item { pointer: "/models".to_owned(), message });
    }
    Ok(told)
}

/// The way from an ancestor down to where a walk began, and whether it rests on the weights alone.
fn way(walk: &Walk, ancestor: i64) -> (Vec<i64>, bool) {
    let Some(at) = walk.models.iter().position(|reached| reached.id == ancestor) else {
        return (vec![ancestor], false);
    };
    let mut path = walk.path(at);
    path.reverse();
    (path, walk.models[at].proposed)
}

#[cfg(test)]
mod tests {
    use domain::{Limits, Metadata, RepoId, Viewer};
    use store::{AccountKind, AccountRow, Decision};

    use super::*;
    use crate::trust::{Ruling, rule};

    async fn registry(folder: &tempfile::TempDir) -> Registry {
        let store = crate::testing::store(folder).await;
        for name in ["alice", "bob"] {
            let (name, kind) = (name.to_owned(), AccountKind::User);
            store.add_account(&AccountRow { name, kind, admin: false, created_at: 0 }).await.unwrap();
        }
        for name in ["alice/open", "free/open"] {
            store.upsert(&[(Metadata::named(RepoId::parse(name).unwrap()), vec![])]).await.unwrap();
        }
        Registry::new(store, Limits::default(), folder.path().join("scratch"))
    }

    async fn seen_by(registry: &Registry, name: &str) -> Registry {
        let viewer = registry.store.viewer_named(name, Role::Admin).await.unwrap();
        Registry { store: registry.store.seen_by(viewer), ..registry.clone() }
    }

    fn filing(model: &str, person: &str) -> Filing {
        Filing {
            model: Some(model.to_owned()),
            digest: None,
            kind: AdvisoryKind::Recall,
            severity: Severity::High,
            summary: "recalled".to_owned(),
            details: String::new(),
            link: None,
            person: person.to_owned(),
        }
    }

    #[tokio::test]
    async fn a_warning_is_withdrawn_by_those_whose_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let house = registry(&folder).await;
        let (alice, bob) = (seen_by(&house, "alice").await, seen_by(&house, "bob").await);
        let nobody = Registry { store: house.store.seen_by(Viewer::default()), ..house.clone() };
        let cases = [
            ("alice/open", "alice (laptop)", &bob, false),
            ("alice/open", "alice (laptop)", &nobody, false),
            ("alice/open", "alice (laptop)", &alice, true),
            ("alice/open", "bob (work)", &bob, true),
            ("alice/open", "bob (work)", &alice, true),
            ("free/open", "alice (laptop)", &bob, false),
            ("free/open", "anybody", &nobody, true),
            ("alice/open", "alice (laptop)", &house, true),
        ];
        for (model, filer, who, allowed) in cases {
            let id = file_advisory(&house, filing(model, filer)).await.unwrap().id;

            let done = withdraw_advisory(who, &id, ("somebody", "")).await;

            assert_eq!(done.is_ok(), allowed, "{model} {filer}: {done:?}");
            let withdrawn = advisory(&house, &id).await.unwrap().withdrawn_at.is_some();
            assert_eq!(withdrawn, allowed);
        }
    }

    #[tokio::test]
    async fn an_edge_of_a_model_with_an_owner_is_ruled_by_its_members() {
        let folder = tempfile::tempdir().unwrap();
        let house = registry(&folder).await;
        let ruling = |child: &str| Ruling {
            child: child.to_owned(),
            parent: "a/base".to_owned(),
            decision: Decision::Add,
            relation: None,
            person: "somebody".to_owned(),
            reason: String::new(),
        };

        let strangers = rule(&seen_by(&house, "bob").await, ruling("alice/open")).await;
        let own = rule(&seen_by(&house, "alice").await, ruling("alice/open")).await;
        let free = rule(&seen_by(&house, "bob").await, ruling("free/open")).await;

        assert!(matches!(strangers, Err(Error::Store(store::Error::NotYours { .. }))), "{strangers:?}");
        assert!(own.is_ok() && free.is_ok(), "{own:?} {free:?}");
    }

    #[tokio::test]
    async fn what_is_made_from_a_model_under_an_advisory_is_warned_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let house = registry(&folder).await;
        let add = Ruling {
            child: "free/open".to_owned(),
            parent: "alice/open".to_owned(),
            decision: Decision::Add,
            relation: None,
            person: "anybody".to_owned(),
            reason: String::new(),
        };
        rule(&house, add).await.unwrap();
        file_advisory(&house, filing("alice/open", "alice (laptop)")).await.unwrap();
        let ids = ["alice/open", "free/open"];
        let [own, below] = ids.map(|name| house.store.model_by_id(name));
        let [own, below] = [own.await.unwrap().unwrap().id, below.await.unwrap().unwrap().id];

        let reached = advised(&house, &[own, below]).await.unwrap();
        let told = warned(&house, &["free/open".to_owned(), "/no/model".to_owned()]).await.unwrap();

        assert_eq!(reached, HashSet::from([own, below]));
        assert_eq!(told.len(), 1);
        assert!(told[0].message.starts_with("`free/open` is under an advisory: "), "{told:?}");
        assert!(told[0].message.ends_with(", through `alice/open`"), "{told:?}");
    }
}
