//! The page of a family tree over HTTP: what stands on it, and what can be taken away from it.

use std::sync::Arc;

use crate::fake::{Fake, HOSTILE};
use actix_web::{App, http::StatusCode, test, web::Data};

/// Status, headers as text, and body.
async fn get(mark: &str, address: &str) -> (StatusCode, String, String) {
    let source: Arc<dyn web::Source> = Arc::new(Fake { mark: mark.to_owned() });
    let app = App::new().app_data(Data::from(source)).configure(web::configure);
    let app = test::init_service(app).await;
    let answer = test::call_service(&app, test::TestRequest::get().uri(address).to_request()).await;
    let (status, headers) = (answer.status(), format!("{:?}", answer.headers()));
    (status, headers, String::from_utf8(test::read_body(answer).await.to_vec()).unwrap())
}

#[actix_web::test]
async fn each_edge_says_how_it_is_known_in_the_picture_in_its_tooltip_and_in_the_list() {
    let (_, _, page) = get("", "/org/name/lineage").await;

    let (picture, list) = page.split_once("</svg></div>").unwrap();
    for sign in ["adapter <tspan class=\"sign\">✓<", "“", "≈", "✗"] {
        assert!(picture.contains(sign), "no {sign}: {picture}");
    }
    assert!(picture.contains("declared in the card, contradicted by the weights"), "{picture}");
    assert!(list.contains("declared in the card, the weights agree"), "{list}");
    assert!(list.contains("claimed, not checked on weights"), "the legend says what a sign means: {list}");
}

#[actix_web::test]
async fn a_contradicted_further_parent_is_marked_wherever_it_is_named() {
    let (_, _, page) = get("", "/org/name/lineage").await;
    let (_, _, model) = get("", "/org/name").await;

    let further = page.split("<h2>Further parents</h2>").nth(1).unwrap().split("<h2").next().unwrap();
    assert!(further.contains("✗ contradicted by the weights"), "{further}");
    assert!(further.contains("Claimed as a parent") && !further.contains("Merged from"), "{further}");
    assert!(further.contains("The weights say: they descend from <code>o/else</code>"), "{further}");
    assert!(page.contains("class=\"further contradicted on\""), "{page}");
    assert!(page.contains("a further parent of org/name"), "{page}");
    let strip = model.split("class=\"strip\"").nth(1).unwrap().split("</p>").next().unwrap();
    assert!(strip.contains("✗"), "{strip}");
}

#[actix_web::test]
async fn numbers_that_are_known_stand_in_the_sentence_of_an_edge() {
    let (_, _, model) = get("", "/org/name").await;
    let (_, _, page) = get("", "/org/name/lineage").await;

    let told = "A copy of this model: declared in the card, declared in a tag, measured on the weights; \
                289 of 291 tensors are unchanged; created 12 days later.";
    assert!(model.contains(told), "{model}");
    assert!(
        page.contains("declared in the card, the weights agree; 289 of 291 tensors are unchanged"),
        "{page}"
    );
}

#[actix_web::test]
async fn a_group_opens_in_the_same_tree_and_an_opened_one_leads_to_its_list() {
    let (_, _, page) = get("", "/org/name/lineage?down=2").await;
    let (_, _, opened) = get("", "/org/name/lineage?down=2&open=adapter:org/name").await;

    let open = "/org/name/lineage?down=2&#38;open=adapter:org/name\" data-opens";
    assert!(page.contains(open) && page.contains("id=\"org/name\""), "{page}");
    assert!(page.contains("10 models drawn, 1\u{202f}000 more below them."), "{page}");
    assert!(!opened.contains(open) && opened.contains("/org/name/children?relation=adapter"), "{opened}");
}

#[actix_web::test]
async fn children_that_hang_elsewhere_are_counted_and_named() {
    let (_, _, page) = get("", "/org/name/lineage").await;
    let (_, _, model) = get("", "/org/name").await;
    let (_, _, children) = get("", "/org/name/children?relation=adapter").await;

    assert!(page.contains("8 of its 412 children hang under another parent"), "{page}");
    let further = page.split("Further children").nth(1).unwrap();
    assert!(further.contains("org/claims-it") && further.contains("✗ contradicted by the weights"));
    assert!(further.contains("Hangs under <a href=\"/org/other-parent\">") && further.contains("And 7 more"));
    assert!(model.contains("1 of them by a claim that the weights contradict"), "{model}");
    assert!(children.contains("✗ contradicted by the weights"), "{children}");
}

#[actix_web::test]
async fn the_picture_is_a_file_of_its_own_and_the_edges_are_offered_as_csv() {
    let (_, _, page) = get("", "/org/name/lineage?down=3").await;
    let (status, headers, svg) = get(HOSTILE, "/org/name/lineage?down=3&format=svg").await;
    let (refused, _, told) = get("", "/org/name/lineage?format=png").await;

    let plain = page.replace("&#38;", "&").replace("&amp;", "&");
    assert!(plain.contains("/org/name/lineage?down=3&format=svg"), "{plain}");
    assert!(plain.contains("/org/name/lineage?format=csv&up=all&down=3\""), "{plain}");
    assert!(status == StatusCode::OK && headers.contains("image/svg+xml"), "{headers}");
    assert!(headers.contains("attachment; filename=\\\"org-name.svg"), "{headers}");
    assert!(svg.starts_with("<svg xmlns") && svg.contains("<style>") && svg.contains("adapter"), "{svg}");
    assert!(!svg.contains("<script>") && !svg.contains("href="), "{svg}");
    assert!(refused == StatusCode::UNPROCESSABLE_ENTITY && told.contains("<code>png</code>"), "{told}");
}

#[actix_web::test]
async fn a_number_of_generations_that_is_none_is_refused() {
    let (status, _, told) = get("", "/org/name/lineage?down=abc").await;
    let (all, ..) = get("", "/org/name/lineage?up=all&down=all").await;

    assert!(status == StatusCode::UNPROCESSABLE_ENTITY && told.contains("<code>abc</code>"), "{told}");
    assert_eq!(all, StatusCode::OK);
}

#[actix_web::test]
async fn a_model_with_files_has_a_permanent_link() {
    let (_, _, page) = get("", "/org/name").await;

    let link = format!("href=\"/org/name/tree/sha256%3A{}\" data-permanent", "3f9a".repeat(16));
    assert!(page.contains(&link), "{page}");
}

#[actix_web::test]
async fn no_text_from_outside_becomes_markup() {
    let (status, _, page) = get(HOSTILE, "/org/name/lineage").await;

    assert!(status == StatusCode::OK && !page.contains("<script>"), "{page}");
}
