//! Realistic mistakes, one at a time, which the simulation must catch. `mutants.toml` lists
//! them. All are built into one copy of the source, each behind a switch, with `woven.rs`
//! as its program.

#![allow(clippy::disallowed_types, reason = "the derive of serde names every type of number")]

use crate::in_parallel;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The number of random schedules in the search for one that shows a mistake.
const SCHEDULES_MAX: u32 = 300_000;

/// The module that is added to the copy: the mistake that a thread makes.
const SWITCH: &str = r#"
#[allow(missing_docs)]
pub mod woven {
    thread_local! {
        static ACTIVE: std::cell::Cell<Option<u32>> = const { std::cell::Cell::new(None) };
    }
    pub fn is_on(number: u32) -> bool {
        ACTIVE.get() == Some(number)
    }
    pub fn switch(number: Option<u32>) {
        ACTIVE.set(number);
    }
}
"#;

/// The profile of the copy. Many schedules run, so the copy is optimised in a debug build
/// too; its dependencies are as they were.
const MANIFEST_END: &str = r#"
[[example]]
name = "woven"
path = "tests/simulation/woven.rs"

[profile.dev.package.payment-intents]
opt-level = 2

[workspace]
"#;

/// The tables of the manifest that the copy keeps.
const TABLES: [&str; 6] =
    ["[package]", "[lib]", "[features]", "[dependencies]", "[dev-dependencies]", "[profile."];

#[derive(Deserialize)]
struct Mutants {
    mutant: Vec<Mutant>,
}

/// A mistake that somebody could make.
#[derive(Deserialize)]
struct Mutant {
    name: String,
    /// A description of the mistake.
    mistake: String,
    #[serde(flatten)]
    place: Place,
    /// Other places of the same mistake.
    #[serde(default)]
    also: Vec<Place>,
    /// The test that catches it, where the simulation cannot: `file: test`.
    caught_by: Option<String>,
    /// The reason why the simulation cannot catch it.
    why: Option<String>,
}

/// A change of the source. `find` is between `after` and `before`, and all three together
/// occur once; white space is ignored.
#[derive(Deserialize)]
struct Place {
    file: String,
    #[serde(default)]
    after: String,
    find: String,
    #[serde(default)]
    before: String,
    make: String,
}

/// The place of a change.
struct Found<'a> {
    span: Range<usize>,
    number: usize,
    make: &'a str,
}

#[test]
fn every_realistic_mistake_is_caught() {
    let mutants = read();
    let binary = build(&woven_copy(&mutants));
    let searched: Vec<_> = numbered(&mutants).filter(|(_, one)| one.caught_by.is_none()).collect();
    let results = in_parallel(searched.len(), |index| search(&binary, searched[index].0));
    let mut missed = Vec::new();
    for ((_, mutant), result) in searched.iter().zip(results) {
        match result {
            Ok(caught) => println!("{}: {caught}", mutant.name),
            Err(why) => missed.push(format!("{} ({}): {why}", mutant.name, mutant.mistake)),
        }
    }
    for mutant in &mutants {
        if let (Some(test), Some(why)) = (&mutant.caught_by, &mutant.why) {
            println!("{}: left to {test}: {why}", mutant.name);
        }
    }
    println!("mutants: {} of {} caught", searched.len() - missed.len(), searched.len());
    assert!(missed.is_empty(), "not caught:\n{}", missed.join("\n"));
}

fn read() -> Vec<Mutant> {
    let Mutants { mutant: mutants } = toml::from_str(include_str!("mutants.toml")).unwrap();
    let mut names = BTreeSet::new();
    for mutant in &mutants {
        assert!(names.insert(&mutant.name), "two mistakes are called {}", mutant.name);
        let (caught_by, why) = (&mutant.caught_by, &mutant.why);
        assert_eq!(caught_by.is_some(), why.is_some(), "{} needs both or neither", mutant.name);
        if let Some(caught_by) = caught_by {
            let (file, test) = caught_by.split_once(": ").unwrap();
            let source = fs::read_to_string(here().join(file)).unwrap();
            assert!(source.contains(&format!("fn {test}(")), "there is no {caught_by}");
        }
    }
    mutants
}

