//! Backups: an [age](https://age-encryption.org/v1) file that the account's 24 words open.
//!
//! What is in it is said by [`protocol::engine::backup`](crate::protocol::engine::backup): contacts, groups and history,
//! and nothing that a session could go on from. The passphrase of the file is derived from the words with 256 bits, so
//! the file is safe from those who record it for a quantum computer too, and any age program opens it. [`back_up`] asks
//! a node or an open home for the items, part by part; [`restore`] makes a home of them. `main` calls both.

mod file;

use crate::{
    api::{
        Api, ApiError, Reason,
        methods::BackupPage,
        types::{BackupPageParams, BackupResult, RestoreResult, V1},
    },
    node::{self, NodeError},
    protocol::identity::Words,
    store::{Cost, Passphrase},
};
use data_encoding::BASE64;
use file::{Reader, Writer};
use std::path::Path;

/// Writes everything that `api` has of an account into a new file, sealed for whoever has the words.
///
/// # Errors
/// `file-exists` where there is something at `path`; whatever the node or the disk says. Then there is no file.
pub async fn back_up(api: &mut impl Api, words: &Words, path: &Path) -> Result<BackupResult, ApiError> {
    let mut writer = Writer::create(path, words)?;
    let (mut items, mut damaged, mut after) = (0, 0, None);
    loop {
        let page = api.call::<BackupPage>(BackupPageParams { after }).await?;
        damaged += page.damaged;
        for item in &page.items {
            writer.item(&BASE64.decode(item.as_bytes()).map_err(ApiError::internal)?)?;
            items += 1;
        }
        after = page.next;
        if after.is_none() {
            let size = writer.finish()?;
            return Ok(BackupResult { v: V1, path: path.display().to_string(), items, size, damaged });
        }
    }
}

/// Makes a home of a backup, as a new device of the account of these words. Blocks.
///
/// # Errors
/// `backup-of-other-account` where the words do not open it, `backup-damaged`, or why the home cannot be made.
pub fn restore(
    path: &Path,
    words: &Words,
    home: &Path,
    passphrase: Option<&Passphrase>,
    cost: Cost,
) -> Result<RestoreResult, ApiError> {
    let items = Reader::open(path, words)?;
    let restored = node::restore(home, passphrase, cost, words, items).map_err(|error| match error {
        Failed::Reading(error) => error,
        Failed::Making(NodeError::Restore(_)) => ApiError::new(Reason::BackupDamaged),
        Failed::Making(error) => error.into(),
    })?;
    Ok(RestoreResult { v: V1, account: restored.account.id, name: restored.account.name, messages: restored.messages })
}

/// What ended a restore.
enum Failed {
    Reading(ApiError),
    Making(NodeError),
}

impl From<NodeError> for Failed {
    fn from(error: NodeError) -> Self {
        Self::Making(error)
    }
}
