//! Noise one-way handshakes: the only file that names `snow`.
//!
//! Two suites, fixed: `Xpsk1` begins a session ([`write_start`], [`read_start`]), `Kpsk0` is one step of its ratchet
//! ([`write_step`], [`read_step`]). Each returns what its message carries and the raw split pair `(k1, k2)` of Noise
//! section 5.2 in the order `Split()` gives it, the same on both sides; no Noise transport message is ever made.
//!
//! Why not `snow` as it comes: it accepts an all-zero Diffie–Hellman output, panics on a private key of another length,
//! leaves the remote static filled in after a failed read, and erases nothing. So keys are `[u8; 32]` or [`Secret`] here,
//! a remote static is returned only by a read that succeeded, and `Primitives` refuses zero outputs and erases what it
//! holds. What `snow` itself keeps on its stack (chaining key, pre-shared key) it does not erase; it lives for one call.
//!
//! Randomness: a write draws 32 bytes from the caller's generator, which become the ephemeral private key, and nothing
//! else; a read draws nothing. So a message is a pure function of its arguments.
//!
//! `start` and `session` call this. It knows nothing of sessions.

use crate::protocol::{crypto::secret::Secret, ids::NoiseKey};
use chacha20poly1305::{AeadInOut, ChaCha20Poly1305, KeyInit};
use hmac::{Hmac, Mac};
use rand_core::CryptoRng;
use sha2::{Digest, Sha256};
use snow::{
    Builder, Error, HandshakeState,
    params::{CipherChoice, DHChoice, HashChoice, NoiseParams},
    resolvers::CryptoResolver,
    types::{Cipher, Dh, Hash, Random},
};
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::{Zeroize, Zeroizing};

/// What a start adds to its payload, in bytes: ephemeral, sealed static, tag.
pub const START_OVERHEAD: usize = 32 + 48 + 16;
/// What a step adds to its payload, in bytes: ephemeral and tag.
pub const STEP_OVERHEAD: usize = 32 + 16;
/// The longest Noise message, in bytes (Noise section 3).
pub const MAX_MESSAGE: usize = 65_535;

/// What both ends of a handshake share once it is done.
#[derive(Debug)]
pub struct Split {
    /// First key of `Split()`.
    pub k1: Secret,
    /// Second key of `Split()`; a one-way pattern sends nothing under it, so it is free for the root.
    pub k2: Secret,
    /// The handshake hash: binds everything that was said, known only to the two ends.
    pub hash: Secret,
}

/// What a read gives, once it has succeeded.
#[derive(Debug)]
pub struct Read {
    /// The payload, decrypted.
    pub payload: Zeroizing<Vec<u8>>,
    /// The sender's static key, proven by the message.
    pub from: NoiseKey,
    /// The shared keys.
    pub split: Split,
}

/// Why there is no handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoiseError {
    /// A message that this key, pre-shared key and prologue do not read.
    #[error("the handshake message does not authenticate")]
    Rejected,
    /// A public key of small order: the shared secret would be all zero (RFC 7748 section 6.1).
    #[error("a public key gives an all-zero shared secret")]
    WeakKey,
    /// More than a Noise message holds.
    #[error("a handshake payload of {0} bytes does not fit a Noise message")]
    TooLong(usize),
}

/// The X25519 public key of `secret`.
pub fn public_key(secret: &Secret) -> [u8; 32] {
    PublicKey::from(&StaticSecret::from(*secret.expose())).to_bytes()
}

/// Whether `public` can take part in a handshake: false for the few points of small order, with which every exchange
/// gives zero. Checked when a peer's key arrives, so that no later send of ours fails on it.
pub fn is_usable(public: &[u8; 32]) -> bool {
    // A clamped scalar is a multiple of the cofactor: the product is zero for points of small order only.
    StaticSecret::from([1; 32]).diffie_hellman(&PublicKey::from(*public)).was_contributory()
}

