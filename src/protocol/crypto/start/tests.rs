use super::*;
use crate::protocol::{
    crypto::envelope::open_outer,
    wire::limits::{BUCKETS, MAX_ENVELOPE, MAX_RECORD},
};
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};

const NOW: Millis = Millis(1_800_000_000_000);

/// Two devices that have never met, and the intro between them.
struct Meeting {
    rng: ChaCha20Rng,
    a_noise: Secret,
    b_noise: Secret,
    prekey: PrekeySecret,
    intro: Secret,
    account: AccountId,
    transport: TransportKey,
}

impl Meeting {
    fn new() -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        Self {
            a_noise: Secret::random(&mut rng),
            b_noise: Secret::random(&mut rng),
            prekey: PrekeySecret {
                id: [1; 8],
                x25519: Secret::random(&mut rng),
                kem_seed: KemSeed::random(&mut rng),
                record_hash: [2; 32],
            },
            intro: Secret::random(&mut rng),
            account: AccountId([3; 32]),
            transport: TransportKey([4; 32]),
            rng,
        }
    }

    fn recipient(&self) -> Recipient {
        let noise = NoiseKey(noise::public_key(&self.b_noise));
        Recipient { account: self.account, transport: self.transport, noise, prekey: self.prekey.public() }
    }

    fn responder(&self) -> Responder<'_> {
        Responder { account: self.account, transport: self.transport, noise: &self.b_noise, prekey: &self.prekey }
    }

    fn start(&mut self, bundle: &[u8]) -> Result<Begun, StartError> {
        let to = self.recipient();
        Session::start(&self.a_noise, &to, &self.intro, bundle, NOW, &mut self.rng)
    }

    fn outer(&self, wire: &[u8]) -> Outer {
        open_outer(wire, &intro_tag(&self.intro).1).unwrap()
    }

    fn a_public(&self) -> NoiseKey {
        NoiseKey(noise::public_key(&self.a_noise))
    }
}

#[test]
fn a_start_tells_who_wrote_it_and_both_ends_share_the_same_session() {
    let mut met = Meeting::new();
    let mut begun = met.start(b"the bundle").unwrap();
    let wire = begun.session.seal(b"first words", NOW, &mut met.rng).unwrap().wire;
    let outer = met.outer(&wire);
    assert_eq!(outer.tag(), intro_tag(&met.intro).0);
    let seen = StartSeen::of(&outer).unwrap();
    assert_eq!((seen.prekey_id(), seen.sid()), ([1; 8], begun.session.sid()));
    let read = seen.read(met.responder(), &met.intro).unwrap();
    assert_eq!((read.peer_noise(), read.bundle(), read.sent()), (met.a_public(), &b"the bundle"[..], NOW));
    let accepted = read.accept(met.a_public(), NOW).unwrap();
    assert_eq!(accepted.intro_again, begun.intro_again);
    assert_eq!(accepted.confirmation, begun.confirmation);
    assert_ne!(accepted.intro_again, accepted.confirmation);
    assert_eq!((accepted.session.own_epoch(), accepted.session.peer_epoch()), (None, Some(0)));
    let opened = accepted.session.open(&outer, &|_| None, NOW).unwrap();
    assert_eq!(opened.record, b"first words");
    assert_eq!(opened.session.peer_noise(), met.a_public());

    // A later message of the flight carries the same start, and the session takes it.
    let wire = begun.session.seal(b"more", NOW, &mut met.rng).unwrap().wire;
    let again = met.outer(&wire);
    assert_eq!(StartSeen::of(&again).unwrap().start_id(), seen.start_id());
    assert_eq!(opened.session.open(&again, &|_| None, NOW).unwrap().record, b"more");
    let other = met.start(b"the bundle").unwrap();
    assert_ne!(other.session.sid(), begun.session.sid());
}

#[test]
fn a_start_is_read_only_by_the_device_prekey_and_intro_it_was_made_for() {
    let mut met = Meeting::new();
    let mut begun = met.start(b"").unwrap();
    let wire = begun.session.seal(b"x", NOW, &mut met.rng).unwrap().wire;
    let seen = StartSeen::of(&met.outer(&wire)).unwrap();
    let other = Secret::random(&mut met.rng);
    let own = met.responder();
    let read = |own: Responder<'_>, intro: &Secret| seen.read(own, intro).map(|read| read.peer_noise());
    assert_eq!(read(own, &met.intro), Ok(met.a_public()));
    assert_eq!(read(own, &other), Err(StartError::Rejected));
    assert_eq!(read(Responder { account: AccountId([9; 32]), ..own }, &met.intro), Err(StartError::Rejected));
    assert_eq!(read(Responder { transport: TransportKey([9; 32]), ..own }, &met.intro), Err(StartError::Rejected));
    assert_eq!(read(Responder { noise: &other, ..own }, &met.intro), Err(StartError::Rejected));
    let with = |change: fn(&mut PrekeySecret)| {
        let mut prekey = met.prekey.clone();
        change(&mut prekey);
        read(Responder { prekey: &prekey, ..own }, &met.intro)
    };
    assert_eq!(with(|prekey| prekey.x25519 = Secret::from([9; 32])), Err(StartError::Rejected));
    assert_eq!(with(|prekey| prekey.kem_seed = KemSeed::from([9; 64])), Err(StartError::Rejected));
    assert_eq!(with(|prekey| prekey.record_hash = [9; 32]), Err(StartError::Rejected));
    assert_eq!(with(|prekey| prekey.id = [9; 8]), Err(StartError::OtherPrekey));
}

