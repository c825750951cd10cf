//! Writing derived models: streamed to scratch, then published with their recipe, or left in a folder.

use std::{
    io::Write as _,
    num::NonZeroU64,
    path::{Path, PathBuf},
    sync::Arc,
};

use analysis::{merge::Touched, recipe::Recipe};
use domain::{Claim, EdgeStatus, Evidence, Item, Part, Relation, RepoId, Source, files};
use futures::TryStreamExt as _;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use weights::{Layout, TensorSource};

use crate::{
    Error, Made, Operand, Registry, Workplace, adapter, licences,
    member::labelled,
    operand::{Companion, CompanionFrom},
    provenance::{self, Effort, Passed},
    remote,
    taken::ids,
    worker::Pulse,
};

/// A model computed here, before it is written.
pub struct Derived {
    pub id: RepoId,
    pub relation: Relation,
    pub parents: Vec<Operand>,
    /// All that it is made from, whose licences it has to keep to.
    pub inputs: Vec<Operand>,
    /// Whose config and tokenizer the result inherits, and whose licence where that keeps to those of all inputs.
    pub heir: Operand,
    pub recipe: Recipe,
    /// A recipe file to publish beside the weights.
    pub recipe_file: Option<(String, String)>,
    pub extras: Extras,
    /// One sentence for the card.
    pub summary: String,
    /// Output dtype when it differs from the heir's.
    pub dtype: Option<String>,
    /// adapter_config.json of a result that is an adapter; it takes the place of the heir's config.json.
    pub adapter: Option<Value>,
    /// What the recipe probably does not mean, told before a weight is read.
    pub warnings: Vec<Item>,
    /// What policies of the recipe decided.
    pub policies: Vec<Touched>,
}

/// What is written beside the weights, and how these are cut into files; the names are mergekit's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Extras {
    /// Whether there is a README.md.
    pub write_model_card: bool,
    /// Whether the tokenizer's files are there.
    pub copy_tokenizer: bool,
    /// Most bytes of tensors in one file; `None` for what [`domain::Limits::shard_bytes`] says.
    pub out_shard_size: Option<NonZeroU64>,
}

impl Default for Extras {
    fn default() -> Self {
        Self { write_model_card: true, copy_tokenizer: true, out_shard_size: None }
    }
}

/// The card's YAML; written by a serialiser, since licence and names come from other people's cards.
#[derive(Serialize)]
struct FrontMatter<'a> {
    library_name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    license: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    base_model: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base_model_relation: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<&'a str>,
}

/// A model as a card names it: a folder without the path to it, which tells others nothing.
pub(crate) fn shown(id: &str) -> String {
    let known = id.starts_with(remote::PREFIX) || RepoId::parse(id).is_ok();
    let name = Path::new(id).file_name().filter(|_| !known).map(|name| name.to_string_lossy());
    name.unwrap_or_else(|| id.into()).replace('`', "'")
}

impl Derived {
    /// A model that `recipe` makes and of which nothing more is to be said than this.
    pub(crate) fn new(
        (id, relation): (RepoId, Relation),
        (parents, inputs): (Vec<Operand>, Vec<Operand>),
        (heir, recipe): (Operand, Recipe),
        summary: String,
    ) -> Self {
        // What is computed on the way is of the models behind it.
        let parents = parents.iter().flat_map(Operand::behind).cloned().collect();
        let inputs = inputs.iter().flat_map(Operand::made_of).cloned().collect();
        Self {
            id,
            relation,
            parents,
            inputs,
            heir,
            recipe,
            recipe_file: None,
            extras: Extras::default(),
            summary,
            dtype: None,
            adapter: None,
            warnings: Vec::new(),
            policies: Vec::new(),
        }
    }

    /// The ids that the card names: without folders of this machine, an adapter and its base as two.
    fn named(&self) -> Vec<&str> {
        // An adapter names what it is applied to, and nothing else.
        let most = if self.adapter.is_some() { 1 } else { self.parents.len() };
        // What task vectors are added to is in the result as well.
        let base = (self.relation == Relation::Merge).then_some(&self.heir);
        let mut named = Vec::new();
        for id in base.into_iter().chain(self.parents.iter().take(most)).flat_map(ids) {
            if !named.contains(&id) {
                named.push(id);
            }
        }
        named
    }

