//! The account, the node and its settings.

use super::{Dispatcher, Reading, Serve, outbox};
use crate::{
    api::{
        ApiError,
        config::{Config as Settings, Key, with_value},
        config_file,
        methods::*,
        types::*,
    },
    node::Reach,
    protocol::{
        engine::{
            Command,
            rows::{self, ChatRow},
        },
        identity::Fingerprint,
    },
};
use std::{env, fs, io, path::Path};

impl Serve for Status {
    async fn serve(at: &Dispatcher, _: Nothing) -> Result<StatusResult, ApiError> {
        let (peer, home) = (at.node.peer().to_owned(), at.node.home().to_path_buf());
        at.read(move |reading| {
            let chats: Vec<ChatRow> = rows::all(reading.view, b"")?;
            let listening = reading.around.listening.iter();
            Ok(StatusResult {
                v: V1,
                running: reading.reach == Reach::Network,
                account: reading.own.account,
                addrs: listening.map(|address| format!("{address}/p2p/{peer}")).collect(),
                peer,
                peers: reading.around.peers.len() as u64,
                outbox: outbox::count(reading)?,
                chats: chats.len() as u64,
                store_bytes: bytes_in(&home.join("store")),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                replaced: reading.own.replaced.as_ref().map(|replaced| replaced.since.into()),
                rolled_back: reading.own.rolled_back.map(Into::into),
            })
        })
        .await
    }
}

impl Serve for Down {
    async fn serve(at: &Dispatcher, _: Nothing) -> Result<DownResult, ApiError> {
        at.need_network()?;
        at.node.stop();
        Ok(DownResult { v: V1, stopping: true })
    }
}

impl Serve for Config {
    async fn serve(at: &Dispatcher, params: ConfigParams) -> Result<ConfigResult, ApiError> {
        let path = at.node.home().join("config.toml");
        let settings = tokio::task::spawn_blocking(move || settings(&path, params)).await;
        Ok(ConfigResult { v: V1, settings: settings.map_err(ApiError::internal)?? })
    }
}

impl Serve for Id {
    async fn serve(at: &Dispatcher, _: Nothing) -> Result<Identity, ApiError> {
        at.read(|reading| Ok(identity(reading))).await
    }
}

impl Serve for Profile {
    async fn serve(at: &Dispatcher, params: ProfileParams) -> Result<Identity, ApiError> {
        if let Some(name) = params.name {
            at.command(move |_| Ok((Command::SetName(name), ()))).await?;
        }
        at.read(|reading| Ok(identity(reading))).await
    }
}

fn identity(reading: &Reading) -> Identity {
    let fingerprint = Fingerprint::of(reading.own.account).digits().to_owned();
    Identity { v: V1, account: reading.own.account, name: reading.own.name.clone(), fingerprint }
}

/// The settings asked for, one of them changed first if a value is given.
fn settings(path: &Path, params: ConfigParams) -> Result<Vec<Setting>, ApiError> {
    let wanted = params.key.as_deref().map(str::parse::<Key>).transpose()?;
    let mut text = match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        read => read.map_err(|error| ApiError::file(path, &error))?,
    };
    if let (Some(key), Some(typed)) = (wanted, params.value) {
        text = with_value(path, &text, key, &key.parse(&typed)?)?;
        config_file::write(path, &text)?;
    }
    let environment: Vec<(String, String)> = env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let environment = environment.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let settings = Settings::read(path, &text, environment, [])?;
    let keys = Key::ALL.iter().filter(|key| wanted.is_none_or(|wanted| wanted == **key));
    keys.map(|key| {
        let (value, origin) = settings.value(*key);
        Ok(Setting { key: *key, value: serde_json::to_value(value).map_err(ApiError::internal)?, origin })
    })
    .collect()
}

/// What the files of a folder take, in bytes. What cannot be looked at counts nothing.
fn bytes_in(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(found) if found.is_dir() => bytes_in(&entry.path()),
            Ok(found) => found.len(),
            Err(_) => 0,
        })
        .sum()
}
