//! House rules: dependencies between rooms go strictly down, frameworks stay in their rooms, files stay small, and the README
//! leads to every page.

#![allow(clippy::unwrap_used)]

use std::{collections::BTreeMap, path::Path, process::Command};

use serde_json::Value;
use stemma_tests::{root, rust_files};

/// The house, as in ARCHITECTURE.md: package and floor.
const FLOORS: &[(&str, u8)] = &[
    ("stemma", 6),
    ("stemma-tests", 6),
    ("stemma-api", 5),
    ("stemma-web", 5),
    ("stemma-jobs", 4),
    ("stemma-http", 4),
    ("stemma-analysis", 3),
    ("stemma-store", 3),
    ("stemma-hub", 3),
    ("stemma-weights", 2),
    ("stemma-gpu", 2),
    ("stemma-kernels", 1),
    ("stemma-migrations", 1),
    ("stemma-domain", 0),
];

/// Frameworks and the only packages that may name them.
const KEPT_IN: &[(&str, &[&str])] = &[
    ("actix-web", &["stemma", "stemma-api", "stemma-web", "stemma-http"]),
    ("actix-multipart", &["stemma-api"]),
    ("sea-orm", &["stemma-store", "stemma-migrations"]),
    ("sea-orm-migration", &["stemma-store", "stemma-migrations"]),
    ("reqwest", &["stemma-hub"]),
    ("cudarc", &["stemma-gpu"]),
];

const LONGEST_FILE: usize = 500;

/// What one package names in its manifest; tests' own dependencies are left out.
struct Edge {
    from: String,
    to: String,
}

fn metadata() -> Value {
    let answer = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(answer.status.success(), "{}", String::from_utf8_lossy(&answer.stderr));
    serde_json::from_slice(&answer.stdout).unwrap()
}

fn edges() -> (Vec<String>, Vec<Edge>) {
    let metadata = metadata();
    let mut packages = Vec::new();
    let mut edges = Vec::new();
    for package in metadata["packages"].as_array().unwrap() {
        let from = package["name"].as_str().unwrap();
        packages.push(from.to_owned());
        for dependency in package["dependencies"].as_array().unwrap() {
            if dependency["kind"].as_str() != Some("dev") {
                edges.push(Edge {
                    from: from.to_owned(),
                    to: dependency["name"].as_str().unwrap().to_owned(),
                });
            }
        }
    }
    (packages, edges)
}

fn relative(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

#[test]
fn every_room_has_a_floor() {
    let (packages, _) = edges();

    let homeless: Vec<_> =
        packages.iter().filter(|name| !FLOORS.iter().any(|(known, _)| known == name)).collect();

    assert!(homeless.is_empty(), "give these a floor here and in ARCHITECTURE.md: {homeless:?}");
}

#[test]
fn dependencies_between_rooms_go_strictly_down() {
    let floors: BTreeMap<_, _> = FLOORS.iter().copied().collect();
    let (_, edges) = edges();

    let wrong: Vec<String> = edges
        .iter()
        .filter_map(|edge| Some((edge, floors.get(edge.from.as_str())?, floors.get(edge.to.as_str())?)))
        .filter(|(_, from, to)| from <= to)
        .map(|(edge, from, to)| format!("{} (floor {from}) -> {} (floor {to})", edge.from, edge.to))
        .collect();

    assert!(wrong.is_empty(), "these arrows do not go down:\n{}", wrong.join("\n"));
}

#[test]
fn frameworks_stay_in_their_rooms() {
    let (_, edges) = edges();

    let wrong: Vec<String> = edges
        .iter()
        .filter(|edge| edge.from != "stemma-tests")
        .filter(|edge| {
            KEPT_IN.iter().any(|(name, rooms)| edge.to == *name && !rooms.contains(&edge.from.as_str()))
        })
        .map(|edge| format!("{} names {}", edge.from, edge.to))
        .collect();

    assert!(wrong.is_empty(), "a framework left its room:\n{}", wrong.join("\n"));
}

#[test]
fn every_dependency_is_used_where_it_is_named() {
    let house = metadata();
    let mut unused = Vec::new();
    let mut manifests = String::new();
    for package in house["packages"].as_array().unwrap() {
        let manifest = Path::new(package["manifest_path"].as_str().unwrap());
        manifests += &fs_err::read_to_string(manifest).unwrap();
        let files = rust_files(manifest.parent().unwrap()).unwrap();
        let code: String = files.iter().map(|path| fs_err::read_to_string(path).unwrap()).collect();
        for dependency in package["dependencies"].as_array().unwrap() {
            let name = dependency["rename"].as_str().or(dependency["name"].as_str()).unwrap();
            if !code.contains(&format!("{}::", name.replace('-', "_"))) {
                unused.push(format!("{} names {name}", package["name"]));
            }
        }
    }
    let workspace = fs_err::read_to_string(root().join("Cargo.toml")).unwrap();
    let shared = workspace.split("[workspace.dependencies]").nth(1).unwrap().split("\n[").next().unwrap();
    let shared = shared.lines().filter_map(|line| Some(line.split_once(" = ")?.0));
    let named = |name: &str| {
        ["\n{}.workspace", "\n{} = {"].iter().any(|form| manifests.contains(&form.replace("{}", name)))
    };
    unused.extend(shared.filter(|name| !named(name)).map(|name| format!("the workspace names {name}")));

    assert!(unused.is_empty(), "nothing uses these:\n{}", unused.join("\n"));
}

#[test]
fn every_page_of_the_documentation_is_linked_from_the_readme() {
    let readme = fs_err::read_to_string(root().join("README.md")).unwrap();
    let pages = fs_err::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().file_name());
    let pages = pages.map(|name| name.into_string().unwrap()).filter(|name| name.ends_with(".md"));

    let index = readme.split_once("\n## Documentation\n").unwrap().1;
    let missing: Vec<String> = pages.filter(|name| !index.contains(&format!("(docs/{name})"))).collect();

    assert!(missing.is_empty(), "add these to the README's index: {missing:?}");
}

