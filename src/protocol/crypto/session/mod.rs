//! A session between two devices: the Noise-chained ratchet (§2 Message in epoch n).
//!
//! **Epochs alternate strictly.** Even epochs are the initiator's, odd ones the responder's. A party opens the next epoch
//! with its first send after it has read the peer's newest; until then it goes on in its own. So at any time exactly one
//! party may open an epoch (`Turn`), and simultaneous flights cannot collide.
//!
//! ```text
//! R_n  = Noise_Kpsk0(s = SK_own, rs = peer.next, psk = RK_{n-1}, prologue = "moim/1/ratchet" ‖ sid ‖ n (u32), payload)
//! payload = next_own (32) ‖ flags (1) ‖ ct (1088, flag 1) ‖ ek (1184, flag 2)
//! (k1, k2) = raw split; with ct: k_j = HKDF(salt = k_j, ikm = ss, info = "moim/1/kem")
//! CK = KDF(k1, "moim/1/chain")      RK_n = KDF(k2, "moim/1/root")      (CK, MK) = KDF(CK, "moim/1/step")
//! (tag_n, HK_n) = KDF(n = 0 ? intro : RK_{n-1}, "moim/1/outer")
//! ```
//!
//! **What closes the design's gaps.**
//! - The peer's next epoch is one more than our newest, and its tag derives from the root of that newest epoch of ours. It
//!   is known from the moment we open an epoch until the peer's next has been read; in between there is no such row. A
//!   responder that has not sent yet knows the rows of epoch 0 only; an initiator without answer that of epoch 1 only.
//! - A flight holds at most [`MAX_GAP`] messages: [`Session::seal`] answers [`SealError::FlightFull`] at the end of it, and
//!   an index or `pn` past it is malformed. So no honest gap is ever too wide to be stepped over.
//! - `pn` of a party's first epoch is 0. A `pn` below what was already read skips nothing.
//! - The peer's next R must carry `ct` exactly if we offered an `ek` in our newest epoch; anything else is refused, so that
//!   nobody can talk the ratchet down. A `next` of small order is refused when it arrives.
//! - An own epoch is over once the peer's next was read: its chain key and handshake are erased then, its count is kept
//!   for `pn`.
//! - `KeyGone` is also said of an epoch whose rows are gone and that was yet opened through a live intro (epoch 0).
//! - Epoch 0 is a flight like any other, its handshake being `hdr ‖ I`; the initiator leaves it with its first send after
//!   it has read the responder's epoch 1.
//! - The rows of epoch 0 close at 30 days even where it is still the peer's newest epoch.
//!
//! **Durability is the caller's**: a changed session is stored before its ciphertext leaves; [`Session::open`] works on a
//! copy, so a failed one changes nothing. Skipped message keys live in rows of their own ([`Opened::keep`]), so that the
//! session's row stays small: about 300 bytes, the own handshake (up to 2.4 KiB; up to 9.4 KiB in epoch 0), and 1.2 KiB
//! while the peer's `ek` waits for an answer.

mod chain;
mod gaps;
mod outcome;
mod step;

use crate::protocol::{
    crypto::{
        envelope::{Header, HeaderKey, Outer, Sid, Tag, seal_outer},
        kem::{KemPublic, KemSeed},
        labels,
        seal::{open_once, seal_once},
        secret::Secret,
    },
    ids::NoiseKey,
    time::Millis,
    wire::{
        Malformed, decode, encode,
        limits::{EPOCH_0_KEPT, MAX_GAP, MAX_OLD_EPOCHS, MAX_RECORD, MAX_SKIPPED_PER_SESSION, SKIPPED_KEPT},
    },
};
use chain::{Chain, Older, Reading, Row, Writing};
use gaps::Position;
use minicbor::{Decode, Encode};
pub use outcome::{OpenError, Opened, SealError, Sealed, SkipId};
use rand_core::CryptoRng;
use std::fmt;

