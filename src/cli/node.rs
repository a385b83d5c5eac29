//! Commands about the own account, the node and its settings.

use super::{
    NewHome, PassphraseSource, Runtime, Session, Start,
    args::{Init, Up},
    config_file,
    out::{Out, Stop},
    read_or_empty,
    testnet::FOLDER,
};
use crate::{
    api::{
        ApiError, Reason,
        config::{Config, Key, Origin, with_value},
        config_file, methods,
        types::{
            ConfigResult, DemoEnding, DemoStep, Identity, MessageState, Nothing, ProfileParams, Setting, StatusResult,
            V1,
        },
    },
    ui::format::{grouped, moment, size},
};
use std::fs;
use toml::Value;
use zeroize::Zeroizing;

pub(super) async fn init<R: Runtime>(session: &mut Session<'_, R>, init: Init) -> Result<(), Stop> {
    session.runtime.may_make(&session.home)?;
    let passphrase = new_passphrase(session, init.no_passphrase)?;
    let words = match &init.restore_words_file {
        Some(path) => Some(Zeroizing::new(fs::read_to_string(path).map_err(|error| ApiError::file(path, &error))?)),
        None => None,
    };
    let restored = words.is_some();
    let own = session.runtime.init(&session.home, NewHome { name: init.name, passphrase, words }).await?;
    session.out.result(&own, |out| identity(out, &own))?;
    session.out.say(if restored { "init-restored" } else { "init-next" }, &[]);
    Ok(())
}

/// What is to protect a new home; `None`: nothing.
pub(super) fn new_passphrase<R: Runtime>(
    session: &Session<'_, R>,
    without: bool,
) -> Result<Option<Zeroizing<String>>, Stop> {
    match (without, &session.passphrase) {
        // Not said to the parser: one of the two may stand before the command, where it does not see both.
        (true, PassphraseSource::File(_)) => {
            let conflict = ApiError::new(Reason::Conflicting).with("given", "--no-passphrase");
            Err(conflict.with("other", "--passphrase-file").into())
        }
        (true, _) => Ok(None),
        (false, PassphraseSource::Nobody) => Err(ApiError::new(Reason::NoNewPassphrase).into()),
        (false, PassphraseSource::Prompt { .. }) => {
            let asked = PassphraseSource::Prompt { prompt: session.out.texts.get("ask-new-passphrase") };
            Ok(Some(asked.choose(&session.out.texts.get("ask-again"))?))
        }
        (false, source) => Ok(Some(source.choose("")?)),
    }
}

pub(super) async fn words<R: Runtime>(session: &mut Session<'_, R>) -> Result<(), Stop> {
    let passphrase = &session.passphrase;
    let result = session.runtime.words(&session.home, &|| passphrase.read()).await?;
    let mut words = Zeroizing::new(String::new());
    for (at, word) in result.words.split_whitespace().enumerate() {
        words.push_str(&format!("{:>2} {word:<10}{}", at + 1, if at % 4 == 3 { "\n" } else { "" }));
    }
    session.out.result(&result, |out| words.lines().try_for_each(|line| out.line(line.trim_end())))?;
    session.out.say("words-keep", &[]);
    Ok(())
}

pub(super) async fn profile<R: Runtime>(session: &mut Session<'_, R>, name: Option<String>) -> Result<(), Stop> {
    let own = session.ask::<methods::Profile>(ProfileParams { name }).await?;
    session.out.result(&own, |out| identity(out, &own))
}

/// Name, account and fingerprint.
pub(super) fn identity(out: &mut Out, own: &Identity) -> Result<(), Stop> {
    out.tell("identity-name", &[("name", own.name.as_str().into())])?;
    out.tell("identity-account", &[("account", own.account.to_string().into())])?;
    out.tell("identity-fingerprint", &[("fingerprint", grouped(&own.fingerprint).into())])
}

