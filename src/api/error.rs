//! What can go wrong, said three ways: a stable code for scripts, an exit code for shells, a sentence for people.
//!
//! An [`ApiError`] carries its [`Reason`] and arguments beside the English sentence, so that a view can say the same in
//! the reader's language (`error-REASON` in its texts) while scripts and logs keep the English one. Nodes make these
//! errors; views show them. A reason that a view does not know (of a newer node) is shown in English.

use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt};

/// The kind of an error. Stable: scripts match on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// The request makes no sense as it stands.
    Usage,
    /// A name or id means several things.
    Ambiguous,
    /// Only a running node can do this.
    NeedsNode,
    /// Another process holds the home.
    Locked,
    /// Nobody answers at the other end.
    Unreachable,
    /// A passphrase or token is missing or wrong.
    Auth,
    /// Keys or numbers do not match.
    Verification,
    /// Not allowed to the one who asks.
    Permission,
    /// There is no such thing.
    NotFound,
    /// It took longer than was asked for.
    Timeout,
    /// The state of things does not allow it: already there, used up, expired.
    Conflict,
    /// A limit is reached.
    Limit,
    /// The disk or the system refused.
    Io,
    /// A fault of moim itself.
    Internal,
    /// A code of a newer node.
    #[serde(other)]
    Unknown,
}

impl ErrorCode {
    /// The exit code of a command that ends with this error.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Conflict | Self::Limit | Self::Io | Self::Internal | Self::Unknown => 1,
            Self::Usage | Self::Ambiguous => 2,
            Self::NeedsNode | Self::Locked => 3,
            Self::Unreachable => 4,
            Self::Auth | Self::Verification | Self::Permission => 5,
            Self::NotFound => 6,
            Self::Timeout => 7,
        }
    }

    /// The `code` of a JSON-RPC 2.0 error object, in the range that the specification leaves to servers (§5.1), but
    /// for the two kinds that it names itself.
    fn rpc_code(self) -> i32 {
        match self {
            Self::Usage => -32602,
            Self::Internal | Self::Unknown => -32603,
            Self::Ambiguous => -32001,
            Self::NeedsNode => -32002,
            Self::Locked => -32003,
            Self::Unreachable => -32004,
            Self::Auth => -32005,
            Self::Verification => -32006,
            Self::Permission => -32007,
            Self::NotFound => -32008,
            Self::Timeout => -32009,
            Self::Conflict => -32010,
            Self::Limit => -32011,
            Self::Io => -32012,
        }
    }
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $id:literal, $code:ident, $message:literal, $hint:literal;)*) => {
        /// Why, precisely. The sentences are the English texts; `{name}` stands for an argument.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Reason { $($(#[$doc])* #[doc = $message] $name,)* }

        impl Reason {
            /// Every reason.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Its stable name.
            pub fn id(self) -> &'static str {
                match self { $(Self::$name => $id,)* }
            }

            /// The kind of error it is.
            pub fn code(self) -> ErrorCode {
                match self { $(Self::$name => ErrorCode::$code,)* }
            }

            /// What happened and why, with `{argument}`s.
            pub fn message(self) -> &'static str {
                match self { $(Self::$name => $message,)* }
            }

            /// What to do next, with `{argument}`s.
            pub fn hint(self) -> &'static str {
                match self { $(Self::$name => $hint,)* }
            }
        }
    };
}

