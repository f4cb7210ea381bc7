//! x
pub mod auth;
pub mod clock;
pub mod config;
pub mod connector;
pub mod dynamodb;
pub mod http;
#[cfg(feature = "local")]
pub mod local;
pub mod money;
pub mod payment;
pub mod ports;
pub mod service;
