//! Many nodes on one machine: real ones for testnets, the demonstration and the bench, and a simulator on a virtual clock.
//!
//! Real nodes have real sockets on 127.0.0.1 and real stores; nothing here knows more of them than the API tells, so what
//! holds here holds for `moim up`. `main` starts testnets; tests and examples use the same pieces.

pub mod bench;
pub mod demo;
mod measure;
mod nodes;
mod real;
mod wait;

pub use nodes::{NodeSpec, TestNode};
pub use real::{Acquaintance, Testnet, TestnetConfig};
pub use wait::happens;
