//! The body of the fuzz target over a small corpus, so that it keeps compiling and holding.

#[path = "../../fuzz/src/recipe.rs"]
mod recipe;

const CORPUS: [&str; 8] = [
    "",
    "merge_method: linear\nmodels: [{model: a/b, parameters: {weight: [0, 0.5, 1]}}]\n",
    "{merge_method: ties, base_model: o/d, models: [{model: o/a, parameters: {weight: [{filter: mlp, value: 1}, {value: 0}]}}], parameters: {election: count}}",
    "merge_method: passthrough\nslices:\n- sources: [{model: a, layer_range: [0, 2]}]\n- sources: [{model: a, layer_range: [1, 3]}]\n",
    "{merge_method: importance_weighted, models: [{model: a, parameters: {importance: 'f: 1'}}]}",
    "{merge_method: regmean, models: [{model: a, parameters: {gram: []}}]}",
    "&a [*a, *a]",
    "{merge_method: slerp, base_model: {model: {path: a, revision: x}}, models: [{model: a@x}, {model: b+c}], parameters: {t: .nan}}",
];

#[test]
fn recipes_of_the_corpus_and_their_prefixes_hold() {
    for text in CORPUS {
        for end in (0..=text.len()).filter(|end| text.is_char_boundary(*end)) {
            recipe::read(&text.as_bytes()[..end]);
        }
    }
    recipe::read(&[0xff, 0xfe]);
}
