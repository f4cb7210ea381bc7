//! Stripe, called directly: what is sent, what each end of a call comes to, and what the
//! webhooks bring. The Stripe is one on localhost, which honours keys as documented.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic fails the test")]
#![allow(clippy::indexing_slicing, reason = "a panic fails the test")]
#![allow(clippy::arithmetic_side_effects, reason = "times and amounts are small here")]
#![allow(unreachable_pub, reason = "the modules belong to one suite")]

mod binary;
mod calls;
mod doubtful;
mod live;
mod replaced;
mod storm;
#[path = "../support/mod.rs"]
mod support;
mod webhooks;
mod world;
