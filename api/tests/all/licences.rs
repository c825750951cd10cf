//! The licence of what is merged from models under different ones.

use crate::support::Place;

const SOUP: &str = "merge_method: linear\nmodels: [{model: o/a}, {model: o/b}]\nparameters: {weight: 1}\n";

#[actix_web::test]
async fn a_merge_states_the_licence_that_keeps_all_others_and_its_record_warns() {
    for (licences, stated) in [
        (["apache-2.0", "cc-by-nc-4.0"], "cc-by-nc-4.0"),
        (["llama3", "gemma"], "other"),
        (["mit", "mit"], "mit"),
    ] {
        let place = Place::new().await;
        place.ingest("o/a", (1.0, licences[0])).await;
        place.ingest("o/b", (2.0, licences[1])).await;

        let job = place.worked(&place.merge(SOUP, "o/soup").await).await;

        assert_eq!(job.body["state"], "succeeded", "{job:?}");
        let model = place.get("/api/v1/models/o/soup").await;
        assert_eq!(model.body["license"], stated, "{model:?}");
        let record = place.get("/api/v1/models/o/soup/provenance").await;
        let warned = record.body["warnings"].to_string();
        let differ = licences[0] != licences[1];
        assert_eq!(warned.contains("different licences"), differ, "{licences:?}: {warned}");
        assert!(!differ || licences.iter().all(|licence| warned.contains(licence)), "{warned}");
    }
}
