//! Text as people and attackers send it: it arrives byte for byte, and no terminal is steered by it.

use crate::support::{Home, PATIENCE, befriend, until};
use moim::api::{
    Api,
    client::Socket,
    methods::{MessageLog, MessageSend},
    types::{LogParams, SendParams, Wait},
};
use std::{io::Write, process::Stdio};

/// Two hundred and more texts that have broken programs: the kinds of the public lists, written anew.
#[rustfmt::skip]
const HOSTILE: &[&str] = &[
    // Words that programs mistake for values
    "undefined", "undef", "null", "NULL", "(null)", "nil", "NIL", "true", "false", "True", "False", "None",
    "hasOwnProperty", "then", "constructor", "__proto__", "\\\\", "\\", "NaN", "Infinity", "-Infinity", "INF",
    "1#INF", "1#QNAN",
    // Numbers
    "0", "1", "-1", "1.00", "$1.00", "1/2", "1E2", "1E02", "-0", "-0.0", "+0", "0..0", ".", "0.0.0", ",", "0,00",
    "1/0", "0/0", "-2147483648/-1", "9223372036854775807", "-9223372036854775808", "18446744073709551616",
    "99999999999999999999999", "0x0", "0xffffffffffffffff", "0xabad1dea", "123456789012345678901234567890123456789",
    "1,000.00", "1 000,00", "1'000.00", "01000", "08", "2.2250738585072011e-308", "1e400",
    // Punctuation and quotes
    "./;'[]\\-=", "<>?:\"{}|_+", "!@#$%^&*()`~", "'", "\"", "''", "\"\"", "'\"'", "\"''''\"'\"", "“quoted”",
    "«zitiert»", "`backtick`", "$HOME", "$(id)", "`id`", "%s%s%s%n", "%d", "{0}", "{{name}}", "${jndi:ldap://x}",
    "#{1+1}",
    // Unicode letters and symbols
    "Ω≈ç√∫˜µ≤≥÷", "åß∂ƒ©˙∆˚¬…æ", "œ∑´®†¥¨ˆøπ“‘", "¡™£¢∞§¶•ªº–≠", "ЁЂЃЄЅІЇЈЉЊЋЌЍЎЏ", "٠١٢٣٤٥٦٧٨٩", "⁰⁴⁵₀₁₂", "⅛⅜⅝⅞",
    "ด\u{e49}\u{e49}\u{e49}\u{e49}\u{e49}\u{e47}\u{e47}\u{e47}\u{e47}\u{e47}\u{e49}\u{e49}\u{e49}\u{e49}\u{e49}",
    "田中さんにあげて下さい", "パーティーへ行かないか", "和製漢語", "部落格", "사회과학원 어학연구소", "찦차를 타고 온 펲시맨과 쑛다리 똠방각하", "社會科學院語學研究所", "울란바토르",
    "𠜎𠜱𠝹𠱓", "Ⱥ Ⱦ", "ﬁ ﬂ ﬃ", "İstanbul ı I", "ß ẞ SS", "Å Å Å", "e\u{301} é",
    // Japanese faces and emoji
    "ヽ༼ຈل\u{35c}ຈ༽ﾉ", "(｡◕ ∀ ◕｡)", "｀ｨ(´∀｀∩", "__ﾛ(,_,*)", "・(￣∀￣)・:*:", "ﾟ･✿ヾ╲(｡◕‿◕｡)╱✿･ﾟ", "(╯°□°)╯︵ ┻━┻", "😍",
    "👩🏽", "👨\u{200d}🦰 👨🏿\u{200d}🦰", "👾 🙇 💁 🙅", "🐵 🙈 🙉 🙊", "❤\u{fe0f} 💔 💌", "✋🏿 💪🏿 👐🏿",
    "👨\u{200d}👩\u{200d}👦 👨\u{200d}👩\u{200d}👧\u{200d}👦 👨\u{200d}👨\u{200d}👦", "🚾 🆒 🆓 🆕",
    "0\u{fe0f}\u{20e3} 1\u{fe0f}\u{20e3} 🔟", "🇺🇸🇷🇺🇰🇷", "🏴\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e007f}",
    "🧑🏻\u{200d}🤝\u{200d}🧑🏿", "👁\u{fe0f}\u{200d}🗨\u{fe0f}",
    // Right to left and marks that turn the text
    "ثم نفس سقطت وبالتحديد",
    "ב\u{5b0}\u{5bc}ר\u{5b5}אש\u{5b4}\u{5c1}ית ב\u{5b8}\u{5bc}ר\u{5b8}א א\u{5b1}ל\u{5b9}ה\u{5b4}ים",
    "ה\u{5b8}י\u{5b0}ת\u{5b8}הtestالصفحات الت\u{651}حول", "﷽", "ﷺ",
    "م\u{64f}ن\u{64e}اق\u{64e}ش\u{64e}ة\u{64f} س\u{64f}ب\u{64f}ل\u{650}", "\u{202e}test\u{202c}",
    "\u{202b}test\u{202c}", "\u{2066}test\u{2067}", "\u{200f}\u{200e}", "\u{61c}", "abc\u{202d}fed",
    "test\u{2060}test\u{202b}", "\u{2069}\u{2068}", "السلام 123 عليكم",
    // What cannot be seen
    "\u{200b}", "\u{200b}\u{200c}\u{200d}", "\u{feff}", "\u{2060}", "\u{ad}", "\u{180e}", "\u{115f}\u{1160}",
    "\u{3164}", "\u{2800}", "\u{a0} \u{1680} \u{2000} \u{3000}", " leading", "trailing ", "  two  ", "\ttab\t",
    "line one\nline two", "\r\nwindows\r\n", "old mac\r", "\n\n\n", "\u{2028}line\u{2029}paragraph", "\u{85}next",
    // Control bytes
    "\u{1}\u{2}\u{3}", "bell\u{7}", "back\u{8}\u{8}\u{8}space", "\u{b}\u{c}", "\u{e}\u{f}",
    "esc\u{1b}[31mred\u{1b}[0m", "\u{1b}]0;title\u{7}", "\u{1b}[2J\u{1b}[H", "\u{1b}c", "\u{1b}[6n",
    "\u{1b}]52;c;aGk=\u{7}", "\u{9b}31m", "\u{90}q\u{9c}", "\u{7f}", "\0", "a\0b", "\u{1f}", "\u{80}\u{84}\u{86}",
    // Private, unassigned and outermost code points
    "\u{e000}", "\u{f8ff}", "\u{f0000}", "\u{10fffd}", "\u{fffe}", "\u{ffff}", "\u{10ffff}", "�", "\u{1fffe}",
    "\u{378}", "\u{e0001}\u{e0061}", "\u{fff9}interlinear\u{fffa}\u{fffb}",
    // Zalgo, and letters that are not what they seem
   
    "Ṱ\u{33a}\u{33a}\u{315}o\u{35e} \u{337}i\u{332}\u{32c}\u{347}\u{32a}\u{359}n\u{31d}\u{317}\u{355}v\u{31f}\u{31c}\u{318}\u{326}\u{35f}o\u{336}\u{319}\u{330}\u{320}kè\u{35a}\u{32e}\u{33a}\u{32a}\u{339}\u{331}\u{324}",
    "\u{317}\u{33a}\u{356}\u{339}\u{32f}\u{353}Ṯ\u{324}\u{34d}\u{325}\u{347}\u{348}h\u{332}\u{301}e\u{34f}\u{353}\u{33c}\u{317}\u{319}\u{33c}\u{323}\u{354}",
    "a\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}",
    "˙ɐnbᴉlɐ ɐuƃɐɯ", "Ｔｈｅ ｑｕｉｃｋ ｂｒｏｗｎ", "𝐓𝐡𝐞 𝐪𝐮𝐢𝐜𝐤", "𝕿𝖍𝖊 𝖖𝖚𝖎𝖈𝖐", "⒯⒣⒠ ⒬⒰⒤⒞⒦", "раураl.com", "ɡооɡlе",
    // Markup and scripts
    "<script>alert(1)</script>", "&lt;script&gt;", "<img src=x onerror=alert(1)>", "<svg/onload=alert(1)>",
    "javascript:alert(1)", "\"><b>x</b>", "<!-- -->", "]]>", "<?xml version=\"1.0\"?>",
    "<!ENTITY x SYSTEM \"file:///etc/passwd\">", "&#x26;&amp;amp;", "*bold* _it_ ~no~", "[a](javascript:b)",
    "{% raw %}",
    // Queries and paths
    "1;DROP TABLE users", "1'; DROP TABLE users-- 1", "' OR 1=1 -- 1", "%00", "%0d%0aSet-Cookie:a=b",
    "../../../../etc/passwd", "..\\..\\boot.ini", "file:///etc/passwd", "/dev/null; touch /tmp/x",
    "$(touch /tmp/x)", "| cat", "C:\\CON\\AUX", "CON", "PRN", "nul.txt", "~/.ssh/id", "a/b/c", "--help", "-n", "--",
    "-", "@mina", "#picnic", "me",
    // What belongs to moim
    "moim:1:", "moim:1:aaaa", "{\"v\":1}", "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"down\"}", "error:",
    "ready: 12D3KooW", "{ $name }", "\u{2068}isolated\u{2069}",
];

