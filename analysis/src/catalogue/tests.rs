//! The index against a plain look at every model.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use domain::Relation;

use super::*;

#[derive(Clone)]
struct Model {
    id: i64,
    key: String,
    licence: Option<&'static str>,
    task: Option<&'static str>,
    parameters: Option<i64>,
    downloads: Option<i64>,
    weights: bool,
    sketched: bool,
    tags: Vec<String>,
    relations: Vec<Relation>,
}

/// Models drawn by a fixed generator.
fn models(count: i64, seed: u64) -> Vec<Model> {
    let mut state = seed;
    let mut draw = move |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let words = ["llama", "qwen", "chat", "coder", "7b", "v2", "gguf", "ü", "a_b"];
    (1..=count)
        .map(|id| {
            let mut word = || words[draw(9) as usize];
            let key = format!("{}-{}/{}.{}-{id}", word(), word(), word(), word());
            Model {
                id,
                key,
                licence: [None, Some("mit"), Some("apache-2.0"), Some("llama3")][draw(4) as usize],
                task: [None, Some("text-generation"), Some("fill-mask")][draw(3) as usize],
                parameters: (draw(3) > 0).then(|| 10_i64.pow(7 + draw(5) as u32) + id),
                downloads: (draw(4) > 0).then(|| draw(20) as i64),
                weights: draw(2) == 0,
                sketched: draw(3) == 0,
                tags: vec![format!("tag-{}", draw(4)), "region:us".to_owned()],
                relations: Relation::ALL.into_iter().filter(|_| draw(4) == 0).collect(),
            }
        })
        .collect()
}

fn segment<'a>(models: impl IntoIterator<Item = &'a Model>) -> Segment {
    let mut builder = SegmentBuilder::default();
    for model in models {
        builder.add(&Entry {
            id: model.id,
            key: &model.key,
            weights: model.weights,
            sketched: model.sketched,
            org: model.key.split_once('/').map(|(org, _)| org),
            licence: model.licence,
            task: model.task,
            parameters: model.parameters,
            downloads: model.downloads,
            tags: &model.tags,
            relations: &model.relations,
            ..Entry::default()
        });
    }
    builder.finish()
}

/// An index of 400 models of which the fresh segment has every seventh anew, some more, and lacks every eleventh.
fn index() -> (Index, Vec<Model>) {
    let (old, mut new) = (models(400, 1), models(450, 2));
    let touched: BTreeSet<i64> = (1..=450).filter(|id| id % 7 == 0 || id % 11 == 0 || *id > 400).collect();
    new.retain(|model| touched.contains(&model.id) && model.id % 11 != 0);
    let index = Index::new(Arc::new(segment(&old)), segment(&new), &touched);
    let mut all: Vec<Model> =
        old.into_iter().filter(|model| !touched.contains(&model.id)).chain(new).collect();
    all.sort_by_key(|model| model.id);
    (index, all)
}

fn values(model: &Model, facet: Facet) -> Vec<String> {
    match facet {
        Facet::Relation => model.relations.iter().map(ToString::to_string).collect(),
        Facet::Size => model.parameters.map(|n| SIZES[size_class(n)].0.to_owned()).into_iter().collect(),
        Facet::Licence => model.licence.map(str::to_owned).into_iter().collect(),
        Facet::Task => model.task.map(str::to_owned).into_iter().collect(),
        Facet::Weights => vec![if model.weights { "yes" } else { "no" }.to_owned()],
        Facet::Kinship => vec![if model.sketched { "yes" } else { "no" }.to_owned()],
        _ => Vec::new(),
    }
}

struct Plain<'a> {
    words: &'a [&'a str],
    tags: &'a [String],
    picks: &'a [(Facet, &'a str)],
}

impl Plain<'_> {
    fn passes(&self, model: &Model, but: Option<Facet>) -> bool {
        self.words.iter().all(|word| model.key.contains(word))
            && self.tags.iter().all(|tag| model.tags.contains(tag))
            && self
                .picks
                .iter()
                .filter(|(facet, _)| Some(*facet) != but)
                .all(|(facet, value)| values(model, *facet).iter().any(|own| own == value))
    }

    fn filter(&self) -> Filter {
        let filter = Filter::default().text(&self.words.join(" ")).tags(self.tags);
        self.picks.iter().fold(filter, |filter, (facet, value)| filter.pick(*facet, Some(value)))
    }
}

