//! Pictures and what moves, in a real browser: within reach of the keyboard, opened where the reader looks, kept up to date,
//! and fit for paper.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use stemma_tests::{
    Browser, Database, Server, Zoo, client,
    steps::{arrived, filled, follow, press},
};
use thirtyfour::{By, Key, error::WebDriverResult};

/// What has the focus: its tag, where it leads, and whether it is part of a picture.
const FOCUS: &str = "const e = document.activeElement; return [e.tagName.toLowerCase(), \
    e.getAttribute('href') ?? '', e.closest('figure svg') !== null]";

/// Presses a key and says what has the focus then.
async fn pressed(browser: &Browser, key: Key) -> WebDriverResult<(String, String, bool)> {
    browser.action_chain().send_keys(key + "").perform().await?;
    browser.execute(FOCUS, vec![]).await?.convert()
}

#[tokio::test]
async fn the_tab_key_enters_a_picture_once_and_arrows_go_on_inside() -> Result<()> {
    let (server, browser) = (filled(&Database::Sqlite).await?, Browser::open().await?);
    let child =
        |at| format!("{{\"id\":\"many/child-{at}\",\"tags\":[\"base_model:finetune:mandoc/scribe-v1\"]}}\n");
    let dump = server.data().join("many.jsonl");
    fs_err::write(&dump, (0..14).map(child).collect::<String>())?;
    ensure!(server.stemma().args(["import", "dump"]).arg(&dump).output()?.status.success());

    for page in [
        "/mandoc/scribe-v1/lineage?down=3",
        "/mandoc/scribe-v1/icicle",
        "/compare/mandoc/scribe-v1-de...mandoc/scribe-v1",
    ] {
        browser.goto(server.url(page)).await?;
        let mut entered = (String::new(), String::new(), false);
        for _ in 0..80 {
            entered = pressed(&browser, Key::Tab).await?;
            if entered.2 {
                break;
            }
        }
        let moved = pressed(&browser, Key::Right).await?;
        let left = pressed(&browser, Key::Tab).await?;

        ensure!(entered.0 == "a" && !entered.1.is_empty(), "{page}: {entered:?}");
        ensure!(moved.2 && moved.0 == "a" && moved.1 != entered.1, "{page}: {entered:?} to {moved:?}");
        ensure!(!left.2, "{page}: one stop is enough, {left:?} is another");
    }
    browser.close().await
}

#[tokio::test]
async fn a_tree_wider_than_the_window_opens_at_the_model_asked_about() -> Result<()> {
    let (server, browser) = (filled(&Database::Sqlite).await?, Browser::open().await?);
    let place = "const frame = document.querySelector('.tree .scroll'); \
        const [room, node] = [frame, frame.querySelector('.focus .label')].map(e => e.getBoundingClientRect()); \
        return [frame.scrollWidth > frame.clientWidth, node.left >= room.left && node.right <= room.right]";

    browser.resize((390, 800)).await?;
    browser.goto(server.url("/community/scribe-de-code/lineage")).await?;
    let (wide, seen): (bool, bool) = browser.execute(place, vec![]).await?.convert()?;

    ensure!(wide && seen, "wider than its frame: {wide}, in view: {seen}");
    browser.close().await
}

#[tokio::test]
async fn the_link_that_stays_is_copied_where_the_browser_lets_it_and_a_link_without_scripts() -> Result<()> {
    let (server, browser) = (filled(&Database::Sqlite).await?, Browser::open().await?);
    // The clipboard of a window without a screen may be closed; what is asked of it is what counts.
    let listen =
        "window.copied = null; navigator.clipboard.writeText = async text => { window.copied = text; }";

    browser.goto(server.url("/mandoc/scribe-v1")).await?;
    browser.execute(listen, vec![]).await?;
    press(&browser, "Copy permanent link").await?;
    arrived(&browser, ".actions [role=status]", "Copied").await?;
    let copied: String = browser.execute("return window.copied", vec![]).await?.convert()?;
    browser.goto(&copied).await?;
    arrived(&browser, "h1.model", "mandoc/scribe-v1").await?;

    ensure!(copied.contains("/mandoc/scribe-v1/tree/sha256"), "{copied}");
    browser.without_scripts().await?;
    browser.goto(server.url("/mandoc/scribe-v1")).await?;
    follow(&browser, "Permanent link").await?;
    ensure!(browser.current_url().await?.as_str() == copied);
    browser.close().await
}

