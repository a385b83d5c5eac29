//! Gossip: sealed frames under a topic that only members can derive, and the gate that net asks about each.
//!
//! A frame is ver ‖ nonce (24) ‖ XChaCha20-Poly1305(frame key, padded (kind ‖ content), ad = ver ‖ topic). Topic, frame key
//! and the group's box all come from the gossip secret GS, so only members can publish or forward. Gossip is the fast path
//! only: what it loses, sync repairs.
//!
//! Who calls: the engine makes keys, frames and gates; net holds gates and calls [`Gate::check`], on any thread.

use super::{
    chain::GroupEvent,
    op::SignedOp,
    padding::{pad, unpad},
    resolve::Membership,
};
use crate::protocol::{
    crypto::{
        kdf::{hash, kdf},
        labels,
        seal::{open, seal, seal_alike},
        secret::Secret,
    },
    identity::bundle::BoxId,
    ids::{DeviceId, OpId, base32, from_base32},
    wire::{
        decode, encode,
        limits::{BUCKETS, MAX_GOSSIP_FRAME},
    },
};
use minicbor::bytes::ByteVec;
use rand_core::CryptoRng;
use std::{collections::BTreeSet, fmt, sync::Arc};
use zeroize::Zeroizing;

const VERSION: u8 = 1;
const EVENT: u8 = 1;
const OP: u8 = 2;
const BUNDLE: u8 = 3;
const NAME: u8 = 4;
const MAIL: u8 = 5;

const TOPIC_PREFIX: &str = "/moim/g/1/";

/// A gossip topic. Its text, as gossipsub names it, is "/moim/g/1/" and 32 base32 characters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Topic(pub [u8; 20]);

impl Topic {
    /// The topic with this text.
    pub fn parse(text: &str) -> Option<Self> {
        Some(Self(from_base32(text.strip_prefix(TOPIC_PREFIX)?)?.try_into().ok()?))
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{TOPIC_PREFIX}{}", base32(&self.0))
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Topic({}…)", base32(&self.0[..5]))
    }
}

/// What a gossip secret gives: topic, frame key, and the group's box at mailboxes.
#[derive(Clone, PartialEq, Eq)]
pub struct GossipKeys {
    topic: Topic,
    frame: Secret,
    mailbox: BoxId,
}

/// The content is too long for a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} bytes are too many for a gossip frame")]
pub struct TooLong(pub usize);

/// What a frame carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FrameContent {
    /// A group event.
    Event(Vec<u8>),
    /// A signed membership op.
    Op(Vec<u8>),
    /// A member device's bundle.
    Bundle(Vec<u8>),
    /// An event in which a member says its name, with its key, for those whom it was not meant for. In logs alone.
    Name(Vec<u8>, Secret),
    /// An envelope for a member's device. In logs alone.
    Mail(DeviceId, Vec<u8>),
    /// A kind from a newer version.
    Unheard,
}

impl GossipKeys {
    /// The keys of a gossip secret.
    pub fn derive(secret: &Secret) -> Self {
        let derived = |label| kdf(secret.expose(), label, &[]);
        let (topic, mailbox) = (derived(labels::TOPIC), derived(labels::BOX_GROUP));
        Self {
            topic: Topic(start(topic.expose())),
            frame: derived(labels::FRAME),
            mailbox: BoxId(start(mailbox.expose())),
        }
    }

    /// The topic.
    pub fn topic(&self) -> Topic {
        self.topic
    }

    /// The id of the group's box.
    pub fn mailbox(&self) -> BoxId {
        self.mailbox
    }

    /// A frame with this content.
    pub fn seal(&self, content: &FrameContent, rng: &mut dyn CryptoRng) -> Result<Vec<u8>, TooLong> {
        let padded = padded(content)?;
        Ok([&[VERSION], &seal(&self.frame, &self.ad(VERSION), &padded, rng)[..]].concat())
    }

    /// The same for the group's log: the same content always gives the same frame, so that a mailbox keeps it once.
    pub fn seal_for_log(&self, content: &FrameContent) -> Result<Vec<u8>, TooLong> {
        let padded = padded(content)?;
        Ok([&[VERSION], &seal_alike(&self.frame, labels::LOG_NONCE, &self.ad(VERSION), &padded)[..]].concat())
    }

