//! Helpers of all benches: the number of rounds, statistics, and the output.
//!
//! Compared things are measured in turns in one run, so that other load on the machine
//! affects both.

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

/// The variable for a short run, which only shows that the benches work.
const SMOKE: &str = "BENCH_SMOKE";

/// The variable that marks the measuring process.
const MEASURES: &str = "BENCH_MEASURES";

pub fn is_smoke() -> bool {
    std::env::var_os(SMOKE).is_some()
}

/// `full`, or a small number in a short run.
pub fn rounds(full: usize, smoke: usize) -> usize {
    if is_smoke() { smoke } else { full }
}

/// Runs `measure` in another process, whose log goes into a pipe as a Lambda's does, so
/// that logging has its real cost. Other lines of output are printed.
pub fn in_logging_process(measure: impl FnOnce()) {
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

/// Starts logging, as the Lambda does.
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

/// Prints the last line, for scripts.
pub fn result(line: &str) {
    println!("{line}");
    std::io::stdout().flush().expect("standard output is open");
}

/// The directory of the results, which the plot reads.
pub fn directory() -> PathBuf {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("benches");
    fs::create_dir_all(&directory).expect("a place for what was measured");
    directory
}
