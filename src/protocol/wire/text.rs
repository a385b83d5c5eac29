//! Text made safe to show. [`SafeText`] is the only way a peer's text reaches a terminal, log, notification or page.
//!
//! It promises that what is shown holds no control or escape character, nothing that turns the direction of what
//! follows, nothing invisible that hides bytes, and no tower of combining marks; and that what is honest stays as it
//! is: every script, emoji with their joiners, right-to-left text. Stored and signed text is never changed, only what
//! is shown. Line breaks and tabs stay or become marks, as the place needs; bounding the length is the caller's part
//! (wire::limits).

use crate::protocol::wire::limits::MAX_MARKS;
use serde::{Serialize, Serializer};
use std::{fmt, ops::Deref};
use unicode_normalization::char::is_combining_mark;

/// Stands for a character that would turn the direction, or that is none.
const REPLACEMENT: char = '\u{FFFD}';
/// Stands for the end of a line where there is one line only.
const LINE_END: char = '⏎';
/// Carries a mark that has no letter of its own, lest it sit on what we show before it.
const MARK_CARRIER: char = '◌';
/// Begins the flags of England, Scotland and Wales, the one honest use of tag characters.
const BLACK_FLAG: char = '\u{1F3F4}';
/// Tag characters in such a flag: a region of up to six, and the end.
const MAX_FLAG_TAGS: usize = 7;

/// Text that can be shown. There is no other way to make one than from text that is made safe.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SafeText(String);

impl SafeText {
    /// For one line: a name, a notification, a log entry. Ends of lines become ⏎ and tabs spaces.
    pub fn line(text: &str) -> Self {
        Self(Shown::new(Breaks::Marked).all(text))
    }

    /// For many lines: a message. Ends of lines (of every kind) become `\n`; tabs stay.
    pub fn lines(text: &str) -> Self {
        Self(Shown::new(Breaks::Kept).all(text))
    }

    /// [`line`](Self::line) of bytes that ought to be UTF-8; what is not becomes `�`.
    pub fn line_of_bytes(bytes: &[u8]) -> Self {
        Self::line(&String::from_utf8_lossy(bytes))
    }

    /// [`lines`](Self::lines) of bytes that ought to be UTF-8; what is not becomes `�`.
    pub fn lines_of_bytes(bytes: &[u8]) -> Self {
        Self::lines(&String::from_utf8_lossy(bytes))
    }

    /// What is shown.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SafeText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl Deref for SafeText {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl From<SafeText> for String {
    fn from(text: SafeText) -> Self {
        text.0
    }
}

impl Serialize for SafeText {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.0)
    }
}

/// What a character can do to whoever shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::protocol) enum Class {
    /// Shows itself.
    Plain,
    /// A tab.
    Tab,
    /// Ends a line.
    LineBreak,
    /// C0, C1, DEL: drives terminals.
    Control,
    /// Embeds, overrides or isolates direction (Unicode bidi, UAX 9), so that text reads other than it is.
    Direction,
    /// Shows nothing and has no use in plain text: hides bytes, or makes two texts look alike.
    Invisible,
    /// A tag character: honest in three flags only.
    Tag,
    /// Joins or parts its neighbours, or marks direction weakly; honest between characters.
    Joiner,
    /// Chooses a look of the character before it.
    Variation,
    /// Sits on the character before it.
    Mark,
    /// No character at all.
    None,
}

/// The class of a character. Tables: Unicode 17, general category Cf, and Default_Ignorable_Code_Point.
pub(in crate::protocol) fn class(c: char) -> Class {
    match c {
        '\t' => Class::Tab,
        '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}' => Class::LineBreak,
        _ if c.is_control() => Class::Control,
        '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' => Class::Direction,
        '\u{200C}' | '\u{200D}' | '\u{200E}' | '\u{200F}' | '\u{61C}' | '\u{34F}' => Class::Joiner,
        '\u{FE00}'..='\u{FE0F}' | '\u{E0100}'..='\u{E01EF}' | '\u{180B}'..='\u{180D}' | '\u{180F}' => Class::Variation,
        '\u{E0020}'..='\u{E007F}' => Class::Tag,
        '\u{AD}' | '\u{180E}' | '\u{200B}' | '\u{2060}'..='\u{2065}' | '\u{206A}'..='\u{206F}' => Class::Invisible,
        '\u{FEFF}' | '\u{FFF0}'..='\u{FFFB}' | '\u{1BCA0}'..='\u{1BCA3}' | '\u{1D173}'..='\u{1D17A}' => {
            Class::Invisible
        }
        '\u{E0000}'..='\u{E0FFF}' => Class::Invisible,
        '\u{FDD0}'..='\u{FDEF}' => Class::None,
        _ if u32::from(c) & 0xFFFE == 0xFFFE => Class::None,
        _ if is_combining_mark(c) => Class::Mark,
        _ => Class::Plain,
    }
}