reasons! {
    // What was typed
    UnknownCommand = "unknown-command", Usage, "there is no command “{given}”", "moim --help lists the commands";
    UnknownOption = "unknown-option", Usage, "“{given}” is not understood here", "{command} --help shows what is";
    MissingArgument = "missing-argument", Usage, "something is missing: {given}", "{command} --help shows an example";
    BadValue = "bad-value", Usage, "“{given}” does not fit {option}", "{command} --help shows what does";
    BadChoice = "bad-choice", Usage, "“{given}” does not fit {option}: it takes {allowed}", "{command} --help explains them";
    BadDuration = "bad-duration", Usage, "“{given}” does not fit {option}: it takes a duration", "one is a whole number and s, m, h or d: 30s, 5m, 7d";
    BadNumber = "bad-number", Usage, "“{given}” does not fit {option}: it takes a whole number, neither negative nor huge", "{command} --help shows an example";
    Conflicting = "conflicting", Usage, "{given} cannot go together with {other}", "leave one of them out";
    BadUsage = "bad-usage", Usage, "the command line is not understood", "{command} --help shows examples";
    UnknownTopic = "unknown-topic", Usage, "there is no help on “{given}”", "moim help lists the topics";
    UnknownSetting = "unknown-setting", Usage, "there is no setting “{given}”", "moim config lists the settings";
    BadSetting = "bad-setting", Usage, "“{given}” is not a value of {key}: it takes {allowed}", "moim help guide explains the settings";
    BadConfig = "bad-config", Usage, "the configuration file {path} is not understood: {detail}", "correct it, or remove it to return to the defaults";
    BadLink = "bad-link", Usage, "this is not a moim link", "a link begins with moim:1: and is made by moim invite";
    NoLink = "no-link", Usage, "there is no link in the input", "a link begins with moim:1: and is made by moim invite";
    NotOneLink = "not-one-link", Usage, "the input holds more than one link", "give one at a time";
    LinkTruncated = "link-truncated", Usage, "the link is cut short", "copy it again, to the last character";
    LinkMistyped = "link-mistyped", Usage, "the link has a wrong character", "copy it again rather than typing it";
    LinkTooNew = "link-too-new", Usage, "the link is from a newer moim", "update this one, or ask for a link made by an older one";
    LinkOfOtherKind = "link-of-other-kind", Usage, "the link is not for adding a contact", "ask for a link made by moim invite";
    BadId = "bad-id", Usage, "“{given}” is not an id: ids are 52 letters and digits, of which the first 6 or more will do", "moim log CHAT --json shows the ids of messages, moim invite list those of links";
    NameEmpty = "name-empty", Usage, "a name needs something that can be seen", "give at least one letter, digit or emoji";
    NameTooLong = "name-too-long", Usage, "the name has {bytes} bytes, and at most {max} fit", "shorten it";
    NameLineBreak = "name-line-break", Usage, "a name is one line, and this has several", "leave out the line breaks";
    NameControl = "name-control", Usage, "the name holds the control character {code}", "leave it out, or type the name anew";
    NameDirection = "name-direction", Usage, "the name holds {code}, which turns the direction of text", "leave it out, or type the name anew";
    NameInvisible = "name-invisible", Usage, "the name holds {code}, which cannot be seen", "leave it out, or type the name anew";
    NameMisplaced = "name-misplaced", Usage, "the name has accents or joiners without a letter, or too many on one", "type the name anew";
    NameReserved = "name-reserved", Usage, "the name “{given}” means the notes to yourself", "choose another name";
    NameSign = "name-sign", Usage, "a name cannot begin with {sign}: @name means a contact, #name a group", "leave the sign out";
    BadWords = "bad-words", Usage, "these are not 24 recovery words", "check their order and spelling";
    EmptyText = "empty-text", Usage, "there is no text to send", "type it behind the chat, or pipe it in: moim send CHAT -";
    EmptySearch = "empty-search", Usage, "there is nothing to search for", "give a text that the messages hold, or leave it out to see all: moim log CHAT";
    BadTimer = "bad-timer", Usage, "messages last for ever or between {least} and {most}", "give a time such as 1h or 7d, or off";
    BadLife = "bad-life", Usage, "a link has to last some time", "give a time such as 1h or 7d, or leave --expires out";
    TextTooLong = "text-too-long", Usage, "the text has {bytes} bytes, and a message holds {max}", "send it in parts";
    InputTooLong = "input-too-long", Usage, "the input is far longer than a message, which holds {max} bytes", "send it in parts";
    NotText = "not-text", Usage, "the input is not UTF-8 text", "convert it first, for example with iconv";
    NoSuchCursor = "no-such-cursor", NotFound, "nothing has the cursor {given}: the newest is {newest}", "it is of another home, or of this one before it was made anew: watch after 0 for all that is here, or without a cursor from now on";
    NoSuchMethod = "no-such-method", Usage, "there is no method “{given}”", "moim help guide lists the methods";
    BadParams = "bad-params", Usage, "the parameters do not fit the method: {detail}", "moim help guide lists what each method takes";
    BatchTooLong = "batch-too-long", Limit, "the answers of this batch are too long together; this was not done", "ask for it in a batch of its own";
    Ambiguous = "ambiguous", Ambiguous, "“{given}” means more than one: {candidates}", "use the id, or @name for a contact and #name for a group";
    NoWords = "no-words", Usage, "the 24 words are needed, and there is no terminal to ask for them", "--restore-words-file FILE reads them from a file";
    // The home and its node
    NoHome = "no-home", NotFound, "there is no moim home in {home}", "moim init --name NAME makes one";
    HomeExists = "home-exists", Conflict, "there is a moim home in {home} already", "--home DIR chooses another";
    FolderNotEmpty = "folder-not-empty", Conflict, "{home} holds other files", "--home DIR chooses an empty folder, or one to be made";
    HomeLocked = "home-locked", Locked, "another moim process is using {home}", "wait for it to end: it may be a command, or a node that is coming up or ending";
    NodeRuns = "node-runs", Locked, "a node of this home runs already", "moim status shows it, moim down stops it";
    NeedsNode = "needs-node", NeedsNode, "this needs a running node, and nothing was done", "start one in another terminal: moim up";
    NodeGone = "node-gone", NeedsNode, "the node stopped before it answered", "moim up starts it again; what was saved is kept";
    MaybeSaved = "maybe-saved", NeedsNode, "the node stopped before it said whether the message was saved", "look in moim log CHAT before you send it again; moim up starts the node";
    NodeSilent = "node-silent", Timeout, "the node of this home has not answered within {after}", "it is suspended or very busy: look at the process of moim up. What was asked may still happen, so look before asking again";
    NotYourSocket = "not-your-socket", Auth, "the socket {path} belongs to another user, and nothing was said to it", "set XDG_RUNTIME_DIR, or choose a home with a shorter path";
    NoPassphrase = "no-passphrase", Auth, "the home is protected by a passphrase, and there is no terminal to ask for it", "--passphrase-file FILE reads it from a file";
    NoNewPassphrase = "no-new-passphrase", Auth, "a new home gets a passphrase, and there is no terminal to ask for one", "--passphrase-file FILE reads it from a file, --no-passphrase goes without";
    WrongPassphrase = "wrong-passphrase", Auth, "the passphrase is wrong", "try again; it cannot be recovered, and moim init --restore-words-file FILE begins anew with the 24 words";
    EmptyPassphrase = "empty-passphrase", Auth, "the passphrase is empty", "to go without one: moim init --no-passphrase";
    PassphrasesDiffer = "passphrases-differ", Auth, "the two passphrases differ", "try again";
    Replaced = "replaced", Conflict, "another device took the place of this one in your account, as it learned on {date}: nobody listens to it any more", "use the other device. To go on with this one instead: moim backup FILE, then moim restore FILE in another home. If no device of yours did it, somebody has your 24 words";
    WordsNotHere = "words-not-here", Permission, "the recovery words are not on this device", "ask on the first device of the account";
    BadToken = "bad-token", Auth, "the access token is missing or wrong", "take the token from the address that moim printed";
    // People
    NoSuchContact = "no-such-contact", NotFound, "there is no contact “{given}”", "moim contacts lists them";
    NoSuchRequest = "no-such-request", NotFound, "nobody called “{given}” waits for an answer", "moim requests lists who does";
    NoSuchInvite = "no-such-invite", NotFound, "there is no open invitation “{given}”", "moim invite list shows them";
    AlreadyContact = "already-contact", Conflict, "this account is a contact already", "moim contacts lists them";
    ContactEnded = "contact-ended", Permission, "you and {name} are no contacts any more", "moim invite makes a new link for them, or moim add takes theirs";
    NotSafetyNumber = "not-safety-number", Usage, "“{given}” is not a safety number: it has 60 digits", "moim verify WHO shows the one to compare with";
    NameTaken = "name-taken", Conflict, "another contact is called “{given}”", "choose another name";
    LinkExpired = "link-expired", Conflict, "the link expired on {date}", "ask for a new one";
    LinkUsed = "link-used", Conflict, "the link has been used already", "ask for a new one";
    LinkUnanswered = "link-unanswered", Unreachable, "nobody answers at the addresses of the link", "the node keeps trying until the link expires";
    OwnLink = "own-link", Conflict, "this is your own link", "give it to the person you want to talk to";
    NumberDiffers = "number-differs", Verification, "the safety numbers differ: someone may stand between you and {name}", "compare again in person or in a call; do not trust this chat until they match";
    VerifiedNumberDiffers = "verified-number-differs", Verification, "the safety numbers differ, though {name} was verified before: someone else may be at the other end, or the number was misread", "compare again in person or in a call, and do not trust this chat until they match. {name} stays marked as verified; moim block WHO takes nothing more from there";
    NotBlocked = "not-blocked", Conflict, "{name} is not blocked, so nothing has changed", "moim contacts shows who is";
    ContactBlocked = "contact-blocked", Permission, "{name} is blocked", "moim unblock WHO lets them in again";
    TooManyInvites = "too-many-invites", Limit, "there are {max} open invitations already", "moim invite revoke ID closes one";
    // Chats, messages, groups
    NoSuchChat = "no-such-chat", NotFound, "there is no chat “{given}”", "moim chats lists them";
    NoSuchMessage = "no-such-message", NotFound, "there is no message “{given}” in this chat", "moim log CHAT --json shows the ids";
    NoSuchGroup = "no-such-group", NotFound, "there is no group “{given}”", "moim chats lists them";
    NotInvited = "not-invited", NotFound, "there is no invitation to a group “{given}”", "moim requests lists them";
    NotMember = "not-member", Permission, "you are not a member of {name}", "ask a member who may invite you";
    NotJoined = "not-joined", Conflict, "you are invited to {name} and have not joined yet", "moim group accept GROUP joins it, moim group decline GROUP does not";
    NotAdmin = "not-admin", Permission, "only its founder and admins may do this in {name}", "moim group members GROUP shows who they are";
    NoSuchChange = "no-such-change", NotFound, "there is no change “{given}” in the log of this group", "moim group log GROUP --json shows the ids";
    NoSuchMember = "no-such-member", NotFound, "“{given}” is no member of {name}", "moim group members GROUP lists them";
    Outranked = "outranked", Permission, "{name} is not below you in rank", "the founder, or an admin who was made one before, may do this: moim group members GROUP";
    NotFounder = "not-founder", Permission, "only its founder may do this in {name}", "moim group members GROUP shows who that is";
    NotOneself = "not-oneself", Usage, "this is you, and nobody does that to themselves", "moim group leave GROUP ends your own membership";
    HasRole = "has-role", Conflict, "{name} has that role already", "moim group members GROUP shows the roles";
    NotConnected = "not-connected", Conflict, "{name} is not a connected contact yet", "wait until they accept your request";
    AlreadyMember = "already-member", Conflict, "{name} is a member already", "moim group members GROUP lists them";
    TooManyGroups = "too-many-groups", Limit, "this account is in {max} groups already, which is the most there can be", "leave one first";
    GroupFull = "group-full", Limit, "the group has {max} members, which is the most there can be", "somebody has to leave before another can join";
    // Mailboxes and the outbox
    NotInOutbox = "not-in-outbox", NotFound, "no message “{given}” of yours waits", "moim outbox lists those that do";
    InMailbox = "in-mailbox", Conflict, "the message {given} lies in a mailbox: it cannot be taken back", "moim log CHAT shows how far it got";
    WasDelivered = "was-delivered", Conflict, "the message {given} was delivered: it cannot be taken back", "moim log CHAT shows how far it got";
    NotWithdrawable = "not-withdrawable", Conflict, "only a message to others can be withdrawn, in a chat that you are in", "what you said last in a group that you left goes to its members; a note to yourself waits for nobody";
    NotMailboxLink = "not-mailbox-link", Usage, "the link is not that of a mailbox", "ask its owner for one made by moim mailbox link, or name a contact";
    NotServing = "not-serving", Conflict, "this node keeps no mail for others", "moim mailbox serve on begins with it";
    NoSuchMailbox = "no-such-mailbox", NotFound, "there is no mailbox “{given}”", "moim mailbox list shows yours";
    MailboxNotActive = "mailbox-not-active", Conflict, "the mailbox {name} has not agreed to keep anything yet", "moim mailbox list shows when it has";
    TooManyGroupMailboxes = "too-many-group-mailboxes", Limit, "a group has {max} mailboxes at the most", "moim group mailbox remove GROUP MAILBOX makes room";
    TooManyMailboxes = "too-many-mailboxes", Limit, "you have {max} mailboxes, which is the most there can be", "moim mailbox remove WHO leaves one";
    Waited = "waited", Timeout, "the message is {reached}, and was not {state} within {after}", "it goes on by itself: do not send it again";
    NobodyThere = "nobody-there", Unreachable, "the message is saved, and nobody else is in this group to get it", "moim group invite GROUP WHO invites somebody; who joins later does not get what was said before";
    NotRead = "not-read", Timeout, "the message is delivered, and was not read within {after}", "it has arrived: do not send it again. Not everybody lets others know what they read";
    TookTooLong = "took-too-long", Timeout, "no answer within {after}", "try again";
    // Testnets
    NoSuchNode = "no-such-node", NotFound, "the testnet has no node “{given}”", "moim testnet list shows them";
    NoTestnet = "no-testnet", NotFound, "no testnet is up", "moim testnet up starts one";
    TestnetRuns = "testnet-runs", Conflict, "a testnet is up in {folder} already", "moim testnet list shows it, moim testnet down stops it";
    OtherTestnet = "other-testnet", Conflict, "{folder} holds a testnet of another seed", "give that seed, remove the folder, or choose another with --home";
    DidNotHappen = "did-not-happen", Timeout, "this did not happen in time: {what}", "please report it with the output of MOIM_LOG=debug";
    Interrupted = "interrupted", Internal, "it was interrupted", "start it again";
    // Backups
    FileExists = "file-exists", Conflict, "there is a file {path} already", "choose another name: a backup replaces nothing";
    NotABackup = "not-a-backup", Usage, "{path} is not a backup of moim", "moim backup FILE makes one";
    BackupOfOtherAccount = "backup-of-other-account", Auth, "these words do not open this backup", "it opens with the 24 words of the account that it is of";
    BackupDamaged = "backup-damaged", Io, "the backup is cut short or damaged", "nothing was made of it: use another copy";
    BackupNewer = "backup-newer", Usage, "a newer moim wrote this backup", "restore it with that version";
    BackupTooCostly = "backup-too-costly", Limit, "the file asks for more work to open it than any backup needs", "it was not made by moim: use another copy";
    // The system
    DiskFull = "disk-full", Io, "the disk is full", "make room: the node goes on by itself";
    NoAccess = "no-access", Permission, "{path} is not yours to read or write: {detail}", "run moim as the user it belongs to, or choose another home with --home";
    File = "file", Io, "{path}: {detail}", "check the path, its permissions and the disk";
    BadAddress = "bad-address", Usage, "“{given}” is not an address to listen on", "one is like /ip4/0.0.0.0/tcp/4001 or /ip4/0.0.0.0/udp/4001/quic-v1; port 0 takes any that is free";
    PortTaken = "port-taken", Conflict, "cannot listen on {address}: another process uses port {port}", "choose another port with --listen (0 takes any that is free), or stop the other process";
    CannotListen = "cannot-listen", Io, "cannot listen on {address}: {detail}", "--listen takes an address that this machine has, and a port from 1024 on";
    StillBusy = "still-busy", Io, "disk or network were still busy, and the node was cut off", "what was answered is kept: moim up starts it again";
    Network = "network", Io, "the network cannot be used: {detail}", "check the network of this machine and the settings listen and bootstrap: moim config";
    StoreFailed = "store-failed", Io, "the store failed: {detail}; nothing was changed", "look at the disk, then try again";
    BackupUnderWay = "backup-under-way", Conflict, "a backup is being written to {path} already", "wait for it to end, or choose another name";
    StoreDamaged = "store-damaged", Io, "the store is damaged: {detail}", "the damaged folder is kept; moim restore FILE makes a new home from a backup, moim init --restore-words-file FILE one of the 24 words alone, each with --home DIR";
    NotInThisBuild = "not-in-this-build", Internal, "this build of moim has no {given}", "install moim with all its features";
    Internal = "internal", Internal, "something went wrong inside moim: {detail}", "please report it";
}

