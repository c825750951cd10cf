//! Pages at the Hub's own addresses: files and namespaces; and what a name says of its past.

use crate::asking::{ask, get};
use crate::fake::HOSTILE;
use actix_web::{http::StatusCode, test::TestRequest};

#[test]
fn no_model_is_called_like_the_beginning_of_a_pages_address() {
    let routes = include_str!("../../src/routes.rs");
    let places = routes.split("(\"/").skip(1).filter_map(|rest| rest.split(['"', '/']).next());

    let open: Vec<&str> = places
        .filter(|place| !place.is_empty() && !place.starts_with('{') && !domain::RESERVED.contains(place))
        .collect();

    assert!(open.is_empty(), "these are to be in `domain::RESERVED`: {open:?}");
}

#[actix_web::test]
async fn a_file_is_shown_as_text_by_its_tensors_or_by_why_it_is_not() {
    for (address, parts) in [
        ("/org/name/blob/main/a/notes.txt", ["one\n  two", "href=\"/org/name/raw/main/a/notes.txt\""]),
        ("/gpt2/blob/main/notes.txt", ["one\n  two", "href=\"/gpt2/resolve/main/notes.txt\" download"]),
        ("/org/name/blob/dev/x/notes.txt", ["<code>dev/x</code>", "/org/name/raw/dev%2Fx/notes.txt"]),
        ("/org/name/blob/v1%2F0/notes.txt", ["<code>v1/0</code>", "/org/name/tree/v1%2F0"]),
        ("/org/name/blob/main/model.safetensors", ["4 × 2", "2\u{202f}000 tensors by the header"]),
        (
            "/org/name/blob/main/pytorch_model.bin",
            ["It is not text", "not inspected</span> Files of this kind"],
        ),
    ] {
        let (status, _, page) = get(address).await;

        assert_eq!(status, StatusCode::OK, "{address}");
        assert!(parts.iter().all(|part| page.contains(part)), "{address}: {page}");
        let lasting = format!("/blob/sha256%3A{}/", "3f9a".repeat(16));
        assert!(page.contains(&lasting) && page.contains("data-permanent"), "{address}: {page}");
    }
    assert_eq!(get("/no/model/blob/main/x.txt").await.0, StatusCode::NOT_FOUND);
    let (status, location, _) = get("/org/case/blob/main/a%20b.txt").await;
    assert_eq!(
        (status, location.as_str()),
        (StatusCode::PERMANENT_REDIRECT, "/Org/Case/blob/main/a%20b.txt")
    );
}

#[actix_web::test]
async fn every_page_of_a_name_that_nobody_has_offers_what_may_have_been_meant() {
    for below in ["", "/lineage", "/children", "/icicle", "/compare/a...b", "/blob/main/x.txt"] {
        let (status, _, page) = get(&format!("/no/model{below}")).await;

        assert_eq!(status, StatusCode::NOT_FOUND, "{below}");
        assert!(page.contains("No model <code>no/model</code> is known here."), "{below}: {page}");
        assert!(page.contains("href=\"/org/model-7b\""), "{below}: {page}");
    }
}

#[actix_web::test]
async fn a_namespace_shows_its_models_and_an_organisation_its_members() {
    let (status, _, org) = get("/acme").await;
    let (_, _, model) = get("/gpt2").await;
    let (nowhere, ..) = get("/nowhere").await;

    assert_eq!(status, StatusCode::OK);
    for part in
        ["1\u{202f}234 models", "href=\"/search?author=acme\"", "Organisation", "href=\"/ann\"", "admin"]
    {
        assert!(org.contains(part), "{part}: {org}");
    }
    assert!(org.contains("<ol class=\"results\">"));
    // A bare name of a model goes before a namespace of that name.
    assert!(model.contains("<p class=\"kicker\">Model</p>"), "{model}");
    assert_eq!(nowhere, StatusCode::NOT_FOUND);
    assert!(get("/org/name").await.2.contains("<a class=\"org\" href=\"/org\">org/</a>"));
}

