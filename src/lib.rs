//! Capture, refund, cancel or reverse an authorized Payment, exactly once.
//!
//! One request, step by step:
//!
//! ```text
//! parse ─► authorize ─► validate ─► RESERVE (write 1) ─► connector ─► SETTLE (write 2) ─► {}
//! ```
//!
//! # The modules, in reading order
//!
//! * [`money`]: exact amounts. [`payment`]: the ledger and its rules; pure and
//!   total, without IO, clock or wire formats.
//! * [`ports`]: the interfaces to a store, a connector and a clock. [`service`]: reserve,
//!   call, settle; no other module knows that order. [`recovery`]: finding the outcome of
//!   open transactions.
//! * [`http`]: request → service → response; every error's status in one match.
//!   [`auth`]: the caller, and the scopes for the project.
//! * [`dynamodb`], [`connector`], [`clock`]: the adapters of the ports. [`transport`]:
//!   HTTP connections. `oauth`: requests to token services. [`aws`]: clients of AWS.
//! * [`events`]: the events of the platform, published from the table's stream.
//! * [`config`]: the environment, read once. [`secrets_manager`]: the settings in Secrets
//!   Manager. [`assemble`]: the service, built from both.
//! * [`observe`]: log lines and metrics. [`error`], [`secret`], [`url`]: small types that
//!   many modules need. [`invocation`]: the time of an invocation.
//! * `local`: the service on localhost (feature `local`).
//!
//! Arrows point one way: binaries → `http` → `service` → `ports` → `payment` →
//! `money`, and adapters → `ports`. `tests/architecture.rs` lists all that are allowed.
//!
//! # What holds
//!
//! * Nothing is sent to a connector that is not durably reserved.
//! * One action of a Payment is at its connector at a time.
//! * A hold is released only by proof that nothing moved. Never by time, never by a
//!   guess.
//! * Every amount has its currency, and is an integer.
//! * A successful action needs no read. There is no scan and no delete.

pub mod assemble;
pub mod auth;
pub mod aws;
pub mod clock;
pub mod config;
pub mod connector;
mod digest;
pub mod dynamodb;
pub mod error;
pub mod events;
pub mod http;
pub mod invocation;
#[cfg(feature = "local")]
pub mod local;
pub mod money;
mod oauth;
pub mod observe;
pub mod payment;
mod platform;
pub mod ports;
pub mod recovery;
pub mod secret;
pub mod secrets_manager;
pub mod service;
pub mod transport;
pub mod url;
