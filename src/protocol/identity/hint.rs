//! Address hints: where a ticket's maker (or its mailbox) may be found, as bare transport, IP and port. Seven bytes for
//! IPv4, nineteen for IPv6; whatever is not of that shape is simply not a hint.

use crate::protocol::identity::bundle::Address;
// Plain values, not sockets: `core::net` opens nothing.
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::{fmt, str::FromStr};

/// The kind byte of each shape.
const TCP_4: u8 = 1;
const QUIC_4: u8 = 2;
const TCP_6: u8 = 3;
const QUIC_6: u8 = 4;

/// How to dial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// TCP with Noise and Yamux.
    Tcp,
    /// QUIC, version 1.
    Quic,
}

/// One address hint. Its text is a multiaddr such as `/ip4/192.0.2.1/udp/4001/quic-v1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hint {
    /// How to dial.
    pub transport: Transport,
    /// Where.
    pub ip: IpAddr,
    /// At which port.
    pub port: u16,
}

impl Hint {
    /// Bytes it takes when packed.
    pub fn packed_len(&self) -> usize {
        if self.ip.is_ipv4() { 7 } else { 19 }
    }

    /// Appends kind ‖ IP ‖ port (big-endian).
    pub(in crate::protocol::identity) fn pack(&self, out: &mut Vec<u8>) {
        match (self.ip, self.transport) {
            (IpAddr::V4(ip), transport) => {
                out.push(if transport == Transport::Tcp { TCP_4 } else { QUIC_4 });
                out.extend(ip.octets());
            }
            (IpAddr::V6(ip), transport) => {
                out.push(if transport == Transport::Tcp { TCP_6 } else { QUIC_6 });
                out.extend(ip.octets());
            }
        }
        out.extend(self.port.to_be_bytes());
    }

    /// The first hint in `bytes` and what follows it. `None` at the end, where it is cut short, and at a kind from a
    /// newer version, whose length is not known here.
    pub(in crate::protocol::identity) fn unpack(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (&kind, rest) = bytes.split_first()?;
        let transport = if matches!(kind, TCP_4 | TCP_6) { Transport::Tcp } else { Transport::Quic };
        let (ip, rest) = match kind {
            TCP_4 | QUIC_4 => rest.split_first_chunk::<4>().map(|(ip, rest)| (IpAddr::from(*ip), rest))?,
            TCP_6 | QUIC_6 => rest.split_first_chunk::<16>().map(|(ip, rest)| (IpAddr::from(*ip), rest))?,
            _ => return None,
        };
        let (port, rest) = rest.split_first_chunk::<2>()?;
        Some((Self { transport, ip, port: u16::from_be_bytes(*port) }, rest))
    }

    /// The address to dial.
    pub fn address(&self) -> Address {
        match self.to_string().parse() {
            Ok(address) => address,
            Err(_) => unreachable!("a hint's text is visible ASCII of at most 70 bytes"),
        }
    }

    /// Small is better: what strangers reach, then the same network, then this machine alone.
    fn distance(&self) -> u8 {
        match self.ip {
            ip if ip.is_loopback() => 3,
            IpAddr::V4(ip) if ip.is_private() => 1,
            IpAddr::V6(ip) if ip.is_unique_local() => 2,
            _ => 0,
        }
    }

    /// Whether anybody could dial it from elsewhere with these bytes alone.
    fn is_dialable(&self) -> bool {
        let scoped = match self.ip {
            IpAddr::V4(ip) => ip.is_link_local() || ip.is_broadcast(),
            IpAddr::V6(ip) => ip.is_unicast_link_local(),
        };
        self.port != 0 && !scoped && !self.ip.is_unspecified() && !self.ip.is_multicast()
    }
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let family = if self.ip.is_ipv4() { "ip4" } else { "ip6" };
        match self.transport {
            Transport::Tcp => write!(f, "/{family}/{}/tcp/{}", self.ip, self.port),
            Transport::Quic => write!(f, "/{family}/{}/udp/{}/quic-v1", self.ip, self.port),
        }
    }
}

/// The multiaddr is of another shape than a hint can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an address of the form /ip4/…/tcp/… or /ip4/…/udp/…/quic-v1")]
pub struct NotAHint;

impl FromStr for Hint {
    type Err = NotAHint;

    /// Reads `/ip4|ip6/IP/tcp/PORT` or `…/udp/PORT/quic-v1`, with or without a `/p2p/PEER` behind it.
    fn from_str(text: &str) -> Result<Self, NotAHint> {
        let parts: Vec<&str> = text.splitn(10, '/').collect();
        let ["", family, ip, protocol, port, rest @ ..] = parts.as_slice() else { return Err(NotAHint) };
        let ip = match *family {
            "ip4" => ip.parse::<Ipv4Addr>().map(IpAddr::V4).map_err(|_| NotAHint)?,
            "ip6" => ip.parse::<Ipv6Addr>().map(IpAddr::V6).map_err(|_| NotAHint)?,
            _ => return Err(NotAHint),
        };
        let transport = match (*protocol, rest) {
            ("tcp", [] | ["p2p", _]) => Transport::Tcp,
            ("udp", ["quic-v1"] | ["quic-v1", "p2p", _]) => Transport::Quic,
            _ => return Err(NotAHint),
        };
        Ok(Self { transport, ip, port: port.parse().map_err(|_| NotAHint)? })
    }
}

