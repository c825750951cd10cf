//! Searches for recipes over REST and the command line: asked, told, killed, gone on with; and partners suggested.

use anyhow::{Context as _, Result, ensure};
use reqwest::Client;
use serde_json::{Value, json};
use stemma_tests::{Database, Server, Zoo, answer, client, databases, ended};

const BASE: &str = "mandoc/scribe-v1";
const MODELS: [&str; 3] = ["mandoc/scribe-v1-de", "mandoc/scribe-v1-fr", "community/scribe-de-code"];

struct Site {
    server: Server,
    client: Client,
}

impl Site {
    async fn on(database: &Database) -> Result<Self> {
        let site = Self { server: Server::start(database).await?, client: client()? };
        let zoo = Zoo::unpack()?;
        for id in zoo.ids()? {
            let mut import = site.server.stemma();
            let out = import.args(["import", "dir"]).arg(zoo.path(&id)?).args(["--id", &id]).output()?;
            ensure!(out.status.success(), "{id}: {}", String::from_utf8_lossy(&out.stderr));
        }
        Ok(site)
    }

    async fn get(&self, path: &str) -> Result<(u16, Value)> {
        answer(self.client.get(self.server.url(path))).await
    }

    async fn post(&self, path: &str, body: &Value) -> Result<(u16, Value)> {
        answer(self.client.post(self.server.url(path)).json(body)).await
    }

    /// Tells these scores, which must be taken.
    async fn tell(&self, search: &str, scores: &[(u64, f64)]) -> Result<Value> {
        let (status, answer) = self.told(search, scores).await?;
        ensure!(status == 200, "{status} {answer}");
        Ok(answer)
    }

    async fn told(&self, search: &str, scores: &[(u64, f64)]) -> Result<(u16, Value)> {
        let scores: Vec<Value> =
            scores.iter().map(|(number, score)| json!({ "candidate": number, "score": score })).collect();
        self.post(&format!("{search}/scores"), &json!({ "scores": scores })).await
    }

    /// Creates a search and gives its address and itself.
    async fn create(&self, config: &Value) -> Result<(String, Value)> {
        let (status, search) = self.post("/api/v1/searches", config).await?;
        ensure!(status == 201, "{status} {search}");
        let id = search["id"].as_str().context("a search without an id")?;
        Ok((format!("/api/v1/searches/{id}"), search))
    }

    /// Whether a merge of this recipe would be taken.
    async fn can_merge(&self, candidate: &Value) -> Result<()> {
        let body = json!({ "config": candidate["recipe"], "output": "tests/tried" });
        let (status, forecast) = self.post("/api/v1/merges?dry_run=true", &body).await?;
        ensure!(status == 200, "{status} {forecast} {candidate}");
        Ok(())
    }

    async fn ended(&self, job: &Value) -> Result<Value> {
        ended(&self.client, &self.server, job["id"].as_str().context("a job without an id")?).await
    }
}

fn pending(search: &Value) -> Vec<Value> {
    search["pending"].as_array().cloned().unwrap_or_default()
}

fn numbers(search: &Value) -> Vec<u64> {
    pending(search).iter().filter_map(|candidate| candidate["candidate"].as_u64()).collect()
}

fn greedy() -> Value {
    json!({ "strategy": "greedy", "method": "slerp", "models": MODELS, "base": BASE, "k": 2, "tau": 1.0,
        "output": "tests/found" })
}

