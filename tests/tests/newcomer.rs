//! The way of somebody who is here for the first time: by clicks alone, with scripts and without them, and by the commands
//! of the README.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use stemma_tests::{
    Browser, Database, Place, Server, Zoo, program, root, run, stemma,
    steps::{arrived, fill, filled, follow, press, text, waiting_merge},
};
use tempfile::TempDir;
use thirtyfour::By;

/// A family of a root with more children than a page of them holds.
fn large_family(server: &Server) -> Result<()> {
    let mut rows = vec![json!({ "id": "big/root", "license": "mit", "downloads": 9_000 })];
    rows.extend((0..130).map(|at| {
        let kind = ["finetune", "quantized"][at % 2];
        json!({ "id": format!("many/child-{at}"), "downloads": at, "tags": [format!("base_model:{kind}:big/root")] })
    }));
    let dump = server.data().join("family.jsonl");
    fs_err::write(&dump, rows.iter().map(|row| format!("{row}\n")).collect::<String>())?;
    let out = server.stemma().args(["import", "dump"]).arg(&dump).output()?;
    ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    Ok(())
}

async fn click(browser: &Browser, selector: &str) -> Result<()> {
    browser.find(By::Css(selector)).await?.click().await.with_context(|| format!("no {selector}"))
}

#[tokio::test]
async fn a_group_of_a_family_is_opened_and_searched_and_two_relatives_are_compared() -> Result<()> {
    let server = filled(&Database::Sqlite).await?;
    large_family(&server)?;
    for scripts in ["on", "off"] {
        let browser = Browser::open().await?;
        if scripts == "off" {
            browser.without_scripts().await?;
        }

        browser.goto(server.url("/")).await?;
        fill(&browser, "search", "big/root").await?;
        press(&browser, "Search").await?;
        follow(&browser, "big/root").await?;
        arrived(&browser, "h1.model", "big/root").await?;
        click(&browser, "a[href='/big/root/children?relation=quantized']").await?;
        arrived(&browser, ".kicker", "Children of").await?;
        ensure!(text(&browser, ".actions a[aria-current]").await?.contains("65"));
        follow(&browser, "Next page").await?;
        arrived(&browser, ".pager", "First page").await?;
        browser.find(By::Css("#within")).await?.send_keys("child-77").await?;
        press(&browser, "Search").await?;
        arrived(&browser, "tbody", "many/child-77").await?;
        ensure!(
            browser.find_all(By::Css("tbody tr")).await?.len() == 1,
            "{}",
            text(&browser, "tbody").await?
        );
        follow(&browser, "many/child-77").await?;
        arrived(&browser, "h1.model", "many/child-77").await?;
        follow(&browser, "Family tree").await?;
        arrived(&browser, ".kicker", "Family tree").await?;

        browser.goto(server.url("/mandoc/scribe-v1-de")).await?;
        follow(&browser, "compare").await?;
        arrived(&browser, ".lead", "39 of 39 tensors differ").await?;
        browser.close().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_contradiction_is_found_and_a_person_decides_about_it() -> Result<()> {
    let server = filled(&Database::Sqlite).await?;
    let browser = Browser::open().await?;
    browser.without_scripts().await?;

    browser.goto(server.url("/")).await?;
    follow(&browser, "Contradictions").await?;
    arrived(&browser, "h1", "Contradictions").await?;
    follow(&browser, "community/mystery-de").await?;
    arrived(&browser, "h1.model", "community/mystery-de").await?;
    ensure!(text(&browser, "main").await?.contains("Contradicted by the weights"));
    browser.find(By::XPath("//summary[.='Right or wrong?']")).await?.click().await?;
    press(&browser, "Reject").await?;
    arrived(&browser, "main", "a person rejected it").await?;

    browser.goto(server.url("/contradictions")).await?;
    ensure!(!text(&browser, "main").await?.contains("community/mystery-de"));
    browser.close().await
}

#[tokio::test]
async fn a_merge_that_was_stopped_is_asked_for_again_by_a_button() -> Result<()> {
    let (server, job) = waiting_merge().await?;
    let first = format!("/jobs/{job}");
    let browser = Browser::open().await?;
    browser.without_scripts().await?;

    browser.goto(server.url(&first)).await?;
    press(&browser, "Stop this job").await?;
    press(&browser, "Try again").await?;

    arrived(&browser, "[data-field=state]", "queued").await?;
    ensure!(!browser.current_url().await?.as_str().ends_with(&first), "the same job again");
    ensure!(browser.source().await?.contains("mandoc/scribe-v1-de"), "another request");
    browser.close().await
}

#[tokio::test]
async fn a_tree_is_filtered_by_chips_and_a_transfer_is_looked_at_before_it_is_made() -> Result<()> {
    let server = filled(&Database::Sqlite).await?;
    large_family(&server)?;
    for scripts in ["on", "off"] {
        let browser = Browser::open().await?;
        if scripts == "off" {
            browser.without_scripts().await?;
        }

        browser.goto(server.url("/big/root/lineage")).await?;
        arrived(&browser, "#tree-told", "41 models drawn, 90 more below them").await?;
        click(&browser, "#tree a[data-opens] text").await?;
        arrived(&browser, "#tree-told", "86 models drawn, 45 more below them").await?;
        ensure!(browser.current_url().await?.query().is_some_and(|query| query.contains("open=")));
        for link in ["a[data-view]", "#tree-files a", "#narrow a"] {
            let href = browser.find(By::Css(link)).await?.attr("href").await?.unwrap_or_default();
            ensure!(href.contains("open="), "{link} leads to the tree before: {href}");
        }
        browser.goto(server.url("/big/root/lineage")).await?;
        click(&browser, "details.narrow summary").await?;
        follow(&browser, "quantized").await?;
        arrived(&browser, ".held", "65 models are hidden by the filter").await?;
        follow(&browser, "Everything below it on one screen").await?;
        arrived(&browser, ".held", "65 models are hidden by the filter").await?;
        follow(&browser, "Drop the filter").await?;
        arrived(&browser, "main", "131 models").await?;
        ensure!(browser.find_all(By::Css(".held")).await?.is_empty(), "the filter is still on");

        browser
            .goto(server.url("/transfers/new?source_base=mandoc/scribe-v1&source_tuned=mandoc/scribe-v1-de"))
            .await?;
        fill(&browser, "target_base", "mandoc/scribe-v1.1").await?;
        press(&browser, "Check").await?;
        arrived(&browser, "main", "by a rule of thumb").await?;
        let told = text(&browser, "main").await?;
        ensure!(told.contains("39 of 39") && told.contains("100.0 %"), "{told}");

        browser.goto(server.url("/mandoc/scribe-v1-de")).await?;
        if scripts == "on" {
            arrived(&browser, "[hx-get]", "community/scribe-de-code").await?;
        }
        follow(&browser, "Nearest models").await?;
        arrived(&browser, ".pinned", "mandoc/scribe-v1-de").await?;
        arrived(&browser, ".results li", "community/scribe-de-code").await?;
        follow(&browser, "Unpin").await?;
        arrived(&browser, ".results", "big/root").await?;
        ensure!(browser.find_all(By::Css(".pinned")).await?.is_empty(), "still pinned");
        browser.close().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_number_of_the_matrix_leads_to_the_layers_of_its_pair() -> Result<()> {
    let (server, browser) = (filled(&Database::Sqlite).await?, Browser::open().await?);
    let of = "/kinship?of=mandoc/scribe-v1-de&of=mandoc/scribe-v1-fr&of=papyrus/reed-v1";
    let faint = "return document.querySelectorAll('.heat td.beyond').length";

    browser.goto(server.url(&format!("{of}&base=mandoc/scribe-v1"))).await?;
    let slide = "const slider = document.querySelector('.slide input'); slider.value = 0.5; \
        slider.dispatchEvent(new Event('input'))";
    browser.execute(slide, vec![]).await?;
    ensure!(browser.execute(faint, vec![]).await?.convert::<u64>()? == 6, "every pair is further apart");

    browser.without_scripts().await?;
    browser.goto(server.url("/kinship?of=mandoc/scribe-v1-de&of=mandoc/scribe-v1-fr")).await?;
    follow(&browser, "Take away mandoc/scribe-v1").await?;
    arrived(&browser, "#layers ~ p", "after taking away mandoc/scribe-v1").await?;
    browser.goto(server.url(&format!("{of}&base=mandoc/scribe-v1"))).await?;
    browser.find(By::Css("table.heat td a[href*='scribe-v1-fr&pair=']")).await?.click().await?;
    arrived(&browser, "h2#layers", "Layer by layer").await?;
    let cell = browser.find(By::Css(".changes a[aria-label^='norm, layer 1:']")).await?;
    ensure!(cell.attr("aria-label").await?.is_some_and(|label| label.ends_with("in 2 tensors")));
    browser.find(By::Css("#layers ~ details summary")).await?.click().await?;
    ensure!(browser.find_all(By::Css("#layers ~ details.list tbody tr")).await?.len() >= 35);
    browser.goto(server.url(&format!("{of}&of=evil/card&base=mandoc/scribe-v1"))).await?;
    arrived(&browser, "main", "evil/card is known by its metadata only").await?;
    ensure!(browser.find_all(By::Css("table.heat td.hatched")).await?.len() == 7, "one model has no weights");
    fill(&browser, "threshold", "0.3").await?;
    press(&browser, "Measure").await?;
    arrived(&browser, "[role=status]", "1 of 6 pairs").await?;
    browser.close().await
}

#[tokio::test]
async fn the_path_between_two_models_is_a_form_away() -> Result<()> {
    let (server, browser) = (filled(&Database::Sqlite).await?, Browser::open().await?);

    browser.goto(server.url("/lineage")).await?;
    fill(&browser, "from", "scribe-de-").await?;
    let names = "return [...document.querySelectorAll('datalist option')].map(name => name.value)";
    let deadline = Instant::now() + Duration::from_secs(30);
    while browser.execute(names, vec![]).await?.convert::<Vec<String>>()? != ["community/scribe-de-code"] {
        ensure!(Instant::now() < deadline, "the field offers no name");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    browser.without_scripts().await?;

    browser.goto(server.url("/community/scribe-de-code/lineage")).await?;
    fill(&browser, "to", "mandoc/scribe-v1-fr").await?;
    press(&browser, "Show the path").await?;
    arrived(&browser, ".lead", "Both descend from mandoc/scribe-v1").await?;

    ensure!(browser.find_all(By::Css("ol.path li")).await?.len() == 4);
    follow(&browser, "Their kinship").await?;
    arrived(&browser, "main", "after taking away mandoc/scribe-v1").await?;
    browser.goto(server.url("/compare/mandoc/scribe-v1...papyrus/reed-v1")).await?;
    follow(&browser, "The path between them").await?;
    arrived(
        &browser,
        ".lead",
        "declared that community/mystery-de descends from both, but the weights contradict",
    )
    .await?;
    browser.close().await
}

/// What stands in the blocks of a language within a part of a page, in order.
fn blocks(page: &str, heading: &str, language: &str) -> Result<Vec<String>> {
    let page = fs_err::read_to_string(root().join(page))?;
    let (_, rest) = page.split_once(&format!("{heading}\n")).with_context(|| format!("no {heading}"))?;
    let part = rest.split("\n## ").next().unwrap_or_default();
    let fence = format!("```{language}\n");
    let blocks = part.split(&fence).skip(1);
    Ok(blocks.filter_map(|block| Some(block.split_once("```")?.0.to_owned())).collect())
}

/// What installs is left out, the client of the Hub only asks who it is, and a missing program is as none.
const STAND_INS: &str = r#"
command -v curl >/dev/null && command -v jq >/dev/null || { curl() { cat; }; jq() { cat; }; }
cargo() { :; }
hf() { curl -H "authorization: Bearer $HF_TOKEN" "$HF_ENDPOINT/api/whoami-v2"; }
"#;

#[tokio::test]
async fn the_commands_of_the_readmes_tour_run_one_after_the_other() -> Result<()> {
    let (server, zoo, place) =
        (filled(&Database::Sqlite).await?, Zoo::unpack()?, TempDir::with_prefix("stemma-test-")?);
    let at = |name: &str| place.path().join(name);
    fs_err::create_dir_all(at("stemma-data"))?;
    fs_err::os::unix::fs::symlink(server.data(), at("stemma-data/demo"))?;
    fs_err::create_dir(at("my-checkpoint"))?;
    for file in ["config.json", "README.md", "model.safetensors"] {
        fs_err::copy(zoo.path("mandoc/scribe-v1-fr")?.join(file), at("my-checkpoint").join(file))?;
    }
    for file in ["hub-models.jsonl", "more-models.jsonl"] {
        fs_err::write(at(file), json!({ "id": format!("org/{file}"), "license": "mit" }).to_string())?;
    }
    let tour = "## A quick tour";
    let recipe = blocks("README.md", tour, "yaml")?;
    fs_err::write(at("german-french.yml"), recipe.first().context("no recipe")?)?;
    fs_err::write(at(".curlrc"), "fail\nsilent\nshow-error\n")?;
    let programs = program().parent().context("no folder")?.display().to_string();
    let path = format!("{programs}:{}", std::env::var("PATH")?);
    let (commands, with_the_hubs_client) =
        (blocks("README.md", tour, "sh")?, blocks("docs/hub.md", "# The Hub's client against Stemma", "sh")?);
    ensure!(commands.len() > 10 && with_the_hubs_client.len() == 2, "{commands:?} {with_the_hubs_client:?}");

    let script = format!("{STAND_INS}{}{}", commands.concat(), with_the_hubs_client[1])
        .replace("http://127.0.0.1:8080", &server.url(""))
        .replace("hub-models.parquet", "hub-models.jsonl");
    let out = Command::new("bash")
        .args(["-exo", "pipefail", "-c", &script])
        .current_dir(place.path())
        .env_clear()
        .envs([("PATH", path.as_str()), ("CURL_HOME", &place.path().display().to_string())])
        .output()?;

    ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    Ok(())
}

#[test]
fn help_tells_what_goes_by_the_name_of_a_file_the_form_of_a_difference_and_the_kind_of_a_search() -> Result<()>
{
    let place = Place::on(&Database::Sqlite)?;

    // Lines break where the terminal ends.
    let help = |words: &str| {
        let told = run(place.command(words), "--help")?;
        Ok::<_, anyhow::Error>(told.split_whitespace().collect::<Vec<_>>().join(" "))
    };

    ensure!(help("import dump")?.contains(".ndjson"));
    ensure!(help("diff")?.contains("of the form skillpack-rtn a quarter of its smaller side"));
    ensure!(help("search tell")?.contains("whether more is better says `better` of the search"));
    Ok(())
}

#[test]
fn a_mistyped_folder_is_told_and_no_registry_is_made_in_it() -> Result<()> {
    let empty = TempDir::new()?;
    for words in
        ["tree a/b", "report licences", "contradictions", "token list", "doctor", "relatives a/b", "fsck"]
    {
        let out = stemma(empty.path()).args(words.split(' ')).output()?;

        let told = String::from_utf8_lossy(&out.stderr);
        ensure!(out.status.code() == Some(3) && told.contains("no_registry"), "{words}: {told}");
        ensure!(fs_err::read_dir(empty.path())?.next().is_none(), "{words}");
    }
    Ok(())
}