/// One argument of a sentence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Arg {
    /// A count: languages choose the plural form by it.
    Number(i64),
    /// Anything else.
    Text(String),
}

impl fmt::Display for Arg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}

impl From<&str> for Arg {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Arg {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<u32> for Arg {
    fn from(number: u32) -> Self {
        Self::Number(number.into())
    }
}

impl From<u64> for Arg {
    fn from(number: u64) -> Self {
        Self::Number(number.try_into().unwrap_or(i64::MAX))
    }
}

impl From<usize> for Arg {
    fn from(number: usize) -> Self {
        Self::Number(number.try_into().unwrap_or(i64::MAX))
    }
}

/// The arguments of a sentence, by name.
pub type Args = BTreeMap<String, Arg>;

/// One of several things that a name or id may mean.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
}

/// An error as it crosses the API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// The kind, for scripts.
    pub code: ErrorCode,
    /// What happened and why, in English.
    pub message: String,
    /// What to do next, in English; may be empty.
    #[serde(default)]
    pub hint: String,
    /// The reason's stable name, which views translate by.
    #[serde(default)]
    pub reason: String,
    /// The arguments of message and hint.
    #[serde(default, skip_serializing_if = "Args::is_empty")]
    pub args: Args,
    /// What an ambiguous name may mean.
    #[serde(default, skip_serializing_if = "<[Choice]>::is_empty")]
    pub choices: Box<[Choice]>,
}

