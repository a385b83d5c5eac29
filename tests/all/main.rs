//! The one integration-test binary: each more would link the whole network stack again.

mod layering;
mod pages;
mod sim;
mod source;
