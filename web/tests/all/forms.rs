//! What is wrong with what was typed: told all at once, by the labels of the fields, beside the form as it was filled.

use crate::asking::{ask, get};
use crate::fake::HOSTILE;
use actix_web::{http::StatusCode, test};

/// What stands at these places of a page, in this order.
fn in_order(page: &str, parts: &[&str]) {
    let mut at = 0;
    for part in parts {
        let found = page[at..].find(part).unwrap_or_else(|| panic!("no `{part}` after {at} in {page}"));
        at += found + part.len();
    }
}

fn post(path: &str, form: &str) -> test::TestRequest {
    test::TestRequest::post().uri(path).set_payload(form.to_owned())
}

#[actix_web::test]
async fn a_refused_transfer_names_every_fault_by_its_label_in_the_order_of_the_form() {
    let form = "source_base=o/a&source_tuned=o/b&target_base=o/none&lambda=abc&output=bad name!!";

    let (status, _, page) = ask("", post("/transfers/new", form)).await;
    let (_, _, hostile) = ask(HOSTILE, post("/transfers/new", form)).await;

    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    let told = [
        "<title>To correct: Transfer a change",
        "The request has 3 faults",
        "<li id=\"fault-0\"><a href=\"#field-target_base\">Target</a>: ",
        "<li id=\"fault-1\"><a href=\"#field-lambda\">λ, the strength</a> <code>/0</code>: ",
        "<li id=\"fault-2\"><a href=\"#field-output\">Name of the new model</a>: ",
    ];
    in_order(&page, &told);
    let tied = |name: &str, fault: &str| {
        format!("id=\"field-{name}\" name=\"{name}\" aria-invalid=\"true\" aria-describedby=\"{fault}\"")
    };
    assert!(page.contains(&tied("lambda", "fault-1")) && page.contains(&tied("output", "fault-2")), "{page}");
    assert_eq!(page.matches("aria-invalid").count(), 3, "{page}");
    assert!(page.contains("value=\"abc\"") && page.contains("value=\"bad name!!\""), "{page}");
    assert!(!hostile.contains("<script>alert"), "{hostile}");
    let meant = "source_base=o%2Fa&source_tuned=o%2Fb&target_base=org%2Fnone-7b&lambda=abc";
    assert!(page.replace("&#38;", "&").contains(meant), "{page}");
}

#[actix_web::test]
async fn a_check_of_a_transfer_tells_faults_where_its_findings_would_stand() {
    let form = "do=check&source_base=o/a&source_tuned=o/b&target_base=o/none&lambda=abc";

    let (status, _, page) = ask("", post("/transfers/new", form)).await;

    assert_eq!(status, StatusCode::OK);
    in_order(
        &page,
        &["aria-describedby=\"fault-0\"", "<div id=\"check\">", "role=\"alert\"", "id=\"fault-0\""],
    );
    assert_eq!(page.matches("role=\"alert\"").count(), 1, "{page}");
}

#[actix_web::test]
async fn a_refused_advisory_and_a_refused_merge_tie_their_fields_to_the_faults() {
    let (refused, _, advisory) = ask("", post("/advisories", "model=o/a&link=javascript:x")).await;
    let (_, _, merge) = ask("", post("/merges/new", "yaml=bad&output=o/new")).await;

    assert_eq!(refused, StatusCode::UNPROCESSABLE_ENTITY);
    in_order(
        &advisory,
        &["To correct: Advisories", ">Summary</a>: ", ">Link</a>: ", "name=\"link\" aria-invalid"],
    );
    in_order(&merge, &[">mergekit YAML</a> <code>/models/0</code>: ", "name=\"yaml\" aria-invalid"]);
}

