//! Two parties and a network that reorders, repeats, loses, tampers and crashes.

use super::*;
use crate::protocol::{
    crypto::{
        envelope::{open_outer, peek},
        kem::KemSeed,
        noise::STEP_OVERHEAD,
        start::{PrekeySecret, Recipient, Responder, StartSeen, intro_tag},
    },
    ids::{AccountId, TransportKey},
    time::days,
    wire::limits::{KEM_EVERY, KEM_EVERY_EPOCHS, MAX_SKIPPED_PER_GAP},
};
use rand_chacha::{
    ChaCha20Rng,
    rand_core::{Rng, SeedableRng},
};
use std::collections::{BTreeMap, BTreeSet};

const NOW: Millis = Millis(1_800_000_000_000);

/// One device: its session row and the skipped keys beside it, as an engine would store them.
#[derive(Clone)]
struct Party {
    session: Session,
    skipped: BTreeMap<SkipId, Secret>,
}

#[derive(Debug, PartialEq)]
enum Refused {
    UnknownTag,
    Outer,
    Open(OpenError),
}

impl Party {
    fn new(session: Session) -> Self {
        Self { session, skipped: BTreeMap::new() }
    }

    fn seal(&mut self, record: &[u8], now: Millis, rng: &mut ChaCha20Rng) -> Sealed {
        self.session.seal(record, now, rng).unwrap()
    }

    fn outer(&self, wire: &[u8]) -> Result<Outer, Refused> {
        let tag = peek(wire).map_err(|_| Refused::Outer)?;
        let key = self.session.header_key(tag).ok_or(Refused::UnknownTag)?;
        open_outer(wire, &key).map_err(|_| Refused::Outer)
    }

    fn receive(&mut self, wire: &[u8], now: Millis) -> Result<Vec<u8>, Refused> {
        let outer = self.outer(wire)?;
        self.receive_outer(&outer, now)
    }

    fn receive_outer(&mut self, outer: &Outer, now: Millis) -> Result<Vec<u8>, Refused> {
        let before = self.session.to_row();
        let opened = self.session.open(outer, &|id| self.skipped.get(&id).cloned(), now);
        assert_eq!(self.session.to_row(), before, "opening works on a copy");
        let opened = opened.map_err(Refused::Open)?;
        self.skipped.extend(opened.keep);
        opened.forget.iter().for_each(|id| drop(self.skipped.remove(id)));
        self.session = opened.session;
        self.check();
        Ok(opened.record)
    }

    /// The rows beside the session are exactly those it knows of, and within limits.
    fn check(&self) {
        let known: Vec<SkipId> = self.session.skipped();
        assert_eq!(known, self.skipped.keys().copied().collect::<Vec<_>>());
        assert!(known.len() <= MAX_SKIPPED_PER_SESSION);
        assert!(self.session.tags().len() <= MAX_OLD_EPOCHS + 2);
    }

    fn reload(&mut self) {
        let again = Session::from_row(&self.session.to_row()).unwrap();
        assert!(again == self.session);
        self.session = again;
    }
}

/// Two parties of one session, the initiator's start read but nothing of its flight opened.
fn pair(rng: &mut ChaCha20Rng) -> (Party, Party) {
    let (a_noise, b_noise, intro) = (Secret::random(rng), Secret::random(rng), Secret::random(rng));
    let prekey =
        PrekeySecret { id: [1; 8], x25519: Secret::random(rng), kem_seed: KemSeed::random(rng), record_hash: [2; 32] };
    let (account, transport) = (AccountId([3; 32]), TransportKey([4; 32]));
    let noise = NoiseKey(crate::protocol::crypto::noise::public_key(&b_noise));
    let to = Recipient { account, transport, noise, prekey: prekey.public() };
    let begun = Session::start(&a_noise, &to, &intro, b"bundle", NOW, rng).unwrap();
    let wire = begun.session.clone().seal(b"hello", NOW, rng).unwrap().wire;
    let outer = open_outer(&wire, &intro_tag(&intro).1).unwrap();
    let own = Responder { account, transport, noise: &b_noise, prekey: &prekey };
    let read = StartSeen::of(&outer).unwrap().read(own, &intro).unwrap();
    let from = read.peer_noise();
    let accepted = read.accept(from, NOW).unwrap();
    (Party::new(begun.session), Party::new(accepted.session))
}

