//! The direction of dependencies inside the crate, and what the pure heart must not name.
//!
//! `protocol ← store, net, transfer ← node ← api ← ui ← cli, tui, web`: each layer may name those to its left. `archive`
//! and `testnet` may name everything up to `api`; siblings never name each other; `main` alone may name everything, for it
//! alone starts nodes and testnets. The files in [`VOCABULARY`] are shared words: whoever speaks to the API may name them.

use crate::source::{Scope, Source, Token};
use std::path::Path;

/// A layer and the paths below `crate` that it may name besides its own.
struct Layer {
    name: &'static str,
    may_name: &'static [&'static str],
}

const LAYERS: &[Layer] = &[
    Layer { name: "protocol", may_name: &[] },
    Layer { name: "store", may_name: &["protocol"] },
    Layer { name: "net", may_name: &["protocol"] },
    Layer { name: "transfer", may_name: &["protocol"] },
    Layer { name: "node", may_name: &["protocol", "store", "net", "transfer", VOCABULARY_MARK] },
    Layer { name: "api", may_name: &["protocol", "store", "net", "transfer", "node"] },
    Layer { name: "archive", may_name: &["protocol", "store", "net", "transfer", "node", "api"] },
    Layer { name: "testnet", may_name: &["protocol", "store", "net", "transfer", "node", "api"] },
    Layer { name: "manual", may_name: &[] },
    Layer { name: "ui", may_name: &["api", "manual", PLAIN_MARK] },
    Layer { name: "cli", may_name: &["api", "ui", "manual", PLAIN_MARK] },
    Layer { name: "tui", may_name: &["api", "ui", "manual", PLAIN_MARK] },
    Layer { name: "web", may_name: &["api", "ui", "manual", PLAIN_MARK] },
];

/// Stands for [`VOCABULARY`] in the table above.
const VOCABULARY_MARK: &str = "(vocabulary)";
/// Types, errors, names, configuration and methods of the API: words that the node speaks too. They themselves may name
/// `protocol` and each other only.
const VOCABULARY: &[&str] = &[
    "api::types",
    "api::error",
    "api::names",
    "api::config",
    "api::methods",
    "api::time",
    "api::samples",
    "api::ApiError",
    "api::ErrorCode",
    "api::Reason",
];
/// Stands for [`PLAIN`] in the table above.
const PLAIN_MARK: &str = "(plain values)";
/// What of the heart a view may name: ids and times as the API's types carry them, and text made safe to show.
const PLAIN: &[&str] = &["protocol::ids", "protocol::time", "protocol::wire::text"];

/// Crates that only some modules may name, so that each stays replaceable.
const CONFINED: &[(&str, &[&str])] = &[
    ("snow", &["protocol::crypto::noise"]),
    ("sled", &["store"]),
    ("libp2p", &["net", "testnet::bench"]),
    ("libp2p_stream", &["net", "testnet::bench"]),
    ("clap", &["ui", "cli", "main"]),
];

/// Words that the heart never uses: they bring a clock, randomness, a thread, output, or an order that is not the same
/// twice.
const IMPURE_WORDS: &[&str] = &[
    "tokio",
    "libp2p",
    "sled",
    "tracing",
    "getrandom",
    "thread_rng",
    "OsRng",
    "SysRng",
    "SystemTime",
    "Instant",
    "HashMap",
    "HashSet",
];
/// Macros that the heart never calls.
const IMPURE_MACROS: &[&str] = &["print", "println", "eprint", "eprintln", "dbg"];
/// Parts of `std` that the heart never names.
const IMPURE_STD: &[&str] = &["fs", "net", "env", "process", "thread", "os"];

/// The most lines of a file without its tests.
const MAX_LINES: usize = 600;

#[test]
fn every_layer_names_only_those_below_it() {
    assert_none(sources().iter().flat_map(directions).collect());
}

#[test]
fn the_heart_is_pure() {
    assert_none(sources().iter().flat_map(impurities).collect());
}

#[test]
fn confined_crates_stay_where_they_are() {
    assert_none(sources().iter().flat_map(escapes).collect());
}

#[test]
fn every_file_says_what_it_is_and_none_is_too_long() {
    assert_none(sources().iter().flat_map(shapes).collect());
}

