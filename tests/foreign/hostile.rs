//! A grammar of texts that mean harm.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// In every hostile text, so that a test can tell that it was shown at all.
pub(crate) const MARKER: &str = "mArK7";
/// Begins a line wherever a line end of a text from outside is one.
pub(crate) const FORGED: &str = "fOrGeD";
/// The value of the variable that texts try to name.
pub(crate) const SECRET: &str = "sEcReT-42";

/// What terminals, runners, Markdown, forges, TOML or templates take for something.
const PIECES: [&str; 44] = [
    "plain",
    "ünïcödé 漢字 🦀",
    "\nfOrGeD error: x",
    "\r\nfOrGeD",
    "\n::add-mask::x",
    "::set-output name=a::b",
    "\n \t::stop-commands::x",
    "##[error]x",
    "###[group]x",
    "##vso[task.setvariable variable=a]b",
    "\nsection_start:1:a[collapsed=true]\r\u{1b}[0K",
    "\u{1b}[31m",
    "\u{1b}[2J\u{1b}[H",
    "\u{1b}]0;title\u{7}",
    "\u{1b}]8;;http://x\u{1b}\\",
    "\u{9b}2J",
    "\u{85}fOrGeD",
    "\u{8}\u{7f}\u{0}",
    "\u{202e}",
    "\u{2066}",
    "\u{200b}",
    "\u{2028}fOrGeD",
    "\u{2029}",
    "\u{feff}",
    "\u{e0041}",
    "![i](http://x)",
    "[l](http://x)",
    "<img src=x>",
    "</code><script>",
    "<!--",
    "https://x.test www.x.test",
    "a|b\\|c",
    "`",
    "``x",
    "\n\n# heading\n\n",
    "\n- item\n> quote\n---\n",
    "**b** _i_ ~~s~~ &amp; $x$",
    "@you !7 #1 GH-1",
    "{env.SECRET}",
    "{{env.SECRET}}",
    "{os} } {",
    "\"\"\" ''' \\u0041 \\",
    "#",
    "\t ",
];

/// A text that means harm; with the marker in it.
pub(crate) fn hostile() -> impl Strategy<Value = String> {
    (vec(select(&PIECES[..]), 0..4), vec(select(&PIECES[..]), 0..3))
        .prop_map(|(before, after)| format!("{}{MARKER}{}", before.concat(), after.concat()))
}

/// All pieces, one by one: what every run tries, whatever chance says.
pub(crate) fn each() -> Vec<String> {
    PIECES.iter().map(|piece| format!("{piece}{MARKER}{piece}")).collect()
}
