//! Delivery: what is durable where. So far the vectors that receipts and repair in groups carry.

pub mod vector;

pub use vector::{Noted, Numbers, Vector};
