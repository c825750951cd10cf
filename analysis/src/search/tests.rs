//! Both strategies from scores alone: what they propose, when they stop, and that a stored state goes on as it was.

use domain::Limits;
use serde_json::{Value, json};

use super::{Basis, Next, Proposal, Search, SearchConfig};
use crate::merge::parse;

fn config(fields: Value) -> SearchConfig {
    serde_json::from_value(fields).unwrap()
}

/// Three models: the first two alike, the third unlike both.
fn three(method: &str) -> Basis {
    let config = config(json!({ "strategy": "greedy", "method": method, "models": ["a", "b", "c"],
        "base": "o", "k": 2, "output": "s/m" }));
    let cosines = [[1.0, 0.9, 0.1], [0.9, 1.0, 0.2], [0.1, 0.2, 1.0]].map(|row| row.map(Some).to_vec());
    let products = Basis::products(&cosines, &[Some(1.0); 3]);
    Basis { config, layers: 2, products }
}

fn parents(proposals: &[Proposal]) -> Vec<(String, String)> {
    let name = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    proposals
        .iter()
        .map(|proposal| (name(&proposal.about["parents"][0]), name(&proposal.about["parents"][1])))
        .collect()
}

fn proposed(next: Next) -> Vec<Proposal> {
    match next {
        Next::Propose(proposals) => proposals,
        Next::Done(why) => panic!("{why}"),
    }
}

fn pair(a: &str, b: &str) -> (String, String) {
    (a.to_owned(), b.to_owned())
}

#[test]
fn greedy_merges_the_best_and_explores_by_the_lowest_kinship_until_the_best_stay() {
    let basis = three("slerp");

    let (mut search, first) = Search::start(&basis);
    let names: Vec<_> = first.iter().map(|proposal| proposal.model.clone().unwrap()).collect();
    assert_eq!(names, ["a", "b", "c"]);

    let second = proposed(search.tell(&basis, &[0.5, 0.4, 0.1]));
    assert_eq!(parents(&second), [pair("a", "b"), pair("a", "c"), pair("b", "c")], "every pair");
    assert!((second[1].about["kinship"].as_f64().unwrap() - 0.1).abs() < 1e-12);

    // The merge of a and c, number 5, is the best now, and less akin to b than to c.
    let third = proposed(search.tell(&basis, &[0.3, 0.6, 0.2]));
    assert_eq!(parents(&third), [pair("s/m-5", "a"), pair("s/m-5", "b")]);
    assert!(third[0].yaml().contains("s/m-5"), "{}", third[0].yaml());

    let last = search.tell(&basis, &[0.2, 0.1]);
    assert_eq!(last, Next::Done("the 2 best did not change".to_owned()));
}

#[test]
fn a_list_longer_than_allowed_is_told_by_its_length_alone_and_a_short_one_by_what_it_repeats() {
    let faults = |models: Vec<&str>| {
        let config =
            config(json!({ "strategy": "greedy", "method": "slerp", "models": models, "base": "o" }));
        let told = config.faults(&Limits { merge_models: 4, ..Limits::default() }).into_iter();
        told.map(|item| format!("{}: {}", item.pointer, item.message)).collect::<Vec<_>>()
    };

    assert_eq!(faults(vec!["a"; 5])[0], "/models: 2 to 4 models are needed, 5 given");
    assert!(!faults(vec!["a"; 5]).iter().any(|told| told.contains("listed already")));
    assert_eq!(
        faults(vec!["a", "b", "b", "b"]),
        ["/models/2: `b` is listed already, at 1", "/models/3: `b` is listed already, at 1"]
    );
}

#[test]
fn of_the_pairs_of_the_best_as_many_are_merged_as_there_are_best() {
    let names = ["a", "b", "c", "d", "e"];
    let config = config(json!({ "strategy": "greedy", "method": "slerp", "models": names, "base": "o",
        "k": 3, "tau": 1.0 }));
    let alone = |at: usize| (0..5).map(|other| Some(f64::from(u8::from(at == other)))).collect();
    let cosines: Vec<Vec<Option<f64>>> = (0..5).map(alone).collect();
    let basis = Basis { config, layers: 2, products: Basis::products(&cosines, &[Some(1.0); 5]) };
    let (mut search, _) = Search::start(&basis);

    let first = proposed(search.tell(&basis, &[0.1, 0.5, 0.4, 0.3, 0.2]));
    assert_eq!(first.len(), 10, "every pair of the models");
    assert_eq!(parents(&first)[0], pair("b", "c"), "that with the highest mean comes first");

    // The best are three merges: their three pairs, and one with what is least akin.
    let scores: Vec<f64> = (0..10).map(|at| 1.0 - f64::from(at) / 100.0).collect();
    let second = proposed(search.tell(&basis, &scores));
    assert_eq!(second.len(), 4);
}