impl ApiError {
    /// An error for this reason, whose arguments are still to be given.
    pub fn new(reason: Reason) -> Self {
        Self {
            code: reason.code(),
            message: reason.message().to_owned(),
            hint: reason.hint().to_owned(),
            reason: reason.id().to_owned(),
            args: Args::new(),
            choices: Box::default(),
        }
    }

    /// The same with one more argument.
    pub fn with(mut self, name: &str, value: impl Into<Arg>) -> Self {
        let value = value.into();
        let place = format!("{{{name}}}");
        self.message = self.message.replace(&place, &value.to_string());
        self.hint = self.hint.replace(&place, &value.to_string());
        self.args.insert(name.to_owned(), value);
        self
    }

    /// The same with a guess at what was meant, which takes the place of the hint.
    pub fn suggesting(mut self, guess: impl Into<String>) -> Self {
        let guess = guess.into();
        self.hint = format!("did you mean “{guess}”?");
        self.args.insert("suggestion".to_owned(), guess.into());
        self
    }

    /// A fault of moim itself.
    pub fn internal(detail: impl fmt::Display) -> Self {
        Self::new(Reason::Internal).with("detail", detail.to_string())
    }

    /// A file that could not be used.
    pub fn file(path: &std::path::Path, error: &std::io::Error) -> Self {
        let reason = match error.kind() {
            std::io::ErrorKind::PermissionDenied => Reason::NoAccess,
            _ => Reason::File,
        };
        Self::new(reason).with("path", path.display().to_string()).with("detail", error.to_string())
    }

