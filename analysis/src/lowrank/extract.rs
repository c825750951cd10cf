//! A LoRA adapter out of a base and its fine-tune: two factors for each matrix, changed tables and norms whole.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::Arc,
};

use domain::Item;
use kernels::Dtype;
use regex::{Regex, RegexBuilder};
use serde::Serialize;
use serde_json::{Map, Value, json};
use weights::{ADAPTER_PREFIX, HEAD, TIED_TABLES, TensorInfo, TensorSource, is_quantised};

use super::{Factors, Plan, Rank, Shaping, Spool, share, truncate};
use crate::{
    Error, Progress,
    computed::{self, blocks, is_buffer},
    diff::DiffSource,
    renamed,
};

/// Most modules of another rank than the rest, which the configuration names one by one.
const PATTERNS: usize = 1_000;
/// Largest compiled pattern, bytes.
const PATTERN_BYTES: usize = 1 << 20;
/// Architectures whose linear layers store `[in, out]`.
const TRANSPOSED: [&str; 2] = ["gpt2", "openai-gpt"];

/// What to extract, and how exactly.
#[derive(Debug, Clone)]
pub struct ExtractOptions {
    pub rank: Rank,
    /// Number format of the factors.
    pub dtype: Dtype,
    pub shaping: Shaping,
    /// Only modules whose name it finds itself in.
    pub include: Option<Regex>,
    /// No module whose name it finds itself in.
    pub exclude: Option<Regex>,
}

impl ExtractOptions {
    /// A pattern for the names of modules; `pointer` is its place in the request.
    ///
    /// # Errors
    /// Text that is no regular expression, or one that takes too much memory.
    pub fn pattern(text: &str, pointer: &str) -> Result<Regex, Error> {
        RegexBuilder::new(text).size_limit(PATTERN_BYTES).build().map_err(|error| {
            // The lines before show the expression again.
            let told = error.to_string();
            let why = told.lines().last().unwrap_or_default().trim_start_matches("error: ");
            Error::fault(pointer, format!("`{text}` is no usable expression: {why}"))
        })
    }

    /// The fault of patterns that leave no module of a base.
    fn selects_nothing(&self) -> Option<Item> {
        let (pointer, message) = match (&self.include, &self.exclude) {
            (Some(include), _) => {
                ("/include", format!("`{include}` with what is excluded selects no module of the base"))
            }
            (None, Some(exclude)) => ("/exclude", format!("`{exclude}` leaves out every module of the base")),
            (None, None) => return None,
        };
        Some(Item { pointer: pointer.to_owned(), message })
    }

    fn wants(&self, module: &str) -> bool {
        self.include.as_ref().is_none_or(|include| include.is_match(module))
            && !self.exclude.as_ref().is_some_and(|exclude| exclude.is_match(module))
    }
}

/// What became of one module.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModuleReport {
    pub module: String,
    pub rank: usize,
    /// Captured share of its change, 0 to 1.
    pub energy: f64,
}

/// An adapter, its factors written.
pub struct Extracted {
    pub plan: Plan,
    /// adapter_config.json, without the name of the base.
    pub config: Map<String, Value>,
    pub modules: Vec<ModuleReport>,
    /// Modules stored whole.
    pub whole: Vec<String>,
    /// Modules that do not differ.
    pub unchanged: usize,
    /// Captured share of the change of all factored modules, 0 to 1.
    pub energy: f64,
}

/// A base and its fine-tune whose layouts fit each other.
pub struct Extraction {
    base: Arc<dyn TensorSource>,
    tuned: Arc<dyn TensorSource>,
    options: ExtractOptions,
    /// Position in the base and in the tuned model.
    pairs: Vec<(usize, usize)>,
    /// The same of tensors that are no floats, which must be equal.
    buffers: Vec<(usize, usize)>,
    /// Positions of a head of its own and of the table it must equal, in the tuned model of a base without one.
    tied: Option<(usize, usize)>,
}