    /// What a frame carries; `None` where it does not open.
    pub fn open(&self, frame: &[u8]) -> Option<FrameContent> {
        let (&version, sealed) = frame.split_first()?;
        if version != VERSION || frame.len() > MAX_GOSSIP_FRAME {
            return None;
        }
        let padded = open(&self.frame, &self.ad(version), sealed).ok()?;
        let (&kind, bytes) = unpad(&padded)?.split_first()?;
        Some(match kind {
            EVENT => FrameContent::Event(bytes.to_vec()),
            OP => FrameContent::Op(bytes.to_vec()),
            BUNDLE => FrameContent::Bundle(bytes.to_vec()),
            NAME => match decode::<(ByteVec, Secret)>(bytes, "name") {
                Ok((event, key)) => FrameContent::Name(event.into(), key),
                Err(_) => FrameContent::Unheard,
            },
            MAIL => match bytes.split_first_chunk() {
                Some((to, wire)) => FrameContent::Mail(DeviceId(*to), wire.to_vec()),
                None => FrameContent::Unheard,
            },
            _ => FrameContent::Unheard,
        })
    }

    fn ad(&self, version: u8) -> Vec<u8> {
        [&[version], self.topic.to_string().as_bytes()].concat()
    }
}

fn padded(content: &FrameContent) -> Result<Zeroizing<Vec<u8>>, TooLong> {
    let named;
    let (kind, bytes): (u8, &[u8]) = match content {
        FrameContent::Event(bytes) => (EVENT, bytes),
        FrameContent::Op(bytes) => (OP, bytes),
        FrameContent::Bundle(bytes) => (BUNDLE, bytes),
        FrameContent::Name(event, key) => {
            named = Zeroizing::new(encode(&(ByteVec::from(event.clone()), key)));
            (NAME, &named)
        }
        FrameContent::Mail(to, wire) => {
            named = Zeroizing::new([&to.0[..], wire].concat());
            (MAIL, &named)
        }
        FrameContent::Unheard => (0, &[]),
    };
    pad(&[&[kind], bytes].concat(), &BUCKETS).ok_or(TooLong(bytes.len()))
}

/// gossipsub's message id: 20 bytes over topic and frame, so that no other frame can pose as one already seen.
pub fn message_id(topic: &str, frame: &[u8]) -> [u8; 20] {
    start(&hash(&[labels::GOSSIP_ID.as_bytes(), topic.as_bytes(), frame]))
}

/// The first bytes of a hash.
fn start<const N: usize>(full: &[u8; 32]) -> [u8; N] {
    const { assert!(N <= 32) };
    let mut first = [0; N];
    first.iter_mut().zip(full).for_each(|(to, from)| *to = *from);
    first
}

/// Reads a signed bundle and checks its signatures: the device it is of, or `None`. Identity provides it.
pub type BundleAuthor = fn(&[u8]) -> Option<DeviceId>;

/// All that net needs to answer for one topic at once. Plain data; a clone is two words.
#[derive(Clone)]
pub struct Gate(Arc<Inner>);

struct Inner {
    keys: GossipKeys,
    group: OpId,
    ops: BTreeSet<OpId>,
    members: BTreeSet<DeviceId>,
    former: BTreeSet<DeviceId>,
    bundle_author: BundleAuthor,
}

/// What gossipsub is told of a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Forward it; here is what it carries.
    Accept(FrameContent),
    /// Do not forward it, and blame nobody. What it carries, if anything, is to be judged later.
    Ignore(Option<FrameContent>),
    /// Do not forward it, and blame who sent it: it does not open, is malformed, or no member made it.
    Reject,
}

impl Gate {
    /// The gate of one gossip secret's topic, as the group is known now.
    pub fn new(
        keys: GossipKeys,
        group: OpId,
        ops: impl IntoIterator<Item = OpId>,
        membership: &Membership,
        bundle_author: BundleAuthor,
    ) -> Self {
        Self(Arc::new(Inner {
            keys,
            group,
            ops: ops.into_iter().collect(),
            members: membership.members.values().flat_map(|member| member.devices.iter().copied()).collect(),
            former: membership.former.clone(),
            bundle_author,
        }))
    }

    /// The topic it stands at.
    pub fn topic(&self) -> Topic {
        self.0.keys.topic
    }

    /// Judges a frame. One signature check and no waiting.
    pub fn check(&self, frame: &[u8]) -> Verdict {
        let Some(content) = self.0.keys.open(frame) else { return Verdict::Reject };
        match &content {
            FrameContent::Event(bytes) => {
                let Ok(Ok(event)) = GroupEvent::parse(bytes).map(GroupEvent::verify) else { return Verdict::Reject };
                if event.group != self.0.group {
                    return Verdict::Reject;
                }
                self.judge(&event.device, &event.heads, content)
            }
            FrameContent::Op(bytes) => {
                let Ok(op) = SignedOp::parse(bytes) else { return Verdict::Reject };
                if op.group() != self.0.group || op.signature_holds().is_err() {
                    return Verdict::Reject;
                }
                if self.0.ops.contains(&op.id()) {
                    return Verdict::Ignore(None);
                }
                self.judge(&op.device, &op.prev, content)
            }
            FrameContent::Bundle(bytes) => match (self.0.bundle_author)(bytes) {
                None => Verdict::Reject,
                Some(device) if self.0.members.contains(&device) => Verdict::Accept(content),
                Some(_) => Verdict::Ignore(Some(content)),
            },
            FrameContent::Name(..) | FrameContent::Mail(..) | FrameContent::Unheard => Verdict::Ignore(None),
        }
    }

