//! Manifests as `docker manifest inspect` prints them, byte for byte: the order of keys, three spaces for lists, tabs for
//! images and for `--verbose`, and what Go's JSON does to `<`, `>` and `&`. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use crate::model::digest::Digest;
use crate::model::manifest::{Descriptor, PlatformFields};
use crate::model::media;

/// One image of a list, or an image by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    /// Its reference, as Docker writes it.
    pub reference: String,
    /// Media type, digest, size and platform.
    pub descriptor: Descriptor,
    /// The manifest's bytes.
    pub manifest: Vec<u8>,
}

/// A list, from its entries. The type is the one that Docker would publish it with: that of the first entry's kind.
pub(crate) fn list(entries: &[Descriptor]) -> String {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct List<'a> {
        schema_version: u8,
        media_type: &'a str,
        manifests: Vec<Entry<'a>>,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Entry<'a> {
        media_type: &'a str,
        size: u64,
        digest: &'a Digest,
        platform: Platform<'a>,
    }
    let oci = entries.first().is_some_and(|entry| entry.media_type == media::OCI_IMAGE);
    let list = List {
        schema_version: 2,
        media_type: if oci { media::OCI_INDEX } else { media::DOCKER_LIST },
        manifests: entries
            .iter()
            .map(|entry| Entry {
                media_type: &entry.media_type,
                size: entry.size,
                digest: &entry.digest,
                platform: Platform::of(entry.platform.as_ref()),
            })
            .collect(),
    };
    format!("{}\n", escape(&indent(&json(&list), "   ")))
}

/// An image's manifest, with the keys that it has.
pub(crate) fn image(manifest: &[u8]) -> String {
    format!("{}\n", indent(&String::from_utf8_lossy(manifest), "\t"))
}

/// One image with everything, for `--verbose`.
pub(crate) fn verbose_image(shown: &Shown) -> String {
    format!("{}\n", escape(&indent(&verbose(shown), "\t")))
}

/// A list with everything of each image, for `--verbose`.
pub(crate) fn verbose_list(shown: &[Shown]) -> String {
    let images: Vec<String> = shown.iter().map(verbose).collect();
    format!("{}\n", escape(&indent(&format!("[{}]", images.join(",")), "\t")))
}

/// The platform as Docker writes it: one that is not known is empty, not left out.
#[derive(Serialize)]
struct Platform<'a> {
    architecture: &'a str,
    os: &'a str,
    #[serde(rename = "os.version", skip_serializing_if = "str::is_empty")]
    os_version: &'a str,
    #[serde(rename = "os.features", skip_serializing_if = "<[String]>::is_empty")]
    os_features: &'a [String],
    #[serde(skip_serializing_if = "str::is_empty")]
    variant: &'a str,
}

impl<'a> Platform<'a> {
    fn of(fields: Option<&'a PlatformFields>) -> Self {
        fields.map_or(Self { architecture: "", os: "", os_version: "", os_features: &[], variant: "" }, |f| {
            Self {
                architecture: &f.architecture,
                os: &f.os,
                os_version: &f.os_version,
                os_features: &f.os_features,
                variant: &f.variant,
            }
        })
    }
}

fn verbose(shown: &Shown) -> String {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Entry<'a> {
        media_type: &'a str,
        digest: &'a Digest,
        size: u64,
        platform: Platform<'a>,
    }
    let descriptor = &shown.descriptor;
    let entry = json(&Entry {
        media_type: &descriptor.media_type,
        digest: &descriptor.digest,
        size: descriptor.size,
        platform: Platform::of(descriptor.platform.as_ref()),
    });
    let kind = match descriptor.media_type == media::DOCKER_IMAGE {
        true => "SchemaV2Manifest",
        false => "OCIManifest",
    };
    format!(
        r#"{{"Ref":{},"Descriptor":{entry},"Raw":{},"{kind}":{}}}"#,
        json(&shown.reference),
        json(&STANDARD.encode(&shown.manifest)),
        String::from_utf8_lossy(&shown.manifest).trim_end(),
    )
}

fn json(value: &impl Serialize) -> String {
    // What is serialised here has neither maps with odd keys nor anything else that JSON cannot say.
    serde_json::to_string(value).unwrap_or_default()
}

