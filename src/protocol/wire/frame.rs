//! What travels on a direct stream between two connected nodes: envelopes, and the little that must be said outside them.
//!
//! A frame is one kind byte and its content. Nothing here is authenticated but by the connection (hop security), so a
//! frame outside an envelope may cost a retry, never a lost or forged message.

use crate::protocol::{
    crypto::envelope::Tag,
    wire::{
        Malformed,
        limits::{MAX_BUNDLE, MAX_ENVELOPE, MAX_LIST},
        mailbox::{Ask, Say},
    },
};

/// One frame, parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// A sealed envelope, the only thing that carries messages.
    Envelope(Vec<u8>),
    /// "I know no session for this tag": the sender seals anew.
    Unknown(Tag),
    /// "Send me the bundle of the intro with this tag."
    BundleWanted(Tag),
    /// The bundle of that intro, sealed under the intro secret.
    Bundle(Tag, Vec<u8>),
    /// The ticket with this tag was used already.
    TicketUsed(Tag),
    /// The newest signed device list of the listener's account, which the listener's device is not on.
    List(Vec<u8>),
    /// A question to the listener as a mailbox.
    Ask(Ask),
    /// What the speaker says as a mailbox.
    Say(Say),
    /// A kind from a newer version; ignored.
    Unheard(u8),
}

const ENVELOPE: u8 = 1;
const UNKNOWN: u8 = 2;
const BUNDLE_WANTED: u8 = 3;
const BUNDLE: u8 = 4;
const TICKET_USED: u8 = 5;
const LIST: u8 = 6;
// 16 to 31 belong to mailboxes.
const ASK: u8 = 16;
const SAY: u8 = 17;
/// A sealed bundle is at most this much longer than the bundle.
const SEAL_OVERHEAD: usize = 64;

impl Frame {
    /// The frame in `bytes`.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let (&kind, rest) = bytes.split_first().ok_or(Malformed("frame"))?;
        match kind {
            ENVELOPE if rest.len() <= MAX_ENVELOPE => Ok(Self::Envelope(rest.to_vec())),
            UNKNOWN => Ok(Self::Unknown(tag(rest)?)),
            BUNDLE_WANTED => Ok(Self::BundleWanted(tag(rest)?)),
            BUNDLE => {
                let (head, sealed) = rest.split_at_checked(16).ok_or(Malformed("frame"))?;
                if sealed.len() > MAX_BUNDLE + SEAL_OVERHEAD {
                    return Err(Malformed("frame"));
                }
                Ok(Self::Bundle(tag(head)?, sealed.to_vec()))
            }
            TICKET_USED => Ok(Self::TicketUsed(tag(rest)?)),
            LIST if rest.len() <= MAX_LIST => Ok(Self::List(rest.to_vec())),
            ASK => Ok(Self::Ask(Ask::parse(rest)?)),
            SAY => Ok(Self::Say(Say::parse(rest)?)),
            ENVELOPE | LIST => Err(Malformed("frame")),
            other => Ok(Self::Unheard(other)),
        }
    }

    /// The bytes of this frame.
    pub fn to_bytes(&self) -> Vec<u8> {
        let parts: (u8, &[u8], &[u8]) = match self {
            Self::Envelope(wire) => (ENVELOPE, wire, &[]),
            Self::Unknown(tag) => (UNKNOWN, &tag.0, &[]),
            Self::BundleWanted(tag) => (BUNDLE_WANTED, &tag.0, &[]),
            Self::Bundle(tag, sealed) => (BUNDLE, &tag.0, sealed),
            Self::TicketUsed(tag) => (TICKET_USED, &tag.0, &[]),
            Self::List(list) => (LIST, list, &[]),
            Self::Ask(ask) => return [&[ASK], &ask.to_bytes()[..]].concat(),
            Self::Say(say) => return [&[SAY], &say.to_bytes()[..]].concat(),
            Self::Unheard(kind) => (*kind, &[], &[]),
        };
        [&[parts.0], parts.1, parts.2].concat()
    }
}

fn tag(bytes: &[u8]) -> Result<Tag, Malformed> {
    Ok(Tag(bytes.try_into().map_err(|_| Malformed("frame"))?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_frame_comes_back_and_no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(frame) = Frame::parse(&bytes) && !matches!(frame, Frame::Unheard(_)) {
                prop_assert_eq!(Frame::parse(&frame.to_bytes()), Ok(frame.clone()));
                if !matches!(frame, Frame::Ask(_) | Frame::Say(_)) {
                    prop_assert_eq!(frame.to_bytes(), bytes);
                }
            }
        }
    }

    #[test]
    fn an_envelope_past_the_largest_bucket_is_malformed() {
        let long = [vec![ENVELOPE], vec![0; MAX_ENVELOPE + 1]].concat();
        assert_eq!(Frame::parse(&long), Err(Malformed("frame")));
    }
}
