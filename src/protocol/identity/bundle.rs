//! A device's bundle: all that another needs to start a session with it, signed, and sealed under an intro secret so
//! that only who was introduced reads it. Made anew when prekey, list, boxes or addresses change; the newest seq
//! counts.

use crate::protocol::{
    crypto::{
        kdf::kdf,
        labels, seal,
        secret::Secret,
        sign::{BadSignature, Signature, Verified},
    },
    identity::{
        certificate::{CertError, DeviceCert, DeviceList, SignedCert, SignedList},
        device::DeviceKeys,
        prekey::Prekey,
        record::BUNDLE,
    },
    ids::{DeviceId, TransportKey},
    wire::{
        Malformed, decode, encode,
        limits::{MAX_ADDRESS, MAX_ADDRESSES, MAX_BUNDLE, MAX_MAILBOX_ADDRESSES, MAX_MAILBOXES, MAX_SEQ},
    },
};
use minicbor::{Decode, Encode};
use rand_core::CryptoRng;
use std::{fmt, str::FromStr};

/// A bundle whose signatures, limits and agreement of accounts were checked: [`SignedBundle::verify`] gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    /// The account's devices.
    pub list: Verified<DeviceList>,
    /// The list as signed, to hand on to who knows an older one.
    pub signed_list: SignedList,
    /// The device that signed the bundle; it is on the list.
    pub cert: Verified<DeviceCert>,
    /// What a start is sealed to.
    pub prekey: Prekey,
    /// Where mail for the device may be left.
    pub boxes: Vec<MailboxBox>,
    /// Where the device may be reached.
    pub addresses: Vec<Address>,
    /// Of two bundles of one device the higher counts.
    pub seq: u64,
}

/// What a device says about itself besides its keys.
#[derive(Debug, Clone, Default)]
pub struct Reach {
    /// Where mail for it may be left.
    pub boxes: Vec<MailboxBox>,
    /// Where it may be reached.
    pub addresses: Vec<Address>,
}

/// A box for this device at a mailbox.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct MailboxBox {
    /// The node that keeps it.
    #[n(0)]
    pub node: TransportKey,
    /// Which box there.
    #[n(1)]
    pub id: BoxId,
    /// Where that node may be reached, at most [`MAX_MAILBOX_ADDRESSES`].
    #[n(2)]
    pub addresses: Vec<Address>,
}

/// Names a box at a mailbox. Who knows it may leave mail there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct BoxId(#[cbor(n(0), with = "minicbor::bytes")] pub [u8; 16]);

impl fmt::Debug for BoxId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BoxId(…)")
    }
}

/// The text of a multiaddr, opaque here: begins with `/`, visible ASCII only, at most [`MAX_ADDRESS`] bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(String);

impl Address {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Address {
    type Err = BadAddress;
    fn from_str(text: &str) -> Result<Self, BadAddress> {
        let shown = text.bytes().all(|byte| byte.is_ascii_graphic());
        if text.len() > MAX_ADDRESS || !text.starts_with('/') || !shown {
            Err(BadAddress)
        } else {
            Ok(Self(text.to_owned()))
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<C> Encode<C> for Address {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut minicbor::Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.str(&self.0)?.ok()
    }
}

impl<'b, C> Decode<'b, C> for Address {
    fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        d.str()?.parse().map_err(|BadAddress| minicbor::decode::Error::message("not an address"))
    }
}

/// The text is not an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an address is like /ip4/192.0.2.1/tcp/4001: visible ASCII, at most {MAX_ADDRESS} bytes")]
pub struct BadAddress;

/// What the signature and the framing of CBOR add to a bundle's body.
const WRAPPING: usize = 1 + (1 + 3) + (1 + 2 + 64);

/// A bundle as it travels and rests.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct SignedBundle {
    #[cbor(n(0), with = "minicbor::bytes")]
    body: Vec<u8>,
    #[n(1)]
    by_device: Signature,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct Body {
    #[n(0)]
    list: SignedList,
    #[n(1)]
    cert: SignedCert,
    #[cbor(n(2), with = "minicbor::bytes")]
    prekey: Vec<u8>,
    #[n(3)]
    boxes: Vec<MailboxBox>,
    #[n(4)]
    addresses: Vec<Address>,
    #[n(5)]
    seq: u64,
}

impl SignedBundle {
    /// Own bundle. `prekey` is the record as `prekey::make` gave it. Refuses what others would refuse.
    pub fn issue(
        keys: &DeviceKeys,
        list: SignedList,
        cert: SignedCert,
        prekey: Vec<u8>,
        reach: Reach,
        seq: u64,
    ) -> Result<Self, BundleError> {
        let Reach { boxes, addresses } = reach;
        let body = encode(&Body { list, cert, prekey, boxes, addresses, seq });
        let signed = Self { by_device: keys.device.sign(BUNDLE, &[&body]), body };
        signed.verify().map(|_| signed)
    }

