//! Sender chains and the signed messages under them.
//!
//! ```text
//! (CK, MK)   = KDF(CK, "moim/1/step");            (key, com) = KDF(MK, "moim/1/group-key")
//! H_ev       = {group, membership heads, author device, chain, i, no, previous, deps, clock, com}
//! c          = ChaCha20-Poly1305(key, 0, ad = "moim/1/group-message" ‖ H_ev, padded content)
//! sig        = Ed25519(DK, "moim/1/sig-group-event" ‖ H_ev ‖ H(c));      event id = H(H_ev ‖ H(c) ‖ sig)
//! ```
//! A message is signed, so anybody in the group may pass it on, and commits to its key, so a key from anyone is proven by
//! it. Who calls: the engine. It makes the sender chain durable before what it sealed leaves, and keeps skipped keys in
//! rows of its own. Whether the author was a member is for [`resolve`](super::resolve); whether a chain may be used, for
//! [`keys`](super::keys).

use super::padding::{pad, unpad};
use crate::protocol::{
    crypto::{
        kdf::{hash, kdf_pair},
        labels,
        seal::{open_once, seal_once},
        secret::Secret,
        sign::{BadSignature, Signature, SigningKey, Verified},
    },
    event::{Content, ascends, direct},
    identity::record::GROUP_EVENT,
    ids::{DeviceId, EventId, OpId},
    time::Millis,
    wire::{
        Malformed, decode, encode,
        limits::{CONTENT_BUCKETS, MAX_CHAIN_MESSAGES, MAX_GROUP_EVENT, MAX_HEADS},
    },
};
use minicbor::{Decode, Encode, bytes::ByteArray};
use rand_core::CryptoRng;

const WHAT: &str = "group event";

/// Names a sender chain: 16 random bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct ChainId(#[cbor(n(0), with = "minicbor::bytes")] pub [u8; 16]);

/// What is readable of a group message: all but the content.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct GroupHeader {
    /// The group.
    #[n(0)]
    pub group: OpId,
    /// The membership heads its author knew: 1 to [`MAX_HEADS`], ascending.
    #[n(1)]
    pub heads: Vec<OpId>,
    /// The author's device, whose key signs.
    #[n(2)]
    pub device: DeviceId,
    /// The sender chain…
    #[n(3)]
    pub chain: ChainId,
    /// …and the place in it, below [`MAX_CHAIN_MESSAGES`].
    #[n(4)]
    pub i: u32,
    /// The device's own count in this group, from 1.
    #[n(5)]
    pub no: u64,
    /// Its event before this one.
    #[n(6)]
    pub previous: Option<EventId>,
    /// The events it follows.
    #[n(7)]
    pub deps: Vec<EventId>,
    /// The author's clock.
    #[n(8)]
    pub clock: Millis,
    /// What the key must hash to.
    #[cbor(n(9), with = "minicbor::bytes")]
    pub com: [u8; 32],
}

impl GroupHeader {
    /// All it comes after in the timeline: its deps, and its author device's own previous event.
    pub fn follows(&self) -> Vec<EventId> {
        direct::follows(&self.deps, self.previous)
    }

    fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let header: Self = decode(bytes, WHAT)?;
        direct::check(header.no, header.previous, &header.deps, header.clock).map_err(|_| Malformed(WHAT))?;
        let heads = !header.heads.is_empty() && header.heads.len() <= MAX_HEADS && ascends(&header.heads);
        if !heads || header.i >= MAX_CHAIN_MESSAGES {
            return Err(Malformed(WHAT));
        }
        Ok(header)
    }
}

/// A group message as it travels, well formed; its signature is to be checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupEvent {
    stub: Stub,
    sealed: Vec<u8>,
}

/// What stays of a group message whose content is erased: header, hash of the content, signature. It still proves itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stub {
    header: GroupHeader,
    header_bytes: Vec<u8>,
    content: [u8; 32],
    signature: Signature,
}

/// A message does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The key is another message's: the commitment says so.
    #[error("the key is not this message's")]
    WrongKey,
    /// The author sealed what does not open, or opens to nonsense.
    #[error("the author sealed what cannot be read")]
    Unreadable,
}

impl GroupEvent {
    /// The event in `bytes`.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        if bytes.len() > MAX_GROUP_EVENT {
            return Err(Malformed(WHAT));
        }
        let Wire { header, sealed, signature } = decode(bytes, WHAT)?;
        let content = hash(&[&sealed]);
        Ok(Self {
            stub: Stub { header: GroupHeader::parse(&header)?, header_bytes: header, content, signature },
            sealed,
        })
    }

    /// As it travels and rests.
    pub fn to_bytes(&self) -> Vec<u8> {
        encode(&Wire {
            header: self.stub.header_bytes.clone(),
            sealed: self.sealed.clone(),
            signature: self.stub.signature,
        })
    }

    /// Checks the signature under the author's device.
    pub fn verify(self) -> Result<Verified<Self>, BadSignature> {
        self.stub.check()?;
        Ok(Verified::vouch(self))
    }

    /// Its id.
    pub fn id(&self) -> EventId {
        self.stub.id()
    }

    /// What stays when its content is erased.
    pub fn stub(&self) -> &Stub {
        &self.stub
    }
}

