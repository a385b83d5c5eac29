//! Shapes of the account and its node.

use super::*;

shapes! {
    /// The own account.
    pub struct Identity {
        /// The version of the shape.
        pub v: V1,
        /// Its id.
        pub account: AccountId,
        /// Its name, as others see it.
        pub name: String,
        /// The own half of every safety number: 30 digits.
        pub fingerprint: String,
    }

    /// The recovery words.
    pub struct WordsResult {
        /// The version of the shape.
        pub v: V1,
        /// 24 words, separated by spaces.
        pub words: String,
    }

    /// A new name for the account, or none to see the present one.
    #[derive(Default)]
    #[serde(deny_unknown_fields)]
    pub struct ProfileParams {
        /// The name, up to `MAX_NAME` bytes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub name: Option<String>,
    }

    /// The one line that a node prints on stdout once it can be used.
    pub struct Ready {
        /// The version of the shape.
        pub v: V1,
        /// Always `ready`.
        pub event: ReadyEvent,
        /// The account.
        pub account: AccountId,
        /// The node's PeerId.
        pub peer: String,
        /// Where it listens, each with `/p2p/PEER`.
        pub addrs: Vec<String>,
        /// The path of its socket.
        pub socket: String,
        /// As in [`StatusResult`].
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub replaced: Option<Time>,
        /// As in [`StatusResult`], for a week.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub rolled_back: Option<Time>,
    }

    /// How the node and its store are.
    pub struct StatusResult {
        /// The version of the shape.
        pub v: V1,
        /// Whether a node of this home runs.
        pub running: bool,
        /// The account.
        pub account: AccountId,
        /// The node's PeerId.
        pub peer: String,
        /// Where it listens; empty when it does not run.
        pub addrs: Vec<String>,
        /// Connected peers.
        pub peers: u64,
        /// Messages that have not reached everyone yet.
        pub outbox: u64,
        /// Chats.
        pub chats: u64,
        /// What the store takes on the disk, in bytes.
        pub store_bytes: u64,
        /// The version of moim.
        pub version: String,
        /// Since when it is known that another device took the place of this one in the account: nobody listens to it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub replaced: Option<Time>,
        /// When an older copy of the store, or of its keys, was last found in the home: every session began anew then.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub rolled_back: Option<Time>,
    }

    /// The node stops.
    pub struct DownResult {
        /// The version of the shape.
        pub v: V1,
        /// Always true: it stops once this is written.
        pub stopping: bool,
    }

    /// Which setting to show or change; none shows all.
    #[derive(Default)]
    #[serde(deny_unknown_fields)]
    pub struct ConfigParams {
        /// The setting.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub key: Option<String>,
        /// Its new value.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub value: Option<String>,
    }

    /// Settings.
    pub struct ConfigResult {
        /// The version of the shape.
        pub v: V1,
        /// Those asked for.
        pub settings: Vec<Setting>,
    }

    /// One setting.
    pub struct Setting {
        /// Its name.
        pub key: Key,
        /// Its value.
        pub value: serde_json::Value,
        /// Where the value comes from.
        pub origin: Origin,
    }
}

words! {
    /// The event of [`Ready`].
    pub enum ReadyEvent {
        /// The node can be used.
        Ready,
    }
}