/// Whether a character is a letter or symbol by category but nothing by looks: fillers and blanks.
pub(in crate::protocol) fn is_blank(c: char) -> bool {
    matches!(c, '\u{115F}' | '\u{1160}' | '\u{3164}' | '\u{FFA0}' | '\u{2800}' | '\u{1D159}')
}

/// LRM, RLM and ALM: honest at the start of a line, and they join nothing.
fn is_direction_mark(c: char) -> bool {
    matches!(c, '\u{200E}' | '\u{200F}' | '\u{61C}')
}

/// What becomes of ends of lines and tabs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Breaks {
    Kept,
    Marked,
}

/// Text on its way out, and what the last characters put out were: each decision rests on what is shown, not on what
/// was left out, so that making safe twice changes nothing.
struct Shown {
    breaks: Breaks,
    out: String,
    /// A letter that marks can sit on was put out in this line.
    carrier: bool,
    /// Marks since then.
    marks: usize,
    /// The class put out last.
    last: Class,
    /// Tag characters that still may follow.
    tags_left: usize,
}

impl Shown {
    fn new(breaks: Breaks) -> Self {
        Self { breaks, out: String::new(), carrier: false, marks: 0, last: Class::LineBreak, tags_left: 0 }
    }

    fn all(mut self, text: &str) -> String {
        let mut rest = text.chars().peekable();
        while let Some(c) = rest.next() {
            if c == '\r' && rest.peek() == Some(&'\n') {
                continue;
            }
            self.one(c);
        }
        self.out
    }

    fn one(&mut self, c: char) {
        match class(c) {
            Class::Plain => self.letter(c),
            Class::Tab if self.breaks == Breaks::Kept => self.put(c, Class::LineBreak),
            Class::Tab => self.letter(' '),
            // A lone carriage return would overwrite the line.
            Class::LineBreak if self.breaks == Breaks::Kept => self.put('\n', Class::LineBreak),
            Class::LineBreak => self.put(LINE_END, Class::LineBreak),
            Class::Control => self.letter(picture(c)),
            Class::Direction | Class::None => self.letter(REPLACEMENT),
            Class::Invisible => {}
            Class::Tag => self.tag(c),
            // Two in a row hide something; one that opens a line would join what we show before it.
            Class::Joiner if self.last == Class::Joiner || !(self.carrier || is_direction_mark(c)) => {}
            Class::Joiner => self.attach(c, Class::Joiner),
            Class::Variation if self.last == Class::Plain => self.attach(c, Class::Variation),
            Class::Variation => {}
            Class::Mark => self.mark(c),
        }
    }

    /// Puts out a character on which marks can sit.
    fn letter(&mut self, c: char) {
        self.put(c, Class::Plain);
        self.carrier = true;
        self.tags_left = if c == BLACK_FLAG { MAX_FLAG_TAGS } else { 0 };
    }

    fn mark(&mut self, c: char) {
        if !self.carrier {
            self.letter(MARK_CARRIER);
        }
        self.attach(c, Class::Mark);
    }

    /// Puts out what hangs on the letter before it, up to the limit for one letter.
    fn attach(&mut self, c: char, class: Class) {
        if self.marks < MAX_MARKS {
            let (carrier, marks) = (self.carrier, self.marks + 1);
            self.put(c, class);
            (self.carrier, self.marks) = (carrier, marks);
        }
    }

    fn tag(&mut self, c: char) {
        if let Some(left) = self.tags_left.checked_sub(1) {
            self.out.push(c);
            (self.tags_left, self.last) = (left, Class::Tag);
        }
    }

    fn put(&mut self, c: char, class: Class) {
        self.out.push(c);
        self.last = class;
        self.carrier = false;
        self.marks = 0;
        self.tags_left = 0;
    }
}

