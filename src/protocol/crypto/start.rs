//! The start of a session (§2 Start): one message to a device that may be offline.
//!
//! ```text
//! (ct, ss) = ML-KEM-768.Encaps(prekey.ek)
//! hdr      = prekey id (8) ‖ ct (1088)
//! psk      = HKDF(salt = H("moim/1/start-psk"), ikm = ss ‖ intro, info = H(hdr))
//! prologue = "moim/1/prologue-start" ‖ AK_B ‖ TK_B ‖ SK_B ‖ H(prekey record) ‖ hdr
//! I        = Noise_Xpsk1(s = SK_A, rs = prekey.x25519, psk, payload = next_A (32) ‖ time (u64) ‖ bundle_A)
//! ```
//!
//! The initiator calls [`Session::start`]. The responder goes through types that cannot be put in another order:
//! [`StartSeen::of`] an opened envelope, [`StartSeen::read`] with the prekey it names, [`StartRead::accept`] with the Noise
//! key of a certificate that the caller verified; then the record opens as any other. Nothing is stored before that.
//! This module knows no certificates, contacts or policies: those are the engine's to judge.

use crate::protocol::{
    crypto::{
        envelope::{HeaderKey, Outer, Sid, Tag, outer_keys},
        kdf::{hash, hkdf, kdf},
        kem::{CT_LEN, EK_LEN, KemPublic, KemSeed},
        labels, noise,
        secret::Secret,
        session::{Begin, Role, Session},
    },
    ids::{AccountId, NoiseKey, TransportKey},
    time::Millis,
    wire::limits::MAX_BUNDLE,
};
use minicbor::{Decode, Encode};
use rand_core::CryptoRng;

/// What epoch 0 adds to the initiator's bundle in each header: prekey id, ciphertext, Noise, next key and time.
pub const OVERHEAD: usize = PREKEY_ID + CT_LEN + noise::START_OVERHEAD + NEXT + TIME;

const PREKEY_ID: usize = 8;
const NEXT: usize = 32;
const TIME: usize = 8;

/// The device a start is written to, as its bundle says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// Its account.
    pub account: AccountId,
    /// Its libp2p key.
    pub transport: TransportKey,
    /// Its Noise static key.
    pub noise: NoiseKey,
    /// The prekey to use.
    pub prekey: PrekeyPublic,
}

/// The public half of a prekey.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrekeyPublic {
    /// Names it among the prekeys of its device.
    pub id: [u8; PREKEY_ID],
    /// X25519.
    pub x25519: [u8; 32],
    /// ML-KEM-768 encapsulation key, as received: [`Session::start`] checks it.
    pub kem: Box<[u8; EK_LEN]>,
    /// Hash of the signed prekey record, so that both ends mean the same one.
    pub record_hash: [u8; 32],
}

/// The private half of a prekey. Its `Debug` shows no secret.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct PrekeySecret {
    /// Names it among the prekeys of this device.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub id: [u8; PREKEY_ID],
    /// X25519.
    #[n(1)]
    pub x25519: Secret,
    /// ML-KEM-768.
    #[n(2)]
    pub kem_seed: KemSeed,
    /// Hash of the signed prekey record.
    #[cbor(n(3), with = "minicbor::bytes")]
    pub record_hash: [u8; 32],
}

impl PrekeySecret {
    /// Its public half.
    pub fn public(&self) -> PrekeyPublic {
        PrekeyPublic {
            id: self.id,
            x25519: noise::public_key(&self.x25519),
            kem: Box::new(*self.kem_seed.public().as_bytes()),
            record_hash: self.record_hash,
        }
    }
}

/// The device that reads a start.
#[derive(Debug, Clone, Copy)]
pub struct Responder<'a> {
    /// Its account.
    pub account: AccountId,
    /// Its libp2p key.
    pub transport: TransportKey,
    /// Its Noise static private key.
    pub noise: &'a Secret,
    /// The prekey that the start names.
    pub prekey: &'a PrekeySecret,
}

/// A session that has just begun, with what is told once.
#[derive(Debug)]
pub struct Begun {
    /// The session.
    pub session: Session,
    /// Intro secret for later starts between these two; kept with the contact.
    pub intro_again: Secret,
    /// `H(handshake hash)`: six digits of it are compared when a device is linked.
    pub confirmation: Secret,
}

