//! Every page over HTTP, with a source that lies as badly as it can.

use std::sync::Arc;

use crate::asking::{ask, get};
use crate::fake::{Fake, HOSTILE};
use actix_web::{App, http::StatusCode, test, web::Data};

const PAGES: [&str; 61] = [
    "/login?need=write&next=/%22%3E%3Cscript%3E",
    "/compare/un/measured...c/d",
    "/docs/merging",
    "/about",
    "/settings",
    "/advisories",
    "/advisories?model=<script>",
    "/advisories/STM-1",
    "/advisories/STM-2",
    "/contradictions",
    "/",
    "/models?search=<script>x</script>&sort=name&relation=merge&weights=yes&org=%22x",
    "/models?search=nothing",
    "/search?search=x&architecture=llama&tag=a&tag=%3Cscript%3E&author=o&sort=likes&cursor=n",
    "/search?size=1b-4b&weights=no",
    "/org/name",
    "/gpt2",
    "/docs/errors",
    "/gpt2/tree/main",
    "/compare/gpt2...org/b",
    "/org/name/tree/main",
    "/org/name/compare/main...abc",
    "/gpt2/compare/v1...v2",
    "/org/name/lineage",
    "/org/name/lineage?up=1&down=3",
    "/families",
    "/reports",
    "/reports/drift",
    "/reports/pending",
    "/atlas",
    "/atlas?from=1&to=900",
    "/org/name/icicle",
    "/org/name/icicle?relation=merge,%3Cscript%3E&size=1b-4b",
    "/org/name/lineage?down=3&license=permissive,%22%3E%3Cscript%3E&license=mit",
    "/search?search=tensor:nobody",
    "/search?search=tensor:%3Cscript%3E",
    "/search?pin=org/%3Cscript%3E&sort=kinship",
    "/gpt2/icicle",
    "/org/name/children",
    "/org/name/children?relation=merge&search=%3Cscript%3E&cursor=1.2",
    "/gpt2/children?relation=adapter",
    "/kinship",
    "/kinship?of=a/%3Cscript%3E",
    "/kinship?of=a/b&of=c/d&of=e/f&of=g/h&base=i/j&threshold=0.5",
    "/kinship?of=a/b&of=c/d&threshold=%3Cscript%3E",
    "/lineage",
    "/lineage?from=a/b&to=%3Cscript%3E",
    "/lineage?from=a/b&to=o/stranger",
    "/kinship?of=a/b&of=c/d&of=e/f&base=g/h&measure=euclidean",
    "/kinship?of=a/b&of=c/d&of=e/f&base=g/h&pair=c/d&pair=%3Cscript%3E",
    "/compare",
    "/compare/a/b...c/d",
    "/compare/a/b...c/d?sort=distance",
    "/compare/a/b...c/d?view=base",
    "/compare/a/b...c/d?module=up&layer=%3Cscript%3E&sort=cosine",
    "/merges/new",
    "/merges/new?method=ties&write=1&base=a/b&model.0=<script>&p.weight.0=0.5",
    "/transfers/new?source_tuned=<script>",
    "/jobs",
    "/jobs/01JD8Z",
    "/jobs/failed",
];

#[actix_web::test]
async fn every_page_answers_and_no_text_from_outside_becomes_markup() {
    for address in PAGES {
        let safe = address.replace('<', "%3C").replace('>', "%3E");

        let (status, _, body) = ask(HOSTILE, test::TestRequest::get().uri(&safe)).await;

        assert_eq!(status, StatusCode::OK, "{address}");
        // The card is the one place where the words may stand as text; the sanitiser has its own test.
        let bare = body.split("<div class=\"card\">").enumerate().map(|(at, part)| match at {
            0 => part,
            _ => part.split_once("</section>").map_or(part, |(_, after)| after),
        });
        assert!(!bare.collect::<String>().contains("\" onmouseover"), "{address}: {body}");
        assert!(!body.contains("<script>"), "{address}: {body}");
        assert_eq!(body.matches("<script").count(), 2, "{address}");
        assert_eq!(body.matches("<h1").count(), 1, "{address}");
        assert!(!body.contains(" style=") && !body.contains("javascript:"), "{address}");
        assert!(!body.contains("class=\"scroll\">"), "{address}: a frame that no key scrolls");
        assert!(body.split("</figcaption>").skip(1).all(|rest| rest.starts_with("</figure>")), "{address}");
        for (open, close) in
            [("<ul", "</ul>"), ("<li", "</li>"), ("<table", "</table>"), ("<section", "</section>")]
        {
            let opened =
                [" ", ">"].map(|end| body.matches(&format!("{open}{end}")).count()).iter().sum::<usize>();
            assert_eq!(opened, body.matches(close).count(), "{open} in {address}");
        }
    }
}

