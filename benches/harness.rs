//! What the benches share: how often to measure, what to make of the figures, and
//! where they go.
//!
//! Whatever is compared is measured turn by turn in one run, so that what else the
//! machine does meanwhile happens to both.

#![allow(dead_code, reason = "each bench uses its part of this")]

pub mod floor;
pub mod plot;
pub mod stats;
pub mod world;

use payment_intents::observe::{Logging, log_json};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Set where the benches shall only show that they run.
const SMOKE: &str = "BENCH_SMOKE";

/// Set for the process that measures.
const MEASURES: &str = "BENCH_MEASURES";

pub fn is_smoke() -> bool {
    std::env::var_os(SMOKE).is_some()
}

/// `full`, or as little as shows that the bench runs.
pub fn rounds(full: usize, smoke: usize) -> usize {
    if is_smoke() { smoke } else { full }
}

/// Runs `measure` in a process of its own, whose log goes into a pipe, as a
/// Lambda's does: writing it costs what it costs there. What is no line of the log
/// is printed.
pub fn beside_a_log(measure: impl FnOnce()) {
    if std::env::var_os(MEASURES).is_some() {
        return measure();
    }
    let own = std::env::current_exe().expect("it runs");
    let mut process = Command::new(own)
        .env(MEASURES, "1")
        .stdout(Stdio::piped())
        .spawn()
        .expect("it can be started again");
    let out = BufReader::new(process.stdout.take().expect("a pipe"));
    for line in out.lines().map_while(Result::ok).filter(|line| !line.starts_with('{')) {
        println!("{line}");
    }
    let ended = process.wait().expect("it ends");
    assert!(ended.success(), "the bench failed");
}

/// Begins to write the log, as the Lambda does.
pub fn log() {
    log_json(Logging { stack: Some("bench".to_owned()), ..Logging::default() }).expect("a log");
}

/// Prints a table with one row.
pub fn row(cells: &[(&str, String)]) {
    let line = |texts: Vec<&str>| format!("| {} |", texts.join(" | "));
    let rule = cells.iter().map(|_| "---");
    println!("{}", line(cells.iter().map(|(head, _)| *head).collect()));
    println!("|{}|", rule.collect::<Vec<_>>().join("|"));
    println!("{}", line(cells.iter().map(|(_, cell)| cell.as_str()).collect()));
}

/// Prints the line for scripts, the last one.
pub fn result(line: &str) {
    println!("{line}");
    std::io::stdout().flush().expect("somebody reads");
}

/// Where the benches keep what they measured, for the plot, and what they need.
pub fn directory() -> PathBuf {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("benches");
    fs::create_dir_all(&directory).expect("a place for what was measured");
    directory
}
