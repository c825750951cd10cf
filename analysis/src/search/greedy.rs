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
    /// The best score after each generation, that of the models to begin with first.
    #[serde(default, with = "bits")]
    leading: Vec<f64>,
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
        (Self { pool, told: 0, best: Vec::new(), leading: Vec::new() }, models.iter().map(proposal).collect())
    }

    /// Takes the scores of what was proposed last, in order.
    pub fn tell(&mut self, basis: &Basis, scores: &[f64]) -> Next {
        for (member, score) in self.pool[self.told..].iter_mut().zip(scores) {
            member.score = vec![*score];
        }
        self.told = self.pool.len();
        let ranked = self.ranked(basis);
        let mut best: Vec<usize> = ranked.iter().copied().take(basis.config.best()).collect();
        best.sort_unstable();
        let before = std::mem::replace(&mut self.best, best);
        self.leading.push(self.score(ranked[0]));
        let left = usize::try_from(basis.config.budget).unwrap_or(usize::MAX).saturating_sub(self.told);
        if let Some(why) = self.ended(basis, (&before, left)) {
            return Next::Done(why);
        }
        // The models to begin with are all merged with each other, whatever they scored.
        let (among, most) = match self.leading.len() {
            1 => (ranked.len(), usize::MAX),
            _ => (self.best.len(), basis.config.best()),
        };
        let mut wanted = Vec::new();
        for pair in self.pairs(basis.config.better, &ranked[..among]) {
            if wanted.len() < most {
                wanted.extend(self.propose(basis, pair, "a pair of the best"));
            }
        }
        if let Some(pair) = self.furthest(basis, ranked[0]) {
            wanted.extend(self.propose(basis, pair, "the best with its lowest kinship"));
        }
        self.pool.truncate(self.told + left);
        wanted.truncate(left);
        if wanted.is_empty() {
            return Next::Done("every pair of the best was merged before".to_owned());
        }
        Next::Propose(wanted)
    }

    /// Why nothing more is proposed, if so: `before` were the best, and `left` candidates can be scored still.
    fn ended(&self, basis: &Basis, (before, left): (&[usize], usize)) -> Option<String> {
        let config = &basis.config;
        if self.best == before {
            return Some(format!("the {} best did not change", self.best.len()));
        }
        if left == 0 {
            return Some("the budget is used".to_owned());
        }
        if self.leading.len() > config.most_generations() {
            return Some(format!("{} generations of merges were scored", config.most_generations()));
        }
        let rise = |pair: &[f64]| match config.better {
            Better::Higher => pair[1] - pair[0],
            Better::Lower => pair[0] - pair[1],
        };
        let (rises, least) = (self.leading.windows(2).map(rise).rev(), config.epsilon.unwrap_or_default());
        if rises.take(2).filter(|rise| *rise < least).count() == 2 {
            return Some(format!("the best score rose by less than {least} in two generations"));
        }
        let (akin, most) = (self.mean_kinship(basis)?, config.saturation());
        (self.leading.len() > 1 && akin > most).then(|| {
            format!(
                "the mean kinship of the {} best is {akin:.3}, above `tau` {most}: merges of them would hardly differ",
                self.best.len()
            )
        })
    }

    /// Pairs of `ranked`, those with the highest mean score first, the better member before the worse.
    fn pairs(&self, better: Better, ranked: &[usize]) -> Vec<(usize, usize)> {
        let count = ranked.len();
        let all = (0..count).flat_map(|a| (a + 1..count).map(move |b| (ranked[a], ranked[b])));
        let mut pairs: Vec<(usize, usize)> = all.collect();
        let sum = |(a, b): &(usize, usize)| self.score(*a) + self.score(*b);
        pairs.sort_by(|one, other| better.first(sum(one), sum(other)));
        pairs
    }

    fn score(&self, at: usize) -> f64 {
        self.pool[at].score.first().copied().unwrap_or(f64::NAN)
    }

    /// Members from the best to the worst; of equals models to begin with by their ids, then merges by their numbers.
    fn ranked(&self, basis: &Basis) -> Vec<usize> {
        let id = |at: usize| (at >= basis.config.models.len(), basis.config.models.get(at), at);
        let mut ranked: Vec<usize> = (0..self.pool.len()).collect();
        ranked.sort_by(|a, b| {
            basis.config.better.first(self.score(*a), self.score(*b)).then_with(|| id(*a).cmp(&id(*b)))
        });
        ranked
    }

    /// Mean kinship of the pairs of the best; none where it is not known of one.
    fn mean_kinship(&self, basis: &Basis) -> Option<f64> {
        let of = |(at, a): (usize, &usize)| {
            self.best[at + 1..].iter().map(|b| self.kinship(basis, (*a, *b))).collect::<Vec<_>>()
        };
        let all: Vec<f64> = self.best.iter().enumerate().flat_map(of).collect::<Option<_>>()?;
        (!all.is_empty()).then(|| all.iter().sum::<f64>() / all.len() as f64)
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
