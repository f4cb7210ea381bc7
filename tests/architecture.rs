//! The house's measures: the arrows between the modules of `src`, as `src/lib.rs` draws
//! them, the length of its files and the form of its doc comments. An arrow that is not
//! allowed, and a circle of allowed arrows, fail here. `.ci/check-house` prints the measures.

#![allow(clippy::print_stdout, reason = "`.ci/check-house` shows what was measured")]
#![allow(clippy::unwrap_used, reason = "a test that cannot read the sources has failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Each module, and the modules of this crate that it may use.
const ALLOWED: [(&str, &[&str]); 31] = [
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
        &[
            "digest",
            "error",
            "money",
            "oauth",
            "payment",
            "platform",
            "ports",
            "secret",
            "transport",
            "url",
        ],
    ),
    ("auth", &["error", "oauth", "payment", "secret", "transport"]),
    ("fan_out", &["aws", "error", "observe", "ports"]),
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
    ("secrets_manager", &["clock", "error", "payment", "ports", "secret", "transport", "url"]),
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
            "money",
            "observe",
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
            "assemble",
            "clock",
            "config",
            "error",
            "fan_out",
            "invocation",
            "observe",
            "payment",
            "ports",
            "secrets_manager",
            "transport",
        ],
    ),
];

/// The most lines of code that a file of `src` may have, without blank lines, comments
/// and tests.
const LINES_MAX: usize = 300;

/// The modules that each module uses.
type Arrows = BTreeMap<String, BTreeSet<String>>;

#[test]
fn every_module_uses_only_allowed_modules() {
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
    println!("house: {} modules, 0 arrows that are not allowed", drawn.len());
}

#[test]
fn the_allowed_arrows_have_no_circle() {
    let circles = circles(allowed());
    assert!(circles.is_empty(), "{circles:?}");
    println!("house: 0 circles");
}

#[test]
fn no_file_is_longer_than_can_be_read_at_once() {
    let lines = |file: &File| file.code.lines().filter(|line| !line.trim().is_empty()).count();
    let mut measured: Vec<_> =
        files().iter().map(|file| (lines(file), file.path.clone())).collect();
    measured.sort();
    let (most, longest) = measured.last().unwrap();
    println!("house: longest file src/{longest}, {most} lines of code (at most {LINES_MAX})");
    measured.retain(|(lines, _)| *lines > LINES_MAX);
    assert!(measured.is_empty(), "{measured:?}");
}

/// Mistakes are woven into a copy of the source by `tests/simulation`.
#[test]
fn the_source_holds_no_mistakes_for_tests() {
    let mistaken: Vec<_> =
        files().into_iter().filter(|file| file.code.contains("Mutant")).collect();
    let paths: Vec<_> = mistaken.iter().map(|file| &file.path).collect();
    assert!(paths.is_empty(), "{paths:?}");
    println!("house: 0 uses of Mutant in src");
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
            // In a directory of its own, `super` is the file that the directory belongs to.
            let is_nested = file.path.matches('/').count() > 1;
            let inside = names_after(&file.code, "super::").filter(|_| !is_nested);
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

#[test]
fn a_doc_comment_opens_with_what_the_thing_is_or_does() {
    let questions = source_paths().into_iter().flat_map(|(below, path)| {
        let text = fs::read_to_string(path).unwrap();
        questions(&text).into_iter().map(move |line| format!("src/{below}: {line}"))
    });
    let questions: Vec<_> = questions.collect();
    assert!(questions.is_empty(), "a noun or a verb has to come first:\n{}", questions.join("\n"));
}

#[test]
fn a_doc_comment_that_opens_with_a_question_is_found() {
    let text = "//! Why this is here.\n\n/// What it is.\n/// How it works.\nfn a() {}\n\
                /// Returns what\n/// How it was.\nfn b() {}\n    /// Whether it is.\n// Who else?\n";
    assert_eq!(questions(text), ["//! Why this is here.", "/// What it is.", "/// Whether it is."]);
}

/// The first lines of doc comments that open with a question word.
fn questions(text: &str) -> Vec<String> {
    const QUESTIONS: [&str; 6] = ["What", "Who", "Whose", "How", "Whether", "Why"];
    let mut found = Vec::new();
    let mut is_continued = false;
    for line in text.lines().map(str::trim_start) {
        let comment = line.strip_prefix("///").or_else(|| line.strip_prefix("//!"));
        let first = comment.map_or("", str::trim_start);
        let word = first.split(|c: char| !c.is_alphabetic()).next().unwrap();
        if !is_continued && QUESTIONS.contains(&word) {
            found.push(line.to_owned());
        }
        is_continued = comment.is_some();
    }
    found
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

/// The modules that lie on a circle. Modules that use no other, or that no other uses, are
/// removed until none of them is left to remove; the rest lies on circles.
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
    source_paths().into_iter().map(|(below, path)| File::read(below, &path)).collect()
}

/// The source files, each by its path below `src` and its whole path.
fn source_paths() -> Vec<(String, PathBuf)> {
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
                files.push((below, path));
            }
        }
    }
    files
}

impl File {
    fn read(path: String, place: &Path) -> Self {
        let text = fs::read_to_string(place).unwrap();
        // The lists apply to code that ships, not to tests.
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
