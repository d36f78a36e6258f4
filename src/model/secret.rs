//! Text that must not be shown, and how it is found in what others say. Pure.

use std::fmt;
use std::ops::Range;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD};
use bytes::Bytes;

/// A password or token. It has no `Display`, and its `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for the one place that sends it.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// Words that make a variable's or argument's name that of a secret: those of BuildKit's check `SecretsUsedInArgOrEnv`.
const WORDS: [&str; 11] = [
    "apikey",
    "auth",
    "credential",
    "credentials",
    "key",
    "password",
    "pword",
    "passwd",
    "secret",
    "secrets",
    "token",
];

/// Whether `name`, of a variable or build argument, says that its value is a secret: `NPM_TOKEN`, `API_KEY`, but not
/// `PUBLIC_KEY`.
pub(crate) fn is_secret_name(name: &str) -> bool {
    let words = || name.split(|c: char| !c.is_ascii_alphanumeric());
    let has = |wanted: &str| words().any(|word| word.eq_ignore_ascii_case(wanted));
    WORDS.into_iter().any(has) && !has("public")
}

/// What stands in place of a secret.
const HIDDEN: &str = "[hidden]";

/// As [`hidden`], of the bytes of an answer.
pub(crate) fn hidden_bytes(said: Bytes, secrets: impl IntoIterator<Item = String>) -> Bytes {
    let text = String::from_utf8_lossy(&said);
    match hide(&text, secrets) {
        Some(text) => text.into(),
        None => said,
    }
}

/// `said` without `secrets`: what answers a request, or comes from a child, may repeat what it was given, and goes on to
/// people and logs. A secret is found as it is, escaped as JSON, URLs, forms and HTML escape, and in base64, also within
/// longer text. One of three letters or fewer stands in every text, and hiding it would tell it.
pub(crate) fn hidden(said: &str, secrets: impl IntoIterator<Item = String>) -> String {
    hide(said, secrets).unwrap_or_else(|| said.to_owned())
}

/// `None` when there is nothing to hide.
fn hide(said: &str, secrets: impl IntoIterator<Item = String>) -> Option<String> {
    let needles: Vec<String> =
        secrets.into_iter().filter(|secret| secret.chars().count() > 3).flat_map(spellings).collect();
    if needles.is_empty() {
        return None;
    }
    let mut spans: Vec<Range<usize>> = Vec::new();
    for text in readings(said) {
        let plain: String = text.iter().map(|read| read.char).collect();
        let mut starts = Vec::with_capacity(text.len());
        let mut at = 0;
        for read in &text {
            starts.push(at);
            at += read.char.len_utf8();
        }
        for needle in &needles {
            for (found, _) in plain.match_indices(needle.as_str()) {
                let first = starts.partition_point(|start| *start < found);
                let last = starts.partition_point(|start| *start < found + needle.len()) - 1;
                spans.push(text[first].start..text[last].end);
            }
        }
    }
    if spans.is_empty() {
        return None;
    }
    spans.sort_by_key(|span| (span.start, span.end));
    let (mut text, mut at) = (String::with_capacity(said.len()), 0);
    for span in spans {
        // What overlaps the one before is hidden with it.
        if span.start >= at {
            text.push_str(&said[at..span.start]);
            text.push_str(HIDDEN);
        }
        at = at.max(span.end);
    }
    text.push_str(&said[at..]);
    Some(text)
}

/// The secret itself, and what of it stands in base64, wherever in the encoded bytes it begins.
fn spellings(secret: String) -> Vec<String> {
    let mut all = Vec::new();
    for base64 in [BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD] {
        all.push(base64.encode(&secret));
        for before in 0..3 {
            let bytes = [&vec![0; before][..], secret.as_bytes()].concat();
            let encoded = base64.encode(&bytes);
            // The characters that neighbours have a share in vary.
            let (first, last) = ((before * 8).div_ceil(6), bytes.len() * 8 / 6);
            all.push(encoded[first..last].to_owned());
        }
    }
    // So short a piece says nothing, and stands in other text.
    all.retain(|piece| piece.len() >= 5);
    all.push(secret);
    all.sort();
    all.dedup();
    all
}

