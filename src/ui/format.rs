//! Text laid out for terminals: aligned by what it takes on the screen, short. What makes peers' text safe to show is
//! [`SafeText`](crate::protocol::wire::text::SafeText).

use crate::api::time::Time;
use jiff::tz::TimeZone;
use std::fmt;
use unicode_width::UnicodeWidthStr;

/// Whether a character acts on a terminal or on the order of what stands around it, instead of being shown.
pub fn steers(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// JSON on one line in which nothing steers the terminal it may be shown on. It reads back to the same value.
pub fn safe_json(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    for c in json.chars() {
        if !steers(c) {
            safe.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            safe.push_str(&format!("\\u{unit:04x}"));
        }
    }
    safe
}

/// Columns that a text takes on the screen: two for Korean and emoji.
pub fn width(text: &str) -> usize {
    UnicodeWidthStr::width(text)
}

/// Rows of cells as lines of aligned columns, two spaces apart, the first row being the heading. No line ends in spaces.
pub fn table(rows: &[Vec<String>]) -> Vec<String> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns)
        .map(|column| rows.iter().filter_map(|row| row.get(column)).map(|cell| width(cell)).max().unwrap_or(0))
        .collect();
    let line = |row: &Vec<String>| {
        let mut line = String::new();
        for (cell, column) in row.iter().zip(&widths) {
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', column + 2 - width(cell)));
        }
        line.trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

/// Digits in groups of five, as safety numbers are read aloud.
pub fn grouped(digits: &str) -> String {
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && at % 5 == 0 {
            grouped.push(' ');
        }
        grouped.push(digit);
    }
    grouped
}

/// The first letters of an id: enough to type.
pub fn short(id: &impl fmt::Display) -> String {
    id.to_string().chars().take(8).collect()
}

/// A moment on the reader's clock, to the minute. Dates are ISO 8601 in every language.
pub fn moment(time: Time, zone: &TimeZone) -> String {
    time.in_zone(zone).strftime("%Y-%m-%d %H:%M").to_string()
}

/// Bytes in the largest fitting unit, one digit behind the point.
pub fn size(bytes: u64) -> String {
    let mut rest = bytes as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if rest < 1024.0 {
            return if unit == "B" { format!("{bytes} B") } else { format!("{rest:.1} {unit}") };
        }
        rest /= 1024.0;
    }
    format!("{rest:.1} TiB")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{time::Millis, wire::text::SafeText};
    use proptest::prelude::*;

    #[test]
    fn columns_align_by_width_on_the_screen() {
        let cells = |row: [&str; 2]| row.map(str::to_owned).to_vec();
        let lines = table(&[cells(["NAME", "STATE"]), cells(["준호", "here"]), cells(["mina", ""])]);
        assert_eq!(lines, ["NAME  STATE", "준호  here", "mina"]);
    }

    #[test]
    fn numbers_and_times_are_short() {
        assert_eq!(grouped("123456789012"), "12345 67890 12");
        assert_eq!((size(0), size(1023), size(1536)), ("0 B".into(), "1023 B".into(), "1.5 KiB".into()));
        assert_eq!(moment(Millis(1_700_000_000_000).into(), &TimeZone::UTC), "2023-11-14 22:13");
        assert_eq!(short(&"abcdefghijkl"), "abcdefgh");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn nothing_that_steers_a_terminal_passes(text in any::<String>()) {
            prop_assert!(!SafeText::line(&text).chars().any(steers));
            let json = serde_json::to_string(&text).unwrap();
            let safe = safe_json(&json);
            prop_assert!(!safe.chars().any(steers));
            prop_assert_eq!(serde_json::from_str::<String>(&safe).unwrap(), text);
        }
    }
}