#[actix_web::test]
async fn the_kinship_page_takes_models_in_one_list_as_rest_does() {
    let (_, _, one_by_one) = get("/kinship?of=a%2Fb&of=c%2Fd&of=e%2Ff&base=g%2Fh").await;
    let (status, _, listed) = get("/kinship?models=a/b,c/d,e/f&base=g%2Fh").await;

    assert_eq!(status, StatusCode::OK);
    assert!(listed.contains("<textarea") && listed.contains("e/f"), "{listed}");
    assert_eq!(listed, one_by_one);
}

#[actix_web::test]
async fn the_nearest_models_come_as_a_part_of_a_page() {
    for address in ["/org/name/kin", "/gpt2/kin"] {
        let (status, _, body) = ask(HOSTILE, test::TestRequest::get().uri(address)).await;

        assert_eq!(status, StatusCode::OK, "{address}");
        assert!(
            body.contains("cosine of the weights about 0.988") && !body.contains("<script>"),
            "{address}: {body}"
        );
    }
}

#[actix_web::test]
async fn what_does_not_exist_is_a_page_too() {
    for address in [
        "/no/model",
        "/no/model/lineage?size=1b-4b",
        "/no/model/icicle",
        "/no/model/children",
        "/org/name/tree/nope",
        "/reports/none",
        "/jobs/none",
        "/compare/x",
        "/no/model/compare/a...b",
        "/org/name/compare/x",
        "/a/b/c/d/e",
    ] {
        let (status, _, body) = get(address).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{address}");
        assert!(body.contains("<h1>Not found</h1>"), "{address}");
    }
}

#[actix_web::test]
async fn our_own_faults_tell_no_secrets() {
    let (status, _, body) = get("/broken/store").await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(!body.contains("secret"));
    let instance =
        body.split("the log has it under ").nth(1).and_then(|rest| rest.split('.').next()).unwrap();
    assert_eq!(instance.len(), 26, "{body}");
}

#[actix_web::test]
async fn a_name_in_another_case_leads_to_the_name_as_written() {
    let (status, location, _) = get("/org/case").await;
    assert_eq!((status, location.as_str()), (StatusCode::PERMANENT_REDIRECT, "/Org/Case"));
    for at in ["commit/v1%2F0", "commits/v1%2F0", "commits/v1/0"] {
        let (status, location, _) = get(&format!("/org/m/{at}")).await;
        let to = format!("/org/m/tree/{}", at.split_once('/').unwrap().1);
        assert_eq!((status, location), (StatusCode::PERMANENT_REDIRECT, to), "{at}");
    }
}

#[actix_web::test]
async fn an_estimate_shows_its_error_and_leads_to_the_exact_numbers() {
    let question = "/kinship?of=a%2Fb&of=c%2Fd&base=g%2Fh&measure=cosine";

    let (_, _, estimate) = get(question).await;
    let (_, _, exact) = get(&format!("{question}&exact=true")).await;

    let link = format!("{}&amp;exact=true\"", question.replace('&', "&amp;"));
    assert!(estimate.contains("0.730<small>± 0.004</small>") && estimate.contains("estimated from sketches"));
    assert!(estimate.replace("&#38;", "&amp;").contains(&link), "{estimate}");
    assert!(exact.contains("0.730</td>") && !exact.contains('±') && exact.contains("compared, exactly"));
}

#[actix_web::test]
async fn a_threshold_parts_the_pairs_and_the_groups() {
    let four = "/kinship?of=a%2Fb&of=c%2Fd&of=e%2Ff&of=g%2Fh&base=i%2Fj&measure=cosine";

    let (_, _, apart) = get(&format!("{four}&threshold=0.7")).await;
    let (_, _, together) = get(&format!("{four}&threshold=0.1")).await;

    assert!(apart.contains("3 of 6 pairs within the threshold of 0.7"), "{apart}");
    assert!(apart.contains(" beyond") && !apart.contains("On average within it"));
    assert!(together.contains("5 of 6 pairs") && together.contains("On average within it"), "{together}");
    assert!(together.contains("threshold=0.1#layers"), "links keep it");
}

