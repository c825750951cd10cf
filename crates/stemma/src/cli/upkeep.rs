//! What keeps a registry in order.

use std::path::PathBuf;

use clap::Subcommand;
use clap_complete::Shell;

#[derive(Debug, Subcommand)]
pub enum UpkeepCommand {
    /// Bring the database schema up to date, as any command does that opens the registry.
    Migrate,
    /// Check database, blob store and device.
    Doctor,
    /// Read stored files again and compare them with their digests: those of the models named, or all.
    Fsck {
        /// Ids [default: all models].
        models: Vec<String>,
    },
    /// Remove stored blobs that nothing names, once they are older than `unnamed_blob_seconds` (48 hours).
    Gc {
        /// Only say what would be removed.
        #[arg(long)]
        dry_run: bool,
    },
    /// Copy the registry into a folder, while it is in use; into one with an earlier copy only what is new.
    Backup {
        /// Folder of the copy, made when it is not there.
        folder: PathBuf,
        /// Only the blobs, where the database is copied by its own means: PostgreSQL by pg_dump.
        #[arg(long)]
        blobs_only: bool,
    },
    /// Make a registry out of a copy, where there is none yet.
    Restore {
        /// Folder of the copy.
        folder: PathBuf,
        /// Only the blobs, where the database is restored by its own means: PostgreSQL by pg_restore.
        #[arg(long)]
        blobs_only: bool,
    },
    /// Print a script that completes commands and options in a shell.
    Completions {
        /// Which shell.
        shell: Shell,
    },
}