impl Extraction {
    /// Pairs the tensors by name, whatever wrappers are around it. A head that one side does not store is that side's embedding table.
    ///
    /// # Errors
    /// Every tensor that only one model has or that is shaped differently, at once; a rank or energy out of range;
    /// patterns that select no module.
    pub fn new(
        base: Arc<dyn TensorSource>,
        tuned: Arc<dyn TensorSource>,
        options: ExtractOptions,
    ) -> Result<Self, Error> {
        let tuned = renamed::like(&tuned, &*base);
        options.rank.check()?;
        options.shaping.check()?;
        let selected = base.tensors().iter().any(|info| options.wants(module_of(&info.name)));
        if let Some(fault) = options.selects_nothing().filter(|_| !selected) {
            return Err(Error::faults(vec![fault]));
        }
        let (mut pairs, mut buffers, mut faults) = (Vec::new(), Vec::new(), Vec::new());
        let table = tuned.tensors().iter().position(|info| is_input_table(&info.name));
        let mut fault = |name: &str, message: String| {
            faults.push(Item { pointer: name.to_owned(), message });
        };
        for (at, info) in base.tensors().iter().enumerate() {
            if !options.wants(module_of(&info.name)) {
                continue;
            }
            let twin = tuned.position(&info.name).or(table.filter(|_| info.name == HEAD));
            match twin.map(|twin| (twin, &tuned.tensors()[twin])) {
                None if is_buffer(&info.name) => {}
                None => fault(&info.name, "the tuned model lacks this tensor of the base".into()),
                Some(_) if is_quantised(&info.name) => {
                    fault(&info.name, "quantised; extract from full-precision models instead".into());
                }
                Some((_, other)) if other.shape != info.shape => {
                    let vocabularies = computed::other_vocabulary(&info.name, &info.shape, &other.shape);
                    let hint = if vocabularies { "; their vocabularies differ" } else { "" };
                    let message = format!(
                        "the tuned model has shape {:?}, the base {:?}{hint}",
                        other.shape, info.shape
                    );
                    fault(&info.name, message);
                }
                Some((twin, other)) if info.dtype.is_float() && other.dtype.is_float() => {
                    pairs.push((at, twin));
                }
                Some((twin, other)) if other.dtype == info.dtype => buffers.push((at, twin)),
                Some((_, other)) => {
                    let message = format!("the tuned model stores {}, the base {}", other.dtype, info.dtype);
                    fault(&info.name, message);
                }
            }
        }
        let mut tied = None;
        for (at, info) in tuned.tensors().iter().enumerate() {
            let known = base.position(&info.name).is_some() || is_buffer(&info.name);
            if known || !options.wants(module_of(&info.name)) {
                continue;
            }
            match table.filter(|_| info.name == HEAD) {
                Some(table) => tied = Some((at, table)),
                None => fault(&info.name, "only the tuned model has it; an adapter adds no tensors".into()),
            }
        }
        if faults.is_empty() {
            Ok(Self { base, tuned, options, pairs, buffers, tied })
        } else {
            Err(Error::faults(faults))
        }
    }

    /// Decomposes what changed and writes the factors to `out`; `config` is the base's. `progress` is told the bytes
    /// of each tensor of the base.
    ///
    /// # Errors
    /// No change at all, a head untied by the fine-tune, values that are not finite, read or write errors, or
    /// `progress` asking to stop.
    pub fn run(
        &self,
        config: Option<&Value>,
        out: &mut dyn io::Write,
        progress: Progress<'_>,
    ) -> Result<Extracted, Error> {
        self.check_head()?;
        self.check_buffers()?;
        let diff = DiffSource::new(Arc::clone(&self.tuned), Arc::clone(&self.base))?;
        let field = |name: &str| config.and_then(|config| config.get(name)).and_then(Value::as_str);
        let transposed = field("model_type").is_some_and(|model| TRANSPOSED.contains(&model));
        let mut spool = Spool::new(out);
        let (mut modules, mut changed, mut unchanged) = (Vec::new(), Vec::new(), 0);
        let (mut captured, mut norm_sq) = (0.0, 0.0);
        for &(at, twin) in &self.pairs {
            let info = &self.base.tensors()[at];
            if !self.differs((at, twin), progress)? {
                unchanged += 1;
            } else if let Some(index) = diff.position(&info.name).filter(|_| self.is_factored(info))
                && let Some(factors) = truncate(&diff, index, self.options.rank, progress)?
            {
                let module = module_of(&info.name).to_owned();
                let (names, factors) = self.stored(info, (&module, transposed), factors);
                spool.factors(names, &factors, self.options.dtype)?;
                (captured, norm_sq) = (captured + factors.captured(), norm_sq + factors.norm_sq);
                modules.push(ModuleReport { module, rank: factors.rank, energy: factors.energy() });
            } else {
                changed.push(info.name.clone());
            }
            progress(info.bytes())?;
        }
        if modules.is_empty() && changed.is_empty() {
            let which = match (&self.options.include, &self.options.exclude) {
                (None, None) => "no module differs",
                _ => "no module that the patterns select differs",
            };
            return Err(Error::fault(
                "/tuned",
                format!("{which} from the base; there is nothing to extract"),
            ));
        }
        let (whole, biases) = self.keep_whole(&mut spool, &modules, &changed);
        let mut document = Document { base: &*self.base, modules: &modules, whole: &whole }.config()?;
        document.insert("bias".into(), json!(if biases { "all" } else { "none" }));
        document.insert("fan_in_fan_out".into(), json!(transposed));
        let causal = config
            .and_then(|config| config["architectures"][0].as_str())
            .is_some_and(|name| name.ends_with("ForCausalLM"));
        document.insert("task_type".into(), json!(causal.then_some("CAUSAL_LM")));
        let energy = share(captured, norm_sq);
        let metadata = BTreeMap::from([
            ("format".to_owned(), "pt".to_owned()),
            ("energy".to_owned(), energy.to_string()),
        ]);
        let plan = spool.finish(metadata)?;
        Ok(Extracted { plan, config: document, modules, whole, unchanged, energy })
    }