    /// The bundle in `bytes`, not yet verified.
    pub fn parse(bytes: &[u8]) -> Result<Self, BundleError> {
        if bytes.len() > MAX_BUNDLE {
            return Err(BundleError::TooLong { bytes: bytes.len() });
        }
        Ok(decode(bytes, "bundle")?)
    }

    /// Whose it says it is and its seq. Nothing is proven by that: it is enough to pass over what is known already.
    pub fn claimed(&self) -> Option<(DeviceId, u64)> {
        let body: Body = decode(&self.body, "bundle").ok()?;
        Some((body.cert.claimed()?, body.seq))
    }

    /// The bundle, once every signature holds, the certificate is on the list, both name one account, and the device
    /// of the certificate signed the whole. Whether list and bundle are the newest is the caller's to ask.
    pub fn verify(&self) -> Result<Verified<Bundle>, BundleError> {
        let bytes = self.body.len() + WRAPPING;
        if bytes > MAX_BUNDLE {
            return Err(BundleError::TooLong { bytes });
        }
        let body: Body = decode(&self.body, "bundle")?;
        let crowded = body.boxes.iter().any(|mailbox| mailbox.addresses.len() > MAX_MAILBOX_ADDRESSES);
        if body.boxes.len() > MAX_MAILBOXES || body.addresses.len() > MAX_ADDRESSES || crowded || body.seq > MAX_SEQ {
            return Err(Malformed("bundle").into());
        }
        let prekey = Prekey::parse(&body.prekey)?;
        let (list, cert) = (body.list.verify()?, body.cert.verify()?);
        if list.account != cert.account {
            return Err(BundleError::OtherAccount);
        }
        if !list.holds(&cert) {
            return Err(BundleError::NotOnTheList);
        }
        self.by_device.verify(&cert.device.0, BUNDLE, &[&self.body])?;
        let Body { list: signed_list, boxes, addresses, seq, .. } = body;
        Ok(Verified::vouch(Bundle { list, signed_list, cert, prekey, boxes, addresses, seq }))
    }
}

/// The bundle sealed for whoever holds the intro secret.
pub fn seal_bundle(intro: &Secret, bundle: &SignedBundle, rng: &mut dyn CryptoRng) -> Vec<u8> {
    seal::seal(&kdf(intro.expose(), labels::BUNDLE, &[]), &[], &encode(bundle), rng)
}

/// Opens what [`seal_bundle`] made. The bundle is not yet verified: the intro secret proves nothing about its maker.
pub fn open_bundle(intro: &Secret, sealed: &[u8]) -> Result<SignedBundle, BundleError> {
    if sealed.len() > MAX_BUNDLE + seal::SEAL_OVERHEAD {
        return Err(BundleError::TooLong { bytes: sealed.len() });
    }
    SignedBundle::parse(&seal::open(&kdf(intro.expose(), labels::BUNDLE, &[]), &[], sealed)?)
}

/// Why a bundle is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// Longer than any bundle.
    #[error("a bundle of {bytes} bytes, at most {MAX_BUNDLE} are possible")]
    TooLong {
        /// How long it is.
        bytes: usize,
    },
    /// Sealed under another intro secret, or tampered with.
    #[error(transparent)]
    Sealed(#[from] seal::DoesNotOpen),
    /// Not a record of the expected shape.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// Its certificate or list is not believed.
    #[error(transparent)]
    Cert(#[from] CertError),
    /// Its device did not sign it.
    #[error(transparent)]
    Signature(#[from] BadSignature),
    /// List and certificate name different accounts.
    #[error("a bundle's device list and certificate name different accounts")]
    OtherAccount,
    /// The device is not, or no longer, one of the account's.
    #[error("the bundle's device is not on its account's list")]
    NotOnTheList,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{
        identity::{account::AccountKey, prekey, words::Words},
        time::Millis,
    };
    use proptest::prelude::*;
    use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};

    struct Maker {
        account: AccountKey,
        keys: DeviceKeys,
        cert: SignedCert,
        list: SignedList,
        prekey: Vec<u8>,
    }

    fn maker(seed: u8) -> Maker {
        let rng = &mut ChaCha20Rng::seed_from_u64(seed.into());
        let account = AccountKey::from_words(&Words::random(rng));
        let keys = DeviceKeys::random(rng);
        let cert = SignedCert::issue(&account, &keys, Millis(1));
        let list = SignedList::issue(&account, 1, [cert.verify().unwrap().hash()]).unwrap();
        let prekey = prekey::make(1, |seed| [seed[0]; 1184], rng).record;
        Maker { account, keys, cert, list, prekey }
    }

    impl Maker {
        fn bundle(self, reach: Reach) -> Result<SignedBundle, BundleError> {
            SignedBundle::issue(&self.keys, self.list, self.cert, self.prekey, reach, 9)
        }
    }

    fn long_address() -> Address {
        format!("/{}", "a".repeat(MAX_ADDRESS - 1)).parse().unwrap()
    }

    fn crowded_reach() -> Reach {
        let addresses = vec![long_address(); MAX_MAILBOX_ADDRESSES];
        let mailbox = MailboxBox { node: TransportKey([1; 32]), id: BoxId([2; 16]), addresses };
        Reach { boxes: vec![mailbox; MAX_MAILBOXES], addresses: vec![long_address(); MAX_ADDRESSES] }
    }

    #[test]
    fn a_sealed_bundle_opens_and_verifies_for_who_was_introduced() {
        let rng = &mut ChaCha20Rng::seed_from_u64(1);
        let (intro, other) = (Secret::random(rng), Secret::random(rng));
        let signed = maker(1).bundle(crowded_reach()).unwrap();
        let sealed = seal_bundle(&intro, &signed, rng);
        assert_eq!(open_bundle(&other, &sealed), Err(BundleError::Sealed(seal::DoesNotOpen)));
        let bundle = open_bundle(&intro, &sealed).unwrap().verify().unwrap();
        assert_eq!((bundle.cert.device, bundle.seq), (maker(1).keys.id(), 9));
        assert_eq!(bundle.signed_list, maker(1).list);
        assert_eq!(bundle.boxes, crowded_reach().boxes);
    }

    #[test]
    fn the_largest_bundle_fits_its_limit() {
        let mut maker = maker(1);
        let own = maker.cert.verify().unwrap().hash();
        let others = (1..16).map(|i| crate::protocol::identity::certificate::CertHash([i; 32]));
        maker.list = SignedList::issue(&maker.account, 1, others.chain([own])).unwrap();
        assert!(encode(&maker.bundle(crowded_reach()).unwrap()).len() <= MAX_BUNDLE);
    }

    #[test]
    fn a_bundle_past_a_limit_is_refused() {
        let malformed = Err(BundleError::Malformed(Malformed("bundle")));
        let addresses = Reach { addresses: vec![long_address(); MAX_ADDRESSES + 1], ..Reach::default() };
        assert_eq!(maker(1).bundle(addresses), malformed);
        let mut boxes = crowded_reach();
        boxes.boxes.push(boxes.boxes[0].clone());
        assert!(maker(1).bundle(boxes).is_err());
        let long = vec![0; MAX_BUNDLE + 1];
        assert_eq!(SignedBundle::parse(&long), Err(BundleError::TooLong { bytes: MAX_BUNDLE + 1 }));
        for bad in ["", "ip4", "/ip4 /x", "/ip4/\u{1b}[2J", "/é", &format!("/{}", "a".repeat(MAX_ADDRESS))] {
            assert_eq!(bad.parse::<Address>(), Err(BadAddress), "{bad:?}");
        }
    }

    #[test]
    fn only_the_device_of_the_certificate_signs_its_bundle() {
        let forged = Maker { keys: maker(2).keys, ..maker(1) };
        assert_eq!(forged.bundle(Reach::default()), Err(BundleError::Signature(BadSignature)));
    }

    #[test]
    fn list_and_certificate_must_be_of_one_account_and_agree() {
        let mixed = Maker { list: maker(2).list, ..maker(1) };
        assert_eq!(mixed.bundle(Reach::default()), Err(BundleError::OtherAccount));
        let mut dropped = maker(1);
        dropped.list = SignedList::issue(&dropped.account, 2, []).unwrap();
        assert_eq!(dropped.bundle(Reach::default()), Err(BundleError::NotOnTheList));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn no_changed_byte_is_believed(at: prop::sample::Index, flip in 1..=255u8) {
            let mut bytes = encode(&maker(1).bundle(Reach::default()).unwrap());
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            prop_assert!(SignedBundle::parse(&bytes).and_then(|bundle| bundle.verify()).is_err());
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = SignedBundle::parse(&bytes).and_then(|bundle| bundle.verify());
            let _ = SignedBundle { body: bytes.clone(), by_device: Signature([0; 64]) }.verify();
            let _ = open_bundle(&Secret::from([0; 32]), &bytes);
        }
    }
}
