//! The file `keyslots`: the few secrets of a home that do not live in rows. Root and account entropy are each wrapped under
//! a passphrase or, where the owner wants none, plain; the rings of rotating keys are wrapped under the root.
//!
//! magic (8) ‖ format (2) ‖ CBOR record ‖ SHA-256 of all before, so that damage is told from a wrong passphrase. A
//! passphrase (NFC, UTF-8) becomes a key by Argon2id (RFC 9106) and HKDF over home id and purpose; each slot has a salt of
//! its own. The file is replaced whole and durably.

use crate::protocol::{
    crypto::{
        kdf::{hash, kdf},
        labels,
        seal::{open, seal},
        secret::Secret,
    },
    wire::codec,
};
use crate::store::{files, home::HomeError, rings::Ring};
use argon2::{Algorithm, Argon2, Params, Version};
use minicbor::{Decode, Encode};
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
use std::{fmt, fs, io, path::Path};
use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

const MAGIC: &[u8; 8] = b"moimkeys";
const FORMAT: u16 = 1;
/// The whole file, in bytes: it is read at once and replaced at once.
const MAX_FILE: u64 = 4 * 1024;
const MAX_SLOTS: usize = 16;

/// What a passphrase costs to try: the parameters of Argon2id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Cost {
    /// Memory in KiB.
    #[n(0)]
    pub memory: u32,
    /// Passes over it.
    #[n(1)]
    pub passes: u32,
    /// Lanes.
    #[n(2)]
    pub lanes: u32,
}

impl Cost {
    /// RFC 9106, second recommended option: 64 MiB, 3 passes, 4 lanes.
    pub const STANDARD: Self = Self { memory: 64 * 1024, passes: 3, lanes: 4 };
    /// Next to nothing: for tests alone.
    pub const FOR_TESTS: Self = Self { memory: 64, passes: 1, lanes: 1 };
    /// The most a file may ask for, so that a planted one can neither fill the memory nor hang the start.
    const MOST: Self = Self { memory: 1024 * 1024, passes: 16, lanes: 16 };

    fn params(self) -> Option<Params> {
        let most = Self::MOST;
        if self.memory > most.memory || self.passes > most.passes || self.lanes > most.lanes {
            return None;
        }
        Params::new(self.memory, self.passes, self.lanes, Some(32)).ok()
    }
}

/// What a person types to open a home. Erased when dropped, never shown.
#[derive(Clone)]
pub struct Passphrase(Zeroizing<String>);

impl Passphrase {
    /// A passphrase as typed; `None` if it is empty. Equal texts in different Unicode forms are one passphrase.
    pub fn new(typed: &str) -> Option<Self> {
        let normal: String = typed.nfc().collect();
        (!normal.is_empty()).then(|| Self(Zeroizing::new(normal)))
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(…)")
    }
}

/// What a slot's secret is for. The number is on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Purpose {
    /// The key all keys of the store come from.
    Root = 1,
    /// The entropy of the account's words.
    Account = 2,
    /// The ring that secrets in rows are under.
    State = 3,
    /// The ring that the keys of cells are under.
    Cells = 4,
}

/// The slots of a home.
#[derive(Clone, Encode, Decode)]
#[cbor(map)]
pub(super) struct Keyslots {
    #[cbor(n(0), with = "minicbor::bytes")]
    home: [u8; 16],
    #[n(1)]
    slots: Vec<Slot>,
}

#[derive(Clone, Encode, Decode)]
#[cbor(map)]
struct Slot {
    #[n(0)]
    purpose: u8,
    /// How the passphrase becomes a key; without it the secret is there in plain.
    #[n(1)]
    lock: Option<Lock>,
    /// Sealed, or plain 32 bytes; erased when dropped for the latter. A ring is sealed under the root, without a lock.
    #[cbor(n(2), with = "minicbor::bytes")]
    content: Vec<u8>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.content);
    }
}

#[derive(Clone, Copy, Encode, Decode)]
#[cbor(map)]
struct Lock {
    #[cbor(n(0), with = "minicbor::bytes")]
    salt: [u8; 16],
    #[n(1)]
    cost: Cost,
}

impl Keyslots {
    /// No slots yet, for a new home.
    pub(super) fn new() -> Result<Self, HomeError> {
        Ok(Self { home: random()?, slots: Vec::new() })
    }

    /// The slots in a file; `None` where there is no file.
    pub(super) fn load(path: &Path) -> Result<Option<Self>, HomeError> {
        let length = match fs::metadata(path) {
            Ok(found) => found.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(HomeError::io(path, error)),
        };
        if length > MAX_FILE {
            return Err(HomeError::Damaged("keyslots is too long"));
        }
        let bytes = Zeroizing::new(fs::read(path).map_err(|error| HomeError::io(path, error))?);
        Self::parse(&bytes).map(Some)
    }

