//! The nearest relatives of a model by its weights: short signatures of all models in memory, then sketches.

use std::{collections::HashSet, sync::Arc};

use analysis::kinship::{Closeness, Indexed, Near, SIGNATURE_SCHEME, Signature, SignatureIndex, Tokens};
use domain::Digest;
use serde::Serialize;
use store::{SignatureRow, SketchRow, SketchedTensor, Store, TensorRow};
use tokio::task::spawn_blocking;

use crate::{
    Access, Error, Registry,
    live::Live,
    measure::Turn,
    operand,
    sketches::{Tensors, current, open_sketched},
    tokens::{self, Tokenizers},
};

/// Signatures read with one query.
const AT_ONCE: usize = 500;
/// Revisions signed in one transaction.
const SIGNED_AT_ONCE: u64 = 16;

/// Keeps the signatures of all current revisions in memory; brought up to date at most once per change of the
/// registry, by whichever process made it.
#[derive(Clone)]
pub struct Relatives {
    store: Store,
    live: Live<SignatureIndex>,
}

impl Relatives {
    /// An empty cache over `store`.
    pub fn new(store: Store) -> Self {
        Self { store, live: Live::default() }
    }

    /// The signatures of everything published so far, or while they are being read those before.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn current(&self) -> Result<Arc<SignatureIndex>, Error> {
        let this = self.clone();
        let make = |before: Option<Arc<SignatureIndex>>| async move {
            match before {
                Some(index) => this.updated(SignatureIndex::clone(&index)).await,
                None => {
                    this.sign_older().await?;
                    this.updated(SignatureIndex::default()).await
                }
            }
        };
        self.live.current(&self.store, make).await
    }

    /// The revisions of one layout that are nearest to a signature: from memory where this process holds all signatures,
    /// else only those of the layout are read.
    pub(crate) async fn nearest(
        &self,
        signature: Signature,
        most: usize,
        except: i64,
    ) -> Result<Vec<Near>, Error> {
        let index = match self.live.kept() {
            Some(_) => self.current().await?,
            None => {
                let signed = self.store.signatures_of_layout(SIGNATURE_SCHEME, &signature.layout).await?;
                let mut index = SignatureIndex::default();
                for (of, row) in signed {
                    if let Some(signature) = current_signature(row) {
                        index.insert(Indexed { model: of.model, revision: of.revision }, &signature);
                    }
                }
                Arc::new(index)
            }
        };
        let found = spawn_blocking(move || index.nearest(&signature, most, Some(except))).await?;
        Ok(found.near.into_iter().filter(|near| near.same_layout).collect())
    }

    /// `index` without revisions that are not current any more and with those that became so.
    async fn updated(&self, mut index: SignatureIndex) -> Result<SignatureIndex, Error> {
        let signed = self.store.signed_revisions(SIGNATURE_SCHEME).await?;
        let wanted: HashSet<Indexed> =
            signed.iter().map(|of| Indexed { model: of.model, revision: of.revision }).collect();
        let held: HashSet<Indexed> = index.held().collect();
        if held.iter().any(|of| !wanted.contains(of)) {
            index.retain(|of| wanted.contains(&of));
        }
        let mut missing: Vec<Indexed> = wanted.difference(&held).copied().collect();
        missing.sort_unstable_by_key(|of| of.revision);
        for some in missing.chunks(AT_ONCE) {
            let revisions: Vec<i64> = some.iter().map(|of| of.revision).collect();
            for (revision, row) in self.store.signatures(&revisions).await? {
                let of = some.binary_search_by_key(&revision, |of| of.revision).ok().map(|at| some[at]);
                if let Some((of, signature)) = of.zip(current_signature(row)) {
                    index.insert(of, &signature);
                }
            }
        }
        Ok(index)
    }

    /// Signs revisions that were published before there were signatures.
    async fn sign_older(&self) -> Result<(), Error> {
        loop {
            let unsigned = self.store.unsigned_revisions(SIGNATURE_SCHEME, SIGNED_AT_ONCE).await?;
            if unsigned.is_empty() {
                return Ok(());
            }
            let mut signed = Vec::with_capacity(unsigned.len());
            for revision in unsigned {
                let sketches = self.store.sketches(revision).await?;
                let row = spawn_blocking(move || row_of(current(sketches).as_ref())).await?;
                signed.push((revision, row));
            }
            self.store.sign(&signed).await?;
        }
    }
}