/// Writes a start, `Noise_Xpsk1`: `own` is proven to whoever holds the private half of `to` and `psk`.
pub fn write_start(
    own: &Secret,
    to: &[u8; 32],
    psk: &Secret,
    prologue: &[u8],
    payload: &[u8],
    rng: &mut dyn CryptoRng,
) -> Result<(Vec<u8>, Split), NoiseError> {
    write(Suite::Start, Keys { own, remote: Some(to), psk, prologue }, payload, Secret::random(rng))
}

/// Reads a start with the private key it was written to.
pub fn read_start(own: &Secret, psk: &Secret, prologue: &[u8], message: &[u8]) -> Result<Read, NoiseError> {
    read(Suite::Start, Keys { own, remote: None, psk, prologue }, message)
}

/// Writes a step of the ratchet, `Noise_Kpsk0`: from `own`, known to the reader, to the key `to`.
pub fn write_step(
    own: &Secret,
    to: &[u8; 32],
    psk: &Secret,
    prologue: &[u8],
    payload: &[u8],
    rng: &mut dyn CryptoRng,
) -> Result<(Vec<u8>, Split), NoiseError> {
    write(Suite::Step, Keys { own, remote: Some(to), psk, prologue }, payload, Secret::random(rng))
}

/// Reads a step written by the static key `from` to the private key `own`.
pub fn read_step(
    own: &Secret,
    from: &NoiseKey,
    psk: &Secret,
    prologue: &[u8],
    message: &[u8],
) -> Result<Read, NoiseError> {
    read(Suite::Step, Keys { own, remote: Some(&from.0), psk, prologue }, message)
}

#[derive(Clone, Copy)]
enum Suite {
    Start,
    Step,
}

impl Suite {
    fn name(self) -> &'static str {
        match self {
            Self::Start => "Noise_Xpsk1_25519_ChaChaPoly_SHA256",
            Self::Step => "Noise_Kpsk0_25519_ChaChaPoly_SHA256",
        }
    }

    fn psk_place(self) -> u8 {
        match self {
            Self::Start => 1,
            Self::Step => 0,
        }
    }

    fn overhead(self) -> usize {
        match self {
            Self::Start => START_OVERHEAD,
            Self::Step => STEP_OVERHEAD,
        }
    }
}

/// What one side brings. Arrays, never slices: `snow` panics on a key of another length.
struct Keys<'a> {
    own: &'a Secret,
    remote: Option<&'a [u8; 32]>,
    psk: &'a Secret,
    prologue: &'a [u8],
}

fn write(suite: Suite, keys: Keys<'_>, payload: &[u8], ephemeral: Secret) -> Result<(Vec<u8>, Split), NoiseError> {
    let len = payload.len() + suite.overhead();
    if len > MAX_MESSAGE {
        return Err(NoiseError::TooLong(payload.len()));
    }
    let mut state = builder(suite, &keys, Some(ephemeral)).and_then(Builder::build_initiator)?;
    let mut message = vec![0; len];
    let written = state.write_message(payload, &mut message)?;
    message.truncate(written);
    Ok((message, split(&mut state)?))
}

fn read(suite: Suite, keys: Keys<'_>, message: &[u8]) -> Result<Read, NoiseError> {
    if message.len() < suite.overhead() || message.len() > MAX_MESSAGE {
        return Err(NoiseError::Rejected);
    }
    let mut state = builder(suite, &keys, None).and_then(Builder::build_responder)?;
    let mut payload = Zeroizing::new(vec![0; message.len()]);
    let len = state.read_message(message, &mut payload)?;
    payload.truncate(len);
    let from = state.get_remote_static().and_then(|key| key.try_into().ok()).ok_or(NoiseError::Rejected)?;
    Ok(Read { payload, from: NoiseKey(from), split: split(&mut state)? })
}

