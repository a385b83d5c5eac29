//! Tickets: the link or QR code by which two people meet. One text for both, short enough for a QR code of version 6-L.
//!
//! `moim:1:` ‖ base32 of
//!
//! | bytes | content |
//! |---|---|
//! | 32 | AK of who made it |
//! | 32 | TK of the device that made it |
//! | 16 | `inv`, the secret: proves "saw the link" and nothing more |
//! | 4 | when it expires, Unix seconds, big-endian |
//! | 1 | flags: 1 group link, 2 links a device, 4 mailbox link; the upper five bits are the length of the hints in bytes |
//! | 0–28 | address hints of 7 or 19 bytes |
//! | 4 | CRC-32 (IEEE) of all before it, big-endian |
//!
//! The version stands in the text alone, so that a newer link is known as such before anything of it is decoded. The
//! first five rows are 85 bytes, exactly 136 characters: the whole length is known from them, and a link that was cut
//! off is told from one that was mistyped. The checksum is a CRC because it guards against slips, not against forgers
//! (who could compute any checksum): every single wrong character, and every run of up to 32 wrong bits, is surely
//! found, which four bytes of a hash would only do with great probability. The maker proves itself later, by its
//! bundle.

use crate::protocol::{
    crypto::{kdf::hkdf, labels, secret::Secret},
    identity::{
        bundle::{Address, BoxId},
        hint::{self, Hint},
    },
    ids::{AccountId, TransportKey, base32, from_base32},
    time::Millis,
    wire::limits::MAX_TICKET,
};
use rand_core::CryptoRng;
use std::{fmt, str::FromStr};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

const SCHEME: &str = "moim:";
const VERSION: &str = "1";
/// The fields of fixed width, and their base32 characters.
const HEAD: usize = 32 + 32 + 16 + 4 + 1;
const HEAD_CHARS: usize = 136;
const CHECKSUM: usize = 4;
/// Room for hints: four of IPv4, or one of each.
const MAX_HINTS: usize = MAX_TICKET - HEAD - CHECKSUM;
/// The longest link: what is longer, white space apart, is none.
const MAX_LINK: usize = SCHEME.len() + 2 + chars_of(MAX_TICKET);

const GROUP: u8 = 1;
const DEVICE: u8 = 2;
const MAILBOX: u8 = 4;
const HINTS_SHIFT: u32 = 3;

/// A ticket. Whoever holds it may use it, so its `Debug` shows no secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Ticket {
    account: AccountId,
    transport: TransportKey,
    inv: Inv,
    expires: u32,
    purpose: Purpose,
    hints: Vec<Hint>,
}

/// What a ticket is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To become contacts.
    Contact,
    /// To join a group.
    Group,
    /// To make the one who uses it a device of the account.
    Device,
    /// To have mail kept by the device that made it.
    Mailbox,
}

/// The 16 secret bytes of a ticket, as the inviter stores them.
#[derive(Clone, Zeroize, ZeroizeOnDrop, minicbor::Encode, minicbor::Decode)]
#[cbor(transparent)]
pub struct Inv(#[cbor(n(0), with = "minicbor::bytes")] [u8; 16]);

impl Inv {
    /// A fresh one.
    pub fn random(rng: &mut dyn CryptoRng) -> Self {
        let mut bytes = [0; 16];
        rng.fill_bytes(&mut bytes);
        Self(bytes)
    }

    /// The intro secret of a start by this ticket: `KDF(inv, "moim/1/intro-ticket")`.
    pub fn intro(&self) -> Secret {
        self.derive(labels::INTRO_TICKET)
    }

    /// The box of its pinned bundle and of the answers: `KDF(inv, "moim/1/box-ticket")[..16]`.
    pub fn ticket_box(&self) -> BoxId {
        let mut id = [0; 16];
        id.copy_from_slice(&self.derive(labels::BOX_TICKET).expose()[..16]);
        BoxId(id)
    }

    /// What a holder of a mailbox link shows to the mailbox: `KDF(inv, "moim/1/mailbox-link")[..16]`.
    pub fn mailbox_pass(&self) -> BoxId {
        let mut id = [0; 16];
        id.copy_from_slice(&self.derive(labels::MAILBOX_LINK).expose()[..16]);
        BoxId(id)
    }

    /// `KDF(inv, label)`: HKDF-SHA256 (RFC 5869) with salt = inv. HMAC pads any key below 64 bytes with zeros, so a
    /// salt of 16 bytes is as sound as one of 32, and its fixed length leaves no two salts alike.
    fn derive(&self, label: &str) -> Secret {
        hkdf(&self.0, &[label.as_bytes()], &[])
    }
}

impl PartialEq for Inv {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Inv {}

impl fmt::Debug for Inv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Inv(…)")
    }
}

