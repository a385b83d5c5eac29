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
        view::Write,
        wire::{decode, encode},
    },
    store::{Cost, Home, HomeError, Passphrase, Store},
};
use rand_core::CryptoRng;
use std::path::Path;
use zeroize::Zeroizing;

/// Items of a backup that are taken in together: one may have hundreds of kilobytes.
const ITEMS_AT_ONCE: usize = 16;
/// Bytes of rows after which they are committed.
const BYTES_PER_COMMIT: usize = 1024 * 1024;

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
/// the backup. What fails leaves no home. Blocks.
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
    let (restoring, rows) = Restoring::begin(&account, first, clock::now(), &mut rng).map_err(NodeError::from)?;
    let filled = Home::create_for(dir, passphrase, cost, &entropy(words), |store| {
        let mut filling = Filling { store, rng, staged: 0 };
        filling.fill(restoring, rows, items).map_err(Unfilled)
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

/// A new home's store being filled, in commits of a bounded size.
struct Filling<'s, S, R> {
    store: &'s mut S,
    rng: R,
    staged: usize,
}

impl<S: Store, R: CryptoRng> Filling<'_, S, R> {
    /// Writes the rows of all items, then those by which the device comes back to everybody. How many messages there were.
    fn fill<E: From<NodeError>>(
        &mut self,
        mut restoring: Restoring,
        first: Vec<Write>,
        items: impl Iterator<Item = Result<Kept, E>>,
    ) -> Result<u64, E> {
        self.write(first)?;
        let mut some = Vec::new();
        for item in items {
            some.push(item?);
            if some.len() >= ITEMS_AT_ONCE {
                self.take(&mut restoring, std::mem::take(&mut some))?;
            }
        }
        self.take(&mut restoring, some)?;
        while let Some(writes) = restoring.come_back(&mut self.rng, self.store).map_err(NodeError::from)? {
            self.write(writes)?;
        }
        self.store.commit().map_err(NodeError::from)?;
        Ok(restoring.messages())
    }

    fn take(&mut self, restoring: &mut Restoring, items: Vec<Kept>) -> Result<(), NodeError> {
        let writes = restoring.take(items, &mut self.rng, self.store)?;
        self.write(writes)
    }

    fn write(&mut self, writes: Vec<Write>) -> Result<(), NodeError> {
        self.staged += writes.iter().filter_map(Write::row).map(|(_, value)| value.len()).sum::<usize>();
        self.store.stage(writes)?;
        if self.staged >= BYTES_PER_COMMIT {
            self.store.commit()?;
            self.staged = 0;
        }
        Ok(())
    }
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