/// What fits one message, and a little less than it.
const PASTE: usize = 50 * 1024;

#[test]
fn hostile_texts_arrive_byte_for_byte_and_steer_no_terminal() {
    let (mina, jun) = (Home::new("mina"), Home::new("jun"));
    let (_a, _b) = (mina.up(), jun.up());
    befriend(&mina, &jun);
    until("the names are known", || (jun.json(&["contacts"])["contacts"][0]["name"] == "mina").then_some(()));
    let paste = "나라의 말이 中國과 달라 🙂 ".repeat(PASTE / 40);
    let sent: Vec<&str> = HOSTILE.iter().copied().filter(|text| !text.is_empty()).chain([paste.as_str()]).collect();
    assert!(sent.len() > 200);

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let arrived = runtime.block_on(async {
        let mut asking = Socket::connect(&jun.path()).await.unwrap().unwrap();
        for text in &sent {
            let params = SendParams {
                chat: "mina".into(),
                text: (*text).into(),
                reply_to: None,
                wait: Some(Wait::Saved),
                timeout: None,
            };
            asking.call::<MessageSend>(params).await.unwrap_or_else(|error| panic!("{text:?}: {error}"));
        }
        let mut reading = Socket::connect(&mina.path()).await.unwrap().unwrap();
        let began = std::time::Instant::now();
        loop {
            let params = LogParams { chat: "jun".into(), limit: Some(1_000), before: None, search: None };
            let log = reading.call::<MessageLog>(params).await.unwrap().messages;
            if log.len() >= sent.len() {
                break log;
            }
            assert!(began.elapsed() < PATIENCE, "{} of {} arrived", log.len(), sent.len());
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    });
    let arrived: Vec<&str> = arrived.iter().map(|message| message.text.as_deref().unwrap()).collect();
    for (got, text) in arrived.iter().zip(&sent) {
        assert_eq!(got, text, "{got:?} is not {text:?}");
    }
    assert_eq!(arrived.len(), sent.len());

    for args in
        [&["log", "jun", "-n", "1000"][..], &["chats"], &["log", "jun", "-n", "1000", "--json"], &["chats", "--json"]]
    {
        let out = mina.run(args);
        assert!(out.status.success());
        for (stream, bytes) in [("stdout", &out.stdout), ("stderr", &out.stderr)] {
            let text = std::str::from_utf8(bytes).unwrap();
            let steering = text.chars().find(|shown| steers(*shown));
            assert_eq!(steering, None, "{args:?} {stream}");
        }
    }
    let json = mina.json(&["log", "jun", "-n", "1000"]);
    for (message, text) in json["messages"].as_array().unwrap().iter().zip(&sent) {
        assert_eq!(message["text"], **text, "also as JSON on stdout");
    }
}

/// Control characters but for the line's end, and marks that turn the text around them.
fn steers(shown: char) -> bool {
    (shown.is_control() && shown != '\n') || matches!(shown, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[test]
fn a_text_too_long_for_one_message_is_refused_whole_and_one_that_fits_goes_through_stdin() {
    let home = Home::new("mina");
    let send = |text: &[u8]| {
        let mut child = home
            .command(&["send", "me", "-", "--json"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(text).unwrap();
        child.wait_with_output().unwrap()
    };
    let refused = send(&vec![b'a'; 70_000]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("text-too-long"));
    assert_eq!(send(b"\xff\xfe").status.code(), Some(2), "what is no text is refused");
    let fits = "a".repeat(PASTE);
    assert!(send(format!("{fits}\n").as_bytes()).status.success());
    let log = home.json(&["log", "me"]);
    assert_eq!(log["messages"].as_array().unwrap().len(), 1);
    assert_eq!(log["messages"][0]["text"], fits, "one final newline is dropped, nothing else");
}
