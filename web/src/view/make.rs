//! What one can ask to be made: merges and transfers.

use domain::Item;

use super::Name;

/// A parameter of a merge method.
#[derive(Debug, Clone, Default)]
pub struct ParamField {
    pub name: String,
    /// `number`, `flag` or `choice`.
    pub kind: String,
    pub default: Option<String>,
    /// The permitted values in words.
    pub range: Option<String>,
    /// The words of a choice.
    pub choices: Vec<String>,
    /// Every model has its own value.
    pub per_model: bool,
    /// What it does, in a sentence.
    pub help: String,
}

impl ParamField {
    /// What can be chosen; none for a number.
    pub(crate) fn words(&self) -> Vec<&str> {
        match self.kind.as_str() {
            "flag" => vec!["true", "false"],
            _ => self.choices.iter().map(String::as_str).collect(),
        }
    }

    /// What holds where nothing is chosen.
    pub(crate) fn unset(&self) -> String {
        self.default.as_ref().map_or_else(|| "choose one".to_owned(), |value| format!("{value} (default)"))
    }

    /// Default and range in words.
    pub(crate) fn hint(&self) -> String {
        let mut parts = match self.kind.as_str() {
            "flag" => vec!["true or false".to_owned()],
            "choice" => Vec::new(),
            kind => vec![kind.to_owned()],
        };
        parts.extend(self.range.clone());
        parts.push(
            self.default.as_ref().map_or_else(|| "required".to_owned(), |value| format!("default {value}")),
        );
        parts.join(", ")
    }
}

/// A merge method, described by its own registry entry.
#[derive(Debug, Clone, Default)]
pub struct MethodCard {
    pub id: String,
    pub name: String,
    pub summary: String,
    /// What an element of the result is.
    pub formula: String,
    /// Address of the paper.
    pub reference: String,
    /// A base model is needed.
    pub needs_base: bool,
    /// What a base model is to it, in words.
    pub base: &'static str,
    /// How many models it takes, in words.
    pub models: String,
    /// The same in numbers: the fewest, and the most where there is a limit.
    pub count: (usize, Option<usize>),
    pub params: Vec<ParamField>,
}

/// A transfer: target base + λ · (source tuned − source base).
#[derive(Debug, Clone, Default)]
pub struct TransferForm {
    pub target_base: String,
    pub source_base: String,
    pub source_tuned: String,
    /// As typed, a number or JSON; checked by whoever runs it.
    pub lambda: String,
    /// diff_vector, shadow_ft or chat_vector.
    pub preset: String,
    /// Regular expressions searched for in tensor names; empty for none.
    pub include: String,
    pub exclude: String,
    /// Name of the model to be made.
    pub output: String,
}

/// What a look at the weights of a transfer finds before it is made.
#[derive(Debug, Clone, Default)]
pub struct TransferCheck {
    /// Why it cannot be carried out.
    pub fault: Option<String>,
    /// Every fault at once.
    pub items: Vec<Item>,
    /// likely works, uncertain or unlikely.
    pub verdict: &'static str,
    /// What each reason alone would say, and the reason.
    pub reasons: Vec<(&'static str, String)>,
    /// Coverage and numbers, as label and text.
    pub facts: Vec<(&'static str, String)>,
}

/// How a difference of two models is to be stored, as typed; empty for what is usual.
#[derive(Debug, Clone, Default)]
pub struct DifferenceForm {
    pub form: String,
    pub density: String,
    pub rank: String,
    pub energy: String,
    pub dtype: String,
}

/// A recipe as the fields of the form.
#[derive(Debug, Clone, Default)]
pub struct RecipeForm {
    pub method: String,
    pub base: Option<String>,
    pub dtype: Option<String>,
    /// `out_dtype`, `tokenizer_source`, `chat_template` and `seed`, where the recipe has them.
    pub more: Vec<(&'static str, String)>,
    /// Models with parameters of their own.
    pub models: Vec<(String, Vec<(String, String)>)>,
    pub params: Vec<(String, String)>,
}

/// What a check of a recipe finds before any weight is read.
#[derive(Debug, Clone, Default)]
pub struct MergeCheck {
    /// Why it cannot be carried out.
    pub fault: Option<String>,
    /// Every fault at once.
    pub items: Vec<Item>,
    /// What it needs and gives, as label and text.
    pub facts: Vec<(&'static str, String)>,
    pub warnings: Vec<Item>,
}

/// A model to merge with.
#[derive(Debug, Clone, Default)]
pub struct Partner {
    pub name: Name,
    /// With its standard error.
    pub kinship: String,
    pub reason: String,
}

/// With whom a model can be merged.
#[derive(Debug, Clone, Default)]
pub struct Partners {
    pub model: Name,
    /// The base that kinship is measured against.
    pub base: Name,
    pub caveat: &'static str,
    /// The one of lowest kinship first.
    pub suggested: Vec<Partner>,
    /// Models of the same tensors whose weights are related.
    pub compatible: Vec<Name>,
    /// Why there is nothing to suggest.
    pub note: Option<String>,
}
