//! The model of everything around the service: the table, the PSP, and the rules that every
//! step must keep. The suite `conformance` compares it with the real store.

pub mod landing;
pub mod oracle;
pub mod psp;
pub mod world;
