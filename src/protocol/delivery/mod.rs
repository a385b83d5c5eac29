//! Delivery: what is durable where: the vectors that receipts and repair in groups carry, and what a mailbox takes.

pub mod mailbox;
pub mod vector;

pub use vector::{Noted, Numbers, Vector};
