//! Commands about a testnet on this machine.

use super::{
    Runtime, Session, args,
    help::{self, Parsed},
    out::{Out, Stop},
};
use crate::api::{ApiError, Reason, types::TestnetResult};
use std::ffi::OsString;

/// Nodes of a testnet where nothing is said.
const NODES: u32 = 3;
/// Where its homes are, below the home of the command.
pub(super) const FOLDER: &str = "testnet";

pub(super) async fn testnet<R: Runtime>(session: &mut Session<'_, R>, command: args::Testnet) -> Result<(), Stop> {
    match command {
        args::Testnet::Up { nodes, seed } => up(session, nodes.unwrap_or(NODES), seed).await,
        args::Testnet::Exec { node, command } => exec(session, &node, command).await,
        args::Testnet::List => {
            let nodes = session.runtime.testnet_list(&session.home.join(FOLDER)).await?;
            session.out.result(&nodes, |out| show(out, &nodes))
        }
        args::Testnet::Down => {
            let nodes = session.runtime.testnet_down(&session.home.join(FOLDER)).await?;
            session.out.result(&nodes, |out| out.tell("testnet-down", &[("count", nodes.nodes.len().into())]))
        }
    }
}

async fn up<R: Runtime>(session: &mut Session<'_, R>, nodes: u32, seed: Option<u64>) -> Result<(), Stop> {
    let folder = session.home.join(FOLDER);
    let out = &mut session.out;
    let mut told = Ok(());
    let mut ready = |nodes: TestnetResult| {
        told = out.result(&nodes, |out| show(out, &nodes));
        out.say("testnet-next", &[]);
    };
    let ended = session.runtime.testnet_up(&folder, nodes, seed, &mut ready).await;
    told.and(ended.map_err(Stop::from))
}

/// A command as if it were typed with the node's home: `moim testnet exec 2 chats`.
async fn exec<R: Runtime>(session: &mut Session<'_, R>, node: &str, command: Vec<String>) -> Result<(), Stop> {
    let nodes = session.runtime.testnet_list(&session.home.join(FOLDER)).await?.nodes;
    let found = nodes.into_iter().find(|known| known.name == node || known.n.to_string() == node);
    let found = found.ok_or_else(|| ApiError::new(Reason::NoSuchNode).with("given", node))?;
    let line: Vec<OsString> = std::iter::once("moim".to_owned()).chain(command).map(OsString::from).collect();
    match help::parse(&line, &session.out.texts)? {
        Parsed::Page(page) => session.out.raw(&page),
        Parsed::Line(line) => {
            session.heed(&line.global);
            session.home = found.home.into();
            Box::pin(session.perform(line.command)).await
        }
    }
}

fn show(out: &mut Out, nodes: &TestnetResult) -> Result<(), Stop> {
    let rows = nodes.nodes.iter().map(|node| {
        let address = node.addrs.first().cloned().unwrap_or_default();
        vec![node.n.to_string(), node.name.clone(), node.home.clone(), address]
    });
    out.table(&["number", "name", "home", "address"], rows.collect())
}
