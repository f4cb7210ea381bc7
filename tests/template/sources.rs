//! The use of routes, variables and operations, read from the source text.

use super::Names;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Operations of DynamoDB on items.
const ON_ITEMS: [&str; 13] = [
    "batch_execute_statement",
    "batch_get_item",
    "batch_write_item",
    "delete_item",
    "execute_statement",
    "execute_transaction",
    "get_item",
    "put_item",
    "query",
    "scan",
    "transact_get_items",
    "transact_write_items",
    "update_item",
];

/// The method that creates the table on localhost. In AWS the template creates it.
pub(crate) const NOT_IN_A_LAMBDA: &str = "src/dynamodb/table.rs";

/// Each method of the store, with its operations of DynamoDB.
pub(crate) fn store_methods() -> Vec<(String, Names)> {
    let functions = sources()
        .filter(|(path, _)| path.starts_with("src/dynamodb") && path != NOT_IN_A_LAMBDA)
        .flat_map(|(_, code)| functions(&code))
        .collect::<Vec<_>>();
    let store = read("src/dynamodb.rs");
    let store = store.split("impl Store for DynamoStore").nth(1).unwrap();
    let methods = self::functions(store.split("\n}\n").next().unwrap());
    assert!(!methods.is_empty());
    methods.into_iter().map(|(name, body)| (name, reached(&body, &functions))).collect()
}

/// The operations in `body`, and in the `functions` that it calls.
fn reached(body: &str, functions: &[(String, String)]) -> Names {
    let mut bodies = vec![body];
    let mut found = Names::new();
    let mut seen = BTreeSet::new();
    while let Some(body) = bodies.pop() {
        found.extend(operations(body));
        let code = without_white_space(body);
        for (name, called) in functions {
            let is_called =
                code.contains(&format!("self.{name}(")) || code.contains(&format!("={name}("));
            if is_called && seen.insert(called) {
                bodies.push(called);
            }
        }
    }
    found
}

/// The text of each function in `code`, by name, up to the next function.
fn functions(code: &str) -> Vec<(String, String)> {
    let following = code.split(" fn ").skip(1);
    following
        .map(|text| {
            let name = text.split(['(', '<']).next().unwrap();
            (name.to_owned(), text.to_owned())
        })
        .collect()
}

/// The operations that `code` calls on an SDK client: all calls on `client`, and item
/// operations on a client of any name. Calls of its settings do not count.
pub(crate) fn operations(code: &str) -> Names {
    let code = without_white_space(code);
    let calls = code.split("client.").skip(1).filter_map(|call| call.split_once("()"));
    let is_name = |name: &&str| name.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    let called = calls.map(|(name, _)| name).filter(is_name).filter(|name| *name != "config");
    let known = ON_ITEMS.into_iter().filter(|name| code.contains(&format!(".{name}()")));
    called.chain(known).map(str::to_owned).collect()
}

/// `dynamodb:UpdateItem` of `update_item`.
pub(crate) fn action(service: &str, operation: &str) -> String {
    let words = operation.split('_').map(|word| {
        let (first, rest) = word.split_at(1);
        format!("{}{rest}", first.to_uppercase())
    });
    format!("{service}:{}", words.collect::<String>())
}

/// The texts in quotes that could be names of variables.
pub(crate) fn upper_case_names(code: &str) -> Names {
    let is_name = |text: &&str| {
        text.len() > 2
            && text.starts_with(|c: char| c.is_ascii_uppercase())
            && text.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
    };
    let quoted = code.lines().flat_map(|line| line.split('"').skip(1).step_by(2));
    quoted.filter(is_name).map(str::to_owned).collect()
}

/// The text without white space, so that line breaks do not matter.
pub(crate) fn without_white_space(code: &str) -> String {
    code.split_whitespace().collect()
}

/// The source files of the Lambdas by path, without comments and tests.
pub(crate) fn sources() -> impl Iterator<Item = (String, String)> {
    let mut files = Vec::new();
    collect(Path::new("src"), &mut files);
    files.into_iter().map(|path| {
        let text = read(&path);
        let code = text.split("#[cfg(test)]").next().unwrap();
        let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
        (path, lines.fold(String::new(), |code, line| code + line + "\n"))
    })
}

fn collect(directory: &Path, files: &mut Vec<String>) {
    for entry in fs::read_dir(root().join(directory)).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let path = directory.join(&name);
        // The local server is not part of a Lambda.
        if root().join(&path).is_dir() && name != "local" {
            collect(&path, files);
        } else if name.ends_with(".rs") && name != "local.rs" {
            files.push(path.to_str().unwrap().replace('\\', "/"));
        }
    }
}

pub(crate) fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