#[tokio::test]
async fn the_list_of_jobs_keeps_up_without_being_opened_again() -> Result<()> {
    let server = Server::start_with(&Database::Sqlite, &["--no-worker"]).await?;
    let (zoo, client, browser) = (Zoo::unpack()?, client()?, Browser::open().await?);
    for id in ["mandoc/scribe-v1", "mandoc/scribe-v1-de"] {
        let mut import = server.stemma();
        import.args(["import", "dir"]).arg(zoo.path(id)?).args(["--id", id]);
        ensure!(import.output()?.status.success(), "{id}");
    }
    let body = json!({ "tuned": "mandoc/scribe-v1-de", "base": "mandoc/scribe-v1" });
    let queued: Value = client.post(server.url("/api/v1/diffs")).json(&body).send().await?.json().await?;
    let id = queued["id"].as_str().with_context(|| queued.to_string())?;

    browser.goto(server.url("/jobs")).await?;
    arrived(&browser, "#jobs", "queued").await?;
    browser.execute("window.same = true", vec![]).await?;
    browser.find(By::Css("#jobs a")).await?.focus().await?;
    client.delete(server.url(&format!("/api/v1/jobs/{id}"))).send().await?.error_for_status()?;
    arrived(&browser, "#jobs", "cancelled").await?;

    let kept =
        "return [window.same === true, document.activeElement.id, !document.querySelector('[hx-trigger]')]";
    let kept: (bool, String, bool) = browser.execute(kept, vec![]).await?.convert()?;
    ensure!(kept == (true, format!("job-{id}"), true), "page, place and end of asking: {kept:?}");
    browser.close().await
}

#[tokio::test]
async fn paper_gets_the_list_beside_the_picture_and_no_forms() -> Result<()> {
    let (server, browser) = (filled(&Database::Sqlite).await?, Browser::open().await?);
    let seen = "const shown = e => e.checkVisibility({ contentVisibilityAuto: true }); \
        return [[...document.querySelectorAll('form, button, input, select')].filter(shown).length, \
            shown(document.querySelector('details.list li a')), \
            getComputedStyle(document.querySelector('main p a[href^=\"/\"]'), '::after').content]";

    browser.prefer_paper().await?;
    for page in ["/mandoc/scribe-v1/lineage", "/mandoc/scribe-v1-de/lineage?down=2"] {
        browser.goto(server.url(page)).await?;
        let (controls, listed, address): (usize, bool, String) =
            browser.execute(seen, vec![]).await?.convert()?;

        ensure!(controls == 0, "{controls} controls are printed on {page}");
        ensure!(listed, "the list of {page} stays closed");
        ensure!(address.contains("/icicle"), "links of {page} print no address: {address}");
    }
    browser.close().await
}

/// Presses every arrow on every link that arrows lead to, from the first on; how many there are, and how many in all.
const ARROWS: &str = "const links = [...document.querySelectorAll('figure svg a')]; \
    const [seen, open] = [new Set([links[0]]), [links[0]]]; \
    while (open.length) { const at = open.pop(); \
      for (const key of ['ArrowLeft', 'ArrowRight', 'ArrowUp', 'ArrowDown']) { at.focus(); \
        at.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true })); \
        const now = document.activeElement; if (!seen.has(now)) { seen.add(now); open.push(now); } } } \
    return [seen.size, links.length]";

/// A family of four branches of twelve models with names of very different length, and a merge of two of them.
fn branches() -> String {
    let line = |name: &str, parents: &[&str], how: &str| {
        let tags: Vec<String> = parents.iter().map(|of| format!("base_model:{how}:{of}")).collect();
        format!("{}\n", json!({ "id": name, "tags": tags }))
    };
    let name = |branch: usize, at: usize| format!("many/{branch}-{at}{}", "-with-a-long-name".repeat(at % 3));
    let mut dump = String::new();
    for branch in 0..4 {
        let parent = format!("many/{branch}");
        dump.push_str(&line(&parent, &["many/root"], "finetune"));
        (0..12).for_each(|at| dump.push_str(&line(&name(branch, at), &[&parent], "finetune")));
    }
    dump.push_str(&line("many/merged", &[&name(0, 0), &name(3, 11)], "merge"));
    dump
}

#[tokio::test]
async fn arrows_reach_every_model_and_the_curves_of_a_large_tree_show_when_they_do() -> Result<()> {
    let (server, browser) = (filled(&Database::Sqlite).await?, Browser::open().await?);
    let dump = server.data().join("star.jsonl");
    fs_err::write(&dump, branches())?;
    ensure!(server.stemma().args(["import", "dump"]).arg(&dump).output()?.status.success());
    let curve =
        "return [...document.querySelectorAll('.tree .further')].map(e => getComputedStyle(e).strokeOpacity)";
    let focus = "document.getElementById('many/merged').closest('a').focus()";

    browser.goto(server.url("/many/root/lineage?down=3")).await?;
    let (reached, all): (usize, usize) = browser.execute(ARROWS, vec![]).await?.convert()?;
    let top: f64 = browser
        .execute("return document.getElementById('tree').getBoundingClientRect().top + scrollY", vec![])
        .await?
        .convert()?;
    browser.execute("document.activeElement.blur(); document.querySelector('h1 a').focus()", vec![]).await?;
    let hidden: Vec<String> = browser.execute(curve, vec![]).await?.convert()?;
    browser.execute(focus, vec![]).await?;
    let shown: Vec<String> = browser.execute(curve, vec![]).await?.convert()?;

    ensure!(reached == all && all > 40, "{reached} of {all}");
    ensure!(top < 420.0, "the tree begins at {top}");
    ensure!((hidden, shown) == (vec!["0".to_owned()], vec!["1".to_owned()]));
    browser.close().await
}