/// A pair after each has read the other once: the initiator in epoch 2, the responder in epoch 1.
fn warm_pair(rng: &mut ChaCha20Rng) -> (Party, Party) {
    let (mut a, mut b) = pair(rng);
    exchange(&mut a, &mut b, NOW, rng);
    let wire = a.seal(b"two", NOW, rng).wire;
    assert_eq!(b.receive(&wire, NOW).unwrap(), b"two");
    (a, b)
}

/// A message each way; gives the lengths of their handshakes.
fn exchange(a: &mut Party, b: &mut Party, now: Millis, rng: &mut ChaCha20Rng) -> [usize; 2] {
    let ping = a.seal(b"ping", now, rng).wire;
    let there = b.outer(&ping).unwrap().header.handshake.len();
    assert_eq!(b.receive(&ping, now).unwrap(), b"ping");
    let pong = b.seal(b"pong", now, rng).wire;
    let back = a.outer(&pong).unwrap().header.handshake.len();
    assert_eq!(a.receive(&pong, now).unwrap(), b"pong");
    [there, back]
}

struct Flying {
    to: usize,
    sealed: Sealed,
    record: Vec<u8>,
    arrived: bool,
}

/// One run of the network: `turns` events, a few of each kind.
fn storm(seed: u64, turns: u32) -> (usize, u32) {
    let rng = &mut ChaCha20Rng::seed_from_u64(seed);
    let (a, b) = pair(rng);
    let mut parties = [a, b];
    let mut flying: Vec<Flying> = Vec::new();
    let (mut positions, mut read) = (BTreeSet::new(), 0);
    for turn in 0..turns {
        let now = NOW.plus(std::time::Duration::from_secs(turn.into()));
        let who = (rng.next_u32() % 2) as usize;
        match rng.next_u32() % 100 {
            0..33 => {
                let record =
                    [&seed.to_be_bytes()[..], &turn.to_be_bytes(), &vec![7; rng.next_u32() as usize % 700]].concat();
                let sealed = parties[who].seal(&record, now, rng);
                assert!(positions.insert((who, sealed.epoch, sealed.index)), "a position was used twice");
                // One in ten is stored, then lost by a crash: the state moved on, the wire never left.
                if rng.next_u32() % 10 > 0 {
                    flying.push(Flying { to: 1 - who, sealed, record, arrived: false });
                }
            }
            33..90 if !flying.is_empty() => {
                let at = rng.next_u32() as usize % flying.len();
                let flight = &mut flying[at];
                let party = &mut parties[flight.to];
                let behind = party.session.peer_epoch().unwrap_or(0).saturating_sub(flight.sealed.epoch);
                match party.receive(&flight.sealed.wire, now) {
                    Ok(record) => {
                        assert!(!flight.arrived, "a message was read twice");
                        assert_eq!(record, flight.record);
                        (flight.arrived, read) = (true, read + 1);
                    }
                    Err(Refused::UnknownTag) => assert!(flight.arrived || behind > 2 * MAX_OLD_EPOCHS as u32),
                    Err(Refused::Open(OpenError::Replayed { .. })) => assert!(flight.arrived),
                    Err(other) => panic!("{other:?}"),
                }
                // Half of what arrived stays in the net and comes again.
                if rng.next_u32() % 2 == 0 {
                    flying.swap_remove(at);
                }
            }
            90..93 if !flying.is_empty() => {
                flying.swap_remove(rng.next_u32() as usize % flying.len());
            }
            93..96 if !flying.is_empty() => {
                let flight = &flying[rng.next_u32() as usize % flying.len()];
                let mut wire = flight.sealed.wire.clone();
                let at = rng.next_u32() as usize % wire.len();
                wire[at] ^= 1 << (rng.next_u32() % 8);
                assert!(parties[flight.to].receive(&wire, now).is_err());
            }
            96..98 => parties[who].reload(),
            _ => {
                let forgotten = parties[who].session.expire(now);
                assert_eq!(forgotten, []);
            }
        }
    }
    // In the end everything still in the net arrives, and the session is alive both ways.
    let now = NOW.plus(days(1));
    for Flying { to, sealed, record, arrived } in flying {
        let behind = parties[to].session.peer_epoch().unwrap_or(0).saturating_sub(sealed.epoch);
        match parties[to].receive(&sealed.wire, now) {
            Ok(got) => {
                assert!(!arrived && got == record);
                read += 1;
            }
            Err(_) => assert!(arrived || behind > 2 * MAX_OLD_EPOCHS as u32),
        }
    }
    let [a, b] = &mut parties;
    exchange(a, b, now, rng);
    (read, a.session.peer_epoch().unwrap().max(b.session.peer_epoch().unwrap()))
}

