//! The arrows between the rooms, as `src/lib.rs` draws them: whoever draws one
//! against them sees this go red.

#![allow(clippy::unwrap_used, reason = "a test that cannot read the sources has failed")]

use std::fs;
use std::path::{Path, PathBuf};

/// What each room may use of this crate besides itself.
const ROOMS: [(&str, &[&str]); 17] = [
    ("money", &[]),
    ("payment", &["digest", "money"]),
    ("platform", &["payment"]),
    ("ports", &["money", "payment"]),
    ("observe", &["clock", "payment", "platform", "ports", "recovery", "service"]),
    ("service", &["observe", "payment", "ports"]),
    ("recovery", &["observe", "payment", "ports", "service"]),
    ("transport", &["payment", "ports"]),
    ("auth", &["payment", "ports", "transport"]),
    ("clock", &["payment", "ports"]),
    ("aws", &["transport"]),
    ("digest", &[]),
    ("invocation", &["payment"]),
    ("dynamodb", &["aws", "money", "payment", "ports"]),
    ("connector", &["money", "payment", "platform", "ports", "transport"]),
    ("events", &["aws", "digest", "dynamodb", "observe", "payment", "platform", "ports"]),
    (
        "http",
        &[
            "auth",
            "digest",
            "invocation",
            "money",
            "observe",
            "payment",
            "platform",
            "ports",
            "service",
        ],
    ),
];

#[test]
fn arrows_point_one_way() {
    for (room, allowed) in ROOMS {
        for file in files_of(room) {
            let text = fs::read_to_string(&file).unwrap();
            // Tests may look anywhere.
            let code = text.split("#[cfg(test)]").next().unwrap();
            for used in code.split("crate::").skip(1) {
                let name = used.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap();
                let is_allowed = name.is_empty() || name == room || allowed.contains(&name);
                assert!(is_allowed, "{} uses {name}", file.display());
            }
        }
    }
}

/// `room.rs`, and what is below `room/`.
fn files_of(room: &str) -> Vec<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = vec![source.join(format!("{room}.rs"))];
    add_files(&source.join(room), &mut files);
    files
}

fn add_files(directory: &Path, files: &mut Vec<PathBuf>) {
    let Ok(inside) = fs::read_dir(directory) else { return };
    for path in inside.map(|entry| entry.unwrap().path()) {
        if path.is_dir() { add_files(&path, files) } else { files.push(path) }
    }
}
