//! New models as an Atom feed.

use super::{Feed, graphml::escaped, pedigree::moment};

/// A model in a feed.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// `org/name`.
    pub id: String,
    /// Unix seconds.
    pub created_at: i64,
    /// Unix seconds.
    pub changed_at: i64,
    /// A line about it.
    pub about: String,
}

/// Models as an Atom feed (RFC 4287), in the order given.
pub fn arrivals(feed: &Feed, models: &[Arrival]) -> String {
    let own = escaped(&format!("{}{}", feed.site, feed.path));
    let updated = models.iter().map(|model| model.changed_at).max().unwrap_or_default();
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<feed xmlns=\"http://www.w3.org/2005/Atom\">\n\
         <title>{}</title>\n<id>{own}</id>\n<link rel=\"self\" href=\"{own}\"/>\n<updated>{}</updated>\n\
         <author><name>Stemma</name></author>\n",
        escaped(&feed.title),
        moment(updated),
    );
    for model in models {
        // Parts of ids need no escapes in an address.
        let page = escaped(&format!("{}/{}", feed.site, model.id));
        let author = model.id.split_once('/').map_or(model.id.as_str(), |(org, _)| org);
        text.push_str(&format!(
            "<entry><id>{page}</id><title>{}</title><link href=\"{page}\"/><published>{}</published>\
             <updated>{}</updated><author><name>{}</name></author><content type=\"text\">{}</content></entry>\n",
            escaped(&model.id),
            moment(model.created_at),
            moment(model.changed_at),
            escaped(author),
            escaped(&model.about),
        ));
    }
    text.push_str("</feed>\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feed_names_each_model_its_page_and_its_days_and_nothing_in_it_acts() {
        let site = "https://models.example".to_owned();
        let feed =
            Feed { title: "New & <old>".into(), site, path: "/api/v1/models.atom?author=o&sort=name".into() };
        let about = "a <b>".to_owned();
        let model = Arrival { id: "o/a".into(), created_at: 86_400, changed_at: 172_800, about };

        let xml = arrivals(&feed, &[model]);

        for part in [
            "<title>New &amp; &lt;old&gt;</title>",
            "?author=o&amp;sort=name",
            "<link href=\"https://models.example/o/a\"/>",
            "<published>1970-01-02T00:00:00Z</published><updated>1970-01-03T00:00:00Z</updated>",
            "<name>o</name>",
            "a &lt;b&gt;",
        ] {
            assert!(xml.contains(part), "{part} is not in {xml}");
        }
    }
}