fn builder<'a>(suite: Suite, keys: &Keys<'a>, ephemeral: Option<Secret>) -> Result<Builder<'a>, Error> {
    let params: NoiseParams = suite.name().parse()?;
    let builder = Builder::with_resolver(params, Box::new(Primitives { ephemeral }))
        .prologue(keys.prologue)?
        .psk(suite.psk_place(), keys.psk.expose())?
        .local_private_key(keys.own.expose())?;
    match keys.remote {
        Some(remote) => builder.remote_public_key(remote),
        None => Ok(builder),
    }
}

fn split(state: &mut HandshakeState) -> Result<Split, NoiseError> {
    let hash: [u8; 32] = state.get_handshake_hash().try_into().map_err(|_| NoiseError::Rejected)?;
    let (mut first, mut second) = state.dangerously_get_raw_split();
    let split = Split { k1: Secret::from(first), k2: Secret::from(second), hash: Secret::from(hash) };
    first.zeroize();
    second.zeroize();
    Ok(split)
}

impl From<Error> for NoiseError {
    fn from(error: Error) -> Self {
        match error {
            Error::Dh => Self::WeakKey,
            _ => Self::Rejected,
        }
    }
}

/// 25519, ChaChaPoly and SHA256 for `snow`, and the one ephemeral key of a write.
struct Primitives {
    ephemeral: Option<Secret>,
}

impl CryptoResolver for Primitives {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(OneKey(self.ephemeral.clone())))
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        matches!(choice, DHChoice::Curve25519).then(|| Box::new(X25519::from(Secret::from([0; 32]))) as Box<dyn Dh>)
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        matches!(choice, HashChoice::SHA256).then(|| Box::new(HashSha256::default()) as Box<dyn Hash>)
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        matches!(choice, CipherChoice::ChaChaPoly)
            .then(|| Box::new(ChaChaPoly(Secret::from([0; 32]))) as Box<dyn Cipher>)
    }
}

/// Gives the ephemeral key once; any other draw is an error, so nothing can be random behind the caller's back.
struct OneKey(Option<Secret>);

impl Random for OneKey {
    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), Error> {
        let key = self.0.take().ok_or(Error::Rng)?;
        if dest.len() != key.expose().len() {
            return Err(Error::Rng);
        }
        dest.copy_from_slice(key.expose());
        Ok(())
    }
}

/// RFC 7748 X25519. `StaticSecret` erases itself.
struct X25519 {
    secret: StaticSecret,
    public: PublicKey,
}

impl From<Secret> for X25519 {
    fn from(secret: Secret) -> Self {
        let secret = StaticSecret::from(*secret.expose());
        Self { public: PublicKey::from(&secret), secret }
    }
}

impl Dh for X25519 {
    fn name(&self) -> &'static str {
        "25519"
    }

    fn pub_len(&self) -> usize {
        32
    }

    fn priv_len(&self) -> usize {
        32
    }

    fn set(&mut self, privkey: &[u8]) {
        let Ok(key) = <[u8; 32]>::try_from(privkey) else {
            unreachable!("every private key in this file is 32 bytes by type")
        };
        *self = Secret::from(key).into();
    }

    fn generate(&mut self, rng: &mut dyn Random) -> Result<(), Error> {
        let mut key = Zeroizing::new([0; 32]);
        rng.try_fill_bytes(&mut *key)?;
        *self = Secret::from(*key).into();
        Ok(())
    }

    fn pubkey(&self) -> &[u8] {
        self.public.as_bytes()
    }

    fn privkey(&self) -> &[u8] {
        self.secret.as_bytes()
    }

    fn dh(&self, pubkey: &[u8], out: &mut [u8]) -> Result<(), Error> {
        // `snow` hands over a longer buffer whose first 32 bytes are the key.
        let key = pubkey.first_chunk::<32>().ok_or(Error::Dh)?;
        let shared = self.secret.diffie_hellman(&PublicKey::from(*key));
        if !shared.was_contributory() {
            return Err(Error::Dh);
        }
        put(out, shared.as_bytes());
        Ok(())
    }
}