/// One end of a session. Everything it knows is in its row: [`Session::to_row`], [`Session::from_row`].
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Session {
    #[n(0)]
    version: Version,
    #[n(1)]
    sid: Sid,
    #[n(2)]
    initiator: bool,
    #[n(3)]
    started: Millis,
    /// The own static private key; a copy, so that sealing needs nothing but the session.
    #[n(4)]
    own_noise: Secret,
    #[n(5)]
    peer_noise: NoiseKey,
    /// `RK_n` of the newest epoch, whoever opened it.
    #[n(6)]
    root: Secret,
    #[n(7)]
    turn: Turn,
    /// The peer's newest epoch; none before an initiator's first answer.
    #[n(8)]
    reading: Option<Reading>,
    /// Earlier epochs of the peer with keys outstanding, oldest first.
    #[n(9)]
    older: Vec<Older>,
    /// When and in which own epoch an `ek` was last offered.
    #[n(10)]
    offered: Option<Offered>,
    /// The rows of epoch 0 have outlived their time.
    #[n(11)]
    epoch_0_closed: bool,
}

/// Who opens the next epoch, and what waits for that.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
enum Turn {
    /// The newest epoch is the peer's: our next send opens one, to the key and `ek` the peer named. Our last epoch is
    /// over, its chain key and handshake are erased.
    #[n(0)]
    Ours {
        #[cbor(n(0), with = "minicbor::bytes")]
        next: [u8; 32],
        #[n(1)]
        ek: Option<KemPublic>,
        #[n(2)]
        last: Option<Last>,
    },
    /// The newest epoch is ours: we write in it until the peer's next one is read with `next` and `kem`, which are erased
    /// then.
    #[n(1)]
    Theirs {
        #[n(0)]
        writing: Writing,
        #[n(1)]
        next: Secret,
        #[n(2)]
        kem: Option<KemSeed>,
    },
}

/// Our epoch before this one, and how many messages it held: the next one's `pn`.
#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode)]
struct Last {
    #[n(0)]
    epoch: u32,
    #[n(1)]
    count: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode)]
struct Offered {
    #[n(0)]
    at: Millis,
    #[n(1)]
    epoch: u32,
}

/// The form of a session's row; another is refused.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Version;

/// What `start` brings to a new session.
pub(super) struct Begin {
    pub(super) sid: Sid,
    pub(super) own_noise: Secret,
    pub(super) root: Secret,
    pub(super) chain: Secret,
}

/// The side of a start one is on.
pub(super) enum Role {
    /// Wrote it: `next` is the own private key, `handshake` is `hdr ‖ I`.
    Initiator { next: Secret, handshake: Vec<u8>, intro: Secret },
    /// Read it: `next` is the initiator's public key.
    Responder { next: [u8; 32], intro: Secret },
}

impl Session {
    pub(super) fn begin(keys: Begin, peer_noise: NoiseKey, role: Role, now: Millis) -> Self {
        let chain = Chain::new(keys.chain);
        let (initiator, reading, turn) = match role {
            Role::Initiator { next, handshake, intro } => {
                let writing = Writing { row: Row::new(0, &intro), chain, previous: 0, handshake };
                (true, None, Turn::Theirs { writing, next, kem: None })
            }
            Role::Responder { next, intro } => {
                let reading = Reading { row: Row::new(0, &intro), chain, gaps: Default::default() };
                (false, Some(reading), Turn::Ours { next, ek: None, last: None })
            }
        };
        Self {
            version: Version,
            sid: keys.sid,
            initiator,
            started: now,
            own_noise: keys.own_noise,
            peer_noise,
            root: keys.root,
            turn,
            reading,
            older: Vec::new(),
            offered: None,
            epoch_0_closed: false,
        }
    }

    /// The session in a row that [`Session::to_row`] made.
    pub fn from_row(row: &[u8]) -> Result<Self, Malformed> {
        decode(row, "session")
    }

    /// Everything, as one row. Secret: for the encrypted store only.
    pub fn to_row(&self) -> Vec<u8> {
        encode(self)
    }

    /// Its name, the same on both sides.
    pub fn sid(&self) -> Sid {
        self.sid
    }

    /// Whether this side wrote the start.
    pub fn is_initiator(&self) -> bool {
        self.initiator
    }

