//! Which results a recipe of several documents has, and the recipe of one of them alone.

use std::collections::BTreeSet;

use domain::Item;

use super::{
    Stage,
    stages::{behind, named, stage, uses},
    yaml,
};
use crate::Error;

/// The names of a recipe's results, in the order in which they stand there: those of the documents that no other uses, where
/// these are several and all have one; else none, as of a recipe with one result.
///
/// # Errors
/// [`Error::Yaml`].
pub fn results(text: &str) -> Result<Vec<String>, Error> {
    let stages = stages(text)?;
    if stages.iter().any(|stage| stage.name.is_none()) {
        return Ok(Vec::new());
    }
    let used: BTreeSet<usize> = uses(&stages, &named(&stages)).into_iter().flatten().collect();
    let unused = stages.iter().enumerate().filter(|(at, _)| !used.contains(at));
    let names: Vec<String> = unused.filter_map(|(_, stage)| stage.name.clone()).collect();
    Ok(if names.len() > 1 { names } else { Vec::new() })
}

/// The recipe `text` as far as it makes the document called `name`: that one, and those it uses.
///
/// # Errors
/// [`Error::Yaml`], a document that is not there, and documents that do not begin with `---`.
pub fn only(text: &str, name: &str) -> Result<String, Error> {
    let stages = stages(text)?;
    let named = named(&stages);
    let Some(&wanted) = named.get(name) else {
        let known: Vec<String> = named.keys().map(|name| format!("`{name}`")).collect();
        let known = match known.is_empty() {
            true => "no document has a name".to_owned(),
            false => format!("there are {}", known.join(", ")),
        };
        let shown: String = name.chars().take(100).collect();
        return Err(Error::fault("/document", format!("no document is called `{shown}`; {known}")));
    };
    let mut kept = behind(wanted, &uses(&stages, &named));
    kept.insert(wanted);
    let (mut recipe, mut at) = (String::new(), 0);
    for piece in pieces(text) {
        let documents = yaml::documents(piece)?.len();
        if (at..at + documents).any(|at| kept.contains(&at)) {
            recipe.push_str(piece);
        }
        at += documents;
    }
    match at == stages.len() {
        true => Ok(recipe),
        false => Err(Error::fault("/document", "the documents of the recipe must each begin with `---`")),
    }
}

/// The documents; what is wrong with one is told when it is made.
fn stages(text: &str) -> Result<Vec<Stage>, Error> {
    let documents = yaml::documents(text)?;
    Ok(documents.iter().map(|document| stage(document, String::new(), &mut Vec::<Item>::new())).collect())
}

/// A text cut before every line that begins a document.
fn pieces(text: &str) -> Vec<&str> {
    let (mut pieces, mut from, mut place) = (Vec::new(), 0, 0);
    for line in text.split_inclusive('\n') {
        let begins = line
            .strip_prefix("---")
            .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']));
        if begins && !text[from..place].trim().is_empty() {
            pieces.push(&text[from..place]);
            from = place;
        }
        place += line.len();
    }
    pieces.push(&text[from..]);
    pieces
}

#[cfg(test)]
mod tests {
    use domain::Fault as _;

    use super::{super::parse_stages, only, results};

    fn document(name: &str, models: [&str; 2]) -> String {
        let [a, b] = models;
        format!(
            "---\n# of {a}\nname: {name}\nmerge_method: linear\nmodels:\n- model: {a}\n- model: {b}\nparameters: {{weight: 1}}\n"
        )
    }

    #[test]
    fn documents_that_no_other_uses_are_the_results_where_all_have_names() {
        let (one, two) = (document("one", ["o/a", "o/b"]), document("two", ["mid", "o/c"]));
        let mid = document("mid", ["o/a", "o/d"]);
        let nameless = one.replace("name: one\n", "");

        assert_eq!(results(&[one.clone(), mid.clone(), two.clone()].concat()).unwrap(), ["one", "two"]);
        assert!(results(&[mid.clone(), two.clone()].concat()).unwrap().is_empty());
        assert!(results(&[nameless, two].concat()).unwrap().is_empty());
        assert!(results(&one).unwrap().is_empty());
    }

    #[test]
    fn the_recipe_of_one_result_holds_its_documents_as_they_are_written() {
        let (one, two) = (document("one", ["o/a", "o/b"]), document("two", ["mid+o/lora", "o/c"]));
        let mid = document("mid", ["o/a", "o/d"]);
        let all = [mid.clone(), one.clone(), two.clone()].concat();

        assert_eq!(only(&all, "one").unwrap(), one);
        assert_eq!(only(&all, "mid").unwrap(), mid);
        let both = only(&all, "two").unwrap();
        assert_eq!(both, [mid, two].concat());
        assert_eq!(parse_stages(&both).unwrap().len(), 2);
        assert_eq!(only(&all[4..], "one").unwrap(), one, "the first needs no line before it");
        let refused = only(&all, "three").unwrap_err();
        assert_eq!(refused.items()[0].pointer, "/document");
        assert!(refused.items()[0].message.contains("there are `mid`, `one`, `two`"));
    }
}