/// RFC 8439 ChaCha20-Poly1305 with Noise's nonce: four zero bytes and the counter, little-endian.
struct ChaChaPoly(Secret);

impl ChaChaPoly {
    const TAG: usize = 16;

    fn nonce(counter: u64) -> [u8; 12] {
        let mut nonce = [0; 12];
        put(&mut nonce[4..], &counter.to_le_bytes());
        nonce
    }

    fn cipher(&self) -> ChaCha20Poly1305 {
        ChaCha20Poly1305::new(&(*self.0.expose()).into())
    }
}

impl Cipher for ChaChaPoly {
    fn name(&self) -> &'static str {
        "ChaChaPoly"
    }

    fn set(&mut self, key: &[u8; 32]) {
        self.0 = Secret::from(*key);
    }

    fn encrypt(&self, nonce: u64, authtext: &[u8], plaintext: &[u8], out: &mut [u8]) -> usize {
        let Some((text, rest)) = out.split_at_mut_checked(plaintext.len()) else {
            unreachable!("`write` sizes the message for everything that goes into it")
        };
        text.copy_from_slice(plaintext);
        match self.cipher().encrypt_inout_detached(&Self::nonce(nonce).into(), authtext, text.into()) {
            Ok(tag) => put(rest, &tag),
            Err(_) => unreachable!("a Noise message is far below what ChaCha20-Poly1305 seals"),
        }
        plaintext.len() + Self::TAG
    }

    fn decrypt(&self, nonce: u64, authtext: &[u8], ciphertext: &[u8], out: &mut [u8]) -> Result<usize, Error> {
        let (text, tag) = ciphertext.split_last_chunk::<{ Self::TAG }>().ok_or(Error::Decrypt)?;
        let out = out.get_mut(..text.len()).ok_or(Error::Decrypt)?;
        out.copy_from_slice(text);
        self.cipher()
            .decrypt_inout_detached(&Self::nonce(nonce).into(), authtext, out.into(), &(*tag).into())
            .map_err(|_| Error::Decrypt)?;
        Ok(text.len())
    }
}

/// FIPS 180-4 SHA-256, and Noise's HKDF (section 4.3) with its intermediate keys erased.
#[derive(Default)]
struct HashSha256(Sha256);

impl Hash for HashSha256 {
    fn name(&self) -> &'static str {
        "SHA256"
    }

    fn block_len(&self) -> usize {
        64
    }

    fn hash_len(&self) -> usize {
        32
    }

    fn reset(&mut self) {
        Digest::reset(&mut self.0);
    }

    fn input(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    fn result(&mut self, out: &mut [u8]) {
        put(out, &self.0.finalize_reset());
    }

    fn hmac(&mut self, key: &[u8], data: &[u8], out: &mut [u8]) {
        put(out, &*hmac(key, &[data]));
    }

    fn hkdf(&mut self, ck: &[u8], ikm: &[u8], outputs: usize, out1: &mut [u8], out2: &mut [u8], out3: &mut [u8]) {
        let key = hmac(ck, &[ikm]);
        let first = hmac(&*key, &[&[1]]);
        put(out1, &*first);
        if outputs < 2 {
            return;
        }
        let second = hmac(&*key, &[&*first, &[2]]);
        put(out2, &*second);
        if outputs < 3 {
            return;
        }
        put(out3, &*hmac(&*key, &[&*second, &[3]]));
    }
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> Zeroizing<[u8; 32]> {
    let Ok(mut mac) = <Hmac<Sha256> as KeyInit>::new_from_slice(key) else {
        unreachable!("HMAC takes a key of any length")
    };
    parts.iter().for_each(|part| mac.update(part));
    Zeroizing::new(mac.finalize().into_bytes().into())
}

/// Copies `bytes` to the front of `out`, which `snow` sizes for the longest algorithm it knows.
fn put(out: &mut [u8], bytes: &[u8]) {
    out.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
}

#[cfg(test)]
mod tests;