    /// Whether this is that reason.
    pub fn is(&self, reason: Reason) -> bool {
        self.reason == reason.id()
    }
}

/// The contract's shape of an error on stderr: `{"v":1,"error":{…}}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorReport {
    /// The version of the shape.
    pub v: crate::api::types::V1,
    /// The error.
    pub error: ApiError,
}

impl From<ApiError> for ErrorReport {
    fn from(error: ApiError) -> Self {
        Self { v: crate::api::types::V1, error }
    }
}

/// An error object of JSON-RPC 2.0 (§5.1). `data` is the whole [`ApiError`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RpcError {
    /// The number JSON-RPC asks for.
    pub code: i32,
    /// One English sentence.
    pub message: String,
    /// The error itself. Absent from servers that are not moim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<ApiError>,
}

impl RpcError {
    /// The line is not JSON (§5.1).
    pub fn parse_error() -> Self {
        Self { code: -32700, message: "parse error".to_owned(), data: None }
    }

    /// The JSON is not a request (§5.1).
    pub fn invalid_request() -> Self {
        Self { code: -32600, message: "invalid request".to_owned(), data: None }
    }
}

impl From<ApiError> for RpcError {
    fn from(error: ApiError) -> Self {
        let code = if error.is(Reason::NoSuchMethod) { -32601 } else { error.code.rpc_code() };
        Self { code, message: error.message.clone(), data: Some(error) }
    }
}

