//! Which models hold a tensor of a name: read from indexes, a page at a time.

use sea_orm::{DatabaseTransaction, DbBackend};

use crate::{
    Error, Page, Result, Store,
    models::{LIGHT, ModelRow, light},
    rows::get,
    sql::{self, Params},
};

/// Names looked at on each side of one that nobody holds.
const AROUND: usize = 4;

/// Where names of tensors stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Tensors of stored weights.
    Stored,
    /// Tensors known by their headers.
    Headers,
}

impl Part {
    const ALL: [Self; 2] = [Self::Stored, Self::Headers];

    const fn word(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::Headers => "headers",
        }
    }

    /// The column of names, compared byte by byte.
    fn name(self, backend: DbBackend) -> &'static str {
        match (self, backend) {
            (Self::Stored, DbBackend::Postgres) => "tensors.name COLLATE \"C\"",
            (Self::Stored, _) => "tensors.name",
            (Self::Headers, _) => "shape_names.name",
        }
    }

    const fn table(self) -> &'static str {
        match self {
            Self::Stored => "tensors",
            Self::Headers => "shape_names",
        }
    }

    /// The number that pages go down by, and the rows with their models.
    const fn joined(self) -> (&'static str, &'static str) {
        match self {
            Self::Stored => (
                "tensors.revision",
                "tensors JOIN revisions ON revisions.id = tensors.revision
                 JOIN models ON models.id = revisions.model AND models.revision = tensors.revision",
            ),
            Self::Headers => (
                "shape_names.model",
                "shape_names JOIN models ON models.id = shape_names.model AND NOT models.has_weights",
            ),
        }
    }
}

impl Store {
    /// Models that hold a tensor of this name now: those whose weights are stored, the latest revision first, then those
    /// known by their headers. Cards and configs are left out.
    ///
    /// # Errors
    /// [`Error::BadCursor`]; when the database cannot be read.
    pub async fn holders(&self, tensor: &str, cursor: Option<&str>, limit: u64) -> Result<Page<ModelRow>> {
        let (begin, mut after) = match cursor {
            None => (Part::Stored, i64::MAX),
            Some(cursor) => {
                let bad = || Error::bad_cursor(cursor);
                let (word, place) = cursor.split_once('.').ok_or_else(bad)?;
                let part = Part::ALL.into_iter().find(|part| part.word() == word).ok_or_else(bad)?;
                (part, place.parse().map_err(|_| bad())?)
            }
        };
        let room = usize::try_from(limit.clamp(1, 10_000)).unwrap_or(1);
        let mut found: Vec<(Part, i64, ModelRow)> = Vec::new();
        for part in Part::ALL.into_iter().skip_while(|part| *part != begin) {
            let (place, rows) = part.joined();
            let mut params = Params::default();
            let name = format!("{} = {}", part.name(self.backend()), params.add(sql::text(tensor)));
            let below = params.add(after);
            let visible = self.and_visible(&mut params);
            let sql = format!(
                "SELECT {place} AS place, {LIGHT} FROM {rows} WHERE {name} AND {place} < {below} {visible}
                 ORDER BY {place} DESC LIMIT {}",
                room + 1 - found.len()
            );
            for row in sql::all(self.db(), &sql, params).await? {
                let place = get(&row, "place")?;
                let row = light(&row)?;
                self.eyes().meet(&row);
                found.push((part, place, row));
            }
            if found.len() > room {
                break;
            }
            after = i64::MAX;
        }
        let page = Page::of(found, room as u64, |(part, place, _)| format!("{}.{place}", part.word()));
        Ok(page.map(|(.., row)| row))
    }

    /// Names of tensors that stand next to `name` in the order of bytes, whoever holds them.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn tensor_names_around(&self, name: &str) -> Result<Vec<String>> {
        let mut around = Vec::new();
        for part in Part::ALL {
            for (than, order) in [(">=", "ASC"), ("<", "DESC")] {
                let (mut from, mut than) = (sql::text(name), than);
                for _ in 0..AROUND {
                    let (column, table) = (part.name(self.backend()), part.table());
                    let mut params = Params::default();
                    let sql = format!(
                        "SELECT {column} AS name FROM {table} WHERE {column} {than} {} ORDER BY {column} {order} LIMIT 1",
                        params.add(from.as_str())
                    );
                    let Some(row) = sql::one(self.db(), &sql, params).await? else { break };
                    from = get(&row, "name")?;
                    than = than.trim_end_matches('=');
                    if !around.contains(&from) {
                        around.push(from.clone());
                    }
                }
            }
        }
        Ok(around)
    }
}

/// Keeps the names of a model's tensors that are known by their headers, instead of those kept before.
pub async fn name_shapes(
    tx: &DatabaseTransaction,
    model: i64,
    names: impl Iterator<Item = &str>,
) -> Result<()> {
    let mut params = Params::default();
    let sql = format!("DELETE FROM shape_names WHERE model = {}", params.add(model));
    sql::run(tx, &sql, params).await?;
    let rows = names.map(|name| vec![sql::text(name).into(), model.into()]).collect();
    sql::insert(tx, ("shape_names", &["name", "model"]), rows, "ON CONFLICT DO NOTHING").await
}
