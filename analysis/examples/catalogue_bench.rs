//! Memory and time of the search index over made-up models: `catalogue_bench [MODELS]`, two million by default.

use std::{collections::BTreeSet, sync::Arc, time::Instant};

use analysis::catalogue::{Entry, Facet, Filter, Index, Order, SegmentBuilder, Wanted};
use domain::Relation;

const STEMS: [&str; 8] = ["llama", "qwen", "mistral", "phi", "gemma", "falcon", "bert", "whisper"];
const WORDS: [&str; 8] = ["instruct", "chat", "coder", "math", "tiny", "vision", "gguf", "lora"];
const LICENCES: [&str; 6] = ["apache-2.0", "mit", "llama3", "gemma", "cc-by-nc-4.0", "other"];
const TASKS: [&str; 3] = ["text-generation", "fill-mask", "text-to-image"];

fn main() {
    let models: i64 = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(2_000_000);
    let mut state = 7_u64;
    let mut draw = move |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let began = Instant::now();
    let mut builder = SegmentBuilder::default();
    for id in 1..=models {
        let author = draw(1_000) * draw(300);
        let org = format!("{}-{}-{author}", STEMS[author % 8], WORDS[author % 7]);
        let key = format!("{org}/{}-{}-{id}", STEMS[draw(8)], WORDS[draw(8)]);
        let tags = [
            "safetensors".to_owned(),
            STEMS[draw(8)].to_owned(),
            WORDS[draw(8)].to_owned(),
            format!("license:{}", LICENCES[draw(6)]),
            format!("arxiv:{}", draw(20_000)),
            format!("dataset:x/{}", draw(100_000)),
        ];
        builder.add(&Entry {
            id,
            key: &key,
            org: Some(&org),
            licence: Some(LICENCES[draw(6)]),
            task: Some(TASKS[draw(3)]),
            library: Some("transformers"),
            architecture: Some(STEMS[draw(8)]),
            dtype: Some("BF16"),
            parameters: Some(10_i64.pow(7 + draw(4) as u32)),
            downloads: Some(draw(100_000) as i64),
            likes: Some(draw(1_000) as i64),
            created_at: Some(1_600_000_000 + draw(100_000_000) as i64),
            last_modified: Some(1_600_000_000 + draw(100_000_000) as i64),
            tags: &tags,
            languages: &["en".to_owned()],
            relations: &[Relation::ALL[draw(4)]],
            ..Entry::default()
        });
    }
    let added = began.elapsed();
    let index = Index::new(Arc::new(builder.finish()), SegmentBuilder::default().finish(), &BTreeSet::new());
    println!(
        "{models} models: {added:.1?} to add, {:.1?} in all, {} MB",
        began.elapsed(),
        index.bytes() / 1_000_000
    );
    let none = Filter::default;
    let questions = [
        ("all, most downloads", none(), Order::Downloads),
        ("all, by name", none(), Order::Name),
        ("one licence", none().pick(Facet::Licence, Some("mit")), Order::Downloads),
        (
            "one licence and merges, newest",
            none().pick(Facet::Licence, Some("mit")).pick(Facet::Relation, Some("merge")),
            Order::Created,
        ),
        ("`llama`", none().text("llama"), Order::Downloads),
        ("`llama coder`", none().text("llama coder"), Order::Downloads),
        ("`123456`", none().text("123456"), Order::Downloads),
        ("one tag", none().tags(&["arxiv:77".to_owned()]), Order::Downloads),
    ];
    for (name, filter, order) in questions {
        let wanted = Wanted { order, limit: 30, values: 10, after: None };
        let began = Instant::now();
        let answer = index.search(&filter, &wanted);
        let first = began.elapsed();
        let began = Instant::now();
        index.search(&filter, &wanted);
        println!(
            "{name}: {} found, {first:.1?} with all counts, {:.1?} again",
            answer.total,
            began.elapsed()
        );
    }
    for text in ["l", "lla", "llama-chat", "qwen-coder-12"] {
        let began = Instant::now();
        let found = index.suggest(text, 8).len();
        println!("`{text}` typed: {found} names in {:.1?}", began.elapsed());
    }
}
