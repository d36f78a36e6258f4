//! How text is spelt in a TOML file that we write: everything in it can be seen in a review. Pure.

use std::fmt::Write as _;

use crate::model::foreign::is_odd;

/// A TOML string that means `text`, on one line, with escapes for what cannot be seen. Braces are those of a template:
/// what stands for itself is a [`literal`](crate::config::template::literal) first.
pub(super) fn string(text: &str) -> String {
    if !text.contains(is_odd) {
        return toml::Value::String(text.to_owned()).to_string();
    }
    let mut out = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => {
                out.push('\\');
                out.push(character);
            }
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            odd if is_odd(odd) => {
                let _ = write!(out, "\\U{:08X}", u32::from(odd));
            }
            plain => out.push(plain),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_shows_what_it_means() {
        for (text, spelt) in [
            ("linux/arm64 ä", r#""linux/arm64 ä""#),
            ("", r#""""#),
            ("a\nb\r\t\"\\", r#""a\nb\r\t\"\\""#),
            ("\u{1b}\u{9b}\u{202e}\u{e0041}", r#""\U0000001B\U0000009B\U0000202E\U000E0041""#),
        ] {
            assert_eq!(string(text), spelt, "{text:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_string_means_its_text(text in "([\\x00-\\x7f\\u{80}-\\u{9f}\\u{2028}-\\u{202e}\"']|.|\\PC){0,12}") {
            let file: toml::Table = toml::from_str(&format!("key = {}", string(&text))).unwrap();
            proptest::prop_assert_eq!(file["key"].as_str(), Some(text.as_str()));
            proptest::prop_assert!(!string(&text).contains(is_odd));
        }
    }
}