#[test]
fn whatever_the_network_does_each_message_is_read_at_most_once_and_as_it_was() {
    let (mut read, mut epochs) = (0, 0);
    for seed in 0..6 {
        let (messages, last) = storm(seed, 2_500);
        read += messages;
        epochs += last;
    }
    assert!(read > 3_000 && epochs > 600, "the storm is too weak to prove anything: {read} read, {epochs} epochs");
}

#[test]
fn simultaneous_flights_cross_without_loss() {
    let rng = &mut ChaCha20Rng::seed_from_u64(1);
    let (mut a, mut b) = warm_pair(rng);
    for round in 0..40u8 {
        let from_a: Vec<_> = (0..3).map(|i| a.seal(&[round, 0, i], NOW, rng)).collect();
        let from_b: Vec<_> = (0..3).map(|i| b.seal(&[round, 1, i], NOW, rng)).collect();
        for (i, (to_b, to_a)) in from_a.iter().zip(&from_b).enumerate().rev() {
            assert_eq!(b.receive(&to_b.wire, NOW).unwrap(), [round, 0, i as u8]);
            assert_eq!(a.receive(&to_a.wire, NOW).unwrap(), [round, 1, i as u8]);
        }
        let (own, peer) = (a.session.own_epoch().unwrap(), b.session.own_epoch().unwrap());
        assert_eq!(own.abs_diff(peer), 1, "epochs alternate strictly");
    }
}

#[test]
fn no_altered_header_or_body_opens_for_one_who_holds_the_header_key() {
    let rng = &mut ChaCha20Rng::seed_from_u64(2);
    let (mut a, mut b) = warm_pair(rng);
    let within = a.seal(b"within the flight", NOW, rng).wire;
    let wire = b.seal(b"answer", NOW, rng).wire;
    a.receive(&wire, NOW).unwrap();
    let next = a.seal(b"first of the next", NOW, rng).wire;
    for wire in [within, next] {
        let outer = b.outer(&wire).unwrap();
        let inside = [outer.header_bytes.clone(), outer.body.clone()].concat();
        for at in (0..inside.len()).step_by(if inside.len() > 1_000 { 7 } else { 1 }) {
            let mut altered = inside.clone();
            altered[at] ^= 1;
            if let Some(bad) = Outer::parse(outer.tag, &altered) {
                let refused = b.receive_outer(&bad, NOW).unwrap_err();
                assert!(matches!(refused, Refused::Open(_)), "byte {at}");
            }
        }
        assert!(b.receive(&wire, NOW).is_ok(), "the true one still opens");
    }
}

#[test]
fn a_replay_is_told_from_a_key_that_is_gone() {
    let rng = &mut ChaCha20Rng::seed_from_u64(3);
    let (mut a, mut b) = warm_pair(rng);
    let sent: Vec<_> = (0..1_200).map(|_| a.seal(b"x", NOW, rng)).collect();
    b.receive(&sent[1_199].wire, NOW).unwrap();
    assert_eq!(b.skipped.len(), MAX_SKIPPED_PER_GAP, "the newest of a gap are kept");
    let replayed = OpenError::Replayed { epoch: 2, index: sent[1_199].index };
    assert_eq!(b.receive(&sent[1_199].wire, NOW), Err(Refused::Open(replayed)));
    let gone = OpenError::KeyGone { sid: a.session.sid(), epoch: 2, index: sent[0].index };
    assert_eq!(b.receive(&sent[0].wire, NOW), Err(Refused::Open(gone)));
    assert_eq!(b.receive(&sent[1_000].wire, NOW).unwrap(), b"x");
    b.skipped.remove(&SkipId { epoch: 2, index: sent[1_001].index });
    let lost = OpenError::KeyGone { sid: a.session.sid(), epoch: 2, index: sent[1_001].index };
    let outer = b.outer(&sent[1_001].wire).unwrap();
    assert_eq!(b.session.open(&outer, &|_| None, NOW), Err(lost));
}

