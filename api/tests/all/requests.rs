//! Requests that cannot be read: each refused as a problem that names what is at fault.

use crate::support::{Answer, Place};
use actix_web::test::TestRequest;
use domain::{Claim, EdgeStatus, Evidence, Limits, Relation, RepoId};
use serde_json::json;
use store::WatchRow;

#[actix_web::test]
async fn a_body_is_refused_with_every_fault_of_its_fields() {
    let place = Place::new().await;
    for (address, body, pointers) in [
        ("/api/v1/merges", json!({}), vec!["/config", "/output"]),
        ("/api/v1/merges?dry_run=true", json!({}), vec!["/config"]),
        ("/api/v1/merges", json!({ "confg": "", "output": 3 }), vec!["/confg", "/output", "/config"]),
        ("/api/v1/transfers", json!({}), vec!["/output", "/source_tuned", "/target_base"]),
        ("/api/v1/diffs/apply", json!({}), vec!["/base", "/diff", "/output"]),
        ("/api/v1/diffs", json!({ "tuned": "a", "base": "b", "rank": -1.5 }), vec!["/rank"]),
        ("/api/v1/tokens", json!({ "read_only": "yes" }), vec!["/read_only"]),
    ] {
        let answer = place.post(address, body).await;

        assert!(answer.is_problem(400, "bad_request"), "{address}: {answer:?}");
        assert_eq!(answer.pointers(), pointers, "{address}: {answer:?}");
    }
}

#[actix_web::test]
async fn wrong_values_are_all_told_with_their_places_and_without_words_of_the_library() {
    let place = Place::new().await;
    let transplant = json!({
        "recipient": "a", "donor": "b", "output": "o/n", "k": -1, "fill": "zorro", "candidates": "x",
    });
    let transfer = json!({
        "source_base": "a", "source_tuned": "b", "target_base": "c", "output": "o/n", "preset": "shadow", "lambda": [[1]],
    });
    let huge = serde_json::from_str("{\"tuned\": \"a\", \"base\": \"b\", \"rank\": 99999999999999999999999}");
    for (address, body, pointers) in [
        ("/api/v1/transplants", transplant, vec!["/k", "/fill", "/candidates"]),
        (
            "/api/v1/searches/x/scores",
            json!({ "scores": [{ "candidate": 1, "score": "x" }, { "candidate": -1, "scor": 1 }] }),
            vec!["/scores/0/score", "/scores/1/candidate", "/scores/1/scor", "/scores/1/score"],
        ),
        ("/api/v1/transfers", transfer, vec!["/preset", "/lambda/0"]),
        ("/api/v1/diffs", huge.unwrap(), vec!["/rank"]),
        (
            "/api/v1/advisories",
            json!({ "kind": "defekt", "severity": 3, "summary": "x" }),
            vec!["/kind", "/severity"],
        ),
        (
            "/api/v1/models/o/a/edges/confirm",
            json!({ "parent": "o/b", "relation": "cousin" }),
            vec!["/relation"],
        ),
    ] {
        let answer = place.post(address, body).await;

        assert!(answer.is_problem(400, "bad_request"), "{address}: {answer:?}");
        assert_eq!(answer.pointers(), pointers, "{address}: {answer:?}");
        let said = answer.body.to_string();
        let words = ["usize", "f64", "invalid", "variant", "u64", "struct"];
        assert!(!words.iter().any(|word| said.contains(word)), "{said}");
    }
}

#[actix_web::test]
async fn every_parameter_that_cannot_be_read_is_told() {
    let place = Place::new().await;
    let address =
        "/api/v1/models?limit=abc&sort=bogus&weights=maybe&relation=zz&foo=1&has_weights=yes&limit=2";

    let answer = place.get(address).await;

    assert!(answer.is_problem(400, "bad_request"), "{answer:?}");
    let items = answer.body["errors"].as_array().unwrap();
    let names: Vec<&str> = items.iter().map(|item| item["parameter"].as_str().unwrap()).collect();
    assert_eq!(names, ["limit", "sort", "weights", "relation", "foo", "has_weights", "limit"], "{answer:?}");
    assert!(items.iter().all(|item| item.get("pointer").is_none()), "{answer:?}");
    assert_eq!(place.get("/api/v1/models?relation=LoRA&sort=likes").await.status, 200);
    let missing = place.get("/api/v1/path?to=o/a").await;
    assert_eq!(missing.body["errors"][0]["parameter"], "from", "{missing:?}");
}

