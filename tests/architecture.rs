//! The arrows between the modules of `src`, as `src/lib.rs` draws them. An arrow that
//! is not allowed, and a circle of allowed arrows, fail here.

#![allow(clippy::unwrap_used, reason = "a test that cannot read the sources has failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Each module, and the modules of this crate that it may use.
const ALLOWED: [(&str, &[&str]); 30] = [
    // The core: pure and total.
    ("money", &[]),
    ("digest", &[]),
    ("payment", &["digest", "money"]),
    ("platform", &["payment"]),
    // What every module may need.
    ("error", &[]),
    ("secret", &[]),
    ("url", &[]),
    // The service over its ports.
    ("ports", &["error", "money", "payment", "secret"]),
    ("observe", &["error", "payment", "ports"]),
    ("service", &["error", "observe", "payment", "ports", "secret"]),
    ("recovery", &["error", "observe", "payment", "ports", "service"]),
    // The adapters.
    ("clock", &["payment", "ports"]),
    ("invocation", &["payment"]),
    ("transport", &["error", "payment"]),
    ("oauth", &["error", "secret", "url"]),
    ("aws", &["transport"]),
    ("dynamodb", &["aws", "error", "money", "payment", "ports"]),
    (
        "connector",
        &["error", "money", "oauth", "payment", "platform", "ports", "secret", "transport", "url"],
    ),
    ("auth", &["error", "oauth", "payment", "secret", "transport"]),
    ("events", &["aws", "digest", "dynamodb", "error", "observe", "payment", "platform", "ports"]),
    (
        "http",
        &[
            "auth",
            "digest",
            "error",
            "invocation",
            "money",
            "payment",
            "platform",
            "ports",
            "secret",
            "service",
            "url",
        ],
    ),
    // The settings, and the service that is built from them.
    ("secrets_manager", &["clock", "error", "ports", "secret", "transport", "url"]),
    (
        "config",
        &[
            "auth",
            "aws",
            "connector",
            "error",
            "http",
            "observe",
            "payment",
            "ports",
            "secret",
            "secrets_manager",
            "url",
        ],
    ),
    ("assemble", &["clock", "config", "connector", "dynamodb", "service", "transport"]),
    (
        "local",
        &[
            "auth",
            "aws",
            "clock",
            "connector",
            "dynamodb",
            "error",
            "http",
            "payment",
            "platform",
            "ports",
            "secret",
            "service",
            "transport",
        ],
    ),
    // The binaries. `lib` draws no arrow: it declares the modules.
    ("lib", &[]),
    (
        "main",
        &[
            "auth",
            "clock",
            "config",
            "error",
            "http",
            "invocation",
            "observe",
            "ports",
            "secrets_manager",
            "transport",
        ],
    ),
    ("bin/events", &["clock", "config", "error", "events", "invocation", "observe", "ports"]),
    ("bin/local", &["config", "error", "local", "observe", "payment", "url"]),
    (
        "bin/recovery",
        &[
            "clock",
            "config",
            "error",
            "invocation",
            "observe",
            "payment",
            "ports",
            "secrets_manager",
            "transport",
        ],
    ),
];

/// The modules that each module uses.
type Arrows = BTreeMap<String, BTreeSet<String>>;

#[test]
fn every_module_uses_only_what_it_may() {
    let allowed = allowed();
    let drawn = drawn(|file| {
        let uses = names_after(&file.code, "crate::");
        (file.module, uses.chain(names_after(&file.code, "payment_intents::")).collect())
    });
    let listed: Vec<_> = allowed.keys().collect();
    assert_eq!(drawn.keys().collect::<Vec<_>>(), listed, "each module has its line in ALLOWED");
    for (module, uses) in &drawn {
        let excess: Vec<_> = uses.difference(&allowed[module]).collect();
        assert!(excess.is_empty(), "{module} may not use {excess:?}");
    }
}

#[test]
fn the_allowed_arrows_have_no_circle() {
    let circles = circles(allowed());
    assert!(circles.is_empty(), "{circles:?}");
}

#[test]
fn the_files_of_the_http_edge_have_no_circle() {
    let drawn = drawn(|file| {
        let name = match file.path.strip_prefix("http/") {
            Some(inside) => inside.trim_end_matches(".rs").split('/').next().unwrap().to_owned(),
            None if file.path == "http.rs" => String::from(ROOT),
            None => return (String::new(), BTreeSet::new()),
        };
        let uses: BTreeSet<_> = if name == ROOT {
            let declared = file.code.split("use ").skip(1);
            declared
                .map(|text| identifier(text).to_owned())
                .filter(|used| used != "crate")
                .collect()
        } else {
            let inside = names_after(&file.code, "super::");
            let whole = names_after(&file.code, "crate::http::");
            // A name with a capital is an item that `http.rs` offers.
            let is_item = |used: &String| used.starts_with(char::is_uppercase);
            inside
                .chain(whole)
                .map(|used| if is_item(&used) { String::from(ROOT) } else { used })
                .collect()
        };
        (name, uses)
    });
    assert!(drawn["fields"].contains("problem"), "{drawn:?}");
    let circles = circles(drawn);
    assert!(circles.is_empty(), "{circles:?}");
}

