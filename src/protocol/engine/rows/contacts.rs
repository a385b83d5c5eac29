//! Other accounts, their devices, and where these are.

use super::Row;
use crate::protocol::{
    crypto::{envelope::Sid, secret::Secret},
    identity::{DeviceCert, SignedList, bundle::MailboxBox, ticket::Inv},
    ids::{AccountId, DeviceId, NoiseKey, OpId, TransportKey},
    time::Millis,
    view::{Key, Table},
};
use minicbor::{Decode, Encode};

/// Another account that this one knows.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(map)]
pub struct ContactRow {
    /// Who.
    #[n(0)]
    pub account: AccountId,
    /// The local name, unique among contacts.
    #[n(1)]
    pub name: String,
    /// The name it gave itself.
    #[n(2)]
    pub own_name: Option<String>,
    /// Whether `name` was chosen by the owner; else it follows `own_name` at the first profile.
    #[n(3)]
    pub named: bool,
    /// How far it is with this contact.
    #[n(4)]
    pub state: ContactState,
    /// Nothing is taken from a blocked one.
    #[n(5)]
    pub blocked: bool,
    /// Whether the safety number was compared.
    #[n(6)]
    pub verified: bool,
    /// What went wrong with adding it.
    #[n(7)]
    pub problem: Option<ContactProblem>,
    /// The secret of the ticket that is being used, theirs (pending, requested) or ours (incoming).
    #[n(8)]
    pub ticket: Option<Inv>,
    /// When that ticket ends.
    #[n(9)]
    pub ticket_ends: Millis,
    /// Intro secrets for later starts, the one to try next last: one from each session that began under a link. Both sides
    /// keep several, since a side cannot know which starts the other has read.
    #[n(10)]
    pub intros: Vec<Secret>,
    /// Its devices by the newest list that was seen.
    #[n(11)]
    pub devices: Vec<DeviceId>,
    /// When this row began.
    #[n(12)]
    pub since: Millis,
    /// The network key of the device whose ticket is being used, until its bundle is known.
    #[n(13)]
    pub ticket_transport: Option<TransportKey>,
    /// When it chose the name it gave itself, by its own clock.
    #[n(14)]
    pub own_name_chosen: Millis,
    /// When a device of it was first seen that was not on its list before; until the owner compares numbers again.
    #[n(15)]
    pub new_device: Option<Millis>,
    /// Intro secrets of before it was removed: they let nobody in until it is a contact again.
    #[cbor(n(16), default)]
    pub former_intros: Vec<Secret>,
}

/// How far it is with a contact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum ContactState {
    /// Added by link; not reached yet.
    #[n(0)]
    Pending,
    /// Reached; it has not accepted.
    #[n(1)]
    Requested,
    /// It asks; the owner has not accepted.
    #[n(2)]
    Incoming,
    /// Both agreed.
    #[n(3)]
    Connected,
    /// Removed here; kept for the names in the history.
    #[n(4)]
    Removed,
    /// Only known as a member of a common group.
    #[n(5)]
    Stranger,
}

/// What went wrong with adding a contact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum ContactProblem {
    /// Another used the link before.
    #[n(0)]
    LinkUsed,
    /// The link ended before its maker was reached.
    #[n(1)]
    LinkExpired,
}

impl Row for ContactRow {
    const TABLE: Table = Table::Contact;
}

impl ContactRow {
    /// By account.
    pub fn key(account: AccountId) -> Key {
        Key::named(Self::TABLE, b"", account)
    }
}

/// A device of another account.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(map)]
pub struct DeviceRow {
    /// Which.
    #[n(0)]
    pub device: DeviceId,
    /// Whose.
    #[n(1)]
    pub account: AccountId,
    /// Its key on the network.
    #[n(2)]
    pub transport: TransportKey,
    /// Its Noise key.
    #[n(3)]
    pub noise: NoiseKey,
    /// Its newest signed bundle.
    #[cbor(n(4), with = "minicbor::bytes")]
    pub bundle: Vec<u8>,
    /// That bundle's number.
    #[n(5)]
    pub bundle_seq: u64,
    /// Addresses that worked or that its bundle names, best first.
    #[n(6)]
    pub addresses: Vec<String>,
    /// The session that is sent on.
    #[n(7)]
    pub sending: Option<Sid>,
    /// Every session that can still be read, oldest first.
    #[n(8)]
    pub sessions: Vec<Sid>,
    /// Groups in which it is a member's device now.
    #[n(9)]
    pub groups: Vec<OpId>,
    /// Where mail for it may be left, as that bundle says.
    #[n(10)]
    pub boxes: Option<Vec<MailboxBox>>,
    /// Devices of its account that were gone when it came, or were heard of later: it speaks for what they wrote.
    #[cbor(n(11), default)]
    pub replaced: Vec<DeviceId>,
    /// What was left for it last, of this device's bundle, outside sessions.
    #[n(12)]
    pub offered: Option<Offered>,
}

/// A bundle that was left for somebody outside sessions.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(map)]
pub struct Offered {
    /// Its prekey and the boxes that it named, hashed.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub of: [u8; 32],
    /// When.
    #[n(1)]
    pub at: Millis,
}

impl Row for DeviceRow {
    const TABLE: Table = Table::Device;
}

impl DeviceRow {
    /// Of a device of which no more is known than its certificate.
    pub fn new(cert: &DeviceCert) -> Self {
        Self {
            device: cert.device,
            account: cert.account,
            transport: cert.transport,
            noise: cert.noise,
            bundle: Vec::new(),
            bundle_seq: 0,
            addresses: Vec::new(),
            sending: None,
            sessions: Vec::new(),
            groups: Vec::new(),
            boxes: None,
            replaced: Vec::new(),
            offered: None,
        }
    }

    /// Where mail for it may be left.
    pub fn boxes(&self) -> &[MailboxBox] {
        self.boxes.as_deref().unwrap_or_default()
    }

    /// By device.
    pub fn key(device: DeviceId) -> Key {
        Key::named(Self::TABLE, b"", device)
    }
}

/// The newest device list of an account that was seen.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(transparent)]
pub struct ListRow(#[n(0)] pub SignedList);

impl Row for ListRow {
    const TABLE: Table = Table::List;
}

impl ListRow {
    /// By account.
    pub fn key(account: AccountId) -> Key {
        Key::named(Self::TABLE, b"", account)
    }
}

/// Which device has a network key.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(map)]
pub struct PeerRow {
    /// The device, once its bundle is known.
    #[n(0)]
    pub device: Option<DeviceId>,
    /// The account a ticket says it belongs to.
    #[n(1)]
    pub account: AccountId,
    /// The network key.
    #[n(2)]
    pub transport: TransportKey,
    /// Where the ticket says it is.
    #[n(3)]
    pub addresses: Vec<String>,
}

impl Row for PeerRow {
    const TABLE: Table = Table::Address;
}

impl PeerRow {
    /// By network key.
    pub fn key(transport: TransportKey) -> Key {
        Key::named(Self::TABLE, b"", transport)
    }
}
