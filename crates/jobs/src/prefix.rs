//! Tables of tokens of several lengths, where a recipe asks for no tokenizer: cut where it allows that, explained where not.

use std::collections::BTreeMap;

use analysis::merge::{Difference, Inputs, MergeConfig, Tokens, Touched, UnevenRows};
use domain::Item;
use serde_json::Value;

use crate::{
    Error, Operand, Registry,
    tokens::Tokenizers,
    vocabulary::{Retokenized, SPECIAL},
};

const KEY: &str = "/truncate_prefix";
/// What matches rows whatever tokens they are.
const BY_TOKEN: &str = "`tokenizer: {source: base}` or `union` matches rows by token";

/// What the rows that all models have stand for.
enum Shared {
    /// The same tokens.
    Same,
    Differing(Difference),
    /// The tokenizer of this model cannot be read.
    Unknown(String),
}

/// What tokenizers say of tables of several lengths.
struct Found {
    shared: Shared,
    /// The model whose tokenizer the result gets, and the rows that this needs.
    heir: (String, Option<u32>),
}

async fn look(
    registry: &Registry,
    config: &MergeConfig,
    operands: &BTreeMap<String, Operand>,
    uneven: &UnevenRows,
) -> Result<Found, Error> {
    let heir = config.heir().unwrap_or_default();
    let mut tokenizers = Tokenizers::new(registry);
    let (mut tokens, mut unknown) = (Tokens::new(), None);
    for label in uneven.rows.iter().map(|(label, _)| label).chain([&heir]) {
        let files = operands.get(label).map(|operand| operand.companions.as_slice()).unwrap_or_default();
        match tokenizers.of(files).await {
            Some(known) => drop(tokens.insert(label.clone(), known)),
            None => drop(unknown.get_or_insert(label.clone())),
        }
    }
    let needed = tokens.get(&heir).map(|vocabulary| vocabulary.next_row());
    let shared = match unknown {
        Some(label) => Shared::Unknown(label),
        None => {
            let uneven = uneven.clone();
            let difference = tokio::task::spawn_blocking(move || uneven.difference(&tokens)).await?;
            difference.map_or(Shared::Same, Shared::Differing)
        }
    };
    Ok(Found { shared, heir: (heir, needed) })
}

/// What would be right for tables of several lengths; none where they are equally long.
pub(crate) async fn explained(
    registry: &Registry,
    config: &MergeConfig,
    operands: &BTreeMap<String, Operand>,
    inputs: &Inputs,
) -> Result<Option<String>, Error> {
    let Some(uneven) = UnevenRows::of(config, inputs) else { return Ok(None) };
    let Found { shared, heir: (heir, needed) } = look(registry, config, operands, &uneven).await?;
    let fewest = uneven.fewest;
    let right = match shared {
        Shared::Unknown(label) => format!(
            "the tokenizer of `{label}` is not known, so nothing says whether rows mean the same tokens; with a \
             tokenizer.json {BY_TOKEN}"
        ),
        Shared::Differing(difference) => {
            format!("their tokenizers are not the same up to there: {}, so {BY_TOKEN}", difference.told())
        }
        Shared::Same if needed.is_some_and(|needed| u64::from(needed) > fewest) => format!(
            "the first {fewest} rows are the same tokens in all tokenizers, but that of `{heir}`, which the result \
             gets, has more; {BY_TOKEN}"
        ),
        Shared::Same => format!(
            "the first {fewest} rows are the same tokens in all tokenizers, so `truncate_prefix: true` cuts the tables \
             to them, and `tokenizer: {{source: union}}` keeps all tokens"
        ),
    };
    Ok(Some(format!("the tables of tokens have {}; {right}", uneven.told())))
}

/// Cuts the tables of all `inputs` to the fewest rows; those of models that have equally many are left as they are.
pub(crate) async fn cut(
    registry: &Registry,
    config: &MergeConfig,
    operands: &BTreeMap<String, Operand>,
    inputs: Inputs,
) -> Result<Retokenized, Error> {
    let Some(uneven) = UnevenRows::of(config, &inputs) else { return Ok(Retokenized::of(inputs)) };
    let Found { shared, heir: (heir, needed) } = look(registry, config, operands, &uneven).await?;
    let (fewest, mut faults) = (uneven.fewest, Vec::new());
    let mut fault = |message: String| faults.push(Item { pointer: KEY.to_owned(), message });
    match shared {
        Shared::Same => {}
        Shared::Unknown(label) => fault(format!(
            "the tokenizer of `{label}` is not known, so nothing says that the first {fewest} rows are the same tokens; \
             a tokenizer.json that can be read is needed"
        )),
        Shared::Differing(difference) => fault(format!(
            "the first {fewest} rows are not the same tokens in all tokenizers: {}; {BY_TOKEN}",
            difference.told()
        )),
    }
    if let Some(needed) = needed.filter(|needed| u64::from(*needed) > fewest) {
        fault(format!(
            "the tokenizer of `{heir}`, which the result gets, has tokens up to row {}, and {fewest} rows are left; make \
             a model with {fewest} rows the `base_model`, or keep all tokens: {BY_TOKEN}",
            needed - 1
        ));
    }
    let config = operands.get(&heir).and_then(|operand| operand.config.as_ref());
    for name in SPECIAL {
        let row = config.and_then(|config| config.get(name)).and_then(Value::as_u64);
        if let Some(row) = row.filter(|row| *row >= fewest) {
            fault(format!("`{name}` of `{heir}` is row {row}, and {fewest} rows are left"));
        }
    }
    if !faults.is_empty() {
        return Ok(Retokenized { faults, ..Retokenized::of(inputs) });
    }
    let (inputs, tables) = uneven.cut(&inputs);
    let touched = Touched::cut(fewest, tables);
    let warnings = vec![touched.warning()];
    Ok(Retokenized { rows: Some(fewest), warnings, policies: vec![touched], ..Retokenized::of(inputs) })
}