    /// When it began here, by the own clock.
    pub fn started(&self) -> Millis {
        self.started
    }

    /// The peer's Noise static key.
    pub fn peer_noise(&self) -> NoiseKey {
        self.peer_noise
    }

    /// The own newest epoch; `None` before a responder's first send.
    pub fn own_epoch(&self) -> Option<u32> {
        match &self.turn {
            Turn::Ours { last, .. } => last.map(|last| last.epoch),
            Turn::Theirs { writing, .. } => Some(writing.row.epoch),
        }
    }

    /// The peer's newest epoch that was read; `None` before an initiator's first answer.
    pub fn peer_epoch(&self) -> Option<u32> {
        self.reading.as_ref().map(|reading| reading.row.epoch)
    }

    /// Whether anything of the peer has been read.
    pub fn answered(&self) -> bool {
        self.reading.is_some()
    }

    /// Every row under which the peer's envelopes may come now: its newest epoch, its next, and older ones with keys
    /// outstanding. Compare before and after [`Session::seal`], [`Session::open`] and [`Session::expire`].
    pub fn tags(&self) -> Vec<(Tag, HeaderKey)> {
        let newest = self.reading.iter().map(|reading| &reading.row);
        let known = self.older.iter().map(|older| &older.row).chain(newest);
        known
            .filter(|row| !(row.epoch == 0 && self.epoch_0_closed))
            .cloned()
            .chain(self.expected())
            .map(|row| (row.tag, row.key))
            .collect()
    }

    /// The tag that this side's envelopes carry now; `None` while the next send opens an epoch.
    pub fn own_tag(&self) -> Option<Tag> {
        match &self.turn {
            Turn::Ours { .. } => None,
            Turn::Theirs { writing, .. } => Some(writing.row.tag),
        }
    }

    /// The header key of one of [`Session::tags`].
    pub fn header_key(&self, tag: Tag) -> Option<HeaderKey> {
        self.tags().into_iter().find_map(|(known, key)| (known == tag).then_some(key))
    }

    /// The skipped message keys of this session that are stored, for the one who deletes the session.
    pub fn skipped(&self) -> Vec<SkipId> {
        let newest = self.reading.iter().map(|reading| (reading.row.epoch, &reading.gaps));
        self.older
            .iter()
            .map(|older| (older.row.epoch, &older.gaps))
            .chain(newest)
            .flat_map(|(epoch, gaps)| gaps.outstanding().map(move |index| SkipId { epoch, index }))
            .collect()
    }

    /// Seals a record at the next position, opening an epoch where it is our turn. Store the session, then send.
    /// `rng` gives 24 bytes within a flight, and the keys of an epoch where one is opened.
    pub fn seal(&mut self, record: &[u8], now: Millis, rng: &mut dyn CryptoRng) -> Result<Sealed, SealError> {
        if record.len() > MAX_RECORD {
            return Err(SealError::TooLong(record.len()));
        }
        let sid = self.sid;
        let writing = self.writable(now, rng)?;
        let (epoch, index) = (writing.row.epoch, writing.chain.next());
        if index >= MAX_GAP {
            return Err(SealError::FlightFull);
        }
        let key = writing.chain.step();
        let header =
            Header { sid, epoch, index, previous: writing.previous, handshake: writing.handshake.clone() }.to_bytes();
        let sealed = header.and_then(|header| {
            let body = seal_once(&key, &body_ad(&header), record);
            seal_outer(writing.row.tag, &writing.row.key, &header, &body, rng).ok()
        });
        // Constants in `envelope` prove that the longest record and handshake fit.
        let wire = sealed.ok_or(SealError::Damaged)?;
        Ok(Sealed { sid, epoch, index, wire })
    }