impl Ticket {
    /// A ticket of the device with TK `transport`. Of the addresses those become hints that are bare IP and port, best
    /// first, as many as fit. The expiry is cut to whole seconds.
    pub fn new(
        account: AccountId,
        transport: TransportKey,
        inv: Inv,
        expires: Millis,
        purpose: Purpose,
        addresses: &[Address],
    ) -> Self {
        let expires = u32::try_from(expires.0 / 1000).unwrap_or(u32::MAX);
        Self { account, transport, inv, expires, purpose, hints: hint::best(addresses, MAX_HINTS) }
    }

    /// The ticket in a pasted or scanned text: either case, white space around it and line breaks inside it are fine.
    pub fn parse(text: &str) -> Result<Self, TicketError> {
        // Room for the widest characters, so that nothing is moved and left behind in memory.
        let mut link = Zeroizing::new(String::with_capacity(4 * (MAX_LINK + 1)));
        link.extend(text.chars().filter(|c| !c.is_whitespace()).take(MAX_LINK + 1));
        Self::unpack(&decode_body(body_of(&link)?)?)
    }

    /// Whose account it leads to.
    pub fn account(&self) -> AccountId {
        self.account
    }

    /// TK of the device that made it.
    pub fn transport(&self) -> TransportKey {
        self.transport
    }

    /// Its secret.
    pub fn inv(&self) -> &Inv {
        &self.inv
    }

    /// When it ceases to be good, to the second.
    pub fn expires(&self) -> Millis {
        Millis(u64::from(self.expires) * 1000)
    }

    /// What it is for.
    pub fn purpose(&self) -> Purpose {
        self.purpose
    }

    /// Where to look for its maker, best first; those of kinds from a newer version are left out. Dialled without
    /// expecting a PeerId: it may be a mailbox.
    pub fn hints(&self) -> &[Hint] {
        &self.hints
    }

    /// The intro secret of a start by this ticket.
    pub fn intro(&self) -> Secret {
        self.inv.intro()
    }

    /// The box of its pinned bundle.
    pub fn ticket_box(&self) -> BoxId {
        self.inv.ticket_box()
    }

    /// The text of link and QR code. A secret: whoever reads it may use it.
    pub fn link(&self) -> Zeroizing<String> {
        let packed = Zeroizing::new(base32(&self.pack()));
        Zeroizing::new(format!("{SCHEME}{VERSION}:{}", *packed))
    }

    /// The same in upper case, which a QR code holds as alphanumeric and every reader takes.
    pub fn qr_text(&self) -> Zeroizing<String> {
        Zeroizing::new(self.link().to_ascii_uppercase())
    }

    fn pack(&self) -> Zeroizing<Vec<u8>> {
        let mut hints = Vec::with_capacity(MAX_HINTS);
        for hint in &self.hints {
            hint.pack(&mut hints);
        }
        let purpose = match self.purpose {
            Purpose::Contact => 0,
            Purpose::Group => GROUP,
            Purpose::Device => DEVICE,
            Purpose::Mailbox => MAILBOX,
        };
        // At most 28, which is five bits.
        let flags = purpose | (hints.len() as u8) << HINTS_SHIFT;
        let mut out = Zeroizing::new(Vec::with_capacity(MAX_TICKET));
        for part in [&self.account.0[..], &self.transport.0, &self.inv.0, &self.expires.to_be_bytes(), &[flags], &hints]
        {
            out.extend_from_slice(part);
        }
        let checksum = crc32fast::hash(&out);
        out.extend_from_slice(&checksum.to_be_bytes());
        out
    }

