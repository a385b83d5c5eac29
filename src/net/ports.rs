//! Port 0 means "last time's port where it is free, else a new one".

use super::NetError;
use libp2p::{Multiaddr, multiaddr::Protocol};
use std::{
    io,
    net::{IpAddr, SocketAddr, TcpListener, UdpSocket},
};

/// Listens on every interface, over TCP and QUIC.
const EVERYWHERE: [&str; 4] =
    ["/ip4/0.0.0.0/tcp/0", "/ip6/::/tcp/0", "/ip4/0.0.0.0/udp/0/quic-v1", "/ip6/::/udp/0/quic-v1"];

/// An address to listen at that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} is no address to listen at: one is like /ip4/0.0.0.0/tcp/4001 or /ip4/0.0.0.0/udp/4001/quic-v1")]
pub struct BadAddress(pub String);

/// The addresses to listen at, parsed: those that are wanted (none: every interface), with the ports of `last` where they are
/// free and none was named.
pub fn with_memory(wanted: &[String], last: &[String]) -> Result<Vec<Multiaddr>, BadAddress> {
    let everywhere: Vec<String>;
    let wanted = if wanted.is_empty() {
        everywhere = EVERYWHERE.map(str::to_owned).into();
        &everywhere
    } else {
        wanted
    };
    let last: Vec<Socket> = last.iter().filter_map(|text| Socket::of(&text.parse().ok()?)).collect();
    wanted
        .iter()
        .map(|text| {
            let address: Multiaddr = text.parse().map_err(|_| BadAddress(text.clone()))?;
            let socket = Socket::of(&address).ok_or_else(|| BadAddress(text.clone()))?;
            Ok(match socket.remembered(&last) {
                Some(port) => with_port(&address, port),
                None => address,
            })
        })
        .collect()
}

/// Fails where the port that an address names cannot be had. libp2p shares ports among sockets of one user, so that two
/// nodes on one port would take each other's connections and nobody would be told.
pub(super) fn check_free(address: &Multiaddr) -> Result<(), NetError> {
    let Some(socket) = Socket::of(address).filter(|socket| socket.port != 0) else { return Ok(()) };
    socket.bind(socket.port).map_err(|error| NetError::Listen {
        address: address.clone(),
        why: error.to_string(),
        kind: Some(error.kind()),
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Transport {
    Tcp,
    Udp,
}

/// The part of an address that the operating system binds.
#[derive(Debug, Clone, Copy)]
struct Socket {
    ip: IpAddr,
    transport: Transport,
    port: u16,
}

impl Socket {
    fn of(address: &Multiaddr) -> Option<Self> {
        let mut parts = address.iter();
        let ip = match parts.next()? {
            Protocol::Ip4(ip) => ip.into(),
            Protocol::Ip6(ip) => ip.into(),
            _ => return None,
        };
        let (transport, port) = match parts.next()? {
            Protocol::Tcp(port) => (Transport::Tcp, port),
            Protocol::Udp(port) => (Transport::Udp, port),
            _ => return None,
        };
        Some(Self { ip, transport, port })
    }

    /// The port of last time, if none is named here, there was one, and nobody has taken it.
    fn remembered(&self, last: &[Self]) -> Option<u16> {
        if self.port != 0 {
            return None;
        }
        let same_place = |other: &&Self| {
            other.transport == self.transport
                && other.ip.is_ipv4() == self.ip.is_ipv4()
                && (self.ip.is_unspecified() || self.ip == other.ip)
        };
        last.iter().filter(same_place).map(|other| other.port).find(|port| *port != 0 && self.is_free(*port))
    }

    fn is_free(&self, port: u16) -> bool {
        self.bind(port).is_ok()
    }

    /// Takes the port as a plain socket does, for a moment.
    fn bind(&self, port: u16) -> io::Result<()> {
        let at = SocketAddr::new(self.ip, port);
        match self.transport {
            Transport::Tcp => TcpListener::bind(at).map(drop),
            Transport::Udp => UdpSocket::bind(at).map(drop),
        }
    }
}

fn with_port(address: &Multiaddr, port: u16) -> Multiaddr {
    address
        .iter()
        .map(|part| match part {
            Protocol::Tcp(_) => Protocol::Tcp(port),
            Protocol::Udp(_) => Protocol::Udp(port),
            other => other,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(wanted: &[String], last: &[String]) -> Result<Vec<String>, BadAddress> {
        Ok(with_memory(wanted, last)?.iter().map(Multiaddr::to_string).collect())
    }

    fn strings(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn the_port_of_last_time_is_used_again_while_it_is_free() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let last = strings(&[&format!("/ip4/127.0.0.1/tcp/{port}")]);
        let wanted = strings(&["/ip4/127.0.0.1/tcp/0"]);
        assert_eq!(texts(&wanted, &last), Ok(wanted.clone()), "somebody has that port");
        drop(taken);
        assert_eq!(texts(&wanted, &last), Ok(last));
    }

    #[test]
    fn a_port_is_remembered_for_its_own_transport_and_family_only() {
        let last = strings(&["/ip4/127.0.0.1/udp/9/quic-v1", "/ip6/::1/tcp/9"]);
        let wanted = strings(&["/ip4/127.0.0.1/tcp/0"]);
        assert_eq!(texts(&wanted, &last), Ok(wanted));
    }

    #[test]
    fn a_named_port_is_kept_and_nonsense_is_refused() {
        let named = strings(&["/ip4/127.0.0.1/tcp/4001"]);
        assert_eq!(texts(&named, &strings(&["/ip4/127.0.0.1/tcp/9"])), Ok(named));
        for bad in ["", "127.0.0.1:1", "/dns4/example.org/tcp/1", "/ip4/127.0.0.1"] {
            assert_eq!(texts(&strings(&[bad]), &[]), Err(BadAddress(bad.into())));
        }
        assert_eq!(texts(&[], &[]).unwrap(), EVERYWHERE);
    }
}
