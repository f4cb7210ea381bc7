//! x
pub mod clock;
pub mod connector;
pub mod auth;
pub mod dynamodb;
pub mod http;
pub mod money;
pub mod payment;
pub mod ports;
pub mod service;
