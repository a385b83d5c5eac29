//! One real node of a testnet: its home made where there is none, its name and account those of its number and seed.

use super::wait::happens;
use crate::{
    api::{
        Api, ApiError, Client, Method, Reason, Served,
        methods::{ContactAdd, ContactList, InviteCreate, MessageLog, MessageSend},
        types::{
            AddParams, Contact, ContactState, InviteParams, LogParams, Message, Nothing, SendParams, SendResult, Wait,
        },
    },
    net::Mdns,
    node::{self, Handle, NodeConfig},
    protocol::{
        crypto::{kdf::kdf, labels, secret::Secret},
        identity::{AccountKey, Words},
        ids::AccountId,
    },
    store::{Cost, Home, HomeError},
};
use std::{path::PathBuf, time::Duration};

/// Loopback alone, and whatever port is free.
const LISTEN: &str = "/ip4/127.0.0.1/tcp/0";
/// How long two nodes may take to become contacts.
const MEETING: Duration = Duration::from_secs(30);

/// What a node of a testnet is to be.
#[derive(Debug, Clone)]
pub struct NodeSpec {
    /// Its account's name.
    pub name: String,
    /// Where its home is, or is to be made.
    pub home: PathBuf,
    /// What its account comes from: the same again from the same seed and number.
    pub seed: u64,
    /// Its number.
    pub n: u32,
}

impl NodeSpec {
    /// Anyone who knows the seed has the account: for testnets alone.
    fn words(&self) -> Words {
        let seed = kdf(&[0; 32], labels::TESTNET, &[&self.seed.to_be_bytes(), &self.n.to_be_bytes()]);
        Words::from_entropy(Secret::from(*seed.expose()))
    }

    /// The account that these words make.
    pub fn account(&self) -> AccountId {
        AccountKey::from_words(&self.words()).id()
    }
}

/// A running node of a testnet, or the demonstration, or a test.
#[derive(Debug)]
pub struct TestNode {
    spec: NodeSpec,
    served: Served,
}

impl TestNode {
    /// Starts the node; makes its home if there is none.
    ///
    /// # Errors
    /// `other-testnet` where the home is another account's; whatever a start fails with.
    pub async fn start(spec: NodeSpec) -> Result<Self, ApiError> {
        make_home(&spec).await?;
        let config =
            NodeConfig { listen: vec![LISTEN.to_owned()], mdns: Mdns::Off, ..NodeConfig::at(spec.home.clone()) };
        let served = Served::start(config).await?;
        let found = served.ready().await?.account;
        if found != spec.account() {
            served.stop().await?;
            let folder = spec.home.parent().unwrap_or(&spec.home).display().to_string();
            return Err(ApiError::new(Reason::OtherTestnet).with("folder", folder));
        }
        Ok(Self { spec, served })
    }

    /// What it is.
    pub fn spec(&self) -> &NodeSpec {
        &self.spec
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// Its node and socket.
    pub fn served(&self) -> &Served {
        &self.served
    }

    /// Its door.
    pub fn handle(&self) -> Handle {
        self.served.handle()
    }

    /// A client of its own.
    pub fn client(&self) -> Client {
        self.served.client()
    }

    /// Asks it for one thing.
    ///
    /// # Errors
    /// Those of the method.
    pub async fn ask<M: Method>(&self, params: M::Params) -> Result<M::Result, ApiError> {
        self.client().call::<M>(params).await
    }

    /// Its contacts.
    ///
    /// # Errors
    /// Why they cannot be read.
    pub async fn contacts(&self) -> Result<Vec<Contact>, ApiError> {
        Ok(self.ask::<ContactList>(Nothing {}).await?.contacts)
    }

    /// The last `limit` messages of a chat, oldest first.
    ///
    /// # Errors
    /// Why they cannot be read.
    pub async fn log(&self, chat: &str, limit: u32) -> Result<Vec<Message>, ApiError> {
        let params = LogParams { chat: chat.to_owned(), limit: Some(limit), before: None, search: None };
        Ok(self.ask::<MessageLog>(params).await?.messages)
    }

    /// Says something and waits until it is so far.
    ///
    /// # Errors
    /// Why it cannot be said.
    pub async fn say(&self, chat: &str, text: &str, wait: Wait) -> Result<SendResult, ApiError> {
        let (chat, text) = (chat.to_owned(), text.to_owned());
        self.ask::<MessageSend>(SendParams { chat, text, reply_to: None, wait: Some(wait), timeout: None }).await
    }

    /// Makes contacts of this node and another by a link that accepts at once. Returns when both know.
    ///
    /// # Errors
    /// Where it does not happen.
    pub async fn befriend(&self, guest: &Self) -> Result<(), ApiError> {
        let link = self.ask::<InviteCreate>(InviteParams { expires: None, auto_accept: true }).await?.link;
        guest.ask::<ContactAdd>(AddParams { link, name: None }).await?;
        self.is_connected_to(guest.spec.account()).await?;
        guest.is_connected_to(self.spec.account()).await
    }

    /// Waits until an account is a connected contact of this node.
    ///
    /// # Errors
    /// `did-not-happen`.
    pub async fn is_connected_to(&self, account: AccountId) -> Result<(), ApiError> {
        let connected = |contact: &Contact| contact.id == account && contact.state == ContactState::Connected;
        let what = format!("{} has a new contact", self.name());
        let look = || async { Ok(self.contacts().await?.iter().any(connected).then_some(())) };
        happens(&self.handle(), &what, MEETING, look).await
    }

    /// Ends the node and its socket.
    ///
    /// # Errors
    /// Where it did not end in order.
    pub async fn stop(self) -> Result<NodeSpec, ApiError> {
        self.served.stop().await?;
        Ok(self.spec)
    }
}

async fn make_home(spec: &NodeSpec) -> Result<(), ApiError> {
    let spec = spec.clone();
    let making = tokio::task::spawn_blocking(move || match Home::is_locked(&spec.home) {
        Ok(_) => Ok(()),
        Err(HomeError::NoHome(_) | HomeError::HalfMade(_)) => {
            node::create(&spec.home, None, Cost::FOR_TESTS, &spec.name, &spec.words())?;
            Ok(())
        }
        Err(error) => Err(error.into()),
    });
    making.await.map_err(ApiError::internal)?
}
