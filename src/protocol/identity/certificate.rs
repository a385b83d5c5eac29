//! What binds a device to its account: a certificate that all three keys sign, and the list of an account's devices.
//!
//! A device that is not on its account's newest list is out. Names of people never stand here. The engine keeps the
//! newest list of every account it knows and asks [`choose`] when it sees another.

use crate::protocol::{
    crypto::{
        kdf::hash,
        sign::{BadSignature, Signature, Verified},
    },
    identity::{
        account::AccountKey,
        device::DeviceKeys,
        record::{DEVICE_CERT, DEVICE_LIST},
    },
    ids::{AccountId, DeviceId, NoiseKey, TransportKey},
    time::Millis,
    wire::{
        Malformed, decode, encode,
        limits::{MAX_DEVICES, MAX_SEQ},
    },
};
use minicbor::{Decode, Encode};
use std::fmt;

/// Names a certificate: SHA-256 of its body.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct CertHash(#[cbor(n(0), with = "minicbor::bytes")] pub [u8; 32]);

impl fmt::Debug for CertHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CertHash({}…)", crate::protocol::ids::base32(&self.0[..5]))
    }
}

/// "These keys are one device of this account." Read it through [`SignedCert::verify`].
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct DeviceCert {
    /// AK.
    #[n(0)]
    pub account: AccountId,
    /// DK.
    #[n(1)]
    pub device: DeviceId,
    /// TK.
    #[n(2)]
    pub transport: TransportKey,
    /// SK.
    #[n(3)]
    pub noise: NoiseKey,
    /// When it was made, by the clock of who made it. Nothing expires by it.
    #[n(4)]
    pub created: Millis,
    #[cbor(skip)]
    hash: CertHash,
}

impl DeviceCert {
    /// The certificate's name on a [`DeviceList`].
    pub fn hash(&self) -> CertHash {
        self.hash
    }
}

/// A device certificate as it travels and rests: the body's bytes as received, and who signed them.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct SignedCert {
    #[cbor(n(0), with = "minicbor::bytes")]
    body: Vec<u8>,
    #[n(1)]
    by_account: Signature,
    #[n(2)]
    by_device: Signature,
    #[n(3)]
    by_transport: Signature,
}

impl SignedCert {
    /// The certificate of a device whose keys are at hand.
    pub fn issue(account: &AccountKey, keys: &DeviceKeys, created: Millis) -> Self {
        let body = encode(&DeviceCert {
            account: account.id(),
            device: keys.id(),
            transport: keys.transport_key(),
            noise: keys.noise_key(),
            created,
            hash: CertHash::default(),
        });
        let by_account = account.sign(DEVICE_CERT, &body);
        let by_device = keys.device.sign(DEVICE_CERT, &[&body]);
        let by_transport = keys.transport.sign(DEVICE_CERT, &[&body]);
        Self { body, by_account, by_device, by_transport }
    }

    /// The device it says it is of. Nothing is proven by that.
    pub fn claimed(&self) -> Option<DeviceId> {
        let cert: DeviceCert = decode(&self.body, "device certificate").ok()?;
        Some(cert.device)
    }

    /// The certificate, once AK, DK and TK were found to have signed it. It says nothing of being on a list.
    pub fn verify(&self) -> Result<Verified<DeviceCert>, CertError> {
        let mut cert: DeviceCert = decode(&self.body, "device certificate")?;
        if cert.created > Millis::MAX {
            return Err(Malformed("device certificate").into());
        }
        let (account, device, transport) = (cert.account.0, cert.device.0, cert.transport.0);
        if account == device || device == transport || transport == account {
            return Err(CertError::SharedKey);
        }
        self.by_account.verify(&account, DEVICE_CERT, &[&self.body])?;
        self.by_device.verify(&device, DEVICE_CERT, &[&self.body])?;
        self.by_transport.verify(&transport, DEVICE_CERT, &[&self.body])?;
        cert.hash = CertHash(hash(&[&self.body]));
        Ok(Verified::vouch(cert))
    }
}

/// "These are all devices of this account." Read it through [`SignedList::verify`].
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct DeviceList {
    /// AK.
    #[n(0)]
    pub account: AccountId,
    /// The list with the highest one counts; at most [`MAX_SEQ`].
    #[n(1)]
    pub seq: u64,
    /// The certificates, ascending, none twice, at most [`MAX_DEVICES`].
    #[n(2)]
    pub certs: Vec<CertHash>,
    #[cbor(skip)]
    hash: [u8; 32],
}

impl DeviceList {
    /// Whether this certificate is on the list.
    pub fn holds(&self, cert: &DeviceCert) -> bool {
        self.account == cert.account && self.certs.binary_search(&cert.hash).is_ok()
    }