#[test]
fn templates_do_no_arithmetic() {
    let mut templates = Vec::new();
    for folder in ["parts", "pages"] {
        let entries = fs_err::read_dir(root().join("templates").join(folder)).unwrap();
        templates.extend(entries.map(|entry| entry.unwrap().path()));
    }
    let mut wrong = Vec::new();
    for path in templates {
        let text = fs_err::read_to_string(&path).unwrap();
        for part in text.split("{{").skip(1).filter_map(|part| part.split("}}").next()) {
            // Between quotes stands text.
            let code: String = part.split('"').step_by(2).collect();
            if [" + ", " - ", " * ", " / ", " % "].iter().any(|sign| code.contains(sign)) {
                wrong.push(format!("{}: {part}", relative(&path)));
            }
        }
    }

    assert!(wrong.is_empty(), "let the page do these:\n{}", wrong.join("\n"));
}

#[test]
fn no_source_file_is_too_long() {
    let long: Vec<String> = rust_files(&root())
        .unwrap()
        .iter()
        .map(|path| (path, fs_err::read_to_string(path).unwrap().lines().count()))
        .filter(|(_, lines)| *lines > LONGEST_FILE)
        .map(|(path, lines)| format!("{}: {lines} lines", relative(path)))
        .collect();

    assert!(long.is_empty(), "over {LONGEST_FILE} lines, split these by question:\n{}", long.join("\n"));
}

#[test]
fn every_source_file_says_what_it_is() {
    let silent: Vec<String> = rust_files(&root())
        .unwrap()
        .iter()
        .filter(|path| !fs_err::read_to_string(path).unwrap().starts_with("//!"))
        .map(|path| relative(path))
        .collect();

    assert!(silent.is_empty(), "no `//!` on the first line:\n{}", silent.join("\n"));
}

#[test]
fn nothing_is_left_to_do_in_the_code() {
    let marks = ["todo", "unimplemented"].map(|word| format!("{word}!("));

    let left: Vec<String> = rust_files(&root())
        .unwrap()
        .iter()
        .filter(|path| {
            let text = fs_err::read_to_string(path).unwrap();
            marks.iter().any(|mark| text.contains(mark))
        })
        .map(|path| relative(path))
        .collect();

    assert!(left.is_empty(), "finish these:\n{}", left.join("\n"));
}

#[test]
fn handlers_and_pages_get_the_registry_only_as_whoever_asks_may_see_it() {
    let whole = ["Data<Registry>", "Data<dyn Source>", "Data<dyn source::Source>"];
    let takes = |path: &Path| {
        let text = fs_err::read_to_string(path).unwrap();
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        code.into_iter().any(|line| whole.iter().any(|word| line.contains(word)))
    };

    let doors: Vec<String> = rust_files(&root())
        .unwrap()
        .iter()
        .filter(|path| {
            ["api/src/", "web/src/"].iter().any(|room| relative(path).starts_with(room)) && takes(path)
        })
        .map(|path| relative(path))
        .collect();

    assert_eq!(doors, ["api/src/seen.rs", "web/src/pages/mod.rs"]);
}

#[test]
fn handlers_ask_for_the_size_of_a_blob_only_as_whoever_asks_may_have_it() {
    let asks = |path: &Path| fs_err::read_to_string(path).unwrap().contains("blob_size");

    let asking: Vec<String> = rust_files(&root().join("api/src"))
        .unwrap()
        .iter()
        .filter(|path| asks(path))
        .map(|path| relative(path))
        .collect();

    assert!(asking.is_empty(), "`open_size` tells it where it is not hidden: {asking:?}");
}

#[test]
fn every_test_that_a_promise_names_is_there() {
    let told = fs_err::read_to_string(root().join("docs/guarantees.md")).unwrap();
    let all: String =
        rust_files(&root()).unwrap().iter().map(|path| fs_err::read_to_string(path).unwrap()).collect();
    let words = told.split('`').skip(1).step_by(2);
    let names: Vec<&str> = words.filter(|word| word.matches('_').count() > 3).collect();

    let gone: Vec<_> = names.iter().filter(|name| !all.contains(&format!("fn {name}("))).collect();

    assert!(names.len() > 20, "{names:?}");
    assert!(gone.is_empty(), "docs/guarantees.md names tests that are gone: {gone:?}");
}
