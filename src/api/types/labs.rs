//! Shapes of testnets, the demo and measurements.

use super::*;

shapes! {
    /// The nodes of a testnet.
    pub struct TestnetResult {
        /// The version of the shape.
        pub v: V1,
        /// By number.
        pub nodes: Vec<TestnetNode>,
    }

    /// A node of a testnet.
    pub struct TestnetNode {
        /// Its number, from 1.
        pub n: u32,
        /// Its account's name.
        pub name: String,
        /// Its account.
        pub account: AccountId,
        /// Its PeerId.
        pub peer: String,
        /// Where it listens.
        pub addrs: Vec<String>,
        /// Its home.
        pub home: String,
        /// Its socket.
        pub socket: String,
    }

    /// What was measured.
    pub struct BenchResult {
        /// The version of the shape.
        pub v: V1,
        /// One row a load.
        pub loads: Vec<Load>,
    }

    /// A load and how it went. Durations are in microseconds.
    pub struct Load {
        /// What was done.
        pub name: String,
        /// How often.
        pub count: u64,
        /// How often in a second.
        pub per_second: u64,
        /// Half took no longer.
        pub p50_us: u64,
        /// 99 of 100 took no longer.
        pub p99_us: u64,
    }
}

/// What becomes of the nodes of the demonstration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DemoEnding {
    /// They end with it, and their homes with them.
    Removed,
    /// They stay up until they are told to stop.
    Kept,
}

/// A node of the demonstration that stays up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DemoHome {
    /// Whose it is.
    pub name: String,
    /// What `--home` takes.
    pub home: String,
}

/// What the demonstration does, step by step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum DemoStep {
    /// The nodes are up.
    Nodes {
        /// Their names.
        names: Vec<String>,
    },
    /// Two have become contacts.
    Met {
        /// Who made the link.
        inviter: String,
        /// Who followed it.
        guest: String,
    },
    /// A group is made and joined.
    Group {
        /// Its name.
        name: String,
        /// How many are in it.
        members: u64,
    },
    /// A message was sent and is this far.
    Said {
        /// Who wrote.
        from: String,
        /// To whom, or to which group.
        to: String,
        /// What.
        text: String,
        /// How far it is.
        state: MessageState,
    },
    /// A node was stopped.
    Away {
        /// Whose.
        name: String,
    },
    /// It runs again and has what it missed.
    Back {
        /// Whose.
        name: String,
        /// Messages it got.
        received: u64,
    },
    /// Two nodes were timed; every acknowledgement was durable.
    Figures {
        /// Messages that were timed: some one after the other, the others many at once.
        messages: u64,
        /// How many of those at once got through in a second.
        per_second: u64,
        /// From asking to the proof of delivery, one after the other: half took no longer, in microseconds.
        p50_us: u64,
        /// 99 of 100 took no longer, in microseconds.
        p99_us: u64,
    },
    /// The nodes stay up.
    Kept {
        /// Each with its home.
        homes: Vec<DemoHome>,
    },
    /// All went well.
    Done {
        /// Messages in all.
        messages: u64,
        /// How long it took, in milliseconds.
        millis: u64,
    },
}
