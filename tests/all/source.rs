//! Rust source as the layering tests see it: words without comments, strings and test code, and the paths they spell.
//!
//! It knows just enough of the grammar for that, and no more: no macro is expanded, no name is resolved.

use std::{fs, path::Path};

/// A file of `src/`.
pub(crate) struct Source {
    /// Its path below `src`, with `/`.
    pub(crate) path: String,
    /// Its text.
    pub(crate) text: String,
}

/// One word or mark of the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Token {
    /// An identifier or keyword.
    Word(String),
    /// `::`
    Colons,
    /// Any other visible character.
    Mark(char),
}

/// Whether code inside `#[cfg(test)] mod … { … }` is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// It is.
    WithTests,
    /// It is not: a test may do what the code may not.
    WithoutTests,
}

impl Source {
    /// Every `.rs` file below `dir`, in the order of their paths.
    pub(crate) fn all(dir: &Path) -> Vec<Self> {
        let mut found = Vec::new();
        collect(dir, dir, &mut found);
        found.sort_by(|a, b| a.path.cmp(&b.path));
        found
    }

    /// The module this file is: `a/b.rs` and `a/b/mod.rs` are `[a, b]`; the roots of the two crates are `[]`.
    pub(crate) fn module(&self) -> Vec<String> {
        let path = self.path.trim_end_matches(".rs");
        let path = path.strip_suffix("/mod").unwrap_or(path);
        if matches!(path, "lib" | "main") {
            return Vec::new();
        }
        path.split('/').map(str::to_owned).collect()
    }

    /// The first part of the path: the layer the file belongs to.
    pub(crate) fn layer(&self) -> &str {
        self.path.split(['/', '.']).next().unwrap_or_default()
    }

    /// Whether the whole file is test code: `tests.rs`, `x_tests.rs`, `testing.rs`, or anything in a folder `tests`.
    pub(crate) fn is_test(&self) -> bool {
        let mut parts = self.path.trim_end_matches(".rs").split('/');
        parts.any(|part| part == "tests" || part == "testing" || part.ends_with("_tests"))
    }

    /// Its words.
    pub(crate) fn tokens(&self, scope: Scope) -> Vec<Token> {
        let tokens = tokens(&self.text);
        match scope {
            Scope::WithTests => tokens,
            Scope::WithoutTests if self.is_test() => Vec::new(),
            Scope::WithoutTests => without_tests(tokens),
        }
    }

    /// Every path it spells, with the trees of `use` taken apart, from the root of the crate where it is the own one.
    pub(crate) fn paths(&self, scope: Scope) -> Vec<Vec<String>> {
        paths(&self.tokens(scope), &self.module())
    }

    /// Lines without the test module at the end.
    pub(crate) fn lines_without_tests(&self) -> usize {
        let lines: Vec<&str> = self.text.lines().collect();
        let test_module = lines.windows(2).position(|pair| pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod "));
        test_module.unwrap_or(lines.len())
    }
}

fn collect(root: &Path, dir: &Path, found: &mut Vec<Source>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(root, &path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
            found.push(Source { path: name, text: fs::read_to_string(&path).unwrap() });
        }
    }
}

/// The words and marks of a text; comments, strings and characters are left out.
pub(crate) fn tokens(text: &str) -> Vec<Token> {
    let chars: Vec<char> = text.chars().collect();
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        let rest = &chars[at..];
        at += match rest {
            ['/', '/', ..] => length_of_line(rest),
            ['/', '*', ..] => length_of_comment(rest),
            ['"', ..] => length_of_string(rest),
            ['r', '"' | '#', ..] | ['b', 'r', '"' | '#', ..] if raw_string(rest).is_some() => {
                raw_string(rest).unwrap_or(1)
            }
            ['\'', ..] => length_of_char_or_lifetime(rest),
            [':', ':', ..] => {
                tokens.push(Token::Colons);
                2
            }
            [c, ..] if c.is_alphanumeric() || *c == '_' => {
                let word: String = rest.iter().take_while(|c| c.is_alphanumeric() || **c == '_').collect();
                let length = word.chars().count();
                tokens.push(Token::Word(word));
                length
            }
            [c, ..] => {
                if !c.is_whitespace() {
                    tokens.push(Token::Mark(*c));
                }
                1
            }
            [] => 1,
        };
    }
    tokens
}

