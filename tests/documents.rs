//! The documents match the code: links resolve, and the paths, variables, routes, commands,
//! modules, error codes and alarms that they name exist.

#![allow(clippy::print_stdout, reason = "`.ci/check-house` shows what was measured")]
#![allow(clippy::unwrap_used, reason = "a test that cannot read the sources has failed")]
#![allow(clippy::indexing_slicing, reason = "a document without a table fails the test")]
#![allow(clippy::arithmetic_side_effects, reason = "an overflow fails the test, too")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

type Names = BTreeSet<String>;

const README_LINES_MAX: usize = 150;

/// The beginnings of paths in the repository.
const DIRECTORIES: [&str; 7] =
    [".cargo/", ".ci/", "benches/", "docs/", "events/", "src/", "tests/"];

/// The places where variables are read.
const READERS: [&str; 5] = [".ci", "benches", "src", "template.yaml", "tests"];

/// The files that serve or call routes.
const ROUTERS: [&str; 3] = ["src/connector.rs", "src/http/route.rs", "src/local/server.rs"];

/// The prefix of variables of the platform's connectors, which this project does not read.
const VARIABLES_OF_CONNECTORS: &str = "CTP_";

/// A page, without its HTML comments.
struct Document {
    path: String,
    /// The text outside of blocks.
    prose: String,
    /// The blocks by language, each with its text.
    blocks: Vec<(String, String)>,
}

#[test]
fn the_readme_is_short() {
    let lines = read("README.md").lines().count();
    assert!(lines <= README_LINES_MAX, "README.md has {lines} lines");
    println!("house: README.md has {lines} lines (at most {README_LINES_MAX})");
}

#[test]
fn every_link_resolves() {
    let documents = documents();
    let anchors: BTreeMap<_, _> =
        documents.iter().map(|document| (document.path.clone(), document.anchors())).collect();
    let (mut wrong, mut links) = (Vec::new(), 0);
    for document in &documents {
        for link in document.links().iter().filter(|link| !link.contains("://")) {
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let path =
                if path.is_empty() { document.path.clone() } else { document.resolved(path) };
            links += 1;
            let has_anchor = anchor.is_empty()
                || anchors.get(&path).is_some_and(|anchors| anchors.contains(anchor));
            if !root().join(&path).exists() || !has_anchor {
                wrong.push(format!("{}: {link}", document.path));
            }
        }
    }
    // Alarms, messages and comments may name a page, or a heading of it.
    for (file, text) in sources() {
        for link in tokens(&text).filter(|token| token.starts_with("docs/")) {
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let anchors = anchors.get(path);
            if !anchors.is_some_and(|all| anchor.is_empty() || all.contains(anchor)) {
                wrong.push(format!("{file}: {link}"));
            }
        }
    }
    assert!(links > 0 && wrong.is_empty(), "these links lead nowhere:\n{}", wrong.join("\n"));
    println!("house: {links} links between documents, all resolve");
}

#[test]
fn every_path_exists() {
    let is_path = |token: &str| {
        DIRECTORIES.iter().any(|directory| token.starts_with(directory))
            || !token.contains('/')
                && [".md", ".toml", ".yaml"].iter().any(|end| token.ends_with(end))
    };
    every("path", |document| {
        let code = document.code();
        let paths = tokens(&code).filter(|token| is_path(token));
        paths.filter(|path| !root().join(path).exists()).map(str::to_owned).collect()
    });
}

#[test]
fn every_variable_is_known() {
    let known: Names = sources().iter().flat_map(|(_, text)| words(text)).collect();
    every("variable", |document| {
        let named = words(&document.code()).into_iter().filter(|word| word.contains('_'));
        let assigned = document.assigned();
        let unknown = named.filter(|name| is_upper(name)).chain(assigned);
        unknown
            .filter(|name| !known.contains(name) && !name.starts_with(VARIABLES_OF_CONNECTORS))
            .collect()
    });
}

#[test]
fn every_route_exists() {
    let served = ROUTERS.map(|file| read(file).replace("&Method::", "").replace(", \"", " "));
    let known: Names = served.iter().flat_map(|text| routes(text)).collect();
    let is_served = |path: &str| {
        known
            .iter()
            .filter_map(|route| route.split_once(' '))
            .any(|(_, route)| matches(route, path))
    };
    every("route", |document| {
        let unknown = routes(&document.code()).into_iter().filter(|route| !known.contains(route));
        let called = document.called().into_iter().filter(|path| !is_served(path));
        unknown.chain(called).collect()
    });
}

