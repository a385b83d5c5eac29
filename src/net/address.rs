//! Addresses and names of the network: text to multiaddresses that may be dialled, transport keys to PeerIds and back.

use crate::{
    net::limits::MAX_PEER_ADDRESSES,
    protocol::{ids::TransportKey, wire::limits::MAX_ADDRESS},
};
use libp2p::{
    Multiaddr, PeerId,
    identity::{PublicKey, ed25519},
    multiaddr::Protocol,
};
use std::net::IpAddr;

/// The PeerId of a transport key; `None` where the bytes are no Ed25519 point.
pub(super) fn peer_id(key: &TransportKey) -> Option<PeerId> {
    let key = ed25519::PublicKey::try_from_bytes(key.as_bytes()).ok()?;
    Some(PublicKey::from(key).to_peer_id())
}

/// The PeerId of a transport key as people see it; empty where the bytes are no key.
pub fn peer_name(key: &TransportKey) -> String {
    peer_id(key).map(|peer| peer.to_string()).unwrap_or_default()
}

/// The transport key within a PeerId; `None` where it is not an Ed25519 key, which no moim node has.
pub(super) fn transport_key(peer: &PeerId) -> Option<TransportKey> {
    /// Multihash code of bytes that are not hashed: short keys are kept whole in a PeerId.
    const IDENTITY: u64 = 0;
    let hash = peer.as_ref();
    if hash.code() != IDENTITY {
        return None;
    }
    let key = PublicKey::try_decode_protobuf(hash.digest()).ok()?.try_into_ed25519().ok()?;
    Some(TransportKey(key.to_bytes()))
}

/// Those of `texts` that may be dialled to reach `peer`, without its PeerId, at most [`MAX_PEER_ADDRESSES`].
pub(super) fn dialable(texts: &[String], peer: Option<&PeerId>) -> Vec<Multiaddr> {
    texts.iter().filter_map(|text| parse(text, peer)).take(MAX_PEER_ADDRESSES).collect()
}

/// The addresses to tell others: concrete ones that mean the same to them, loopback only where there is nothing else.
pub(super) fn to_tell<'a>(listening: impl Iterator<Item = &'a Multiaddr>) -> Vec<String> {
    let (loopback, mut others): (Vec<_>, Vec<_>) = listening
        .filter(|address| !is_unspecified(address) && !is_link_local(address))
        .partition(|address| is_loopback(address));
    if others.is_empty() {
        others = loopback;
    }
    let mut texts: Vec<String> = others.into_iter().map(Multiaddr::to_string).collect();
    texts.sort();
    texts.dedup();
    texts
}

fn parse(text: &str, peer: Option<&PeerId>) -> Option<Multiaddr> {
    if text.len() > MAX_ADDRESS {
        return None;
    }
    let mut address: Multiaddr = text.parse().ok()?;
    if let Some(Protocol::P2p(named)) = address.iter().last() {
        if peer.is_some_and(|peer| *peer != named) {
            return None;
        }
        address.pop();
    }
    let port = address.iter().find_map(|part| match part {
        Protocol::Tcp(port) | Protocol::Udp(port) => Some(port),
        _ => None,
    })?;
    (port != 0 && !is_unspecified(&address)).then_some(address)
}

fn is_unspecified(address: &Multiaddr) -> bool {
    ip(address).is_some_and(|ip| ip.is_unspecified())
}

/// Whether it means something on one cable only, and there only with the name of the interface.
fn is_link_local(address: &Multiaddr) -> bool {
    matches!(ip(address), Some(IpAddr::V6(ip)) if ip.is_unicast_link_local())
}

fn is_loopback(address: &Multiaddr) -> bool {
    ip(address).is_some_and(|ip| ip.is_loopback())
}

fn ip(address: &Multiaddr) -> Option<IpAddr> {
    match address.iter().next()? {
        Protocol::Ip4(ip) => Some(ip.into()),
        Protocol::Ip6(ip) => Some(ip.into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use libp2p::identity::Keypair;

    #[test]
    fn a_transport_key_and_its_peer_id_name_each_other() {
        let peer = Keypair::generate_ed25519().public().to_peer_id();
        let key = transport_key(&peer).unwrap();
        assert_eq!(peer_id(&key), Some(peer));
        let hashed = PeerId::random();
        assert_eq!(transport_key(&hashed), None, "a PeerId that holds no key names no device");
    }

    #[test]
    fn only_addresses_that_lead_somewhere_are_dialled() {
        let peer = Keypair::generate_ed25519().public().to_peer_id();
        let other = Keypair::generate_ed25519().public().to_peer_id();
        let texts = [
            "/ip4/10.0.0.1/tcp/7".to_string(),
            format!("/ip4/10.0.0.2/udp/7/quic-v1/p2p/{peer}"),
            format!("/ip4/10.0.0.3/tcp/7/p2p/{other}"),
            "/ip4/0.0.0.0/tcp/7".into(),
            "/ip4/10.0.0.4/tcp/0".into(),
            "/ip4/10.0.0.5".into(),
            "nonsense".into(),
            format!("/dns4/{}/tcp/7", "a".repeat(300)),
        ];
        let good: Vec<String> = dialable(&texts, Some(&peer)).iter().map(ToString::to_string).collect();
        assert_eq!(good, ["/ip4/10.0.0.1/tcp/7", "/ip4/10.0.0.2/udp/7/quic-v1"]);
    }

    #[test]
    fn loopback_is_told_only_where_there_is_nothing_else() {
        let all: Vec<Multiaddr> =
            ["/ip4/127.0.0.1/tcp/1", "/ip6/fe80::1/tcp/1", "/ip4/10.0.0.1/tcp/1", "/ip4/0.0.0.0/tcp/1"]
                .iter()
                .map(|text| text.parse().unwrap())
                .collect();
        assert_eq!(to_tell(all.iter()), ["/ip4/10.0.0.1/tcp/1"]);
        assert_eq!(to_tell(all.iter().take(2)), ["/ip4/127.0.0.1/tcp/1"]);
    }
}
