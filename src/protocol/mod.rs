//! The pure heart of moim. It promises that the same input, view and seed give the same effects, byte for byte.
//!
//! No clock, no randomness of its own, no file, no socket, no async, no log output: `tests/layering.rs` refuses them.
//! The node calls [`engine::Engine::handle`]; stores implement [`view::View`]; everything else here serves those two.

pub mod crypto;
pub mod delivery;
pub mod engine;
pub mod event;
pub mod group;
pub mod identity;
pub mod ids;
pub mod search;
pub mod sync;
pub mod time;
pub mod view;
pub mod wire;
