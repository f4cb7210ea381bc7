//! The program of the copy with the realistic mistakes: makes one of them, and searches for
//! a schedule that shows it. `mutants.rs` builds and runs it.

#![allow(warnings, reason = "the lints apply to the original source")]

mod answers;
mod explore;
mod model;
mod ports;
mod quiet;
mod reports;
mod runs;
mod schedule;

use model::{landing, psp, world};
use explore::random;
use payment_intents::woven::switch;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<u32>().unwrap());
    let (number, schedules) = (arguments.next(), arguments.next().unwrap());
    for seed in 0..u64::from(schedules) {
        switch(number);
        let Err(failure) = random(seed) else { continue };
        // A schedule that fails without the mistake shows nothing.
        switch(None);
        if random(seed).is_err() {
            continue;
        }
        println!("caught by schedule {seed}: {}", failure.what);
        return ExitCode::SUCCESS;
    }
    eprintln!("none of {schedules} schedules shows it");
    ExitCode::FAILURE
}