    /// Whether a tensor that changed is stored as factors.
    fn is_factored(&self, info: &TensorInfo) -> bool {
        is_linear(info) || self.options.shaping.embed_lora && is_table(info)
    }

    /// The factors of a module and their names, as layers or tables of tokens have them.
    fn stored(
        &self,
        info: &TensorInfo,
        (module, transposed): (&str, bool),
        factors: Factors,
    ) -> ([String; 2], Factors) {
        let factors = self.options.shaping.apply(factors);
        let table = is_input_table(&info.name);
        // A table is looked up, so that its factors belong to its transposed matrix.
        let turned = table || transposed && is_linear(info);
        let names = match table {
            true => ["A", "B"].map(|side| format!("{ADAPTER_PREFIX}{module}.lora_embedding_{side}")),
            false => ["A", "B"].map(|side| format!("{ADAPTER_PREFIX}{module}.lora_{side}.weight")),
        };
        (names, if turned { factors.transposed() } else { factors })
    }

    /// Tensors that are no floats cannot change.
    fn check_buffers(&self) -> Result<(), Error> {
        for &(at, twin) in &self.buffers {
            let [base, tuned] = [(&self.base, at, "the base"), (&self.tuned, twin, "the tuned model")].map(
                |(source, index, label)| computed::SourceTensor {
                    label: label.to_owned(),
                    source: Arc::clone(source),
                    index,
                },
            );
            computed::must_be_equal(&[base, tuned])?;
        }
        Ok(())
    }

    /// A base that ties its head cannot take one that differs from the table.
    fn check_head(&self) -> Result<(), Error> {
        let Some((head, table)) = self.tied else { return Ok(()) };
        let [head, table] = [head, table].map(|index| computed::SourceTensor {
            label: format!("{} of the tuned model", self.tuned.tensors()[index].name),
            source: Arc::clone(&self.tuned),
            index,
        });
        let stored = |at: usize| (self.tuned.tensors()[at].dtype, &self.tuned.tensors()[at].shape);
        if stored(head.index) == stored(table.index) && computed::differing(&head, &[table])?.is_none() {
            return Ok(());
        }
        let message = "the tuned model has a head of its own, the base ties its head to the embeddings; an adapter \
                       cannot untie it";
        Err(Error::fault(HEAD, message))
    }

