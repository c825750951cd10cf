//! What stands behind a database's refusal, in words that say what to do.

use sea_orm::{DbErr, RuntimeErr, sqlx};

/// Kinds of refusals that somebody can do something about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// Somebody else writes, or the database starts or fails over.
    Busy,
    /// Its disk is full.
    Full,
    /// It can be read only.
    ReadOnly,
    /// Its disk or the way to it fails.
    Silent,
    /// Its file is not what was written.
    Damaged,
    /// Its schema is of a later version of this program.
    Newer,
    /// A value or a text is longer than it holds.
    TooLong,
    /// Anything else: a fault of this program.
    Other,
}

impl Trouble {
    pub fn of(error: &DbErr) -> Self {
        let runtime = match error {
            DbErr::Conn(RuntimeErr::SqlxError(error)) => match &**error {
                sqlx::Error::Database(_) => return Self::of_sqlx(error),
                _ => return Self::Silent,
            },
            DbErr::Conn(_) | DbErr::ConnectionAcquire(_) => return Self::Silent,
            DbErr::Exec(error) | DbErr::Query(error) => error,
            DbErr::Custom(text) if text.starts_with("Migration file of version") => return Self::Newer,
            _ => return Self::Other,
        };
        let RuntimeErr::SqlxError(error) = runtime else { return Self::Other };
        Self::of_sqlx(error)
    }

    fn of_sqlx(error: &sqlx::Error) -> Self {
        match error {
            sqlx::Error::Io(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => Self::Silent,
            sqlx::Error::Database(error) => error.code().map_or(Self::Other, |code| Self::of_code(&code)),
            _ => Self::Other,
        }
    }

    /// Of SQLite's extended result codes and PostgreSQL's states of five characters.
    fn of_code(code: &str) -> Self {
        if code.len() == 5 {
            return match code {
                // Somebody else has a lock, or had this one too long without using it.
                "40001" | "40P01" | "55P03" | "25P03" => Self::Busy,
                "53100" => Self::Full,
                "25006" => Self::ReadOnly,
                "54000" => Self::TooLong,
                _ if code.starts_with("08") || code.starts_with("57P0") || code == "53300" => Self::Silent,
                _ if code.starts_with("XX") => Self::Damaged,
                _ => Self::Other,
            };
        }
        match code.parse::<i32>().map(|code| code & 0xff) {
            Ok(5 | 6) => Self::Busy,
            Ok(8) => Self::ReadOnly,
            Ok(10 | 14) => Self::Silent,
            Ok(11 | 26) => Self::Damaged,
            Ok(13) => Self::Full,
            Ok(18) => Self::TooLong,
            _ => Self::Other,
        }
    }

    /// Whether the same may be answered a little later.
    pub const fn passes(self) -> bool {
        matches!(self, Self::Busy | Self::Full | Self::ReadOnly | Self::Silent)
    }
}

/// The refusal with what would help.
pub fn told(error: &DbErr) -> String {
    match Trouble::of(error) {
        Trouble::Busy => "another process is writing to the database; try again in a moment".to_owned(),
        Trouble::Full => "the disk of the database is full; make room there and try again".to_owned(),
        Trouble::ReadOnly => read_only(),
        Trouble::Silent => format!(
            "the database does not answer ({error}); see that it runs and that the setting `database` names it"
        ),
        Trouble::Damaged => format!("the database is damaged ({error}); restore it from a backup"),
        Trouble::Newer => {
            format!("this registry was written by a newer Stemma; use that version or a later one ({error})")
        }
        Trouble::TooLong | Trouble::Other => format!("the database refused: {error}"),
    }
}

pub fn read_only() -> String {
    "the database can be read but not written; see who owns its file and folder and how its disk is mounted"
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::Trouble;

    #[test]
    fn codes_of_both_databases_say_what_to_do() {
        let kinds = [
            "5", "517", "13", "18", "8", "1032", "11", "26", "10", "1555", "53100", "40001", "55P03",
            "25P03", "57P03", "54000", "23505",
        ];

        assert_eq!(
            kinds.map(Trouble::of_code),
            [
                Trouble::Busy,
                Trouble::Busy,
                Trouble::Full,
                Trouble::TooLong,
                Trouble::ReadOnly,
                Trouble::ReadOnly,
                Trouble::Damaged,
                Trouble::Damaged,
                Trouble::Silent,
                Trouble::Other,
                Trouble::Full,
                Trouble::Busy,
                Trouble::Busy,
                Trouble::Busy,
                Trouble::Silent,
                Trouble::TooLong,
                Trouble::Other
            ]
        );
    }
}