    /// Opens an envelope whose outer layer the engine opened with a key of [`Session::tags`] (or, in epoch 0, of the
    /// intro). `skipped` looks a stored message key up. Works on a copy: an error changes nothing.
    pub fn open(
        &self,
        outer: &Outer,
        skipped: &dyn Fn(SkipId) -> Option<Secret>,
        now: Millis,
    ) -> Result<Opened, OpenError> {
        if outer.sid() != self.sid || outer.index() >= MAX_GAP || outer.header.previous > MAX_GAP {
            return Err(OpenError::Malformed);
        }
        let mut session = self.clone();
        let mut keys = Keys { skipped, now, keep: Vec::new(), forget: Vec::new() };
        let key = session.message_key(outer, &mut keys)?;
        let record = open_once(&key, &body_ad(&outer.header_bytes), &outer.body).map_err(|_| OpenError::Tampered)?;
        session.tidy(&mut keys.forget);
        let Keys { keep, forget, .. } = keys;
        Ok(Opened { session, record, epoch: outer.epoch(), index: outer.index(), keep, forget })
    }

    /// Lets go of what has outlived its time by `now`, and names the message keys to be erased. Cheap; call it now and then.
    pub fn expire(&mut self, now: Millis) -> Vec<SkipId> {
        let mut forget = Vec::new();
        let close_0 = now.since(self.started) >= EPOCH_0_KEPT;
        let newest = self.reading.iter_mut().map(|reading| (reading.row.epoch, &mut reading.gaps));
        let older = self.older.iter_mut().map(|older| (older.row.epoch, &mut older.gaps));
        for (epoch, gaps) in older.chain(newest) {
            let until = if epoch == 0 && close_0 { now } else { now.minus(SKIPPED_KEPT) };
            gaps.expire(until, |index| forget.push(SkipId { epoch, index }));
        }
        self.epoch_0_closed |= close_0;
        self.tidy(&mut forget);
        forget
    }

    /// The row of the peer's next epoch, while it is the peer's turn.
    fn expected(&self) -> Option<Row> {
        let Turn::Theirs { writing, .. } = &self.turn else { return None };
        Some(Row::new(writing.row.epoch.checked_add(1)?, &self.root))
    }

    /// The own newest epoch, opened now where it is our turn.
    fn writable(&mut self, now: Millis, rng: &mut dyn CryptoRng) -> Result<&mut Writing, SealError> {
        if let Turn::Ours { next, ek, last } = &self.turn {
            let newest = self.peer_epoch().ok_or(SealError::Damaged)?;
            let epoch = newest.checked_add(1).ok_or(SealError::Damaged)?;
            let offer = step::offer_is_due(self.offered, epoch, now);
            let link = step::Link { sid: self.sid, epoch, root: &self.root };
            // The peer's keys were checked when they arrived, so this does not fail on them.
            let written =
                step::write(&link, &self.own_noise, next, ek.as_ref(), offer, rng).map_err(|_| SealError::Damaged)?;
            let writing = Writing {
                row: Row::new(epoch, &self.root),
                chain: Chain::new(written.chain),
                previous: last.map_or(0, |last| last.count),
                handshake: written.handshake,
            };
            if written.kem.is_some() {
                self.offered = Some(Offered { at: now, epoch });
            }
            self.root = written.root;
            self.turn = Turn::Theirs { writing, next: written.next, kem: written.kem };
        }
        match &mut self.turn {
            Turn::Theirs { writing, .. } => Ok(writing),
            Turn::Ours { .. } => unreachable!("the epoch was opened above"),
        }
    }

    /// The message key of the envelope's position, stepping epoch and chain forward as far as it needs.
    fn message_key(&mut self, outer: &Outer, keys: &mut Keys<'_>) -> Result<Secret, OpenError> {
        if let Some(row) = self.expected().filter(|row| row.epoch == outer.epoch()) {
            row.check(outer)?;
            self.read_epoch(row, outer, keys)?;
        }
        match &mut self.reading {
            Some(reading) if reading.row.epoch == outer.epoch() => {
                reading.row.check(outer)?;
                if outer.index() >= reading.chain.next() {
                    reading.skip_to(outer.index(), keys);
                    return Ok(reading.chain.step());
                }
                keys.take(self.sid, outer, &mut reading.gaps)
            }
            Some(reading) if reading.row.epoch > outer.epoch() => {
                let older = self.older.iter_mut().find(|older| older.row.epoch == outer.epoch());
                let older = older.ok_or(keys.gone(self.sid, outer))?;
                older.row.check(outer)?;
                keys.take(self.sid, outer, &mut older.gaps)
            }
            _ => Err(OpenError::Malformed),
        }
    }