/// A character of a text as it is read, and where it stands in the text.
#[derive(Clone, Copy)]
struct Read {
    char: char,
    start: usize,
    end: usize,
}

type Decode = fn(&[Read]) -> Option<(char, usize)>;

/// `said` as it is, and as the usual escapes and several of them in a row read. A form's spaces come before its percent
/// signs: an escaped plus sign is none.
fn readings(said: &str) -> Vec<Vec<Read>> {
    let plain: Vec<Read> =
        said.char_indices().map(|(start, char)| Read { char, start, end: start + char.len_utf8() }).collect();
    let mut all = vec![plain];
    for decode in [json as Decode, json, form, percent, html] {
        for text in all.clone() {
            if let Some(read) = decoded(&text, decode) {
                all.push(read);
            }
        }
    }
    all
}

/// `text` with every escape read; `None` when it has none.
fn decoded(text: &[Read], decode: Decode) -> Option<Vec<Read>> {
    let (mut read, mut at) = (Vec::with_capacity(text.len()), 0);
    while at < text.len() {
        match decode(&text[at..]) {
            Some((char, taken)) => {
                read.push(Read { char, start: text[at].start, end: text[at + taken - 1].end });
                at += taken;
            }
            None => {
                read.push(text[at]);
                at += 1;
            }
        }
    }
    (read.len() != text.len() || read.iter().zip(text).any(|(read, text)| read.char != text.char))
        .then_some(read)
}

fn hex(text: &[Read]) -> Option<u32> {
    text.iter().try_fold(0, |number: u32, read| Some(number * 16 + read.char.to_digit(16)?))
}

/// RFC 8259, section 7.
fn json(text: &[Read]) -> Option<(char, usize)> {
    let [Read { char: '\\', .. }, escaped, rest @ ..] = text else { return None };
    let unit = |text: &[Read]| hex(text.get(..4)?);
    Some(match escaped.char {
        'b' => ('\u{8}', 2),
        'f' => ('\u{c}', 2),
        'n' => ('\n', 2),
        'r' => ('\r', 2),
        't' => ('\t', 2),
        'u' => match (unit(rest)?, rest.get(4..6)) {
            (high @ 0xd800..=0xdbff, Some([Read { char: '\\', .. }, Read { char: 'u', .. }])) => {
                let low = unit(&rest[6..]).filter(|low| (0xdc00..=0xdfff).contains(low))?;
                (char::from_u32(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00))?, 12)
            }
            (unit, _) => (char::from_u32(unit)?, 6),
        },
        char @ ('"' | '\\' | '/') => (char, 2),
        _ => return None,
    })
}

/// RFC 3986, section 2.1, of UTF-8.
fn percent(text: &[Read]) -> Option<(char, usize)> {
    let byte = |text: &[Read]| match text {
        [Read { char: '%', .. }, digits @ ..] => u8::try_from(hex(digits.get(..2)?)?).ok(),
        _ => None,
    };
    let first = byte(text)?;
    let length = match first {
        0..=0x7f => 1,
        0xc0..=0xdf => 2,
        0xe0..=0xef => 3,
        _ => 4,
    };
    let bytes: Vec<u8> = (0..length).map(|at| byte(text.get(at * 3..)?)).collect::<Option<_>>()?;
    Some((std::str::from_utf8(&bytes).ok()?.chars().next()?, length * 3))
}

/// The space of `application/x-www-form-urlencoded`; the rest of it is [`percent`].
fn form(text: &[Read]) -> Option<(char, usize)> {
    (text[0].char == '+').then_some((' ', 1))
}

/// The character references that matter, and all numeric ones (HTML, 13.5).
fn html(text: &[Read]) -> Option<(char, usize)> {
    let [Read { char: '&', .. }, rest @ ..] = text else { return None };
    let length = rest.iter().take(10).position(|read| read.char == ';')?;
    let name: String = rest[..length].iter().map(|read| read.char).collect();
    let number = |text: &str, radix| u32::from_str_radix(text, radix).ok().and_then(char::from_u32);
    let char = match name.as_str() {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        name => match name.strip_prefix('#')?.strip_prefix(['x', 'X']) {
            Some(digits) => number(digits, 16)?,
            None => number(&name[1..], 10)?,
        },
    };
    Some((char, length + 2))
}