/// The picture of a control character: ␛ for escape, ␡ for delete; the C1 ones have none.
fn picture(control: char) -> char {
    match u32::from(control) {
        code @ 0..=0x1F => char::from_u32(0x2400 + code).unwrap_or(REPLACEMENT),
        0x7F => '␡',
        _ => REPLACEMENT,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn escape_sequences_never_reach_a_terminal() {
        assert_eq!(SafeText::line("\u{1b}[2J\u{7}\u{7f}\u{9b}31m\0").as_str(), "␛[2J␇␡\u{FFFD}31m␀");
        assert_eq!(SafeText::line_of_bytes(b"\x9b31m\xff ok").as_str(), "\u{FFFD}31m\u{FFFD} ok");
    }

    #[test]
    fn one_line_stays_one_line_and_many_stay_many() {
        let text = "a\r\nb\nc\rd\u{85}e\u{2028}f\tg";
        assert_eq!(SafeText::line(text).as_str(), "a⏎b⏎c⏎d⏎e⏎f g");
        assert_eq!(SafeText::lines(text).as_str(), "a\nb\nc\nd\ne\nf\tg");
    }

    #[test]
    fn text_reads_in_the_direction_it_was_written() {
        assert_eq!(SafeText::line("photo\u{202E}gnp.exe").as_str(), "photo\u{FFFD}gnp.exe");
        for c in ('\u{202A}'..='\u{202E}').chain('\u{2066}'..='\u{2069}') {
            assert_eq!(SafeText::lines(&c.to_string()).as_str(), "\u{FFFD}");
        }
    }

    #[test]
    fn nothing_invisible_hides_in_what_is_shown() {
        assert_eq!(SafeText::line("mi\u{200B}n\u{AD}a\u{2060}\u{FEFF}\u{180E}").as_str(), "mina");
        // A text smuggled in tag characters, and one in variation selectors.
        let tags: String = "ignore this".chars().filter_map(|c| char::from_u32(0xE0000 + u32::from(c))).collect();
        assert_eq!(SafeText::line(&format!("hi{tags}")).as_str(), "hi");
        let selectors: String = ('\u{E0100}'..'\u{E0120}').collect();
        assert_eq!(SafeText::line(&format!("hi{selectors}")).as_str(), "hi\u{E0100}");
        assert_eq!(SafeText::line(&format!("hi{}", "\u{200D}".repeat(1000))).as_str(), "hi\u{200D}");
        let pairs = SafeText::line(&format!("hi{}", "\u{200D}\u{200E}\u{301}".repeat(1000)));
        assert!(pairs.chars().count() <= 2 + MAX_MARKS);
    }

    #[test]
    fn a_million_combining_marks_are_a_handful() {
        let tower = format!("a{}b", "\u{301}".repeat(1_000_000));
        assert_eq!(SafeText::line(&tower).chars().count(), 2 + MAX_MARKS);
    }

    #[test]
    fn a_mark_without_a_letter_does_not_sit_on_ours() {
        assert_eq!(SafeText::line("\u{301}a").as_str(), "◌\u{301}a");
        assert_eq!(SafeText::lines("a\n\u{301}").as_str(), "a\n◌\u{301}");
        assert_eq!(SafeText::line("\u{200D}\u{200C}a").as_str(), "a");
    }

    #[test]
    fn honest_text_of_every_script_stays_as_it_is() {
        for text in [
            "모임에서 만나요 ㅋㅋ",
            "ᄆ\u{1169}\u{110B}\u{1175}\u{11B7}",
            "Xin chào, Nguyễn! ngu\u{31B}\u{301}",
            "नमस्ते क्\u{200D}ष श्री",
            "สวัสดีครับ น้ำ",
            "שָׁלוֹם עֲלֵיכֶ֑ם",
            "می\u{200C}خواهم \u{200F}(ok)",
            "👨\u{200D}👩\u{200D}👧\u{200D}👦 ❤\u{FE0F}\u{200D}🔥 👍🏽 🇰🇷 1\u{FE0F}\u{20E3}",
            "🏴\u{E0067}\u{E0062}\u{E0065}\u{E006E}\u{E0067}\u{E007F}",
            "葛\u{E0100}城市 〜 ᠮᠣᠩᠭᠣᠯ",
            "བསྒྲུབས",
        ] {
            assert_eq!(SafeText::line(text).as_str(), text);
        }
    }

    /// Any text, made mostly of what is dangerous.
    fn hostile() -> impl Strategy<Value = String> {
        let nasty = prop::sample::select(vec![
            '\u{1b}',
            '\r',
            '\n',
            '\t',
            '\0',
            '\u{7f}',
            '\u{85}',
            '\u{9b}',
            '\u{202E}',
            '\u{2066}',
            '\u{2069}',
            '\u{200B}',
            '\u{200D}',
            '\u{200E}',
            '\u{FE0F}',
            '\u{E0100}',
            '\u{301}',
            '\u{E0067}',
            '\u{E007F}',
            BLACK_FLAG,
            '\u{FEFF}',
            'a',
            '한',
            '\u{FFFF}',
            '\u{2028}',
            '\u{34F}',
        ]);
        prop::collection::vec(prop_oneof![4 => nasty, 1 => any::<char>()], 0..60).prop_map(String::from_iter)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        #[test]
        fn no_dangerous_character_is_ever_shown(text in hostile()) {
            let line = SafeText::line(&text);
            let lines = SafeText::lines(&text);
            for c in line.chars() {
                prop_assert!(!matches!(class(c), Class::Tab | Class::LineBreak));
            }
            for c in line.chars().chain(lines.chars()) {
                prop_assert!(!c.is_control() || matches!(c, '\n' | '\t'));
                prop_assert!(!matches!(class(c), Class::Control | Class::Direction | Class::Invisible | Class::None));
            }
        }

        #[test]
        fn making_safe_twice_changes_nothing(text in hostile()) {
            let (line, lines) = (SafeText::line(&text), SafeText::lines(&text));
            prop_assert_eq!(SafeText::line(&line), line);
            prop_assert_eq!(SafeText::lines(&lines), lines);
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = (SafeText::line_of_bytes(&bytes), SafeText::lines_of_bytes(&bytes));
        }
    }
}