#[actix_web::test]
async fn unknown_models_of_a_path_are_all_named_with_what_may_have_been_meant() {
    let (status, _, page) = get("/lineage?from=no/scribe&to=no/reed").await;
    let (_, _, one) = get("/lineage?from=no/scribe&to=o/b").await;

    assert_eq!(status, StatusCode::NOT_FOUND);
    in_order(&page, &[">From</a>: ", ">To</a>: ", "From: perhaps", "To: perhaps", "value=\"no/scribe\""]);
    let meant = "/lineage?from=org%2Fscribe-7b&to=no%2Freed";
    assert!(page.replace("&#38;", "&").contains(meant), "{page}");
    assert!(one.contains("value=\"o/b\"") && !one.contains("To: perhaps"), "{one}");
}

#[actix_web::test]
async fn unknown_models_of_a_comparison_are_all_named_and_the_form_is_kept() {
    let (status, _, page) = get("/compare/no/scribe...no/reed").await;
    let (_, _, hostile) = ask(HOSTILE, test::TestRequest::get().uri("/compare/no/scribe...no/reed")).await;

    assert_eq!(status, StatusCode::NOT_FOUND);
    let told = ["The request has 2 faults", ">First model</a>: ", ">Second model</a>: ", "value=\"no/reed\""];
    in_order(&page, &told);
    assert!(page.contains("href=\"/compare/org/scribe-7b...no/reed\""), "{page}");
    assert!(!hostile.contains("<script>alert"), "{hostile}");
}

#[actix_web::test]
async fn a_search_that_finds_nothing_offers_what_may_have_been_meant() {
    let (_, _, page) = get("/search?search=nothing").await;
    let (_, _, narrowed) = get("/search?search=nothing&license=mit").await;

    assert!(page.contains("Perhaps one of these was meant") && page.contains("org/nothing-7b"), "{page}");
    assert!(narrowed.contains("Drop what it is narrowed to"), "{narrowed}");
}

#[actix_web::test]
async fn a_measure_that_needs_a_base_leads_on_instead_of_showing_an_empty_matrix() {
    let (status, _, page) = get("/kinship?of=a/b&of=o/baseless&of=o/only-a-name&threshold=0.5").await;

    assert_eq!(status, StatusCode::OK);
    let page = page.replace("&#38;", "&");
    let told = [
        "Nothing is measured yet",
        "of=a%2Fb&of=o%2Fbaseless&of=o%2Fonly-a-name&base=org%2Froot&measure=cosine&threshold=0.5\">Take away org/root",
        "measure=euclidean&threshold=0.5\">Compare the weights as they are",
        "/lineage?from=a%2Fb&to=o%2Fbaseless",
        "Not compared:",
        "o/only-a-name",
    ];
    in_order(&page, &told);
    for absent in ["table class=\"heat\"", "n/a", "tensors compared", "dendrogram", "role=\"status\""] {
        assert!(!page.contains(absent), "{absent} in {page}");
    }
}

#[actix_web::test]
async fn ancestors_that_a_tree_does_not_draw_are_counted_and_listed() {
    let (_, _, page) = get("/org/name/lineage").await;

    let told = [
        "256 more ancestors stand above it by further parents",
        "id=\"ancestors\"",
        "256 ancestors that the line of first parents does not pass",
        "org/far",
        "3 generations above, a parent of org/near",
        "And 255 more",
    ];
    in_order(&page, &told);
}

#[actix_web::test]
async fn a_field_of_the_kinship_form_offers_names_and_adds_one_to_those_in_the_list() {
    let (_, _, empty) = get("/kinship").await;
    let (status, _, added) = get("/kinship?of=a/b%0D%0Ac/d&of=e/f&base=g/h").await;
    let (_, _, listed) = get("/kinship?of=a/b&of=c/d&of=e/f&base=g/h").await;

    assert!(empty.contains("One more <input name=\"of\" data-names"), "{empty}");
    assert_eq!((status, added), (StatusCode::OK, listed));
}