#[test]
fn skipped_keys_are_let_go_by_count_oldest_first_and_by_age() {
    let rng = &mut ChaCha20Rng::seed_from_u64(4);
    let (mut a, mut b) = warm_pair(rng);
    for _ in 0..3 {
        (0..900).for_each(|_| drop(a.seal(b"lost", NOW, rng)));
        let wire = a.seal(b"arrives", NOW, rng).wire;
        b.receive(&wire, NOW).unwrap();
        exchange(&mut b, &mut a, NOW, rng);
        let wire = a.seal(b"more", NOW, rng).wire;
        b.receive(&wire, NOW).unwrap();
    }
    assert_eq!(b.skipped.len(), MAX_SKIPPED_PER_SESSION);
    assert_eq!(b.skipped.keys().filter(|id| id.epoch == 2).count(), 200, "the oldest went first");
    assert!(b.session.to_row().len() < 6 * 1024);
    assert_eq!(b.session.expire(NOW.plus(days(29))), []);
    let forgotten = b.session.expire(NOW.plus(days(30)));
    assert_eq!(forgotten, b.skipped.keys().copied().collect::<Vec<_>>());
    b.skipped.clear();
    b.check();
    assert_eq!(b.session.tags().len(), 1, "no row of an older epoch outlives its keys");
    exchange(&mut b, &mut a, NOW.plus(days(31)), rng);
}

#[test]
fn eight_older_epochs_are_found_and_the_ninth_is_let_go_with_its_keys() {
    let rng = &mut ChaCha20Rng::seed_from_u64(5);
    let (mut a, mut b) = warm_pair(rng);
    let mut late = Vec::new();
    for _ in 0..10 {
        late.push(a.seal(b"late", NOW, rng).wire);
        exchange(&mut a, &mut b, NOW, rng);
    }
    // The newest late one is of the epoch that is still open.
    let fates: Vec<bool> = late.iter().map(|wire| b.receive(wire, NOW).is_ok()).collect();
    assert_eq!(fates, [[false].as_slice(), &[true; 9]].concat());
    assert!(b.skipped.is_empty());
}

#[test]
fn rows_of_epoch_0_stay_until_epoch_2_is_read_and_no_key_is_outstanding_at_most_30_days() {
    let rng = &mut ChaCha20Rng::seed_from_u64(6);
    let (mut a, mut b) = pair(rng);
    let first = a.seal(b"0", NOW, rng);
    let late = a.seal(b"1", NOW, rng);
    let tag_0 = peek(&first.wire).unwrap();
    let holds = |party: &Party| party.session.header_key(tag_0).is_some();
    b.receive(&a.seal(b"2", NOW, rng).wire, NOW).unwrap();
    let mut old = b.clone();
    let wire = b.seal(b"answer", NOW, rng).wire;
    a.receive(&wire, NOW).unwrap();
    b.receive(&a.seal(b"epoch 2", NOW, rng).wire, NOW).unwrap();
    assert!(holds(&b));
    b.receive(&first.wire, NOW).unwrap();
    assert!(holds(&b));
    b.receive(&late.wire, NOW).unwrap();
    assert!(!holds(&b));

    assert_eq!(old.session.expire(NOW.plus(days(29))), []);
    assert!(holds(&old));
    assert_eq!(old.session.expire(NOW.plus(days(30))).len(), 2);
    assert!(!holds(&old));
    assert!(a.session.answered() && a.session.is_initiator() && !b.session.is_initiator());
}

#[test]
fn a_flight_is_bounded_and_its_widest_gap_is_stepped_over() {
    let rng = &mut ChaCha20Rng::seed_from_u64(7);
    let (mut a, mut b) = warm_pair(rng);
    let early = a.seal(b"early", NOW, rng).wire;
    let Turn::Theirs { writing, .. } = &mut a.session.turn else { panic!("a wrote last") };
    while writing.chain.next() < MAX_GAP - 1 {
        writing.chain.step();
    }
    let last = a.seal(b"last", NOW, rng);
    assert_eq!(last.index, MAX_GAP - 1);
    let before = a.session.to_row();
    assert_eq!(a.session.seal(b"one more", NOW, rng), Err(SealError::FlightFull));
    assert_eq!(a.session.to_row(), before);
    assert_eq!(b.receive(&last.wire, NOW).unwrap(), b"last");
    assert!(matches!(b.receive(&early, NOW), Err(Refused::Open(OpenError::KeyGone { .. }))));
    exchange(&mut b, &mut a, NOW, rng);
    assert!(a.session.seal(b"again", NOW, rng).is_ok(), "an answer opens a new flight");
    let long = vec![0; MAX_RECORD + 1];
    assert_eq!(a.session.seal(&long, NOW, rng), Err(SealError::TooLong(MAX_RECORD + 1)));
}

