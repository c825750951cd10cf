//! TIES (arXiv 2306.01708): trim each delta to its largest elements, elect a sign per element, add what agrees.

use std::{io, sync::Arc};

use super::{
    task_arithmetic::{LAMBDA, WEIGHT, normalize},
    trim::{Trim, magnitude},
};
use crate::{
    computed::{Stored, blocks, read_f64},
    merge::{BaseNeed, Combine, Kind, Method, MethodSpec, ModelCount, Operands, ParamSpec, blend::around},
};

pub struct Ties;

const SPEC: MethodSpec = MethodSpec {
    id: "ties",
    name: "TIES",
    summary: "Keeps the largest elements of each delta, elects a sign per element and adds those that agree.",
    reference: "https://arxiv.org/abs/2306.01708",
    base: BaseNeed::Delta,
    models: ModelCount { min: 1, max: None },
    parameters: &[
        WEIGHT,
        ParamSpec {
            name: "density",
            kind: Kind::Number,
            per_model: true,
            default: Some(1.0),
            range: Some((0.0, 1.0)),
            help: "Share of the delta's elements kept, the largest first.",
        },
        normalize(1.0),
        LAMBDA,
    ],
    ignored: &[],
};

impl Method for Ties {
    fn spec(&self) -> &'static MethodSpec {
        &SPEC
    }

    fn prepare(&self, operands: &Operands) -> Result<Arc<dyn Combine>, weights::Error> {
        let params = &operands.params;
        let base = operands
            .base
            .as_ref()
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "ties needs a base model"))?;
        let models = operands.models.iter().zip(params.each("density"));
        let trims = models.map(|(model, density)| trim(operands.elements, density, (model, base)));
        Ok(Arc::new(Elected {
            weights: params.each("weight"),
            trims: trims.collect::<Result<_, _>>()?,
            normalize: params.flag("normalize"),
            lambda: params.number("lambda"),
        }))
    }
}

fn trim(elements: u64, density: f64, pair: (&Stored, &Stored)) -> Result<Trim, weights::Error> {
    if density >= 1.0 {
        return Ok(Trim::KEEP_ALL);
    }
    if density <= 0.0 || elements == 0 {
        return Ok(Trim::KEEP_NONE);
    }
    let keep = ((density * elements as f64).floor() as u64).max(1);
    Trim::largest(keep, |each| {
        for (start, len) in blocks(elements) {
            let [mut model, mut base] = [vec![0.0; len], vec![0.0; len]];
            read_f64(&*pair.0.source, pair.0.index, start, &mut model)?;
            read_f64(&*pair.1.source, pair.1.index, start, &mut base)?;
            let delta = model.iter().zip(&base).map(|(model, base)| magnitude(model - base));
            each(start, &delta.collect::<Vec<f32>>());
        }
        Ok(())
    })
}

struct Elected {
    weights: Vec<f64>,
    trims: Vec<Trim>,
    normalize: bool,
    lambda: f64,
}

impl Elected {
    /// Factors of the models that keep this element and agree with the elected sign; zero for the others.
    fn factors(&self, index: u64, deltas: &[f64], factors: &mut [f64]) {
        let mut elected = 0.0;
        for (((factor, delta), weight), trim) in
            factors.iter_mut().zip(deltas).zip(&self.weights).zip(&self.trims)
        {
            *factor = if trim.keeps(magnitude(*delta), index) { *weight } else { 0.0 };
            elected += *factor * delta;
        }
        let positive = elected >= 0.0;
        let mut total = 0.0;
        for (factor, delta) in factors.iter_mut().zip(deltas) {
            let vote = *factor * delta;
            let agrees = if positive { vote > 0.0 } else { vote < 0.0 };
            *factor = if agrees { *factor } else { 0.0 };
            total += *factor;
        }
        let divisor = if self.normalize && total != 0.0 { total } else { 1.0 };
        factors.iter_mut().for_each(|factor| *factor = self.lambda * (*factor / divisor));
    }
}

impl Combine for Elected {
    fn combine(&self, start: u64, models: &[&[f64]], base: &[f64], out: &mut [f64]) {
        let mut deltas = vec![0.0; models.len()];
        let mut factors = vec![0.0; models.len()];
        for (at, (out, base)) in out.iter_mut().zip(base).enumerate() {
            for (delta, model) in deltas.iter_mut().zip(models) {
                *delta = model[at] - base;
            }
            self.factors(start + at as u64, &deltas, &mut factors);
            *out = around(*base, factors.iter().copied().zip(models.iter().map(|model| model[at])));
        }
    }
}