#[actix_web::test]
async fn a_cursor_that_is_none_is_told_by_its_parameter() {
    let place = Place::new().await;
    place.ingest("o/a", (1.0, "mit")).await;
    let below = ["children", "descendants", "siblings", "files", "tensors"];
    let below = below.map(|list| format!("/api/v1/models/o/a/{list}"));
    let of_hub = ["", "/o/a/tree/main", "/o/a/commits/main"].map(|list| format!("/api/models{list}"));
    let own = ["models", "jobs", "searches", "advisories", "contradictions", "families"];
    let own = own.map(|list| format!("/api/v1/{list}"));
    for list in below.into_iter().chain(of_hub).chain(own) {
        let answer = place.get(&format!("{list}?cursor=zz")).await;

        assert!(answer.is_problem(422, "bad_cursor"), "{list}: {answer:?}");
        assert_eq!(answer.body["errors"][0]["parameter"], "cursor", "{list}: {answer:?}");
    }
}

#[actix_web::test]
async fn whole_answers_have_a_tag_and_are_not_sent_again() {
    let place = Place::new().await;
    place.know("o/a", "mit").await;
    for address in ["/api/v1/models", "/api/v1/models/o/a", "/api/v1/path?from=o/a&to=o/a", "/api/v1/limits"]
    {
        let first = place.get(address).await;

        let request = TestRequest::get().uri(address).insert_header(("if-none-match", first.etag.clone()));
        let again = place.send(request).await;

        assert!(first.etag.starts_with('"') && first.etag.len() == 66, "{address}: {first:?}");
        assert_eq!((again.status.as_u16(), again.body.as_str()), (304, Some("")), "{address}");
    }
}

#[actix_web::test]
async fn what_is_no_object_is_refused_without_words_of_the_library() {
    let place = Place::new().await;
    for text in ["[]", "3", "", "{\"config\": ", "nonsense"] {
        let request = TestRequest::post().uri("/api/v1/merges");
        let request = request.insert_header(("content-type", "application/json")).set_payload(text);

        let answer = place.send(request).await;

        assert!(answer.is_problem(400, "bad_request"), "{text}: {answer:?}");
        let said = answer.body["detail"].as_str().unwrap();
        assert!(!["deserialize", "struct", "NewMerge"].iter().any(|word| said.contains(word)), "{said}");
    }
}

#[actix_web::test]
async fn a_field_that_is_given_twice_is_a_fault() {
    let place = Place::new().await;
    let request = TestRequest::post().uri("/api/v1/merges");
    let text = "{\"config\": \"a\", \"config\": \"b\", \"output\": \"o/n\"}";
    let request = request.insert_header(("content-type", "application/json")).set_payload(text);

    let answer = place.send(request).await;

    assert_eq!((answer.status.as_u16(), answer.pointers()), (400, vec!["/config"]), "{answer:?}");
}

#[actix_web::test]
async fn an_address_with_a_word_for_a_number_does_not_exist() {
    let place = Place::new().await;
    let merge = TestRequest::post().uri("/api/v1/searches/one/candidates/x/merge");
    let token = TestRequest::delete().uri("/api/v1/tokens/nope");

    for request in [merge, token] {
        let answer = place.send(request).await;

        assert!(answer.is_problem(404, "not_found"), "{answer:?}");
    }
}

#[actix_web::test]
async fn a_question_longer_than_a_body_may_be_is_a_problem() {
    let place = Place::with(Limits { body_bytes: 100, ..Limits::default() }).await;
    let request = TestRequest::post().uri("/api/v1/sparql");
    let request = request.insert_header(("content-type", "application/sparql-query"));

    let answer = place.send(request.set_payload("#".repeat(101))).await;

    assert!(answer.is_problem(413, "body_too_large"), "{answer:?}");
}

#[actix_web::test]
async fn a_parameter_that_cannot_be_read_is_named_with_what_it_may_be() {
    let place = Place::new().await;
    place.know("o/a", "mit").await;
    for (address, hints) in [
        ("/api/v1/jobs?state=zork", ["zork", "queued, running, succeeded, failed, cancelled"]),
        ("/api/v1/jobs?limit=many", ["`limit=many`", "whole number"]),
        ("/api/v1/kinship?of=o/a&of=o/b&format=xml", ["`format`", "json or csv"]),
        ("/api/v1/models/o/a/lineage?up=1&down=-1", ["`down=-1`", "whole number"]),
        ("/api/v1/models/o/a/lineage?up=some", ["`up=some`", "whole number, or `all`"]),
        ("/api/v1/models/o/a/lineage?sideways=1", ["sideways", "expected one of"]),
    ] {
        let answer = place.get(address).await;

        assert!(answer.is_problem(400, "bad_request"), "{address}: {answer:?}");
        let said = answer.body["detail"].as_str().unwrap();
        assert!(hints.iter().all(|hint| said.contains(hint)), "{address}: {said}");
    }
}

