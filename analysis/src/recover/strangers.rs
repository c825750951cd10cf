//! Which of some models have no common origin, by their sketches.

use super::{
    facts::Facts,
    sketched::{Stored, pairs, told},
};

/// Two models without a common origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Strangers {
    /// Positions among the models, the smaller one first.
    pub pair: (usize, usize),
    /// What was compared, and with what outcome.
    pub compared: String,
}

/// The pairs of models whose weights have no common origin, by the measure that contradicts what cards claim: the cosine of
/// their matrices. Not told are models of which less than half can be compared, and those that may hold the same values in
/// another order.
pub fn strangers(models: &[Stored]) -> Vec<Strangers> {
    let facts: Vec<Option<Facts>> = models.iter().map(|model| Some(told(model))).collect();
    let (count, pairs) = (models.len(), pairs(models, &facts));
    let mut found = Vec::new();
    for a in 0..count {
        for b in a + 1..count {
            // Of a model that was read in part, the other may have far more.
            let ways = [(a, b), (b, a)].map(|(a, b)| pairs[a * count + b].as_ref());
            let widest = ways.into_iter().flatten().max_by(|a, b| a.share.total_cmp(&b.share));
            let strange = widest.and_then(|alike| Some((alike, alike.strange()?)));
            found.extend(
                strange.map(|(alike, chance)| Strangers { pair: (a, b), compared: alike.compared(chance) }),
            );
        }
    }
    found
}
