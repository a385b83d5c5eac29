//! Rotating keys. A ring holds the present key and, while rows are moved to it, the one before; what only an older key
//! opens is gone.
//!
//! Rings are in `keyslots`, each sealed under ROOT. [`SlotFile`] is the one copy of that file in this process: a home and
//! its store both change it.

use crate::protocol::crypto::secret::Secret;
use crate::store::{
    StoreError,
    home::HomeError,
    keyslots::{Keyslots, Purpose, random},
};
use minicbor::{Decode, Encode};
use std::{
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};
use zeroize::Zeroizing;

/// A key and the number by which rows name it.
#[derive(Clone, Encode, Decode)]
#[cbor(map)]
pub(super) struct Generation {
    /// Random, so that a ring that was put back from a copy does not come to the same numbers again; never 0.
    #[n(0)]
    pub(super) id: u32,
    #[n(1)]
    pub(super) key: Secret,
}

/// The present key and the one before.
#[derive(Clone, Encode, Decode)]
#[cbor(map)]
pub(super) struct Ring {
    #[n(0)]
    pub(super) current: Generation,
    /// There while rows are moved from it to the present one.
    #[n(1)]
    pub(super) previous: Option<Generation>,
}

impl Generation {
    pub(super) fn new() -> Result<Self, HomeError> {
        loop {
            let id = u32::from_be_bytes(random()?);
            if id != 0 {
                return Ok(Self { id, key: Secret::from(*Zeroizing::new(random()?)) });
            }
        }
    }
}

impl Ring {
    pub(super) fn new() -> Result<Self, HomeError> {
        Ok(Self { current: Generation::new()?, previous: None })
    }

    /// A new present key beside the one that was. Whoever turns a ring has moved all rows off the one before.
    pub(super) fn turned(&self) -> Result<Self, HomeError> {
        Ok(Self { current: Generation::new()?, previous: Some(self.current.clone()) })
    }

    /// Without the key before.
    pub(super) fn settled(&self) -> Self {
        Self { current: self.current.clone(), previous: None }
    }

    /// The key with this number.
    pub(super) fn key(&self, id: u32) -> Option<&Secret> {
        let previous = self.previous.iter();
        std::iter::once(&self.current).chain(previous).find(|known| known.id == id).map(|known| &known.key)
    }
}

/// The file `keyslots` and what is in it.
pub(super) struct SlotFile {
    path: PathBuf,
    slots: Mutex<Keyslots>,
}

impl SlotFile {
    pub(super) fn new(path: PathBuf, slots: Keyslots) -> Self {
        Self { path, slots: Mutex::new(slots) }
    }

    pub(super) fn read<T>(&self, reading: impl FnOnce(&Keyslots) -> T) -> T {
        reading(&self.slots.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes the file first and what is in memory after it, so that a failed write changes nothing.
    pub(super) fn change(&self, change: impl FnOnce(&mut Keyslots) -> Result<(), HomeError>) -> Result<(), HomeError> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changed = slots.clone();
        change(&mut changed)?;
        changed.save(&self.path)?;
        *slots = changed;
        Ok(())
    }

    /// The ring for a purpose, made and kept where a home of an older moim has none.
    pub(super) fn ring(&self, purpose: Purpose, root: &Secret) -> Result<Ring, HomeError> {
        if let Some(ring) = self.read(|slots| slots.ring(purpose, root))? {
            return Ok(ring);
        }
        let ring = Ring::new()?;
        self.keep_ring(purpose, &ring, root)?;
        Ok(ring)
    }

    /// Keeps a ring durably in place of the one before.
    pub(super) fn keep_ring(&self, purpose: Purpose, ring: &Ring, root: &Secret) -> Result<(), HomeError> {
        self.change(|slots| slots.set_ring(purpose, ring, root))
    }
}

/// What a failure with the keys is to those who use the store.
pub(super) fn as_store_error(dir: &Path, error: HomeError) -> StoreError {
    match error {
        HomeError::Full => StoreError::Full,
        HomeError::Store(error) => error,
        HomeError::Damaged(why) => StoreError::Damaged { dir: dir.to_path_buf(), why: why.to_owned() },
        other => StoreError::Io(other.to_string()),
    }
}