#[actix_web::test]
async fn the_nearest_of_a_model_are_added_and_a_base_is_offered_where_one_is_needed() {
    let (status, location, _) = get("/kinship?of=a%2Fb&base=o%2Fc&threshold=0.5&add=5").await;
    let (_, _, one) = get("/kinship?of=a%2Fb").await;
    let (_, _, two) = get("/kinship?of=a%2Fb&of=o%2Fbaseless").await;

    assert_eq!(status, StatusCode::SEE_OTHER);
    let added =
        "/kinship?of=a%2Fb&of=NousResearch%2FHermes-3-Llama-3.1-8B&of=org%2Fseen-only-by-name&base=o%2Fc";
    assert!(location.starts_with(added) && location.ends_with("&threshold=0.5"), "{location}");
    assert!(one.contains("Add the five nearest of a/b") && !one.contains("role=\"alert\""), "{one}");
    assert!(two.contains("Take away org/root"), "{two}");
    let (_, _, part) = get("/kinship?of=a%2Fb&of=c%2Fd&of=o%2Fonly-a-name&base=o%2Fc").await;
    let data = "/api/v1/kinship?of=a%2Fb&of=c%2Fd&base=o%2Fc&measure=cosine&format=csv";
    assert!(part.replace("&#38;", "&").contains(data), "the data are of those that can be compared: {part}");
}

#[actix_web::test]
async fn models_with_little_in_common_are_compared_on_request_and_the_page_says_how_much() {
    let (status, _, refused) = get("/kinship?of=a%2Fb&of=o%2Flittle&base=o%2Fc").await;
    let again = "/kinship?of=a%2Fb&of=o%2Flittle&base=o%2Fc&measure=cosine&partial=true";
    let (_, _, taken) = get(again).await;

    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.replace("&#38;", "&").contains(&format!("href=\"{again}\"")), "{refused}");
    assert!(taken.contains("tensors compared, 41.0%") && taken.contains("a by 14.35%"), "{taken}");
    assert!(taken.replace("&#38;", "&").contains("partial=true&format=csv"), "{taken}");
}

#[actix_web::test]
async fn a_path_is_a_tree_with_both_ends_marked_and_a_list_of_steps() {
    let (_, _, path) = get("/lineage?from=a/b&to=c/d").await;
    let (_, _, none) = get("/lineage?from=a/b&to=o/stranger").await;

    assert_eq!(path.matches(" focus").count(), 2, "{path}");
    assert!(
        path.contains("is a fine-tune of") && path.contains("of=a%2Fb&#38;of=c%2Fd&#38;base=o%2Froot"),
        "{path}"
    );
    assert!(path.contains("7 models in the middle"));
    assert!(none.contains("No path between them is known") && !none.contains("Step by step"));
}

#[actix_web::test]
async fn a_model_is_cited_at_its_revision_and_shows_what_its_card_claims() {
    let (_, _, page) = get("/org/a_model").await;

    let url = format!("/org/a_model/tree/sha256%3A{}}}", "3f9a".repeat(16));
    assert!(page.contains("@misc{org-a-model,") && page.contains("title = {org/a\\_model}"), "{page}");
    assert!(page.contains("year = {2024}") && page.contains(&url), "{page}");
    assert!(page.contains("59.98") && page.contains("nothing was measured here"));
}

#[actix_web::test]
async fn the_layers_of_a_pair_are_a_picture_and_a_table_that_say_the_same() {
    let three = "/kinship?of=a%2Fb&of=c%2Fd&of=e%2Ff&base=g%2Fh&measure=cosine";

    let (_, _, matrix) = get(three).await;
    let (_, _, chosen) = get(&format!("{three}&pair=a%2Fb&pair=c%2Fd")).await;
    let (_, _, exact) = get(&format!("{three}&exact=true")).await;
    let (_, _, two) = get("/kinship?of=a%2Fb&of=c%2Fd&base=g%2Fh").await;

    let plain = |page: &str| page.replace("&#38;", "&").replace("&amp;", "&");
    assert!(!matrix.contains("id=\"layers\""), "no pair is chosen");
    assert!(plain(&matrix).contains(&format!("href=\"{three}&pair=a%2Fb&pair=c%2Fd#layers\"")), "{matrix}");
    let alone = "href=\"/kinship?of=a%2Fb&of=c%2Fd&base=g%2Fh&measure=cosine&exact=true#layers\"";
    assert!(plain(&exact).contains(alone), "weights of the others are not read again");
    for page in [&chosen, &two] {
        assert!(page.contains("<title>q, layer 3: 0.41 ± 0.006 in 1 tensor</title>"), "{page}");
        assert!(page.contains("<title>norm, layer 3: n/a; a different shape</title>"));
        assert!(
            page.contains("<td class=\"num\">0.414 ± 0.006</td>")
                && page.contains("1 left out: a different shape")
        );
        assert!(plain(page).contains("/compare/a/b...c/d?module=up&layer=3#tensors"));
        assert!(plain(page).contains("measure=cosine&per_part=true&format=csv"));
    }
    assert!(chosen.contains(" on\"") && chosen.contains("Read the weights of the two"));
    assert!(!two.contains("Read the weights of the two"), "the page says it once");
}

