//! What the views share: texts in the reader's language, formatting for terminals, QR codes.
//!
//! Knows API types and nothing of nodes. Everything that a peer may have chosen passes [`SafeText`](crate::protocol::wire::text::SafeText).

pub mod format;
pub mod qr;
pub mod texts;
