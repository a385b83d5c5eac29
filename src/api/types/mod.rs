//! The shapes of questions and answers: exactly what `--json` prints and JSON-RPC carries.
//!
//! People, chats, groups and messages are asked for by the text a person typed; the node resolves it by the rules of
//! [`names`](crate::api::names). Answers carry whole ids. Every answer has `"v":1`; new fields may be added to a shape,
//! none is ever renamed or removed within a version.

use crate::api::{
    config::{Key, Origin},
    time::{Span, Time},
};
use crate::protocol::ids::{AccountId, ChatId, EventId, OpId};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// The version of the shapes: the number 1 and nothing else.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct V1;

impl Serialize for V1 {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u8(1)
    }
}

impl<'de> Deserialize<'de> for V1 {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match u8::deserialize(from)? {
            1 => Ok(Self),
            other => Err(D::Error::custom(format!("version {other} of the API is not understood, 1 is"))),
        }
    }
}

fn is_false(value: &bool) -> bool {
    !value
}

/// Gives each of these shapes the derives they share.
macro_rules! shapes {
    ($($(#[$meta:meta])* pub struct $name:ident { $($body:tt)* })*) => {
        $(#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)] $(#[$meta])* pub struct $name { $($body)* })*
    };
}

/// As [`shapes!`], for words of a fixed set, written in lower case.
macro_rules! words {
    ($($(#[$meta:meta])* pub enum $name:ident { $($body:tt)* })*) => {
        $($(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($body)* })*
    };
}

mod account;
mod backup;
mod chats;
mod events;
mod group_log;
mod groups;
mod labs;
mod mailboxes;
mod people;

pub use account::*;
pub use backup::*;
pub use chats::*;
pub use events::*;
pub use group_log::*;
pub use groups::*;
pub use labs::*;
pub use mailboxes::*;
pub use people::*;

// Who is asked about

shapes! {
    /// No parameters.
    #[derive(Default, Copy)]
    #[serde(deny_unknown_fields)]
    pub struct Nothing {}

    /// A person: name, id or prefix of an id, as typed.
    #[serde(deny_unknown_fields)]
    pub struct Who {
        /// What was typed.
        pub who: String,
    }

    /// A group: name, id or prefix of an id, as typed.
    #[serde(deny_unknown_fields)]
    pub struct Group {
        /// What was typed.
        pub group: String,
    }
}