pub(super) async fn up<R: Runtime>(session: &mut Session<'_, R>, up: Up) -> Result<(), Stop> {
    let start = Start {
        listen: up.listen,
        bootstrap: up.bootstrap,
        mdns: up.no_mdns.then_some(false),
        config: config_file(&session.home),
    };
    let (passphrase, out) = (&session.passphrase, &mut session.out);
    let mut told = Ok(());
    let ended = session
        .runtime
        .up(&session.home, start, &|| passphrase.read(), &mut |ready| {
            let addrs = ready.addrs.join(" ");
            told = out.result(&ready, |out| {
                out.tell("up-ready", &[("peer", ready.peer.as_str().into()), ("addrs", addrs.into())])
            });
            if ready.replaced.is_some() {
                out.say("event-replaced", &[]);
            }
            if ready.rolled_back.is_some() {
                out.say("event-rolled-back", &[]);
            }
            out.say("up-stop", &[]);
        })
        .await;
    told.and(ended.map_err(Stop::from))
}

pub(super) async fn down<R: Runtime>(session: &mut Session<'_, R>) -> Result<(), Stop> {
    let result = session.ask::<methods::Down>(Nothing {}).await?;
    session.out.result(&result, |out| out.tell("down-stopping", &[]))
}

pub(super) async fn status<R: Runtime>(session: &mut Session<'_, R>) -> Result<(), Stop> {
    let status = session.ask::<methods::Status>(Nothing {}).await?;
    session.out.result(&status, |out| show_status(out, &status))?;
    if !status.running {
        session.out.say("status-start", &[]);
    }
    Ok(())
}

fn show_status(out: &mut Out, status: &StatusResult) -> Result<(), Stop> {
    out.tell(
        if status.running { "status-running" } else { "status-stopped" },
        &[("version", status.version.as_str().into())],
    )?;
    out.tell("identity-account", &[("account", status.account.to_string().into())])?;
    out.tell("status-peer", &[("peer", status.peer.as_str().into())])?;
    for address in &status.addrs {
        out.tell("status-address", &[("address", address.as_str().into())])?;
    }
    out.tell("status-peers", &[("count", status.peers.into())])?;
    out.tell("status-outbox", &[("count", status.outbox.into())])?;
    out.tell("status-chats", &[("count", status.chats.into()), ("size", size(status.store_bytes).into())])?;
    for (id, since) in [("status-replaced", status.replaced), ("status-rolled-back", status.rolled_back)] {
        if let Some(since) = since {
            let since = moment(since, &out.zone);
            out.tell(id, &[("since", since.into())])?;
        }
    }
    Ok(())
}

/// Settings are a matter of a file and the environment, so this asks no node and no passphrase.
pub(super) fn config<R: Runtime>(
    session: &mut Session<'_, R>,
    key: Option<String>,
    value: Option<String>,
) -> Result<(), Stop> {
    let key: Option<Key> = key.map(|key| key.parse()).transpose()?;
    let path = config_file(&session.home);
    let mut text = read_or_empty(&path)?;
    let changed = value.is_some();
    if let (Some(key), Some(value)) = (key, &value) {
        if !session.home.is_dir() {
            return Err(ApiError::new(Reason::NoHome).with("home", session.home.display().to_string()).into());
        }
        text = with_value(&path, &text, key, &key.parse(value)?)?;
        config_file::write(&path, &text)?;
    }
    let environment = session.environment.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let flags = session.language.iter().map(|language| (Key::Language, Value::String(language.clone())));
    let config = Config::read(&path, &text, environment, flags)?;
    let keys = key.map_or(Key::ALL.to_vec(), |key| vec![key]);
    let settings = keys.into_iter().map(|key| setting(&config, key)).collect();
    let result = ConfigResult { v: V1, settings };
    session.out.result(&result, |out| show_settings(out, &result.settings))?;
    if changed {
        session.out.say("config-saved", &[("path", path.display().to_string().into())]);
    }
    Ok(())
}

fn setting(config: &Config, key: Key) -> Setting {
    let (value, origin) = config.value(key);
    // Settings are texts, flags and lists of texts: all of them are JSON too.
    Setting { key, value: serde_json::to_value(value).unwrap_or_default(), origin }
}

fn show_settings(out: &mut Out, settings: &[Setting]) -> Result<(), Stop> {
    let mut rows = Vec::new();
    for setting in settings {
        let origin = match setting.origin {
            Origin::Flag => "origin-flag",
            Origin::Environment => "origin-environment",
            Origin::File => "origin-file",
            Origin::Default => "origin-default",
        };
        let value = match &setting.value {
            serde_json::Value::String(text) => text.clone(),
            serde_json::Value::Array(list) => {
                list.iter().filter_map(|item| item.as_str()).collect::<Vec<_>>().join(" ")
            }
            other => other.to_string(),
        };
        let value = if value.is_empty() { "-".to_owned() } else { value };
        rows.push(vec![setting.key.name().to_owned(), value, out.texts.get(origin)]);
    }
    out.table(&["setting", "value", "origin"], rows)
}