#[test]
fn an_ek_is_offered_first_then_weekly_or_each_50_own_epochs_and_always_answered() {
    let rng = &mut ChaCha20Rng::seed_from_u64(8);
    let (mut a, mut b) = pair(rng);
    let (ct, ek) = (1_088, 1_184);
    let mut kem_bytes =
        |now| exchange(&mut a, &mut b, now, rng).map(|handshake| handshake.saturating_sub(STEP_OVERHEAD + 33));
    assert_eq!(kem_bytes(NOW)[1], ek, "the responder's first offers");
    assert_eq!(kem_bytes(NOW), [ct + ek, ct], "the initiator's first answers and offers");
    for _ in 0..KEM_EVERY_EPOCHS - 2 {
        assert_eq!(kem_bytes(NOW), [0, 0]);
    }
    assert_eq!(kem_bytes(NOW), [0, ek], "the responder's fiftieth");
    assert_eq!(kem_bytes(NOW), [ct + ek, ct]);
    assert_eq!(kem_bytes(NOW.plus(KEM_EVERY)), [ek, ct + ek], "a week later");
}

#[test]
fn a_step_that_leaves_out_the_answer_to_our_ek_is_refused() {
    let rng = &mut ChaCha20Rng::seed_from_u64(9);
    let (mut a, mut b) = pair(rng);
    exchange(&mut a, &mut b, NOW, rng);
    let honest = a.clone();
    let Turn::Ours { ek, .. } = &mut a.session.turn else { panic!("the responder wrote last") };
    assert!(ek.take().is_some());
    let wire = a.seal(b"talked down", NOW, rng).wire;
    assert_eq!(b.receive(&wire, NOW), Err(Refused::Open(OpenError::Malformed)));
    // An answer to another key gives other keys: the body does not open.
    let mut a = honest.clone();
    let Turn::Ours { ek, .. } = &mut a.session.turn else { panic!("the responder wrote last") };
    *ek = Some(KemSeed::random(rng).public());
    let wire = a.seal(b"another key", NOW, rng).wire;
    assert_eq!(b.receive(&wire, NOW), Err(Refused::Open(OpenError::Tampered)));
    let mut a = honest;
    let wire = a.seal(b"honest", NOW, rng).wire;
    assert_eq!(b.receive(&wire, NOW).unwrap(), b"honest");
}

#[test]
fn who_stole_a_whole_state_reads_nothing_after_a_full_exchange() {
    for seed in 0..20 {
        let rng = &mut ChaCha20Rng::seed_from_u64(100 + seed);
        let (mut a, mut b) = warm_pair(rng);
        if seed % 2 == 0 {
            exchange(&mut b, &mut a, NOW, rng);
        }
        let mut thief = b.clone();
        // What is under way is the thief's too: the flight that follows the theft is read by both.
        let wire = a.seal(b"still read", NOW, rng).wire;
        assert_eq!(thief.receive(&wire, NOW).unwrap(), b"still read");
        b.receive(&wire, NOW).unwrap();
        exchange(&mut b, &mut a, NOW, rng);
        for i in 0..6u8 {
            let wires = [a.seal(&[i], NOW, rng).wire, b.seal(&[i], NOW, rng).wire];
            b.receive(&wires[0], NOW).unwrap();
            a.receive(&wires[1], NOW).unwrap();
            for wire in &wires {
                assert_eq!(thief.receive(wire, NOW), Err(Refused::UnknownTag));
            }
            // Nor with the header keys given to the thief.
            let known = b.session.tags();
            for (tag, key) in known {
                let Ok(outer) = open_outer(&wires[0], &key) else { continue };
                assert_eq!(outer.tag, tag);
                assert!(thief.receive_outer(&outer, NOW).is_err());
            }
        }
    }
}

