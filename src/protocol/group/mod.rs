//! Groups: a signed graph of membership ops, sender chains whose messages carry signatures, and sealed gossip.
//!
//! The member list is a pure function of the set of ops ([`resolve`]). One rule says which keys may be used ([`keys`]).
//! Pure: no store, no session, no network. The engine takes ops, events and frames through here; net asks a
//! [`gossip::Gate`] at once whether a frame may be forwarded.

pub mod applied;
mod bits;
pub mod chain;
pub mod gossip;
pub mod graph;
pub mod keys;
pub mod log;
pub mod op;
mod padding;
pub mod resolve;
#[cfg(test)]
mod testing;

pub use applied::Applied;
pub use chain::{ChainId, ChainKey, GroupEvent, GroupHeader, ReceiverChain, SenderChain, Stub};
pub use gossip::{FrameContent, Gate, GossipKeys, Topic, Verdict};
pub use graph::{Graph, GraphError, Inserted, Missing};
pub use log::{Deed, Entry};
pub use op::{Action, Certificates, Devices, GroupMailbox, History, Meta, Op, OpError, Role, SignedJoin, SignedOp};
pub use resolve::{Member, Membership, Rank, Rotation, VoidReason, Voided};
