//! moim: a peer-to-peer messenger with nobody in the middle.
//!
//! [`protocol`] is the pure heart: identities, the ratchet, groups, delivery and the engine that joins them. It knows no
//! clock, file, socket or randomness of its own. Everything around it (disk, network, API, command line) is behind the
//! features `node` and `cli`, so `cargo check --lib --no-default-features` builds the heart alone.
//!
//! # A node in your program
//!
//! A home is a folder: make one with `node::create`, run it with `node::Node::start`, and ask it with an `api::Client`
//! for the same methods that the command line and the socket offer (`api::methods`). Whatever is answered is on the disk.
//! A stream of events (`api::types::Event`) tells what happens; its cursors hold across restarts.
//!
//! ```no_run
//! # #[cfg(feature = "node")]
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use futures::StreamExt;
//! use moim::{
//!     api::{Api, Client, methods::MessageSend, types::{Event, MessageState, SendParams, Wait}},
//!     node::{self, Node, NodeConfig},
//!     store::Cost,
//! };
//!
//! let home = std::path::Path::new("/var/lib/my-bot");
//! node::create(home, None, Cost::STANDARD, "my bot", &node::new_words()?)?;
//! let node = Node::start(NodeConfig::at(home)).await?;
//!
//! let mut listening = Client::of(node.client());
//! let mut asking = Client::of(node.client());
//! let mut events = listening.watch(None).await?;
//! while let Some(event) = events.next().await {
//!     let Event::Message { message } = event?.event else { continue };
//!     if message.state != MessageState::Received {
//!         continue;
//!     }
//!     let thanks = SendParams {
//!         chat: message.chat.to_string(),
//!         text: "Thank you!".into(),
//!         reply_to: Some(message.id.to_string()),
//!         wait: Some(Wait::Saved),
//!         timeout: None,
//!     };
//!     asking.call::<MessageSend>(thanks).await?;
//! }
//! drop(events);
//! node.shutdown().await?;
//! # Ok(())
//! # }
//! ```
//!
//! The examples go on from here: `two_nodes`, `group_chat`, and `echo_bot`, which talks to the socket of a node that runs
//! already. With `testnet` a test of yours gets as many real nodes as it wants.
//!
//! # Where things are
//!
//! `protocol ← store, net ← node ← api ← ui ← cli`, and `testnet` beside `api`: each may use those to its left. The page
//! `architecture` of the manual (`moim help architecture`) says why.

#[cfg(feature = "node")]
pub mod api;
#[cfg(feature = "node")]
pub mod archive;
#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "node")]
pub mod net;
#[cfg(feature = "node")]
pub mod node;
pub mod protocol;
pub mod store;
#[cfg(feature = "sim")]
pub mod testnet;
#[cfg(feature = "cli")]
pub mod ui;