    /// Whether the two tensors hold another value anywhere.
    fn differs(&self, (at, twin): (usize, usize), progress: Progress<'_>) -> Result<bool, Error> {
        for (start, len) in blocks(self.base.tensors()[at].elements()) {
            progress(0)?;
            let [mut base, mut tuned] = [vec![0.0; len], vec![0.0; len]];
            computed::read_f64(&*self.base, at, start, &mut base)?;
            computed::read_f64(&*self.tuned, twin, start, &mut tuned)?;
            if base.iter().zip(&tuned).any(|(a, b)| a != b && a.to_bits() != b.to_bits()) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Adds the tensors of modules that are stored whole, and the biases of factored ones; tells the modules and
    /// whether there is such a bias.
    fn keep_whole(
        &self,
        spool: &mut Spool<'_>,
        factored: &[ModuleReport],
        changed: &[String],
    ) -> (Vec<String>, bool) {
        let factored: BTreeSet<&str> = factored.iter().map(|module| module.module.as_str()).collect();
        let changed_modules: BTreeSet<&str> = changed.iter().map(|name| module_of(name)).collect();
        let mut biases = false;
        for &(at, twin) in &self.pairs {
            let name = &self.base.tensors()[at].name;
            let module = module_of(name);
            if factored.contains(module) {
                if changed.contains(name) {
                    let parameter = &name[module.len()..];
                    let stored = format!("{ADAPTER_PREFIX}{module}.base_layer{parameter}");
                    spool.whole(stored, Arc::clone(&self.tuned), twin);
                    biases = true;
                }
            } else if changed_modules.contains(module) {
                spool.whole(format!("{ADAPTER_PREFIX}{name}"), Arc::clone(&self.tuned), twin);
            }
        }
        let whole = changed_modules.into_iter().filter(|module| !factored.contains(module));
        (whole.map(str::to_owned).collect(), biases)
    }
}

/// The module a tensor belongs to.
fn module_of(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(module, _)| module)
}

fn is_input_table(name: &str) -> bool {
    ["embed_tokens.weight", "wte.weight", "word_embeddings.weight", "embed_in.weight"]
        .iter()
        .any(|end| name.ends_with(end))
}

/// The weight of a linear layer; embedding tables and heads are stored whole.
pub(crate) fn is_linear(info: &TensorInfo) -> bool {
    let table = ["embed", "lm_head", "wte.", "wpe."].iter().any(|part| info.name.contains(part));
    info.shape.len() == 2 && info.name.ends_with(".weight") && !table
}

/// A table of tokens, or the head.
fn is_table(info: &TensorInfo) -> bool {
    info.shape.len() == 2 && (is_input_table(&info.name) || info.name == HEAD)
}

/// What adapter_config.json says about modules.
struct Document<'a> {
    base: &'a dyn TensorSource,
    modules: &'a [ModuleReport],
    whole: &'a [String],
}

impl Document<'_> {
    fn config(&self) -> Result<Map<String, Value>, Error> {
        let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
        self.modules.iter().for_each(|module| *counts.entry(module.rank).or_default() += 1);
        let rank = counts.into_iter().max_by_key(|&(rank, count)| (count, rank)).map_or(1, |(rank, _)| rank);
        let others: Map<String, Value> = self
            .modules
            .iter()
            .filter(|module| module.rank != rank)
            .map(|module| (module.module.clone(), json!(module.rank)))
            .collect();
        if others.len() > PATTERNS {
            let message = format!(
                "{} modules need another rank than {rank}, and a configuration names at most {PATTERNS}; ask for \
                 one rank instead of an energy",
                others.len()
            );
            return Err(Error::fault("/energy", message));
        }
        let document = json!({
            "peft_type": "LORA",
            "r": rank,
            "lora_alpha": rank,
            "rank_pattern": others,
            "alpha_pattern": others,
            "target_modules": self.targets(),
            "modules_to_save": (!self.whole.is_empty()).then_some(self.whole),
            "lora_dropout": 0.0,
            "init_lora_weights": true,
            "inference_mode": true,
            "use_dora": false,
            "use_rslora": false,
        });
        let Value::Object(mut fields) = document else { return Ok(Map::new()) };
        // The head that is the embedding changes with it; by itself PEFT would leave it as it was.
        let factored = self.modules.iter().map(|module| &module.module);
        let table = self
            .whole
            .iter()
            .chain(factored)
            .any(|module| TIED_TABLES.contains(&format!("{module}.weight").as_str()));
        if table && self.base.position(HEAD).is_none() {
            fields.insert("ensure_weight_tying".to_owned(), json!(true));
        }
        Ok(fields)
    }

    /// Last parts of the names where they mean exactly these modules, whole names otherwise.
    fn targets(&self) -> BTreeSet<&str> {
        let named: BTreeSet<&str> = self.modules.iter().map(|module| module.module.as_str()).collect();
        let leaves: BTreeSet<&str> = named.iter().map(|module| leaf_of(module)).collect();
        let layers = self.base.tensors().iter().filter(|info| is_linear(info) || is_table(info));
        let linear = layers.map(|info| module_of(&info.name));
        let others = linear.filter(|module| leaves.contains(leaf_of(module)) && !named.contains(module));
        if others.count() == 0 { leaves } else { named }
    }
}

fn leaf_of(module: &str) -> &str {
    module.rsplit_once('.').map_or(module, |(_, leaf)| leaf)
}
