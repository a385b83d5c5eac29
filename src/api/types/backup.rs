//! Shapes of backups.

use super::*;

shapes! {
    /// Which part of a backup.
    #[derive(Default)]
    #[serde(deny_unknown_fields)]
    pub struct BackupPageParams {
        /// Behind which one, as an answer named it; none begins.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub after: Option<String>,
    }

    /// A part of a backup. Whoever asks seals it: what is in it is not encrypted.
    pub struct BackupPageResult {
        /// The version of the shape.
        pub v: V1,
        /// CBOR items in base64.
        pub items: Vec<String>,
        /// How to ask for the next part; none after the last.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub next: Option<String>,
        /// Rows that are damaged, and so in no part.
        pub damaged: u64,
    }

    /// A backup that was written.
    pub struct BackupResult {
        /// The version of the shape.
        pub v: V1,
        /// Where it is.
        pub path: String,
        /// How many items are in it.
        pub items: u64,
        /// Its size, in bytes.
        pub size: u64,
        /// What is damaged in the home, and so not in it.
        pub damaged: u64,
    }

    /// An account that came back from a backup.
    pub struct RestoreResult {
        /// The version of the shape.
        pub v: V1,
        /// The account.
        pub account: AccountId,
        /// Its name, as others see it.
        pub name: String,
        /// Messages in its history.
        pub messages: u64,
    }
}
