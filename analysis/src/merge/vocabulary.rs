//! Tables of tokens aligned by text: every model gets the rows of the result's tokenizer before it is merged.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use domain::{Item, Limits, json::pointed};
use weights::{TensorSource, Vocabulary};

use super::{
    Input, Inputs, MergeConfig, TokenRule, TokenSource, TokenizerChoice, check::tied, tokenizer::Spelled,
};
use crate::{
    computed::SourceTensor,
    kinship::Module,
    reseated::{Reseated, Row, Table, Term, Zeros},
};

/// The tokens of the models, by the names that [`MergeConfig::model_refs`] gives.
pub type Tokens = BTreeMap<String, Arc<Vocabulary>>;

/// Tokens without a row that a warning spells out.
const SPELLED: usize = 5;

/// A token as a message shows it.
fn clipped(token: &str) -> String {
    token.chars().take(60).collect()
}

/// Models whose tables have the same rows.
pub struct Aligned {
    pub inputs: Inputs,
    /// Rows of the result; none when no model has a table of tokens.
    pub rows: Option<u64>,
    pub warnings: Vec<Item>,
    /// What cannot be aligned.
    pub faults: Vec<Item>,
}

/// Whether a tensor has one row a token.
pub fn is_table(name: &str) -> bool {
    Module::is_vocabulary(name)
}

/// Rows of the largest table of tokens.
pub fn table_rows(source: &dyn TensorSource) -> Option<u64> {
    let tables = source.tensors().iter().filter(|info| is_table(&info.name) && info.dtype.is_float());
    tables.filter_map(|info| info.shape.first().copied()).max()
}

/// Gives the tables of all models the rows of `output`, the tokenizer of the result.
///
/// A row comes from the model itself where it has the token; else from where the recipe says; else from the only
/// model that has it, from the base, or is the mean of all that have it; a token that nobody has is zero. Rows behind
/// the tokens are kept where a model has spare ones, and are the mean of its other rows elsewhere.
pub fn align(
    config: &MergeConfig,
    inputs: &Inputs,
    (output, tokens): (&Vocabulary, &Tokens),
    limits: &Limits,
) -> Aligned {
    let choice = config.tokenizer_choice().unwrap_or_default();
    let first = config.tokenizer_model().and_then(|name| Some((inputs.get(&name)?, tokens.get(&name)?)));
    let own = first.and_then(|(input, tokens)| Some((table_rows(&*input.source)?, tokens)));
    let Some((own_rows, own_tokens)) = own else {
        return Aligned { inputs: inputs.clone(), rows: None, warnings: Vec::new(), faults: Vec::new() };
    };
    let (next, before) = (u64::from(output.next_row()), u64::from(own_tokens.next_row()));
    let rows = match choice.pad_to_multiple_of {
        Some(multiple) => next.next_multiple_of(multiple),
        // Tokens of its own that the model has no rows for stay without.
        None if next > before => own_rows.max(next),
        None => own_rows,
    };
    let mut plan = Plan::new(config, (inputs, tokens), choice);
    if rows > limits.vocabulary_rows {
        let most = limits.vocabulary_rows;
        let message = format!("the tokenizer needs {rows} rows; at most {most} are made (`vocabulary_rows`)");
        plan.fault("/tokenizer", message);
        return Aligned { inputs: inputs.clone(), rows: None, warnings: Vec::new(), faults: plan.faults };
    }
    let fills = plan.fills(output, rows);
    let mut aligned = Inputs::new();
    for (name, input) in inputs {
        aligned.insert(name.clone(), plan.seated(name, input, (&fills, rows)));
    }
    Aligned { inputs: aligned, rows: Some(rows), warnings: plan.warnings, faults: plan.faults }
}

/// What a row of the result is in the models that lack its token.
struct Fill {
    token: String,
    terms: Vec<(usize, u32)>,
    /// Also in the models that have it.
    force: bool,
}

struct Plan<'a> {
    choice: TokenizerChoice,
    base: Option<&'a str>,
    /// In the order of their names: sums of rows do not depend on the order of the recipe.
    models: Vec<(&'a str, &'a Input, Option<&'a Vocabulary>, u64)>,
    warnings: Vec<Item>,
    faults: Vec<Item>,
}