    /// The relation in the words of the Hub.
    fn hub_relation(&self, named: &[&str]) -> Option<&'static str> {
        let relation = match self.relation {
            Relation::Transfer if named.len() > 1 => Relation::Merge,
            other => other.hub(),
        };
        (!named.is_empty()).then(|| relation.as_str())
    }

    /// README.md of the result: Hub front matter, then how it was made.
    fn told(&self, record: &Value) -> String {
        let merge = self.relation == Relation::Merge;
        let base_model = self.named();
        let front = FrontMatter {
            library_name: if self.adapter.is_some() { "peft" } else { "transformers" },
            license: licences::stated(&self.heir, &self.inputs),
            base_model_relation: self.hub_relation(&base_model),
            base_model,
            tags: if merge { vec!["merge", "mergekit"] } else { Vec::new() },
        };
        // Strings and lists of strings always serialise.
        let front = serde_saphyr::to_string(&front).unwrap_or_default();
        let mut card =
            format!("---\n{}\n---\n# {}\n\n{}\n\n", front.trim_end(), self.id.name(), self.summary);
        if let Some((_, text)) = &self.recipe_file {
            card.push_str(&format!("```yaml\n{}\n```\n\n", text.trim_end()));
        }
        card.push_str(&format!("Recipe digest: `{}`\n", self.recipe.digest()));
        if let Some(seed) = record["seed"].as_u64() {
            card.push_str(&format!("Seed: `{seed}`\n"));
        }
        if let Some(root) = record["output"]["root"].as_str() {
            card.push_str(&format!("Merkle root of the tensors: `{root}`\n"));
        }
        card.push_str("\nMade of:\n\n");
        for (_, pinned) in self.recipe.inputs() {
            let mut part = Some(pinned);
            while let Some(pinned) = part {
                let name = labelled(&shown(pinned.name()), pinned.member.as_deref());
                card.push_str(&format!("- `{}`, `{}`\n", name.replace('`', "'"), pinned.digest));
                part = pinned.base.as_deref();
            }
        }
        if !self.policies.is_empty() {
            card.push_str("\nWhat became of tensors that are not merged among all models:\n\n");
        }
        for Item { message, .. } in self.policies.iter().map(Touched::warning) {
            card.push_str(&format!("- {message}\n"));
        }
        let passed: Vec<Passed> =
            record.get("nonfinite").and_then(|told| Vec::deserialize(told).ok()).unwrap_or_default();
        if !passed.is_empty() {
            card.push_str("\nElements that are no numbers were let through:\n\n");
        }
        for passed in passed {
            card.push_str(&format!("- {passed}\n"));
        }
        card
    }

    /// config.json of the result, whose tensors are those of `source`.
    pub fn config(&self, source: &dyn TensorSource) -> Option<Value> {
        fitted(&self.heir, self.dtype.as_deref(), source)
    }

    /// Everything that the recipe probably does not mean, each told once.
    pub fn cautions(&self, source: &dyn TensorSource) -> Vec<Item> {
        self.beside(source.cautions())
    }

    /// What the recipe, its models and their licences are cautioned of, with `more` that its tensors are.
    pub(crate) fn beside(&self, more: Vec<Item>) -> Vec<Item> {
        let mut told = self.warnings.clone();
        let more = more.into_iter().chain(licences::caution(&self.inputs));
        let more: Vec<Item> = more.filter(|item| !told.contains(item)).collect();
        told.extend(more);
        told
    }

    /// How the weights are laid out in files; an adapter is always one.
    pub(crate) fn layout(&self, registry: &Registry) -> Layout {
        match self.adapter {
            Some(_) => Layout { stem: "adapter_model", most: u64::MAX },
            None => {
                let asked = self.extras.out_shard_size.map(NonZeroU64::get);
                Layout { stem: "model", most: asked.unwrap_or(registry.limits.shard_bytes) }
            }
        }
    }

    /// The documents beside the weights, by file name; `record` is how they came about.
    pub(crate) fn texts(&self, source: &dyn TensorSource, record: &Value) -> Vec<(String, String)> {
        let mut texts = Vec::new();
        if self.extras.write_model_card {
            texts.push((files::README.to_owned(), self.told(record)));
        }
        let config = match &self.adapter {
            Some(adapter) => Some((adapter::CONFIG, adapter.clone())),
            None => self.config(source).map(|config| (files::CONFIG, config)),
        };
        texts.extend(config.map(|(name, config)| (name.to_owned(), format!("{config:#}\n"))));
        texts.push(("stemma_recipe.json".to_owned(), format!("{:#}\n", self.recipe.canonical())));
        texts.push((provenance::FILE.to_owned(), format!("{:#}\n", provenance::lasting(record))));
        texts.extend(self.recipe_file.clone());
        texts
    }

    /// Lineage and recipe of the result, for publishing it outside a job.
    pub fn made(&self) -> Made {
        Made {
            claims: self.claims(),
            recipe: Some((self.recipe.digest(), self.recipe.canonical())),
            ..Made::default()
        }
    }

    fn claims(&self) -> Vec<Claim> {
        let digest = self.recipe.digest().to_string();
        // What task vectors are added to is in the result as well.
        let heir = (self.relation == Relation::Merge).then_some(&self.heir);
        let mut parents: Vec<&Operand> = Vec::with_capacity(self.parents.len() + 1);
        for parent in heir.into_iter().chain(&self.parents) {
            if parents.iter().all(|known| known.id != parent.id) {
                parents.push(parent);
            }
        }
        let donor = matches!(self.recipe, Recipe::TransplantTokenizer { .. });
        let part = |place: usize| match place {
            0 => Part::Base,
            _ if donor => Part::Tokenizer,
            place => Part::Nth(place),
        };
        parents
            .into_iter()
            .enumerate()
            .filter_map(|(place, parent)| {
                Some(Claim {
                    parent: parent.id.clone()?,
                    as_written: parent.label.clone(),
                    relation: self.relation,
                    status: EdgeStatus::Accepted,
                    evidence: vec![Evidence {
                        source: Source::Recipe,
                        detail: Evidence::detail_of(&digest, part(place)),
                        confidence: 1.0,
                    }],
                })
            })
            .collect()
    }
}

