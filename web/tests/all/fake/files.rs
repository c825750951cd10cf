//! Files, namespaces and revisions of the fake.

use domain::Class;
use web::{Failure, Result, Source as _, view::*};

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
            "mergekit_config.yml" if name != "org/unmerged" => {
                FileBody::Text("merge_method: ties\n".to_owned())
            }
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

    pub fn revisions_page(&self, name: &str, (from, to): (&str, &str)) -> Result<Option<RevisionsPage>> {
        if name.starts_with("no/") {
            return Ok(None);
        }
        let commit = |oid: &str| CommitView {
            oid: format!("{oid}{}", self.mark),
            title: format!("Retrain{}", self.mark),
            ..CommitView::default()
        };
        let marked = |text: &str| format!("{text}{}", self.mark);
        let lists = vec![NameList { label: "Changed".into(), names: vec![marked("lm_head.weight")] }];
        Ok(Some(RevisionsPage {
            name: self.name(name),
            from: commit(from),
            to: commit(to),
            verdict: marked("The change is minor."),
            changes: vec![(marked("weights"), marked("one tensor"))],
            config: vec![FieldDiff { field: marked("rope.factor"), a: Some(marked("2")), b: None }],
            parts: vec![Differing { what: "Tensors", differing: 3, same: 40, lists }],
        }))
    }

    pub fn unless_wrong(&self, (word, wrong): (&str, &str), class: Class) -> Result<()> {
        if word == wrong { Err(Failure::new(class, "refused", format!("no{}", self.mark))) } else { Ok(()) }
    }
}
