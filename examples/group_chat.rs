//! Four nodes in one group, most of whom never met. `cargo run --example group_chat`

use moim::{
    api::types::Wait,
    testnet::{Acquaintance, Testnet, TestnetConfig, happens},
};
use std::{error::Error, time::Duration};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;

    // Real nodes with real sockets on 127.0.0.1. Only the first knows everyone: it makes the group and invites the others,
    // who are then each other's fellow members without ever having been each other's contacts.
    let config = TestnetConfig::new(folder.path(), 4).with_acquaintance(Acquaintance::WithTheFirst);
    let testnet = Testnet::up(config).await?;
    let group = testnet.group().ok_or("four nodes have a group")?.to_string();

    // Everyone speaks at once; nobody waits for anybody.
    let speaking = testnet.nodes().iter().map(|node| node.say(&group, "Good morning!", Wait::Saved));
    futures::future::try_join_all(speaking).await?;

    // When a node has everything, it has it in the same order as every other.
    let mut orders = Vec::new();
    for node in testnet.nodes() {
        let all_heard = || async {
            let log = node.log(&group, 50).await?;
            Ok((log.len() == testnet.nodes().len()).then_some(log))
        };
        let log = happens(&node.handle(), "all are heard", Duration::from_secs(20), all_heard).await?;
        orders.push(log.iter().map(|message| message.id).collect::<Vec<_>>());
        println!("{} heard {}", node.name(), log.iter().map(|m| m.from.name.as_str()).collect::<Vec<_>>().join(", "));
    }
    println!("one order for all: {}", orders.windows(2).all(|pair| pair[0] == pair[1]));

    testnet.down().await?;
    Ok(())
}