#[actix_web::test]
async fn every_word_of_a_list_that_means_nothing_is_told() {
    let place = Place::new().await;
    place.know("o/a", "mit").await;
    for (address, words) in [
        ("/api/v1/models/o/a/lineage?relation=cousin,merge,aunt&size=huge", ["`cousin`", "`aunt`", "`huge`"]),
        ("/api/v1/models/o/a/children?relation=cousin,aunt&size=tiny", ["`cousin`", "`aunt`", "`tiny`"]),
        (
            "/api/v1/kinship?of=o/a&of=o/b&measure=zork,cs,frob&format=xml",
            ["`zork`", "`frob`", "json or csv"],
        ),
        ("/api/v1/kinship?sideways=1&exact=so&partial=no", ["`sideways`", "`exact` is", "`partial` is"]),
        ("/api/models?expand=zork,likes,frob&expand=tiny", ["`zork`", "`frob`", "`tiny`"]),
    ] {
        let answer = place.get(address).await;

        assert_eq!((answer.status.as_u16(), &answer.body["code"]), (400, &json!("bad_request")), "{address}");
        let said = answer.body.to_string();
        assert!(words.iter().all(|word| said.contains(word)), "{address}: {said}");
    }
}

#[actix_web::test]
async fn several_faults_are_counted_in_the_detail_and_spelled_out_in_the_list() {
    let place = Place::new().await;
    let three = "merge_method: linear\nmodles: []\nseed: -1\ndtype: int8\nmodels: [{model: o/a, parameters: {weight: 1}}]\n";
    let one = three.replace("seed: -1\ndtype: int8\n", "");

    let (three, one) = (place.merge(three, "o/n").await, place.merge(&one, "o/n").await);

    let detail = |answer: &crate::support::Answer| answer.body["detail"].as_str().unwrap().to_owned();
    let faults = three.pointers().len();
    assert!(faults >= 3, "{three:?}");
    assert_eq!(detail(&three), format!("the recipe has {faults} faults"));
    assert_eq!(three.body["error"], three.body["detail"]);
    assert!(one.pointers().len() > 1 || detail(&one).contains("models"), "{one:?}");
}

#[actix_web::test]
async fn a_tree_counts_the_ancestors_that_it_does_not_show() {
    let place = Place::new().await;
    for id in ["o/root", "o/other", "o/merge", "o/end"] {
        place.know(id, "mit").await;
    }
    let claim = |child: &str, parent: &str| {
        let parent = RepoId::parse(parent).unwrap();
        let (relation, status) = (Relation::Merge, EdgeStatus::Accepted);
        let as_written = parent.to_string();
        let claim = Claim { parent, as_written, relation, status, evidence: vec![Evidence::listed()] };
        (RepoId::parse(child).unwrap(), claim)
    };
    let claims = [claim("o/merge", "o/root"), claim("o/merge", "o/other"), claim("o/end", "o/merge")];
    place.registry.store.add_edges(&claims).await.unwrap();

    let whole = place.get("/api/v1/models/o/end/lineage?up=all").await;
    let cut = place.get("/api/v1/models/o/end/lineage?up=1").await;

    assert_eq!((whole.status.as_u16(), cut.status.as_u16()), (200, 200), "{whole:?} {cut:?}");
    let counted =
        |answer: &Answer| (answer.body["nodes"].as_array().unwrap().len(), answer.body["ancestors"].clone());
    assert_eq!((counted(&whole), counted(&cut)), ((3, json!(3)), (2, json!(3))));
}

#[actix_web::test]
async fn of_a_body_with_very_many_faults_the_first_hundred_are_told() {
    let place = Place::new().await;
    let unknown: serde_json::Map<_, _> = (0..500).map(|n| (format!("x{n}"), json!(1))).collect();
    for (address, body, told) in [
        ("/api/v1/searches/x/scores", json!({ "scores": vec![0; 200_000] }), "over 100 faults"),
        ("/api/v1/merges", json!(unknown), "over 100 faults"),
        ("/api/v1/searches/x/scores", json!({ "scores": vec![0; 100] }), "has 100 faults"),
    ] {
        let answer = place.post(address, body).await;

        assert!(answer.is_problem(400, "bad_request"), "{address}: {}", answer.status);
        assert_eq!(answer.pointers().len(), 100, "{address}");
        assert!(answer.body["detail"].as_str().unwrap().contains(told), "{}", answer.body["detail"]);
    }
}

