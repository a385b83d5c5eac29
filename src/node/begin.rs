//! How an account begins on this device: a home, its secret, its first rows.

use super::{NodeError, clock};
use crate::{
    protocol::{
        crypto::secret::Secret,
        engine::{
            backup::{Kept, RestoreError, Restoring},
            begin,
        },
        identity::{AccountKey, Name, Words},
        ids::AccountId,
        wire::{decode, encode},
    },
    store::{Cost, Home, HomeError, Passphrase, Store},
};
use std::path::Path;
use zeroize::Zeroizing;

/// Rows of a restored backup that are committed together: about a megabyte of short messages.
const ROWS_PER_COMMIT: usize = 2_000;

/// An account as it was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its id.
    pub id: AccountId,
    /// Its name, as others will see it.
    pub name: String,
}

/// Makes a home with an account of these words. The words stay in the home, in a slot of their own. Blocks for as long as
/// `cost` says (about a second at [`Cost::STANDARD`]).
pub fn create(
    dir: &Path,
    passphrase: Option<&Passphrase>,
    cost: Cost,
    name: &str,
    words: &Words,
) -> Result<Account, NodeError> {
    let name = Name::typed(name)?;
    let account = AccountKey::from_words(words);
    let mut rng = clock::randomness().map_err(NodeError::NoRandomness)?;
    let first = begin::first_rows(&account, &name, clock::now(), &mut rng)?;

    Home::create_for(dir, passphrase, cost, &entropy(words), |store| {
        store.stage(first)?;
        Ok::<_, HomeError>(store.commit()?)
    })?;
    Ok(Account { id: account.id(), name: name.as_str().to_owned() })
}

/// An account as it came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// The account.
    pub account: Account,
    /// Messages in its history.
    pub messages: u64,
}

/// Makes a home of a backup's items, as a new device of the account of these words, which replaces the one that wrote
/// the backup. What is interrupted is no home: it is restored again from the start. Blocks.
///
/// # Errors
/// The items' own, or why the home cannot be made.
pub fn restore<E: From<NodeError>>(
    dir: &Path,
    passphrase: Option<&Passphrase>,
    cost: Cost,
    words: &Words,
    items: impl IntoIterator<Item = Result<Kept, E>>,
) -> Result<Restored, E> {
    let mut items = items.into_iter();
    let first = items.next().ok_or(NodeError::from(RestoreError::NoBeginning))??;
    let account = AccountKey::from_words(words);
    let name = match &first {
        Kept::Own(own) => own.name.clone(),
        _ => String::new(),
    };
    let mut rng = clock::randomness().map_err(NodeError::NoRandomness)?;
    let begun = Restoring::begin(&account, first, clock::now(), &mut rng).map_err(NodeError::from)?;
    let filled = Home::create_for(dir, passphrase, cost, &entropy(words), |store| {
        fill(store, begun, items).map_err(Unfilled)
    });
    let messages = filled.map_err(|Unfilled(error)| error)?;
    Ok(Restored { account: Account { id: account.id(), name }, messages })
}

/// Why a home was not filled.
struct Unfilled<E>(E);

impl<E: From<NodeError>> From<HomeError> for Unfilled<E> {
    fn from(error: HomeError) -> Self {
        Self(NodeError::from(error).into())
    }
}

/// Writes the rows of all items, in commits of a bounded size.
fn fill<E: From<NodeError>>(
    store: &mut impl Store,
    mut restoring: Restoring,
    items: impl Iterator<Item = Result<Kept, E>>,
) -> Result<u64, E> {
    let mut rows = 0;
    for item in items {
        let writes = restoring.take(item?);
        rows += writes.len();
        store.stage(writes).map_err(NodeError::from)?;
        if rows >= ROWS_PER_COMMIT {
            store.commit().map_err(NodeError::from)?;
            rows = 0;
        }
    }
    let messages = restoring.messages();
    store.stage(restoring.finish()).map_err(NodeError::from)?;
    store.commit().map_err(NodeError::from)?;
    Ok(messages)
}

/// Words of a new account, from the system's randomness.
pub fn new_words() -> Result<Words, NodeError> {
    let mut rng = clock::randomness().map_err(NodeError::NoRandomness)?;
    Ok(Words::random(&mut rng))
}

fn entropy(words: &Words) -> Secret {
    let bytes = Zeroizing::new(encode(words));
    match decode(&bytes, "words") {
        Ok(entropy) => entropy,
        Err(_) => unreachable!("words are written as the one secret they are"),
    }
}
