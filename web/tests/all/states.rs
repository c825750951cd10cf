//! What links and forms of a page keep of what is asked, and what is told where nothing is known.

use crate::asking::{ask, get};
use crate::fake::HOSTILE;
use actix_web::{http::StatusCode, test};

/// A page with its addresses as they are.
async fn page(address: &str) -> String {
    get(address).await.2.replace("&#38;", "&")
}

#[actix_web::test]
async fn the_form_of_a_tree_has_the_depth_that_is_drawn_and_the_groups_that_are_open() {
    let tree = page("/org/name/lineage?up=3&down=4&open=merge:org/a").await;
    let usual = page("/org/name/lineage?up=2").await;

    let form = tree.split("</form>").find(|part| part.contains("name=\"down\"")).unwrap();
    for part in [
        "<option value=\"3\" selected>3</option><option value=\"5\">",
        "<option selected>4</option><option>5",
        "name=\"open\" value=\"merge:org/a\"",
    ] {
        assert!(form.contains(part), "no {part}: {form}");
    }
    assert!(!usual.contains("name=\"open\"") && usual.contains("<option value=\"2\" selected>2"), "{usual}");
}

#[actix_web::test]
async fn links_of_a_comparison_keep_its_revisions_its_view_its_narrowing_and_its_order() {
    let here = "/compare/a/b@v1...c/d@v2";
    let compared = page(&format!("{here}?view=base&module=up&layer=0&sort=cosine")).await;
    let bare = page("/compare/a/b...c/d?module=up&layer=0").await;

    for link in [
        "href=\"/compare/c/d@v2...a/b@v1?view=base&module=up&layer=0&sort=cosine\">Swap the two",
        "href=\"/compare/a/b...c/d?view=base&module=up&layer=0&sort=cosine\">Compare them as they are now",
        &format!("href=\"{here}?view=base&sort=cosine#tensors\" aria-label=\"Drop up, layer 0\""),
        &format!("href=\"{here}?view=base&sort=cosine&module=down&layer=1#tensors\""),
        &format!("href=\"{here}?view=base&module=up&layer=0&sort=elements#tensors\""),
    ] {
        assert!(compared.contains(link), "no {link}: {compared}");
    }
    let permanent = compared.split("\" data-permanent").next().unwrap().rsplit('"').next().unwrap();
    assert!(permanent.ends_with("?view=base&module=up&layer=0&sort=cosine"), "{permanent}");
    assert!(bare.contains("href=\"/compare/a/b...c/d?view=base&module=up&layer=0#base\""), "{bare}");
    assert!(bare.contains("href=\"/compare/a/b...c/d#tensors\" aria-label=\"Drop"), "{bare}");
}

#[actix_web::test]
async fn a_comparison_narrowed_to_nothing_says_so_and_leads_back() {
    let compared = page("/compare/a/b...c/d?module=none&layer=9").await;
    let part = page("/compare/a/b...c/d?module=embed&layer=embed").await;

    assert!(compared.contains("<h2 id=\"tensors\">") && compared.contains("No tensor there is measured"));
    assert!(compared.contains("href=\"/compare/a/b...c/d#tensors\" aria-label=\"Drop none, layer 9\""));
    assert!(part.contains("aria-label=\"Drop embed\""), "{part}");
    let hostile = test::TestRequest::get().uri("/compare/a/b...c/d?module=%3Cscript%3E&layer=9");
    assert!(!ask(HOSTILE, hostile).await.2.contains("<script>"));
}

#[actix_web::test]
async fn progress_that_is_not_known_is_no_number_and_one_that_is_belongs_to_its_step() {
    let begun = page("/jobs/begun").await;
    let running = page("/jobs/01JD8Z").await;

    assert!(begun.contains("<progress max=\"100\" aria-label=") && !begun.contains("0%"), "{begun}");
    assert!(running.contains("value=\"40\"") && running.contains(">40% of this step<"), "{running}");
    assert!(!page("/jobs/stopped").await.contains("<progress"), "nothing moves any more");
    assert!(running.contains("6.00\u{202f}GiB of 15.0\u{202f}GiB"), "{running}");
}

#[actix_web::test]
async fn a_log_says_on_which_day_its_lines_were_written() {
    let job = page("/jobs/01JD8Z").await;

    let log = job.split("<h2>Log, UTC</h2>").nth(1).unwrap().split("</ol>").next().unwrap();
    let days: Vec<bool> = log.split("<li>").skip(1).map(|line| line.starts_with("<b>")).collect();
    assert_eq!(days, [true, false, true], "{log}");
    assert!(log.contains("<b>23\u{a0}Nov\u{a0}2024</b>"), "{log}");
}

#[actix_web::test]
async fn what_a_merge_lacks_is_told_at_its_field() {
    let post = test::TestRequest::post().uri("/merges/new").set_payload("method=linear");

    let (status, _, refused) = ask("", post).await;

    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.contains(">mergekit YAML</a>: a recipe is needed"), "{refused}");
    assert!(refused.contains(">Name of the new model</a>: a name is needed"), "{refused}");
    assert_eq!(refused.matches("aria-invalid=").count(), 2, "{refused}");
}

#[actix_web::test]
async fn every_relation_of_an_icicle_but_the_plain_one_has_a_pattern_in_the_picture_and_in_the_legend() {
    let (_, _, icicle) = get("/org/name/icicle").await;
    let (_, _, home) = get("/").await;
    let style = home.split('"').find(|part| part.starts_with("/static/stemma.css")).unwrap().to_owned();
    let (_, _, style) = get(&style).await;

    for relation in ["adapter", "quantized", "merge", "transfer", "conversion", "distil"] {
        assert!(icicle.contains(&format!("<pattern id=\"low-{relation}\"")), "{relation}: {icicle}");
        assert!(icicle.contains(&format!("<rect class=\"bar low rel-{relation}\"")), "{relation}: {icicle}");
        assert!(
            style.contains(&format!(".low.rel-{relation} {{ fill: url(#low-{relation}); }}")),
            "{relation}"
        );
    }
}

#[actix_web::test]
async fn the_numbers_of_the_front_page_lead_to_what_they_count() {
    let (_, _, page) = get("/").await;

    for href in ["/search", "/search?weights=yes", "/jobs", "/reports/families"] {
        assert!(page.contains(&format!("<dd><a href=\"{href}\">")), "{href}: {page}");
    }
}
