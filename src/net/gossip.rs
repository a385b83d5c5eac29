//! Topics, the gate before them, and how gossipsub is set up.
//!
//! Frames are anonymous and sealed; what a frame is called is a hash over topic and bytes, so nobody can poison the
//! cache of seen ids. Nothing is forwarded before the topic's [`Gate`] has judged it, and what it rejects costs its
//! sender score: a peer that publishes rubbish is soon not heard at all.

use crate::protocol::{
    crypto::{kdf::hash, labels},
    ids::{base32, from_base32},
    wire::limits::{MAX_GOSSIP_TRANSMIT, MAX_TOPICS},
};
use libp2p::gossipsub::{
    self, ConfigBuilder, IdentTopic, IdentityTransform, MaxCountSubscriptionFilter, Message, MessageAcceptance,
    MessageAuthenticity, MessageId, PeerScoreParams, PeerScoreThresholds, TopicHash, TopicScoreParams,
    TopicSubscriptionFilter, ValidationMode,
};
use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
    time::Duration,
};

/// A gossip topic: the first 20 bytes derived from a gossip secret. Its holders alone know it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Topic(pub [u8; 20]);

/// Judges a frame of a topic, at once and without a disk: gossipsub waits for it before it forwards.
pub type Gate = Arc<dyn Fn(&[u8]) -> Verdict + Send + Sync>;

/// What becomes of a gossip frame. The payload is whatever the gate made of the frame; the network only carries it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Good: forwarded, and the payload is told.
    Accept(Vec<u8>),
    /// Not to be forwarded, and no fault of the sender; a payload may still be told.
    Ignore(Option<Vec<u8>>),
    /// Rubbish: not forwarded, and the sender is scored for it.
    Reject,
}

/// The set-up of gossipsub was refused; only a wrong constant does that.
#[derive(Debug, thiserror::Error)]
#[error("gossip: {0}")]
pub struct GossipError(String);

const PREFIX: &str = "/moim/g/1/";
/// A peer below this is ignored wholly: nine rejected frames in a short time.
const GRAYLIST: f64 = -800.0;
/// Nodes behind one address before they look like one liar with many names: a home, an office, a carrier's NAT.
const MAX_PER_IP: f64 = 64.0;

pub(super) type Behaviour = gossipsub::Behaviour<IdentityTransform, MaxCountSubscriptionFilter<OurTopics>>;

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", base32(&self.0))
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A topic's name lets one listen in on who talks: logs get its beginning only.
        write!(f, "Topic({}…)", base32(&self.0[..5]))
    }
}

impl Topic {
    pub(super) fn ident(self) -> IdentTopic {
        IdentTopic::new(self.to_string())
    }

    fn parse(name: &str) -> Option<Self> {
        let bytes = from_base32(name.strip_prefix(PREFIX)?)?;
        let topic = Self(bytes.try_into().ok()?);
        (topic.to_string() == name).then_some(topic)
    }
}

/// Any topic that has the form of ours, so that a peer's list of names stays short and small.
#[derive(Clone, Copy)]
pub(super) struct OurTopics;

impl TopicSubscriptionFilter for OurTopics {
    fn can_subscribe(&mut self, topic: &TopicHash) -> bool {
        Topic::parse(topic.as_str()).is_some()
    }
}

/// gossipsub as moim uses it.
pub(super) fn behaviour() -> Result<Behaviour, GossipError> {
    let config = ConfigBuilder::default()
        .validation_mode(ValidationMode::Anonymous)
        .validate_messages()
        .message_id_fn(message_id)
        .max_transmit_size(MAX_GOSSIP_TRANSMIT)
        .build()
        .map_err(|error| GossipError(error.to_string()))?;
    // gossipsub's own default of 100 topics a peer breaks a node that is in more groups.
    let filter = MaxCountSubscriptionFilter {
        filter: OurTopics,
        max_subscribed_topics: MAX_TOPICS,
        max_subscriptions_per_request: MAX_TOPICS,
    };
    let mut gossip = Behaviour::new_with_subscription_filter(MessageAuthenticity::Anonymous, config, filter)
        .map_err(|error| GossipError(error.to_owned()))?;
    gossip.with_peer_score(peer_score(), thresholds()).map_err(GossipError)?;
    Ok(gossip)
}

