//! The published events: the built function between the table's stream and an event bus.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic fails the test")]
#![allow(clippy::panic, clippy::indexing_slicing, reason = "a panic fails the test")]
#![allow(clippy::arithmetic_side_effects, reason = "an overflow fails the test, too")]
#![allow(unreachable_pub, reason = "the modules belong to one suite")]

mod batches;
mod bus;
mod documents;
mod lossless;
mod order;
mod outages;
mod published;
mod stream;
#[path = "../support/mod.rs"]
mod support;
mod unpublished;
mod world;
