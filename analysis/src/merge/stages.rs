//! Recipes of several documents: each merges models and the results of others, which it calls by their names.

use std::collections::{BTreeMap, BTreeSet};

use domain::Item;
use serde_json::{Map, Value};

use super::{MergeConfig, check::MOST_FAULTS, reader, yaml};
use crate::Error;

/// One document.
#[derive(Debug, Clone, PartialEq)]
pub struct Stage {
    /// What other documents call its result; none for the result of the recipe.
    pub name: Option<String>,
    pub config: MergeConfig,
    /// Where its faults are: empty for the only document, else its place among them.
    pub pointer: String,
}

/// Reads a mergekit YAML of one document or more; in the order in which they can be made, the result last.
///
/// # Errors
/// [`Error::Yaml`], or every fault of all documents at once: those of [`super::parse`], names given twice or to
/// nobody's use, circles, and more than one result.
pub fn parse_stages(text: &str) -> Result<Vec<Stage>, Error> {
    let (stages, faults) = read_stages(text)?;
    if faults.is_empty() { Ok(stages) } else { Err(Error::faults(faults)) }
}

/// [`parse_stages`] that gives what can be read of a recipe with its faults, so that those of its models are told too.
///
/// # Errors
/// [`Error::Yaml`].
pub fn read_stages(text: &str) -> Result<(Vec<Stage>, Vec<Item>), Error> {
    let documents = yaml::documents(text)?;
    let many = documents.len() > 1;
    let (mut stages, mut faults) = (Vec::new(), Vec::new());
    for (at, document) in documents.iter().enumerate() {
        let pointer = if many { format!("/{at}") } else { String::new() };
        let read = stage(document, pointer, &mut faults);
        if faults.len() >= MOST_FAULTS {
            break;
        }
        stages.push(read);
    }
    // One document is the result, whatever it is called.
    if let [only] = stages.as_mut_slice() {
        only.name = None;
    }
    if stages.is_empty() {
        faults.push(fault(String::new(), "the recipe is empty; it starts with `merge_method`"));
    }
    let order = order(&stages, &mut faults);
    // What uses a document of a circle cannot be looked at.
    let order = if order.len() == stages.len() { order } else { Vec::new() };
    let mut placed: BTreeMap<usize, Stage> = stages.into_iter().enumerate().collect();
    let mut stages: Vec<Stage> = order.into_iter().filter_map(|at| placed.remove(&at)).collect();
    if let Some(last) = stages.last_mut() {
        last.name = None;
    }
    Ok((stages, faults))
}

/// One document, which stands at `pointer`.
pub(super) fn stage(document: &Value, pointer: String, faults: &mut Vec<Item>) -> Stage {
    let (config, found) = reader::read(document);
    faults.extend(found.into_iter().map(|item| under(&pointer, item)));
    let name = match document.get("name") {
        None | Some(Value::Null) => None,
        Some(Value::String(name)) if !name.trim().is_empty() => Some(name.trim().to_owned()),
        // The only document needs no name.
        Some(_) if pointer.is_empty() => None,
        Some(_) => {
            faults.push(fault(format!("{pointer}/name"), "expected a text that other documents use"));
            None
        }
    };
    Stage { name, config, pointer }
}

/// Places of the documents by their names, of equal ones the first.
pub(super) fn named(stages: &[Stage]) -> BTreeMap<&str, usize> {
    let places = stages.iter().enumerate().rev();
    places.filter_map(|(at, stage)| Some((stage.name.as_deref()?, at))).collect()
}

/// The documents that each uses, perhaps with an adapter.
pub(super) fn uses(stages: &[Stage], named: &BTreeMap<&str, usize>) -> Vec<BTreeSet<usize>> {
    let place = |name: &String| named.get(name.as_str()).or_else(|| named.get(adapted(name)?.0)).copied();
    stages.iter().map(|stage| stage.config.model_refs().iter().filter_map(place).collect()).collect()
}

/// The top level of a recipe of one document as it is written, without what is null; empty for any other text.
pub fn top_level(yaml: &str) -> Map<String, Value> {
    let document: Option<Map<String, Value>> = serde_saphyr::from_str(yaml).ok();
    document.unwrap_or_default().into_iter().filter(|(_, value)| !value.is_null()).collect()
}

/// `item` of the document at `pointer`.
fn under(pointer: &str, item: Item) -> Item {
    Item { pointer: format!("{pointer}{}", item.pointer), message: item.message }
}

fn fault(pointer: String, message: impl Into<String>) -> Item {
    Item { pointer, message: message.into() }
}

/// The two names in `model+adapter`, the first perhaps that of a document.
pub fn adapted(name: &str) -> Option<(&str, &str)> {
    name.split_once('+').map(|(model, adapter)| (model.trim(), adapter.trim()))
}

/// Every document that the one at `at` is computed from.
pub(super) fn behind(at: usize, uses: &[BTreeSet<usize>]) -> BTreeSet<usize> {
    let (mut found, mut open) = (BTreeSet::new(), vec![at]);
    while let Some(at) = open.pop() {
        open.extend(uses[at].iter().copied().filter(|next| found.insert(*next)));
    }
    found
}