/// How a topic's peers are scored: only for what they publish. Groups are small and quiet, so being silent in a mesh (P3)
/// says nothing about a peer.
pub(super) fn topic_score() -> TopicScoreParams {
    TopicScoreParams {
        topic_weight: 1.0,
        time_in_mesh_weight: 0.0,
        first_message_deliveries_weight: 1.0,
        first_message_deliveries_cap: 10.0,
        mesh_message_deliveries_weight: 0.0,
        mesh_failure_penalty_weight: 0.0,
        invalid_message_deliveries_weight: -10.0,
        invalid_message_deliveries_decay: 0.99,
        ..TopicScoreParams::default()
    }
}

pub(super) fn acceptance(verdict: &Verdict) -> MessageAcceptance {
    match verdict {
        Verdict::Accept(_) => MessageAcceptance::Accept,
        Verdict::Ignore(_) => MessageAcceptance::Ignore,
        Verdict::Reject => MessageAcceptance::Reject,
    }
}

fn message_id(message: &Message) -> MessageId {
    // Our topic names have one length, so name and frame cannot be confused.
    let id = hash(&[labels::GOSSIP_ID.as_bytes(), message.topic.as_str().as_bytes(), &message.data]);
    MessageId::new(&id[..20])
}

fn peer_score() -> PeerScoreParams {
    PeerScoreParams {
        topic_score_cap: 100.0,
        app_specific_weight: 0.0,
        ip_colocation_factor_weight: -5.0,
        ip_colocation_factor_threshold: MAX_PER_IP,
        ip_colocation_factor_whitelist: [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)].into(),
        behaviour_penalty_weight: -10.0,
        behaviour_penalty_threshold: 6.0,
        behaviour_penalty_decay: 0.9,
        retain_score: Duration::from_secs(10 * 60),
        // A slow peer is no bad peer.
        slow_peer_weight: 0.0,
        ..PeerScoreParams::default()
    }
}

fn thresholds() -> PeerScoreThresholds {
    PeerScoreThresholds {
        gossip_threshold: -100.0,
        publish_threshold: -400.0,
        graylist_threshold: GRAYLIST,
        ..PeerScoreThresholds::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_topics_of_our_form_are_kept_of_a_peer() {
        let topic = Topic([7; 20]);
        assert_eq!(Topic::parse(&topic.to_string()), Some(topic));
        assert!(OurTopics.can_subscribe(&topic.ident().hash()));
        for bad in ["", "/moim/g/1/", "/moim/g/1/aa", &topic.to_string().to_uppercase(), &format!("{topic}a")] {
            assert!(!OurTopics.can_subscribe(&IdentTopic::new(bad).hash()), "{bad}");
        }
    }

    #[test]
    fn a_frame_has_one_id_in_a_topic_and_another_elsewhere() {
        let message = |topic: Topic, data: &[u8]| Message {
            source: None,
            data: data.to_vec(),
            sequence_number: None,
            topic: topic.ident().hash(),
        };
        let (a, b) = (Topic([1; 20]), Topic([2; 20]));
        assert_eq!(message_id(&message(a, b"x")), message_id(&message(a, b"x")));
        assert_ne!(message_id(&message(a, b"x")), message_id(&message(b, b"x")));
        assert_ne!(message_id(&message(a, b"x")), message_id(&message(a, b"y")));
        assert_eq!(message_id(&message(a, b"x")).0.len(), 20);
    }

    #[test]
    fn the_set_up_is_one_that_gossipsub_takes() {
        let mut gossip = behaviour().unwrap();
        gossip.set_topic_params(Topic([1; 20]).ident(), topic_score()).unwrap();
    }
}
