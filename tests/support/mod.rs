//! The helpers of all suites. A suite in a folder includes this file by its path.
//!
//! | module | contents |
//! |---|---|
//! | `payments` | Payments from a given past, and random ones for property tests |
//! | `reporting` | Payments about which a connector or an operator reports something |
//! | `item_size` | the size of a DynamoDB item |
//! | `random` | random numbers that a seed repeats |
//! | `actions` | the JSON of actions |
//! | `server` | the built `local` server, and its answers |
//! | `lambda` | the built Lambdas under an emulated Runtime API, and the events of API Gateway |
//! | `dynamo` | tables in a real DynamoDB API, and a proxy in front of it that loses messages |
//! | `http_server` | the accept loop of every HTTP server in the tests |
//! | `scripted` | the replies that a test scripts for such a server, and the received requests |
//! | `clock` | a clock that a test moves |
//! | `tls` | TLS in front of such a server |

#![allow(dead_code, unreachable_pub, reason = "no suite uses all of this")]
#![allow(unused_imports, reason = "no suite uses all of this")]
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot start has failed"
)]

#[cfg(feature = "local")]
pub mod actions;
#[cfg(feature = "local")]
pub mod clock;
#[cfg(feature = "local")]
pub mod dynamo;
#[cfg(feature = "local")]
pub mod http_server;
pub mod item_size;
#[cfg(feature = "local")]
pub mod lambda;
pub mod payments;
pub mod random;
pub mod reporting;
#[cfg(feature = "local")]
pub mod scripted;
#[cfg(feature = "local")]
pub mod server;
#[cfg(feature = "local")]
pub mod tls;

#[cfg(feature = "local")]
pub use actions::{amount, cancel, capture, refund, reverse, with_reference};
#[cfg(feature = "local")]
pub use server::{AUTHORIZED, AUTHORIZED_JPY, CAPTURED, PENDING, Reply, Server, transactions_of};