impl From<RpcError> for ApiError {
    fn from(error: RpcError) -> Self {
        error.data.unwrap_or_else(|| Self::internal(error.message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::collections::BTreeSet;

    #[test]
    fn an_error_has_the_shape_of_the_contract() {
        let error = ApiError::new(Reason::NoSuchContact).with("given", "mina").suggesting("Mina");
        assert_eq!(
            serde_json::to_value(ErrorReport::from(error.clone())).unwrap(),
            json!({"v": 1, "error": {
                "code": "not_found", "message": "there is no contact “mina”", "hint": "did you mean “Mina”?",
                "reason": "no-such-contact", "args": {"given": "mina", "suggestion": "Mina"},
            }})
        );
        assert_eq!(error.code.exit_code(), 6);
    }

    #[test]
    fn an_error_crosses_json_rpc_unchanged() {
        let error = ApiError::new(Reason::LinkExpired).with("date", "2026-11-22");
        let rpc = RpcError::from(error.clone());
        assert_eq!(rpc.code, -32010);
        let read: RpcError = serde_json::from_str(&serde_json::to_string(&rpc).unwrap()).unwrap();
        assert_eq!(ApiError::from(read), error);
        assert_eq!(RpcError::from(ApiError::new(Reason::NoSuchMethod)).code, -32601);
    }

    #[test]
    fn a_code_of_a_newer_node_is_an_error_not_a_failure() {
        let error: ApiError = serde_json::from_value(json!({"code": "melted", "message": "x"})).unwrap();
        assert_eq!(error.code.exit_code(), 1);
    }

    #[test]
    fn exit_codes_are_those_of_the_contract() {
        let codes = [
            (Reason::Internal, 1),
            (Reason::LinkUsed, 1),
            (Reason::BadLink, 2),
            (Reason::Ambiguous, 2),
            (Reason::NeedsNode, 3),
            (Reason::HomeLocked, 3),
            (Reason::LinkUnanswered, 4),
            (Reason::WrongPassphrase, 5),
            (Reason::NumberDiffers, 5),
            (Reason::NotMember, 5),
            (Reason::NoSuchChat, 6),
            (Reason::Waited, 7),
        ];
        for (reason, exit) in codes {
            assert_eq!(reason.code().exit_code(), exit, "{reason:?}");
        }
    }

    #[test]
    fn every_reason_says_what_to_do_and_has_a_name_of_its_own() {
        assert!(Reason::ALL.iter().all(|reason| !reason.hint().is_empty() && !reason.message().is_empty()));
        let ids: BTreeSet<_> = Reason::ALL.iter().map(|reason| reason.id()).collect();
        assert_eq!(ids.len(), Reason::ALL.len());
    }
}