/// Places of the documents, each after those it uses.
fn order(stages: &[Stage], faults: &mut Vec<Item>) -> Vec<usize> {
    let named = named(stages);
    for (at, stage) in stages.iter().enumerate() {
        let Some(name) = &stage.name else { continue };
        if let Some(first) = named.get(name.as_str()).filter(|first| **first != at) {
            let message = format!("document {first} is called `{name}` already; every name is given once");
            faults.push(fault(format!("{}/name", stage.pointer), message));
        }
    }
    let uses = uses(stages, &named);
    let used: BTreeSet<usize> = uses.iter().flatten().copied().collect();
    let unnamed: Vec<usize> = (0..stages.len()).filter(|at| stages[*at].name.is_none()).collect();
    let unused: Vec<usize> = (0..stages.len()).filter(|at| !used.contains(at)).collect();
    for at in unnamed.iter().skip(1) {
        let message = format!("document {} has no name either; one at most is the result", unnamed[0]);
        faults.push(fault(format!("{}/name", stages[*at].pointer), message));
    }
    let result = unnamed.first().or(unused.last()).copied();
    for at in unused.iter().filter(|at| Some(**at) != result && stages[**at].name.is_some()) {
        let message = "no other document uses it; a recipe has one result, the document without a name, unless `document` \
                       names another";
        faults.push(fault(format!("{}/name", stages[*at].pointer), message));
    }
    let (mut done, mut order) = (BTreeSet::new(), Vec::new());
    while let Some(at) = (0..stages.len()).find(|at| !done.contains(at) && uses[*at].is_subset(&done)) {
        done.insert(at);
        order.push(at);
    }
    let circle: Vec<String> = (0..stages.len())
        .filter(|at| !done.contains(at) && behind(*at, &uses).contains(at))
        .map(|at| stages[at].name.as_ref().map_or("the result".to_owned(), |name| format!("`{name}`")))
        .collect();
    if !circle.is_empty() {
        faults.push(fault(String::new(), format!("{} use each other in a circle", circle.join(", "))));
    }
    // The result comes last, whatever else has become possible before it.
    order.sort_by_key(|at| Some(*at) == result);
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(name: &str, models: [&str; 2]) -> String {
        let name = if name.is_empty() { String::new() } else { format!("name: {name}, ") };
        let [a, b] = models;
        format!(
            "---\n{{{name}merge_method: linear, models: [{{model: {a}}}, {{model: {b}}}], parameters: {{weight: 1}}}}\n"
        )
    }

    fn told(yaml: &str) -> Vec<String> {
        let Err(Error::Faults(items)) = parse_stages(yaml) else { panic!("no faults: {yaml}") };
        items.into_iter().map(|item| format!("{}: {}", item.pointer, item.message)).collect()
    }

    #[test]
    fn documents_come_after_those_they_use_and_the_result_last() {
        let yaml =
            [document("", ["one", "two"]), document("two", ["one", "o/c"]), document("one", ["o/a", "o/b"])];

        let stages = parse_stages(&yaml.concat()).unwrap();

        let names: Vec<Option<&str>> = stages.iter().map(|stage| stage.name.as_deref()).collect();
        assert_eq!(names, [Some("one"), Some("two"), None]);
        assert_eq!(stages[2].pointer, "/0");
    }

    #[test]
    fn one_document_is_a_recipe_whatever_its_name() {
        let stages = parse_stages(&document("mine", ["o/a", "o/b"])).unwrap();

        assert_eq!((stages.len(), &stages[0].name, stages[0].pointer.as_str()), (1, &None, ""));
    }

    #[test]
    fn where_all_have_names_the_result_is_the_one_that_nobody_uses() {
        let yaml = [document("end", ["one", "o/c"]), document("one", ["o/a", "o/b"])].concat();

        let stages = parse_stages(&yaml).unwrap();

        assert_eq!(stages[1].config.models[0].model, "one");
        assert_eq!(stages[1].name, None);
    }

    #[test]
    fn a_document_may_be_used_with_an_adapter() {
        let yaml = [document("", ["one+o/lora", "o/c"]), document("one", ["o/a", "o/b"])].concat();

        let stages = parse_stages(&yaml).unwrap();

        assert_eq!(stages[0].name.as_deref(), Some("one"));
        assert_eq!(stages[1].config.models[0].model, "one+o/lora");
    }

    #[test]
    fn circles_second_names_and_second_results_are_told_with_all_other_faults() {
        let circle =
            [document("one", ["two", "o/a"]), document("two", ["one", "o/a"]), document("", ["one", "o/b"])];
        let twice =
            [document("one", ["o/a", "o/b"]), document("one", ["o/a", "o/c"]), document("", ["one", "o/b"])];
        let two = [document("", ["o/a", "o/b"]), document("", ["o/a", "o/c"]).replace("linear", "lineal")];
        let idle = [document("idle", ["o/a", "o/b"]), document("", ["o/a", "o/c"])];

        assert!(told(&circle.concat())[0].contains("`one`, `two` use each other in a circle"));
        assert!(told(&twice.concat())[0].starts_with("/1/name: document 0 is called `one` already"));
        let both = told(&two.concat());
        assert!(both[0].starts_with("/1/merge_method") && both[1].starts_with("/1/name"), "{both:?}");
        assert!(told(&idle.concat())[0].starts_with("/0/name: no other document uses it"));
        assert!(
            told("--- 3\n--- {name: [], merge_method: linear}")
                .iter()
                .any(|fault| fault.starts_with("/1/name"))
        );
    }
}