/// The signature to publish with these tensors; none where nothing was sketched.
pub fn signature_of(tensors: &[TensorRow], sketches: &[SketchRow]) -> Option<SignatureRow> {
    let sketched = |sketch: &SketchRow| {
        let tensor = tensors.get(usize::try_from(sketch.position).ok()?)?;
        Some(SketchedTensor {
            name: tensor.name.clone(),
            dtype: tensor.dtype.clone(),
            shape: tensor.shape.clone(),
            digest: Some(tensor.digest),
            nonfinite: tensor.nonfinite,
            sketch: sketch.clone(),
        })
    };
    let rows = sketches.iter().filter_map(sketched).collect();
    (!sketches.is_empty()).then(|| row_of(current(rows).as_ref()))
}

/// A row that says so where there is no signature, so that none is looked for again.
fn row_of(tensors: Option<&Tensors>) -> SignatureRow {
    let signature = tensors.and_then(Signature::of).map(|signature| (signature.layout, signature.cells));
    SignatureRow { scheme: SIGNATURE_SCHEME, signature }
}

/// The signature that a row holds, where it was made the present way.
pub(crate) fn current_signature(row: SignatureRow) -> Option<Signature> {
    let (layout, cells) = row.signature.filter(|_| row.scheme == SIGNATURE_SCHEME)?;
    Some(Signature { layout, cells })
}

/// Whose relatives, and how many of them.
#[derive(Debug, Clone)]
pub struct RelativesQuery {
    pub model: String,
    pub limit: usize,
    pub access: Access,
}

/// The nearest relatives of one model, nearest first.
#[derive(Debug, Clone, Serialize)]
pub struct RelativesReport {
    pub model: String,
    /// Models searched.
    pub searched: usize,
    /// Models searched whose layout is another: other names or shapes of matrices, vocabulary sizes aside.
    pub other_layouts: usize,
    pub relatives: Vec<WeightRelative>,
}

/// A model near another.
#[derive(Debug, Clone, Serialize)]
pub struct WeightRelative {
    pub model: String,
    /// Digest of the revision.
    pub revision: Option<Digest>,
    pub same_layout: bool,
    #[serde(flatten)]
    pub closeness: Closeness,
    /// What that says, in one sentence.
    pub evidence: String,
}

/// The models whose weights are nearest to those of the one asked for. Weights are read only where it has no
/// stored sketches: a folder, or an adapter.
///
/// # Errors
/// Unknown models, models without weights, or without a matrix.
pub async fn relatives(registry: &Registry, query: RelativesQuery) -> Result<RelativesReport, Error> {
    let turn = Turn::take(registry).await?;
    let opened = open_sketched(registry, &query.model, &query.access).await?;
    if opened.difference {
        return Err(Error::IsDifference(query.model));
    }
    let own = match operand::revision(registry, &query.model, &query.access).await? {
        Some((name, _)) => registry.store.model_by_id(&name).await?.map(|row| row.id),
        None => None,
    };
    let (model, tensors) = (opened.sketched.label, Arc::new(opened.sketched.tensors));
    let index = registry.relatives.current().await?;
    // Signatures decide who is looked at, sketches the order; some more are looked at than are asked for.
    let most = query.limit + query.limit / 2;
    let whole = Arc::clone(&tensors);
    let nearest = turn
        .run(move |_| Ok(Signature::of(&whole).map(|signature| index.nearest(&signature, most, own))))
        .await?
        .ok_or_else(|| Error::Invalid(format!("`{model}` has no matrix to compare")))?;
    let ids: Vec<i64> = nearest.near.iter().map(|near| near.of.model).collect();
    let rows = registry.store.models_by_ids(&ids).await?;
    let mut relatives = Vec::with_capacity(nearest.near.len());
    let mut tokenizers = Tokenizers::new(registry);
    for Near { of, same_layout, .. } in nearest.near {
        let row = rows.iter().find(|row| row.id == of.model && row.revision == Some(of.revision));
        let Some(row) = row else { continue };
        let (whole, sketches) = (Arc::clone(&tensors), registry.store.sketches(of.revision).await?);
        let files = tokens::among(registry.store.files(of.revision).await?);
        let tokens = tokenizers.relation(&opened.tokenizer, &files).await?;
        let compare = move || Closeness::speaking((&*whole, &current(sketches)?), tokens);
        let closeness = spawn_blocking(compare).await?;
        let beside = match tokens {
            Tokens::Moved => "; embeddings and heads are not compared, as tokens have other rows",
            _ => "",
        };
        relatives.extend(closeness.map(|closeness| WeightRelative {
            model: row.name.clone(),
            revision: row.digest,
            same_layout,
            evidence: closeness.evidence() + beside,
            closeness,
        }));
    }
    relatives.sort_by(|a, b| {
        let apart = |relative: &WeightRelative| relative.closeness.whole.distance;
        apart(a).total_cmp(&apart(b)).then_with(|| a.model.cmp(&b.model))
    });
    relatives.truncate(query.limit);
    Ok(RelativesReport { model, searched: nearest.searched, other_layouts: nearest.other_layouts, relatives })
}
