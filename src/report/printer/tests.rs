use super::*;

#[test]
fn a_terminal_shows_what_cannot_be_seen() {
    for (text, plain, coloured) in [
        ("a  b\n\tc: ä 🦀 a::b\n", "a  b\n\tc: ä 🦀 a::b\n", "a  b\n\tc: ä 🦀 a::b\n"),
        ("", "", ""),
        ("\u{1b}[31mred\u{1b}[0m", "\\u{1b}[31mred\\u{1b}[0m", "\u{1b}[31mred\u{1b}[0m"),
        ("\u{1b}[1;32mx\u{1b}[m", "\\u{1b}[1;32mx\\u{1b}[m", "\u{1b}[1;32mx\u{1b}[m"),
        ("\u{1b}[8mhidden", "\\u{1b}[8mhidden", "\\u{1b}[8mhidden"),
        ("\u{1b}[2J\u{1b}]8;;u\u{7}", "\\u{1b}[2J\\u{1b}]8;;u\\u{7}", "\\u{1b}[2J\\u{1b}]8;;u\\u{7}"),
        ("\u{9b}2J \u{202e}x\u{2028}", "\\u{9b}2J \\u{202e}x\\u{2028}", "\\u{9b}2J \\u{202e}x\\u{2028}"),
        ("over\rwritten\r\n", "over\\rwritten\n", "over\\rwritten\n"),
        ("section_start:1:a\r\u{1b}[0K", "section_start:1:a\\r\\u{1b}[0K", "section_start:1:a\\r\\u{1b}[0K"),
    ] {
        assert_eq!(terminal(text, false), plain, "{text:?}");
        assert_eq!(terminal(text, true), coloured, "{text:?}, coloured");
    }
}

#[test]
fn no_line_is_a_command() {
    for (text, shown) in [
        ("a :: b", "a :: b"),
        ("## heading", "## heading"),
        ("::add-mask::x", "\\::add-mask::x"),
        ("a\n \u{a0}\t::set-output name=a::b", "a\n \u{a0}\t\\::set-output name=a::b"),
        ("\u{1b}[31m::error::x", "\u{1b}[31m\\::error::x"),
        ("text ##[group]x", "text #\\#[group]x"),
        ("###[error]x", "##\\#[error]x"),
        ("##vso[task.setvariable]x", "#\\#vso[task.setvariable]x"),
    ] {
        assert_eq!(terminal(text, true), shown, "{text:?}");
    }
}

#[test]
fn json_means_the_same() {
    for (text, shown) in [
        ("plain # ä", r#""plain # ä""#),
        ("a\u{202e}\u{9b}\u{7f}\u{e0041}", r#""a\u202e\u009b\u007f\udb40\udc41""#),
        ("\\##[group]", r##""\\\u0023#[group]""##),
        ("\n\u{1b}", r#""\n\u001b""#),
    ] {
        let serialised = serde_json::to_string(text).unwrap();
        let printed = json(&serialised);
        assert_eq!(printed, shown);
        assert_eq!(serde_json::from_str::<String>(&printed).unwrap(), text);
    }
}

#[test]
fn markdown_is_text() {
    for (text, as_code, as_prose) in [
        ("linux/arm64", "`linux/arm64`", "linux/arm64"),
        ("", "", ""),
        (
            "sha256:0a  (not declared; `undeclared` decides)",
            "``sha256:0a  (not declared; `undeclared` decides)``",
            "sha256:0a  (not declared; `undeclared` decides)",
        ),
        ("a|b", "`a\\|b`", "`a\\|b`"),
        ("a\\|b", "`a\\u{7c}b`", "`a\\u{7c}b`"),
        ("by @you #1", "`by @you #1`", "by `@you` `#1`"),
        ("![x](y) <b>", "`![x](y) <b>`", "`![x](y)` `<b>`"),
        ("``x", "``` ``x ```", "x"),
        ("`", "`` ` ``", ""),
        ("see https://x www.y GH-1", "`see https://x www.y GH-1`", "see `https://x` `www.y` `GH-1`"),
        ("a\n# b", "`a\\n# b`", "a `#` b"),
    ] {
        assert_eq!(code(text), as_code, "{text:?}");
        assert_eq!(prose(text), as_prose, "{text:?}");
    }
}
