//! Top-k greedy merging with exploration by kinship, <https://arxiv.org/abs/2410.12613>.
//!
//! A merge of models is, as a delta, a weighted sum of theirs: exactly for `linear`, and closely for `slerp`, which is
//! linear between near relatives. So the kinship of merges follows from that of the models they began with.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Basis, Better, Next, Proposal, SearchMethod, bits};

/// Shares that differ by no more are the same merge.
const SAME: f64 = 1e-12;

/// The models so far and which of them were the best.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Greedy {
    pool: Vec<Member>,
    /// Those that were scored.
    told: usize,
    /// The best when the last merges were proposed, in their order in the pool.
    best: Vec<usize>,
}

/// A model to begin with, or a merge of two members.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Member {
    /// Share of each of the models to begin with.
    #[serde(with = "bits")]
    shares: Vec<f64>,
    /// One number once it is told.
    #[serde(with = "bits")]
    score: Vec<f64>,
    parents: Option<(usize, usize)>,
}

impl Greedy {
    /// Asks for the scores of the models to begin with.
    pub fn start(basis: &Basis) -> (Self, Vec<Proposal>) {
        let models = &basis.config.models;
        let share = |one: usize| (0..models.len()).map(|at| f64::from(u8::from(at == one))).collect();
        let member = |at| Member { shares: share(at), score: Vec::new(), parents: None };
        let pool = (0..models.len()).map(member).collect();
        let proposal = |model: &String| Proposal {
            recipe: basis.finished(json!({ "merge_method": "passthrough", "models": [{ "model": model }] })),
            model: Some(model.clone()),
            about: json!({ "reason": "a model to begin with" }),
        };
        (Self { pool, told: 0, best: Vec::new() }, models.iter().map(proposal).collect())
    }

    /// Takes the scores of what was proposed last, in order.
    pub fn tell(&mut self, basis: &Basis, scores: &[f64]) -> Next {
        for (member, score) in self.pool[self.told..].iter_mut().zip(scores) {
            member.score = vec![*score];
        }
        self.told = self.pool.len();
        let ranked = self.ranked(basis.config.better);
        let mut best: Vec<usize> = ranked.iter().copied().take(basis.config.best()).collect();
        best.sort_unstable();
        if best == self.best {
            return Next::Done(format!("the {} best did not change", best.len()));
        }
        self.best = best;
        let left = usize::try_from(basis.config.budget).unwrap_or(usize::MAX).saturating_sub(self.told);
        if left == 0 {
            return Next::Done("the budget is used".to_owned());
        }
        let top = &ranked[..self.best.len()];
        let pairs = (0..top.len()).flat_map(|a| (a + 1..top.len()).map(move |b| (top[a], top[b])));
        let mut wanted: Vec<Proposal> =
            pairs.filter_map(|pair| self.propose(basis, pair, "a pair of the best")).collect();
        if let Some(pair) = self.furthest(basis, top[0]) {
            wanted.extend(self.propose(basis, pair, "the best with its lowest kinship"));
        }
        self.pool.truncate(self.told + left);
        wanted.truncate(left);
        if wanted.is_empty() {
            return Next::Done("every pair of the best was merged before".to_owned());
        }
        Next::Propose(wanted)
    }

    /// Members from the best to the worst; of equals the older one first.
    fn ranked(&self, better: Better) -> Vec<usize> {
        let score = |at: &usize| self.pool[*at].score.first().copied().unwrap_or(f64::NAN);
        let mut ranked: Vec<usize> = (0..self.pool.len()).collect();
        ranked.sort_by(|a, b| match better {
            Better::Higher => score(b).total_cmp(&score(a)),
            Better::Lower => score(a).total_cmp(&score(b)),
        });
        ranked
    }

    /// `best` with the scored member of lowest kinship to it that it was not merged with.
    fn furthest(&self, basis: &Basis, best: usize) -> Option<(usize, usize)> {
        (0..self.told)
            .filter(|other| *other != best && !self.merged((best, *other)))
            .filter_map(|other| Some((self.kinship(basis, (best, other))?, other)))
            .min_by(|a, b| a.0.total_cmp(&b.0))
            .map(|(_, other)| (best, other))
    }

    fn merged(&self, (a, b): (usize, usize)) -> bool {
        self.pool.iter().any(|member| member.parents.is_some_and(|pair| pair == (a, b) || pair == (b, a)))
    }

    fn kinship(&self, basis: &Basis, (a, b): (usize, usize)) -> Option<f64> {
        let (a, b) = (&self.pool[a].shares, &self.pool[b].shares);
        let product = |a: &[f64], b: &[f64]| -> f64 {
            let row = |(a, row): (&f64, &Vec<f64>)| a * row.iter().zip(b).map(|(x, b)| x * b).sum::<f64>();
            a.iter().zip(&basis.products).map(row).sum()
        };
        let norms = (product(a, a) * product(b, b)).sqrt();
        (norms > 0.0).then(|| (product(a, b) / norms).clamp(-1.0, 1.0))
    }

    /// Adds the merge of a better and a worse member, unless there is one like it.
    fn propose(&mut self, basis: &Basis, (a, b): (usize, usize), reason: &str) -> Option<Proposal> {
        let t = basis.config.share();
        let mixed = |(a, b): (&f64, &f64)| (1.0 - t) * a + t * b;
        let shares: Vec<f64> = self.pool[a].shares.iter().zip(&self.pool[b].shares).map(mixed).collect();
        let alike = |member: &Member| member.shares.iter().zip(&shares).all(|(x, y)| (x - y).abs() <= SAME);
        let known = basis.config.method == SearchMethod::Linear && self.pool.iter().any(alike);
        if known || self.merged((a, b)) {
            return None;
        }
        let about = json!({
            "reason": reason,
            "parents": [self.name(basis, a), self.name(basis, b)],
            "kinship": self.kinship(basis, (a, b)),
        });
        let recipe = match basis.config.method {
            SearchMethod::Linear => weighted(basis, &shares),
            _ => json!({
                "merge_method": "slerp",
                "base_model": self.name(basis, a),
                "models": [{ "model": self.name(basis, a) }, { "model": self.name(basis, b) }],
                "parameters": { "t": t },
            }),
        };
        self.pool.push(Member { shares, score: Vec::new(), parents: Some((a, b)) });
        Some(Proposal { recipe: basis.finished(recipe), model: None, about })
    }

    fn name(&self, basis: &Basis, member: usize) -> String {
        match basis.config.models.get(member) {
            Some(model) => model.clone(),
            None => basis.config.output_of(member as u64 + 1),
        }
    }
}

/// The merge of merges written out over the models to begin with: no rounding in between.
fn weighted(basis: &Basis, shares: &[f64]) -> Value {
    let models: Vec<Value> = basis
        .config
        .models
        .iter()
        .zip(shares)
        .filter(|(_, share)| **share > 0.0)
        .map(|(model, share)| json!({ "model": model, "parameters": { "weight": share } }))
        .collect();
    json!({ "merge_method": "linear", "models": models })
}