fn sources() -> Vec<Source> {
    let all = Source::all(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    assert!(all.iter().any(|source| source.path == "protocol/mod.rs"), "the source was not found");
    all
}

fn assert_none(violations: Vec<String>) {
    assert!(violations.is_empty(), "{} violations:\n{}", violations.len(), violations.join("\n"));
}

/// Names of layers that the file's own may not name.
fn directions(source: &Source) -> Vec<String> {
    let own = source.layer();
    if own == "main" || own == "lib" {
        return Vec::new();
    }
    let Some(layer) = LAYERS.iter().find(|layer| layer.name == own) else {
        return vec![format!("{}: no layer is called “{own}”; add it to tests/all/layering.rs", source.path)];
    };
    let paths = source.paths(Scope::WithTests);
    let inside = paths.iter().filter(|path| path[0] == "crate").map(|path| path[1..].join("::"));
    inside
        .filter(|path| !may_name(source, layer, path))
        .map(|path| format!("{}: {own} may not name {path}", source.path))
        .collect()
}

fn may_name(source: &Source, layer: &Layer, path: &str) -> bool {
    let first = path.split("::").next().unwrap_or_default();
    if is_vocabulary(&source.module().join("::")) {
        return begins(path, "protocol") || is_vocabulary(path);
    }
    if first == layer.name {
        return true;
    }
    // The root re-exports nothing to the inside: name the layer. Exported macros are the one exception.
    if LAYERS.iter().all(|layer| layer.name != first) {
        return first.starts_with(char::is_lowercase);
    }
    layer.may_name.iter().any(|allowed| match *allowed {
        VOCABULARY_MARK => is_vocabulary(path),
        PLAIN_MARK => PLAIN.iter().any(|plain| begins(path, plain)),
        prefix => begins(path, prefix),
    })
}

fn is_vocabulary(path: &str) -> bool {
    VOCABULARY.iter().any(|word| begins(path, word))
}

/// Whether `path` is `prefix` or below it.
fn begins(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// What in `src/protocol` is not pure.
fn impurities(source: &Source) -> Vec<String> {
    if source.layer() != "protocol" {
        return Vec::new();
    }
    let tokens = source.tokens(Scope::WithoutTests);
    let words = tokens.iter().filter_map(|token| match token {
        Token::Word(word) if IMPURE_WORDS.contains(&word.as_str()) => Some(word.clone()),
        _ => None,
    });
    let macros = tokens.windows(2).filter_map(|pair| match pair {
        [Token::Word(word), Token::Mark('!')] if IMPURE_MACROS.contains(&word.as_str()) => Some(format!("{word}!")),
        _ => None,
    });
    let paths = source.paths(Scope::WithoutTests);
    let parts_of_std = paths.iter().filter_map(|path| match path.as_slice() {
        [std, part, ..] if std == "std" && IMPURE_STD.contains(&part.as_str()) => Some(format!("std::{part}")),
        _ => None,
    });
    words.chain(macros).chain(parts_of_std).map(|name| format!("{}: the heart names {name}", source.path)).collect()
}

/// Confined crates that the file names although it may not.
fn escapes(source: &Source) -> Vec<String> {
    let module = source.module().join("::");
    let at_home = |homes: &[&str]| homes.iter().any(|home| begins(&module, home) || source.layer() == *home);
    let tokens = source.tokens(Scope::WithoutTests);
    CONFINED
        .iter()
        .filter(|(name, homes)| !at_home(homes) && tokens.contains(&Token::Word((*name).to_owned())))
        .map(|(name, homes)| format!("{}: {name} is for {} only", source.path, homes.join(", ")))
        .collect()
}

/// A file without a word of what it is, or too long.
fn shapes(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    // A file of tests says by its name what it is.
    if !source.text.starts_with("//!") && !source.is_test() {
        found.push(format!("{}: does not open with //! and what it is", source.path));
    }
    let lines = source.lines_without_tests();
    if lines > MAX_LINES && !source.is_test() {
        found.push(format!("{}: {lines} lines without its tests, and {MAX_LINES} are the most", source.path));
    }
    found
}

/// Each rule refuses a sample that breaks it, and takes one that does not.
mod rules {
    use super::*;

    fn sample(path: &str, text: &str) -> Source {
        Source { path: path.into(), text: text.into() }
    }

    fn refused(path: &str, text: &str) -> bool {
        !directions(&sample(path, text)).is_empty()
    }

    #[test]
    fn a_lower_layer_may_not_name_a_higher_one() {
        assert!(refused("protocol/engine/mod.rs", "use crate::store::Store;"));
        assert!(refused("store/mod.rs", "fn f() { super::node::run() }"));
        assert!(refused("node/mod.rs", "use crate::{api::Client, protocol::ids};"));
        assert!(refused("api/mod.rs", "use moim::ui::texts;"));
        assert!(!refused("node/mod.rs", "use crate::{net::Swarm, protocol::ids, store::Store};"));
    }

    #[test]
    fn siblings_may_not_name_each_other() {
        assert!(refused("net/mod.rs", "use crate::store::Store;"));
        assert!(refused("cli/mod.rs", "use crate::tui::run;"));
        assert!(refused("testnet/mod.rs", "use crate::archive::import;"));
    }

    #[test]
    fn views_name_the_api_and_each_other_never() {
        assert!(refused("cli/send.rs", "use crate::node::Node;"));
        assert!(refused("ui/format.rs", "use crate::protocol::engine::Engine;"));
        assert!(refused("testnet/mod.rs", "use crate::ui::texts;"));
        assert!(!refused(
            "cli/send.rs",
            "use crate::{api::types::SendResult, protocol::wire::text::SafeText, ui::texts};"
        ));
    }

    #[test]
    fn shared_words_may_be_named_from_the_node_and_name_the_heart_only() {
        assert!(!refused("node/mod.rs", "use crate::api::{error::ApiError, types::*};"));
        assert!(refused("node/mod.rs", "use crate::api::server::serve;"));
        assert!(refused("api/types.rs", "use crate::node::Node;"));
        assert!(refused("api/types.rs", "use crate::api::server::serve;"));
        assert!(!refused("api/types.rs", "use crate::{api::error::ApiError, protocol::ids::ChatId};"));
    }

    #[test]
    fn the_root_hides_no_layer() {
        assert!(refused("net/mod.rs", "use crate::Store;"));
        assert!(refused("net/mod.rs", "use super::*;"));
        assert!(refused("extra/mod.rs", "//! A layer nobody placed."));
    }

    #[test]
    fn the_heart_may_not_know_the_world() {
        for text in [
            "use std::fs;",
            "use std::{fmt, net::IpAddr};",
            "fn f() { std::time::Instant::now() }",
            "use std::time::SystemTime;",
            "use rand_core::OsRng;",
            "async fn f() { tokio::spawn(g()) }",
            "use std::collections::HashMap;",
            "fn f() { println!(\"x\") }",
            "fn f() { tracing::info!(\"x\") }",
        ] {
            assert!(!impurities(&sample("protocol/x.rs", text)).is_empty(), "{text}");
            assert!(impurities(&sample("node/x.rs", text)).is_empty(), "{text}");
        }
        let fine = "//! tokio, HashMap\nuse std::{collections::BTreeMap, time::Duration};\n#[cfg(test)] mod tests { use std::fs; }";
        assert!(impurities(&sample("protocol/x.rs", fine)).is_empty());
    }

    #[test]
    fn a_confined_crate_may_not_be_named_elsewhere() {
        assert!(!escapes(&sample("protocol/crypto/ratchet.rs", "use snow::Builder;")).is_empty());
        assert!(escapes(&sample("protocol/crypto/noise.rs", "use snow::Builder;")).is_empty());
        assert!(!escapes(&sample("node/mod.rs", "fn f(db: sled::Db) {}")).is_empty());
        assert!(escapes(&sample("store/sled.rs", "use sled::Db;")).is_empty());
        assert!(!escapes(&sample("node/mod.rs", "use libp2p::PeerId;")).is_empty());
    }

    #[test]
    fn a_file_must_say_what_it_is_and_be_short() {
        assert_eq!(shapes(&sample("a.rs", "fn f() {}")).len(), 1);
        assert_eq!(shapes(&sample("a/tests.rs", "fn f() {}")).len(), 0);
        let long = format!("//! Long.\n{}", "\n".repeat(MAX_LINES));
        assert_eq!(shapes(&sample("a.rs", &long)).len(), 1);
        let tests = format!("//! Short.\n#[cfg(test)]\nmod tests {{\n{}}}", "\n".repeat(MAX_LINES));
        assert_eq!(shapes(&sample("a.rs", &tests)).len(), 0);
    }
}