#[test]
fn greedy_ends_where_the_best_are_too_much_alike_or_hardly_rise_or_after_so_many_generations() {
    let ended = |fields: Value, told: &[&[f64]]| {
        let mut basis = three("slerp");
        let mut whole = serde_json::to_value(&basis.config).unwrap();
        whole.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        basis.config = config(whole);
        let (mut search, _) = Search::start(&basis);
        let mut last = Next::Propose(Vec::new());
        for scores in told {
            assert!(matches!(last, Next::Propose(_)), "{last:?}");
            last = search.tell(&basis, scores);
        }
        match last {
            Next::Done(why) => why,
            Next::Propose(more) => panic!("{} more", more.len()),
        }
    };
    let first: &[f64] = &[0.5, 0.4, 0.1];

    // A merge of a and b beside a.
    let alike = ended(json!({}), &[first, &[0.6, 0.2, 0.1]]);
    assert_eq!(
        alike,
        "the mean kinship of the 2 best is 0.975, above `tau` 0.9: merges of them would hardly differ"
    );
    let hardly = ended(json!({ "epsilon": 0.05, "tau": 1.0 }), &[first, &[0.51, 0.2, 0.1], &[0.52, 0.1]]);
    assert_eq!(hardly, "the best score rose by less than 0.05 in two generations");
    let many = ended(json!({ "generations": 1, "tau": 1.0 }), &[first, &[0.6, 0.2, 0.1]]);
    assert_eq!(many, "1 generations of merges were scored");
}

#[test]
fn a_linear_merge_of_merges_is_written_over_the_models_to_begin_with() {
    let basis = three("linear");
    let (mut search, _) = Search::start(&basis);
    proposed(search.tell(&basis, &[0.5, 0.4, 0.1]));

    // Of what the models to begin with make, the two merges with a are the best.
    let third = proposed(search.tell(&basis, &[0.7, 0.6, 0.2]));

    let recipe = parse(&third[0].yaml()).unwrap();
    let weights: Vec<f64> =
        recipe.models.iter().map(|entry| entry.parameters["weight"].of("x", 0.0).unwrap()).collect();
    assert_eq!(recipe.model_refs(), ["a", "b", "c"]);
    assert_eq!(weights, [0.5, 0.25, 0.25]);
}

#[test]
fn greedy_stops_when_the_budget_is_used() {
    let mut basis = three("slerp");
    basis.config.budget = 4;
    let (mut search, _) = Search::start(&basis);

    let second = proposed(search.tell(&basis, &[0.5, 0.4, 0.1]));
    let last = search.tell(&basis, &[0.9]);

    assert_eq!(parents(&second), [pair("a", "b")]);
    assert_eq!(last, Next::Done("the budget is used".to_owned()));
}

#[test]
fn lower_scores_are_better_where_the_search_says_so() {
    let mut basis = three("slerp");
    basis.config.better = super::Better::Lower;
    let (mut search, _) = Search::start(&basis);

    let second = proposed(search.tell(&basis, &[0.5, 0.4, 0.1]));

    assert_eq!(parents(&second), [pair("c", "b"), pair("c", "a"), pair("b", "a")]);
}

fn evolving(fields: Value) -> Basis {
    let mut whole =
        json!({ "strategy": "cma_es", "method": "ties", "models": ["a", "b"], "base": "o", "seed": 3 });
    whole.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    Basis { config: config(whole), layers: 4, products: Vec::new() }
}

/// Squared distance of the weights from (0.7, 0.2), told from the recipe as a caller would.
fn loss(proposal: &Proposal) -> f64 {
    let recipe = parse(&proposal.yaml()).unwrap();
    let number =
        |at: usize, name: &str| recipe.models[at].parameters[name].of("model.layers.0.x", 0.0).unwrap();
    let wanted = [(0, "weight", 0.7), (1, "weight", 0.2), (0, "density", 0.6), (1, "density", 0.9)];
    wanted.iter().map(|(at, name, target)| (number(*at, name) - target).powi(2)).sum()
}

