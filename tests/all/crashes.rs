//! `kill -9` while messages flow: what was answered is there, once, on both sides.

use crate::support::{Home, PATIENCE, befriend, until};
use moim::api::{methods::MessageSend, types::SendParams};
use rand_chacha::{
    ChaCha20Rng,
    rand_core::{Rng, SeedableRng},
};
use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// How many kills where `MOIM_TEST_KILLS` does not say.
const KILLS: u32 = 8;

#[test]
fn kills_at_random_lose_nothing_acknowledged_and_double_nothing() {
    let kills = std::env::var("MOIM_TEST_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(KILLS);
    let seed = std::env::var("MOIM_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(7);
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let homes = [Home::new("mina"), Home::new("jun")];
    let mut nodes = [homes[0].up(), homes[1].up()];
    befriend(&homes[0], &homes[1]);
    until("the names are known", || (homes[1].json(&["contacts"])["contacts"][0]["name"] == "mina").then_some(()));

    let over = Arc::new(AtomicBool::new(false));
    let talking: Vec<_> = [("mina", "jun", &homes[0]), ("jun", "mina", &homes[1])]
        .map(|(from, to, home)| {
            let (mut asking, over) = (home.socket(), over.clone());
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async move {
                    let (mut acknowledged, mut no) = (BTreeSet::new(), 0u32);
                    while !over.load(Ordering::Relaxed) {
                        no += 1;
                        let text = format!("{from} {no}");
                        let params = SendParams {
                            chat: to.into(),
                            text: text.clone(),
                            reply_to: None,
                            wait: None,
                            timeout: None,
                        };
                        match asking.call::<MessageSend>(params).await {
                            Some(Ok(_)) => drop(acknowledged.insert(text)),
                            Some(Err(error)) => panic!("{error}"),
                            None => tokio::time::sleep(Duration::from_millis(20)).await,
                        }
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                    acknowledged
                })
            })
        })
        .into_iter()
        .collect();

    for _ in 0..kills {
        std::thread::sleep(Duration::from_millis(u64::from(100 + rng.next_u32() % 700)));
        let victim = (rng.next_u32() % 2) as usize;
        nodes[victim].kill();
        nodes[victim] = homes[victim].up();
    }
    over.store(true, Ordering::Relaxed);
    let acknowledged: BTreeSet<String> =
        talking.into_iter().flat_map(|thread| thread.join().expect("nobody was refused")).collect();
    assert!(acknowledged.len() > 50, "{} messages are no traffic", acknowledged.len());

    let began = Instant::now();
    loop {
        let logs = [all_texts(&homes[0], "jun"), all_texts(&homes[1], "mina")];
        for log in &logs {
            let distinct: BTreeSet<&String> = log.iter().collect();
            assert_eq!(distinct.len(), log.len(), "nothing is doubled");
        }
        let missing: Vec<_> = acknowledged.iter().filter(|text| logs.iter().any(|log| !log.contains(text))).collect();
        if missing.is_empty() && logs[0] == logs[1] {
            return;
        }
        assert!(
            began.elapsed() < PATIENCE,
            "of {} acknowledged {} are missing: {missing:?}; logs of {} and {}",
            acknowledged.len(),
            missing.len(),
            logs[0].len(),
            logs[1].len()
        );
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Every text of a chat: a page holds a thousand at the most.
fn all_texts(home: &Home, chat: &str) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    let mut before: Option<String> = None;
    loop {
        let mut args = vec!["log", chat, "-n", "1000"];
        if let Some(id) = &before {
            args.extend(["--before", id]);
        }
        let page = home.json(&args)["messages"].as_array().unwrap().clone();
        let Some(first) = page.first() else { return all };
        before = Some(first["id"].as_str().unwrap().to_owned());
        let page = page.iter().map(|message| message["text"].as_str().unwrap().to_owned());
        all = page.chain(all).collect();
    }
}