#[tokio::test]
async fn a_greedy_search_goes_on_where_a_killed_server_left_it() -> Result<()> {
    for database in databases() {
        let mut site = Site::on(&database).await?;
        let (search, first) = site.create(&greedy()).await?;
        ensure!(numbers(&first) == [1, 2, 3] && pending(&first)[0]["model"] == MODELS[0], "{first}");
        for candidate in pending(&first) {
            site.can_merge(&candidate).await?;
        }

        let told = site.tell(&search, &[(1, 0.5), (3, 0.25)]).await?;
        ensure!(numbers(&told) == [2] && told["best"]["candidate"] == 1, "{told}");
        site.server.restart().await?;
        let (_, after) = site.get(&search).await?;
        ensure!(after == told, "{after} {told}");

        // What was told before is told again, as a caller does that did not hear the answer.
        let second = site.tell(&search, &[(1, 0.5), (2, 0.4), (3, 0.25)]).await?;
        ensure!(second["generation"] == 1 && numbers(&second) == [4, 5, 6], "{second}");
        for candidate in pending(&second) {
            let about = &candidate["about"];
            ensure!(about["kinship"].as_f64().is_some_and(|k| k.abs() <= 1.0), "{candidate}");
            let error = about["standard_error"].as_f64().context("no error")?;
            ensure!(about["exact"] == false && error > 1e-4 && error < 0.01, "{candidate}");
            site.can_merge(&candidate).await?;
        }
        let (status, problem) = site.told(&search, &[(4, 0.9), (1, 0.6)]).await?;
        ensure!((status, &problem["code"]) == (409, &json!("already_scored")), "{status} {problem}");
        site.server.restart().await?;
        let (_, after) = site.get(&search).await?;
        ensure!(after == second, "{after} {second}");

        let (status, job) = site.post(&format!("{search}/candidates/4/merge"), &json!({})).await?;
        ensure!(status == 202 && site.ended(&job).await?["state"] == "succeeded", "{status} {job}");
        let third = site.tell(&search, &[(4, 0.9), (5, 0.8), (6, 0.1)]).await?;
        let (merged, other) = (&pending(&third)[0], &pending(&third)[1]);
        ensure!(merged["missing"] == json!(["tests/found-5"]), "{third}");
        ensure!(other.get("missing").is_none(), "{third}");
        site.can_merge(other).await?;

        let (status, finished) = site.post(&format!("{search}/finish"), &json!({})).await?;
        ensure!(status == 200 && finished["state"] == "finished", "{finished}");
        ensure!(finished["best"]["model"] == "tests/found-4" && pending(&finished).is_empty(), "{finished}");
        let (status, problem) = site.told(&search, &[(7, 0.1)]).await?;
        ensure!((status, &problem["code"]) == (409, &json!("search_ended")), "{status} {problem}");
        let (_, page) = site.get(&format!("{search}/candidates?limit=6")).await?;
        ensure!(page["items"].as_array().map(Vec::len) == Some(6) && page["next"] == "6", "{page}");
        let (_, list) = site.get("/api/v1/searches").await?;
        ensure!(
            list["items"][0]["id"] == finished["id"] && list["items"][0].get("pending").is_none(),
            "{list}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn one_seed_and_one_set_of_scores_give_one_course_on_either_side_of_a_crash() -> Result<()> {
    for database in databases() {
        let mut site = Site::on(&database).await?;
        let config = json!({ "strategy": "cma_es", "method": "ties", "models": MODELS, "base": BASE,
            "better": "lower", "seed": 11, "layer_granularity": 1, "filters": ["mlp"], "output": "tests/c" });
        let (one, first) = site.create(&config).await?;
        let (other, again) = site.create(&config).await?;
        ensure!(pending(&first) == pending(&again), "{first} {again}");
        site.can_merge(&pending(&first)[0]).await?;
        let scores: Vec<(u64, f64)> =
            numbers(&first).into_iter().map(|number| (number, (number as f64 * 1.7).sin())).collect();

        let through = site.tell(&one, &scores).await?;
        site.tell(&other, &scores[..scores.len() - 1]).await?;
        site.server.restart().await?;
        let interrupted = site.tell(&other, &scores).await?;

        ensure!(through["generation"] == 1 && !pending(&through).is_empty(), "{through}");
        let recipes = |search: &Value| -> Vec<Value> {
            pending(search).into_iter().map(|mut candidate| candidate["recipe"].take()).collect()
        };
        ensure!(recipes(&through) == recipes(&interrupted), "{through} {interrupted}");
        site.can_merge(&pending(&interrupted)[1]).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_search_that_cannot_be_is_refused_with_every_fault() -> Result<()> {
    let site = Site::on(&Database::Sqlite).await?;
    let wrong = json!({ "strategy": "greedy", "method": "ties", "base": BASE, "k": 1,
        "models": [MODELS[0], "nobody/nothing", "nobody/else"] });

    let (status, problem) = site.post("/api/v1/searches", &wrong).await?;

    ensure!((status, &problem["code"]) == (422, &json!("invalid_search")), "{status} {problem}");
    let told = problem["errors"].to_string();
    for fault in ["/method", "/k", "nobody/nothing", "nobody/else"] {
        ensure!(told.contains(fault), "{fault}: {told}");
    }
    let shapeless =
        json!({ "stratgy": "greedy", "method": "linear", "base": BASE, "k": -1, "models": "all" });
    let (status, problem) = site.post("/api/v1/searches", &shapeless).await?;
    let told = problem["errors"].to_string();
    ensure!(status == 422 && problem["code"] == "invalid_search", "{status} {problem}");
    for fault in ["did you mean `strategy`", "/k", "/models"] {
        ensure!(told.contains(fault), "{fault}: {told}");
    }
    let folder = site.server.data().join("small");
    fs_err::create_dir(&folder)?;
    let header = br#"{"l.weight":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]}}"#;
    let bytes = [&(header.len() as u64).to_le_bytes()[..], header, &[0; 8]].concat();
    fs_err::write(folder.join("model.safetensors"), bytes)?;
    let out = site.server.stemma().args(["import", "dir", "small", "--id", "tests/small"]).output()?;
    ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let shapes = json!({ "strategy": "cma_es", "method": "linear", "models": [MODELS[0], "tests/small"] });
    let (status, problem) = site.post("/api/v1/searches", &shapes).await?;
    ensure!(
        status == 422
            && problem["errors"].to_string().contains("`tests/small` are of different architectures"),
        "{status} {problem}"
    );
    let (_, list) = site.get("/api/v1/searches").await?;
    ensure!(list["items"] == json!([]), "{list}");
    let (status, problem) = site.get("/api/v1/searches/nowhere").await?;
    ensure!((status, &problem["code"]) == (404, &json!("unknown_search")), "{status} {problem}");
    Ok(())
}

#[tokio::test]
async fn the_command_line_asks_and_tells_as_rest_does() -> Result<()> {
    let site = Site::on(&Database::Sqlite).await?;
    let run = |words: &str| -> Result<(Option<i32>, Value, String)> {
        let out = site.server.stemma().args(words.split_whitespace()).arg("--json").output()?;
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        Ok((out.status.code(), serde_json::from_slice(&out.stdout).unwrap_or_default(), said))
    };
    let yaml =
        format!("strategy: greedy\nmethod: linear\nmodels: [{}]\nbase: {BASE}\nk: 2\n", MODELS.join(", "));
    fs_err::write(site.server.data().join("search.yml"), yaml)?;

    let (code, search, said) = run("search new search.yml")?;
    ensure!(code == Some(0), "{said}");
    let id = search["id"].as_str().context("no id")?;
    let (_, asked, said) = run(&format!("search ask {id}"))?;
    ensure!(asked == search["pending"], "{asked} {said}");
    let (code, _, said) = run(&format!("search tell {id} 1=NaN"))?;
    ensure!(code == Some(1) && said.contains("invalid_search"), "{code:?} {said}");
    let (code, _, said) = run(&format!("search tell {id} 99=1 1=0.4 98=2"))?;
    let unknown = ["no candidate 99", "no candidate 98"];
    ensure!(code == Some(1) && unknown.iter().all(|fault| said.contains(fault)), "{code:?} {said}");
    let wrong =
        "stratgy: greedy\nmethod: linear\nmodels: [nobody/one, nobody/two, nobody/one]\nk: 0\nbudget: -3\n";
    fs_err::write(site.server.data().join("wrong.yml"), wrong)?;
    let (code, _, said) = run("search new wrong.yml")?;
    let faults =
        ["mean `strategy`", "/budget", "/k", "`nobody/one` is listed already", "`nobody/two`", "/base"];
    ensure!(code == Some(1) && faults.iter().all(|fault| said.contains(fault)), "{code:?} {said}");
    let (code, told, said) = run(&format!("search tell {id} 1=0.5 2=-0.4 3=0.1"))?;
    ensure!(code == Some(0) && told["generation"] == 1, "{said} {told}");

    let (_, over_rest) = site.get(&format!("/api/v1/searches/{id}")).await?;
    let (_, shown, said) = run(&format!("search show {id}"))?;
    ensure!(shown == over_rest, "{shown} {over_rest} {said}");
    let (_, cancelled, said) = run(&format!("search cancel {id}"))?;
    ensure!(cancelled["state"] == "cancelled", "{cancelled} {said}");
    let (code, _, said) = run("search show nowhere")?;
    ensure!(code == Some(3) && said.contains("unknown_search"), "{code:?} {said}");
    let (code, _, said) = run(&format!("suggest {} --base {BASE}", MODELS[0]))?;
    ensure!(code == Some(0), "{said}");
    Ok(())
}

#[tokio::test]
async fn partners_are_relatives_of_the_base_and_the_least_akin_comes_first() -> Result<()> {
    for database in databases() {
        let site = Site::on(&database).await?;

        let (status, answer) =
            site.get(&format!("/api/v1/models/{}/merge-suggestions?base={BASE}", MODELS[0])).await?;

        ensure!(status == 200, "{status} {answer}");
        ensure!(answer["caveat"] == "kinship is a hint, not a measurement of quality", "{answer}");
        let partners = answer["suggestions"].as_array().context("no list")?;
        let names: Vec<&str> = partners.iter().filter_map(|partner| partner["model"].as_str()).collect();
        ensure!(names.contains(&MODELS[1]) && names.contains(&MODELS[2]), "{answer}");
        ensure!(!names.contains(&MODELS[0]) && !names.contains(&BASE), "{answer}");
        ensure!(!names.contains(&"papyrus/reed-v1"), "another origin: {answer}");
        let kinships: Vec<f64> = partners.iter().filter_map(|partner| partner["kinship"].as_f64()).collect();
        ensure!(kinships.is_sorted(), "{answer}");
        let (_, one) =
            site.get(&format!("/api/v1/models/{}/merge-suggestions?base={BASE}&limit=1", MODELS[0])).await?;
        ensure!(one["suggestions"] == json!([answer["suggestions"][0]]), "{one}");
        ensure!(partners.iter().all(|partner| partner["reason"].is_string()), "{answer}");
        let (status, problem) =
            site.get(&format!("/api/v1/models/{}/merge-suggestions?base=papyrus/reed-v1", MODELS[0])).await?;
        ensure!(status == 422, "{status} {problem}");
    }
    Ok(())
}