    /// The ticket in packed bytes whose length was found right.
    fn unpack(bytes: &[u8]) -> Result<Self, TicketError> {
        let (packed, checksum) = bytes.split_last_chunk::<CHECKSUM>().ok_or(TicketError::Truncated)?;
        if crc32fast::hash(packed) != u32::from_be_bytes(*checksum) {
            return Err(TicketError::Mistyped);
        }
        let (account, rest) = packed.split_first_chunk::<32>().ok_or(TicketError::Truncated)?;
        let (transport, rest) = rest.split_first_chunk::<32>().ok_or(TicketError::Truncated)?;
        let (inv, rest) = rest.split_first_chunk::<16>().ok_or(TicketError::Truncated)?;
        let (expires, rest) = rest.split_first_chunk::<4>().ok_or(TicketError::Truncated)?;
        let (&flags, mut rest) = rest.split_first().ok_or(TicketError::Truncated)?;
        let purpose = match flags & (GROUP | DEVICE | MAILBOX) {
            0 => Purpose::Contact,
            GROUP => Purpose::Group,
            DEVICE => Purpose::Device,
            MAILBOX => Purpose::Mailbox,
            _ => return Err(TicketError::Newer),
        };
        let mut hints = Vec::new();
        while let Some((hint, behind)) = Hint::unpack(rest) {
            hints.push(hint);
            rest = behind;
        }
        Ok(Self {
            account: AccountId(*account),
            transport: TransportKey(*transport),
            inv: Inv(*inv),
            expires: u32::from_be_bytes(*expires),
            purpose,
            hints,
        })
    }
}

impl FromStr for Ticket {
    type Err = TicketError;
    fn from_str(text: &str) -> Result<Self, TicketError> {
        Self::parse(text)
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket")
            .field("account", &self.account)
            .field("expires", &self.expires)
            .field("purpose", &self.purpose)
            .finish_non_exhaustive()
    }
}

/// Why a text is not a ticket, in words for the one who pasted it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TicketError {
    /// Something else altogether.
    #[error("this is not a moim link: one begins with \"{SCHEME}{VERSION}:\"")]
    NotALink,
    /// Its end is missing.
    #[error("the link is cut off: copy all of it, to the last character")]
    Truncated,
    /// A character is wrong.
    #[error("the link has a wrong character: copy it again rather than typing it")]
    Mistyped,
    /// From a newer version of moim.
    #[error("the link is from a newer moim: update this one to use it")]
    Newer,
    /// Something follows it.
    #[error("more follows the link than belongs to it: copy the link alone")]
    TooLong,
}

/// Base32 characters of so many bytes, unpadded.
const fn chars_of(bytes: usize) -> usize {
    (bytes * 8).div_ceil(5)
}

/// The base32 part of a link of this version.
fn body_of(link: &str) -> Result<&str, TicketError> {
    let (scheme, rest) = link.split_at_checked(SCHEME.len()).ok_or(TicketError::NotALink)?;
    if !scheme.eq_ignore_ascii_case(SCHEME) {
        return Err(TicketError::NotALink);
    }
    let (version, body) = rest.split_once(':').unwrap_or((rest, ""));
    let is_number = version.bytes().all(|byte| byte.is_ascii_digit()) && !version.starts_with('0');
    match version {
        VERSION => Ok(body),
        "" if !rest.starts_with(':') => Err(TicketError::Truncated),
        "" => Err(TicketError::NotALink),
        _ if is_number => Err(TicketError::Newer),
        _ => Err(TicketError::NotALink),
    }
}

