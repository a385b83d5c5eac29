//! moim: a peer-to-peer messenger with nobody in the middle.
//!
//! [`protocol`] is the pure heart: identities, the ratchet, groups, delivery and the engine that joins them. It knows no
//! clock, file, socket or randomness of its own. Everything around it (disk, network, API, command line) is behind the
//! features `node` and `cli`, so `cargo check --lib --no-default-features` builds the heart alone.

#[cfg(feature = "node")]
pub mod api;
#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "node")]
pub mod net;
#[cfg(feature = "node")]
pub mod node;
pub mod protocol;
pub mod store;
#[cfg(feature = "node")]
pub mod testnet;
#[cfg(feature = "cli")]
pub mod ui;