/// JSON laid out anew, values and the order of keys untouched, as Go's `json.Indent` does: white space behind the text
/// stays, an empty array or object stays on its line.
fn indent(text: &str, step: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    let end = text.trim_end_matches(WHITE);
    let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
    let new_line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.push_str(&step.repeat(depth));
    };
    let mut opened = false;
    for c in end.chars() {
        if in_string {
            out.push(c);
            in_string = escaped || c != '"';
            escaped = !escaped && c == '\\';
            continue;
        }
        if WHITE.contains(&c) {
            continue;
        }
        let closes = matches!(c, ']' | '}');
        if closes {
            depth = depth.saturating_sub(1);
        }
        // The first thing in brackets begins a line, and so does their end, unless there is nothing in them.
        if std::mem::take(&mut opened) != closes {
            new_line(&mut out, depth);
        }
        out.push(c);
        match c {
            '"' => in_string = true,
            '[' | '{' => {
                depth += 1;
                opened = true;
            }
            ',' => new_line(&mut out, depth),
            ':' => out.push(' '),
            _ => {}
        }
    }
    out.push_str(&text[end.len()..]);
    out
}

const WHITE: [char; 4] = [' ', '\t', '\n', '\r'];

/// What Go's encoder writes for characters that HTML or JavaScript would take otherwise; in JSON they stand in strings
/// only.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("\\u003c"),
            '>' => out.push_str("\\u003e"),
            '&' => out.push_str("\\u0026"),
            '\u{2028}' => out.push_str("\\u2028"),
            '\u{2029}' => out.push_str("\\u2029"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_laid_out_and_nothing_in_it_changed() {
        for (text, expected) in [
            ("{}", "{}"),
            ("{ }", "{}"),
            (r#"{"b":1,"a":[]}"#, "{\n\t\"b\": 1,\n\t\"a\": []\n}"),
            (
                "{\n  \"x\" : [ 1 , { \"k\": \"a\\\"b , {\" } ] }\n",
                "{\n\t\"x\": [\n\t\t1,\n\t\t{\n\t\t\t\"k\": \"a\\\"b , {\"\n\t\t}\n\t]\n}\n",
            ),
            (r#"[[],[[1.50e3]]]"#, "[\n\t[],\n\t[\n\t\t[\n\t\t\t1.50e3\n\t\t]\n\t]\n]"),
            (r#"{"k":"\\"}"#, "{\n\t\"k\": \"\\\\\"\n}"),
        ] {
            assert_eq!(indent(text, "\t"), expected);
        }
    }

    #[test]
    fn a_list_shows_what_docker_shows() {
        let mut entry = Descriptor::new(media::OCI_IMAGE, Digest::of(b"x"), 1);
        let mut fields =
            PlatformFields::from(&"linux/arm/v7".parse::<crate::model::platform::Platform>().unwrap());
        fields.os_version = "<1>".to_owned();
        fields.os_features = vec!["a".to_owned()];
        entry.platform = Some(fields);
        entry.annotations.insert("not".to_owned(), "shown".to_owned());
        let digest = Digest::of(b"x");
        let expected = format!(
            r#"{{
   "schemaVersion": 2,
   "mediaType": "application/vnd.oci.image.index.v1+json",
   "manifests": [
      {{
         "mediaType": "application/vnd.oci.image.manifest.v1+json",
         "size": 1,
         "digest": "{digest}",
         "platform": {{
            "architecture": "arm",
            "os": "linux",
            "os.version": "\u003c1\u003e",
            "os.features": [
               "a"
            ],
            "variant": "v7"
         }}
      }}
   ]
}}
"#
        );
        assert_eq!(list(&[entry]), expected);
    }

    #[test]
    fn an_image_keeps_its_characters_and_verbose_escapes_them() {
        let manifest = br#"{"annotations":{"x":"<y>&"}}"#;
        assert_eq!(image(manifest), "{\n\t\"annotations\": {\n\t\t\"x\": \"<y>&\"\n\t}\n}\n");
        let shown = Shown {
            reference: "h/a:1".to_owned(),
            descriptor: Descriptor::new(media::OCI_IMAGE, Digest::of(manifest), manifest.len() as u64),
            manifest: manifest.to_vec(),
        };
        let text = verbose_image(&shown);
        assert!(
            text.contains(
                "\"OCIManifest\": {\n\t\t\"annotations\": {\n\t\t\t\"x\": \"\\u003cy\\u003e\\u0026\""
            ),
            "{text}"
        );
        assert!(
            text.contains("\"platform\": {\n\t\t\t\"architecture\": \"\",\n\t\t\t\"os\": \"\"\n\t\t}"),
            "{text}"
        );
        let listed = verbose_list(&[shown.clone(), shown]);
        assert!(listed.starts_with("[\n\t{\n\t\t\"Ref\": \"h/a:1\",\n"), "{listed}");
    }
}