pub(super) async fn rpc<R: Runtime>(session: &mut Session<'_, R>) -> Result<(), Stop> {
    let passphrase = &session.passphrase;
    Ok(session.runtime.rpc_stdio(&session.home, &|| passphrase.read()).await?)
}

pub(super) async fn demo<R: Runtime>(session: &mut Session<'_, R>, keep: bool) -> Result<(), Stop> {
    let ending = if keep { DemoEnding::Kept } else { DemoEnding::Removed };
    session.out.say("demo-begins", &[]);
    let out = &mut session.out;
    let mut told = Ok(());
    let ended = session
        .runtime
        .demo(ending, &mut |step| {
            if told.is_ok() {
                told = out.result(&step, |out| show_step(out, &step));
            }
        })
        .await;
    told?;
    ended?;
    session.out.say("demo-next", &[]);
    Ok(())
}

fn show_step(out: &mut Out, step: &DemoStep) -> Result<(), Stop> {
    match step {
        DemoStep::Nodes { names } => {
            out.tell("demo-nodes", &[("count", names.len().into()), ("names", names.join(", ").into())])
        }
        DemoStep::Met { inviter, guest } => {
            out.tell("demo-met", &[("inviter", inviter.as_str().into()), ("guest", guest.as_str().into())])
        }
        DemoStep::Group { name, members } => {
            out.tell("demo-group", &[("name", name.as_str().into()), ("count", (*members).into())])
        }
        DemoStep::Said { from, to, text, state } => {
            let state = out.texts.get(state_word(*state));
            let args = [
                ("from", from.as_str().into()),
                ("to", to.as_str().into()),
                ("text", text.as_str().into()),
                ("state", state.into()),
            ];
            out.tell("demo-said", &args)
        }
        DemoStep::Away { name } => out.tell("demo-away", &[("name", name.as_str().into())]),
        DemoStep::Back { name, received } => {
            out.tell("demo-back", &[("name", name.as_str().into()), ("count", (*received).into())])
        }
        DemoStep::Figures { messages: _, per_second, p50_us, p99_us } => out.tell(
            "demo-figures",
            &[("rate", (*per_second).into()), ("p50", millis(*p50_us).into()), ("p99", millis(*p99_us).into())],
        ),
        DemoStep::Kept { homes } => {
            out.tell("demo-kept", &[])?;
            homes.iter().try_for_each(|kept| {
                out.tell("demo-kept-home", &[("home", kept.home.as_str().into()), ("name", kept.name.as_str().into())])
            })
        }
        DemoStep::Done { messages, millis } => out.tell(
            "demo-done",
            &[("count", (*messages).into()), ("seconds", format!("{:.1}", *millis as f64 / 1e3).into())],
        ),
    }
}

/// Microseconds, for people.
fn millis(micros: u64) -> String {
    format!("{:.2} ms", micros as f64 / 1e3)
}

/// The word for how far a message is.
pub(super) fn state_word(state: MessageState) -> &'static str {
    match state {
        MessageState::Received => "state-received",
        MessageState::Saved => "state-saved",
        MessageState::Mailbox => "state-mailbox",
        MessageState::Delivered => "state-delivered",
        MessageState::Read => "state-read",
    }
}

pub(super) async fn bench<R: Runtime>(session: &mut Session<'_, R>) -> Result<(), Stop> {
    session.out.say("bench-begins", &[]);
    let result = session.runtime.bench(&session.home.join(FOLDER).join("bench")).await?;
    session.out.result(&result, |out| {
        let rows = result.loads.iter().map(|load| {
            vec![
                load.name.clone(),
                load.count.to_string(),
                load.per_second.to_string(),
                millis(load.p50_us),
                millis(load.p99_us),
            ]
        });
        out.table(&["load", "count", "per-second", "p50", "p99"], rows.collect())
    })
}
