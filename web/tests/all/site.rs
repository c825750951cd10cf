//! What all pages share over HTTP: where one is, what is asked of the address, and parts that are pages too.

use std::sync::Arc;

use crate::fake::{Fake, HOSTILE};
use actix_web::{App, http::StatusCode, test, web::Data};

async fn ask(mark: &str, request: test::TestRequest) -> (StatusCode, String) {
    let source: Arc<dyn web::Source> = Arc::new(Fake { mark: mark.to_owned() });
    let app = App::new().app_data(Data::from(source)).configure(web::configure);
    let app = test::init_service(app).await;
    let answer = test::call_service(&app, request.to_request()).await;
    let status = answer.status();
    (status, String::from_utf8(test::read_body(answer).await.to_vec()).unwrap())
}

async fn get(address: &str) -> (StatusCode, String) {
    ask("", test::TestRequest::get().uri(address)).await
}

#[actix_web::test]
async fn the_navigation_says_where_one_is() {
    for (page, place) in [
        ("/search?search=x", "href=\"/search\" aria-current=\"page\""),
        ("/atlas", "href=\"/atlas\" aria-current=\"page\""),
        ("/kinship", "href=\"/kinship\" aria-current=\"page\""),
        ("/compare", "href=\"/compare\" aria-current=\"page\""),
        ("/merges/new", "href=\"/merges/new\" aria-current=\"page\""),
        ("/transfers/new", "href=\"/transfers/new\" aria-current=\"page\""),
        ("/jobs", "href=\"/jobs\" aria-current=\"page\""),
        ("/jobs/01JD8Z", "href=\"/jobs\" aria-current=\"true\""),
        ("/reports/drift", "href=\"/reports\" aria-current=\"true\""),
        ("/login", "href=\"/settings\" aria-current=\"true\""),
    ] {
        let (_, body) = get(page).await;

        let nav = body.split("</nav>").next().unwrap();
        assert!(nav.contains(place), "{page}: {nav}");
        assert_eq!(nav.matches("aria-current").count(), 1, "{page}: {nav}");
    }
    let (_, home) = get("/").await;
    assert!(!home.split("</nav>").next().unwrap().contains("aria-current"), "{home}");
}

#[actix_web::test]
async fn the_nearest_models_are_a_page_for_a_reader_and_a_part_for_the_script() {
    let (_, page) = get("/org/name/kin").await;
    let part = test::TestRequest::get().uri("/org/name/kin").insert_header(("HX-Request", "true"));
    let (_, part) = ask(HOSTILE, part).await;

    assert!(page.starts_with("<!doctype html>") && page.contains("<title>Nearest to org/name"), "{page}");
    assert!(page.contains("cosine of the weights about 0.988"));
    assert!(
        !part.contains("<html")
            && part.contains("cosine of the weights about 0.988")
            && !part.contains("<script>")
    );
}

#[actix_web::test]
async fn a_word_of_the_address_that_is_none_is_refused_with_those_there_are() {
    for (address, known) in [
        ("/search?sort=foo", "downloads, created, likes"),
        ("/merges/new?method=foo", "ties"),
        ("/org/name/lineage?up=foo", "a number of generations or <code>all</code>"),
    ] {
        let (status, told) = get(address).await;

        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{address}");
        assert!(told.contains("<code>foo</code>") && told.contains(known), "{address}: {told}");
    }
}

#[actix_web::test]
async fn only_who_is_signed_in_can_sign_out_and_a_merge_names_how_many_made_it() {
    let (_, known) = get("/login").await;
    let (_, stranger) = ask("nobody", test::TestRequest::get().uri("/login")).await;
    let (_, found) = get("/search?search=x").await;

    assert!(known.contains("action=\"/logout\"") && !stranger.contains("Sign out"), "{stranger}");
    assert!(found.contains("and <a href=\"/org/") && found.contains(">2 more</a>"), "{found}");
}

#[actix_web::test]
async fn a_list_with_work_in_it_asks_again_for_itself_with_and_without_scripts() {
    let (_, moving) = get("/jobs").await;
    let (_, older) = get("/jobs?cursor=older").await;

    assert!(moving.contains("hx-get=\"/jobs\" hx-trigger=\"every 3s\" hx-select=\"#jobs\""), "{moving}");
    assert!(moving.contains("<noscript><meta http-equiv=\"refresh\""), "{moving}");
    assert!(!older.contains("hx-trigger") && !older.contains("http-equiv=\"refresh\""), "{older}");
}

#[actix_web::test]
async fn a_licence_is_told_in_words_that_need_no_mouse() {
    let (_, found) = get("/search?search=x").await;
    let (_, families) = get("/families").await;

    let results = found.split("<ol class=\"results\">").nth(1).unwrap();
    assert!(results.contains("<div class=\"aside\">apache-2.0 · text-generation"), "{results}");
    for page in [results, &families] {
        assert!(page.contains("<span class=\"unseen\">permissive licence</span>"), "{page}");
    }
}

#[actix_web::test]
async fn lists_that_are_cut_tell_how_many_are_left_out() {
    let (_, families) = get("/families").await;
    let (_, model) = get("/org/name").await;
    let (_, tree) = get("/org/name/lineage").await;
    let (_, found) = get("/search?search=x").await;

    assert!(families.contains("The 200 largest of 559 families."), "{families}");
    assert!(families.contains("href=\"/families?cursor=200\""), "{families}");
    let (_, last) = get("/families?cursor=400").await;
    assert!(last.contains("Numbers 401 to 559 of 559 families, by size.") && !last.contains("rel=\"next\""));
    assert_eq!(get("/families?cursor=zz").await.0, 422);
    let more = "5 more advisories reach it: <a href=\"/api/v1/models/org/name/advisories\">";
    assert!(model.contains(more) && model.contains("And 7 more."), "{model}");
    assert!(model.contains("The latest 2; 6 stand before them."), "{model}");
    assert!(tree.contains("And 9 more."), "{tree}");
    assert!(found.contains("and 2 more: write <code>license:…</code> in the box"), "{found}");
}
