use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::json;

use super::*;

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Outer {
    media_type: String,
    size: u64,
    #[serde(rename = "os.version")]
    version: Option<String>,
    labels: BTreeMap<String, String>,
    layers: Vec<Inner>,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
struct Inner {
    name: String,
    urls: Vec<String>,
}

fn read(text: &str) -> Result<Outer, String> {
    from_slice(text.as_bytes()).map_err(|error| error.to_string())
}

#[test]
fn a_structure_is_read_as_go_reads_it() {
    let plain = Outer { media_type: "x".to_owned(), size: 7, ..Outer::default() };
    for text in [
        r#"{"mediaType":"x","size":7}"#,
        r#"{"MEDIATYPE":"x","Size":7}"#,
        r#"{"mediaType":"y","MediaType":"x","size":7}"#,
        r#"{"MediaType":"y","mediaType":"x","size":7}"#,
        r#"{"mediaType":"y","mediaType":"x","size":7}"#,
        r#"{"mediaType":"x","MediaType":null,"size":7}"#,
        r#"{"mediaType":"x","ſize":7}"#,
        r#"{"mediaType":"x","size":7.0}"#,
        r#"{"mediaType":"x","size":7,"os.version":null,"labels":null,"layers":null,"other":null}"#,
        r#"{"mediaType":"x","size":7,"labels":{"a":null},"layers":[]}"#,
    ] {
        assert_eq!(read(text).as_ref(), Ok(&plain), "{text}");
    }
    assert_eq!(read("null"), Ok(Outer::default()));
    assert_eq!(
        read(r#"{"layers":[null,{"NAME":null}]}"#).unwrap().layers,
        [Inner::default(), Inner::default()]
    );
    // Keys of a map are data.
    let labels = read(r#"{"Labels":{"a":"1","A":"2"}}"#).unwrap().labels;
    assert_eq!(labels, BTreeMap::from([("a".to_owned(), "1".to_owned()), ("A".to_owned(), "2".to_owned())]));
    assert_eq!(from_slice::<Outer>(b"{\"mediaType\":\"\xff\"}").unwrap().media_type, "\u{fffd}");
}

#[test]
fn what_is_of_another_shape_is_an_error_that_says_where() {
    for (text, message) in [
        ("[]", "invalid type: sequence, expected struct Outer"),
        (r#"{"size":"7"}"#, r#"size: invalid type: string "7", expected u64"#),
        (r#"{"size":7.5}"#, "size: invalid type: floating point `7.5`, expected u64"),
        (r#"{"size":-1}"#, "size: invalid value: integer `-1`, expected u64"),
        (
            r#"{"layers":[{},{"urls":[1]}]}"#,
            "layers[1].urls[0]: invalid type: integer `1`, expected a string",
        ),
        (r#"{"labels":{"a":1}}"#, "labels.a: invalid type: integer `1`, expected a string"),
    ] {
        assert_eq!(read(text), Err(message.to_owned()), "{text}");
    }
    assert_eq!(Json::parse(b"{\n\"a\": 1,\n}").unwrap_err().line(), Some(3));
    assert!(Json::parse(b"{} {}").is_err());
}

#[test]
fn half_of_a_surrogate_pair_is_read_as_go_reads_it() {
    for (escaped, read) in [
        (r"a\u00e9\n", "aé\n"),
        (r"\ud83d\ude00", "😀"),
        (r"\ud83d", "\u{fffd}"),
        (r"\uDE00", "\u{fffd}"),
        (r"\ud83d\u0041", "\u{fffd}A"),
        (r"\ud83d\ud83d\ude00", "\u{fffd}😀"),
        (r"\ude00\ud83dé", "\u{fffd}\u{fffd}é"),
        // The backslash itself is escaped, so that what follows is text.
        (r"\\ud83d", r"\ud83d"),
        (r"\\\ud83d", "\\\u{fffd}"),
    ] {
        let text = format!("[\"{escaped}\"]");
        assert_eq!(
            Json::parse(text.as_bytes()),
            Ok(Json::Array(vec![Json::Text(read.to_owned())])),
            "{text}"
        );
    }
    for text in [r#"["\ud83"]"#, r#"["\u"]"#, "[\"\\", r#"["\é"]"#] {
        assert!(Json::parse(text.as_bytes()).is_err(), "{text}");
    }
}

#[test]
fn a_file_may_be_empty_and_its_first_value_counts() {
    assert_eq!(Json::first(b" \n"), Ok(None));
    assert_eq!(Json::first(b"{} }"), Ok(Some(Json::Object(Vec::new()))));
    assert_eq!(Json::first(b"{\n").unwrap_err().line(), Some(2));
}

/// Any JSON, with keys among which are those of the structures.
pub(crate) fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-cA-C]{1,2}", inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn unknown_members_are_kept_as_they_are(value in any_json()) {
        let text = serde_json::to_vec(&value).unwrap();
        prop_assert_eq!(Value::from(Json::parse(&text).unwrap()), serde_json::from_slice::<Value>(&text).unwrap());
    }

    #[test]
    fn nulls_and_other_case_change_nothing(
        upper in prop::collection::vec(any::<bool>(), 16),
        null_before in any::<bool>(),
        null_after in any::<bool>(),
    ) {
        let mut flips = upper.into_iter().cycle();
        let mut cased = |key: &str| -> String {
            key.chars().map(|c| if flips.next() == Some(true) { c.to_ascii_uppercase() } else { c }).collect()
        };
        let inner = json!({ "name": "n", "urls": ["u"] });
        let members = [("mediaType", json!("x")), ("size", json!(3)), ("os.version", json!("1")),
            ("labels", json!({ "K": "v" })), ("layers", json!([inner]))];
        let plain: Map<String, Value> = members.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        let mut text = Vec::new();
        for (key, value) in &members {
            if null_before { text.push(format!("{}:null", json!(cased(key)))); }
            text.push(format!("{}:{value}", json!(cased(key))));
            if null_after { text.push(format!("{}:null", json!(cased(key)))); }
        }
        let read = from_slice::<Outer>(format!("{{{}}}", text.join(",")).as_bytes()).unwrap();
        prop_assert_eq!(read, from_slice::<Outer>(&serde_json::to_vec(&plain).unwrap()).unwrap());
    }
}

#[test]
fn more_values_than_any_manifest_has_are_not_read() {
    let of = |count: usize, item: &str| format!("[{}]", vec![item; count].join(","));
    assert!(Json::parse(of(MOST_VALUES, "0").as_bytes()).is_ok());
    for text in [of(MOST_VALUES + 1, "0"), of(MOST_VALUES, "[]"), of(MOST_VALUES, r#"{"":0}"#)] {
        let error = Json::parse(text.as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), "more than 2000000 values");
        assert!(Json::first(text.as_bytes()).is_err());
    }
}