impl std::ops::Deref for GroupEvent {
    type Target = GroupHeader;
    fn deref(&self) -> &GroupHeader {
        &self.stub.header
    }
}

impl Verified<GroupEvent> {
    /// The content, under the message's key from its sender chain.
    pub fn open(&self, key: &Secret) -> Result<Content, OpenError> {
        let (content, com) = kdf_pair(key.expose(), labels::GROUP_KEY, &[]);
        if com != Secret::from(self.com) {
            return Err(OpenError::WrongKey);
        }
        let ad = [labels::GROUP_MESSAGE.as_bytes(), &self.stub.header_bytes].concat();
        let padded = open_once(&content, &ad, &self.sealed).map_err(|_| OpenError::Unreadable)?;
        let padded = zeroize::Zeroizing::new(padded);
        let content = unpad(&padded).ok_or(OpenError::Unreadable)?;
        Content::parse(content).map_err(|_| OpenError::Unreadable)
    }
}

impl Stub {
    /// The stub in `bytes`.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        if bytes.len() > MAX_GROUP_EVENT {
            return Err(Malformed(WHAT));
        }
        let StubWire { header, content, signature } = decode(bytes, WHAT)?;
        Ok(Self { header: GroupHeader::parse(&header)?, header_bytes: header, content: *content, signature })
    }

    /// As it travels and rests.
    pub fn to_bytes(&self) -> Vec<u8> {
        encode(&StubWire {
            header: self.header_bytes.clone(),
            content: ByteArray::from(self.content),
            signature: self.signature,
        })
    }

    /// Checks the signature under the author's device.
    pub fn verify(self) -> Result<Verified<Self>, BadSignature> {
        self.check()?;
        Ok(Verified::vouch(self))
    }

    /// The id of the event it stands for.
    pub fn id(&self) -> EventId {
        EventId(hash(&[&self.header_bytes, &self.content, &self.signature.0]))
    }

    /// Its header.
    pub fn header(&self) -> &GroupHeader {
        &self.header
    }

    fn check(&self) -> Result<(), BadSignature> {
        self.signature.verify(&self.header.device.0, GROUP_EVENT, &[&self.header_bytes, &self.content])
    }
}

/// What a message says beside its content and its place in the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// The group.
    pub group: OpId,
    /// The membership heads now ([`Graph::heads_to_name`](super::Graph::heads_to_name)).
    pub heads: Vec<OpId>,
    /// This device's count.
    pub no: u64,
    /// Its event before.
    pub previous: Option<EventId>,
    /// What it follows.
    pub deps: Vec<EventId>,
    /// The clock ([`signed_clock`](crate::protocol::event::signed_clock)).
    pub clock: Millis,
}

/// Why nothing was sealed. The chain is unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The chain has sealed all it may: make a new one.
    #[error("the sender chain is used up after {MAX_CHAIN_MESSAGES} messages")]
    Spent,
    /// The draft is not well formed, or the content too long.
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

/// The sending side of a chain, of this device.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct SenderChain {
    #[n(0)]
    id: ChainId,
    #[n(1)]
    key: Secret,
    #[n(2)]
    next: u32,
    #[n(3)]
    heads: Vec<OpId>,
    #[n(4)]
    since: Millis,
}

impl SenderChain {
    /// A fresh chain, made at these membership heads now.
    pub fn new(heads: Vec<OpId>, now: Millis, rng: &mut dyn CryptoRng) -> Self {
        let mut id = [0; 16];
        rng.fill_bytes(&mut id);
        Self { id: ChainId(id), key: Secret::random(rng), next: 0, heads, since: now }
    }

    /// Seals and signs one message, with `key` the device's own DK, and steps on.
    pub fn seal(
        &mut self,
        draft: Draft,
        content: &Content,
        key: &SigningKey,
    ) -> Result<Verified<GroupEvent>, SealError> {
        if self.next >= MAX_CHAIN_MESSAGES {
            return Err(SealError::Spent);
        }
        let (chain, message) = step(&self.key);
        let (content_key, com) = kdf_pair(message.expose(), labels::GROUP_KEY, &[]);
        let Draft { group, heads, no, previous, deps, clock } = draft;
        let device = DeviceId(key.public());
        let (id, i, com) = (self.id, self.next, *com.expose());
        let header = encode(&GroupHeader { group, heads, device, chain: id, i, no, previous, deps, clock, com });
        let padded = pad(&content.to_bytes(), &CONTENT_BUCKETS).ok_or(Malformed("content"))?;
        let sealed = seal_once(&content_key, &[labels::GROUP_MESSAGE.as_bytes(), &header].concat(), &padded);
        let signature = key.sign(GROUP_EVENT, &[&header, &hash(&[&sealed])]);
        let event = GroupEvent::parse(&encode(&Wire { header, sealed, signature }))?;
        (self.key, self.next) = (chain, self.next + 1);
        Ok(Verified::vouch(event))
    }

