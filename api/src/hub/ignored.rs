//! Files that an upload leaves out, since a `.gitignore` names them.

use http::{Problem, Result};
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use jobs::Registry;
use store::FileRow;

/// The patterns of one `.gitignore` at the root of a repository.
pub struct Ignored(Gitignore);

impl Ignored {
    /// The patterns that a request brings, else those of the file that is stored. A pattern that cannot be read names
    /// nothing, as in git.
    ///
    /// # Errors
    /// 400 for more than `ignore_bytes`: going on without them would publish what they keep back.
    pub async fn of(registry: &Registry, sent: Option<&str>, stored: &[FileRow]) -> Result<Self> {
        let most = registry.limits.ignore_bytes;
        let file = stored.iter().find(|file| file.path == ".gitignore");
        let text = match (sent, file) {
            (Some(text), _) => within(most, text.len() as u64).map(|()| text.to_owned())?,
            (None, Some(file)) => {
                within(most, file.size)?;
                registry.store.read_text(&file.digest, most).await?
            }
            (None, None) => String::new(),
        };
        Self::read(&text)
    }

    fn read(text: &str) -> Result<Self> {
        let mut patterns = GitignoreBuilder::new("");
        for line in text.lines() {
            let _ = patterns.add_line(None, line);
        }
        let built = patterns.build();
        built
            .map(Self)
            .map_err(|error| Problem::bad_request(format!("the .gitignore cannot be read: {error}")))
    }

    /// Whether the upload leaves this file out: it or a folder that it lies in is named.
    pub fn names(&self, path: &str) -> bool {
        self.0.matched_path_or_any_parents(path, false).is_ignore()
    }
}

fn within(most: u64, size: u64) -> Result<()> {
    if size <= most {
        return Ok(());
    }
    let told = format!("the .gitignore has {size} bytes; at most {most} are read (limit `ignore_bytes`)");
    Err(Problem::bad_request(told))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_mean_what_they_mean_to_git() {
        let ignored =
            Ignored::read("\u{feff}# no pattern\n.env\n*.pem\n!public.pem\n/out/\n[bad\nlogs/**/x\n")
                .unwrap();

        for path in [".env", "a/.env", "key.pem", "out/deep/file", "logs/a/b/x"] {
            assert!(ignored.names(path), "{path}");
        }
        for path in ["env", "public.pem", "a/out/file", "out", "README.md", "# no pattern"] {
            assert!(!ignored.names(path), "{path}");
        }
    }
}