/// The name of `http.rs` among its files.
const ROOT: &str = "http.rs";

#[test]
fn a_circle_is_found() {
    let arrows = [("a", vec!["b"]), ("b", vec!["c"]), ("c", vec!["b"]), ("d", vec!["a"])];
    let arrows = arrows.map(|(from, to)| {
        (from.to_owned(), to.into_iter().map(str::to_owned).collect::<BTreeSet<_>>())
    });
    assert_eq!(circles(Arrows::from(arrows)), ["b", "c"]);
}

#[test]
fn the_names_behind_a_path_are_found() {
    let code = "use crate::{error::BoxError, ports::{Clock, Store}};\nlet a = crate::url::read();";
    assert_eq!(names_after(code, "crate::").collect::<Vec<_>>(), ["error", "ports", "url"]);
}

fn allowed() -> Arrows {
    let names = |uses: &[&str]| uses.iter().map(|&used| used.to_owned()).collect();
    ALLOWED.iter().map(|(module, uses)| ((*module).to_owned(), names(uses))).collect()
}

/// The modules that lie on a circle: those that are left when every module is removed
/// that uses none of the others, or that none of the others uses, again and again.
fn circles(mut arrows: Arrows) -> Vec<String> {
    loop {
        let is_end = |module: &String, uses: &BTreeSet<String>| {
            let is_unused = arrows.values().all(|others| !others.contains(module));
            is_unused || uses.iter().all(|used| !arrows.contains_key(used))
        };
        let ends: Vec<_> = arrows
            .iter()
            .filter(|(module, uses)| is_end(module, uses))
            .map(|(end, _)| end.clone())
            .collect();
        if ends.is_empty() {
            return arrows.into_keys().collect();
        }
        ends.iter().for_each(|end| drop(arrows.remove(end)));
    }
}

/// A file of `src`, without its comments and tests.
struct File {
    /// Below `src`.
    path: String,
    /// The module of the crate that it belongs to, or the binary.
    module: String,
    code: String,
}

/// The arrows that `of` reads from each file, without those to itself. A file without
/// a name has none.
fn drawn(of: impl Fn(File) -> (String, BTreeSet<String>)) -> Arrows {
    let mut arrows = Arrows::new();
    for file in files() {
        let (name, uses) = of(file);
        if !name.is_empty() {
            let others = uses.into_iter().filter(|used| *used != name).collect::<Vec<_>>();
            arrows.entry(name).or_default().extend(others);
        }
    }
    arrows
}

fn files() -> Vec<File> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut directories = vec![source.clone()];
    let mut files = Vec::new();
    while let Some(directory) = directories.pop() {
        for path in fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let below =
                    path.strip_prefix(&source).unwrap().to_str().unwrap().replace('\\', "/");
                files.push(File::read(below, &path));
            }
        }
    }
    files
}

impl File {
    fn read(path: String, place: &Path) -> Self {
        let text = fs::read_to_string(place).unwrap();
        // Tests may use anything.
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
        let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
        let code = lines.collect::<Vec<_>>().join("\n");
        let module = match path.strip_prefix("bin/") {
            Some(_) => path.trim_end_matches(".rs"),
            None => path.trim_end_matches(".rs").split('/').next().unwrap(),
        };
        let module = module.to_owned();
        Self { path, module, code }
    }
}

/// The first name behind each `prefix` in `code`, and of a list in braces each first
/// name.
fn names_after(code: &str, prefix: &str) -> impl Iterator<Item = String> {
    code.split(prefix).skip(1).flat_map(|text| match text.strip_prefix('{') {
        Some(list) => first_names(list),
        None => vec![identifier(text).to_owned()],
    })
}

/// The first name of each entry of a list, up to its closing brace.
fn first_names(list: &str) -> Vec<String> {
    let mut depth = 0_usize;
    let mut names = Vec::new();
    let mut is_first = true;
    for (at, character) in list.char_indices() {
        match character {
            '{' => depth = depth.saturating_add(1),
            '}' if depth == 0 => break,
            '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => is_first = true,
            _ if is_first && !character.is_whitespace() => {
                names.push(identifier(&list[at..]).to_owned());
                is_first = false;
            }
            _ => {}
        }
    }
    names
}

fn identifier(text: &str) -> &str {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap()
}