    /// What opens every message from the next on; handed to members' devices, never backwards.
    pub fn share(&self, device: DeviceId) -> ChainKey {
        ChainKey { id: self.id, device, i: self.next, key: self.key.clone(), heads: self.heads.clone() }
    }

    /// Its name.
    pub fn id(&self) -> ChainId {
        self.id
    }

    /// The membership heads it was made at.
    pub fn heads(&self) -> &[OpId] {
        &self.heads
    }

    /// When it was made.
    pub fn since(&self) -> Millis {
        self.since
    }

    /// How many messages it has sealed.
    pub fn used(&self) -> u32 {
        self.next
    }
}

/// A chain key as it is handed on: it gives the keys of message `i` and all later ones.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct ChainKey {
    /// The chain.
    #[n(0)]
    pub id: ChainId,
    /// Its author's device.
    #[n(1)]
    pub device: DeviceId,
    /// The place of the key.
    #[n(2)]
    pub i: u32,
    /// CK_i.
    #[n(3)]
    pub key: Secret,
    /// The membership heads the chain was made at, by which holders judge whether to hand it on.
    #[n(4)]
    pub heads: Vec<OpId>,
}

/// The receiving side of a chain.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(transparent)]
pub struct ReceiverChain(#[n(0)] ChainKey);

/// The key of one message, and those stepped over on the way to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The message's key.
    pub key: Secret,
    /// Keys of earlier places, to be kept until their messages come: at most [`MAX_CHAIN_MESSAGES`].
    pub skipped: Vec<(u32, Secret)>,
}

/// The chain does not give this key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// The chain is past it: look among the kept keys.
    #[error("the chain is past message {0}")]
    Passed(u32),
    /// No chain goes that far.
    #[error("a chain ends before message {0}")]
    TooFar(u32),
}

impl From<ChainKey> for ReceiverChain {
    fn from(key: ChainKey) -> Self {
        Self(key)
    }
}

impl ReceiverChain {
    /// The key of message `i`. Steps on past it: do it on a copy, and keep the copy only with the opened message.
    pub fn step_to(&mut self, i: u32) -> Result<Step, ChainError> {
        if i >= MAX_CHAIN_MESSAGES {
            return Err(ChainError::TooFar(i));
        }
        if i < self.0.i {
            return Err(ChainError::Passed(i));
        }
        let mut skipped = Vec::new();
        loop {
            let (chain, key) = step(&self.0.key);
            let at = self.0.i;
            (self.0.key, self.0.i) = (chain, at + 1);
            if at == i {
                return Ok(Step { key, skipped });
            }
            skipped.push((at, key));
        }
    }

    /// Where it stands: what may be handed on.
    pub fn share(&self) -> &ChainKey {
        &self.0
    }
}