#[test]
fn cma_es_finds_weights_and_densities_by_scores_of_recipes() {
    let basis = evolving(json!({ "better": "lower", "budget": 800 }));

    let (mut search, mut proposals) = Search::start(&basis);
    let mut best = f64::INFINITY;
    while best > 1e-4 {
        let losses: Vec<f64> = proposals.iter().map(loss).collect();
        best = losses.iter().copied().fold(best, f64::min);
        proposals = proposed(search.tell(&basis, &losses));
    }
}

#[test]
fn a_search_read_back_goes_on_as_the_one_that_was_not_stored() {
    let basis = evolving(json!({ "budget": 500 }));
    let (mut search, first) = Search::start(&basis);
    let (_, again) = Search::start(&basis);
    assert_eq!(first, again);

    let mut proposals = first;
    for _ in 0..5 {
        let scores: Vec<f64> = proposals.iter().map(|proposal| -loss(proposal)).collect();
        let stored = serde_json::to_string(&search).unwrap();
        let mut restored: Search = serde_json::from_str(&stored).unwrap();

        let next = search.tell(&basis, &scores);

        assert_eq!(restored.tell(&basis, &scores), next);
        proposals = proposed(next);
    }
}

#[test]
fn layers_filters_and_methods_become_recipes_that_can_be_read() {
    let shapes = [
        json!({ "layer_granularity": 2, "smooth": true, "filters": ["self_attn", "mlp"] }),
        json!({ "layer_granularity": 2, "filters": ["self_attn"] }),
        json!({ "method": "slerp", "base": null, "layer_granularity": 1 }),
        json!({ "method": "slerp", "base": null, "layer_granularity": 1, "smooth": true }),
        json!({ "method": "dare_ties", "dtype": "bfloat16" }),
        json!({ "method": "task_arithmetic" }),
        json!({ "method": "linear", "base": null, "allow_negative_weights": true }),
    ];
    for shape in shapes {
        let basis = evolving(shape.clone());
        assert_eq!(basis.config.faults(&Limits::default()), [], "{shape}");
        assert_eq!(basis.config.layer_faults(4, &Limits::default()), [], "{shape}");

        let (_, proposals) = Search::start(&basis);

        for proposal in proposals {
            let yaml = proposal.yaml();
            let recipe = parse(&yaml).unwrap_or_else(|error| panic!("{shape}: {error}\n{yaml}"));
            assert_eq!(recipe.merge_method, basis.config.method.id());
        }
    }
}

#[test]
fn every_fault_of_a_configuration_is_told_at_once() {
    let config =
        config(json!({ "strategy": "greedy", "method": "ties", "models": ["a", "a"], "k": 1, "t": 2.0,
        "budget": 0, "smooth": true, "dtype": "int8" }));

    let faults = config.faults(&Limits::default());

    let pointers: Vec<&str> = faults.iter().map(|item| item.pointer.as_str()).collect();
    assert_eq!(
        pointers,
        ["/models/1", "/base", "/budget", "/dtype", "/method", "/k", "/t", "/smooth", "/budget"]
    );
}

#[test]
fn a_filter_that_is_listed_twice_or_is_part_of_no_name_is_refused() {
    let basis = evolving(json!({ "filters": ["mlp", "self_attn", "mlp", "xyzzy"] }));
    let names = ["model.layers.0.mlp.up_proj.weight", "model.layers.0.self_attn.q_proj.weight"];

    let twice = basis.config.faults(&Limits::default());
    let idle = basis.config.filter_faults(names.into_iter());

    assert_eq!(twice[0].pointer, "/filters/2");
    assert_eq!(idle.iter().map(|item| item.pointer.as_str()).collect::<Vec<_>>(), ["/filters/3"]);
}

#[test]
fn groups_that_do_not_divide_the_layers_and_too_many_numbers_are_refused() {
    let (three, each) =
        (evolving(json!({ "layer_granularity": 3 })), evolving(json!({ "layer_granularity": 1 })));
    let narrow = Limits { search_values: 8, ..Limits::default() };

    assert!(three.config.layer_faults(4, &narrow)[0].message.contains("does not divide"));
    assert!(each.config.layer_faults(4, &narrow)[0].message.contains("16 numbers"));
}
