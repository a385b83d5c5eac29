//! Groups: the signed membership graph, sender chains, and gossip frames.

pub mod gossip;
