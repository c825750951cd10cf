//! Pictures of the pages of a demo registry, narrow and wide, light and dark; `scripts/screenshots` runs it.

use std::{
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Child, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use stemma_tests::{Browser, client, stemma, steps::job_ended};
use tempfile::TempDir;

/// The name of a picture and the page it shows; `{job}` and `{advisory}` are those made for it.
const PAGES: [(&str, &str); 20] = [
    ("home", "/"),
    ("search", "/search?search=qwen&relation=finetune"),
    ("model", "/community/scribe-de-code"),
    ("gated", "/mandoc/scribe-v1-fr"),
    ("lineage", "/mandoc/scribe-v1/lineage?down=3"),
    ("filter", "/meta-llama/Llama-3.1-8B/lineage?down=3&relation=finetune,merge&license=custom"),
    ("pinned", "/search?pin=mandoc/scribe-v1-de&sort=kinship"),
    ("children", "/meta-llama/Llama-3.1-8B-Instruct/children"),
    ("icicle", "/meta-llama/Llama-3.1-8B/icicle"),
    ("atlas", "/atlas"),
    (
        "kinship",
        "/kinship?of=mandoc/scribe-v1.1&of=mandoc/scribe-v1-de&of=mandoc/scribe-v1-fr&of=community/scribe-de-code&of=community/mystery-de&of=papyrus/reed-v1&base=mandoc/scribe-v1#matrix",
    ),
    (
        "layers",
        "/kinship?of=mandoc/scribe-v1-de&of=mandoc/scribe-v1-fr&of=community/scribe-de-code&base=mandoc/scribe-v1&pair=mandoc/scribe-v1-de&pair=mandoc/scribe-v1-fr&threshold=0.35#layers",
    ),
    ("path", "/lineage?from=community/scribe-de-code&to=mandoc/scribe-v1-fr"),
    ("compare", "/compare/mandoc/scribe-v1-de...mandoc/scribe-v1-fr?view=base#changes"),
    (
        "merge",
        "/merges/new?method=ties&write=1&base=mandoc/scribe-v1&model.0=mandoc/scribe-v1-de&model.1=mandoc/scribe-v1-fr",
    ),
    ("job", "/jobs/{job}"),
    ("contradictions", "/contradictions"),
    ("advisory", "/advisories/{advisory}"),
    ("reports", "/reports/drift"),
    ("settings", "/settings"),
];

const MERGE: &str = "merge_method: linear\nmodels:\n  - {model: mandoc/scribe-v1-de, parameters: {weight: 0.5}}\n  \
                     - {model: mandoc/scribe-v1-fr, parameters: {weight: 0.5}}\n";

/// The demo, served on a free port; ended when dropped.
struct Demo {
    child: Child,
    address: String,
    data: TempDir,
}

impl Demo {
    fn start() -> Result<Self> {
        let data = TempDir::with_prefix("stemma-demo-")?;
        let mut command = stemma(data.path());
        let mut child =
            command.arg("demo").env("STEMMA_LISTEN", "127.0.0.1:0").stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("no output")?).read_line(&mut line)?;
        let address = line.trim().strip_prefix("listening on ").map(str::to_owned);
        let address = address.unwrap_or_default();
        let demo = Self { child, address, data };
        ensure!(!demo.address.is_empty(), "the demo named no address: {line}");
        Ok(demo)
    }

    fn run(&self, words: &[&str]) -> Result<Value> {
        let out = stemma(self.data.path()).args(words).arg("--json").output()?;
        ensure!(out.status.success(), "{words:?}: {}", String::from_utf8_lossy(&out.stderr));
        Ok(serde_json::from_slice(&out.stdout).unwrap_or_default())
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let to = PathBuf::from(std::env::args().nth(1).context("name a folder for the pictures")?);
    let only = std::env::args().nth(2);
    fs_err::create_dir_all(&to)?;
    let (demo, client) = (Demo::start()?, client()?);
    let token = demo.run(&["user", "add", "ann"])?["token"].as_str().context("no token")?.to_owned();
    demo.run(&["org", "create", "mandoc"])?;
    demo.run(&["org", "member", "add", "mandoc", "ann", "--role", "admin"])?;
    demo.run(&["user", "add", "carol"])?;
    demo.run(&["access", "set", "mandoc/scribe-v1-fr", "--gate", "manual"])?;
    demo.run(&["access", "grant", "mandoc/scribe-v1-fr", "carol"])?;
    let post = async |path: &str, body: Value| -> Result<Value> {
        let request = client.post(format!("{}{path}", demo.address)).bearer_auth(&token).json(&body);
        let text = request.send().await?.text().await?;
        serde_json::from_str(&text).with_context(|| text)
    };
    let advisory = json!({
        "model": "mandoc/scribe-v1", "kind": "dataset_takedown", "severity": "high",
        "summary": "Trained on letters whose authors objected", "details": "Retrain without the corpus `letters`.",
    });
    let advisory = post("/api/v1/advisories", advisory).await?["id"].as_str().context("no id")?.to_owned();
    let job = post("/api/v1/merges", json!({ "config": MERGE, "output": "ann/bilingual" })).await?;
    let job = job["id"].as_str().with_context(|| job.to_string())?.to_owned();

    let browser = Browser::open().await?;
    browser.goto(format!("{}/login", demo.address)).await?;
    stemma_tests::steps::fill(&browser, "token", &token).await?;
    stemma_tests::steps::press(&browser, "Sign in").await?;
    stemma_tests::steps::arrived(&browser, "h1", "Where").await?;
    browser.goto(format!("{}/jobs/{job}", demo.address)).await?;
    job_ended(&browser).await?;
    for (name, page) in PAGES.into_iter().filter(|(name, _)| only.as_deref().is_none_or(|only| only == *name))
    {
        let page = page.replace("{job}", &job).replace("{advisory}", &advisory);
        for (width, height) in [(390, 844), (1280, 900)] {
            for scheme in ["light", "dark"] {
                browser.resize((width, height)).await?;
                browser.prefer_colours(scheme).await?;
                browser.goto(format!("{}{page}", demo.address)).await?;
                browser.picture(&to.join(format!("{name}-{width}-{scheme}.png"))).await?;
            }
        }
    }
    browser.close().await
}