#[test]
fn no_altered_start_is_read_by_one_who_holds_the_intro() {
    let mut met = Meeting::new();
    let mut begun = met.start(b"bundle").unwrap();
    let wire = begun.session.seal(b"x", NOW, &mut met.rng).unwrap().wire;
    let outer = met.outer(&wire);
    for at in (0..outer.header.handshake.len()).step_by(11).chain(1_090..1_140) {
        let mut bad = outer.clone();
        bad.header.handshake[at] ^= 1;
        let read = StartSeen::of(&bad).and_then(|seen| seen.read(met.responder(), &met.intro));
        assert!(read.is_err(), "byte {at}");
    }
    let mut bad = outer.clone();
    bad.header.sid.0[0] ^= 1;
    let read = StartSeen::of(&bad).unwrap().read(met.responder(), &met.intro);
    assert_eq!(read.unwrap_err(), StartError::Rejected, "a sid of the sender's choice");
    bad.header.epoch = 1;
    assert_eq!(StartSeen::of(&bad).unwrap_err(), StartError::Malformed);
    let mut short = outer;
    short.header.handshake.truncate(1_100);
    assert_eq!(StartSeen::of(&short).unwrap_err(), StartError::Malformed);
}

#[test]
fn a_certificate_of_another_key_makes_no_session() {
    let mut met = Meeting::new();
    let mut begun = met.start(b"bundle").unwrap();
    let wire = begun.session.seal(b"x", NOW, &mut met.rng).unwrap().wire;
    let read = StartSeen::of(&met.outer(&wire)).unwrap().read(met.responder(), &met.intro).unwrap();
    assert_eq!(read.accept(NoiseKey([9; 32]), NOW).unwrap_err(), StartError::OtherSender);
}

#[test]
fn a_prekey_that_is_not_usable_begins_nothing() {
    let mut met = Meeting::new();
    let mut to = met.recipient();
    to.prekey.x25519 = [0; 32];
    let refused = Session::start(&met.a_noise, &to, &met.intro, b"", NOW, &mut met.rng).unwrap_err();
    assert_eq!(refused, StartError::BadPrekey);
    let mut to = met.recipient();
    to.prekey.kem[..384].fill(0xff);
    let refused = Session::start(&met.a_noise, &to, &met.intro, b"", NOW, &mut met.rng).unwrap_err();
    assert_eq!(refused, StartError::BadPrekey);
}

#[test]
fn the_longest_record_fits_an_envelope_with_the_longest_bundle() {
    let mut met = Meeting::new();
    assert_eq!(met.start(&[5; MAX_BUNDLE + 1]).unwrap_err(), StartError::BundleTooLong(MAX_BUNDLE + 1));
    let mut begun = met.start(&[5; MAX_BUNDLE]).unwrap();
    assert!(begun.session.to_row().len() < 10 * 1024);
    let sealed = begun.session.seal(&[6; MAX_RECORD], NOW, &mut met.rng).unwrap();
    assert_eq!(sealed.wire.len(), MAX_ENVELOPE);
    let outer = met.outer(&sealed.wire);
    assert_eq!(outer.header.handshake.len(), OVERHEAD + MAX_BUNDLE);
    assert!(outer.header_bytes.len() + outer.body.len() <= BUCKETS[4]);
    let read = StartSeen::of(&outer).unwrap().read(met.responder(), &met.intro).unwrap();
    assert_eq!(read.bundle(), [5; MAX_BUNDLE]);
    let accepted = read.accept(met.a_public(), NOW).unwrap();
    assert_eq!(accepted.session.open(&outer, &|_| None, NOW).unwrap().record, [6; MAX_RECORD]);
}

#[test]
fn a_prekey_secret_comes_back_from_its_row_and_is_never_shown() {
    let met = Meeting::new();
    let row = crate::protocol::wire::encode(&met.prekey);
    assert_eq!(crate::protocol::wire::decode::<PrekeySecret>(&row, "prekey"), Ok(met.prekey.clone()));
    let shown = format!("{:?}", met.prekey);
    assert!(shown.contains("x25519: Secret(…), kem_seed: KemSeed(…)"), "{shown}");
}