#[test]
fn what_was_read_cannot_be_read_again_from_a_state_stolen_later() {
    let rng = &mut ChaCha20Rng::seed_from_u64(10);
    let (mut a, mut b) = warm_pair(rng);
    let wires: Vec<_> = (0..5).map(|i| a.seal(&[i], NOW, rng).wire).collect();
    let outers: Vec<_> = wires.iter().map(|wire| b.outer(wire).unwrap()).collect();
    for wire in wires.iter().rev() {
        b.receive(wire, NOW).unwrap();
    }
    assert!(b.skipped.is_empty());
    // Stolen within the flight, from the reader or the writer: the chain gives later keys only.
    let Turn::Theirs { writing, .. } = &a.session.turn else { panic!("a wrote last") };
    for mut chain in [b.session.reading.clone().unwrap().chain, writing.chain.clone()] {
        let stolen: Vec<_> = (0..10).map(|_| chain.step()).collect();
        for (outer, key) in outers.iter().flat_map(|outer| stolen.iter().map(move |key| (outer, key))) {
            assert!(open_once(key, &body_ad(&outer.header_bytes), &outer.body).is_err());
        }
    }
    exchange(&mut b, &mut a, NOW, rng);
    for outer in &outers {
        assert!(b.clone().receive_outer(outer, NOW).is_err());
    }
}

#[test]
fn no_two_positions_share_a_message_key() {
    let rng = &mut ChaCha20Rng::seed_from_u64(13);
    let (mut a, mut b) = warm_pair(rng);
    let mut keys = BTreeSet::new();
    for _ in 0..20 {
        (0..20).for_each(|_| drop(a.seal(b"lost", NOW, rng)));
        exchange(&mut a, &mut b, NOW, rng);
    }
    assert_eq!(b.skipped.len(), 180, "of the newest epoch and eight older");
    assert!(b.skipped.values().all(|key| keys.insert(*key.expose())));
}

/// Seeded: the digest changes with any byte of the wire form, and with the order in which randomness is drawn.
#[test]
fn the_wire_form_does_not_change_unnoticed() {
    let rng = &mut ChaCha20Rng::seed_from_u64(14);
    let (mut a, mut b) = pair(rng);
    let mut wires = Vec::new();
    for _ in 0..2 {
        let wire = a.seal(b"from the initiator", NOW, rng).wire;
        b.receive(&wire, NOW).unwrap();
        wires.extend(wire);
        let wire = b.seal(b"from the responder", NOW, rng).wire;
        a.receive(&wire, NOW).unwrap();
        wires.extend(wire);
    }
    let digest = crate::protocol::crypto::kdf::hash(&[&wires]);
    assert_eq!(hex::encode(digest), "9576453c1e265788d55c163622204fad5fc17b4c0208653e0ddc6952a8949f2b");
}

#[test]
fn a_session_is_for_its_own_envelopes_only() {
    let rng = &mut ChaCha20Rng::seed_from_u64(11);
    let (mut a, mut b) = warm_pair(rng);
    let (_, mut other) = warm_pair(rng);
    let sealed = a.seal(b"x", NOW, rng);
    let outer = b.outer(&sealed.wire).unwrap();
    assert_eq!(other.receive(&sealed.wire, NOW), Err(Refused::UnknownTag));
    assert_eq!(other.receive_outer(&outer, NOW), Err(Refused::Open(OpenError::Malformed)));
    // Under another epoch's tag, or reflected to its writer, it is not taken either.
    let mut moved = outer.clone();
    moved.tag = Tag([0; 16]);
    assert_eq!(b.receive_outer(&moved, NOW), Err(Refused::Open(OpenError::Malformed)));
    assert!(a.receive_outer(&outer, NOW).is_err());
    assert_eq!(b.receive_outer(&outer, NOW).unwrap(), b"x");
}

#[test]
fn a_row_is_small_versioned_and_never_shown() {
    let rng = &mut ChaCha20Rng::seed_from_u64(12);
    let (a, b) = warm_pair(rng);
    for party in [&a, &b] {
        let row = party.session.to_row();
        assert!(row.len() < 6 * 1024, "{} bytes", row.len());
        let mut newer = row.clone();
        assert_eq!(newer[1..3], [0, 1], "key 0 is the version");
        newer[2] = 2;
        assert_eq!(Session::from_row(&newer), Err(Malformed("session")));
        assert_eq!(Session::from_row(&row[..row.len() - 1]), Err(Malformed("session")));
        let shown = format!("{:?}", party.session);
        assert!(shown.len() < 60, "{shown}");
    }
}
