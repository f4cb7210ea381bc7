//! Adyen, called directly: the requests, the meaning of each answer, and the webhooks that
//! bring each outcome. The Adyen is one on localhost, which honours keys as documented.

#![allow(clippy::unwrap_used, clippy::panic, reason = "that is how a test fails")]
#![allow(clippy::indexing_slicing, reason = "that is how a test fails")]
#![allow(clippy::arithmetic_side_effects, reason = "times and amounts are small here")]
#![allow(unreachable_pub, reason = "the modules of a suite are its own")]

mod binary;
mod calls;
mod doubtful;
mod forged;
mod order;
mod replaced;
mod storm;
#[path = "../support/mod.rs"]
mod support;
mod webhooks;
mod world;