/// The configuration of a model with the tensors of `source` and of this number format, where it is not its heir's.
pub(crate) fn fitted(heir: &Operand, dtype: Option<&str>, source: &dyn TensorSource) -> Option<Value> {
    let mut config = heir.config.clone()?;
    // A head merged from models some of which tie theirs is a tensor of its own; many configurations tie without a word.
    let own = |source: &dyn TensorSource| source.position(weights::HEAD).is_some();
    let ties = config.get("tie_word_embeddings") == Some(&Value::Bool(true)) || !own(&*heir.source);
    if own(source)
        && ties
        && let Some(fields) = config.as_object_mut()
    {
        fields.insert("tie_word_embeddings".to_owned(), json!(false));
    }
    if let (Some(dtype), Some(fields)) = (dtype, config.as_object_mut()) {
        let dtype = dtype.trim_start_matches("torch.");
        let key = if fields.contains_key("torch_dtype") { "torch_dtype" } else { "dtype" };
        fields.insert(key.to_owned(), json!(dtype));
    }
    Some(config)
}

/// Gives a file of scratch its final name, at once and durably.
///
/// # Errors
/// When the file system refuses.
pub fn persist(file: &Path, out: &Path) -> std::io::Result<()> {
    fs_err::rename(file, out)?;
    sync_folder(parent_of(out))
}

pub(crate) fn parent_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
}

fn sync_folder(folder: &Path) -> std::io::Result<()> {
    fs_err::File::open(folder)?.sync_all()
}

/// Writes a derived model into a folder that must not hold a checkpoint yet. Until it is whole it lies beside that
/// folder; where a process was killed, the next one that is asked for the same goes on.
///
/// Gives the record of how it was made.
///
/// # Errors
/// When the folder is not empty or cannot be written.
pub async fn write_folder(
    registry: &Registry,
    out: &Path,
    (derived, source): (Derived, Arc<dyn TensorSource>),
    pulse: &Pulse,
) -> Result<Value, Error> {
    if out.exists() && (!out.is_dir() || fs_err::read_dir(out)?.next().is_some()) {
        return Err(Error::OutputExists(out.display().to_string()));
    }
    let parent = parent_of(out);
    fs_err::create_dir_all(parent)?;
    let place = Workplace::at(&workplace_of(out))?;
    let filled = fill(registry, &place, (derived, source), pulse).await.and_then(|told| {
        // Takes the place of an empty folder at once: under the final name there is all or nothing.
        fs_err::rename(place.out(), out)?;
        Ok(told)
    });
    let removed = place.remove();
    let told = filled?;
    removed?;
    sync_folder(parent)?;
    Ok(told)
}

/// Where a result lies until it is whole: beside its folder.
pub fn workplace_of(out: &Path) -> PathBuf {
    let name = out.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    parent_of(out).join(format!(".stemma-{name}"))
}

/// Writes every file of a derived model.
async fn fill(
    registry: &Registry,
    place: &Workplace,
    (derived, source): (Derived, Arc<dyn TensorSource>),
    pulse: &Pulse,
) -> Result<Value, Error> {
    let (ready, effort) = (place.out(), Effort::begin());
    let laid = (Arc::clone(&source), derived.layout(registry));
    let done = place.write(laid, derived.recipe.digest().to_string(), pulse).await?;
    let record = provenance::record(registry, &derived, (&*source, &done), &effort).await?;
    for (name, text) in derived.texts(&*source, &record) {
        durable(&ready.join(name), |file| file.write_all(text.as_bytes()))?;
    }
    for Companion { path, from } in &derived.heir.companions {
        let at = ready.join(path);
        match from {
            CompanionFrom::File(from) => {
                let mut from = fs_err::File::open(from)?;
                durable(&at, |file| std::io::copy(&mut from, file).map(drop))?;
            }
            CompanionFrom::Hub(from) => {
                let bytes = from.read_all(registry.limits.hub_file_bytes).await?;
                durable(&at, |file| file.write_all(&bytes))?;
            }
            CompanionFrom::Text(text) => durable(&at, |file| file.write_all(text.as_bytes()))?,
            CompanionFrom::Blob(digest, size) => {
                let mut file = fs_err::File::create_new(at)?;
                let mut bytes = registry.store.stream(digest, 0..*size).await?;
                while let Some(block) = bytes.try_next().await? {
                    file.write_all(&block)?;
                }
                file.sync_all()?;
            }
        }
    }
    sync_folder(&ready)?;
    Ok(record)
}

fn durable(path: &Path, write: impl FnOnce(&mut fs_err::File) -> std::io::Result<()>) -> std::io::Result<()> {
    let mut file = fs_err::File::create_new(path)?;
    write(&mut file)?;
    file.sync_all()
}