/// The packed bytes in the base32 part, once its length was found to be what its own flags say.
fn decode_body(body: &str) -> Result<Zeroizing<Vec<u8>>, TicketError> {
    if !body.bytes().all(|byte| byte.is_ascii_alphabetic() || (b'2'..=b'7').contains(&byte)) {
        return Err(TicketError::Mistyped);
    }
    let head = body.get(..HEAD_CHARS).ok_or(TicketError::Truncated)?;
    let head = Zeroizing::new(from_base32(head).ok_or(TicketError::Mistyped)?);
    let hints = usize::from(head.last().copied().ok_or(TicketError::Truncated)? >> HINTS_SHIFT);
    if hints > MAX_HINTS {
        return Err(TicketError::Mistyped);
    }
    match body.len().cmp(&chars_of(HEAD + hints + CHECKSUM)) {
        std::cmp::Ordering::Less => Err(TicketError::Truncated),
        std::cmp::Ordering::Greater => Err(TicketError::TooLong),
        std::cmp::Ordering::Equal => from_base32(body).map(Zeroizing::new).ok_or(TicketError::Mistyped),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::crypto::kdf::kdf;
    use proptest::prelude::*;

    fn ticket(purpose: Purpose, addresses: &[&str]) -> Ticket {
        let addresses: Vec<Address> = addresses.iter().map(|text| text.parse().unwrap()).collect();
        let (account, transport) = (AccountId([0xaa; 32]), TransportKey([0xbb; 32]));
        Ticket::new(account, transport, Inv([0xcc; 16]), Millis(1_800_000_000_999), purpose, &addresses)
    }

    fn full() -> Ticket {
        ticket(
            Purpose::Contact,
            &[
                "/ip4/192.0.2.1/tcp/4001",
                "/ip4/192.0.2.2/udp/4001/quic-v1",
                "/ip4/10.0.0.3/tcp/1",
                "/ip4/10.0.0.4/tcp/1",
            ],
        )
    }

    #[test]
    fn the_link_format_does_not_change_by_accident() {
        let ticket = ticket(Purpose::Contact, &["/ip4/127.0.0.1/tcp/4001"]);
        // Computed apart, by Python's base64, zlib and hmac.
        let link = concat!(
            "moim:1:vkvkvkvkvkvkvkvkvkvkvkvkvkvkvkvkvkvkvkvkvkvkvkvkvkvlxo53xo53xo53xo53xo53xo53x",
            "o53xo53xo53xo53xo53xo53xo6mztgmztgmztgmztgmztgmztgmnne5eabyaf7qaaabb6qrhoseme"
        );
        assert_eq!(*ticket.link(), link);
        let intro = "e9d50d2689d289d062186a60efd48baff125fc4d005ee273fc88330f392e312a";
        assert_eq!(hex::encode(ticket.intro().expose()), intro);
        assert_eq!(hex::encode(ticket.ticket_box().0), "0c04f96fa213c8c389599c95c95507f4");
    }

    #[test]
    fn the_fullest_ticket_fits_a_small_qr_code() {
        assert_eq!(full().hints().len(), 4);
        assert_eq!(full().pack().len(), MAX_TICKET);
        // Version 6-L holds 195 alphanumeric characters (ISO 18004, table 7).
        assert!(full().qr_text().len() <= 195);
        assert!(full().qr_text().bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b':'));
    }

    #[test]
    fn a_link_survives_mail_and_shouting() {
        let link = full().link();
        let wrapped: String =
            link.as_bytes().chunks(60).map(|line| format!("{}\r\n", std::str::from_utf8(line).unwrap())).collect();
        assert_eq!(Ticket::parse(&format!("  \n{wrapped}\t ")), Ok(full()));
        assert_eq!(Ticket::parse(&full().qr_text()), Ok(full()));
    }

    #[test]
    fn each_way_to_spoil_a_link_has_its_own_answer() {
        let link = full().link();
        for other in
            ["", "https://example.org", "moim", "moim:x:", "moim::aaaa", "MOIM:0:aa", "moimoim:1:aa", "모임:1:aa"]
        {
            assert_eq!(Ticket::parse(other), Err(TicketError::NotALink), "{other}");
        }
        assert_eq!(Ticket::parse("moim:2:anything"), Err(TicketError::Newer));
        for end in "moim:".len()..link.len() {
            assert_eq!(Ticket::parse(&link[..end]), Err(TicketError::Truncated), "{end}");
        }
        assert_eq!(Ticket::parse(&format!("{}a", *link)), Err(TicketError::TooLong));
        assert_eq!(Ticket::parse(&format!("{}{}", *link, "a".repeat(100_000))), Err(TicketError::TooLong));
        let short = ticket(Purpose::Contact, &[]).link();
        assert_eq!(Ticket::parse(&format!("{}hello", *short)), Err(TicketError::TooLong));
        assert_eq!(Ticket::parse(&link.replace('q', "1")), Err(TicketError::Mistyped));
    }

    #[test]
    fn flags_from_the_future_are_told() {
        for flags in [GROUP | MAILBOX, GROUP | DEVICE] {
            let mut packed = ticket(Purpose::Contact, &[]).pack();
            let at = HEAD - 1;
            packed[at] |= flags;
            packed.truncate(HEAD);
            let checksum = crc32fast::hash(&packed).to_be_bytes();
            let text = format!("moim:1:{}", base32(&[&packed[..], &checksum].concat()));
            assert_eq!(Ticket::parse(&text), Err(TicketError::Newer));
        }
    }

    #[test]
    fn the_secrets_are_the_kdf_of_inv() {
        let mut padded = [0; 32];
        padded[..16].fill(0xcc);
        let ticket = full();
        assert_eq!(ticket.intro(), kdf(&padded, labels::INTRO_TICKET, &[]));
        assert_eq!(ticket.ticket_box().0, kdf(&padded, labels::BOX_TICKET, &[]).expose()[..16]);
    }

    #[test]
    fn a_ticket_never_shows_its_secret() {
        assert_eq!(
            format!("{:?} {:?}", full(), full().inv()),
            "Ticket { account: AccountId(vkvkvkvk…), expires: 1800000000, purpose: Contact, .. } Inv(…)"
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn every_ticket_comes_back(
            keys: [[u8; 32]; 2],
            inv: [u8; 16],
            expires: u32,
            kind in 0..4usize,
            ips: Vec<core::net::IpAddr>,
        ) {
            let [account, transport] = keys;
            let purpose = [Purpose::Contact, Purpose::Group, Purpose::Device, Purpose::Mailbox][kind];
            let addresses: Vec<Address> = ips.iter().map(|ip| {
                let family = if ip.is_ipv4() { "ip4" } else { "ip6" };
                format!("/{family}/{ip}/tcp/9").parse().unwrap()
            }).collect();
            let expires = Millis(u64::from(expires) * 1000);
            let ticket = Ticket::new(AccountId(account), TransportKey(transport), Inv(inv), expires, purpose, &addresses);
            prop_assert!(ticket.pack().len() <= MAX_TICKET);
            prop_assert_eq!(ticket.expires(), expires);
            prop_assert_eq!(Ticket::parse(&ticket.link()), Ok(ticket));
        }

        #[test]
        fn no_single_slip_is_taken_for_the_ticket(at in 7..195usize, letter in "[a-z2-7]") {
            let link = full().link();
            let mut slipped = link.to_string();
            slipped.replace_range(at..at + 1, &letter);
            prop_assert!(slipped == *link || Ticket::parse(&slipped).is_err());
        }

        #[test]
        fn no_text_panics(text in "(moim:1?:?)?(\\PC{0,40}|[a-z2-7]{130,200})") {
            let _ = Ticket::parse(&text);
        }
    }
}
