//! The manual says what is true: every test that its tables name exists.

use std::{collections::BTreeSet, fs, path::Path};

/// The pages whose tables end in a column of tests.
const PAGES: &[&str] = &["promises.md", "past_failures.md"];
/// What a row says where there is no test yet.
const NOT_YET: &str = "not yet";

#[test]
fn every_test_that_the_manual_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let tests = test_names(&["src", "tests", "examples"].map(|folder| rust_below(&root.join(folder))).concat());
    let mut wrong = Vec::new();
    for page in PAGES {
        let text = fs::read_to_string(root.join("src/manual").join(page)).unwrap();
        let claims = claims(&text);
        assert!(!claims.is_empty(), "{page} has no table");
        for claim in claims {
            if claim.tests.is_empty() && !claim.last_cell.starts_with(NOT_YET) {
                wrong.push(format!("{page}: “{}” names no test and does not say “{NOT_YET}”", claim.promise));
            }
            // What takes minutes is a script.
            let is_script = |name: &str| name.starts_with("scripts/") && root.join(name).is_file();
            let missing = claim.tests.iter().filter(|test| !tests.contains(*test) && !is_script(test));
            wrong.extend(missing.map(|test| format!("{page}: “{}”: there is no test {test}", claim.promise)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// One row of a table.
struct Claim {
    promise: String,
    last_cell: String,
    tests: Vec<String>,
}

/// The rows of all tables of a page: the last cell names tests in back quotes.
fn claims(page: &str) -> Vec<Claim> {
    let lines: Vec<&str> = page.lines().collect();
    let is_row = |line: &str| line.starts_with('|');
    let is_rule = |line: &str| is_row(line) && line.chars().all(|c| matches!(c, '|' | '-' | ' ' | ':'));
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let is_heading = lines.get(at + 1).is_some_and(|next| is_rule(next));
        if !is_row(line) || is_rule(line) || is_heading {
            continue;
        }
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let last_cell = cells.last().copied().unwrap_or_default();
        // Every second piece between back quotes is quoted.
        let tests = last_cell.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        found.push(Claim { promise: cells[..cells.len() - 1].join(" | "), last_cell: last_cell.into(), tests });
    }
    found
}

/// The text of every Rust file below a folder; nothing where there is no such folder.
fn rust_below(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    entries
        .flat_map(|entry| {
            let path = entry.unwrap().path();
            match path.extension().and_then(|extension| extension.to_str()) {
                Some("rs") => vec![fs::read_to_string(path).unwrap()],
                _ if path.is_dir() => rust_below(&path),
                _ => Vec::new(),
            }
        })
        .collect()
}

/// Functions below a `#[test]` or a test attribute with arguments, and those inside `proptest!`, which carry one too.
fn test_names(texts: &[String]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for text in texts {
        let mut marked = false;
        for line in text.lines().map(str::trim) {
            let name = line.strip_prefix("async fn ").or_else(|| line.strip_prefix("fn "));
            match name {
                Some(rest) if marked => {
                    names.extend(rest.split(['(', '<']).next().map(str::to_owned));
                    marked = false;
                }
                Some(_) => marked = false,
                None => marked |= line == "#[test]" || line.starts_with("#[tokio::test"),
            }
        }
    }
    names
}

mod rules {
    use super::*;

    #[test]
    fn rows_are_read_without_heading_and_rule() {
        let page = "| promise | test |\n|---|---|\n| one | `a`, `b` |\n| two | not yet |\ntext";
        let claims = claims(page);
        assert_eq!(claims.len(), 2);
        assert_eq!(claims[0].tests, ["a", "b"]);
        assert_eq!((claims[1].last_cell.as_str(), claims[1].tests.len()), ("not yet", 0));
    }

    #[test]
    fn only_functions_marked_as_tests_count() {
        let text = "#[test]\nfn one() {}\nfn two() {}\n    #[test]\n    fn three(x in 0..1) {\n#[tokio::test]\nasync fn four() {}";
        let names: Vec<String> = test_names(&[text.into()]).into_iter().collect();
        assert_eq!(names, ["four", "one", "three"]);
    }
}
