//! What the outside hears of what really happens: the built function behind the
//! table's stream, between a stream and an event bus.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "that is how a test fails")]
#![allow(clippy::panic, clippy::indexing_slicing, reason = "that is how a test fails")]
#![allow(clippy::arithmetic_side_effects, reason = "an overflow fails the test, too")]
#![allow(unreachable_pub, reason = "the modules of a suite are its own")]

#[path = "events/batches.rs"]
mod batches;
#[path = "events/bus.rs"]
mod bus;
#[path = "events/documents.rs"]
mod documents;
#[path = "events/lossless.rs"]
mod lossless;
#[path = "events/order.rs"]
mod order;
#[path = "events/outages.rs"]
mod outages;
#[path = "support/payments.rs"]
mod payments;
mod runtime;
#[path = "events/silence.rs"]
mod silence;
#[path = "events/stream.rs"]
mod stream;
mod support;
#[path = "events/told.rs"]
mod told;
#[path = "events/world.rs"]
mod world;
