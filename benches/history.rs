//! What a long history costs: grows a chat through the node's own commands (as many a commit as the node takes), then opens
//! the home anew and asks what people ask. `scripts/long-history [COUNT]` runs both, each in a process of its own, so that
//! the memory that is told is that of a node that has just started.

use moim::{
    api::{Api, Client, methods, types},
    node::{self, Handle, Node},
    protocol::{
        engine::{Command, Reply, Settings},
        ids::ChatId,
    },
    store::Cost,
};
use std::{
    collections::VecDeque,
    error::Error,
    fs,
    path::Path,
    time::{Duration, Instant},
};

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// Commands under way at once: two full drains.
const AT_ONCE: usize = 256;
/// Each question is asked so often; the median and the worst are told.
const ASKED: usize = 9;
/// What messages are made of, beside [`RARE`] and [`RARE_KOREAN`], which few of them hold.
const WORDS: [&str; 48] = [
    "we",
    "meet",
    "at",
    "seven",
    "the",
    "station",
    "tomorrow",
    "bring",
    "water",
    "and",
    "something",
    "warm",
    "letter",
    "street",
    "morning",
    "garden",
    "river",
    "mountain",
    "ticket",
    "weather",
    "certain",
    "question",
    "answer",
    "entrance",
    "오늘",
    "내일",
    "저녁에",
    "만나요",
    "정말",
    "고마워요",
    "회의는",
    "일곱",
    "시에",
    "시작합니다",
    "산에",
    "가자",
    "커피",
    "마실래요",
    "사진을",
    "보냈어요",
    "그래서",
    "어디",
    "있어요",
    "도착했습니다",
    "우리",
    "집에서",
    "밥",
    "먹자",
];
const RARE: &str = "zeppelin";
const RARE_KOREAN: &str = "팽이";
/// One message in so many holds a rare word.
const RARE_EVERY: u64 = 100_000;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Outcome {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["grow", dir, count] => grow(Path::new(dir), count.parse()?).await,
        ["look", dir] => look(Path::new(dir)).await,
        _ => {
            println!("usage: history grow DIR COUNT | history look DIR");
            Ok(())
        }
    }
}

/// Makes the home where it is not there, and adds so many messages to the chat with oneself.
async fn grow(dir: &Path, count: u64) -> Outcome {
    if !dir.exists() {
        node::create(dir, None, Cost::FOR_TESTS, "historian", &node::new_words()?)?;
    }
    let node = Node::open(dir.to_path_buf(), None, Settings::default()).await?;
    let handle = node.client();
    let chat = own_chat(&handle).await?;
    let (began, mut under_way) = (Instant::now(), VecDeque::with_capacity(AT_ONCE));
    for n in 0..count {
        if under_way.len() == AT_ONCE {
            settle(under_way.pop_front()).await?;
        }
        under_way.push_back(handle.ask(Command::Send { chat, text: text(n), reply_to: None }).await?);
        if n % 50_000 == 49_999 {
            let rate = n as f64 / began.elapsed().as_secs_f64();
            println!("{:>9} messages, {rate:>6.0} a second, resident {} MiB", n + 1, resident());
        }
    }
    while !under_way.is_empty() {
        settle(under_way.pop_front()).await?;
    }
    println!("appended {:.0} a second", count as f64 / began.elapsed().as_secs_f64());
    node.shutdown().await?;
    Ok(())
}

async fn settle(asked: Option<node::Asked>) -> Outcome {
    if let Some(asked) = asked {
        match asked.answer().await? {
            Reply::Sent { .. } => {}
            other => return Err(format!("a message was answered with {other:?}").into()),
        }
    }
    Ok(())
}

