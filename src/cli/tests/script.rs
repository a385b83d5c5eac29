//! A runtime and an API whose answers are samples.

use super::*;
use crate::api::{
    samples,
    types::{
        BackupResult, BenchResult, DemoEnding, DemoHome, DemoStep, Identity, Ready, RestoreResult, TestnetResult,
        WatchEvent, WordsResult,
    },
};
use futures::stream::{self, BoxStream, StreamExt};
use serde_json::json;
use std::sync::{Arc, Mutex};

/// A runtime whose answers are the samples, or one error.
#[derive(Clone)]
pub(super) struct Script {
    name: String,
    error: Option<ApiError>,
    pub(super) change: Option<(&'static str, Value)>,
    asked: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Script {
    pub(super) fn with_names(name: &str) -> Self {
        Self { name: name.to_owned(), error: None, change: None, asked: Arc::default() }
    }

    pub(super) fn failing(error: ApiError) -> Self {
        Self { error: Some(error), ..Self::with_names("mina") }
    }

    fn answer<T: serde::de::DeserializeOwned>(&self, sample: Value) -> Result<T, ApiError> {
        match &self.error {
            Some(error) => Err(error.clone()),
            None => Ok(serde_json::from_value(sample).expect("a sample of this type")),
        }
    }

    pub(super) fn asked(&self) -> Vec<(String, Value)> {
        self.asked.lock().unwrap().clone()
    }

    fn nodes(&self) -> Value {
        json!({"v": 1, "nodes": [{"n": 1, "name": "node1", "account": samples::ID, "peer": "12D3", "addrs": ["/ip4/127.0.0.1"],
            "home": format!("/tmp/{}", self.name), "socket": "/tmp/s"}]})
    }
}

impl Api for Script {
    async fn call<M: Method>(&mut self, params: M::Params) -> Result<M::Result, ApiError> {
        self.asked.lock().unwrap().push((M::NAME.to_owned(), serde_json::to_value(&params).unwrap()));
        let mut sample = samples::answer(M::NAME, &self.name);
        if let Some((key, value)) = &self.change {
            sample[*key] = value.clone();
        }
        self.answer(sample)
    }

    async fn watch(&mut self, _: Option<u64>) -> Result<BoxStream<'_, Result<WatchEvent, ApiError>>, ApiError> {
        let events = samples::events(&self.name).into_iter().map(|event| self.answer(event));
        Ok(stream::iter(events.collect::<Vec<_>>()).boxed())
    }
}

impl Runtime for Script {
    type Api = Self;

    fn may_make(&self, _: &Path) -> Result<(), ApiError> {
        Ok(())
    }

    async fn init(&self, _: &Path, new: NewHome) -> Result<Identity, ApiError> {
        let asked = json!({"name": new.name, "passphrase": new.passphrase.map(|p| p.to_string()), "words": new.words.map(|w| w.to_string())});
        self.asked.lock().unwrap().push(("init".to_owned(), asked));
        self.answer(samples::answer("id", &self.name))
    }

    async fn words(&self, _: &Path, ask: &AskPassphrase<'_>) -> Result<WordsResult, ApiError> {
        ask()?;
        self.answer(json!({"v": 1, "words": vec!["abandon"; 24].join(" ")}))
    }

    async fn backup(&self, _: &Path, file: &Path, ask: &AskPassphrase<'_>) -> Result<BackupResult, ApiError> {
        ask()?;
        self.asked.lock().unwrap().push(("backup".to_owned(), json!(file)));
        self.answer(json!({"v": 1, "path": self.name, "items": 9, "size": 4096, "damaged": 0}))
    }

    async fn restore(&self, _: &Path, file: &Path, new: NewHome) -> Result<RestoreResult, ApiError> {
        let asked = json!({"file": file, "passphrase": new.passphrase.map(|p| p.to_string()), "words": new.words.map(|w| w.to_string())});
        self.asked.lock().unwrap().push(("restore".to_owned(), asked));
        self.answer(json!({"v": 1, "account": samples::ID, "name": self.name, "messages": 2}))
    }

    async fn connect(&self, home: &Path, _: &AskPassphrase<'_>) -> Result<Self, ApiError> {
        self.asked.lock().unwrap().push(("connect".to_owned(), json!(home)));
        Ok(self.clone())
    }

    async fn up(
        &self,
        _: &Path,
        start: Start,
        _: &AskPassphrase<'_>,
        ready: &mut dyn FnMut(Ready),
    ) -> Result<(), ApiError> {
        self.asked.lock().unwrap().push(("up".to_owned(), json!([start.listen, start.bootstrap, start.mdns])));
        let sample = json!({"v": 1, "event": "ready", "account": samples::ID, "peer": "12D3", "addrs": ["/ip4/127.0.0.1"], "socket": "/tmp/s"});
        ready(self.answer(sample)?);
        Ok(())
    }

    async fn rpc_stdio(&self, _: &Path, _: &AskPassphrase<'_>) -> Result<(), ApiError> {
        self.answer(json!(null))
    }

    async fn testnet_up(
        &self,
        _: &Path,
        _: u32,
        _: Option<u64>,
        ready: &mut dyn FnMut(TestnetResult),
    ) -> Result<(), ApiError> {
        ready(self.answer(self.nodes())?);
        Ok(())
    }

    async fn testnet_list(&self, _: &Path) -> Result<TestnetResult, ApiError> {
        self.answer(self.nodes())
    }

    async fn testnet_down(&self, _: &Path) -> Result<TestnetResult, ApiError> {
        self.answer(self.nodes())
    }

    async fn demo(&self, _: DemoEnding, tell: &mut dyn FnMut(DemoStep)) -> Result<(), ApiError> {
        let name = || self.name.clone();
        for step in [
            DemoStep::Nodes { names: vec![name(), name()] },
            DemoStep::Met { inviter: name(), guest: name() },
            DemoStep::Group { name: name(), members: 3 },
            DemoStep::Said { from: name(), to: name(), text: name(), state: crate::api::types::MessageState::Read },
            DemoStep::Away { name: name() },
            DemoStep::Back { name: name(), received: 0 },
            DemoStep::Figures { messages: 9, per_second: 8, p50_us: 7, p99_us: 1234 },
            DemoStep::Done { messages: 1, millis: 1234 },
            DemoStep::Kept { homes: vec![DemoHome { name: name(), home: name() }] },
        ] {
            tell(step);
        }
        self.answer(json!(null))
    }

    async fn bench(&self, _: &Path) -> Result<BenchResult, ApiError> {
        self.answer(
            json!({"v": 1, "loads": [{"name": self.name, "count": 9, "per_second": 8, "p50_us": 7, "p99_us": 1234}]}),
        )
    }
}