/// The best hints among `addresses` that fit into `room` bytes. One for each IP comes before a second one for any;
/// nearer to the world comes before nearer to home; then the given order. Loopback is told only where there is nothing
/// else.
pub(in crate::protocol::identity) fn best(addresses: &[Address], room: usize) -> Vec<Hint> {
    let mut found: Vec<Hint> = Vec::new();
    for hint in addresses.iter().filter_map(|address| address.as_str().parse::<Hint>().ok()) {
        if hint.is_dialable() && !found.contains(&hint) {
            found.push(hint);
        }
    }
    if found.iter().any(|hint| !hint.ip.is_loopback()) {
        found.retain(|hint| !hint.ip.is_loopback());
    }
    let mut ranked: Vec<(usize, u8, Hint)> = Vec::new();
    for hint in found {
        let earlier = ranked.iter().filter(|(_, _, other)| other.ip == hint.ip).count();
        ranked.push((earlier, hint.distance(), hint));
    }
    ranked.sort_by_key(|(earlier, distance, _)| (*earlier, *distance));
    let mut left = room;
    let mut chosen = Vec::new();
    for (_, _, hint) in ranked {
        if let Some(rest) = left.checked_sub(hint.packed_len()) {
            left = rest;
            chosen.push(hint);
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hints(texts: &[&str]) -> Vec<String> {
        let addresses: Vec<Address> = texts.iter().map(|text| text.parse().unwrap()).collect();
        best(&addresses, 28).iter().map(Hint::to_string).collect()
    }

    #[test]
    fn other_shapes_are_not_hints() {
        for text in [
            "/dns4/example.org/tcp/1",
            "/ip4/192.0.2.1/tcp/1/ws",
            "/ip4/192.0.2.1/udp/1",
            "/ip4/192.0.2.1/tcp/65536",
            "/ip4/::1/tcp/1",
            "/ip4/192.0.2.1/tcp/1/p2p/a/p2p-circuit",
            "ip4/192.0.2.1/tcp/1",
            "",
        ] {
            assert_eq!(text.parse::<Hint>(), Err(NotAHint), "{text}");
        }
    }

    #[test]
    fn the_best_hints_that_fit_are_chosen() {
        // One for each IP first; the second transport of an IP where there is room.
        assert_eq!(
            hints(&[
                "/ip4/10.0.0.2/tcp/1",
                "/ip4/10.0.0.2/udp/1/quic-v1",
                "/ip4/192.0.2.1/tcp/1",
                "/ip6/2001:db8::1/tcp/1"
            ]),
            ["/ip4/192.0.2.1/tcp/1", "/ip6/2001:db8::1/tcp/1"]
        );
        assert_eq!(
            hints(&[
                "/ip4/10.0.0.2/udp/1/quic-v1",
                "/ip4/10.0.0.2/tcp/1",
                "/ip4/192.0.2.1/tcp/1",
                "/ip4/10.0.0.2/tcp/1/p2p/x"
            ]),
            ["/ip4/192.0.2.1/tcp/1", "/ip4/10.0.0.2/udp/1/quic-v1", "/ip4/10.0.0.2/tcp/1"]
        );
    }

    #[test]
    fn loopback_is_told_only_alone_and_what_nobody_dials_never() {
        assert_eq!(hints(&["/ip4/127.0.0.1/tcp/4001"]), ["/ip4/127.0.0.1/tcp/4001"]);
        assert_eq!(hints(&["/ip4/127.0.0.1/tcp/1", "/ip4/10.0.0.2/tcp/1"]), ["/ip4/10.0.0.2/tcp/1"]);
        assert!(hints(&["/ip4/0.0.0.0/tcp/1", "/ip6/fe80::1/tcp/1", "/ip4/192.0.2.1/tcp/0"]).is_empty());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn every_hint_comes_back_packed_and_as_text(ip: IpAddr, port: u16, quic: bool) {
            let hint = Hint { transport: if quic { Transport::Quic } else { Transport::Tcp }, ip, port };
            let mut bytes = Vec::new();
            hint.pack(&mut bytes);
            prop_assert_eq!(bytes.len(), hint.packed_len());
            prop_assert_eq!(Hint::unpack(&bytes), Some((hint, &[][..])));
            prop_assert_eq!(hint.address().as_str().parse(), Ok(hint));
        }

        #[test]
        fn no_bytes_and_no_text_panic(bytes in prop::collection::vec(any::<u8>(), 0..40), text in "\\PC{0,60}") {
            let _ = Hint::unpack(&bytes);
            let _ = text.parse::<Hint>();
        }
    }
}