#[test]
fn every_count_is_the_one_of_a_plain_look_at_all_models() {
    let (index, all) = index();
    let tags = ["tag-1".to_owned()];
    let plains = [
        Plain { words: &[], tags: &[], picks: &[] },
        Plain { words: &["llama"], tags: &[], picks: &[] },
        Plain { words: &["chat", "7b"], tags: &[], picks: &[(Facet::Licence, "mit")] },
        Plain { words: &["v2"], tags: &tags, picks: &[(Facet::Relation, "merge"), (Facet::Weights, "yes")] },
        Plain { words: &["ü"], tags: &[], picks: &[(Facet::Size, "1b-4b"), (Facet::Task, "fill-mask")] },
        Plain { words: &["a_b"], tags: &[], picks: &[(Facet::Licence, "no-such-licence")] },
        Plain { words: &["no-such-name"], tags: &[], picks: &[] },
    ];

    for plain in plains {
        let answer = index.search(&plain.filter(), &Wanted { limit: 500, values: 100, ..Wanted::default() });

        let passing = all.iter().filter(|model| plain.passes(model, None));
        let want: BTreeSet<i64> = passing.map(|model| model.id).collect();
        assert_eq!(answer.ids.iter().copied().collect::<BTreeSet<_>>(), want);
        assert_eq!(answer.total, want.len() as u64);
        for counts in answer.facets {
            let mut want: BTreeMap<String, u64> = BTreeMap::new();
            for model in all.iter().filter(|model| plain.passes(model, Some(counts.facet))) {
                values(model, counts.facet)
                    .into_iter()
                    .for_each(|value| *want.entry(value).or_default() += 1);
            }
            let got: BTreeMap<String, u64> = counts.values.into_iter().collect();
            assert_eq!(got, want, "{:?} of {:?}", counts.facet, plain.words);
        }
    }
}

#[test]
fn the_pages_of_every_order_are_the_whole_sorted_list_cut_up() {
    let (index, all) = index();
    for order in Order::ALL {
        let mut want: Vec<&Model> = all.iter().collect();
        want.sort_by_key(|model| {
            let value = match order {
                Order::Downloads => model.downloads.unwrap_or(-1),
                Order::Parameters => model.parameters.unwrap_or(-1),
                _ => -1,
            };
            (std::cmp::Reverse(value), std::cmp::Reverse(model.id))
        });
        if order == Order::Name {
            want.sort_by(|a, b| a.key.cmp(&b.key));
        }

        let (mut got, mut after) = (Vec::new(), None);
        loop {
            let wanted = Wanted { order, after, limit: 7, values: 1 };
            let answer = index.search(&Filter::default(), &wanted);
            got.extend(answer.ids);
            let Some(next) = answer.next else { break };
            after = After::read(&next.cursor(order), order);
            assert_eq!(after.as_ref(), Some(&next));
        }

        assert_eq!(got, want.iter().map(|model| model.id).collect::<Vec<_>>(), "{order:?}");
    }
}

#[test]
fn what_begins_with_the_text_is_suggested_before_what_holds_it() {
    let model = |id: i64, key: &str, downloads: i64| Model {
        id,
        key: key.to_owned(),
        downloads: Some(downloads),
        ..models(1, 3)[0].clone()
    };
    let base = [model(1, "a/tiny-llama", 900), model(2, "b/llama-7b", 5), model(3, "llama-team/x", 7)];
    let fresh = [model(4, "c/llama", 1)];
    let index = Index::new(Arc::new(segment(&base)), segment(&fresh), &BTreeSet::from([4]));

    let suggested = index.suggest(" LLAMA", 10);

    assert_eq!(suggested, [4, 3, 2, 1]);
    assert_eq!(index.suggest("llama", 2), [4, 3]);
    assert_eq!(index.suggest("/lla", 9), [2, 4]);
    assert!(index.suggest("  ", 9).is_empty());
}

#[test]
fn a_name_that_is_one_slip_away_is_suggested_where_nothing_fits() {
    let models = [
        ("mandoc/scribe-v1", Some(5), false),
        ("papyrus/reed", Some(9), false),
        ("org/scribe-v2", Some(90), false),
    ];
    let index = named(&models);

    assert_eq!(index.suggest("Scirbe", 9), [3, 1]);
    assert_eq!(index.suggest("scirbe v1", 9), [1]);
    assert_eq!(index.suggest("scribe", 1), [3], "what fits is enough");
    assert!(index.suggest("scrolls", 9).is_empty());
}

