//! Capture, refund, cancel or reverse an authorized Payment, exactly once.
//!
//! One request, step by step:
//!
//! ```text
//! parse ─► authorize ─► validate ─► RESERVE (write 1) ─► connector ─► SETTLE (write 2) ─► {}
//! ```
//!
//! # The rooms, in reading order
//!
//! * [`money`]: exact amounts. [`payment`]: the ledger and its rules; pure and
//!   total, without IO, clock or wire formats.
//! * [`ports`]: what the service needs of the world. [`service`]: reserve, call,
//!   settle; nothing else knows the order. [`recovery`]: what to do with
//!   what was left open.
//! * [`http`]: request → service → response; every error's status in one match.
//!   [`auth`]: who calls, and with which scopes for the project.
//! * [`invocation`]: the time that Lambda gives to one event.
//! * [`dynamodb`], [`connector`], [`clock`]: the ports' adapters. [`transport`]: one
//!   HTTP exchange. [`config`]: the environment, read once. [`observe`]: what an
//!   operator sees of it all.
//! * [`events`]: what the outside hears, from the table's stream. [`aws`]: how AWS
//!   is reached.
//! * `local`: all of it on localhost (feature `local`).
//!
//! Arrows point one way: binaries → `http` → `service` → `ports` → `payment` →
//! `money`, and adapters → `ports`.
//!
//! # What holds
//!
//! * Nothing is sent to a connector that is not durably reserved.
//! * One action of a Payment is at its connector at a time.
//! * A hold is given back only by a definitive negative fact. Never by time,
//!   never by a guess.
//! * No amount exists apart from its currency, and none is ever a fraction.
//! * There is no read on the way of an action, no scan, and no delete.

pub mod auth;
pub mod aws;
pub mod clock;
pub mod config;
pub mod connector;
mod digest;
pub mod dynamodb;
pub mod events;
pub mod http;
pub mod invocation;
#[cfg(feature = "local")]
pub mod local;
pub mod money;
pub mod observe;
pub mod payment;
mod platform;
pub mod ports;
pub mod recovery;
pub mod service;
pub mod transport;
