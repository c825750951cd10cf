//! Advisories as other tools read them: OSV's JSON, Atom and JSON Feed.

use serde::Serialize;
use serde_json::{Value, json};

use super::{graphml::escaped, pedigree::moment, purl};

/// The version of OSV's schema that is followed.
const OSV: &str = "1.7.0";

/// A warning about a model, or about what has a digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Advisory {
    pub id: String,
    /// The model warned of.
    pub model: Option<String>,
    /// The digest of a revision or of a file warned of.
    pub digest: Option<String>,
    /// defect, recall, licence_change or dataset_takedown.
    pub kind: String,
    /// low, moderate, high or critical.
    pub severity: String,
    /// One line.
    pub summary: String,
    pub details: String,
    /// Where to read more.
    pub link: Option<String>,
    /// Who filed it.
    pub person: String,
    /// Unix seconds.
    pub filed_at: i64,
    /// Unix seconds, when it was taken back.
    pub withdrawn_at: Option<i64>,
    pub withdrawn_by: Option<String>,
    pub withdrawn_reason: Option<String>,
}

impl Advisory {
    /// What it is about, in words.
    pub fn subject(&self) -> &str {
        self.model.as_deref().or(self.digest.as_deref()).unwrap_or_default()
    }

    fn changed_at(&self) -> i64 {
        self.withdrawn_at.unwrap_or(self.filed_at)
    }

    fn title(&self) -> String {
        let withdrawn = if self.withdrawn_at.is_some() { "Withdrawn: " } else { "" };
        format!("{withdrawn}{} ({}, {}) in {}", self.summary, self.kind, self.severity, self.subject())
    }
}

/// An advisory as OSV has it; kind, severity and names are ours, under `database_specific`.
pub fn osv(advisory: &Advisory) -> Value {
    let mut affected = json!({});
    if let Some(model) = &advisory.model {
        let purl = purl::model_iri(model);
        affected["package"] = json!({ "ecosystem": "Hugging Face", "name": model, "purl": purl });
    }
    if let Some(digest) = &advisory.digest {
        affected["versions"] = json!([digest]);
    }
    let mut record = json!({
        "schema_version": OSV,
        "id": advisory.id,
        "published": moment(advisory.filed_at),
        "modified": moment(advisory.changed_at()),
        "summary": advisory.summary,
        "details": advisory.details,
        "affected": [affected],
        "references": advisory.link.iter().map(|url| json!({ "type": "ADVISORY", "url": url })).collect::<Vec<_>>(),
        "database_specific": {
            "kind": advisory.kind,
            "severity": advisory.severity,
            "filed_by": advisory.person,
        },
    });
    if let Some(at) = advisory.withdrawn_at {
        record["withdrawn"] = moment(at).into();
        record["database_specific"]["withdrawn_by"] = json!(advisory.withdrawn_by);
        record["database_specific"]["withdrawn_reason"] = json!(advisory.withdrawn_reason);
    }
    record
}

/// What a feed is about, and where it is.
#[derive(Debug, Clone)]
pub struct Feed {
    pub title: String,
    /// The address of the service, without a slash at its end.
    pub site: String,
    /// The feed's own address below it.
    pub path: String,
}

impl Feed {
    fn page(&self, advisory: &Advisory) -> String {
        format!("{}/advisories/{}", self.site, advisory.id)
    }
}

/// Advisories as an Atom feed (RFC 4287).
pub fn atom(feed: &Feed, advisories: &[Advisory]) -> String {
    let own = format!("{}{}", feed.site, feed.path);
    let updated = advisories.iter().map(Advisory::changed_at).max().unwrap_or_default();
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<feed xmlns=\"http://www.w3.org/2005/Atom\">\n\
         <title>{}</title>\n<id>{own}</id>\n<link rel=\"self\" href=\"{own}\"/>\n<updated>{}</updated>\n\
         <author><name>Stemma</name></author>\n",
        escaped(&feed.title),
        moment(updated),
        own = escaped(&own),
    );
    for advisory in advisories {
        text.push_str(&format!(
            "<entry><id>urn:stemma:advisory:{}</id><title>{}</title><link href=\"{}\"/><published>{}</published>\
             <updated>{}</updated><author><name>{}</name></author><content type=\"text\">{}</content></entry>\n",
            escaped(&advisory.id),
            escaped(&advisory.title()),
            escaped(&feed.page(advisory)),
            moment(advisory.filed_at),
            moment(advisory.changed_at()),
            escaped(&advisory.person),
            escaped(&advisory.details),
        ));
    }
    text.push_str("</feed>\n");
    text
}

/// Advisories as a JSON Feed 1.1.
pub fn json_feed(feed: &Feed, advisories: &[Advisory]) -> Value {
    let item = |advisory: &Advisory| {
        json!({
            "id": format!("urn:stemma:advisory:{}", advisory.id),
            "url": feed.page(advisory),
            "title": advisory.title(),
            "content_text": advisory.details,
            "date_published": moment(advisory.filed_at),
            "date_modified": moment(advisory.changed_at()),
            "authors": [{ "name": advisory.person }],
            "tags": [advisory.kind, advisory.severity],
        })
    };
    json!({
        "version": "https://jsonfeed.org/version/1.1",
        "title": feed.title,
        "home_page_url": format!("{}/advisories", feed.site),
        "feed_url": format!("{}{}", feed.site, feed.path),
        "items": advisories.iter().map(item).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn advisory() -> Advisory {
        Advisory {
            id: "STM-1".into(),
            model: Some("org/base".into()),
            digest: None,
            kind: "recall".into(),
            severity: "high".into(),
            summary: "Leaks <secrets> & more".into(),
            details: "Stop\u{1} using it.".into(),
            link: Some("https://example.org/a".into()),
            person: "ann".into(),
            filed_at: 1_732_400_000,
            withdrawn_at: None,
            withdrawn_by: None,
            withdrawn_reason: None,
        }
    }

    #[test]
    fn an_advisory_is_an_osv_record_and_says_when_it_was_withdrawn() {
        let withdrawn = Advisory { withdrawn_at: Some(1_732_400_060), ..advisory() };

        let (open, closed) = (osv(&advisory()), osv(&withdrawn));

        assert_eq!(open["published"], "2024-11-23T22:13:20Z");
        assert_eq!(open["affected"][0]["package"]["name"], "org/base");
        assert_eq!(open["affected"][0]["package"]["purl"], "pkg:huggingface/org/base");
        let other = osv(&Advisory { model: Some("org/a b".into()), ..advisory() });
        assert_eq!(other["affected"][0]["package"]["purl"], "pkg:huggingface/org/a%20b");
        assert!(open.get("withdrawn").is_none());
        assert_eq!(
            (&closed["withdrawn"], &closed["modified"]),
            (&json!("2024-11-23T22:14:20Z"), &closed["withdrawn"])
        );
    }

    #[test]
    fn feeds_escape_what_people_write() {
        let feed = Feed { title: "A & B".into(), site: "http://x".into(), path: "/feed".into() };

        let (xml, json) = (atom(&feed, &[advisory()]), json_feed(&feed, &[advisory()]));

        assert!(xml.contains("Leaks &lt;secrets&gt; &amp; more") && !xml.contains('\u{1}'), "{xml}");
        assert!(xml.contains("<link href=\"http://x/advisories/STM-1\"/>"), "{xml}");
        assert_eq!(json["items"][0]["url"], "http://x/advisories/STM-1");
    }
}
