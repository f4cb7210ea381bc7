//! Who may do what, whichever way it is proved: the built binaries, with real
//! servers for everything around tokens.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "that is how a test fails"
)]
#![allow(unreachable_pub, reason = "the modules of a suite are its own")]

#[path = "support/dynamo.rs"]
mod dynamo;
mod identity;
#[path = "crash/random.rs"]
#[allow(dead_code, reason = "each suite uses its part of this")]
mod random;
mod runtime;
mod support;

#[path = "auth/issuer.rs"]
mod issuer;
#[path = "auth/stage.rs"]
mod stage;

#[path = "auth/asking.rs"]
mod asking;
#[path = "auth/challenges.rs"]
mod challenges;
#[path = "auth/configuration.rs"]
mod configuration;
#[path = "auth/connected.rs"]
mod connected;
#[path = "auth/connectors.rs"]
mod connectors;
#[path = "auth/discretion.rs"]
mod discretion;
#[path = "auth/gateway.rs"]
mod gateway;
#[path = "auth/introspection.rs"]
mod introspection;
#[path = "auth/jwt.rs"]
mod jwt;
#[path = "auth/kept.rs"]
mod kept;
#[path = "auth/local.rs"]
mod local;
#[path = "auth/matrix.rs"]
mod matrix;
#[path = "auth/mutations.rs"]
mod mutations;
#[path = "auth/rotation.rs"]
mod rotation;
#[path = "auth/secrets.rs"]
mod secrets;
#[path = "auth/service.rs"]
mod service;
#[path = "auth/tls.rs"]
mod tls;