#[actix_web::test]
async fn slow_measurements_lead_to_their_job() {
    let (status, location, _) = get("/kinship?of=slow/one&of=a/b").await;
    assert_eq!((status, location.as_str()), (StatusCode::SEE_OTHER, "/jobs/01JOB"));
}

#[actix_web::test]
async fn a_merge_is_started_by_a_form_of_this_site_only() {
    let post = |yaml: &str| {
        test::TestRequest::post().uri("/merges/new").set_payload(format!("yaml={yaml}&output=org/new"))
    };

    let (status, location, _) = ask("", post("merge_method")).await;
    assert_eq!((status, location.as_str()), (StatusCode::SEE_OTHER, "/jobs/01JOB"));

    let (status, ..) = ask("", post("merge_method").insert_header(("sec-fetch-site", "cross-site"))).await;
    assert_eq!(status, StatusCode::FORBIDDEN);

    let (status, _, body) = ask(HOSTILE, post("bad")).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        body.contains("/models/0") && body.contains(">bad</textarea>") && !body.contains("<script>"),
        "{body}"
    );
}

#[actix_web::test]
async fn a_recipe_is_checked_and_read_into_the_form_without_being_started() {
    let post = |path: &str, form: &str| test::TestRequest::post().uri(path).set_payload(form.to_owned());

    let (checked, _, page) = ask(HOSTILE, post("/merges/check", "yaml=bad")).await;
    let live = post("/merges/check", "yaml=merge_method").insert_header(("HX-Request", "true"));
    let (live, _, fragment) = ask("", live).await;
    let (read, location, _) = ask("", post("/merges/new", "yaml=merge_method&do=read")).await;
    let (refused, _, told) = ask(HOSTILE, post("/merges/new", "yaml=slices&do=read")).await;
    let (_, _, form) = get("/merges/new?method=ties&base=o/b&model.0=o/x&p.weight.0=0.5").await;

    assert_eq!((checked, live, read), (StatusCode::OK, StatusCode::OK, StatusCode::SEE_OTHER));
    assert!(
        page.contains("/models/0") && page.contains(">bad</textarea>") && !page.contains("<script>"),
        "{page}"
    );
    assert!(fragment.contains("can be carried out") && !fragment.contains("<html"), "{fragment}");
    assert!(location.starts_with("/merges/new?method=ties&write=1&base=o%2Fb&model.0=o%2Fx"), "{location}");
    assert_eq!(refused, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(told.contains("no place") && !told.contains("<script>"), "{told}");
    let choice =
        "<select class=\"short\" name=\"p.norm\"><option value=\"\">l1 (default)</option><option>l1</option>";
    assert!(form.contains(choice), "{form}");
    let add =
        "method=ties&#38;base=o%2Fb&#38;model.0=o%2Fx&#38;p.weight.0=0.5&#38;model.1=o%2Fpartner#models";
    assert!(form.contains(add) && form.contains("0.120 ± 0.010"), "{form}");
}

#[actix_web::test]
async fn a_refused_merge_keeps_the_form_above_the_recipe_as_it_was_filled() {
    let sent = "method=ties&write=1&base=o%2Fb&model.0=o%2Fx&p.weight.0=0.25&seed=7&dtype=float64&yaml=bad&output=o%2Fnew";
    let post = |form: &str| test::TestRequest::post().uri("/merges/new").set_payload(form.to_owned());

    let (status, _, page) = ask("", post(sent)).await;
    let (_, _, bare) = ask("", post("yaml=bad&output=o%2Fnew")).await;

    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    for field in
        ["p.weight.0\" value=\"0.25\"", "name=\"seed\" value=\"7\"", "name=\"output\" value=\"o/new\""]
    {
        assert!(page.contains(field), "{field}: {page}");
    }
    assert!(page.contains("<option selected>float64</option>") && page.contains(" data-edited"), "{page}");
    assert!(page.contains("<input type=\"hidden\" name=\"base\" value=\"o/b\">"), "{page}");
    assert!(!bare.contains("class=\"methods\" open"), "the recipe is not pushed down by all methods");
    let (heading, fault) = (page.find("id=\"recipe\"").unwrap(), page.find("role=\"alert\"").unwrap());
    assert!(heading < fault, "the fault stands with the recipe");
}

#[actix_web::test]
async fn another_method_keeps_what_it_has_a_place_for() {
    let typed = "base=o/b&model.0=o/x&p.weight.0=0.5&p.density.0=0.3&p.norm=l1&dtype=float16&output=o/new";

    let (_, _, page) = get(&format!("/merges/new?method=ties&{typed}&p.nonsense=1")).await;

    let kept = "/merges/new?method=slerp&#38;base=o%2Fb&#38;model.0=o%2Fx&#38;p.weight.0=0.5&#38;p.density.0=0.3&#38;p.norm=l1\
                &#38;dtype=float16&#38;output=o%2Fnew#models";
    assert!(page.contains(kept), "{page}");
}

#[actix_web::test]
async fn a_job_is_stopped_by_a_form_of_this_site_only() {
    let post = || test::TestRequest::post().uri("/jobs/01JD8Z/cancel");
    assert_eq!(ask("", post()).await.0, StatusCode::SEE_OTHER);
    assert_eq!(
        ask("", post().insert_header(("origin", "https://evil.example"))).await.0,
        StatusCode::FORBIDDEN
    );
    let stoppable = async |id: &str| get(&format!("/jobs/{id}")).await.2.contains("Stop this job");
    assert!(stoppable("01JD8Z").await && !stoppable("others").await);
}

#[actix_web::test]
async fn an_advisory_is_filed_and_withdrawn_by_forms_and_shown_with_the_way_it_came() {
    let post = |path: &str, form: &str| test::TestRequest::post().uri(path).set_payload(form.to_owned());

    let (status, location, _) = ask("", post("/advisories", "model=org/a&summary=Leaks")).await;
    let (refused, _, again) = ask(HOSTILE, post("/advisories", "model=org/a&link=<script>")).await;
    let (withdrawn, ..) = ask("", post("/advisories/STM-1/withdraw", "reason=wrong")).await;
    let (missing, ..) = get("/advisories/none").await;
    let (_, _, model) = get("/org/name").await;

    assert_eq!((status, location.as_str()), (StatusCode::SEE_OTHER, "/advisories/STM-1"));
    assert_eq!((refused, withdrawn), (StatusCode::UNPROCESSABLE_ENTITY, StatusCode::SEE_OTHER));
    assert!(again.contains("value=\"org/a\"") && !again.contains("<script>"), "{again}");
    assert_eq!(missing, StatusCode::NOT_FOUND);
    assert!(model.contains("through ancestor <a href=\"/org/a\">"), "{model}");
}

#[actix_web::test]
async fn a_decision_about_an_edge_leads_back_to_the_model_and_a_verdict_is_a_word_and_a_mark() {
    let post = |word: &str| {
        let form = format!("model=org/name&parent=a/b&decision={word}&reason=mine");
        test::TestRequest::post().uri("/edges").set_payload(form)
    };

    let (status, location, _) = ask("", post("reject")).await;
    let (refused, ..) = ask("", post("burn")).await;
    let (foreign, ..) = ask("", post("reject").insert_header(("sec-fetch-site", "cross-site"))).await;
    let (_, _, model) = get("/org/name").await;

    assert_eq!((status, location.as_str()), (StatusCode::SEE_OTHER, "/org/name"));
    assert_eq!((refused, foreign), (StatusCode::UNPROCESSABLE_ENTITY, StatusCode::FORBIDDEN));
    assert!(model.contains("✓ Verified by the weights") && model.contains("✗ Contradicted"), "{model}");
}

#[actix_web::test]
async fn a_file_asked_by_its_hash_may_be_kept_for_ever() {
    let (_, _, home) = get("/").await;
    let address = home.split("href=\"").find(|part| part.starts_with("/static/stemma.css")).unwrap();
    let address = address.split('"').next().unwrap().to_owned();

    let source: Arc<dyn web::Source> = Arc::new(Fake { mark: String::new() });
    let app = test::init_service(App::new().app_data(Data::from(source)).configure(web::configure)).await;
    let answer = test::call_service(&app, test::TestRequest::get().uri(&address).to_request()).await;

    assert!(answer.headers().get("cache-control").unwrap().to_str().unwrap().contains("immutable"));
    assert_eq!(get("/static/other.css").await.0, StatusCode::NOT_FOUND);
}

#[actix_web::test]
async fn a_running_job_reloads_without_a_script_and_an_ended_one_does_not() {
    assert!(get("/jobs/01JD8Z").await.2.contains("http-equiv=\"refresh\""));
    assert!(!get("/jobs/failed").await.2.contains("http-equiv=\"refresh\""));
}

#[actix_web::test]
async fn a_form_that_is_too_long_is_told_so() {
    for address in ["/merges/new", "/transfers/new"] {
        let long = format!("yaml={}&output=org/new", "x".repeat(20_000));

        let (status, _, body) = ask("", test::TestRequest::post().uri(address).set_payload(long)).await;

        assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{address}");
        assert!(body.contains("longer than is accepted"), "{body}");
    }
}

#[actix_web::test]
async fn links_and_commands_lead_to_what_is_there() {
    let (_, _, model) = get("/org/name").await;
    let (_, _, comparison) = get("/compare/a/b...c/d").await;

    assert!(model.contains("curl -L") && model.contains("hf download org/name"), "{model}");
    assert!(model.contains("<li>conversational</li>"), "{model}");
    assert!(comparison.contains("\"/api/v1/diffs?a=a%2Fb&#38;b=c%2Fd\""), "{comparison}");
}

#[actix_web::test]
async fn a_name_without_an_organisation_has_a_family_tree() {
    let (status, _, body) = get("/distilgpt2/lineage").await;

    assert_eq!(status, StatusCode::OK);
    assert!(body.contains("Family tree of distilgpt2"), "{body}");
}

#[actix_web::test]
async fn a_job_that_failed_is_asked_for_again_by_its_button() {
    let post = |id: &str| test::TestRequest::post().uri(&format!("/jobs/{id}/retry"));

    let (_, _, page) = get("/jobs/failed").await;
    let (again, location, _) = ask("", post("failed")).await;
    let (unknown, ..) = ask("", post("none")).await;

    assert!(
        page.contains("It failed while writing tensors.") && page.contains("/docs/errors#truncated"),
        "{page}"
    );
    let meaning = http::CODES.iter().find(|code| code.code == "truncated").unwrap().meaning;
    assert!(page.contains(meaning) && page.contains("<span class=\"org\">org/merged</span>"), "{page}");
    assert!(page.contains("Try again") && !get("/jobs/01JD8Z").await.2.contains("Try again"));
    assert_eq!((again, location.as_str()), (StatusCode::SEE_OTHER, "/jobs/01AGAIN"));
    assert_eq!(unknown, StatusCode::NOT_FOUND);
}

#[actix_web::test]
async fn forms_about_tokens_and_access_lead_back_to_their_pages() {
    let post = |path: &str, form: &str| test::TestRequest::post().uri(path).set_payload(form.to_owned());

    let (made, _, told) = ask("", post("/settings/tokens", "label=x&days=")).await;
    let (refused, _, wrong) = ask(HOSTILE, post("/settings/tokens", "label=%3Cscript%3E&days=never")).await;
    let (asked, back, _) = ask("", post("/settings/ask-access", "model=org/name")).await;
    let (revoked, settings, _) = ask("", post("/settings/tokens/7/revoke", "")).await;

    assert!(made == StatusCode::CREATED && told.contains("stemma_secret"));
    assert!(refused == StatusCode::UNPROCESSABLE_ENTITY && wrong.contains("never"), "{wrong}");
    assert_eq!(wrong.matches("<script").count(), 2, "{wrong}");
    assert_eq!((asked, back.as_str()), (StatusCode::SEE_OTHER, "/org/name#access"));
    assert_eq!((revoked, settings.as_str()), (StatusCode::SEE_OTHER, "/settings"));
}
