//! Files and namespaces of the fake.

use web::{Result, Source as _, view::*};

use super::Fake;

/// A name of an address and the revision after its `@`.
pub fn revision(text: &str) -> (&str, Option<String>) {
    text.split_once('@').map_or((text, None), |(name, at)| (name, Some(at.to_owned())))
}

impl Fake {
    /// `main` and `dev/x` are revisions; what is asked of them tells what kind of file it is.
    pub fn file_page(&self, name: &str, place: &[String]) -> Option<FilePage> {
        let name = if name == "org/case" { "Org/Case" } else { name };
        if name.starts_with("no/") {
            return None;
        }
        let (at, path) = match place {
            [dev, x, path @ ..] if dev == "dev" && x == "x" => ("dev/x".to_owned(), path.join("/")),
            [at, path @ ..] => (at.clone(), path.join("/")),
            [] => return None,
        };
        let tensor = TensorLine {
            name: format!("w{}", self.mark),
            dtype: "BF16".into(),
            shape: "4 × 2".into(),
            bytes: 16,
            begin: 0,
        };
        let body = match path.as_str() {
            text if text.ends_with(".txt") => FileBody::Text(format!("one\n  two{}", self.mark)),
            weights if weights.ends_with(".safetensors") => FileBody::Tensors(vec![tensor], 2_000),
            _ => FileBody::Unshown(format!("It is not text{}", self.mark)),
        };
        let digest = format!("sha256:{}", "3f9a".repeat(16));
        let file = FileRow {
            path,
            size: 812,
            digest: digest.clone(),
            verified_at: Some(1_720_000_000),
            damaged: false,
        };
        Some(FilePage { name: Name::from(name), at, digest, file, body })
    }

    /// Everybody is a member of `acme`; nothing is in `nowhere`.
    pub async fn namespace_page(&self, name: &str) -> Result<Option<NamespacePage>> {
        if name == "nowhere" {
            return Ok(None);
        }
        let items = self.search(&SearchQuery::default()).await?.items;
        let members = (name == "acme").then(|| vec![(format!("ann{}", self.mark), "admin")]);
        let name = format!("{name}{}", self.mark);
        Ok(Some(NamespacePage { name, items, total: Some(1_234), members, more_members: true }))
    }
}
