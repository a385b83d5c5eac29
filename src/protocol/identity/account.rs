//! The account key AK. It signs device certificates and device lists and nothing else, rests on the first device only,
//! and comes back from its words alone. The node creates it at `init` and on restore.

use crate::protocol::{
    crypto::{
        kdf::kdf,
        labels,
        sign::{Signature, SigningKey},
    },
    identity::words::Words,
    ids::AccountId,
};

/// The private account key. Its `Debug` shows nothing; what is stored are the [`Words`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountKey(SigningKey);

impl AccountKey {
    /// The key of these words: the Ed25519 seed is `KDF(entropy, "moim/1/account-key")`.
    pub fn from_words(words: &Words) -> Self {
        Self(SigningKey::from_seed(kdf(words.entropy().expose(), labels::ACCOUNT, &[])))
    }

    /// The account's name to the world: its public key.
    pub fn id(&self) -> AccountId {
        AccountId(self.0.public())
    }

    /// Signs the body of a certificate or list; nothing else may ask.
    pub(in crate::protocol::identity) fn sign(&self, kind: &str, body: &[u8]) -> Signature {
        self.0.sign(kind, &[body])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::crypto::secret::Secret;

    #[test]
    fn the_same_words_give_the_same_account_for_ever() {
        let key = AccountKey::from_words(&Words::from_entropy(Secret::from([7; 32])));
        // Computed apart, by hashlib and a Python transcription of RFC 8032.
        assert_eq!(key.id().to_string(), "rdxfxr2g6m3yggprjge73ys2mzik3uulpy34p4wyfvwhgrvxtwnq");
    }

    #[test]
    fn an_account_key_is_never_shown() {
        let key = AccountKey::from_words(&Words::from_entropy(Secret::from([7; 32])));
        assert_eq!(format!("{key:?}"), "AccountKey(SigningKey(Secret(…)))");
    }
}