/// Opens the home and asks.
async fn look(dir: &Path) -> Outcome {
    let began = Instant::now();
    let node = Node::open(dir.to_path_buf(), None, Settings::default()).await?;
    let (chat, mut client) = (own_chat(&node.client()).await?, Client::of(node.client()));
    println!("{:<34} {:>8.1} ms   resident {} MiB", "opens", millis(began.elapsed()), resident());
    let page = types::LogParams { chat: "me".into(), limit: None, before: None, search: None };
    let newest = ask(&mut client, "the newest page", &page).await?;
    let mut before = newest.messages.first().map(|message| message.id.to_string());
    // A thousand pages of a thousand are a million messages: the middle is wherever half of the store's reach ends.
    let hops: usize = std::env::var("MOIM_HISTORY_HOPS").ok().and_then(|hops| hops.parse().ok()).unwrap_or(20);
    for _ in 0..hops {
        let far = types::LogParams { limit: Some(1_000), before: before.clone(), ..page.clone() };
        let found = client.call::<methods::MessageLog>(far).await?;
        before = found.messages.first().map(|message| message.id.to_string()).or(before);
    }
    ask(&mut client, "a page far back", &types::LogParams { before, ..page.clone() }).await?;
    let mut took = Vec::new();
    for _ in 0..ASKED {
        let asked = Instant::now();
        client.call::<methods::ChatList>(types::ChatsParams::default()).await?;
        took.push(asked.elapsed());
    }
    tell("the list of chats", took, 1);
    for (what, text) in [
        ("search: a rare word", RARE),
        ("search: a rare Korean word", RARE_KOREAN),
        ("search: a common word", "station"),
        ("search: a common Korean word", "내일"),
        ("search: a missing word", "xylophone"),
        ("search: missing, of common parts", "stationer"),
        ("search: a missing Korean word", "팽나"),
        ("search: one letter that is missing", "ﬄ龘"),
        ("search: one rare syllable", "팽"),
        ("search: a whole rare sentence", "the zeppelin 팽이"),
    ] {
        ask(&mut client, what, &types::LogParams { search: Some(text.into()), ..page.clone() }).await?;
    }
    let bytes = size_of(dir)?;
    println!("{:<34} {:>8.1} MiB on disk (chat {chat})", "the home", bytes as f64 / 1048576.0);
    println!("{:<34} {:>8} MiB", "resident at the end", resident());
    node.shutdown().await?;
    Ok(())
}

async fn ask(client: &mut Client, what: &str, params: &types::LogParams) -> Outcome<types::LogResult> {
    let mut took = Vec::new();
    loop {
        let asked = Instant::now();
        let result = client.call::<methods::MessageLog>(params.clone()).await?;
        took.push(asked.elapsed());
        if took.len() == ASKED || asked.elapsed() > Duration::from_secs(5) {
            tell(what, took, result.messages.len());
            return Ok(result);
        }
    }
}

fn tell(what: &str, mut took: Vec<Duration>, found: usize) {
    let first = took.first().copied().unwrap_or_default();
    took.sort();
    let median = took.get(took.len() / 2).copied().unwrap_or_default();
    println!("{what:<34} {:>8.1} ms the first time, {:>7.1} ms then, {found} found", millis(first), millis(median));
}

async fn own_chat(handle: &Handle) -> Outcome<ChatId> {
    let chats = Client::of(handle.clone()).call::<methods::ChatList>(types::ChatsParams::default()).await?.chats;
    let own = chats.into_iter().find(|chat| chat.kind == types::ChatKind::Own);
    Ok(own.ok_or("a home has a chat with oneself")?.id)
}

/// Message `n`: eight to sixteen words, the same each time.
fn text(n: u64) -> String {
    let mut state = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d;
    let mut next = |most: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % most as u64) as usize
    };
    // A message is in one of the two languages, as most are.
    let half = WORDS.len() / 2;
    let words = if next(2) == 0 { &WORDS[..half] } else { &WORDS[half..] };
    let mut text: Vec<&str> = (0..8 + next(9)).map(|_| words[next(half)]).collect();
    if n % RARE_EVERY == RARE_EVERY / 2 {
        text.extend(["the", RARE, RARE_KOREAN]);
    }
    text.push("");
    text.join(" ") + &n.to_string()
}

fn millis(took: Duration) -> f64 {
    took.as_secs_f64() * 1000.0
}

/// Resident memory of this process in MiB; 0 where the system does not tell.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) / 1024
}

fn size_of(dir: &Path) -> Outcome<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let kind = entry.metadata()?;
        bytes += if kind.is_dir() { size_of(&entry.path())? } else { kind.len() };
    }
    Ok(bytes)
}