    /// Reads the peer's next R and leaves its previous epoch behind.
    fn read_epoch(&mut self, row: Row, outer: &Outer, keys: &mut Keys<'_>) -> Result<(), OpenError> {
        let Turn::Theirs { writing, next, kem } = &self.turn else { return Err(OpenError::Malformed) };
        let link = step::Link { sid: self.sid, epoch: row.epoch, root: &self.root };
        let read = step::read(&link, next, &self.peer_noise, kem.as_ref(), &outer.header.handshake)?;
        let reading = Reading { row, chain: Chain::new(read.chain), gaps: Default::default() };
        if let Some(mut last) = self.reading.replace(reading) {
            last.skip_to(outer.header.previous, keys);
            self.older.push(Older { row: last.row, gaps: last.gaps });
        }
        let last = Some(Last { epoch: writing.row.epoch, count: writing.chain.next() });
        self.root = read.root;
        self.turn = Turn::Ours { next: read.next, ek: read.ek, last };
        Ok(())
    }

    /// Holds the limits: at most so many keys a session, oldest out first; at most so many older epochs, none of them
    /// without keys.
    fn tidy(&mut self, forget: &mut Vec<SkipId>) {
        let newest = self.reading.as_ref().map_or(0, |reading| reading.gaps.count());
        let held: usize = self.older.iter().map(|older| older.gaps.count()).sum();
        let mut over = (held + newest).saturating_sub(MAX_SKIPPED_PER_SESSION);
        for Older { row, gaps } in &mut self.older {
            over -= gaps.drop_oldest(over, |index| forget.push(SkipId { epoch: row.epoch, index }));
        }
        if let Some(Reading { row, gaps, .. }) = &mut self.reading {
            gaps.drop_oldest(over, |index| forget.push(SkipId { epoch: row.epoch, index }));
        }
        self.older.retain(|older| older.gaps.count() > 0);
        let surplus = self.older.len().saturating_sub(MAX_OLD_EPOCHS);
        for older in self.older.drain(..surplus) {
            forget.extend(older.gaps.outstanding().map(|index| SkipId { epoch: older.row.epoch, index }));
        }
    }
}

/// The skipped keys of one [`Session::open`].
struct Keys<'a> {
    skipped: &'a dyn Fn(SkipId) -> Option<Secret>,
    now: Millis,
    keep: Vec<(SkipId, Secret)>,
    forget: Vec<SkipId>,
}

impl Keys<'_> {
    /// The stored key of a position that was stepped over.
    fn take(&mut self, sid: Sid, outer: &Outer, gaps: &mut gaps::Gaps) -> Result<Secret, OpenError> {
        let id = SkipId { epoch: outer.epoch(), index: outer.index() };
        match gaps.find(id.index) {
            Position::Consumed => Err(OpenError::Replayed { epoch: id.epoch, index: id.index }),
            Position::Gone => Err(self.gone(sid, outer)),
            Position::Outstanding => {
                let key = (self.skipped)(id).ok_or(self.gone(sid, outer))?;
                gaps.consume(id.index);
                self.forget.push(id);
                Ok(key)
            }
        }
    }

    fn gone(&self, sid: Sid, outer: &Outer) -> OpenError {
        OpenError::KeyGone { sid, epoch: outer.epoch(), index: outer.index() }
    }
}

fn body_ad(header: &[u8]) -> Vec<u8> {
    [labels::MESSAGE.as_bytes(), header].concat()
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Session({:?}, own {:?}, peer {:?})", self.sid, self.own_epoch(), self.peer_epoch())
    }
}

impl<C> Encode<C> for Version {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut minicbor::Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.u8(1)?.ok()
    }
}

impl<'b, C> Decode<'b, C> for Version {
    fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        match d.u8()? {
            1 => Ok(Self),
            _ => Err(minicbor::decode::Error::message("a session of another version")),
        }
    }
}

#[cfg(test)]
mod tests;