#[test]
fn every_command_names_existing_targets() {
    let manifest: toml::Table = toml::from_str(&read("Cargo.toml")).unwrap();
    let binaries = manifest["bin"].as_array().unwrap();
    let binaries: Names =
        binaries.iter().map(|binary| binary["name"].as_str().unwrap().to_owned()).collect();
    let features = manifest["features"].as_table().unwrap();
    let functions: Vec<_> = sources().into_iter().map(|(_, text)| text).collect();
    every("command", |document| {
        let mut wrong = Vec::new();
        for line in document.code().lines() {
            let words: Vec<_> = line.split_whitespace().collect();
            for (index, pair) in words.windows(2).enumerate().filter(|(_, pair)| pair[1] != "NAME")
            {
                let is_there = match pair[0] {
                    "--test" => suites().contains(pair[1]),
                    "--bench" => exists(&format!("benches/{}.rs", pair[1])),
                    "--bin" | "--binary-name" => binaries.contains(pair[1]),
                    "--features" => pair[1].split(',').all(|one| features.contains_key(one)),
                    _ => continue,
                };
                // The word after a suite is the beginning of a test's name.
                let test =
                    words.get(index + 2).filter(|test| pair[0] == "--test" && test.contains('_'));
                let has_test = test.is_none_or(|test| {
                    functions.iter().any(|text| text.contains(&format!("fn {test}")))
                });
                if !is_there || !has_test {
                    wrong.push(line.to_owned());
                }
            }
        }
        wrong
    });
}

#[test]
fn every_json_sample_is_valid() {
    every("sample", |document| {
        let samples = document.blocks.iter().filter(|(language, _)| language == "json");
        let is_wrong = |text: &&String| serde_json::from_str::<serde_json::Value>(text).is_err();
        samples.map(|(_, text)| text).filter(is_wrong).cloned().collect()
    });
}

#[test]
fn every_module_error_code_alarm_and_suite_is_documented() {
    let modules = read("src/lib.rs");
    let modules = modules.lines().filter_map(|line| line.split_once("mod "));
    let modules = modules.map(|(_, name)| format!("`src/{}.rs`", name.trim_end_matches(';')));
    let mut edge = Vec::new();
    add_files(&root().join("src/http"), &mut edge);
    let edge: String = edge.iter().map(|file| fs::read_to_string(file).unwrap()).collect();
    let problems = edge.split("StatusCode::").skip(1).filter_map(|rest| rest.split(',').nth(1));
    let problems: String = problems.collect();
    let codes = quoted(&problems).filter(|text| is_pascal(text)).map(|code| format!("`{code}`"));
    let template = read("template.yaml");
    let alarms = template.split("AlarmName: !Sub ${AWS::StackName}-").skip(1);
    let alarms = alarms.map(|rest| format!("| `{}` |", rest.lines().next().unwrap()));
    let suites = suites().into_iter().map(|suite| format!("`{suite}`"));
    for (page, names) in [
        ("README.md", modules.collect::<Names>()),
        ("docs/api.md", codes.collect()),
        ("docs/operations.md", alarms.collect()),
        ("docs/contributing.md", suites.collect()),
    ] {
        let text = read(page);
        let missing: Vec<_> = names.iter().filter(|name| !text.contains(name.as_str())).collect();
        assert!(!names.is_empty() && missing.is_empty(), "{page} lacks {missing:?}");
    }
}

/// Fails if `wrong` finds anything in a document.
fn every(kind: &str, wrong: impl Fn(&Document) -> Vec<String>) {
    let found: Vec<_> = documents()
        .iter()
        .flat_map(|document| {
            let found = wrong(document).into_iter();
            found.map(|found| format!("{}: {found}", document.path)).collect::<Vec<_>>()
        })
        .collect();
    assert!(found.is_empty(), "there is no such {kind}:\n{}", found.join("\n"));
}

impl Document {
    fn read(path: &str) -> Self {
        let (mut prose, mut blocks) = (String::new(), Vec::new());
        for (index, part) in without_comments(&read(path)).split("```").enumerate() {
            match part.split_once('\n') {
                Some((language, text)) if index % 2 == 1 => {
                    blocks.push((language.to_owned(), text.to_owned()));
                }
                _ => prose.push_str(part),
            }
        }
        assert!(prose.matches('`').count().is_multiple_of(2), "{path}: an open backtick");
        Self { path: path.to_owned(), prose, blocks }
    }

    /// The spans between backticks and the blocks, one below the other.
    fn code(&self) -> String {
        let spans = self.prose.split('`').skip(1).step_by(2).map(str::to_owned);
        let blocks = self.blocks.iter().map(|(_, text)| text.clone());
        spans.chain(blocks).collect::<Vec<_>>().join("\n")
    }

    /// The anchors that GitHub gives to headings.
    fn anchors(&self) -> Names {
        let headings = self.prose.lines().filter(|line| line.starts_with('#'));
        let anchor = |heading: &str| {
            let text = heading.trim_start_matches('#').trim().to_lowercase();
            let kept = text.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
            kept.map(|c| if c == ' ' { '-' } else { c }).collect::<String>()
        };
        headings.map(anchor).collect()
    }