fn step(chain: &Secret) -> (Secret, Secret) {
    kdf_pair(chain.expose(), labels::STEP, &[])
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct Wire {
    #[cbor(n(0), with = "minicbor::bytes")]
    header: Vec<u8>,
    #[cbor(n(1), with = "minicbor::bytes")]
    sealed: Vec<u8>,
    #[n(2)]
    signature: Signature,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct StubWire {
    #[cbor(n(0), with = "minicbor::bytes")]
    header: Vec<u8>,
    #[n(1)]
    content: ByteArray<32>,
    #[n(2)]
    signature: Signature,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::wire::limits::MAX_TEXT;
    use proptest::prelude::*;
    use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};

    const GROUP: OpId = OpId([1; 32]);

    fn draft(no: u64) -> Draft {
        let previous = (no > 1).then_some(EventId([4; 32]));
        Draft { group: GROUP, heads: vec![GROUP], no, previous, deps: vec![], clock: Millis(7) }
    }

    fn sender(n: u64) -> (SenderChain, SigningKey) {
        let mut rng = ChaCha20Rng::seed_from_u64(n);
        (SenderChain::new(vec![GROUP], Millis(1), &mut rng), SigningKey::random(&mut rng))
    }

    fn hello() -> Content {
        Content::text("hello", None).unwrap()
    }

    fn arrives(event: &GroupEvent) -> Verified<GroupEvent> {
        GroupEvent::parse(&event.to_bytes()).unwrap().verify().unwrap()
    }

    #[test]
    fn messages_open_in_any_order_with_the_keys_stepped_over() {
        let (mut chain, key) = sender(1);
        let mut receiver = ReceiverChain::from(chain.share(DeviceId(key.public())));
        let events: Vec<_> = (1..=3).map(|no| chain.seal(draft(no), &hello(), &key).unwrap()).collect();
        let step = receiver.step_to(2).unwrap();
        assert_eq!(arrives(&events[2]).open(&step.key), Ok(hello()));
        for (i, key) in &step.skipped {
            assert_eq!(arrives(&events[*i as usize]).open(key), Ok(hello()));
        }
        assert_eq!(step.skipped.len(), 2);
        assert_eq!(receiver.step_to(2), Err(ChainError::Passed(2)));
        assert_eq!(receiver.step_to(MAX_CHAIN_MESSAGES), Err(ChainError::TooFar(MAX_CHAIN_MESSAGES)));
        assert_eq!(receiver.share().i, 3);
    }

    #[test]
    fn a_key_opens_its_own_message_and_no_other() {
        let (mut chain, key) = sender(1);
        let mut receiver = ReceiverChain::from(chain.share(DeviceId(key.public())));
        let first = chain.seal(draft(1), &hello(), &key).unwrap();
        let second = chain.seal(draft(2), &hello(), &key).unwrap();
        let step = receiver.step_to(0).unwrap();
        assert_eq!(second.open(&step.key), Err(OpenError::WrongKey));
        assert_eq!(first.open(&step.key), Ok(hello()));
        assert_ne!(first.id(), second.id());
    }

    #[test]
    fn who_joins_later_opens_nothing_earlier() {
        let (mut chain, key) = sender(1);
        chain.seal(draft(1), &hello(), &key).unwrap();
        let mut late = ReceiverChain::from(chain.share(DeviceId(key.public())));
        assert_eq!(late.step_to(0), Err(ChainError::Passed(0)));
    }

    #[test]
    fn an_event_changed_in_any_byte_is_refused() {
        let (mut chain, key) = sender(1);
        let bytes = chain.seal(draft(1), &hello(), &key).unwrap().to_bytes();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(GroupEvent::parse(&changed).map_or(true, |event| event.verify().is_err()), "byte {at}");
        }
    }

    #[test]
    fn a_header_over_another_message_or_another_signer_is_refused() {
        let ((mut chain, key), (mut other, thief)) = (sender(1), sender(2));
        let (a, b) = (chain.seal(draft(1), &hello(), &key).unwrap(), chain.seal(draft(2), &hello(), &key).unwrap());
        let swapped =
            GroupEvent { stub: Stub { content: hash(&[&b.sealed]), ..a.stub.clone() }, sealed: b.sealed.clone() };
        assert!(swapped.verify().is_err());
        let stolen = other.seal(draft(1), &hello(), &thief).unwrap();
        let posing =
            GroupEvent { stub: Stub { signature: stolen.stub.signature, ..a.stub.clone() }, sealed: a.sealed.clone() };
        assert!(posing.verify().is_err());
    }

    #[test]
    fn a_stub_proves_itself_and_keeps_the_id() {
        let (mut chain, key) = sender(1);
        let event = chain.seal(draft(1), &hello(), &key).unwrap();
        let stub = Stub::parse(&event.stub().to_bytes()).unwrap().verify().unwrap();
        assert_eq!(stub.id(), event.id());
        assert!(stub.to_bytes().len() < event.to_bytes().len());
    }

    #[test]
    fn equal_lengths_show_nothing_and_the_longest_text_fits() {
        let (mut chain, key) = sender(1);
        let mut size = |text: String| {
            let content = Content::text(text, Some(EventId([1; 32]))).unwrap();
            chain.seal(draft(2), &content, &key).unwrap().sealed.len()
        };
        assert_eq!(size("a".into()), size("a".repeat(150)));
        assert!(size("a".repeat(MAX_TEXT)) < MAX_GROUP_EVENT);
    }

    #[test]
    fn a_chain_ends_after_its_last_message() {
        let (mut chain, key) = sender(1);
        chain.next = MAX_CHAIN_MESSAGES;
        assert_eq!(chain.seal(draft(1), &hello(), &key), Err(SealError::Spent));
        let (mut chain, _) = sender(1);
        let before = chain.clone();
        assert!(chain.seal(Draft { heads: vec![], ..draft(1) }, &hello(), &key).is_err());
        assert_eq!(chain, before, "what was not sealed used no key");
    }

    proptest! {
        #[test]
        fn no_bytes_make_a_group_event_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = GroupEvent::parse(&bytes);
            let _ = Stub::parse(&bytes);
            let wire = Wire { header: bytes.clone(), sealed: bytes, signature: Signature([0; 64]) };
            let _ = GroupEvent::parse(&encode(&wire)).map(GroupEvent::verify);
        }
    }
}
