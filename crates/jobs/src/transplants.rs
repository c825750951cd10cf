//! Tokenizer transplants asked for: checked against headers and tokenizers, queued, solved.

use std::sync::Arc;

use analysis::{
    TensorSource,
    recipe::Recipe,
    transplant::{Report, Roles, Side, Transplant},
};
use domain::{
    Relation,
    files::{GENERATION_CONFIG, TOKENIZER, TOKENIZER_CONFIG},
};
use serde_json::{Map, Value};
use weights::{Tokenizer, Vocabulary};

use crate::{
    Access, Derived, Error, Operand, Registry,
    kinds::TransplantPayload,
    operand::{Companion, CompanionFrom},
    submit::pin,
    taken::open_models,
    vocabulary::{SPECIAL, set_rows},
    worker::Pulse,
};

/// A checked transplant, ready to be solved.
pub struct TransplantPlan {
    derived: Derived,
    transplant: Transplant,
    pub(crate) inputs: [Operand; 2],
}

impl TransplantPlan {
    /// What is shared, what is new, and what the job will warn of; its tensors add nothing to that.
    pub fn report(&self) -> Report {
        Report { warnings: self.derived.beside(Vec::new()), ..self.transplant.report() }
    }
}

/// Checks a transplant against the tables and tokenizers of both models.
///
/// # Errors
/// Unknown models and every fault at once.
pub async fn plan_transplant(
    registry: &Registry,
    wanted: &TransplantPayload,
    access: &Access,
) -> Result<TransplantPlan, Error> {
    let named = [("/recipient", wanted.recipient.as_str()), ("/donor", &wanted.donor)];
    let [recipient, donor] = open_models(registry, named, access).await?;
    let sides = [side(registry, &recipient).await?, side(registry, &donor).await?];
    let (options, limits) = (wanted.options, registry.limits);
    let planning = tokio::task::spawn_blocking(move || {
        let [recipient, donor] = sides;
        Transplant::new(recipient, &donor, &options, &limits)
    });
    let transplant = planning.await??;
    let report = transplant.report();
    let mut heir = recipient.clone();
    heir.companions = companions(registry, (&recipient, &donor)).await?;
    set_rows(&mut heir.config, Some(report.rows));
    replace_special(heir.config.as_mut(), donor.config.as_ref());
    let summary = format!(
        "`{}` with the tokenizer of `{}`: {} tokens kept their rows, {} got one by `{}`, without training.",
        recipient.label, donor.label, report.shared, report.new, options.fill
    );
    let recipe = Recipe::TransplantTokenizer { recipient: pin(&recipient), donor: pin(&donor), options };
    let (of, inputs) = (vec![recipient.clone(), donor.clone()], [recipient, donor]);
    let made = (wanted.output.clone(), Relation::Transfer);
    let derived = Derived {
        warnings: report.warnings,
        ..Derived::new(made, (of.clone(), of), (heir, recipe), summary)
    };
    Ok(TransplantPlan { derived, transplant, inputs })
}

/// Puts the new rows together; progress counts tokens.
///
/// # Errors
/// Failed reads, and [`analysis::Error::Stopped`] or [`weights::Error::Stopped`] on cancellation.
pub async fn solve_transplant(
    plan: TransplantPlan,
    pulse: &Pulse,
) -> Result<(Derived, Arc<dyn TensorSource>), Error> {
    let TransplantPlan { derived, transplant, .. } = plan;
    pulse.begin("putting tokens together", transplant.work());
    let pulse = pulse.clone();
    let solving = tokio::task::spawn_blocking(move || transplant.solve(&|tokens| Ok(pulse.advance(tokens)?)));
    Ok((derived, solving.await??))
}

async fn side(registry: &Registry, operand: &Operand) -> Result<Side, Error> {
    let limits = registry.limits;
    let Some(text) = text_of(registry, operand, (TOKENIZER, limits.tokenizer_bytes)).await? else {
        return Err(Error::Invalid(format!(
            "`{}` has no tokenizer.json, which a transplant needs",
            operand.label
        )));
    };
    let parsed = tokio::task::spawn_blocking(move || Tokenizer::parse(text.as_bytes(), &limits)).await?;
    let tokenizer = parsed?;
    let mut named = Vec::new();
    for file in [TOKENIZER_CONFIG, "special_tokens_map.json"] {
        let text = text_of(registry, operand, (file, limits.tokenizer_bytes)).await?;
        named.extend(text.and_then(|text| weights::config_document(&text).ok()));
    }
    Ok(Side {
        label: operand.label.clone(),
        source: Arc::clone(&operand.source),
        roles: roles(&named, operand.config.as_ref(), tokenizer.vocabulary()),
        tokenizer: Arc::new(tokenizer),
    })
}

async fn text_of(
    registry: &Registry,
    operand: &Operand,
    (name, most): (&str, u64),
) -> Result<Option<String>, Error> {
    match operand.companions.iter().find(|companion| companion.path == name) {
        Some(companion) => companion.text(registry, most).await.map(Some),
        None => Ok(None),
    }
}

/// The texts of the tokens with a role: as the tokenizer's files name them, else by their rows in config.json.
fn roles(named: &[Value], config: Option<&Value>, vocabulary: &Vocabulary) -> Roles {
    let rows = vocabulary.rows();
    let of = |role: &str| {
        let text = named.iter().find_map(|file| {
            let token = file.get(format!("{role}_token"))?;
            token.as_str().or_else(|| token.get("content")?.as_str()).map(str::to_owned)
        });
        text.or_else(|| {
            let id = config?.get(format!("{role}_token_id"))?;
            let row = id.as_u64().or_else(|| id.get(0)?.as_u64())?;
            let at = rows.binary_search_by_key(&row, |(row, _)| u64::from(*row)).ok()?;
            Some(rows[at].1.to_owned())
        })
    };
    Roles { eos: of("eos"), bos: of("bos"), unk: of("unk"), pad: of("pad") }
}

/// The donor's files, and the recipient's generation settings with the donor's special tokens.
async fn companions(
    registry: &Registry,
    (recipient, donor): (&Operand, &Operand),
) -> Result<Vec<Companion>, Error> {
    let mut files: Vec<Companion> =
        donor.companions.iter().filter(|companion| companion.path != GENERATION_CONFIG).cloned().collect();
    let text = text_of(registry, recipient, (GENERATION_CONFIG, registry.limits.config_bytes)).await?;
    let mut config = text.and_then(|text| weights::config_document(&text).ok());
    if config.is_some() {
        let theirs = text_of(registry, donor, (GENERATION_CONFIG, registry.limits.config_bytes)).await?;
        let theirs = theirs.and_then(|text| weights::config_document(&text).ok());
        replace_special(config.as_mut(), theirs.as_ref().or(donor.config.as_ref()));
        let text = format!("{:#}\n", config.unwrap_or_default());
        files.push(Companion { path: GENERATION_CONFIG.to_owned(), from: CompanionFrom::Text(text) });
    }
    Ok(files)
}

/// The rows of special tokens as the donor has them; one that the donor does not name has none.
fn replace_special(config: Option<&mut Value>, donor: Option<&Value>) {
    let Some(fields) = config.and_then(Value::as_object_mut) else { return };
    let put = |fields: &mut Map<String, Value>, key: &str| match donor.and_then(|donor| donor.get(key)) {
        Some(row) => drop(fields.insert(key.to_owned(), row.clone())),
        None if fields.contains_key(key) => drop(fields.insert(key.to_owned(), Value::Null)),
        None => {}
    };
    SPECIAL.iter().for_each(|key| put(fields, key));
}
