//! Authorization, in each of its modes: the built binaries, with real servers for
//! everything around tokens.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a panic fails the test"
)]
#![allow(unreachable_pub, reason = "the modules belong to one suite")]

mod cache;
mod challenges;
mod configuration;
mod connectors;
mod gateway;
mod identity;
mod in_process;
mod introspection;
mod issuer;
mod jwt;
mod local;
mod matrix;
mod mutations;
mod rotation;
mod secrecy;
mod secrets;
mod service;
mod stage;
mod startup;
#[path = "../support/mod.rs"]
mod support;
mod tls;