/// Why there is no session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// The recipient's prekey cannot be used: no session with it is safe.
    #[error("the recipient's prekey is not usable")]
    BadPrekey,
    /// The own bundle is over the limit.
    #[error("a bundle of {0} bytes is longer than {MAX_BUNDLE}")]
    BundleTooLong(usize),
    /// The envelope is not of epoch 0, or its parts are not laid out as a start.
    #[error("malformed start")]
    Malformed,
    /// The prekey handed in is not the one the start names.
    #[error("the start names another prekey")]
    OtherPrekey,
    /// Made for another device, prekey or intro secret, or tampered with.
    #[error("the start does not authenticate")]
    Rejected,
    /// The certificate in the bundle is not of the key that wrote the start.
    #[error("the start was written by another key than its certificate names")]
    OtherSender,
}

/// Tag and header key under which starts made with `intro` come.
pub fn intro_tag(intro: &Secret) -> (Tag, HeaderKey) {
    outer_keys(intro)
}

impl Session {
    /// Begins a session to `to`, whose intro secret is `intro`. `bundle` introduces the own device. Nothing is sent yet:
    /// the first [`Session::seal`] makes an envelope that carries the start.
    pub fn start(
        own_noise: &Secret,
        to: &Recipient,
        intro: &Secret,
        bundle: &[u8],
        now: Millis,
        rng: &mut dyn CryptoRng,
    ) -> Result<Begun, StartError> {
        if bundle.len() > MAX_BUNDLE {
            return Err(StartError::BundleTooLong(bundle.len()));
        }
        let kem = KemPublic::parse(&to.prekey.kem[..]).map_err(|_| StartError::BadPrekey)?;
        let (ct, shared) = kem.encapsulate(rng);
        let hdr = [&to.prekey.id[..], &ct[..]].concat();
        let next = Secret::random(rng);
        let payload = [&noise::public_key(&next)[..], &now.0.to_be_bytes(), bundle].concat();
        let prologue = prologue(to.account, to.transport, to.noise, &to.prekey.record_hash, &hdr);
        let psk = psk(&shared, intro, &hdr);
        let (message, split) = noise::write_start(own_noise, &to.prekey.x25519, &psk, &prologue, &payload, rng)
            .map_err(|_| StartError::BadPrekey)?;
        Ok(begin(split, own_noise, |keys| {
            let handshake = [hdr, message].concat();
            let role = Role::Initiator { next, handshake, intro: intro.clone() };
            Session::begin(keys, to.noise, role, now)
        }))
    }
}

/// A start that came, before anything secret was used on it.
#[derive(Debug, Clone)]
pub struct StartSeen {
    sid: Sid,
    hdr: [u8; PREKEY_ID + CT_LEN],
    message: Vec<u8>,
}

impl StartSeen {
    /// The start inside an envelope of epoch 0 whose outer layer was opened with an intro's header key, and whose sid is
    /// not that of a session already held.
    pub fn of(outer: &Outer) -> Result<Self, StartError> {
        let (hdr, message) = outer.header.handshake.split_first_chunk().ok_or(StartError::Malformed)?;
        if outer.epoch() != 0 || message.len() < noise::START_OVERHEAD + NEXT + TIME {
            return Err(StartError::Malformed);
        }
        Ok(Self { sid: outer.sid(), hdr: *hdr, message: message.to_vec() })
    }

    /// The session it would be.
    pub fn sid(&self) -> Sid {
        self.sid
    }

    /// The prekey it was written to.
    pub fn prekey_id(&self) -> [u8; PREKEY_ID] {
        let mut id = [0; PREKEY_ID];
        id.copy_from_slice(&self.hdr[..PREKEY_ID]);
        id
    }

    /// `H(e)`: remembered until the prekey dies, so that a start is taken once.
    pub fn start_id(&self) -> [u8; 32] {
        hash(&[self.message.get(..32).unwrap_or_default()])
    }

