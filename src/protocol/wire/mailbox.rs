//! What is said between a mailbox and those who leave mail at it or fetch mail from it, on their direct stream.
//!
//! An [`Ask`] goes to the mailbox, a [`Say`] comes from it. Neither is authenticated but by the connection, whose PeerId is
//! what a mailbox goes by. A mailbox may lie in all it says: at worst mail is late, and others that hold it bring it.

use crate::protocol::{
    crypto::kdf::hash,
    identity::bundle::BoxId,
    ids::TransportKey,
    time::Millis,
    wire::{
        Malformed, decode, encode,
        limits::{MAX_BUNDLE, MAX_ENVELOPE, MAX_TAKEN},
    },
};
use minicbor::{Decode, Encode};

/// What a mailbox is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(flat)]
pub enum Ask {
    /// "Keep this box for me." Asked again it changes nothing but what is pinned.
    #[n(0)]
    Open(#[n(0)] BoxId, #[n(1)] Opening),
    /// "Take no more for this box and drop what is in it." Until the time given, who asks is told that it is closed.
    #[n(1)]
    Close(#[n(0)] BoxId, #[n(1)] Millis),
    /// "Keep this for the owner of this box."
    #[n(2)]
    Deposit(#[n(0)] BoxId, #[cbor(n(1), with = "minicbor::bytes")] Vec<u8>),
    /// "Give me what is in my box behind this place."
    #[n(3)]
    Fetch(#[n(0)] BoxId, #[n(1)] u64),
    /// "These are durable here": they may be deleted.
    #[n(4)]
    Took(#[n(0)] BoxId, #[n(1)] Vec<u64>),
    /// "Give me what is pinned at this box."
    #[n(5)]
    Pinned(#[n(0)] BoxId),
    /// "Keep a log under this id": whoever knows the id may leave things in it and fetch them, nobody takes them out.
    #[n(6)]
    Keep(#[n(0)] BoxId),
}

/// What a box is for, and why it should be kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Opening {
    /// Proves that the owner has a link of the mailbox; contacts need none.
    #[n(0)]
    pub link: Option<BoxId>,
    /// A ticket's box: its end.
    #[n(1)]
    pub until: Option<Millis>,
    /// A ticket's box: the sealed bundle that whoever names the box may read.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub pinned: Option<Vec<u8>>,
    /// A guest's box, for the answers to a request that goes into this ticket's box.
    #[n(3)]
    pub guest_of: Option<BoxId>,
}

/// What a mailbox says.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(flat)]
pub enum Say {
    /// Whether a box is kept.
    #[n(0)]
    Opened(#[n(0)] BoxId, #[n(1)] Verdict),
    /// Whether a deposit is durable here; named by [`blob_id`].
    #[n(1)]
    Deposited(#[n(0)] BoxId, #[n(1)] BlobId, #[n(2)] Verdict),
    /// One thing out of the asker's box or out of a log, its place, and who left it.
    #[n(2)]
    Mail(#[n(0)] BoxId, #[n(1)] u64, #[cbor(n(2), with = "minicbor::bytes")] Vec<u8>, #[n(3)] TransportKey),
    /// No more comes in answer to a fetch, and whether there is more.
    #[n(3)]
    End(#[n(0)] BoxId, #[n(1)] bool, #[n(2)] Verdict),
    /// Something is in the listener's box, or more in a log that it has read.
    #[n(4)]
    Waiting(#[n(0)] BoxId),
    /// What is pinned at a box, if it is kept here and something is.
    #[n(5)]
    Pinned(#[n(0)] BoxId, #[n(1)] Verdict, #[cbor(n(2), with = "minicbor::bytes")] Vec<u8>),
    /// An older store was put back here at this time: what was left before may be gone.
    #[n(6)]
    PutBack(#[n(0)] Millis),
}

/// What a mailbox answers. The number is on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// It is done, and durable.
    Done,
    /// This node is no mailbox, or takes nothing now.
    NotServing,
    /// Neither a contact nor a holder of a link, or another's box.
    NotAllowed,
    /// No such box is kept here.
    NotRegistered,
    /// The box was closed.
    Closed,
    /// The box, the sender's share or the mailbox is full.
    Full,
    /// Longer than anything that is kept.
    TooLarge,
    /// More boxes than one owner may have.
    TooMany,
    /// Asked too often: later.
    Busy,
    /// A reason of a newer version.
    Other(u8),
}

impl Verdict {
    const NAMED: [Self; 9] = [
        Self::Done,
        Self::NotServing,
        Self::NotAllowed,
        Self::NotRegistered,
        Self::Closed,
        Self::Full,
        Self::TooLarge,
        Self::TooMany,
        Self::Busy,
    ];

    /// Its number.
    pub fn code(self) -> u8 {
        match self {
            Self::Other(code) => code,
            named => Self::NAMED.iter().position(|other| *other == named).map_or(u8::MAX, |place| place as u8),
        }
    }
}

impl<C> Encode<C> for Verdict {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut minicbor::Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.u8(self.code())?.ok()
    }
}

impl<'b, C> Decode<'b, C> for Verdict {
    fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        let code = d.u8()?;
        Ok(Self::NAMED.get(usize::from(code)).copied().unwrap_or(Self::Other(code)))
    }
}

/// Names something that was left at a mailbox: the first half of its hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
#[cbor(transparent)]
pub struct BlobId(#[cbor(n(0), with = "minicbor::bytes")] pub [u8; 16]);

/// The name of a blob.
pub fn blob_id(blob: &[u8]) -> BlobId {
    let mut id = [0; 16];
    id.copy_from_slice(&hash(&[blob])[..16]);
    BlobId(id)
}

impl Ask {
    /// The question in `bytes`, within the limits. What is left at a mailbox may be longer than it keeps: that is answered.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let ask: Self = decode(bytes, "question to a mailbox")?;
        let fits = match &ask {
            Self::Took(_, places) => places.len() <= MAX_TAKEN,
            _ => true,
        };
        if fits { Ok(ask) } else { Err(Malformed("question to a mailbox")) }
    }

    /// Its bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        encode(self)
    }
}

impl Say {
    /// The answer in `bytes`, within the limits.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let say: Self = decode(bytes, "answer of a mailbox")?;
        let fits = match &say {
            Self::Mail(_, _, blob, _) => blob.len() <= MAX_ENVELOPE,
            Self::Pinned(_, _, sealed) => sealed.len() <= MAX_BUNDLE + 64,
            _ => true,
        };
        if fits { Ok(say) } else { Err(Malformed("answer of a mailbox")) }
    }

    /// Its bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        encode(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::wire::{frame::Frame, limits::MAX_FRAME};
    use proptest::prelude::*;

    const BOX: BoxId = BoxId([7; 16]);

    #[test]
    fn the_longest_envelope_fits_a_deposit_and_a_delivery() {
        let longest = vec![9; MAX_ENVELOPE];
        let ask = Frame::Ask(Ask::Deposit(BOX, longest.clone()));
        let say = Frame::Say(Say::Mail(BOX, u64::MAX, longest, TransportKey([3; 32])));
        for frame in [ask, say] {
            assert!(frame.to_bytes().len() <= MAX_FRAME);
            assert_eq!(Frame::parse(&frame.to_bytes()), Ok(frame));
        }
    }

    #[test]
    fn every_verdict_keeps_its_number() {
        for (code, verdict) in Verdict::NAMED.into_iter().enumerate() {
            assert_eq!(usize::from(verdict.code()), code);
            assert_eq!(decode::<Verdict>(&encode(&verdict), "verdict"), Ok(verdict));
        }
        assert_eq!(decode::<Verdict>(&encode(&Verdict::Other(77)), "verdict"), Ok(Verdict::Other(77)));
    }

    #[test]
    fn more_places_than_one_fetch_gives_are_malformed() {
        let many = Ask::Took(BOX, vec![1; MAX_TAKEN + 1]);
        assert!(Ask::parse(&many.to_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_a_mailboxs_words_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = (Ask::parse(&bytes), Say::parse(&bytes));
        }
    }
}
