//! Who lied how often: a peer whose frames break the rules a few times is shut out for a while. Pure.

use crate::net::limits::{MAX_OFFENCES, MAX_OFFENDERS, SHUT_OUT_FOR};
use libp2p::PeerId;
use std::{collections::VecDeque, time::Instant};

/// Offences that are not yet forgiven, the oldest first.
#[derive(Default)]
pub(super) struct Offences {
    offenders: VecDeque<Offender>,
}

struct Offender {
    peer: PeerId,
    count: u32,
    last: Instant,
}

impl Offences {
    /// Notes an offence; `true` where it is one too many and the peer is to be shut out.
    pub(super) fn note(&mut self, peer: PeerId, now: Instant) -> bool {
        let known = self.offenders.iter().position(|offender| offender.peer == peer);
        let before = known.and_then(|at| self.offenders.remove(at)).map_or(0, |offender| offender.count);
        let count = before.saturating_add(1);
        self.offenders.push_back(Offender { peer, count, last: now });
        count >= MAX_OFFENCES
    }

    /// Those whose time is over, or who are forgotten for want of room.
    pub(super) fn forgive(&mut self, now: Instant) -> Vec<PeerId> {
        let over = |offender: &Offender| now.saturating_duration_since(offender.last) >= SHUT_OUT_FOR;
        let old = self.offenders.iter().take_while(|offender| over(offender)).count();
        let most = old.max(self.offenders.len().saturating_sub(MAX_OFFENDERS));
        self.offenders.drain(..most).map(|offender| offender.peer).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn who_lies_again_and_again_is_shut_out_and_forgiven_in_time() {
        let (mut offences, peer, now) = (Offences::default(), PeerId::random(), Instant::now());
        for _ in 1..MAX_OFFENCES {
            assert!(!offences.note(peer, now));
        }
        assert!(offences.note(peer, now));
        assert_eq!(offences.forgive(now + SHUT_OUT_FOR - Duration::from_secs(1)), []);
        assert_eq!(offences.forgive(now + SHUT_OUT_FOR), [peer]);
        assert!(!offences.note(peer, now), "forgiven");
    }

    #[test]
    fn many_offenders_cost_bounded_memory() {
        let (mut offences, now) = (Offences::default(), Instant::now());
        for _ in 0..MAX_OFFENDERS + 10 {
            offences.note(PeerId::random(), now);
        }
        assert_eq!(offences.forgive(now).len(), 10);
    }
}
