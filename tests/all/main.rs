//! The one integration-test binary: each more would link the whole network stack again.

mod backup;
mod cli_process;
mod crashes;
mod end_to_end;
mod hostile;
mod layering;
mod mailbox;
mod mistakes;
mod pages;
mod sim;
mod source;
mod support;
