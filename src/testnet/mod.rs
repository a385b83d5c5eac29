//! Many nodes on one machine: real ones for testnets, the demonstration and the bench, and a simulator on a virtual clock.
//!
//! Real nodes have real sockets on 127.0.0.1 and real stores; nothing here knows more of them than the API tells, so what
//! holds here holds for `moim up`. `main` starts testnets; tests and examples use the same pieces.

#[cfg(feature = "node")]
pub mod bench;
#[cfg(feature = "node")]
pub mod demo;
#[cfg(feature = "node")]
mod measure;
#[cfg(feature = "node")]
mod nodes;
#[cfg(feature = "node")]
mod real;
pub mod sim;
#[cfg(feature = "node")]
mod wait;

#[cfg(feature = "node")]
pub use self::{
    nodes::{NodeSpec, TestNode},
    real::{Acquaintance, Testnet, TestnetConfig},
    wait::happens,
};