fn numbered(mutants: &[Mutant]) -> impl Iterator<Item = (usize, &Mutant)> {
    mutants.iter().enumerate().map(|(index, mutant)| (index + 1, mutant))
}

fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Writes the copy with all mistakes. Returns its directory.
fn woven_copy(mutants: &[Mutant]) -> PathBuf {
    let mut files = BTreeMap::new();
    for directory in ["src", "tests/simulation"] {
        read_directory(Path::new(directory), &mut files);
    }
    weave_all(mutants, &mut files);
    if let Some(library) = files.get_mut("src/lib.rs") {
        *library = format!("#![allow(warnings)]\n{library}{SWITCH}");
    }
    let text = |name: &str| fs::read_to_string(here().join(name)).unwrap();
    files.insert("Cargo.toml".to_owned(), manifest(&text("Cargo.toml")));
    // The local server includes the API's description.
    for name in ["Cargo.lock", "openapi.yaml"] {
        files.insert(name.to_owned(), text(name));
    }
    let copy = Path::new(env!("CARGO_TARGET_TMPDIR")).join("woven");
    for (name, text) in files {
        let path = copy.join(name);
        // Unchanged files are not written, so that cargo does not build them again.
        if fs::read_to_string(&path).is_ok_and(|before| before == text) {
            continue;
        }
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    copy
}

fn read_directory(directory: &Path, files: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(here().join(directory)).unwrap() {
        let name = directory.join(entry.unwrap().file_name());
        if here().join(&name).is_dir() {
            read_directory(&name, files);
        } else {
            let text = fs::read_to_string(here().join(&name)).unwrap();
            files.insert(name.to_str().unwrap().replace('\\', "/"), text);
        }
    }
}

fn manifest(text: &str) -> String {
    let mut is_kept = true;
    let mut kept = String::new();
    for line in text.lines() {
        if line.starts_with('[') {
            is_kept = TABLES.iter().any(|table| line.starts_with(table));
        }
        if is_kept {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept + MANIFEST_END
}

fn weave_all(mutants: &[Mutant], files: &mut BTreeMap<String, String>) {
    let mut found: BTreeMap<&str, Vec<Found>> = BTreeMap::new();
    let mut wrong = Vec::new();
    for (number, mutant) in numbered(mutants) {
        for place in std::iter::once(&mutant.place).chain(&mutant.also) {
            let text = files.get(&place.file).map_or("", String::as_str);
            let spans = place.spans(text);
            if let [span] = spans.as_slice() {
                let found = found.entry(&place.file).or_default();
                found.push(Found { span: span.clone(), number, make: &place.make });
            } else {
                let (name, file, times) = (&mutant.name, &place.file, spans.len());
                wrong.push(format!("{name}: its text stands {times} times in {file}"));
            }
        }
    }
    assert!(wrong.is_empty(), "mutants.toml does not fit the source:\n{}", wrong.join("\n"));
    for (file, mut found) in found {
        found.sort_by_key(|one| (one.span.start, usize::MAX - one.span.end));
        if let Some(text) = files.get_mut(file) {
            *text = weave(text, 0..text.len(), &found);
        }
    }
}

/// The text of `span` with every mistake behind its switch. A mistake may be inside the
/// text that another one replaces.
fn weave(text: &str, span: Range<usize>, found: &[Found]) -> String {
    let mut woven = String::new();
    let mut at = span.start;
    let mut rest = found;
    while let Some(first) = rest.first() {
        let same = rest.iter().take_while(|one| one.span == first.span).count();
        let (mistakes, others) = rest.split_at(same);
        let inside = others.iter().take_while(|one| one.span.start < first.span.end).count();
        let (inside, others) = others.split_at(inside);
        let overlaps = inside.iter().find(|one| one.span.end > first.span.end);
        assert!(overlaps.is_none(), "{} overlaps what another replaces", first.make);
        let original = weave(text, first.span.clone(), inside);
        woven += &text[at..first.span.start];
        woven += &choice_between(mistakes, &original);
        (at, rest) = (first.span.end, others);
    }
    woven + &text[at..span.end]
}

/// The choice between the right text and the mistakes: statements if it ends like one, else
/// an expression.
fn choice_between(mistakes: &[Found], original: &str) -> String {
    let cases = mistakes.iter().map(|one| {
        let (number, make) = (one.number, one.make);
        format!("if crate::woven::is_on({number}) {{ {make} }} else ")
    });
    let cases: String = cases.collect();
    let choice = format!("{cases}{{ {original} }}");
    if original.ends_with([';', '}']) { choice } else { format!("({choice})") }
}

impl Place {
    /// The position of `find` in `text`.
    fn spans(&self, text: &str) -> Vec<Range<usize>> {
        let dense = |text: &str| text.chars().filter(|one| !one.is_whitespace()).count();
        let is_visible = |(_, one): &(usize, char)| !one.is_whitespace();
        let source: Vec<_> = text.char_indices().filter(is_visible).collect();
        let wanted = format!("{}{}{}", self.after, self.find, self.before);
        let wanted: Vec<_> = wanted.char_indices().filter(is_visible).collect();
        let (skipped, length) = (dense(&self.after), dense(&self.find));
        let windows = source.windows(wanted.len().max(1));
        let is_it = |window: &&[(usize, char)]| {
            window.iter().map(|one| one.1).eq(wanted.iter().map(|one| one.1))
        };
        let found = windows.filter(is_it).map(|window| &window[skipped..skipped + length]);
        found
            .map(|found| found[0].0..found[length - 1].0 + found[length - 1].1.len_utf8())
            .collect()
    }
}

/// Builds the copy with the settings of this test, so that dependencies are not built
/// again. Returns the program.
fn build(copy: &Path) -> PathBuf {
    let program = std::env::current_exe().unwrap();
    let directory = program.parent().and_then(Path::parent).unwrap();
    let profile = match directory.file_name().and_then(|name| name.to_str()).unwrap() {
        "debug" => "dev",
        named => named,
    };
    let features = if cfg!(feature = "local") { "local" } else { "" };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(cargo);
    // Variables that cargo sets for the tests would cause other crates to be built again.
    let told = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_", "OUT_DIR"];
    let names = std::env::vars_os().map(|(name, _)| name);
    for name in names.filter(|name| told.iter().any(|told| starts_with(name, told))) {
        command.env_remove(name);
    }
    command.args(["build", "--example", "woven", "--offline", "--profile", profile]);
    command.args(["--features", features]);
    command.arg("--target-dir").arg(Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap());
    let built = command.current_dir(copy).output().unwrap();
    let said = String::from_utf8_lossy(&built.stderr);
    assert!(built.status.success(), "the copy with the mistakes cannot be built:\n{said}");
    directory.join("examples").join(format!("woven{}", std::env::consts::EXE_SUFFIX))
}

fn starts_with(name: &OsString, beginning: &str) -> bool {
    name.to_string_lossy().starts_with(beginning)
}

/// The schedule that shows the mistake, or an error if none does.
fn search(binary: &Path, number: usize) -> Result<String, String> {
    let arguments = [number.to_string(), SCHEDULES_MAX.to_string()];
    let ran = Command::new(binary).args(arguments).output().unwrap();
    let text = |said: &[u8]| String::from_utf8_lossy(said).trim().to_owned();
    if ran.status.success() { Ok(text(&ran.stdout)) } else { Err(text(&ran.stderr)) }
}