    /// Reads the start. The caller then verifies the certificate in the bundle.
    pub fn read(&self, own: Responder<'_>, intro: &Secret) -> Result<StartRead, StartError> {
        if own.prekey.id != self.prekey_id() {
            return Err(StartError::OtherPrekey);
        }
        let (_, ct) = self.hdr.split_last_chunk::<CT_LEN>().ok_or(StartError::Malformed)?;
        let own_noise = NoiseKey(noise::public_key(own.noise));
        let prologue = prologue(own.account, own.transport, own_noise, &own.prekey.record_hash, &self.hdr);
        let psk = psk(&own.prekey.kem_seed.decapsulate(ct), intro, &self.hdr);
        let read =
            noise::read_start(&own.prekey.x25519, &psk, &prologue, &self.message).map_err(|_| StartError::Rejected)?;
        if sid(&read.split) != self.sid {
            return Err(StartError::Rejected);
        }
        let (next, rest) = read.payload.split_first_chunk::<NEXT>().ok_or(StartError::Malformed)?;
        let (time, bundle) = rest.split_first_chunk::<TIME>().ok_or(StartError::Malformed)?;
        let sent = Millis(u64::from_be_bytes(*time));
        if !noise::is_usable(next) || sent > Millis::MAX || bundle.len() > MAX_BUNDLE {
            return Err(StartError::Malformed);
        }
        Ok(StartRead {
            from: read.from,
            bundle: bundle.to_vec(),
            sent,
            next: *next,
            split: read.split,
            own_noise: own.noise.clone(),
            intro: intro.clone(),
        })
    }
}

/// A start that authenticated: the holder of `peer_noise` wrote it to this device. Who that is, the bundle must prove.
#[derive(Debug)]
pub struct StartRead {
    from: NoiseKey,
    bundle: Vec<u8>,
    sent: Millis,
    next: [u8; 32],
    split: noise::Split,
    own_noise: Secret,
    intro: Secret,
}

impl StartRead {
    /// The static key that wrote it.
    pub fn peer_noise(&self) -> NoiseKey {
        self.from
    }

    /// The sender's bundle, at most `MAX_BUNDLE` bytes, unverified.
    pub fn bundle(&self) -> &[u8] {
        &self.bundle
    }

    /// When the sender's clock says it was written.
    pub fn sent(&self) -> Millis {
        self.sent
    }

    /// The session, for a caller who verified the bundle's certificate, which names the Noise key `certified`, and whose
    /// policy allows it.
    pub fn accept(self, certified: NoiseKey, now: Millis) -> Result<Begun, StartError> {
        if certified != self.from {
            return Err(StartError::OtherSender);
        }
        let Self { from, next, split, own_noise, intro, .. } = self;
        Ok(begin(split, &own_noise, |keys| Session::begin(keys, from, Role::Responder { next, intro }, now)))
    }
}

fn begin(split: noise::Split, own_noise: &Secret, session: impl FnOnce(Begin) -> Session) -> Begun {
    let keys = Begin {
        sid: sid(&split),
        own_noise: own_noise.clone(),
        root: kdf(split.k2.expose(), labels::ROOT, &[]),
        chain: kdf(split.k1.expose(), labels::CHAIN, &[]),
    };
    Begun {
        session: session(keys),
        intro_again: kdf(split.k2.expose(), labels::INTRO_AGAIN, &[]),
        confirmation: Secret::from(hash(&[split.hash.expose()])),
    }
}

fn sid(split: &noise::Split) -> Sid {
    let full = hash(&[labels::SID.as_bytes(), split.hash.expose()]);
    let mut short = [0; 16];
    short.copy_from_slice(&full[..16]);
    Sid(short)
}

fn psk(shared: &Secret, intro: &Secret, hdr: &[u8]) -> Secret {
    let salt = hash(&[labels::START_PSK.as_bytes()]);
    hkdf(&salt, &[shared.expose(), intro.expose()], &hash(&[hdr]))
}

fn prologue(
    account: AccountId,
    transport: TransportKey,
    noise: NoiseKey,
    record_hash: &[u8; 32],
    hdr: &[u8],
) -> Vec<u8> {
    [labels::PROLOGUE_START.as_bytes(), &account.0, &transport.0, &noise.0, record_hash, hdr].concat()
}

#[cfg(test)]
mod tests;
