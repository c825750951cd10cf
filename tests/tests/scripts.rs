//! What the script of the pages does beside the swaps of htmx: it asks before it loses what was written, and leaves
//! alone what the reader moved.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use stemma_tests::{
    Browser, Database,
    steps::{arrived, fill, filled, press, settled, waiting_merge},
};
use thirtyfour::By;

const MINE: &str = "merge_method: linear # mine";

async fn written(browser: &Browser) -> Result<bool> {
    let yaml = browser.find(By::Name("yaml")).await?.prop("value").await?;
    Ok(yaml.as_deref() == Some(MINE))
}

#[tokio::test]
async fn a_recipe_written_by_hand_is_not_lost_without_a_question() -> Result<()> {
    let (server, browser) = (filled(&Database::Sqlite).await?, Browser::open().await?);

    browser.goto(server.url("/merges/new")).await?;
    fill(&browser, "yaml", MINE).await?;
    browser.find(By::Css("#methods h3 a")).await?.click().await?;
    ensure!(browser.get_alert_text().await?.contains("changed by hand"));
    browser.dismiss_alert().await?;
    ensure!(written(&browser).await?, "the recipe is gone");

    browser.goto(server.url("/merges/new?method=ties")).await?;
    fill(&browser, "yaml", MINE).await?;
    press(&browser, "Add a model").await?;
    ensure!(browser.get_alert_text().await?.contains("changed by hand"));
    browser.dismiss_alert().await?;
    ensure!(written(&browser).await?, "the recipe is gone");
    press(&browser, "Add a model").await?;
    browser.accept_alert().await?;
    settled(async || browser.find(By::Name("model.2")).await).await?;
    browser.close().await
}

/// Where the list of jobs is scrolled to, and whether it was asked for again since.
const LOOKED: &str =
    "return [document.querySelector('.scroll').scrollLeft, !document.querySelector('[data-old]')]";

#[tokio::test]
async fn a_list_of_jobs_that_is_asked_for_again_stays_where_it_was_scrolled_to() -> Result<()> {
    let ((server, _), browser) = (waiting_merge().await?, Browser::open().await?);
    browser.resize((390, 800)).await?;

    browser.goto(server.url("/jobs")).await?;
    arrived(&browser, "#jobs", "queued").await?;
    let scroll = "document.querySelector('.scroll').scrollLeft = 100; document.querySelector('#jobs tr').dataset.old = ''";
    browser.execute(scroll, vec![]).await?;
    let deadline = Instant::now() + Duration::from_secs(30);
    let scrolled = loop {
        let (scrolled, again): (u32, bool) = browser.execute(LOOKED, vec![]).await?.convert()?;
        if again {
            break scrolled;
        }
        ensure!(Instant::now() < deadline, "the list is not asked for again");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };

    ensure!(scrolled == 100, "{scrolled}");
    browser.close().await
}
