//! The pages in a real browser: readable at every width and in both colour schemes, working without scripts,
//! asking nothing of other machines, and proof against what model repositories write.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use stemma_tests::{
    Browser, databases, named,
    steps::{arrived, fill, filled, follow, job_ended, press, settled, text},
};
use thirtyfour::{By, Key};

const ENOUGH: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_reader_finds_a_model_and_follows_its_line() -> Result<()> {
    for database in databases() {
        let (server, browser) = (filled(&database).await?, Browser::open().await?);

        browser.goto(server.url("/")).await?;
        fill(&browser, "search", "scribe-v1-de").await?;
        press(&browser, "Search").await?;
        follow(&browser, "mandoc/scribe-v1-de").await?;
        arrived(&browser, "h1.model", "mandoc/scribe-v1-de").await?;
        ensure!(text(&browser, ".strip").await?.starts_with("mandoc/scribe-v1 ›"));

        follow(&browser, "Family tree").await?;
        arrived(&browser, ".kicker", "Family tree").await?;
        let drawn: Vec<String> = browser.execute(LABELS, vec![]).await?.convert()?;
        ensure!(
            drawn == ["mandoc/scribe-v1", "mandoc/scribe-v1-de", "community/scribe-de-code"],
            "{drawn:?}"
        );
        browser.find(By::Css("details.list summary")).await?.click().await?;
        let listed: Vec<String> = browser.execute(LISTED, vec![]).await?.convert()?;
        ensure!(listed == drawn, "the list {listed:?} says something else than the picture {drawn:?}");

        let address = "/kinship?of=mandoc/scribe-v1-de&of=mandoc/scribe-v1-fr&base=mandoc/scribe-v1";
        browser.goto(server.url(address)).await?;
        let pair = "table.heat tbody tr:first-child td:nth-child(3)";
        ensure!(text(&browser, pair).await?.contains('±'), "sketches answer first");
        follow(&browser, "Read the weights for the exact numbers").await?;
        arrived(&browser, "main", "compared, exactly").await?;
        ensure!(text(&browser, pair).await? == "0.378");
        browser.goto(server.url("/compare/mandoc/scribe-v1-de...mandoc/scribe-v1")).await?;
        ensure!(text(&browser, ".lead").await?.contains("39 of 39 tensors differ"));
        ensure!(browser.find_all(By::Css("table.tensors tbody tr")).await?.len() == 39);
        browser.close().await?;
    }
    Ok(())
}

/// What the list below the search box offers, and which of it is chosen.
const OFFERED: &str = "return [document.querySelector('#suggestions').hidden, \
    [...document.querySelectorAll('#suggestions li')].map(li => (li.ariaSelected === 'true' ? '>' : '') + li.dataset.name)]";