#[actix_web::test]
async fn the_form_has_as_many_lines_as_the_method_takes_and_one_more_is_added_where_more_may_be() {
    let lines = |page: &str| page.matches("<input name=\"model.").count();
    let (_, _, two) = get("/merges/new?method=slerp").await;
    let (_, _, any) = get("/merges/new?method=linear").await;
    let (_, _, more) = get("/merges/new?method=linear&model.0=a/b&rows=3").await;
    let (_, _, filled) = get("/merges/new?method=slerp&model.0=a/b&model.1=a/c&model.2=a/d").await;

    assert!(lines(&two) == 2 && !two.contains("Add a model"), "{two}");
    assert!(lines(&any) == 2 && any.contains("name=\"rows\" value=\"3\""), "{any}");
    assert!(lines(&more) == 3 && more.contains("value=\"a/b\"") && more.contains("value=\"4\""), "{more}");
    assert_eq!(lines(&filled), 3, "what is filled is shown, so that the fault can be seen");
}

#[actix_web::test]
async fn names_beyond_what_is_compared_at_once_are_told_and_not_dropped_in_silence() {
    let names =
        |from: usize, to: usize| (from..to).map(|n| format!("of=o/m{n}")).collect::<Vec<_>>().join("&");

    let (_, _, fits) = get(&format!("/kinship?{}&base=g/h", names(0, 8))).await;
    let (_, _, over) = get(&format!("/kinship?{}&base=g/h", names(0, 10))).await;

    assert!(!fits.contains("left out: "), "{fits}");
    assert!(over.contains("left out: o/m8, o/m9."), "{over}");
}

#[actix_web::test]
async fn the_kinship_form_keeps_what_was_asked_beside_its_fields() {
    let asked = "/kinship?of=a/b&of=c/d&of=e/f&base=g/h";
    let more = "&partial=true&exact=true&order=given&pair=a/b&pair=c/d&threshold=20";
    let form = |page: &str| page.split("<form").nth(1).unwrap().split("</form>").next().unwrap().to_owned();

    let (_, _, kept) = get(&format!("{asked}{more}")).await;
    let (_, _, plain) = get(&format!("{asked}&pair=a/b&pair=no/more")).await;

    let (kept, plain) = (form(&kept), form(&plain));
    let fields = [
        "type=\"hidden\" name=\"order\" value=\"given\"",
        "type=\"hidden\" name=\"pair\" value=\"a/b\"",
        "type=\"hidden\" name=\"pair\" value=\"c/d\"",
        "type=\"checkbox\" name=\"exact\" value=\"true\" checked",
        "type=\"checkbox\" name=\"partial\" value=\"true\" checked",
    ];
    in_order(&kept, &fields);
    assert!(!plain.contains("hidden") && !plain.contains("checkbox"), "{plain}");
}

#[actix_web::test]
async fn a_threshold_of_another_measure_keeps_no_form_from_being_sent() {
    let (_, _, page) = get("/kinship?of=a/b&of=c/d&of=e/f&measure=cosine&threshold=20").await;

    let field = page.split("id=\"field-threshold\"").nth(1).unwrap().split('>').next().unwrap();
    assert!(field.contains("data-least=\"-1\" data-most=\"1\""), "{field}");
    assert!(!field.contains(" min=") && !field.contains(" max="), "{field}");
}

#[actix_web::test]
async fn a_form_of_a_models_page_that_is_refused_leads_back_and_keeps_what_was_typed() {
    let edge = "model=org/name&parent=org/a+b&relation=merge&decision=wrong&reason=I+made+%3Cb%3Eit";

    let (status, _, page) = ask("", post("/edges", edge)).await;
    let (_, _, nameless) = ask("", post("/edges", "decision=wrong")).await;
    let (kept_out, _, access) =
        ask("", post("/settings/access", "model=org/name&person=no-one&decision=accepted")).await;
    let (closed, _, advisory) = ask("", post("/advisories/STM-2/withdraw", "reason=not+mine")).await;

    assert_eq!(
        (status, kept_out, closed),
        (StatusCode::UNPROCESSABLE_ENTITY, StatusCode::NOT_FOUND, StatusCode::FORBIDDEN)
    );
    let told = ["<dd>org/a b</dd>", "<dd>merge</dd>", "<dd>I made &#60;b&#62;it</dd>"];
    in_order(&page, &told);
    in_order(&page, &["<a href=\"/org/name\">Back to org/name</a>"]);
    assert!(!nameless.contains("Back to"), "{nameless}");
    in_order(&access, &["<dd>no-one</dd>", "<a href=\"/org/name#access\">Back to org/name</a>"]);
    in_order(&advisory, &["<dd>not mine</dd>", "<a href=\"/advisories/STM-2\">Back to STM-2</a>"]);
}