    /// SHA-256 of the list's body.
    pub fn hash(&self) -> &[u8; 32] {
        &self.hash
    }
}

/// The `seq` after `last` (0 where there was none): `max(last + 1, Unix seconds of now)`, so that a list made after a
/// restore, which knows no last one, still counts.
pub fn next_seq(last: u64, now: Millis) -> u64 {
    last.saturating_add(1).max(now.0 / 1000).min(MAX_SEQ)
}

/// A device list as it travels and rests.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct SignedList {
    #[cbor(n(0), with = "minicbor::bytes")]
    body: Vec<u8>,
    #[n(1)]
    by_account: Signature,
}

impl SignedList {
    /// The list of these certificates. `seq` comes from [`next_seq`].
    pub fn issue(account: &AccountKey, seq: u64, certs: impl IntoIterator<Item = CertHash>) -> Result<Self, CertError> {
        let mut certs: Vec<CertHash> = certs.into_iter().collect();
        certs.sort_unstable();
        certs.dedup();
        let body = encode(&DeviceList { account: account.id(), seq, certs, hash: [0; 32] });
        let signed = Self { by_account: account.sign(DEVICE_LIST, &body), body };
        signed.verify().map(|_| signed)
    }

    /// The account and seq it says it is of. Nothing is proven by that.
    pub fn claimed(&self) -> Option<(AccountId, u64)> {
        let list: DeviceList = decode(&self.body, "device list").ok()?;
        Some((list.account, list.seq))
    }

    /// The list, once AK was found to have signed it.
    pub fn verify(&self) -> Result<Verified<DeviceList>, CertError> {
        let mut list: DeviceList = decode(&self.body, "device list")?;
        if list.certs.len() > MAX_DEVICES {
            return Err(CertError::TooManyDevices { found: list.certs.len() });
        }
        if list.seq > MAX_SEQ || !list.certs.is_sorted_by(|a, b| a < b) {
            return Err(Malformed("device list").into());
        }
        self.by_account.verify(&list.account.0, DEVICE_LIST, &[&self.body])?;
        list.hash = hash(&[&self.body]);
        Ok(Verified::vouch(list))
    }
}

/// Which of two lists of one account counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// The one held: it is the same or newer.
    Held,
    /// The one offered: it is newer.
    Offered,
    /// The account signed two lists with one seq. Which counts is the same everywhere (the one offered, where
    /// [`Fork::counts`] is its hash); both are shown as an alarm.
    Fork(Fork),
}

/// Two lists with one seq: the account key is in two hands, or its owner restored it twice within a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fork {
    /// Whose lists.
    pub account: AccountId,
    /// The seq of both.
    pub seq: u64,
    /// The lower hash: the list with it counts.
    pub counts: [u8; 32],
    /// The hash of the other.
    pub void: [u8; 32],
}

/// Which of two lists counts: the highest seq, and of two with one seq the lower hash. `None` where they are lists of
/// different accounts, which nobody should compare.
pub fn choose(held: &Verified<DeviceList>, offered: &Verified<DeviceList>) -> Option<Choice> {
    if held.account != offered.account {
        return None;
    }
    if held.seq != offered.seq {
        return Some(if held.seq > offered.seq { Choice::Held } else { Choice::Offered });
    }
    if held.hash == offered.hash {
        return Some(Choice::Held);
    }
    let (counts, void) = (held.hash.min(offered.hash), held.hash.max(offered.hash));
    Some(Choice::Fork(Fork { account: held.account, seq: held.seq, counts, void }))
}

