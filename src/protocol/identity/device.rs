//! The keys of one device: three, independent, each for one protocol, so that a break of one is a break of one. Ed25519
//! is never converted to X25519. The node makes them once and keeps them in its store.

use crate::protocol::{
    crypto::{secret::Secret, sign::SigningKey},
    ids::{DeviceId, NoiseKey, TransportKey},
};
use minicbor::{Decode, Encode};
use rand_core::CryptoRng;

/// The private keys of a device; as CBOR only into an encrypted store. Its `Debug` shows nothing.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct DeviceKeys {
    /// TK, Ed25519: libp2p's identity, which gives the PeerId.
    #[n(0)]
    pub transport: SigningKey,
    /// SK, X25519: the Noise static key.
    #[n(1)]
    pub noise: Secret,
    /// DK, Ed25519: signs prekeys, bundles, membership ops and group events.
    #[n(2)]
    pub device: SigningKey,
}

impl DeviceKeys {
    /// Keys of a new device.
    pub fn random(rng: &mut dyn CryptoRng) -> Self {
        let transport = SigningKey::random(rng);
        let noise = Secret::random(rng);
        let device = SigningKey::random(rng);
        Self { transport, noise, device }
    }

    /// The public half of TK.
    pub fn transport_key(&self) -> TransportKey {
        TransportKey(self.transport.public())
    }

    /// The public half of SK.
    pub fn noise_key(&self) -> NoiseKey {
        NoiseKey(x25519_public(&self.noise))
    }

    /// The public half of DK, the device's name.
    pub fn id(&self) -> DeviceId {
        DeviceId(self.device.public())
    }
}

/// The X25519 public key (RFC 7748) of a private one.
pub fn x25519_public(private: &Secret) -> [u8; 32] {
    let private = x25519_dalek::StaticSecret::from(*private.expose());
    x25519_dalek::PublicKey::from(&private).to_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::wire::{decode, encode};
    use rand_chacha::rand_core::SeedableRng;

    #[test]
    fn device_keys_come_back_from_the_store_and_are_never_shown() {
        let keys = DeviceKeys::random(&mut rand_chacha::ChaCha20Rng::seed_from_u64(1));
        assert_eq!(decode::<DeviceKeys>(&encode(&keys), "device keys").as_ref(), Ok(&keys));
        let hidden = "SigningKey(Secret(…))";
        assert_eq!(
            format!("{keys:?}"),
            format!("DeviceKeys {{ transport: {hidden}, noise: Secret(…), device: {hidden} }}")
        );
    }

    #[test]
    fn the_three_public_keys_differ() {
        let keys = DeviceKeys::random(&mut rand_chacha::ChaCha20Rng::seed_from_u64(1));
        let (transport, noise, device) = (keys.transport_key().0, keys.noise_key().0, keys.id().0);
        assert!(transport != noise && noise != device && device != transport);
    }

    #[test]
    fn x25519_matches_rfc_7748_section_5_2() {
        let mut nine = [0; 32];
        nine[0] = 9;
        let public = hex::encode(x25519_public(&Secret::from(nine)));
        assert_eq!(public, "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079");
    }
}