    /// Writes them durably in place of what was there.
    pub(super) fn save(&self, path: &Path) -> Result<(), HomeError> {
        let record = Zeroizing::new(codec::encode(self));
        let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_FILE as usize));
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&FORMAT.to_be_bytes());
        bytes.extend_from_slice(&record);
        let sum = hash(&[&bytes]);
        bytes.extend_from_slice(&sum);
        files::replace(path, &bytes).map_err(|error| HomeError::io(path, error))
    }

    /// Sets the secret for a purpose, under the passphrase if there is one, in place of the one before.
    pub(super) fn set(
        &mut self,
        purpose: Purpose,
        secret: &Secret,
        passphrase: Option<&Passphrase>,
        cost: Cost,
    ) -> Result<(), HomeError> {
        let slot = match passphrase {
            None => Slot { purpose: purpose as u8, lock: None, content: secret.expose().to_vec() },
            Some(passphrase) => {
                let lock = Lock { salt: random()?, cost };
                let key = self.wrapping_key(purpose, passphrase, lock)?;
                let mut rng = ChaCha20Rng::from_seed(*Zeroizing::new(random()?));
                let content = seal(&key, &codec::encode(&lock), secret.expose(), &mut rng);
                Slot { purpose: purpose as u8, lock: Some(lock), content }
            }
        };
        self.slots.retain(|slot| slot.purpose != purpose as u8);
        self.slots.push(slot);
        Ok(())
    }

    /// Whether the slots for a purpose are those of another reading.
    pub(super) fn has_same(&self, purpose: Purpose, other: &Self) -> bool {
        self.contents(purpose).eq(other.contents(purpose))
    }

    fn contents(&self, purpose: Purpose) -> impl Iterator<Item = &[u8]> {
        self.slots.iter().filter(move |slot| slot.purpose == purpose as u8).map(|slot| slot.content.as_slice())
    }

    /// The secret for a purpose. `None`: there is none.
    pub(super) fn secret(
        &self,
        purpose: Purpose,
        passphrase: Option<&Passphrase>,
    ) -> Result<Option<Secret>, HomeError> {
        let mut slots = self.slots.iter().filter(|slot| slot.purpose == purpose as u8).peekable();
        if slots.peek().is_none() {
            return Ok(None);
        }
        let mut reason = HomeError::NeedsPassphrase;
        for slot in slots {
            match self.unwrap(slot, purpose, passphrase) {
                Ok(secret) => return Ok(Some(secret)),
                Err(error) => reason = error,
            }
        }
        Err(reason)
    }

    /// Sets a ring in place of the one before.
    pub(super) fn set_ring(&mut self, purpose: Purpose, ring: &Ring, root: &Secret) -> Result<(), HomeError> {
        let mut rng = ChaCha20Rng::from_seed(*Zeroizing::new(random()?));
        let plain = Zeroizing::new(codec::encode(ring));
        let content = seal(&self.ring_key(purpose, root), &[purpose as u8], &plain, &mut rng);
        self.slots.retain(|slot| slot.purpose != purpose as u8);
        self.slots.push(Slot { purpose: purpose as u8, lock: None, content });
        Ok(())
    }

    /// The ring for a purpose. `None`: there is none.
    pub(super) fn ring(&self, purpose: Purpose, root: &Secret) -> Result<Option<Ring>, HomeError> {
        let Some(slot) = self.slots.iter().find(|slot| slot.purpose == purpose as u8) else { return Ok(None) };
        let damaged = HomeError::Damaged("a ring in keyslots does not open under its root");
        let Ok(plain) = open(&self.ring_key(purpose, root), &[purpose as u8], &slot.content) else {
            return Err(damaged);
        };
        codec::decode(&Zeroizing::new(plain), "ring").map(Some).map_err(|_| damaged)
    }

    fn ring_key(&self, purpose: Purpose, root: &Secret) -> Secret {
        kdf(root.expose(), labels::STORE_WRAP, &[&self.home, &[purpose as u8]])
    }

    /// Whether the secret for a purpose is under a passphrase.
    pub(super) fn is_locked(&self, purpose: Purpose) -> bool {
        self.slots.iter().any(|slot| slot.purpose == purpose as u8 && slot.lock.is_some())
    }

    fn unwrap(&self, slot: &Slot, purpose: Purpose, passphrase: Option<&Passphrase>) -> Result<Secret, HomeError> {
        let Some(lock) = slot.lock else {
            return secret_of(&slot.content);
        };
        let passphrase = passphrase.ok_or(HomeError::NeedsPassphrase)?;
        let key = self.wrapping_key(purpose, passphrase, lock)?;
        let plain = open(&key, &codec::encode(&lock), &slot.content).map_err(|_| HomeError::WrongPassphrase)?;
        secret_of(&Zeroizing::new(plain))
    }

    fn wrapping_key(&self, purpose: Purpose, passphrase: &Passphrase, lock: Lock) -> Result<Secret, HomeError> {
        let params =
            lock.cost.params().ok_or(HomeError::Damaged("keyslots asks for more than a passphrase may cost"))?;
        let mut stretched = Zeroizing::new([0; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(passphrase.0.as_bytes(), &lock.salt, &mut *stretched)
            .map_err(|_| HomeError::Damaged("keyslots has parameters that Argon2 refuses"))?;
        Ok(kdf(&stretched, labels::STORE_WRAP, &[&self.home, &[purpose as u8]]))
    }

    fn parse(bytes: &[u8]) -> Result<Self, HomeError> {
        let damaged = HomeError::Damaged("keyslots is not what was written");
        let Some((rest, sum)) = bytes.split_last_chunk::<32>() else {
            return Err(damaged);
        };
        let Some((format, record)) = rest.strip_prefix(MAGIC).and_then(|rest| rest.split_first_chunk::<2>()) else {
            return Err(damaged);
        };
        if hash(&[rest]) != *sum {
            return Err(damaged);
        }
        let found = u16::from_be_bytes(*format);
        if found > FORMAT {
            return Err(HomeError::Newer { found, known: FORMAT });
        }
        let slots: Self = codec::decode(record, "keyslots").map_err(|_| damaged)?;
        if slots.slots.len() > MAX_SLOTS {
            return Err(HomeError::Damaged("keyslots has too many slots"));
        }
        Ok(slots)
    }
}

fn secret_of(plain: &[u8]) -> Result<Secret, HomeError> {
    let bytes: [u8; 32] =
        plain.try_into().map_err(|_| HomeError::Damaged("keyslots holds a secret of a wrong length"))?;
    Ok(Secret::from(bytes))
}

pub(super) fn random<const N: usize>() -> Result<[u8; N], HomeError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| HomeError::NoRandomness)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn file() -> Vec<u8> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keyslots");
        let mut slots = Keyslots::new().unwrap();
        let word = Passphrase::new("word");
        slots.set(Purpose::Root, &Secret::from([1; 32]), word.as_ref(), Cost::FOR_TESTS).unwrap();
        slots.set(Purpose::Account, &Secret::from([2; 32]), word.as_ref(), Cost::FOR_TESTS).unwrap();
        slots.save(&path).unwrap();
        fs::read(path).unwrap()
    }

    fn sealed_again(mut bytes: Vec<u8>) -> Vec<u8> {
        bytes.truncate(bytes.len() - 32);
        let sum = hash(&[&bytes]);
        bytes.extend(sum);
        bytes
    }

    #[test]
    fn every_flipped_byte_of_keyslots_is_called_damage() {
        let good = file();
        assert!((good.len() as u64) < MAX_FILE);
        for at in 0..good.len() {
            let mut bent = good.clone();
            bent[at] ^= 0x40;
            assert!(matches!(Keyslots::parse(&bent), Err(HomeError::Damaged(_))), "byte {at}");
        }
    }

    #[test]
    fn a_newer_format_is_named_and_not_called_damage() {
        let mut newer = file();
        newer[9] = 7;
        assert!(matches!(Keyslots::parse(&sealed_again(newer)), Err(HomeError::Newer { found: 7, known: 1 })));
    }

    #[test]
    fn a_file_cannot_ask_for_more_memory_than_the_cap() {
        let lock = Lock { salt: [0; 16], cost: Cost { memory: u32::MAX, passes: 1, lanes: 1 } };
        let slot = Slot { purpose: 1, lock: Some(lock), content: vec![0; 72] };
        let slots = Keyslots { home: [0; 16], slots: vec![slot] };
        let word = Passphrase::new("word");
        assert!(matches!(slots.secret(Purpose::Root, word.as_ref()), Err(HomeError::Damaged(_))));
    }

    #[test]
    fn one_passphrase_in_two_unicode_forms_is_one_passphrase() {
        let mut slots = Keyslots::new().unwrap();
        let typed = Passphrase::new("caf\u{e9}");
        slots.set(Purpose::Root, &Secret::from([1; 32]), typed.as_ref(), Cost::FOR_TESTS).unwrap();
        let decomposed = Passphrase::new("cafe\u{301}");
        assert_eq!(slots.secret(Purpose::Root, decomposed.as_ref()).unwrap(), Some(Secret::from([1; 32])));
        assert!(Passphrase::new("").is_none());
        assert_eq!(format!("{typed:?}"), "Some(Passphrase(…))");
    }

    #[test]
    fn the_slots_cannot_be_swapped() {
        let mut slots = Keyslots::new().unwrap();
        let word = Passphrase::new("word");
        slots.set(Purpose::Account, &Secret::from([2; 32]), word.as_ref(), Cost::FOR_TESTS).unwrap();
        slots.slots[0].purpose = Purpose::Root as u8;
        assert!(matches!(slots.secret(Purpose::Root, word.as_ref()), Err(HomeError::WrongPassphrase)));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let framed = sealed_again([&MAGIC[..], &[0, 1], &bytes, &[0; 32]].concat());
            let _ = Keyslots::parse(&framed);
            let _ = Keyslots::parse(&bytes);
        }
    }
}
