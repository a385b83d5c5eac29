//! A bot: answers every message with its own text, through the socket of a running node.
//!
//! ```sh
//! moim --home /tmp/bot init --name echo --no-passphrase
//! moim --home /tmp/bot up &
//! cargo run --example echo_bot -- /tmp/bot
//! ```

use futures::StreamExt;
use moim::api::{
    Api,
    client::Socket,
    methods::MessageSend,
    types::{Event, MessageState, SendParams},
};
use std::{env, error::Error, path::PathBuf};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let home: PathBuf = env::args_os().nth(1).ok_or("usage: echo_bot HOME")?.into();

    // One connection for what happens, one for what to do about it. Any language that can write JSON to a unix socket can
    // do the same: {"jsonrpc":"2.0","id":1,"method":"watch","params":{}}
    let mut listening = Socket::connect(&home).await?.ok_or("no node of this home runs: moim up")?;
    let mut asking = Socket::connect(&home).await?.ok_or("no node of this home runs: moim up")?;

    // From now on. A bot that must not miss what came while it was away keeps the last cursor and begins behind it.
    let mut events = listening.watch(None).await?;
    println!("listening");
    while let Some(event) = events.next().await {
        let Event::Message { message } = event?.event else { continue };
        // One's own messages are events too: a bot that answered those would talk to itself for ever.
        let (MessageState::Received, Some(text)) = (message.state, message.text) else { continue };
        let echo = SendParams {
            chat: message.chat.to_string(),
            text,
            reply_to: Some(message.id.to_string()),
            wait: None,
            timeout: None,
        };
        asking.call::<MessageSend>(echo).await?;
    }
    Ok(())
}