impl<'a> Plan<'a> {
    fn new(
        config: &'a MergeConfig,
        (inputs, tokens): (&'a Inputs, &'a Tokens),
        choice: TokenizerChoice,
    ) -> Self {
        let model = |(name, input): (&'a String, &'a Input)| {
            let rows = table_rows(&*input.source).unwrap_or_default();
            (name.as_str(), input, tokens.get(name).map(Arc::as_ref), rows)
        };
        let merged = config.weight_refs();
        // A model that only gives its tokenizer gives no rows.
        let models = inputs.iter().filter(|(name, _)| merged.contains(name)).map(model).collect();
        Self { choice, base: config.base_model.as_deref(), models, warnings: Vec::new(), faults: Vec::new() }
    }

    fn fault(&mut self, pointer: &str, message: String) {
        self.faults.push(Item { pointer: pointer.to_owned(), message });
    }

    /// The row of a token in a model.
    fn row(&self, model: usize, token: &str) -> Option<u32> {
        let (_, _, tokens, rows) = self.models[model];
        tokens?.row(token).filter(|row| u64::from(*row) < rows)
    }

    /// By row of the result; none for a row without a token.
    fn fills(&mut self, output: &Vocabulary, rows: u64) -> Vec<Option<Fill>> {
        let mut fills: Vec<Option<Fill>> = (0..rows).map(|_| None).collect();
        let rules = std::mem::take(&mut self.choice.tokens);
        let mut nowhere = Vec::new();
        // Of several texts with one row, the one with a rule is meant.
        let mut named: Vec<(u32, bool, &str)> =
            output.tokens().map(|(token, row)| (row, !rules.contains_key(token), token)).collect();
        named.sort_unstable();
        named.dedup_by_key(|(row, ..)| *row);
        for (row, _, token) in named {
            let Some(place) = fills.get_mut(row as usize) else { continue };
            let rule = rules.get(token);
            let terms = match rule.and_then(|rule| rule.source.as_ref()) {
                Some(source) => self.chosen(token, source),
                None => self.usual(token),
            };
            if terms.is_empty() && rule.is_none() {
                nowhere.push(token.to_owned());
            }
            let force = rule.is_some_and(|TokenRule { force, .. }| *force);
            *place = Some(Fill { token: token.to_owned(), terms, force });
        }
        if !nowhere.is_empty() {
            let some: Vec<String> =
                nowhere.iter().take(SPELLED).map(|token| format!("`{}`", clipped(token))).collect();
            let message = format!(
                "no model has a row for {} of the tokens, which become zero: {}",
                nowhere.len(),
                some.join(", ")
            );
            self.warnings.push(Item { pointer: "/tokenizer".to_owned(), message });
        }
        fills
    }

    /// The rows that a rule names.
    fn chosen(&mut self, token: &str, source: &TokenSource) -> Vec<(usize, u32)> {
        let mut pointer = format!("/tokenizer/tokens/{}/source", pointed(token));
        let mut unit = "row for the token";
        let place = |name: &String| self.models.iter().position(|(known, ..)| known == name);
        let (model, found, wanted) = match source {
            TokenSource::Spelled(Spelled::Zero) => return Vec::new(),
            TokenSource::Model(name) => {
                (name, place(name).and_then(|at| Some((at, self.row(at, token)?))), clipped(token))
            }
            TokenSource::Spelled(Spelled::ModelToken { model, token: Some(other), .. }) => {
                pointer.push_str("/token");
                (model, place(model).and_then(|at| Some((at, self.row(at, other)?))), clipped(other))
            }
            TokenSource::Spelled(Spelled::ModelToken { model, token_id, .. }) => {
                let row = token_id.unwrap_or_default();
                pointer.push_str("/token_id");
                unit = "row";
                let held = |at: &usize| u64::from(row) < self.models[*at].3;
                (model, place(model).filter(held).map(|at| (at, row)), row.to_string())
            }
        };
        if found.is_none() {
            self.fault(&pointer, format!("`{model}` has no {unit} `{wanted}`"));
        }
        found.into_iter().collect()
    }