/// Why a certificate or list is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CertError {
    /// Not a record of the expected shape.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// A key that is named did not sign.
    #[error(transparent)]
    Signature(#[from] BadSignature),
    /// One key stands for two things.
    #[error("a device's keys and its account's must all be different")]
    SharedKey,
    /// More devices than an account may have.
    #[error("a device list holds {found} devices, at most {MAX_DEVICES} are possible")]
    TooManyDevices {
        /// How many there are.
        found: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{crypto::secret::Secret, identity::words::Words};
    use proptest::prelude::*;
    use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};

    fn account(seed: u8) -> AccountKey {
        AccountKey::from_words(&Words::from_entropy(Secret::from([seed; 32])))
    }

    fn keys(seed: u64) -> DeviceKeys {
        DeviceKeys::random(&mut ChaCha20Rng::seed_from_u64(seed))
    }

    fn list(seq: u64, cert: u8) -> Verified<DeviceList> {
        SignedList::issue(&account(1), seq, [CertHash([cert; 32])]).unwrap().verify().unwrap()
    }

    #[test]
    fn a_certificate_needs_all_three_signatures() {
        let signed = SignedCert::issue(&account(1), &keys(1), Millis(1));
        let cert = signed.verify().unwrap();
        assert_eq!((cert.account, cert.device), (account(1).id(), keys(1).id()));
        let stranger = SignedCert::issue(&account(2), &keys(2), Millis(1));
        for forged in [
            SignedCert { by_account: stranger.by_account, ..signed.clone() },
            SignedCert { by_device: stranger.by_device, ..signed.clone() },
            SignedCert { by_transport: stranger.by_transport, ..signed.clone() },
        ] {
            assert_eq!(forged.verify(), Err(CertError::Signature(BadSignature)));
        }
    }

    #[test]
    fn one_key_never_serves_two_protocols() {
        let keys = DeviceKeys { transport: keys(1).device, ..keys(1) };
        assert_eq!(SignedCert::issue(&account(1), &keys, Millis(1)).verify(), Err(CertError::SharedKey));
    }

    #[test]
    fn a_device_that_is_not_on_the_list_is_out() {
        let cert = SignedCert::issue(&account(1), &keys(1), Millis(1)).verify().unwrap();
        let other = SignedCert::issue(&account(1), &keys(2), Millis(1)).verify().unwrap();
        let list = SignedList::issue(&account(1), 1, [cert.hash()]).unwrap().verify().unwrap();
        assert!(list.holds(&cert) && !list.holds(&other));
        let strangers = SignedList::issue(&account(2), 1, [cert.hash()]).unwrap().verify().unwrap();
        assert!(!strangers.holds(&cert));
    }

    #[test]
    fn the_highest_seq_counts_and_a_fork_raises_an_alarm() {
        let (old, new, fork) = (list(1, 1), list(2, 1), list(2, 2));
        assert_eq!(choose(&old, &new), Some(Choice::Offered));
        assert_eq!(choose(&new, &old), Some(Choice::Held));
        assert_eq!(choose(&new, &new.clone()), Some(Choice::Held));
        let Some(Choice::Fork(alarm)) = choose(&new, &fork) else { panic!("no alarm") };
        assert_eq!(choose(&fork, &new), Some(Choice::Fork(alarm)));
        assert!(alarm.counts < alarm.void && [new.hash, fork.hash].contains(&alarm.counts));
        let strangers = SignedList::issue(&account(2), 1, []).unwrap().verify().unwrap();
        assert_eq!(choose(&old, &strangers), None);
    }

    #[test]
    fn the_next_seq_follows_the_clock_but_never_falls_back() {
        assert_eq!(next_seq(0, Millis(1_700_000_000_999)), 1_700_000_000);
        assert_eq!(next_seq(1_800_000_000, Millis(1_700_000_000_000)), 1_800_000_001);
        assert_eq!(next_seq(u64::MAX, Millis(0)), MAX_SEQ);
    }

    #[test]
    fn a_list_holds_at_most_so_many_devices() {
        let certs = (0..=MAX_DEVICES).map(|i| CertHash([i as u8; 32]));
        let error = SignedList::issue(&account(1), 1, certs).unwrap_err();
        assert_eq!(error, CertError::TooManyDevices { found: MAX_DEVICES + 1 });
    }

    #[test]
    fn unsorted_lists_and_overgrown_numbers_are_malformed() {
        let ak = account(1);
        for (seq, certs) in [
            (1, vec![CertHash([2; 32]), CertHash([1; 32])]),
            (1, vec![CertHash([1; 32]), CertHash([1; 32])]),
            (MAX_SEQ + 1, vec![]),
        ] {
            let body = encode(&DeviceList { account: ak.id(), seq, certs, hash: [0; 32] });
            let signed = SignedList { by_account: ak.sign(DEVICE_LIST, &body), body };
            assert_eq!(signed.verify(), Err(CertError::Malformed(Malformed("device list"))));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn no_changed_byte_of_a_signed_record_is_believed(at: prop::sample::Index, flip in 1..=255u8) {
            let signed = SignedCert::issue(&account(1), &keys(1), Millis(1));
            let mut bytes = encode(&signed);
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            if let Ok(changed) = decode::<SignedCert>(&bytes, "cert") {
                prop_assert!(changed.verify().is_err());
            }
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let by = Signature([0; 64]);
            let _ = SignedCert { body: bytes.clone(), by_account: by, by_device: by, by_transport: by }.verify();
            let _ = SignedList { body: bytes.clone(), by_account: by }.verify();
            let _ = decode::<SignedCert>(&bytes, "cert");
            let _ = decode::<SignedList>(&bytes, "list");
        }
    }
}
