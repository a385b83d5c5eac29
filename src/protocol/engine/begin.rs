//! The first rows of an account on a device: keys, certificate, device list, first prekey and bundle.

use super::rows::{ChatKind, ChatRow, OwnRow, PrekeyRow};
use crate::protocol::{
    crypto::{kem::KemSeed, start::PrekeySecret},
    event::Heads,
    identity::{
        AccountKey, DeviceKeys, Name, SignedBundle, SignedCert, SignedList,
        bundle::{BoxId, BundleError, Reach},
        certificate::{CertError, next_seq},
        prekey::{self, NewPrekey},
    },
    ids::{ChatId, DeviceId},
    time::Millis,
    view::Write,
    wire::encode,
};
use rand_core::CryptoRng;

/// An account could not be begun: what was made does not pass its own checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BeginError {
    /// The certificate or list.
    #[error(transparent)]
    Certificate(#[from] CertError),
    /// The bundle.
    #[error(transparent)]
    Bundle(#[from] BundleError),
}

/// What an empty store must hold before an [`super::Engine`] can run over it.
pub fn first_rows(
    account: &AccountKey,
    name: &Name,
    now: Millis,
    rng: &mut dyn CryptoRng,
) -> Result<Vec<Write>, BeginError> {
    let (own, mut rows) = device_rows(account, name, NewDevice::first(now), now, rng)?;
    let notes = ChatRow::new(ChatId::direct(own.account, own.account), ChatKind::Own, now);
    rows.push(Write::Put(ChatRow::key(notes.chat), encode(&notes)));
    Ok(rows)
}

/// What a new device goes on from.
pub(super) struct NewDevice {
    /// The number of the newest device list that is known; 0 where none is.
    pub(super) after: u64,
    /// The account's devices before, which this one replaces.
    pub(super) former: Vec<DeviceId>,
    /// When the display name was chosen.
    pub(super) name_chosen: Millis,
}

impl NewDevice {
    fn first(now: Millis) -> Self {
        Self { after: 0, former: Vec::new(), name_chosen: now }
    }
}

/// A new device that is alone on its account's list: its row, and all rows with that one.
pub(super) fn device_rows(
    account: &AccountKey,
    name: &Name,
    new: NewDevice,
    now: Millis,
    rng: &mut dyn CryptoRng,
) -> Result<(OwnRow, Vec<Write>), BeginError> {
    let keys = DeviceKeys::random(rng);
    let cert = SignedCert::issue(account, &keys, now);
    let list = SignedList::issue(account, next_seq(new.after, now), [cert.verify()?.hash()])?;
    let seq = next_seq(0, now);
    let (row, record) = new_prekey(seq, None, now, rng);
    let bundle = SignedBundle::issue(&keys, list.clone(), cert.clone(), record, Reach::default(), seq)?;
    let own = OwnRow {
        account: account.id(),
        device: keys.id(),
        transport: keys.transport_key(),
        noise: keys.noise_key(),
        keys: encode(&keys),
        cert: encode(&cert),
        list: encode(&list),
        bundle: encode(&bundle),
        bundle_seq: seq,
        name: name.to_string(),
        created: now,
        addresses: Vec::new(),
        prekey: row.id,
        prekey_made: now,
        name_chosen: new.name_chosen,
        former: new.former,
        replaced: None,
        rolled_back: None,
        late: Vec::new(),
    };
    let rows = vec![Write::Put(OwnRow::key(), encode(&own)), Write::Put(PrekeyRow::key(&row.id), encode(&row))];
    Ok((own, rows))
}

/// A fresh prekey: the row that keeps its private half, and its public record for a bundle.
pub(super) fn new_prekey(
    seq: u64,
    ticket: Option<BoxId>,
    now: Millis,
    rng: &mut dyn CryptoRng,
) -> (PrekeyRow, Vec<u8>) {
    let NewPrekey { prekey, record, x25519, kem_seed } = prekey::make(seq, kem_public, rng);
    let secret =
        PrekeySecret { id: prekey.id, x25519, kem_seed: KemSeed::from(*kem_seed), record_hash: *prekey.hash() };
    let row = PrekeyRow { secret: encode(&secret), made: now, ticket, id: prekey.id };
    (row, record)
}

fn kem_public(seed: &[u8; 64]) -> [u8; 1184] {
    *KemSeed::from(*seed).public().as_bytes()
}

impl ChatRow {
    /// A conversation in which nothing was said.
    pub(super) fn new(chat: ChatId, kind: ChatKind, now: Millis) -> Self {
        Self {
            chat,
            kind,
            written: 0,
            previous: None,
            heads: encode(&Heads::default()),
            unread: 0,
            last: None,
            read: None,
            tells_read: None,
            since: now,
        }
    }
}
