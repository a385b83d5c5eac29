//! Every domain-separation label, in one place. None equals or is a prefix of another: a test says so.

macro_rules! labels {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        $($(#[$doc])* pub const $name: &str = concat!("moim/1/", $text);)*
        /// All of them, for the test that keeps them apart.
        pub const ALL: &[&str] = &[$($name),*];
    };
}

labels! {
    /// Account key from the entropy of its words.
    ACCOUNT = "account-key";
    /// Account fingerprint, one side of a safety number.
    FINGERPRINT = "fingerprint";
    /// Prefix of every signature; the record type and the bytes follow.
    SIGNATURE = "sig-";
    /// Id of a 1-on-1 chat.
    DIRECT = "direct";
    /// Id of an event in a 1-on-1 chat.
    EVENT = "event-id";
    /// Ticket: box of its pinned bundle.
    BOX_TICKET = "box-ticket";
    /// Box of a restored device's pinned bundle.
    BOX_AGAIN = "box-again";
    /// Box of a group's log.
    BOX_GROUP = "box-group";
    /// What a holder of a mailbox link shows.
    MAILBOX_LINK = "mailbox-link";
    /// Key that seals a bundle under an intro secret.
    BUNDLE = "bundle";
    /// Intro secret of a ticket.
    INTRO_TICKET = "intro-ticket";
    /// Intro secret between members of a group.
    INTRO_GROUP = "intro-group";
    /// Intro secret between known contacts.
    INTRO_AGAIN = "intro-again";
    /// Intro secret between own devices.
    INTRO_OWN = "intro-own";
    /// Salt of a start's pre-shared key.
    START_PSK = "start-psk";
    /// Noise prologue of a start.
    PROLOGUE_START = "prologue-start";
    /// Noise prologue of a ratchet step.
    RATCHET = "ratchet";
    /// Session id.
    SID = "sid";
    /// Root key.
    ROOT = "root";
    /// Chain key.
    CHAIN = "chain";
    /// Chain key and message key of one step.
    STEP = "step";
    /// ML-KEM secret mixed into a ratchet step.
    KEM = "kem";
    /// Tag and header key of the outer layer.
    OUTER = "outer";
    /// Associated data of a message body.
    MESSAGE = "message";
    /// Group message: content key and commitment.
    GROUP_KEY = "group-key";
    /// Group message: associated data.
    GROUP_MESSAGE = "group-message";
    /// Gossip frame id.
    GOSSIP_ID = "gossip-id";
    /// Gossip topic of a gossip secret.
    TOPIC = "topic";
    /// Gossip frame key of a gossip secret.
    FRAME = "frame";
    /// Nonce of a frame in a group's log.
    LOG_NONCE = "log-nonce";
    /// Print of a range of events that are compared.
    SYNC = "sync";
    /// Index key of the store.
    STORE_INDEX = "store-index";
    /// Record keys of the store.
    STORE_RECORD = "store-record";
    /// Key that wraps the root of the store.
    STORE_WRAP = "store-wrap";
    /// Name under which the maker of a ticket sees it listed.
    INVITE_NAME = "invite-name";
    /// Key of an account's backups, from the entropy of its words.
    BACKUP = "backup-file";
    /// Words of a testnet's accounts, from its seed.
    TESTNET = "testnet-words";
}

#[cfg(test)]
mod tests {
    use super::ALL;

    #[test]
    fn no_label_equals_or_begins_another() {
        for (i, a) in ALL.iter().enumerate() {
            for b in ALL.iter().skip(i + 1) {
                assert!(!a.starts_with(b) && !b.starts_with(a), "{a} and {b}");
            }
        }
    }
}