#[actix_web::test]
async fn two_models_are_enough_for_the_form_to_write_a_recipe_that_says_what_is_missing() {
    let form = "method=ties&base=o/b&model.0=o/x&model.1=o/y";

    let (_, _, one) = get("/merges/new?method=ties&base=o/b&model.0=o/x").await;
    let (_, _, two) = get(&format!("/merges/new?{form}")).await;
    let (_, _, checked) = ask("", post("/merges/check", &format!("{form}&yaml="))).await;
    let (_, _, started) = ask("", post("/merges/new", &format!("{form}&yaml=&output="))).await;

    assert!(!one.contains("merge_method: ties"), "{one}");
    in_order(&two, &["merge_method: ties", "model: o/x", "model: o/y", "The recipe can be carried out"]);
    in_order(&checked, &["merge_method: ties", "The recipe can be carried out"]);
    in_order(&started, &["a name is needed", "merge_method: ties"]);
}

#[actix_web::test]
async fn a_comparison_offers_its_difference_and_what_is_wrong_with_the_form_stands_in_it() {
    let (_, _, page) = get("/compare/org/a...org/b").await;
    let (_, _, unmeasured) = get("/compare/un/a...org/b").await;
    let (sent, location, _) = ask("", post("/compare/org/a...org/b", "form=sparse&density=0.2")).await;
    let (refused, _, again) = ask("", post("/compare/org/a...org/b", "form=sparse&density=much")).await;
    let (_, _, hostile) = ask(HOSTILE, post("/compare/org/a...org/b", "density=much")).await;

    assert!(page.contains("method=\"post\" action=\"/compare/org/a...org/b#difference\""), "{page}");
    assert!(page.contains("<summary>Renamed: 1</summary>") && page.contains("x → y"), "{page}");
    assert!(!unmeasured.contains("action=\"/compare/"), "{unmeasured}");
    assert_eq!(sent, StatusCode::SEE_OTHER);
    assert_eq!(location, "/jobs/01JOB");
    assert_eq!(refused, StatusCode::UNPROCESSABLE_ENTITY);
    let told = [
        "id=\"difference\" open",
        ">Density</a>: ",
        "<option value=\"sparse\" selected",
        "name=\"density\" aria-invalid=\"true\"",
        "value=\"much\"",
    ];
    in_order(&again, &told);
    assert!(!hostile.contains("<script>alert"), "{hostile}");
}

#[actix_web::test]
async fn estimates_of_a_comparison_lead_to_the_exact_numbers_and_these_stay_so() {
    let (_, _, estimated) = get("/compare/large/a...org/b?sort=cosine").await;
    let (_, _, exact) = get("/compare/large/a...org/b?sort=cosine&exact=true").await;

    let link = "/compare/large/a...org/b?exact=true&sort=cosine";
    assert!(estimated.replace("&#38;", "&").contains(link), "{estimated}");
    assert!(!exact.contains("are estimates"), "{exact}");
    assert!(exact.contains("href=\"/compare/large/a...org/b?exact=true&#38;sort=max#tensors"), "{exact}");
    assert!(exact.contains("/api/v1/diffs?a=large%2Fa&#38;b=org%2Fb&#38;exact=true"), "{exact}");
}
