//! How an account begins on this device: a home, its secret, its first rows.

use super::{NodeError, clock};
use crate::{
    protocol::{
        crypto::secret::Secret,
        engine::begin,
        identity::{AccountKey, Name, Words},
        ids::AccountId,
        wire::{decode, encode},
    },
    store::{Cost, Home, Passphrase},
};
use std::path::Path;
use zeroize::Zeroizing;

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

    Home::create_for(dir, passphrase, cost, &entropy(words), first)?;
    Ok(Account { id: account.id(), name: name.as_str().to_owned() })
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
