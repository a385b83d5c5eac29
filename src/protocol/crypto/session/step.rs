//! One step of the ratchet: `R_n`, its payload, and the keys it gives.

use super::{Offered, OpenError};
use crate::protocol::{
    crypto::{
        envelope::Sid,
        kdf::{hkdf, kdf},
        kem::{CT_LEN, EK_LEN, KemPublic, KemSeed},
        labels,
        noise::{self, NoiseError, Split},
        secret::Secret,
    },
    ids::NoiseKey,
    time::Millis,
    wire::limits::{KEM_EVERY, KEM_EVERY_EPOCHS},
};
use rand_core::CryptoRng;

const CT: u8 = 1;
const EK: u8 = 2;

/// The place of a step in its session: its epoch and the root key before it.
pub(super) struct Link<'a> {
    pub(super) sid: Sid,
    pub(super) epoch: u32,
    pub(super) root: &'a Secret,
}

impl Link<'_> {
    fn prologue(&self) -> Vec<u8> {
        [labels::RATCHET.as_bytes(), &self.sid.0, &self.epoch.to_be_bytes()].concat()
    }
}

/// A step we wrote.
pub(super) struct Written {
    pub(super) handshake: Vec<u8>,
    pub(super) chain: Secret,
    pub(super) root: Secret,
    pub(super) next: Secret,
    pub(super) kem: Option<KemSeed>,
}

/// A step we read.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) chain: Secret,
    pub(super) root: Secret,
    pub(super) next: [u8; 32],
    pub(super) ek: Option<KemPublic>,
}

/// What a step says about keys for the peer's next one.
pub(super) enum Offer {
    /// Nothing beyond X25519.
    Plain,
    /// A fresh `ek` as well.
    WithKem,
}

/// An `ek` goes into the first step a party writes, and again when its last is old by time or count of own epochs.
pub(super) fn offer_is_due(last: Option<Offered>, epoch: u32, now: Millis) -> Offer {
    match last {
        Some(last) if now.since(last.at) < KEM_EVERY && (epoch - last.epoch) / 2 < KEM_EVERY_EPOCHS => Offer::Plain,
        _ => Offer::WithKem,
    }
}

pub(super) fn write(
    link: &Link<'_>,
    own: &Secret,
    to: &[u8; 32],
    ek: Option<&KemPublic>,
    offer: Offer,
    rng: &mut dyn CryptoRng,
) -> Result<Written, NoiseError> {
    let next = Secret::random(rng);
    let kem = match offer {
        Offer::Plain => None,
        Offer::WithKem => Some(KemSeed::random(rng)),
    };
    let answer = ek.map(|ek| ek.encapsulate(rng));
    let flags = if answer.is_some() { CT } else { 0 } | if kem.is_some() { EK } else { 0 };
    let mut payload = [&noise::public_key(&next)[..], &[flags]].concat();
    if let Some((ct, _)) = &answer {
        payload.extend_from_slice(&ct[..]);
    }
    if let Some(kem) = &kem {
        payload.extend_from_slice(kem.public().as_bytes());
    }
    let (handshake, split) = noise::write_step(own, to, link.root, &link.prologue(), &payload, rng)?;
    let (chain, root) = keys(split, answer.as_ref().map(|(_, shared)| shared));
    Ok(Written { handshake, chain, root, next, kem })
}

/// Reads a step with the private keys of our newest epoch. It must carry a `ct` exactly if we offered an `ek`.
pub(super) fn read(
    link: &Link<'_>,
    own: &Secret,
    from: &NoiseKey,
    kem: Option<&KemSeed>,
    handshake: &[u8],
) -> Result<Read, OpenError> {
    let read = noise::read_step(own, from, link.root, &link.prologue(), handshake).map_err(|_| OpenError::Tampered)?;
    let payload = Payload::parse(&read.payload).ok_or(OpenError::Malformed)?;
    let shared = match (kem, payload.ct) {
        (Some(kem), Some(ct)) => Some(kem.decapsulate(ct)),
        (None, None) => None,
        _ => return Err(OpenError::Malformed),
    };
    let (chain, root) = keys(read.split, shared.as_ref());
    Ok(Read { chain, root, next: payload.next, ek: payload.ek })
}

struct Payload<'a> {
    next: [u8; 32],
    ct: Option<&'a [u8; CT_LEN]>,
    ek: Option<KemPublic>,
}

impl<'a> Payload<'a> {
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (next, rest) = bytes.split_first_chunk()?;
        let (&flags, mut rest) = rest.split_first()?;
        let (mut ct, mut ek) = (None, None);
        if flags & CT != 0 {
            let (bytes, after) = rest.split_first_chunk()?;
            (ct, rest) = (Some(bytes), after);
        }
        if flags & EK != 0 {
            let (bytes, after) = rest.split_first_chunk::<EK_LEN>()?;
            (ek, rest) = (Some(KemPublic::parse(bytes).ok()?), after);
        }
        let whole = rest.is_empty() && flags & !(CT | EK) == 0;
        (whole && noise::is_usable(next)).then_some(Self { next: *next, ct, ek })
    }
}

/// `(CK, RK_n)` of a split and the secret of its `ct`, if it carries one.
fn keys(split: Split, shared: Option<&Secret>) -> (Secret, Secret) {
    let mixed = |key: Secret| match shared {
        Some(shared) => hkdf(key.expose(), &[shared.expose()], labels::KEM.as_bytes()),
        None => key,
    };
    let (k1, k2) = (mixed(split.k1), mixed(split.k2));
    (kdf(k1.expose(), labels::CHAIN, &[]), kdf(k2.expose(), labels::ROOT, &[]))
}
