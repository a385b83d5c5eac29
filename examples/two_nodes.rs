//! Two nodes in one program become contacts by a link and talk. `cargo run --example two_nodes`

use futures::StreamExt;
use moim::{
    api::{
        Api, Client,
        methods::{ContactAdd, InviteCreate, MessageSend},
        types::{AddParams, Event, InviteParams, SendParams, Wait},
    },
    net::Mdns,
    node::{self, Node, NodeConfig},
    store::Cost,
};
use std::{error::Error, path::Path};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let mina = start(&folder.path().join("mina"), "mina").await?;
    let jun = start(&folder.path().join("jun"), "jun").await?;
    let (mut as_mina, mut as_jun) = (Client::of(mina.client()), Client::of(jun.client()));

    // A link carries who mina is and where her node listens. The first who follows it is accepted at once.
    let invitation = as_mina.call::<InviteCreate>(InviteParams { auto_accept: true, expires: None }).await?;
    as_jun.call::<ContactAdd>(AddParams { link: invitation.link, name: None }).await?;

    // What jun writes before mina's node has answered is saved, and goes out by itself.
    let hello = SendParams {
        chat: as_jun_calls_mina(&mut as_jun).await?,
        text: "Hello, Mina!".into(),
        reply_to: None,
        wait: Some(Wait::Delivered),
        timeout: None,
    };
    let sent = as_jun.call::<MessageSend>(hello).await?;
    println!("jun's message is {:?}", sent.state);

    // Cursor 0 is the beginning: everything that ever happened to mina's node, once and in order.
    let mut events = as_mina.watch(Some(0)).await?;
    while let Some(event) = events.next().await {
        if let Event::Message { message } = event?.event {
            println!("mina reads: {}", message.text.unwrap_or_default());
            break;
        }
    }
    drop(events);

    mina.shutdown().await?;
    jun.shutdown().await?;
    Ok(())
}

/// The id of the only contact: it stays the same whatever its name turns out to be.
async fn as_jun_calls_mina(jun: &mut Client) -> Result<String, Box<dyn Error>> {
    let contacts = jun.call::<moim::api::methods::ContactList>(moim::api::types::Nothing {}).await?.contacts;
    Ok(contacts.first().ok_or("mina is a contact, if only a pending one")?.id.to_string())
}

/// A home in a folder, and its node on this machine alone.
async fn start(home: &Path, name: &str) -> Result<Node, Box<dyn Error>> {
    node::create(home, None, Cost::FOR_TESTS, name, &node::new_words()?)?;
    let listen = vec!["/ip4/127.0.0.1/tcp/0".to_owned()];
    Ok(Node::start(NodeConfig { listen, mdns: Mdns::Off, ..NodeConfig::at(home) }).await?)
}