#[actix_web::test]
async fn of_a_query_with_very_many_faults_the_first_hundred_are_told() {
    let place = Place::new().await;
    let form = TestRequest::post()
        .uri("/api/v1/sparql")
        .insert_header(("content-type", "application/x-www-form-urlencoded"))
        .set_payload("query=&".repeat(100_000));

    let answer = place.send(form).await;

    assert!(answer.is_problem(400, "bad_request"), "{}", answer.status);
    assert_eq!(answer.body["errors"].as_array().unwrap().len(), 100);
    assert!(answer.body["detail"].as_str().unwrap().contains("over 100 faults"));
}

#[actix_web::test]
async fn more_paths_than_are_answered_at_once_are_refused() {
    let place = Place::with(Limits { hub_paths: 3, hub_paths_expanded: 2, ..Limits::default() }).await;
    place.ingest("o/a", (1.0, "mit")).await;
    let paths = ["README.md", "model.safetensors", "none", "more"];
    let files = paths.map(|path| json!({ "path": path, "size": 1, "sample": "" }));
    let (info, upload) = ("/api/models/o/a/paths-info/main", "/api/models/o/a/preupload/main");

    let fits = place.post(info, json!({ "paths": paths[..3] })).await;
    let expanded = place.post(info, json!({ "paths": paths[..2], "expand": true })).await;

    assert_eq!((fits.status.as_u16(), fits.body.as_array().unwrap().len()), (200, 2));
    assert!(expanded.body[1]["lastCommit"]["id"].is_string(), "{expanded:?}");
    assert_eq!(place.post(upload, json!({ "files": files[..3] })).await.status.as_u16(), 200);
    for (address, body) in [
        (info, json!({ "paths": paths })),
        (info, json!({ "paths": paths[..3], "expand": true })),
        (upload, json!({ "files": files })),
    ] {
        let answer = place.post(address, body).await;

        assert!(answer.is_problem(413, "too_many_paths"), "{address}: {answer:?}");
    }
}

#[actix_web::test]
async fn more_files_than_a_repository_holds_are_refused_in_an_upload_and_in_a_commit() {
    let place = Place::with(Limits { files: 2, ..Limits::default() }).await;
    place.ingest("o/a", (1.0, "mit")).await;
    let upload = async |paths: &[&str]| {
        let part = |path: &&str| {
            format!("--cut\r\ncontent-disposition: form-data; name=\"f\"; filename=\"{path}\"\r\n\r\nx\r\n")
        };
        let body = format!("{}--cut--\r\n", paths.iter().map(part).collect::<String>());
        let request = TestRequest::post().uri("/api/v1/models/o/b");
        let request = request.insert_header(("content-type", "multipart/form-data; boundary=cut"));
        place.send(request.set_payload(body)).await
    };
    let commit = async |times: usize| {
        let file = json!({ "path": "README.md", "content": "eA==", "encoding": "base64" });
        let lines = std::iter::once(json!({ "key": "header", "value": { "summary": "x" } }))
            .chain(std::iter::repeat_n(json!({ "key": "file", "value": file }), times));
        let body: String = lines.map(|line| format!("{line}\n")).collect();
        let request = TestRequest::post().uri("/api/models/o/a/commit/main");
        place.send(request.insert_header(("content-type", "application/x-ndjson")).set_payload(body)).await
    };

    let too_many = upload(&["README.md", "a", "b"]).await;
    let too_long = commit(3).await;

    assert!(too_many.is_problem(413, "too_large"), "{too_many:?}");
    assert!(too_long.is_problem(400, "bad_request"), "{too_long:?}");
    let (fits, short) = (upload(&["README.md", "a"]).await, commit(2).await);
    assert_eq!((fits.status.as_u16(), short.status.as_u16()), (201, 200), "{fits:?} {short:?}");
}

