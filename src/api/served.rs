//! A running node together with its socket: what `moim up` is, and every node of a testnet.
//!
//! It promises that whoever finds the socket finds a node behind it, and that [`Served::stop`] ends both within two
//! seconds. It knows no signals and no configuration files: `main` does.

use super::{
    Api, ApiError, Client, Dispatcher, Reason, Server,
    client::Socket,
    methods,
    types::{Nothing, Ready, ReadyEvent, V1},
};
use crate::{
    node::{self, Handle, Node, NodeConfig, NodeError},
    protocol::time::{Millis, days},
    store::HomeError,
};
use std::time::Duration;

/// How long each start tells that an older copy was put back.
const ROLLED_BACK_TOLD: Duration = days(7);

/// A node and its socket.
#[derive(Debug)]
pub struct Served {
    node: Node,
    server: Server,
}

impl Served {
    /// Starts a node, and listens on the socket of its home.
    ///
    /// # Errors
    /// `node-runs` where one of this home runs already; why the home or the network cannot be used.
    pub async fn start(config: NodeConfig) -> Result<Self, ApiError> {
        let home = config.home.clone();
        let node = match Node::start(config).await {
            Ok(node) => node,
            Err(NodeError::Home(HomeError::Locked(_))) if Socket::connect(&home).await?.is_some() => {
                return Err(ApiError::new(Reason::NodeRuns));
            }
            Err(error) => return Err(error.into()),
        };
        let server = Server::start(Dispatcher::new(node.client()), &home);
        match server {
            Ok(server) => Ok(Self { node, server }),
            Err(error) => {
                // The socket is what failed; that the node had trouble ending too would not help anyone.
                let _ = node.shutdown().await;
                Err(ApiError::file(&home, &error))
            }
        }
    }

    /// What `moim up` says once the node can be used.
    ///
    /// # Errors
    /// Why the store cannot be read.
    pub async fn ready(&self) -> Result<Ready, ApiError> {
        let status = self.client().call::<methods::Status>(Nothing {}).await?;
        Ok(Ready {
            v: V1,
            event: ReadyEvent::Ready,
            account: status.account,
            peer: status.peer,
            addrs: status.addrs,
            socket: self.server.path().display().to_string(),
            replaced: status.replaced,
            rolled_back: status.rolled_back.filter(|at| node::now().since(Millis::from(*at)) < ROLLED_BACK_TOLD),
        })
    }

    /// A client in this process.
    pub fn client(&self) -> Client {
        Client::of(self.handle())
    }

    /// The node's door.
    pub fn handle(&self) -> Handle {
        self.node.client()
    }

    /// Answers what is under way, then ends the socket and the node.
    ///
    /// # Errors
    /// Where the node did not end in order; what was answered is durable all the same.
    pub async fn stop(self) -> Result<(), ApiError> {
        self.server.stop().await;
        Ok(self.node.shutdown().await?)
    }
}

#[cfg(test)]
mod tests {
    use crate::{api::server::STOP_GRACE, node::STOP_WAIT};
    use std::time::Duration;

    /// What is left of the two seconds is for the end of the process itself.
    #[test]
    fn the_waits_of_a_stop_are_together_well_under_two_seconds() {
        assert!(STOP_GRACE + STOP_WAIT <= Duration::from_millis(1_800));
    }
}