    fn links(&self) -> Vec<String> {
        let ends = self.prose.split("](").skip(1);
        ends.map(|rest| rest.split(')').next().unwrap().to_owned()).collect()
    }

    /// The path of a link's target.
    fn resolved(&self, link: &str) -> String {
        let mut path = PathBuf::from(&self.path);
        path.pop();
        for part in link.split('/') {
            if part == ".." { assert!(path.pop(), "{link}") } else { path.push(part) }
        }
        path.to_str().unwrap().to_owned()
    }

    /// The variables that shell commands set for a program. A variable that a later command
    /// uses itself (`$NAME`) does not count.
    fn assigned(&self) -> Vec<String> {
        let code = self.code();
        let names = code.split_whitespace().filter_map(|word| Some(word.split_once('=')?.0));
        let names = names.filter(|name| is_upper(name) && !code.contains(&format!("${name}")));
        names.map(str::to_owned).collect()
    }

    /// The paths of the service that commands request.
    fn called(&self) -> Vec<String> {
        let code = self.code();
        let ends = ["127.0.0.1:9000/", "$URL/"].map(|start| code.split(start).skip(1));
        let paths = ends.into_iter().flatten();
        paths.filter_map(|rest| Some(format!("/{}", tokens(rest).next()?))).collect()
    }
}

/// The routes that a text names, with their methods and without queries.
fn routes(text: &str) -> Vec<String> {
    let words: Vec<_> = tokens(text).collect();
    let pairs = words.windows(2).filter(|pair| ["GET", "POST", "PUT", "DELETE"].contains(&pair[0]));
    let pairs = pairs.filter(|pair| pair[1].starts_with(['/', '{']));
    pairs.map(|pair| format!("{} {}", pair[0], pair[1].split('?').next().unwrap())).collect()
}

/// True if `path` matches `route`; a segment of the route in braces matches any.
fn matches(route: &str, path: &str) -> bool {
    let (route, path): (Vec<_>, Vec<_>) = (route.split('/').collect(), path.split('/').collect());
    let is_same = |(of, is): (&&str, &&str)| of == is || of.starts_with('{');
    route.len() == path.len() && route.iter().zip(&path).all(is_same)
}

/// The words of a text, without surrounding punctuation.
fn tokens(text: &str) -> impl Iterator<Item = &str> {
    let around = |c: char| c.is_whitespace() || "`\"'(),;|\\[]<>".contains(c);
    text.split(around).map(|token| token.trim_end_matches(['.', ':'])).filter(|t| !t.is_empty())
}

fn words(text: &str) -> Vec<String> {
    let is_between = |c: char| !c.is_ascii_alphanumeric() && c != '_';
    text.split(is_between).map(str::to_owned).collect()
}

/// The texts in quotes on one line.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.lines().flat_map(|line| line.split('"').skip(1).step_by(2))
}

fn is_upper(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_uppercase())
        && word.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
}

fn is_pascal(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_uppercase())
        && word.chars().all(|c| c.is_ascii_alphabetic())
        && word.chars().any(|c| c.is_ascii_lowercase())
}

fn without_comments(text: &str) -> String {
    let mut parts = text.split("<!--");
    let first = parts.next().unwrap().to_owned();
    first + &parts.map(|rest| rest.split_once("-->").unwrap().1).collect::<String>()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn exists(path: &str) -> bool {
    root().join(path).exists()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

fn documents() -> Vec<Document> {
    let pages = fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().file_name());
    let pages = pages.map(|name| format!("docs/{}", name.to_str().unwrap()));
    // Beside the pages are their pictures.
    let pages = pages.filter(|path| path.ends_with(".md"));
    let paths = pages.chain(["README.md".to_owned()]);
    paths.map(|path| Document::read(&path)).collect()
}

/// The suites by name: a file of `tests/`, or a directory with a `main.rs`.
fn suites() -> Names {
    let entries = fs::read_dir(root().join("tests")).unwrap().map(|entry| entry.unwrap().path());
    let is_suite = |path: &PathBuf| {
        path.extension().is_some_and(|extension| extension == "rs") || path.join("main.rs").exists()
    };
    let names = entries.filter(is_suite).map(|path| path.file_stem().unwrap().to_owned());
    names.map(|name| name.into_string().unwrap()).collect()
}

/// The text files that read variables or name documents, except this one.
fn sources() -> Vec<(String, String)> {
    let mut files = Vec::new();
    for place in READERS {
        add_files(&root().join(place), &mut files);
    }
    let own = root().join(file!());
    let texts = files.into_iter().filter(|file| *file != own).filter_map(|file| {
        Some((file.to_str().unwrap().to_owned(), fs::read_to_string(&file).ok()?))
    });
    texts.collect()
}

fn add_files(path: &Path, files: &mut Vec<PathBuf>) {
    if path.is_file() {
        files.push(path.to_owned());
    } else if !path.ends_with("node_modules") {
        let inside = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
        inside.for_each(|path| add_files(&path, files));
    }
}