#[test]
fn a_facet_lists_what_is_asked_for_even_where_others_are_more_frequent() {
    let (index, all) = index();
    let rare = all.iter().filter(|model| model.licence == Some("mit")).count();
    let filter = Filter::default().pick(Facet::Licence, Some("MIT"));

    let answer = index.search(&filter, &Wanted { limit: 1, values: 1, ..Wanted::default() });

    let licence = answer.facets.iter().find(|counts| counts.facet == Facet::Licence).unwrap();
    assert_eq!(licence.values, [("mit".to_owned(), rare as u64)]);
    let known: BTreeSet<&str> = all.iter().filter_map(|model| model.licence).collect();
    assert_eq!(licence.more, known.len() - 1, "the others are counted");
}

#[test]
fn a_list_of_models_and_no_ghosts_narrow_what_is_found() {
    let models = models(60, 3);
    let mut builder = SegmentBuilder::default();
    for model in &models {
        builder.add(&Entry { id: model.id, key: &model.key, ghost: model.id % 2 == 0, ..Entry::default() });
    }
    let index = Index::new(Arc::new(builder.finish()), segment([]), &BTreeSet::new());
    let wanted = Wanted { order: Order::Name, limit: 100, ..Wanted::default() };
    let found = |filter: Filter| {
        let mut ids = index.search(&filter, &wanted).ids;
        ids.sort_unstable();
        ids
    };

    let listed = found(Filter::default().only(vec![9, 4, 7, 7, 1_000]));
    let in_both = found(Filter::default().only(vec![4, 7, 9]).only(vec![7, 8, 9]).real());
    let none = found(Filter::default().only(Vec::new()));

    assert_eq!(listed, [4, 7, 9]);
    assert_eq!(in_both, [7, 9]);
    assert!(none.is_empty());
    assert_eq!(found(Filter::default().real()).len(), 30);
}

/// An index of models that are only told apart by name, downloads and whether they are ghosts, half of them fresh.
fn named(models: &[(&str, Option<i64>, bool)]) -> Index {
    let mut builders = [SegmentBuilder::default(), SegmentBuilder::default()];
    let mut touched = BTreeSet::new();
    for (id, (key, downloads, ghost)) in (1..).zip(models) {
        let fresh = id as usize * 2 > models.len();
        touched.extend(fresh.then_some(id));
        builders[usize::from(fresh)].add(&Entry {
            id,
            key,
            downloads: *downloads,
            ghost: *ghost,
            ..Entry::default()
        });
    }
    let [base, fresh] = builders.map(SegmentBuilder::finish);
    Index::new(Arc::new(base), fresh, &touched)
}

/// What is found page by page, two at a time.
fn pages(index: &Index, text: &str, order: Order) -> Vec<i64> {
    let (mut got, mut after) = (Vec::new(), None);
    loop {
        let answer =
            index.search(&Filter::default().text(text), &Wanted { order, after, limit: 2, values: 1 });
        got.extend(answer.ids);
        let Some(next) = answer.next else { return got };
        after = After::read(&next.cursor(order), order);
    }
}

#[test]
fn a_model_that_is_called_what_is_looked_for_comes_first_on_all_pages_together_once() {
    let models = [
        ("meta/llama-7b", Some(9), false),
        ("a/llama-7b-chat", Some(900), false),
        ("b/llama-7b", Some(90), false),
        ("c/tiny-llama-7b", Some(800), false),
        ("d/llama-7b-gguf", None, false),
    ];
    let index = named(&models);

    assert_eq!(pages(&index, "Meta/Llama-7b", Order::Downloads), [1]);
    assert_eq!(pages(&index, "llama-7b", Order::Downloads), [3, 1, 2, 4, 5]);
    assert_eq!(pages(&index, "llama 7b", Order::Downloads), [2, 4, 3, 1, 5], "two words are no name");
    assert_eq!(pages(&index, "llama-7b", Order::Likes), [5, 4, 3, 2, 1], "another order is kept");
}

#[test]
fn a_model_whose_weights_are_here_has_their_tag() {
    let (index, all) = index();
    let filter = Filter::default().tags(&["safetensors".to_owned()]);

    let answer = index.search(&filter, &Wanted { limit: 500, ..Wanted::default() });

    let want: BTreeSet<i64> = all.iter().filter(|model| model.weights).map(|model| model.id).collect();
    assert!(!want.is_empty() && want.len() < all.len());
    assert_eq!(answer.ids.into_iter().collect::<BTreeSet<_>>(), want);
}

#[test]
fn a_ghost_comes_after_every_model_of_which_as_little_is_counted() {
    let models =
        [("a/x-1", None, false), ("a/x-2", None, true), ("a/x-3", None, false), ("a/x-4", None, true)];

    assert_eq!(pages(&named(&models), "x-", Order::Downloads), [3, 1, 4, 2]);
}