#[actix_web::test]
async fn an_address_by_a_former_name_leads_to_the_present_one_whatever_the_name_is() {
    let place = Place::new().await;
    for (name, now) in [("model", "o/m"), ("e", "o/x"), ("a", "o/y")] {
        place.ingest(name, (1.0, "mit")).await;
        let renamed = place.post("/api/repos/move", json!({ "fromRepo": name, "toRepo": now })).await;
        assert_eq!(renamed.status.as_u16(), 200, "{renamed:?}");

        let asked = place.get(&format!("/api/models/{name}/tree/main?recursive=true")).await;
        let file = place.get(&format!("/{name}/resolve/main/README.md")).await;

        assert_eq!(asked.header("location"), format!("/api/models/{now}/tree/main?recursive=true"));
        assert_eq!(file.header("location"), format!("/{now}/resolve/main/README.md"));
    }
}

#[actix_web::test]
async fn the_address_of_the_next_page_asks_the_same_question() {
    let place = Place::new().await;
    for id in ["o/a", "o/b"] {
        place.know(id, "what?").await;
    }

    let first = place.get("/api/v1/models?license=what?&limit=1").await;

    let link = first.header("link");
    let next = link.strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\"")).unwrap();
    assert!(next.contains("/api/v1/models?license=what?&limit=1&cursor="), "{link}");
    let address = &next[next.find("/api/").unwrap()..];
    let second = place.get(address).await;
    assert_eq!(second.body["items"].as_array().unwrap().len(), 1, "{second:?}");
    assert_ne!(first.body["items"][0]["id"], second.body["items"][0]["id"]);
}

#[actix_web::test]
async fn the_next_page_of_a_list_without_a_frame_is_in_its_link() {
    let place = Place::with(Limits { list_rows: 2, ..Limits::default() }).await;
    for author in ["ann", "bob", "cay"] {
        let (author, take) = (author.to_owned(), "full".to_owned());
        let new = WatchRow { author, take, parents: 0, created_at: 0, checked_at: None };
        place.registry.store.add_watch(&new).await.unwrap();
    }
    let names = |answer: &Answer| -> Vec<String> {
        let items = answer.body.as_array().unwrap().iter();
        items.map(|item| item["author"].as_str().unwrap().to_owned()).collect()
    };

    let first = place.get("/api/v1/watches").await;
    let link = first.header("link");
    let rest = place.get(link[link.find("/api/").unwrap()..].split('>').next().unwrap()).await;

    assert_eq!((names(&first), names(&rest)), (vec!["ann".into(), "bob".into()], vec!["cay".into()]));
    assert_eq!(rest.header("link"), "");
    assert!(place.get("/api/v1/watches?limit=3").await.is_problem(400, "bad_request"));
}

#[actix_web::test]
async fn the_address_of_a_listed_file_leads_to_it_whatever_it_is_called() {
    let place = Place::new().await;
    let folder = tempfile::tempdir().unwrap();
    for name in ["README.md", "a#b ?.txt", "50%.txt", "d/é.txt"] {
        let path = folder.path().join(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, "# A model\n").unwrap();
    }
    let id = RepoId::parse("o/odd").unwrap();
    jobs::ingest_folder(&place.registry, folder.path(), &id, &|_, _| {}).await.unwrap();

    let files = place.get("/api/v1/models/o/odd/files").await;

    let items = files.body["items"].as_array().unwrap();
    assert_eq!(items.len(), 4, "{files:?}");
    for item in items {
        let answer = place.get(item["url"].as_str().unwrap()).await;
        assert_eq!(answer.status, 200, "{item}: {answer:?}");
    }
}

#[actix_web::test]
async fn a_list_tells_of_each_model_what_its_own_record_tells() {
    let place = Place::new().await;
    for (id, licence) in [("o/a", "mit"), ("o/b", "apache-2.0")] {
        place.ingest(id, (1.0, licence)).await;
    }
    place.know("o/c", "llama3").await;

    let list = place.get("/api/models?full=true&cardData=true").await;
    let weights = place.get("/api/models?expand=safetensors").await;

    let of = |list: &Answer, id: &str| {
        let items = list.body.as_array().unwrap().clone();
        items.into_iter().find(|item| item["id"] == id).unwrap()
    };
    for id in ["o/a", "o/b"] {
        let own = place.get(&format!("/api/models/{id}")).await.body;
        for field in ["siblings", "cardData", "tags"] {
            assert_eq!(of(&list, id)[field], own[field], "{id} {field}");
        }
        assert_eq!(of(&weights, id)["safetensors"], own["safetensors"]);
        assert!(own["safetensors"]["total"].is_number() && own["cardData"]["license"].is_string(), "{own}");
    }
    assert_eq!(of(&list, "o/c")["siblings"], json!([]));
    assert!(of(&weights, "o/c").get("safetensors").is_none());
}