    /// The rows of a token that no rule names.
    fn usual(&self, token: &str) -> Vec<(usize, u32)> {
        let holders: Vec<(usize, u32)> =
            (0..self.models.len()).filter_map(|at| Some((at, self.row(at, token)?))).collect();
        let base = holders.iter().find(|(at, _)| Some(self.models[*at].0) == self.base);
        match (holders.len(), base) {
            (2.., Some(base)) => vec![*base],
            _ => holders,
        }
    }

    /// A model with the rows of the result; itself where nothing moves.
    fn seated(&mut self, name: &str, input: &Input, (fills, rows): (&[Option<Fill>], u64)) -> Input {
        let Some(at) = self.models.iter().position(|(known, ..)| *known == name) else {
            return input.clone();
        };
        let (_, _, tokens, own_rows) = self.models[at];
        let Some(tokens) = tokens else { return input.clone() };
        let taken: BTreeSet<u32> = tokens.tokens().map(|(_, row)| row).collect();
        let spare = |row: u32| u64::from(row) < own_rows && !taken.contains(&row);
        let mut terms: Vec<Term> = Vec::new();
        let mut seats = Vec::with_capacity(fills.len());
        for (row, fill) in (0..rows as u32).zip(fills) {
            let Some(fill) = fill else {
                seats.push(if spare(row) { Row::Own(row) } else { Row::Mean });
                continue;
            };
            if let Some(own) = self.row(at, &fill.token).filter(|_| !fill.force) {
                seats.push(Row::Own(own));
                continue;
            }
            if fill.terms.is_empty() {
                seats.push(Row::Zero);
                continue;
            }
            let weight = 1.0 / fill.terms.len() as f64;
            let first = terms.len() as u32;
            terms.extend(fill.terms.iter().map(|(donor, row)| Term {
                donor: *donor as u32,
                row: *row,
                weight,
            }));
            seats.push(Row::Sum { first, count: fill.terms.len() as u32 });
        }
        let terms = Arc::new(terms);
        let mut tables = BTreeMap::new();
        for (index, info) in input.source.tensors().iter().enumerate() {
            if !is_table(&info.name) || !info.dtype.is_float() || info.shape.first() != Some(&own_rows) {
                continue;
            }
            let donors = self.donors(&info.name);
            let fits = |donor: &u32| {
                let rows = self.models[*donor as usize].3;
                donors[*donor as usize].as_ref().is_some_and(|stored| {
                    let shape = &stored.source.tensors()[stored.index].shape;
                    shape.first() == Some(&rows) && shape[1..] == info.shape[1..]
                })
            };
            let needed: BTreeSet<u32> = terms.iter().map(|term| term.donor).collect();
            if let Some(lacking) = needed.iter().find(|donor| !fits(donor)) {
                let message = format!(
                    "rows for `{name}` come from `{}`, which has no such table of rows as long",
                    self.models[*lacking as usize].0
                );
                self.fault(&info.name, message);
                continue;
            }
            // Donors that are not needed are never read.
            let own = SourceTensor { label: name.to_owned(), source: Arc::clone(&input.source), index };
            let donors = donors.into_iter().map(|donor| donor.unwrap_or_else(|| own.clone())).collect();
            let table = Table {
                rows: seats.clone(),
                terms: Arc::clone(&terms),
                donors,
                // As mergekit has it.
                zeros: Zeros::Counted,
            };
            if !table.is_identity(own_rows) {
                tables.insert(index, table);
            }
        }
        match tables.is_empty() {
            true => input.clone(),
            false => Input {
                source: Arc::new(Reseated::new(Arc::clone(&input.source), tables)),
                content: input.content.clone(),
                config: input.config.clone(),
            },
        }
    }

    /// The table called `name` in every model; the embedding for a head that is tied to it.
    fn donors(&self, name: &str) -> Vec<Option<SourceTensor>> {
        let donor = |(label, input, ..): &(&str, &Input, Option<&Vocabulary>, u64)| {
            let index = input.source.position(name).or_else(|| tied(name, &*input.source))?;
            Some(SourceTensor { label: (*label).to_owned(), source: Arc::clone(&input.source), index })
        };
        self.models.iter().map(donor).collect()
    }
}