#[cfg(test)]
mod tests {
    use base64::prelude::BASE64_STANDARD;
    use proptest::prelude::*;

    use super::*;

    const PASSWORD: &str = "p<s>/\"w+ö d%&";

    #[test]
    fn a_secret_is_found_in_every_spelling() {
        for (said, expected) in [
            ("nothing to see".to_owned(), "nothing to see"),
            (format!("bad: {PASSWORD}!"), "bad: [hidden]!"),
            (r#"bad: p\u003cs\u003E\/\"w+\u00f6 d%&!"#.to_owned(), "bad: [hidden]!"),
            ("bad: p%3Cs%3e%2F%22w%2B%c3%B6%20d%25%26!".to_owned(), "bad: [hidden]!"),
            ("bad: p%3Cs%3E%2F%22w%2B%C3%B6+d%25%26!".to_owned(), "bad: [hidden]!"),
            ("bad: p&lt;s&#62;/&quot;w+&#xF6; d%&amp;!".to_owned(), "bad: [hidden]!"),
            (
                format!("{} twice", serde_json::json!(serde_json::json!(PASSWORD).to_string())),
                "\"\\\"[hidden]\\\"\" twice",
            ),
            (format!("Basic {}.", BASE64_STANDARD.encode(PASSWORD)), "Basic [hidden]==."),
        ] {
            let found = hidden(&said, [PASSWORD.to_owned()]);
            assert!(
                found == expected
                    || found == expected.replace("==", "=")
                    || found == expected.replace("==", ""),
                "{said}: {found}"
            );
        }
        // In longer text its edges are shared with its neighbours.
        for user in ["u", "us", "user"] {
            let said = BASE64_STANDARD.encode(format!("{user}:{PASSWORD}:more"));
            assert!(hidden(&said, [PASSWORD.to_owned()]).contains(HIDDEN), "{user}");
        }
        assert_eq!(hidden("abc", ["abc".to_owned()]), "abc", "three letters stand in every text");
        assert_eq!(
            hidden_bytes(Bytes::from_static(b"\xff"), ["word".to_owned()]),
            Bytes::from_static(b"\xff")
        );
    }

    #[test]
    fn names_tell_of_secrets() {
        for (name, expected) in [
            ("VERSION", false),
            ("NPM_TOKEN", true),
            ("token", true),
            ("API-KEY", true),
            ("MONKEY", false),
            ("PUBLIC_KEY", false),
            ("AUTHOR", false),
            ("db_password", true),
        ] {
            assert_eq!(is_secret_name(name), expected, "{name}");
        }
    }

    fn in_json(text: &str) -> String {
        text.encode_utf16().map(|unit| format!("\\u{unit:04X}")).collect()
    }

    fn in_url(text: &str) -> String {
        text.bytes().map(|byte| format!("%{byte:02x}")).collect()
    }

    proptest! {
        #[test]
        fn no_spelling_of_a_secret_comes_through(
            secret in "\\PC{4,24}", before in "[a-z {\":]{0,8}", after in "[a-z }\",]{0,8}",
        ) {
            let quoted = serde_json::json!(secret).to_string();
            for spelled in [
                secret.clone(),
                quoted[1..quoted.len() - 1].to_owned(),
                in_json(&secret),
                in_url(&secret),
                in_json(&in_url(&secret)),
                BASE64_STANDARD.encode(&secret).trim_end_matches('=').to_owned(),
            ] {
                let said = format!("{before}{spelled}{after}");
                let found = hidden(&said, [secret.clone()]);
                prop_assert!(found.contains(HIDDEN), "{} in {}", secret, said);
                prop_assert!(!found.contains(&spelled), "{} in {}", secret, found);
            }
        }

        #[test]
        fn what_is_no_secret_stays(said in "\\PC{0,64}") {
            prop_assert_eq!(hidden(&said, ["\u{1}\u{2}\u{3}\u{4}".to_owned()]), said);
        }
    }
}
