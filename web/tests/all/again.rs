//! The page of a model: what readers look for first, and how what was made is taken up again and shown elsewhere.

use crate::asking::{ask, get};
use crate::fake::HOSTILE;
use actix_web::{http::StatusCode, test::TestRequest};

#[actix_web::test]
async fn the_five_facts_that_readers_look_for_come_first_also_where_nobody_states_them() {
    let (_, _, page) = get("/org/name").await;

    let facts = page.split("<section class=\"facts\"").nth(1).unwrap();
    let labels: Vec<&str> =
        facts.split("<dt>").skip(1).take(5).map(|part| part.split("</dt>").next().unwrap()).collect();
    assert_eq!(labels, ["Task", "Training data", "How to use", "Limits", "Licence"]);
    assert!(facts.contains("<dt>Limits</dt><dd>not stated</dd>"), "{facts}");
    assert!(facts.contains("<a href=\"#get\">hf download org/name</a>") && page.contains("id=\"get\""));
}

#[actix_web::test]
async fn a_recipe_is_taken_up_again_in_the_builder() {
    let (_, _, page) = get("/org/name").await;
    let link = page.split("\">Use this recipe</a>").next().unwrap().rsplit('"').next().unwrap();
    assert!(link.starts_with("/merges/new?from=org%2Fname%40sha256%3A3f9a"), "{link}");

    let (status, _, builder) = get(link).await;
    let (lost, _, told) = get("/merges/new?from=org/unmerged").await;

    assert!(status == StatusCode::OK && builder.contains("merge_method: ties\n</textarea>"), "{builder}");
    assert!(lost == StatusCode::NOT_FOUND && told.contains("No recipe of a merge"), "{told}");
}

#[actix_web::test]
async fn a_badge_says_what_a_model_descends_from_and_how_that_is_known() {
    let (status, _, svg) = get("/org/name/badge.svg").await;
    let (_, _, page) = get("/org/name").await;
    let (gone, _, _) = get("/no/name/badge.svg").await;
    let (_, _, hostile) = ask(HOSTILE, TestRequest::get().uri("/org/name/badge.svg")).await;

    assert!(status == StatusCode::OK && svg.starts_with("<svg "), "{svg}");
    assert!(svg.contains("derived from") && svg.contains("meta-llama/Llama-3.1-8B ✓ verified"), "{svg}");
    assert!(page.contains("/org/name/badge.svg)]("), "{page}");
    assert_eq!(gone, StatusCode::NOT_FOUND);
    assert!(!hostile.contains("<script>") && !hostile.contains("\" onmouseover"), "{hostile}");
}

#[actix_web::test]
async fn siblings_stand_under_the_parents_and_results_have_a_feed_of_what_is_new() {
    let (_, _, page) = get("/org/name").await;
    let (_, _, found) = get("/search?search=llama&license=mit&tag=a&tag=b&sort=name").await;

    assert!(page.contains("<a href=\"/org/sister\">org/sister</a> and 2 more."), "{page}");
    let link = "href=\"/api/v1/models.atom?search=llama&#38;license=mit&#38;tag=a%2Cb\"";
    assert!(found.contains(link) && found.contains("application/atom+xml"), "{found}");
}