/// Waits until the search box offers this.
async fn offered(browser: &Browser, want: (bool, &[&str])) -> Result<()> {
    let deadline = Instant::now() + ENOUGH;
    loop {
        let seen: (bool, Vec<String>) = browser.execute(OFFERED, vec![]).await?.convert()?;
        if seen.0 == want.0 && (want.0 || seen.1 == want.1) {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "{seen:?} is not {want:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn the_search_box_offers_names_to_the_keyboard_and_works_without_scripts() -> Result<()> {
    let (server, browser) = (filled(&stemma_tests::Database::Sqlite).await?, Browser::open().await?);

    browser.goto(server.url("/search")).await?;
    browser.find(By::Tag("body")).await?.send_keys("/").await?;
    let field = browser.find(By::Name("search")).await?;
    ensure!(browser.active_element().await?.attr("name").await?.as_deref() == Some("search"));
    field.send_keys("scribe-v1-").await?;
    offered(&browser, (false, &["mandoc/scribe-v1-fr", "mandoc/scribe-v1-de"])).await?;
    field.send_keys(Key::Down + Key::Down).await?;
    offered(&browser, (false, &["mandoc/scribe-v1-fr", ">mandoc/scribe-v1-de"])).await?;
    field.send_keys(Key::Escape + "").await?;
    offered(&browser, (true, &[])).await?;
    field.send_keys(Key::Down + Key::Down).await?;
    field.send_keys(Key::Enter + "").await?;
    arrived(&browser, "h1.model", "mandoc/scribe-v1-de").await?;

    browser.without_scripts().await?;
    browser.goto(server.url("/")).await?;
    fill(&browser, "search", "scribe").await?;
    press(&browser, "Search").await?;
    arrived(&browser, ".order", "6 models").await?;
    follow(&browser, "adapter").await?;
    arrived(&browser, ".order", "1 model").await?;
    ensure!(text(&browser, ".chips").await?.contains("adapter"));
    ensure!(text(&browser, ".results").await?.contains("community/scribe-es-lora"));
    browser.close().await
}

const LABELS: &str = "return [...document.querySelectorAll('figure.tree svg a g.node')].map(g => \
    (g.querySelector('.org')?.textContent ?? '') + g.querySelector('.label').textContent)";
const LISTED: &str =
    "return [...document.querySelectorAll('details.list li > a:first-child')].map(a => a.textContent)";

#[tokio::test]
async fn merges_and_transfers_run_from_their_forms_with_and_without_scripts() -> Result<()> {
    for database in databases() {
        let (server, browser) = (filled(&database).await?, Browser::open().await?);

        browser.goto(server.url("/transfers/new?source_tuned=mandoc/scribe-v1-de")).await?;
        fill(&browser, "source_base", "mandoc/scribe-v1").await?;
        fill(&browser, "target_base", "mandoc/scribe-v1.1").await?;
        fill(&browser, "output", "tests/transferred").await?;
        press(&browser, "Start the transfer").await?;
        ensure!(job_ended(&browser).await? == "succeeded", "{}", text(&browser, "main").await?);
        browser.resize((360, 800)).await?;
        browser.refresh().await?;
        let seen: Value = browser.execute(LOOK, vec![]).await?.convert()?;
        ensure!(seen["width"].as_u64() <= Some(360), "the job page is wider than a phone: {seen}");
        browser.resize((1280, 900)).await?;

        browser.without_scripts().await?;
        browser.goto(server.url("/merges/new?method=linear")).await?;
        for (name, value) in [
            ("model.0", "mandoc/scribe-v1-de"),
            ("p.weight.0", "0.5"),
            ("model.1", "mandoc/scribe-v1-fr"),
            ("p.weight.1", "0.5"),
        ] {
            fill(&browser, name, value).await?;
        }
        press(&browser, "Write the recipe").await?;
        arrived(&browser, "textarea[name=yaml]", "merge_method").await?;
        fill(&browser, "output", "tests/merged").await?;
        press(&browser, "Start the merge").await?;
        ensure!(job_ended(&browser).await? == "succeeded", "{}", text(&browser, "main").await?);
        follow(&browser, "tests/merged").await?;
        arrived(&browser, "h1.model", "tests/merged").await?;
        let page = text(&browser, "main").await?;
        ensure!(page.contains("model.safetensors") && page.contains("mandoc/scribe-v1-fr"), "{page}");
        browser.close().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_recipe_is_checked_while_it_is_written_and_partners_are_at_hand() -> Result<()> {
    let (server, browser) = (filled(&stemma_tests::Database::Sqlite).await?, Browser::open().await?);

    browser
        .goto(server.url("/merges/new?method=linear&base=mandoc/scribe-v1&model.0=mandoc/scribe-v1-de"))
        .await?;
    browser.find(By::Css("a[aria-label='add mandoc/scribe-v1-fr']")).await?.click().await?;
    settled(async || {
        let field = browser.find(By::Name("p.weight.0")).await?;
        field.send_keys("0.5" + Key::Tab).await
    })
    .await?;
    arrived(&browser, "#check", "weight").await?;
    browser.find(By::Name("p.weight.1")).await?.send_keys("0.5" + Key::Tab).await?;
    arrived(&browser, "#check", "can be carried out").await?;
    fill(&browser, "yaml", "merge_method: liner\nmodels: [{model: no/where}]").await?;
    arrived(&browser, "#check", "linear").await?;

    browser.without_scripts().await?;
    browser.goto(server.url("/merges/new")).await?;
    let recipe =
        "merge_method: linear\nmodels:\n  - {model: mandoc/scribe-v1-de, parameters: {weight: 0.25}}\n";
    fill(&browser, "yaml", recipe).await?;
    press(&browser, "Check").await?;
    arrived(&browser, "#check", "Tensors").await?;
    press(&browser, "Read it into the form").await?;
    settled(async || browser.find(By::Name("p.weight.0")).await?.prop("value").await).await?;
    let weight = browser.find(By::Name("p.weight.0")).await?.prop("value").await?;
    ensure!(weight.as_deref() == Some("0.25"), "{weight:?}");
    browser.close().await
}

#[tokio::test]
async fn what_is_typed_beside_the_builder_outlives_a_change_in_it() -> Result<()> {
    let (server, browser) = (filled(&stemma_tests::Database::Sqlite).await?, Browser::open().await?);
    let value = async |name: &str| browser.find(By::Name(name)).await?.prop("value").await;

    browser.goto(server.url("/merges/new?method=ties")).await?;
    fill(&browser, "output", "tests/kept").await?;
    browser.find(By::Name("model.0")).await?.send_keys("mandoc/scribe-v1-de" + Key::Tab).await?;
    arrived(&browser, "#partners", "mandoc/scribe-v1-fr").await?;
    let offered = browser.find_all(By::Css("#compatible option")).await?.len();
    browser.find(By::Name("p.density.0")).await?.send_keys("0.3" + Key::Tab).await?;
    settled(async || browser.find(By::Css("#methods a[href*='p.density.0=0.3'][href*='=dare_ties&']")).await)
        .await?;
    ensure!(offered > 0 && value("output").await?.as_deref() == Some("tests/kept"));
    let written = value("yaml").await?.unwrap_or_default();
    ensure!(written.contains("density: 0.3"), "{written}");

    fill(&browser, "yaml", "merge_method: linear # mine").await?;
    browser.find(By::Name("p.density.0")).await?.send_keys("1" + Key::Tab).await?;
    arrived(&browser, "[data-by-hand]", "changed by hand").await?;
    ensure!(value("yaml").await?.is_some_and(|yaml| yaml.ends_with("# mine")));
    press(&browser, "Write the recipe").await?;
    settled(async || browser.find(By::XPath("//textarea[contains(., 'density: 0.31')]")).await).await?;
    ensure!(value("output").await?.as_deref() == Some("tests/kept"));
    browser.close().await
}

#[tokio::test]
async fn a_cell_of_the_map_of_changes_narrows_the_tensors() -> Result<()> {
    let (server, browser) = (filled(&stemma_tests::Database::Sqlite).await?, Browser::open().await?);
    let rows = "table.tensors tbody tr";

    browser.goto(server.url("/compare/mandoc/scribe-v1-de...mandoc/scribe-v1-fr?view=base")).await?;
    ensure!(text(&browser, "main").await?.contains("both: 39"), "{}", text(&browser, "main").await?);
    ensure!(text(&browser, "main").await?.contains("tokens: "), "the tokenizers are not compared");
    browser.execute("document.querySelector('.changes a').focus()", vec![]).await?;
    for key in [Key::Down, Key::Right] {
        browser.active_element().await?.send_keys(key + "").await?;
    }
    let reached = browser.active_element().await?.attr("aria-label").await?.unwrap_or_default();
    ensure!(reached.starts_with("q, layer 1:"), "arrows lead to {reached}");
    browser.find(By::Css(".changes a[aria-label^='q, layer 1:']")).await?.click().await?;
    arrived(&browser, ".chips", "q, layer 1").await?;

    ensure!(browser.find_all(By::Css(rows)).await?.len() == 1);
    ensure!(text(&browser, rows).await?.contains("layers.1.self_attn.q_proj"));
    browser.close().await
}

#[tokio::test]
async fn the_page_of_a_job_that_failed_says_what_failed_where_and_what_to_try() -> Result<()> {
    let (server, browser) = (filled(&stemma_tests::Database::Sqlite).await?, Browser::open().await?);
    let manifest = server.stemma().args(["manifest", "mandoc/scribe-v1-fr", "--json"]).output()?;
    let manifest: Value = serde_json::from_slice(&manifest.stdout)?;
    let rotten = tempfile::tempdir()?;
    for file in manifest["files"].as_array().into_iter().flatten() {
        let (Some(path), Some(hex)) = (file["path"].as_str(), file["sha256"].as_str()) else { continue };
        let mut bytes = fs_err::read(server.data().join("blobs/blobs/sha256").join(&hex[..2]).join(hex))?;
        let end = bytes.len();
        if path == "model.safetensors" {
            bytes[end - 4_096..].fill(0xff);
        }
        fs_err::write(rotten.path().join(path), bytes)?;
    }
    let folder = rotten.path().display().to_string();
    let import = server.stemma().args(["import", "dir", &folder, "--id", "mandoc/scribe-v1-fr"]).output()?;
    ensure!(import.status.success(), "{}", String::from_utf8_lossy(&import.stderr));

    browser.goto(server.url("/merges/new")).await?;
    let half = |model: &str| format!("  - {{model: mandoc/{model}, parameters: {{weight: 0.5}}}}\n");
    let models = [half("scribe-v1-de"), half("scribe-v1-fr")].concat();
    fill(&browser, "yaml", &format!("merge_method: linear\nmodels:\n{models}")).await?;
    fill(&browser, "output", "tests/rotten").await?;
    press(&browser, "Start the merge").await?;
    ensure!(job_ended(&browser).await? == "failed", "{}", text(&browser, "main").await?);

    ensure!(text(&browser, "dl.facts").await?.contains("Device"), "it says what computed it");
    let told = text(&browser, "[role=alert]").await?;
    for part in [
        "mandoc/scribe-v1-fr holds NaN",
        "failed while writing tensors",
        "bring a sound copy in",
        "try again",
    ] {
        ensure!(told.contains(part), "no {part}: {told}");
    }
    let (page, axe) = (browser.current_url().await?.to_string(), axe()?);
    for (width, scheme) in [(390, "dark"), (1280, "light")] {
        browser.resize((width, 800)).await?;
        browser.prefer_colours(scheme).await?;
        sound(&browser, &page, (width, scheme, axe.as_deref())).await?;
    }
    browser.close().await
}

#[tokio::test]
async fn an_advisory_that_is_filed_stands_on_the_page_of_a_grandchild() -> Result<()> {
    for database in databases() {
        let (server, browser) = (filled(&database).await?, Browser::open().await?);
        browser.without_scripts().await?;

        browser.goto(server.url("/advisories?model=mandoc/scribe-v1")).await?;
        fill(&browser, "summary", "Trained on leaked mail").await?;
        fill(&browser, "details", "Do not use it.").await?;
        press(&browser, "File the advisory").await?;
        arrived(&browser, "h1", "Trained on leaked mail").await?;
        ensure!(text(&browser, "main").await?.contains("community/scribe-de-code"));
        browser.goto(server.url("/community/scribe-de-code")).await?;

        let notice = text(&browser, "p.notice.bad").await?;
        ensure!(notice.contains("Trained on leaked mail"), "{notice}");
        ensure!(notice.contains("through ancestor mandoc/scribe-v1"), "{notice}");
        ensure!(
            notice.contains("mandoc/scribe-v1 › mandoc/scribe-v1-de › community/scribe-de-code"),
            "{notice}"
        );
        browser.close().await?;
    }
    Ok(())
}

#[tokio::test]
async fn faults_of_a_recipe_are_shown_beside_the_form_that_is_still_filled() -> Result<()> {
    let (server, browser) = (filled(&stemma_tests::Database::Sqlite).await?, Browser::open().await?);

    browser.goto(server.url("/merges/new")).await?;
    fill(&browser, "yaml", "merge_method: liner\nmodels: [{model: no/where}]").await?;
    fill(&browser, "output", "tests/never").await?;
    press(&browser, "Start the merge").await?;

    ensure!(text(&browser, "[role=alert]").await?.contains("linear"), "{}", text(&browser, "main").await?);
    let kept = browser.find(By::Name("yaml")).await?.prop("value").await?.unwrap_or_default();
    ensure!(kept.starts_with("merge_method: liner"), "{kept}");
    browser.close().await
}

#[tokio::test]
async fn every_page_fits_asks_no_other_machine_and_runs_no_foreign_script() -> Result<()> {
    let (server, browser) = (filled(&stemma_tests::Database::Sqlite).await?, Browser::open().await?);
    let axe = axe()?;
    for width in [360, 390, 1280] {
        for scheme in ["light", "dark"] {
            browser.resize((width, 800)).await?;
            browser.prefer_colours(scheme).await?;
            for page in PAGES {
                sound(&browser, &server.url(page), (width, scheme, axe.as_deref())).await?;
            }
        }
    }
    browser.close().await
}

#[tokio::test]
async fn pages_for_whoever_signed_in_are_as_sound_as_the_others() -> Result<()> {
    const CLOSED: &str = "mandoc/scribe-v1-fr";
    let (server, browser) = (filled(&stemma_tests::Database::Sqlite).await?, Browser::open().await?);
    let run = |words: &[&str]| -> Result<Value> {
        let out = server.stemma().args(words).arg("--json").output()?;
        ensure!(out.status.success(), "{words:?}: {}", String::from_utf8_lossy(&out.stderr));
        Ok(serde_json::from_slice(&out.stdout).unwrap_or_default())
    };
    let token = run(&["user", "add", "ann"])?["token"].as_str().unwrap_or_default().to_owned();
    run(&["org", "create", "mandoc"])?;
    run(&["org", "member", "add", "mandoc", "ann", "--role", "admin"])?;
    run(&["access", "set", CLOSED, "--private", "--gate", "manual"])?;
    run(&["user", "add", "bob"])?;
    run(&["access", "grant", CLOSED, "bob"])?;
    let axe = axe()?;

    browser.goto(server.url("/login")).await?;
    fill(&browser, "token", &token).await?;
    press(&browser, "Sign in").await?;
    arrived(&browser, "h1", "Where does a model come from").await?;

    for width in [390, 1280] {
        for scheme in ["light", "dark"] {
            browser.resize((width, 800)).await?;
            browser.prefer_colours(scheme).await?;
            for page in ["/settings", "/mandoc/scribe-v1-fr", "/models?search=scribe"] {
                sound(&browser, &server.url(page), (width, scheme, axe.as_deref())).await?;
                ensure!(page == "/settings" || text(&browser, "main").await?.contains("private"), "{page}");
            }
        }
    }
    browser.goto(server.url("/settings")).await?;
    fill(&browser, "label", "bench").await?;
    press(&browser, "Make a token").await?;
    arrived(&browser, "[role=status]", "stemma_").await?;
    browser.close().await
}

/// Opens a page and checks what can be measured of it.
async fn sound(browser: &Browser, page: &str, (width, scheme, axe): (u32, &str, Option<&str>)) -> Result<()> {
    browser.goto(page).await?;
    let seen: Value = browser.execute(LOOK, vec![]).await?.convert()?;
    let wrong = |what: &str| format!("{page} at {width} px in {scheme}: {what}: {seen}");
    ensure!(seen["width"].as_u64() <= Some(width.into()), "{}", wrong("wider than the window"));
    ensure!(seen["foreign"] == json!([]), "{}", wrong("asks elsewhere"));
    ensure!(seen["caught"] == Value::Null, "{}", wrong("a foreign script ran"));
    ensure!(seen["headings"] == 1 && seen["main"] == 1, "{}", wrong("not one heading"));
    ensure!(seen["contrast"].as_f64() >= Some(4.5), "{}", wrong("text too faint"));
    ensure!(seen["unlabelled"] == 0, "{}", wrong("a field without a label"));
    if let Some(axe) = axe.filter(|_| width != 360) {
        let found = faults(browser, axe).await?;
        ensure!(found.is_empty(), "{page} at {width} px in {scheme} is not accessible: {found:#?}");
    }
    Ok(())
}

/// The accessibility rules of axe-core, where `STEMMA_TEST_AXE` names its script, as `scripts/test` sees to.
fn axe() -> Result<Option<String>> {
    named("STEMMA_TEST_AXE", "axe").map(|path| Ok(fs_err::read_to_string(path)?)).transpose()
}

/// What axe finds wrong with the page that is shown: rule and the first element.
async fn faults(browser: &Browser, axe: &str) -> Result<Vec<(String, String)>> {
    browser.execute(axe, vec![]).await?;
    let run = "const done = arguments[0]; axe.run(document, { resultTypes: ['violations'], rules: { 'label-content-name-mismatch': { enabled: true }, \
        'target-size': { enabled: true } } }).then(found => \
        done(found.violations.map(rule => [rule.id, rule.nodes[0].html.slice(0, 200)])), error => done([['axe', String(error)]]))";
    Ok(browser.execute_async(run, vec![]).await?.convert()?)
}

const PAGES: [&str; 53] = [
    "/mandoc/scribe-v1/compare/main...main",
    "/lineage",
    "/lineage?from=community/scribe-de-code&to=mandoc/scribe-v1-fr",
    "/kinship?of=mandoc/scribe-v1-de",
    "/kinship?of=mandoc/scribe-v1-de&of=mandoc/scribe-v1-fr&of=papyrus/reed-v1&base=mandoc/scribe-v1&pair=mandoc/scribe-v1-de&pair=papyrus/reed-v1&threshold=0.2",
    "/kinship?of=mandoc/scribe-v1-de&of=mandoc/scribe-v1-fr&of=evil/card&base=mandoc/scribe-v1",
    "/kinship?of=mandoc/scribe-v1-de&of=mandoc/scribe-v1-fr",
    "/mandoc/scribe-v1/lineage?down=3&relation=finetune&license=permissive",
    "/mandoc/scribe-v1/icicle?size=under-100m",
    "/search?search=tensor:model.layers.0.self_attn.qproj.weight",
    "/search?pin=mandoc/scribe-v1&sort=kinship",
    "/kinship?of=mandoc/scribe-v1-de&of=mandoc/scribe-v1-fr&of=mandoc/scribe-v1.1&base=mandoc/scribe-v1",
    "/about",
    "/advisories?model=mandoc/scribe-v1",
    "/login",
    "/docs/errors",
    "/docs/merging",
    "/community/scribe-es-lora",
    "/compare/mandoc/scribe-v1...evil/card",
    "/compare/mandoc/scribe-v1-de...mandoc/scribe-v1-fr?view=base&module=q&layer=1",
    "/merges/new?method=ties&write=1&base=mandoc/scribe-v1&model.0=mandoc/scribe-v1-de&model.1=mandoc/scribe-v1-fr",
    "/atlas",
    "/mandoc/scribe-v1/icicle",
    "/mandoc/scribe-v1/children",
    "/mandoc/scribe-v1/children?search=none-of-them",
    "/reports",
    "/reports/traits",
    "/reports/mutation",
    "/reports/drift",
    "/reports/families",
    "/reports/licences",
    "/reports/names",
    "/search?search=scribe&relation=finetune&weights=yes",
    "/contradictions",
    "/advisories",
    "/community/mystery-de",
    "/",
    "/models",
    "/models?search=evil",
    "/models?search=nothing-at-all",
    "/evil/card",
    "/evil/card/lineage",
    "/mandoc/scribe-v1",
    "/mandoc/scribe-v1/lineage?down=3",
    "/families",
    "/kinship",
    "/kinship?of=mandoc/scribe-v1-de&of=mandoc/scribe-v1-fr&of=papyrus/reed-v1&base=mandoc/scribe-v1",
    "/compare",
    "/compare/mandoc/scribe-v1-de...mandoc/scribe-v1",
    "/merges/new?method=ties",
    "/transfers/new",
    "/jobs",
    "/no/such-model",
];

/// What can be measured of a page: its width, where it asked, whether a script ran, the faintest text.
const LOOK: &str = r"
const channel = v => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
const light = c => { const [r, g, b] = c.match(/[\d.]+/g).map(Number); return 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b); };
const clear = c => c === 'transparent' || /, 0\)$/.test(c);
const ground = e => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor; if (!clear(c)) return c; } return 'rgb(255, 255, 255)'; };
let contrast = 21, faintest = '';
for (const e of document.querySelectorAll('main *, header *, footer *')) {
  if (e.closest('svg') || ![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()) || !e.checkVisibility()) continue;
  const [a, b] = [light(getComputedStyle(e).color), light(ground(e))].sort((x, y) => y - x);
  const here = (a + 0.05) / (b + 0.05);
  if (here < contrast) [contrast, faintest] = [here, e.outerHTML.slice(0, 80)];
}
return {
  width: document.documentElement.scrollWidth,
  beyond: [...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > innerWidth + 0.5 && !e.closest('.scroll')).map(e => e.outerHTML.slice(0, 80)).slice(0, 3),
  foreign: performance.getEntriesByType('resource').map(r => r.name).filter(n => !n.startsWith(location.origin + '/') && !n.startsWith('data:')),
  caught: window.caught ?? null,
  headings: document.querySelectorAll('h1').length,
  main: document.querySelectorAll('main').length,
  unlabelled: [...document.querySelectorAll('input:not([type=hidden]), select, textarea')].filter(e => !e.labels.length).length,
  contrast,
  faintest,
};";