#[actix_web::test]
async fn the_licences_are_listed_with_what_they_ask_and_lead_to_the_way_down_to_a_model() {
    let (status, _, page) = get("/licences").await;
    let (moved, location, _) = get("/licences?model=org/name").await;

    assert_eq!(status, StatusCode::OK);
    assert!(
        page.contains("<code>apache-2.0</code>") && page.contains("/search?license=apache-2.0"),
        "{page}"
    );
    assert_eq!((moved, location.as_str()), (StatusCode::SEE_OTHER, "/org/name#licence"));
}

#[actix_web::test]
async fn a_model_reached_by_an_older_name_says_so_and_takes_nobody_elses_word_for_it() {
    let (status, location, _) = get("/old/name").await;
    let (_, _, told) = get(&location).await;
    let (_, _, frozen) = get("/old/name/tree/main").await;
    let (_, _, forged) = get("/org/name?formerly=some/other").await;

    assert_eq!(
        (status, location.as_str()),
        (StatusCode::PERMANENT_REDIRECT, "/org/name?formerly=old%2Fname")
    );
    let notice = "<code>old/name</code> is an older name of this model";
    assert!(told.contains(notice) && frozen.contains(notice), "{told}");
    assert!(!forged.contains("is an older name"), "{forged}");
}

#[actix_web::test]
async fn a_name_that_came_to_stand_for_other_weights_warns_and_leads_to_the_comparison() {
    let (_, _, page) = get("/org/changed").await;
    let (_, _, calm) = get("/org/name").await;

    let link = format!("/org/changed/compare/{}...{}", "1".repeat(40), "2".repeat(40));
    assert!(page.contains("This name stands for other weights since") && page.contains(&link), "{page}");
    assert!(page.contains("published by ann, these by bob"), "{page}");
    assert!(!calm.contains("stands for other weights"));
}

#[actix_web::test]
async fn files_that_nothing_here_reads_are_marked_with_why() {
    let (_, _, page) = get("/org/name").await;

    let row =
        |name: &str| page.split("<tr>").find(|row| row.contains(&format!(">{name}</a>"))).unwrap().to_owned();
    assert!(row("pytorch_model.bin").contains("not inspected</span> <small>may be pickled"), "{page}");
    assert!(
        !row("model.safetensors").contains("not inspected") && !row("config.json").contains("not inspected")
    );
    assert!(row("config.json").contains("href=\"/org/name/blob/main/config.json\""), "{page}");
}

#[actix_web::test]
async fn no_text_from_outside_becomes_markup() {
    for address in ["/acme", "/org/changed", "/org/name/blob/main/x.txt", "/org/name/blob/main/x.safetensors"]
    {
        let (status, _, page) = ask(HOSTILE, TestRequest::get().uri(address)).await;

        assert!(status == StatusCode::OK && !page.contains("<script>alert"), "{address}: {page}");
        // A quote in a text, such as a card's, is one; in a tag it would end an attribute.
        let mut tags = page.split('<').skip(1).filter_map(|part| part.split('>').next());
        assert!(!tags.any(|tag| tag.contains("\" onmouseover")), "{address}");
    }
}

#[actix_web::test]
async fn a_permanent_link_names_the_contents_and_a_link_to_a_tree_says_it_is_none() {
    let (_, _, compared) = get("/compare/org/a...org/b").await;
    let (_, _, tree) = get("/org/name/lineage?relation=merge").await;

    assert!(compared.contains("data-permanent"), "{compared}");
    assert!(
        compared.contains("/compare/org/a@sha256%3A") && compared.contains("...org/b@sha256%3A"),
        "{compared}"
    );
    let (_, _, kinship) = get("/kinship?of=org/a&of=org/b&base=org/c&measure=cosine").await;
    let link = "/org/name/lineage?up=all&#38;down=1&#38;relation=merge\" data-view>Link to this view";
    assert!(tree.contains(link) && !tree.contains("data-permanent"), "{tree}");
    let link = kinship.split("\" data-permanent").next().unwrap().rsplit('"').next().unwrap();
    for part in ["of=org%2Fa%40sha256%3A3f9a", "of=org%2Fb%40sha256%3A", "base=org%2Fc%40sha256%3A"] {
        assert!(link.contains(part), "{part} is not in {link}");
    }
}
