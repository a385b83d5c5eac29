//! The command table: what can be typed. Texts are not here but in `ui/texts/*/commands.ftl`; [`super::help`] joins them.

use crate::api::{
    time::{BadSpan, Span},
    types::{ReadReceipts, Wait},
};
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use std::path::PathBuf;

/// A whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "moim",
    version,
    disable_help_flag = true,
    disable_help_subcommand = true,
    disable_version_flag = true
)]
pub(super) struct Line {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What every command takes, before or behind its name.
#[derive(Debug, Args)]
pub(super) struct Global {
    #[arg(long, global = true, value_name = "DIR")]
    pub home: Option<PathBuf>,
    #[arg(long, global = true, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
    #[arg(long, global = true)]
    pub json: bool,
    #[arg(short, long, global = true)]
    pub quiet: bool,
    #[arg(long, global = true)]
    pub no_color: bool,
    #[arg(long, global = true, value_name = "LANGUAGE", value_parser = clap::builder::PossibleValuesParser::new(crate::api::config::LANGUAGES))]
    pub lang: Option<String>,
    #[arg(short, long, global = true, action = ArgAction::Help)]
    help: Option<bool>,
    #[arg(short = 'V', long, action = ArgAction::Version)]
    version: Option<bool>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    Init(Init),
    Words,
    Backup {
        file: PathBuf,
    },
    Restore(Restore),
    Profile {
        #[arg(long)]
        name: Option<String>,
    },
    Up(Up),
    Down,
    Status,
    Id {
        #[command(flatten)]
        picture: Picture,
    },
    Invite(Invite),
    Add {
        link: String,
        #[arg(long = "as", value_name = "NAME")]
        name: Option<String>,
    },
    Contacts,
    Requests,
    Accept {
        who: String,
    },
    Decline {
        who: String,
    },
    Block {
        who: String,
    },
    Unblock {
        who: String,
    },
    Rename {
        who: String,
        name: String,
    },
    Remove {
        who: String,
    },
    Verify {
        who: String,
        #[arg(long, value_name = "NUMBER")]
        matches: Option<String>,
    },
    Send(Send),
    Log(Log),
    Chats,
    Read {
        chat: String,
        #[arg(long, value_name = "ID")]
        up_to: Option<String>,
    },
    Receipts {
        chat: String,
        #[arg(value_name = "CHOICE")]
        choice: Option<ReceiptsChoice>,
    },
    Timer {
        chat: String,
        #[arg(value_name = "DURATION", allow_hyphen_values = true)]
        timer: Option<String>,
    },
    Clear {
        chat: String,
    },
    Watch {
        #[arg(long, value_name = "CURSOR", allow_negative_numbers = true)]
        after: Option<u64>,
    },
    #[command(subcommand)]
    Group(Group),
    #[command(subcommand)]
    Mailbox(Mailbox),
    Outbox {
        #[command(subcommand)]
        command: Option<OutboxCommand>,
    },
    #[command(subcommand)]
    Testnet(Testnet),
    Rpc {
        #[arg(long, required = true)]
        stdio: bool,
    },
    #[command(subcommand)]
    Gen(Gen),
    Demo {
        #[arg(long)]
        keep: bool,
    },
    Bench,
    Config {
        key: Option<String>,
        value: Option<String>,
    },
    Help {
        topic: Vec<String>,
    },
}

#[derive(Debug, Args)]
pub(super) struct Init {
    #[arg(long)]
    pub name: String,
    #[arg(long)]
    pub no_passphrase: bool,
    #[arg(long, value_name = "FILE")]
    pub restore_words_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct Restore {
    pub file: PathBuf,
    #[arg(long)]
    pub no_passphrase: bool,
    #[arg(long, value_name = "FILE")]
    pub restore_words_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct Up {
    #[arg(long, value_name = "MULTIADDR")]
    pub listen: Vec<String>,
    #[arg(long, value_name = "MULTIADDR")]
    pub bootstrap: Vec<String>,
    #[arg(long)]
    pub no_mdns: bool,
}

/// How to show a code.
#[derive(Debug, Args)]
pub(super) struct Picture {
    #[arg(long, conflicts_with = "png")]
    pub qr: bool,
    #[arg(long, conflicts_with = "png")]
    pub ascii: bool,
    #[arg(long, value_name = "FILE")]
    pub png: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct Invite {
    #[command(subcommand)]
    pub command: Option<InviteCommand>,
    #[arg(long, value_name = "DURATION", value_parser = span, allow_hyphen_values = true)]
    pub expires: Option<Span>,
    #[arg(long)]
    pub auto_accept: bool,
    #[command(flatten)]
    pub picture: Picture,
}

#[derive(Debug, Subcommand)]
pub(super) enum InviteCommand {
    List,
    Revoke { invite: String },
}

#[derive(Debug, Args)]
pub(super) struct Send {
    pub chat: String,
    pub text: String,
    #[arg(long, value_name = "ID")]
    pub reply_to: Option<String>,
    #[arg(long, value_name = "STATE")]
    pub wait: Option<WaitFor>,
    #[arg(long, value_name = "DURATION", value_parser = span, allow_hyphen_values = true)]
    pub timeout: Option<Span>,
}

/// [`Wait`] as clap reads it.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum WaitFor {
    Saved,
    Mailbox,
    Delivered,
    Read,
}

impl From<WaitFor> for Wait {
    fn from(wait: WaitFor) -> Self {
        match wait {
            WaitFor::Saved => Self::Saved,
            WaitFor::Mailbox => Self::Mailbox,
            WaitFor::Delivered => Self::Delivered,
            WaitFor::Read => Self::Read,
        }
    }
}

/// [`ReadReceipts`] as clap reads it.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum ReceiptsChoice {
    On,
    Off,
    Default,
}

impl From<ReceiptsChoice> for ReadReceipts {
    fn from(choice: ReceiptsChoice) -> Self {
        match choice {
            ReceiptsChoice::On => Self::On,
            ReceiptsChoice::Off => Self::Off,
            ReceiptsChoice::Default => Self::Default,
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct Log {
    pub chat: String,
    #[arg(short = 'n', value_name = "COUNT", allow_negative_numbers = true)]
    pub limit: Option<u32>,
    #[arg(long, value_name = "ID")]
    pub before: Option<String>,
    #[arg(long, value_name = "TEXT")]
    pub search: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Group {
    New {
        name: String,
    },
    Invite {
        group: String,
        #[arg(required = true)]
        who: Vec<String>,
    },
    Accept {
        group: String,
    },
    Decline {
        group: String,
    },
    Members {
        group: String,
    },
    Log(GroupLog),
    Remove {
        group: String,
        member: String,
    },
    Promote {
        group: String,
        member: String,
    },
    Demote {
        group: String,
        member: String,
    },
    HandOver {
        group: String,
        member: String,
    },
    Rename {
        group: String,
        name: String,
    },
    #[command(subcommand)]
    Mailbox(GroupMailbox),
    Leave {
        group: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct GroupLog {
    pub group: String,
    #[arg(short = 'n', long, value_name = "COUNT", allow_negative_numbers = true)]
    pub limit: Option<u32>,
    #[arg(long, value_name = "ID")]
    pub before: Option<String>,
    #[arg(long)]
    pub all: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum GroupMailbox {
    Add { group: String, mailbox: String },
    Remove { group: String, mailbox: String },
    List { group: String },
}

#[derive(Debug, Subcommand)]
pub(super) enum Mailbox {
    Serve {
        #[arg(value_name = "on|off")]
        switch: Switch,
    },
    Link,
    Add {
        at: String,
    },
    Remove {
        at: String,
    },
    List,
}

/// Whether something is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Switch {
    On,
    Off,
}

#[derive(Debug, Subcommand)]
pub(super) enum OutboxCommand {
    Cancel { id: String },
}

#[derive(Debug, Subcommand)]
pub(super) enum Testnet {
    Up {
        #[arg(short = 'n', value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=100))]
        nodes: Option<u32>,
        #[arg(long)]
        seed: Option<u64>,
    },
    List,
    Exec {
        node: String,
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    Down,
}

#[derive(Debug, Subcommand)]
pub(super) enum Gen {
    Completions { shell: Shell },
    Man { dir: PathBuf },
    Systemd,
}

fn span(text: &str) -> Result<Span, BadSpan> {
    text.parse()
}