fn length_of_line(chars: &[char]) -> usize {
    chars.iter().position(|c| *c == '\n').unwrap_or(chars.len())
}

fn length_of_comment(chars: &[char]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < chars.len() {
        match &chars[at..] {
            ['/', '*', ..] => (depth, at) = (depth + 1, at + 2),
            ['*', '/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

fn length_of_string(chars: &[char]) -> usize {
    let mut at = 1;
    while at < chars.len() && chars[at] != '"' {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

/// The length of `r#"…"#` with any number of `#`; `None` for a raw identifier.
fn raw_string(chars: &[char]) -> Option<usize> {
    let start = if chars[0] == 'b' { 2 } else { 1 };
    let hashes = chars[start..].iter().take_while(|c| **c == '#').count();
    if chars.get(start + hashes) != Some(&'"') {
        return None;
    }
    let body = start + hashes + 1;
    let end: String = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
    let end: Vec<char> = end.chars().collect();
    let length = chars[body..].windows(end.len()).position(|window| window == end)?;
    Some(body + length + end.len())
}

fn length_of_char_or_lifetime(chars: &[char]) -> usize {
    match chars {
        ['\'', '\\', ..] => 3 + chars.iter().skip(3).position(|c| *c == '\'').unwrap_or(0) + 1,
        ['\'', _, '\'', ..] => 3,
        _ => 1,
    }
}

/// Leaves out the bodies of modules that are compiled for tests only.
fn without_tests(tokens: Vec<Token>) -> Vec<Token> {
    let cfg_test: Vec<Token> = self::tokens("#[cfg(test)]");
    let mut kept = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if !tokens[at..].starts_with(&cfg_test) {
            kept.push(tokens[at].clone());
            at += 1;
            continue;
        }
        at += cfg_test.len();
        let is_module = |token: &Token| *token == Token::Word("mod".into());
        let is_end = |token: &Token| matches!(token, Token::Mark(';' | '{'));
        let head = tokens[at..].iter().position(is_end).unwrap_or(0);
        if tokens[at..at + head].iter().any(is_module) && tokens.get(at + head) == Some(&Token::Mark('{')) {
            at += head + length_of_block(&tokens[at + head..]);
        }
    }
    kept
}

fn length_of_block(tokens: &[Token]) -> usize {
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate() {
        match token {
            Token::Mark('{') => depth += 1,
            Token::Mark('}') => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    tokens.len()
}

/// Every path in `tokens`, which stand in `module`. `crate::`, `moim::`, `self::` and `super::` become paths from the root
/// that begin with `crate`.
fn paths(tokens: &[Token], module: &[String]) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    // Modules that were opened inside the file, each with the depth of its braces.
    let mut inner: Vec<(String, usize)> = Vec::new();
    let mut depth = 0;
    let mut at = 0;
    while at < tokens.len() {
        let starts_here = match &tokens[at..] {
            [Token::Word(word), Token::Word(name), Token::Mark('{'), ..] if word == "mod" => {
                depth += 1;
                inner.push((name.clone(), depth));
                at += 3;
                continue;
            }
            [Token::Mark('{'), ..] => {
                depth += 1;
                at > 0 && tokens[at - 1] == Token::Word("use".into())
            }
            [Token::Mark('}'), ..] => {
                inner.retain(|(_, opened)| *opened < depth);
                depth = depth.saturating_sub(1);
                false
            }
            [Token::Word(_), Token::Colons, ..] => true,
            _ => false,
        };
        if !starts_here {
            at += 1;
            continue;
        }
        let (tree, length) = tree(&tokens[at..]);
        let here: Vec<String> = module.iter().cloned().chain(inner.iter().map(|(name, _)| name.clone())).collect();
        found.extend(tree.into_iter().map(|path| absolute(path, &here)));
        if tokens[at] == Token::Mark('{') {
            depth -= 1;
        }
        at += length;
    }
    found.retain(|path| !path.is_empty());
    found
}

/// The paths of the tree that begins at the first token, and how many tokens it takes. `*` stands for itself.
fn tree(tokens: &[Token]) -> (Vec<Vec<String>>, usize) {
    match tokens {
        [Token::Word(word), Token::Colons, rest @ ..] => {
            let (below, length) = tree(rest);
            let join = |path: Vec<String>| std::iter::once(word.clone()).chain(path).collect();
            (below.into_iter().map(join).collect(), length + 2)
        }
        [Token::Word(word), ..] => (vec![vec![word.clone()]], 1),
        [Token::Mark('*'), ..] => (vec![vec!["*".into()]], 1),
        [Token::Mark('{'), ..] => branches(tokens),
        // `::<`, or a macro's `$name`: the path ends here.
        _ => (vec![Vec::new()], 0),
    }
}

fn branches(tokens: &[Token]) -> (Vec<Vec<String>>, usize) {
    let (mut found, mut at) = (Vec::new(), 1);
    while at < tokens.len() && tokens[at] != Token::Mark('}') {
        if tokens[at] == Token::Mark(',') {
            at += 1;
            continue;
        }
        let (below, length) = tree(&tokens[at..]);
        found.extend(below);
        at += length.max(1);
        // `as name`: not part of the path.
        while at < tokens.len() && !matches!(tokens[at], Token::Mark(',' | '}')) {
            at += 1;
        }
    }
    (found, at + 1)
}

fn absolute(path: Vec<String>, module: &[String]) -> Vec<String> {
    let root = || vec!["crate".to_owned()];
    match path.first().map(String::as_str) {
        Some("crate" | "moim") => root().into_iter().chain(path.into_iter().skip(1)).collect(),
        Some("self") => [root(), module.to_vec(), path[1..].to_vec()].concat(),
        Some("super") => {
            let up = path.iter().take_while(|part| *part == "super").count();
            let above = module[..module.len().saturating_sub(up)].to_vec();
            [root(), above, path[up..].to_vec()].concat()
        }
        _ => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spelled(path: &str, text: &str) -> Vec<String> {
        let source = Source { path: path.into(), text: text.into() };
        source.paths(Scope::WithTests).into_iter().map(|path| path.join("::")).collect()
    }

    #[test]
    fn comments_strings_characters_and_lifetimes_spell_nothing() {
        let text = r##"
            // crate::a
            /* crate::b /* crate::c */ crate::d */
            const S: &str = "crate::e \" crate::f";
            const R: &str = r#"crate::g " crate::h"#;
            const Q: char = '"'; const N: char = '\''; fn f<'a>(x: &'a str) {}
            use crate::i;
        "##;
        assert_eq!(spelled("x.rs", text), ["crate::i"]);
    }

    #[test]
    fn trees_of_use_are_taken_apart() {
        let text = "use crate::{a::{self, B as C}, d::*, e}; fn f() { moim::g::h::<u8>(); }";
        assert_eq!(spelled("x.rs", text), ["crate::a::self", "crate::a::B", "crate::d::*", "crate::e", "crate::g::h"]);
        assert_eq!(spelled("main.rs", "use {moim::node::Node, std::fs};"), ["crate::node::Node", "std::fs"]);
    }

    #[test]
    fn super_and_self_count_from_where_they_stand() {
        assert_eq!(
            spelled("store/sled.rs", "use super::row; use self::inner::X;"),
            ["crate::store::row", "crate::store::sled::inner::X"]
        );
        assert_eq!(spelled("store/mod.rs", "use super::net;"), ["crate::net"]);
        assert_eq!(
            spelled("store/mod.rs", "mod tests { use super::*; } use super::super::net;"),
            ["crate::store::*", "crate::net"]
        );
    }

    #[test]
    fn test_modules_are_left_out_where_asked() {
        let text =
            "use crate::a; #[cfg(test)] mod tests { use crate::b; fn f() {} } use crate::c; #[cfg(test)] use crate::d;";
        let source = Source { path: "x.rs".into(), text: text.into() };
        let left: Vec<_> = source.paths(Scope::WithoutTests).iter().map(|path| path[1].clone()).collect();
        assert_eq!(left, ["a", "c", "d"]);
    }
}