    /// A member's device at known heads passes. Unknown heads, or a device that was a member's, are for the engine to
    /// judge. At known heads a device that never was anybody's is an intruder's, unless the op itself brings it in.
    fn judge(&self, device: &DeviceId, heads: &[OpId], content: FrameContent) -> Verdict {
        let known = heads.iter().all(|head| self.0.ops.contains(head));
        let stranger = !self.0.members.contains(device) && !self.0.former.contains(device);
        if known && self.0.members.contains(device) {
            return Verdict::Accept(content);
        }
        if known && stranger && matches!(content, FrameContent::Event(_)) {
            return Verdict::Reject;
        }
        Verdict::Ignore(Some(content))
    }
}

impl fmt::Debug for GossipKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GossipKeys({:?})", self.topic)
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Gate({:?}, {} members' devices)", self.0.keys.topic, self.0.members.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{
        event::Content,
        group::{
            chain::{Draft, SenderChain},
            op::Action,
            testing::{Person, World, person},
        },
        time::Millis,
        wire::limits::{MAX_OP, MAX_TEXT},
    };
    use proptest::prelude::*;
    use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};

    fn rng() -> ChaCha20Rng {
        ChaCha20Rng::seed_from_u64(1)
    }

    fn keys(n: u8) -> GossipKeys {
        GossipKeys::derive(&Secret::from([n; 32]))
    }

    fn world() -> (World, Person, Person) {
        let (founder, member) = (person(0), person(1));
        let mut world = World::new(&founder);
        world.add(&founder, &member);
        (world, founder, member)
    }

    fn gate(world: &World) -> Gate {
        let ops = world.graph.ops().map(|op| op.id());
        Gate::new(keys(1), world.graph.group(), ops, &world.graph.membership(), |bytes| {
            Some(DeviceId(bytes.try_into().ok()?))
        })
    }

    fn event(world: &World, author: &Person, text: &str) -> FrameContent {
        let heads = world.graph.heads();
        let (group, clock) = (world.graph.group(), Millis(1));
        let draft = Draft { group, heads: heads.clone(), no: 1, previous: None, deps: vec![], clock };
        let mut chain = SenderChain::new(heads, clock, &mut rng());
        let content = Content::text(text, None).unwrap();
        FrameContent::Event(chain.seal(draft, &content, &author.keys[0]).unwrap().to_bytes())
    }

    fn op(world: &World, id: &OpId) -> FrameContent {
        FrameContent::Op(world.graph.op(id).unwrap().to_bytes())
    }

    fn frame(content: &FrameContent) -> Vec<u8> {
        keys(1).seal(content, &mut rng()).unwrap()
    }

    #[test]
    fn a_members_events_ops_and_bundles_pass() {
        let (mut world, _, member) = world();
        let gate = gate(&world);
        let said = event(&world, &member, "hello");
        assert_eq!(gate.check(&frame(&said)), Verdict::Accept(said));
        let rotation = world.op(&member, Action::RotateGossipSecret([1; 32]));
        let rotation = op(&world, &rotation);
        assert_eq!(gate.check(&frame(&rotation)), Verdict::Accept(rotation));
        let bundle = FrameContent::Bundle(member.device(0).0.to_vec());
        assert_eq!(gate.check(&frame(&bundle)), Verdict::Accept(bundle));
        let known = op(&world, &world.graph.group());
        assert_eq!(gate.check(&frame(&known)), Verdict::Ignore(None));
        assert_eq!(gate.check(&frame(&FrameContent::Unheard)), Verdict::Ignore(None));
    }

    #[test]
    fn a_frame_changed_in_any_byte_is_rejected() {
        let (world, _, member) = world();
        let gate = gate(&world);
        let bytes = frame(&event(&world, &member, "hello"));
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert_eq!(gate.check(&changed), Verdict::Reject, "byte {at}");
        }
    }

    #[test]
    fn an_event_changed_by_a_member_who_seals_it_anew_is_rejected() {
        let (world, _, member) = world();
        let gate = gate(&world);
        let FrameContent::Event(bytes) = event(&world, &member, "hello") else { unreachable!() };
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert_eq!(gate.check(&frame(&FrameContent::Event(changed))), Verdict::Reject, "byte {at}");
        }
    }

    #[test]
    fn what_was_said_in_another_group_or_under_another_secret_is_rejected() {
        let (here, _, member) = world();
        let mut there = World::new(&person(5));
        there.add(&person(5), &member);
        let gate = gate(&here);
        assert_eq!(gate.check(&frame(&event(&there, &member, "hello"))), Verdict::Reject);
        assert_eq!(gate.check(&frame(&op(&there, &there.graph.heads()[0]))), Verdict::Reject);
        let elsewhere = keys(2).seal(&event(&here, &member, "hello"), &mut rng()).unwrap();
        assert_eq!(gate.check(&elsewhere), Verdict::Reject);
    }

    #[test]
    fn a_removed_members_later_events_go_no_further() {
        let (mut world, founder, member) = world();
        let beside = event(&world, &member, "not knowing");
        world.op(&founder, Action::Remove(member.account));
        let gate = gate(&world);
        assert_eq!(gate.check(&frame(&beside)), Verdict::Ignore(Some(beside)));
        let later = event(&world, &member, "still here");
        assert_eq!(gate.check(&frame(&later)), Verdict::Ignore(Some(later)));
        let bundle = FrameContent::Bundle(member.device(0).0.to_vec());
        assert_eq!(gate.check(&frame(&bundle)), Verdict::Ignore(Some(bundle)));
    }

    #[test]
    fn unknown_heads_are_judged_later_and_strangers_at_known_heads_rejected() {
        let (mut world, founder, _) = world();
        let gate = gate(&world);
        let stranger = person(9);
        let unasked = event(&world, &stranger, "hello");
        assert_eq!(gate.check(&frame(&unasked)), Verdict::Reject);
        world.add(&founder, &stranger);
        let ahead = event(&world, &stranger, "hello");
        assert_eq!(gate.check(&frame(&ahead)), Verdict::Ignore(Some(ahead)));
    }

    #[test]
    fn the_longest_event_and_op_fit_a_frame_and_longer_things_are_refused() {
        let (world, _, member) = world();
        let longest = frame(&event(&world, &member, &"a".repeat(MAX_TEXT)));
        assert!(longest.len() <= MAX_GOSSIP_FRAME);
        assert!(matches!(gate(&world).check(&longest), Verdict::Accept(_)));
        assert!(keys(1).seal(&FrameContent::Op(vec![1; MAX_OP]), &mut rng()).is_ok());
        assert_eq!(keys(1).seal(&FrameContent::Op(vec![1; 65_536]), &mut rng()), Err(TooLong(65_536)));
    }

    #[test]
    fn a_gate_can_stand_on_any_thread() {
        fn anywhere<T: Send + Sync + Clone + 'static>() {}
        anywhere::<Gate>();
        let topic = keys(1).topic();
        assert_eq!(Topic::parse(&topic.to_string()), Some(topic));
        assert_eq!(topic.to_string().len(), TOPIC_PREFIX.len() + 32);
        assert_ne!(message_id("a", b"x"), message_id("b", b"x"));
    }

    proptest! {
        #[test]
        fn a_name_comes_whole_out_of_a_log_or_not_at_all(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let key = Secret::from([7; 32]);
            let name = FrameContent::Name(bytes.clone(), key);
            let frame = keys(1).seal_for_log(&name).unwrap();
            prop_assert_eq!(keys(1).open(&frame), Some(name));
            let padded = pad(&[&[NAME], &bytes[..]].concat(), &BUCKETS).unwrap();
            let sealed = seal(&keys(1).frame, &keys(1).ad(VERSION), &padded, &mut rng());
            let opened = keys(1).open(&[&[VERSION], &sealed[..]].concat());
            prop_assert!(matches!(opened, Some(FrameContent::Name(..) | FrameContent::Unheard)));
        }

        #[test]
        fn mail_comes_whole_out_of_a_log(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mail = FrameContent::Mail(DeviceId([7; 32]), bytes.clone());
            let frame = keys(1).seal_for_log(&mail).unwrap();
            prop_assert_eq!(keys(1).open(&frame), Some(mail));
            let gate = gate(&World::new(&person(0)));
            prop_assert_eq!(gate.check(&frame), Verdict::Ignore(None));
        }

        #[test]
        fn no_bytes_from_a_member_panic(kind in 0u8..6, bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let content = match kind {
                0 => FrameContent::Unheard,
                1 => FrameContent::Event(bytes.clone()),
                2 => FrameContent::Op(bytes.clone()),
                3 => FrameContent::Name(bytes.clone(), Secret::from([7; 32])),
                4 => FrameContent::Mail(DeviceId([7; 32]), bytes.clone()),
                _ => FrameContent::Bundle(bytes.clone()),
            };
            let gate = gate(&World::new(&person(0)));
            let _ = gate.check(&frame(&content));
            prop_assert_eq!(gate.check(&bytes), Verdict::Reject);
        }
    }
}
