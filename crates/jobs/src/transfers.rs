//! Transfers asked for: checked against headers, queued, or looked at before they are made.

use std::sync::Arc;

use analysis::{
    kinship::Named,
    recipe::Recipe,
    transfer::{self, AlignedRows, Configs, Operands, Options, Report, TransferSource},
};
use domain::{Relation, RepoId};
use weights::TensorSource;

use crate::{
    Access, Derived, Error, Operand, Registry,
    faults::Faults,
    kinds::TransferPayload,
    measure::Turn,
    submit::pin,
    taken::open_models,
    tokens::Tokenizers,
    vocabulary::{set_rows, take_special},
};

/// A checked transfer, ready to stream.
#[derive(Clone)]
pub struct TransferPlan {
    pub target: Operand,
    pub tuned: Operand,
    pub base: Operand,
    /// In the form of the recipe.
    pub options: Options,
    pub recipe: Recipe,
    pub source: Arc<dyn TensorSource>,
    operands: Operands,
    rows: Vec<AlignedRows>,
}

impl TransferPlan {
    /// What the transfer makes, under this id.
    pub fn derived(&self, id: RepoId, summary: String) -> Derived {
        let Self { target, tuned, base, recipe, .. } = self;
        let of = (vec![target.clone(), tuned.clone()], vec![target.clone(), tuned.clone(), base.clone()]);
        Derived::new((id, Relation::Transfer), of, (self.heir(), recipe.clone()), summary)
    }

    /// The target, with the fine-tune's tokenizer where the preset takes it and what of the configuration goes with
    /// other rows.
    pub fn heir(&self) -> Operand {
        if !self.options.preset.takes_tokenizer() {
            return self.target.clone();
        }
        let mut heir = Operand { companions: self.tuned.companions.clone(), ..self.target.clone() };
        if let Some(rows) = self.rows.first() {
            set_rows(&mut heir.config, Some(rows.rows));
            take_special(&mut heir.config, self.tuned.config.as_ref());
        }
        heir
    }
}

/// Checks a transfer against the headers of its three operands, and the tokens of a preset that takes the fine-tune's
/// tokenizer.
///
/// # Errors
/// Unknown models and every mismatch at once.
pub async fn plan_transfer(
    registry: &Registry,
    wanted: &TransferPayload,
    access: &Access,
) -> Result<TransferPlan, Error> {
    let mut faults = Faults::default();
    let options = faults.take(wanted.options.canonical().map_err(Error::from));
    let named = [
        ("/target_base", wanted.target_base.as_str()),
        ("/source_base", &wanted.source_base),
        ("/source_tuned", &wanted.source_tuned),
    ];
    let opened = faults.take(open_models(registry, named, access).await);
    let (options, [target, base, mut tuned]) = faults.done(options.zip(opened))?;
    if let Some(sparsify) = &options.sparsify {
        tuned = tuned.with_weights(registry).await?;
        let content = tuned.content();
        tuned.source = sparsify.thinned(&base.source, (&tuned.source, content), &registry.limits)?;
    }
    let mut tokenizers = Tokenizers::new(registry);
    let mut named = async |operand: &Operand| Named {
        label: operand.label.clone(),
        source: Arc::clone(&operand.source),
        tokens: match options.preset.takes_tokenizer() {
            true => tokenizers.of(&operand.companions).await,
            false => None,
        },
    };
    let operands = Operands {
        target_base: named(&target).await,
        source_base: named(&base).await,
        source_tuned: named(&tuned).await,
    };
    let source = TransferSource::new(operands.clone(), &options)?;
    let rows = source.aligned().to_vec();
    let recipe = Recipe::Transfer {
        target_base: pin(&target),
        source_base: pin(&base),
        source_tuned: pin(&tuned),
        options: options.clone(),
        rows: rows.clone(),
    };
    Ok(TransferPlan { target, tuned, base, options, recipe, source: Arc::new(source), operands, rows })
}

/// Looks at the weights of a transfer's operands before it is made: whether it is likely to work.
///
/// # Errors
/// When the weights cannot be read.
pub async fn check_transfer(registry: &Registry, plan: &TransferPlan) -> Result<Report, Error> {
    let turn = Turn::take(registry).await?;
    let plan = plan.clone();
    turn.run(move |go_on| {
        let configs = Configs {
            target_base: plan.target.config.as_ref(),
            source_base: plan.base.config.as_ref(),
            source_tuned: plan.tuned.config.as_ref(),
        };
        transfer::check(&plan.operands, &plan.options, configs, go_on)
    })
    .await
}
