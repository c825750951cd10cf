//! CMA-ES over the numbers of one recipe: a number for every group of layers, model, filter and parameter.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{Basis, Better, Next, Proposal, SearchMethod, cma::Cma};

/// Step to begin with.
const SIGMA: f64 = 1.0 / 6.0;
/// Numbers are written with this many steps to one.
const PRECISION: f64 = 1e6;

/// The state of the optimiser and the points that wait for their scores.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evolution {
    cma: Cma,
    points: Vec<Point>,
    told: u64,
}

/// Numbers of one recipe, before they are clamped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Point(#[serde(with = "super::bits")] Vec<f64>);

impl Evolution {
    /// The first generation, around the mean of the models.
    pub fn start(basis: &Basis) -> (Self, Vec<Proposal>) {
        let config = &basis.config;
        let start = |name: &&str| match *name {
            "weight" => 1.0 / config.models.len() as f64,
            "t" => 0.5,
            _ => 1.0,
        };
        let one: Vec<f64> = config.parameters().iter().map(start).collect();
        let values = config.values(basis.layers);
        let mean = one.iter().copied().cycle().take(values).collect();
        let mut this = Self { cma: Cma::new(mean, SIGMA, config.seed), points: Vec::new(), told: 0 };
        let proposals = this.propose(basis);
        (this, proposals)
    }

    /// Takes the scores of what was proposed last, in order.
    pub fn tell(&mut self, basis: &Basis, scores: &[f64]) -> Next {
        let mut ranked: Vec<(&Point, f64)> = self.points.iter().zip(scores.iter().copied()).collect();
        ranked.sort_by(|(_, a), (_, b)| match basis.config.better {
            Better::Higher => b.total_cmp(a),
            Better::Lower => a.total_cmp(b),
        });
        let ranked: Vec<&[f64]> = ranked.iter().map(|(point, _)| point.0.as_slice()).collect();
        self.cma.tell(&ranked);
        self.told += scores.len() as u64;
        if self.cma.reach() < 1.0 / PRECISION {
            return Next::Done("the candidates have become the same".to_owned());
        }
        // A generation that is scored in part says nothing about the next one.
        if self.told + self.points.len() as u64 > basis.config.budget {
            return Next::Done("the budget is used".to_owned());
        }
        Next::Propose(self.propose(basis))
    }

    fn propose(&mut self, basis: &Basis) -> Vec<Proposal> {
        self.points = self.cma.ask().into_iter().map(Point).collect();
        let proposal = |point: &Point| Proposal {
            recipe: basis.finished(recipe(basis, &point.0)),
            model: None,
            about: json!({ "reason": "a sample of this generation" }),
        };
        self.points.iter().map(proposal).collect()
    }
}

/// A point as a recipe.
fn recipe(basis: &Basis, point: &[f64]) -> Value {
    let config = &basis.config;
    let genome = Genome { basis, point };
    let groups = config.groups(basis.layers);
    let mut recipe = Map::new();
    recipe.insert("merge_method".to_owned(), json!(config.method.id()));
    let base = match config.method {
        SearchMethod::Slerp => config.models.first(),
        method if method.needs_base() => config.base.as_ref(),
        _ => None,
    };
    if let Some(base) = base {
        recipe.insert("base_model".to_owned(), json!(base));
    }
    if groups == 1 || config.smooth {
        let groups: Vec<usize> = (0..groups).collect();
        recipe.insert("models".to_owned(), genome.sources(&groups, None));
        if config.method == SearchMethod::Slerp {
            recipe.insert("parameters".to_owned(), json!({ "t": genome.value(&groups, 0, 0) }));
        }
    } else {
        let slice = |group: usize| {
            let first = group as u64 * config.layer_granularity;
            let range = json!([first, first + config.layer_granularity]);
            let mut slice = json!({ "sources": genome.sources(&[group], Some(&range)) });
            if config.method == SearchMethod::Slerp {
                slice["parameters"] = json!({ "t": genome.value(&[group], 0, 0) });
            }
            slice
        };
        recipe.insert("slices".to_owned(), (0..groups).map(slice).collect());
    }
    let normalize = config.normalize.or(match config.method {
        SearchMethod::Slerp | SearchMethod::TaskArithmetic => None,
        _ => Some(true),
    });
    if let Some(normalize) = normalize.filter(|_| config.method != SearchMethod::Slerp) {
        recipe.insert("parameters".to_owned(), json!({ "normalize": normalize }));
    }
    if config.method == SearchMethod::DareTies {
        recipe.insert("seed".to_owned(), json!(config.seed));
    }
    Value::Object(recipe)
}

struct Genome<'a> {
    basis: &'a Basis,
    point: &'a [f64],
}

impl Genome<'_> {
    /// The models with their parameters in these groups of layers.
    fn sources(&self, groups: &[usize], range: Option<&Value>) -> Value {
        let config = &self.basis.config;
        let source = |(at, model): (usize, &String)| {
            let mut source = Map::new();
            source.insert("model".to_owned(), json!(model));
            if let Some(range) = range {
                source.insert("layer_range".to_owned(), range.clone());
            }
            if config.method != SearchMethod::Slerp {
                let named = config.parameters().iter().enumerate();
                let own: Map<String, Value> =
                    named.map(|(p, name)| ((*name).to_owned(), self.value(groups, at, p))).collect();
                source.insert("parameters".to_owned(), Value::Object(own));
            }
            Value::Object(source)
        };
        config.models.iter().enumerate().map(source).collect()
    }

    /// A parameter of a model: a number or a gradient over the groups, by filter where there are some.
    fn value(&self, groups: &[usize], model: usize, parameter: usize) -> Value {
        let filters = &self.basis.config.filters;
        let of = |filter: usize| {
            let numbers: Vec<f64> =
                groups.iter().map(|group| self.number((*group, model), (filter, parameter))).collect();
            match numbers.as_slice() {
                [one] => json!(one),
                many => json!(many),
            }
        };
        if filters.is_empty() {
            return of(0);
        }
        let filtered =
            filters.iter().enumerate().map(|(at, name)| json!({ "filter": name, "value": of(at) }));
        filtered.chain([json!({ "value": of(filters.len()) })]).collect()
    }

    /// One number, clamped and rounded.
    fn number(&self, (group, model): (usize, usize), (filter, parameter): (usize, usize)) -> f64 {
        let config = &self.basis.config;
        let (models, filters, names) = (config.weighed(), config.filters.len() + 1, config.parameters());
        let at = ((group * models + model) * filters + filter) * names.len() + parameter;
        let value = self.point.get(at).copied().unwrap_or_default();
        let value = match names[parameter] {
            "density" => value.abs().min(1.0),
            "weight" if !config.allow_negative_weights => value.abs(),
            _ => value,
        };
        (value * PRECISION).round() / PRECISION
    }
}
