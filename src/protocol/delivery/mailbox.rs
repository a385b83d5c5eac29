//! What a mailbox takes and what it refuses: pure sums over named limits.
//!
//! It knows no rows and no network. Who calls: the engine, with what is kept of a box, of a sender and in all.

use crate::protocol::wire::{
    limits::{
        MAX_BOX_BLOBS, MAX_BOX_BYTES, MAX_ENVELOPE, MAX_LOG_BLOBS, MAX_LOG_BYTES, MAX_LOG_SENDER_BLOBS,
        MAX_LOG_SENDER_BYTES, MAX_MAIL_BYTES, MAX_SENDER_BLOBS, MAX_SENDER_BYTES, MAX_SMALL_BOX_BLOBS,
        MAX_SMALL_BOX_BYTES,
    },
    mailbox::Verdict,
};
use minicbor::{Decode, Encode};

/// How much is kept of something.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Kept {
    /// Things.
    #[n(0)]
    pub blobs: u64,
    /// Their bytes.
    #[n(1)]
    pub bytes: u64,
}

impl Kept {
    /// One thing more.
    pub fn add(&mut self, bytes: usize) {
        self.blobs = self.blobs.saturating_add(1);
        self.bytes = self.bytes.saturating_add(bytes as u64);
    }

    /// One thing less.
    pub fn remove(&mut self, bytes: usize) {
        self.blobs = self.blobs.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes as u64);
    }

    fn has_room(&self, bytes: usize, most: Self) -> bool {
        self.blobs < most.blobs && self.bytes.saturating_add(bytes as u64) <= most.bytes
    }
}

/// How much a box may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BoxSize {
    /// Of a device, for all its contacts.
    Whole,
    /// Of a ticket or a guest.
    Small,
    /// Of a group, for all its members: a log.
    Log,
}

impl BoxSize {
    fn most(self) -> Kept {
        match self {
            Self::Whole => Kept { blobs: MAX_BOX_BLOBS, bytes: MAX_BOX_BYTES },
            Self::Small => Kept { blobs: MAX_SMALL_BOX_BLOBS, bytes: MAX_SMALL_BOX_BYTES },
            Self::Log => Kept { blobs: MAX_LOG_BLOBS, bytes: MAX_LOG_BYTES },
        }
    }

    /// How much one sender may have in all boxes of this kind.
    fn most_of_sender(self) -> Kept {
        match self {
            Self::Whole | Self::Small => Kept { blobs: MAX_SENDER_BLOBS, bytes: MAX_SENDER_BYTES },
            Self::Log => Kept { blobs: MAX_LOG_SENDER_BLOBS, bytes: MAX_LOG_SENDER_BYTES },
        }
    }
}

/// Whether a thing of so many bytes is taken: into a box that holds `of_box`, of a sender with `of_sender` here, at a
/// mailbox that keeps `all`.
pub fn judge_deposit(bytes: usize, size: BoxSize, of_box: Kept, of_sender: Kept, all: Kept) -> Verdict {
    let all_most = Kept { blobs: u64::MAX, bytes: MAX_MAIL_BYTES };
    if bytes > MAX_ENVELOPE {
        return Verdict::TooLarge;
    }
    let of_kind = of_box.has_room(bytes, size.most()) && of_sender.has_room(bytes, size.most_of_sender());
    let room = of_kind && all.has_room(bytes, all_most);
    if room { Verdict::Done } else { Verdict::Full }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mailbox_takes_no_more_than_its_limits_of_box_sender_and_disk() {
        let none = Kept::default();
        let judge = |of_box, of_sender, all| judge_deposit(600, BoxSize::Whole, of_box, of_sender, all);
        assert_eq!(judge(none, none, none), Verdict::Done);
        let many = |blobs, bytes| Kept { blobs, bytes };
        assert_eq!(judge(many(MAX_BOX_BLOBS, 0), none, none), Verdict::Full);
        assert_eq!(judge(many(0, MAX_BOX_BYTES - 599), none, none), Verdict::Full);
        assert_eq!(judge(none, many(MAX_SENDER_BLOBS, 0), none), Verdict::Full);
        assert_eq!(judge(none, many(0, MAX_SENDER_BYTES), none), Verdict::Full);
        assert_eq!(judge(none, none, many(0, MAX_MAIL_BYTES)), Verdict::Full);
        let small = many(MAX_SMALL_BOX_BLOBS, 0);
        assert_eq!(judge_deposit(600, BoxSize::Small, small, none, none), Verdict::Full);
        let log = |of_box, of_sender| judge_deposit(600, BoxSize::Log, of_box, of_sender, none);
        assert_eq!(log(many(MAX_BOX_BLOBS, 0), many(MAX_SENDER_BLOBS, 0)), Verdict::Done);
        assert_eq!(log(many(MAX_LOG_BLOBS, 0), none), Verdict::Full);
        assert_eq!(log(none, many(MAX_LOG_SENDER_BLOBS, 0)), Verdict::Full);
        assert_eq!(judge_deposit(MAX_ENVELOPE + 1, BoxSize::Whole, none, none, none), Verdict::TooLarge);
    }

    #[test]
    fn what_is_taken_out_makes_room() {
        let mut kept = Kept::default();
        kept.add(600);
        kept.add(700);
        kept.remove(600);
        assert_eq!(kept, Kept { blobs: 1, bytes: 700 });
        kept.remove(9_999);
        assert_eq!(kept, Kept::default());
    }
}
