use super::*;

/// What is published, by target: the tags with their repository.
fn tags(file: &str, text: &str) -> Result<Vec<String>, String> {
    let published = published(file, text)?;
    Ok(published
        .services
        .iter()
        .map(|service| format!("{}: {}", service.name, service.tags.join(" ")))
        .collect())
}

#[test]
fn variables_of_json_are_filled_in_whatever_their_order() {
    for (variables, expected) in [
        (r#""A": {"default": "1"}"#, Some("x: 1-${B}")),
        (r#""A": {"default": "${B}"}, "B": {"default": "2"}"#, Some("x: 2-2")),
        (r#""A": {"default": "2"}, "B": {"default": "${A}"}"#, Some("x: 2-2")),
        (r#""A": {"default": "${A}1"}"#, None),
    ] {
        let text = format!(
            r#"{{"variable": {{{variables}}}, "target": {{"x": {{"tags": ["r/x:${{A}}-${{B}}"]}}}}}}"#
        );
        let found = tags("docker-bake.json", &text).ok().map(|found| found.join(", "));
        // A variable that is not known is taken as it stands.
        let found = found.map(|found| found.replace("{{", "{").replace("}}", "}"));
        assert_eq!(found.is_some(), expected.is_some(), "{variables}");
        if !variables.contains("\"1\"") {
            assert_eq!(found.as_deref(), expected, "{variables}");
        }
    }
}

#[test]
fn keys_of_the_later_parent_count_and_its_own_count_most() {
    let text = r#"{"target": {
        "a": {"args": {"A": "a"}, "tags": ["r/x:a"], "inherits": ["b"]},
        "b": {"args": {"B": "b"}, "tags": ["r/x:b"], "inherits": ["a"]},
        "c": {"inherits": ["a", "b", "a"], "args": {"C": "c"}},
        "d": {"inherits": ["nothing"], "tags": ["r/x:d"]}
    }}"#;
    assert_eq!(tags("docker-bake.json", text).unwrap(), ["a: a", "b: b", "c: a", "d: d"]);
}

#[test]
fn what_doubles_is_told_before_it_is_made() {
    let doubling = |count: usize, each: &dyn Fn(usize) -> String| (0..count).map(each).collect::<Vec<_>>();
    let json = |count: usize| {
        let variables = doubling(count, &|index| match index {
            0 => r#""V0": {"default": "xx"}"#.to_owned(),
            _ => format!(r#""V{index}": {{"default": "${{V{0}}}${{V{0}}}"}}"#, index - 1),
        });
        format!(r#"{{"variable": {{{}}}, "target": {{"x": {{"tags": ["r/x:1"]}}}}}}"#, variables.join(","))
    };
    // Each inherits many times from each of the one before.
    let inherits = |depth: usize, width: usize| {
        let target = |depth: usize, own: usize| match depth {
            0 => format!(r#""t0-{own}": {{"args": {{"A{own}": "{}"}}}}"#, "x".repeat(100)),
            _ => {
                let names: Vec<String> =
                    (0..width).map(|index| format!(r#""t{}-{index}""#, depth - 1)).collect();
                format!(r#""t{depth}-{own}": {{"inherits": [{}], "tags": ["r/x:1"]}}"#, names.join(","))
            }
        };
        let all: Vec<String> =
            (0..depth).flat_map(|depth| (0..width).map(move |own| target(depth, own))).collect();
        format!(r#"{{"target": {{{}}}}}"#, all.join(","))
    };
    let chain: Vec<String> = (0..5000)
        .map(|index| format!(r#""t{index}": {{"tags": ["r/x:1"], "inherits": ["t{}"]}}"#, index + 1))
        .collect();
    let many: Vec<String> =
        (0..3000).map(|index| format!(r#""V{index}": {{"default": "{}"}}"#, "x".repeat(100))).collect();
    let targets: Vec<String> =
        (0..3000).map(|index| format!(r#""t{index}": {{"tags": ["r/x:1"]}}"#)).collect();
    for (text, expected) in [
        (json(8), None),
        (json(5000), Some("longer than")),
        (inherits(3, 5), None),
        (inherits(15, 30), None),
        (inherits(20, 50), Some("its targets inherit more than 16777216 bytes")),
        (format!(r#"{{"target": {{{}}}}}"#, chain.join(",")), None),
        (
            format!(r#"{{"variable": {{{}}}, "target": {{{}}}}}"#, many.join(","), targets.join(",")),
            Some("longer than 16777216 bytes"),
        ),
        (
            format!(
                r#"{{"variable": {{"A": {{"default": "{}"}}}}, "target": {{"x": {{"tags": ["r/x:{}"]}}}}}}"#,
                "x".repeat(100_000),
                "${A}".repeat(1000)
            ),
            Some("longer than 262144 bytes"),
        ),
        (" ".repeat(LONGEST_FILE + 1), Some("it is longer than 1048576 bytes")),
        ("[".repeat(100_000), Some("")),
    ] {
        let read = published("docker-bake.json", &text).err();
        let start: String = text.chars().take(60).collect();
        assert_eq!(read.is_some(), expected.is_some(), "{start}: {read:?}");
        assert!(read.unwrap_or_default().contains(expected.unwrap_or_default()), "{start}");
    }
}

#[cfg(feature = "other-tools")]
#[test]
fn hcl_is_bounded_before_it_is_evaluated() {
    let target = "target \"x\" {\n  tags = [\"r/x:1\"]\n}\n";
    let doubling: String = (1..5000)
        .map(|index| format!("variable \"V{index}\" {{ default = \"${{V{0}}}${{V{0}}}\" }}\n", index - 1))
        .collect();
    let doubling = format!("variable \"V0\" {{ default = \"xx\" }}\n{doubling}{target}");
    let each = "[for a in [\"1\", \"2\"]: ".repeat(30) + "\"r/x:1\"" + &"]".repeat(30);
    for (text, expected) in [
        (target.to_owned(), None),
        (
            "variable \"T\" { default = [\"1\", \"2\"] }\ntarget \"x\" { tags = [for t in T: \"r/x:${t}\"] }"
                .to_owned(),
            None,
        ),
        (doubling, Some("may get longer than 262144 bytes")),
        (format!("target \"x\" {{ tags = {each} }}"), Some("may get longer than 262144 bytes")),
        (
            format!(
                "target \"x\" {{ tags = [\"r/x:1\"]\n args = {{ A = {}1{} }} }}",
                "(".repeat(50_000),
                ")".repeat(50_000)
            ),
            Some(""),
        ),
        (
            format!("target \"x\" {{ tags = [\"r/x:1\"]\n args = {{ A = {}1 }} }}", "1 + ".repeat(50_000)),
            Some(""),
        ),
        (
            format!("target \"x\" {{ tags = [\"r/x:1\"]\n args = {{ A = {}true }} }}", "!".repeat(50_000)),
            Some(""),
        ),
        (format!("{}{}", "target \"x\" {\n".repeat(50_000), "}\n".repeat(50_000)), Some("")),
        (format!("target \"x\" {{ tags = [\"r/x:{}\"] }}", "${\"".repeat(10_000)), Some("")),
    ] {
        let read = published("docker-bake.hcl", &text);
        let start: String = text.chars().take(60).collect();
        assert_eq!(read.is_err(), expected.is_some(), "{start}: {:?}", read.err());
        if let Err(error) = read {
            assert!(error.contains(expected.unwrap_or_default()), "{start}: {error}");
        }
    }
    let found = tags(
        "docker-bake.hcl",
        "variable \"T\" { default = [\"1\", \"2\"] }\ntarget \"x\" { tags = [for t in T: \"r/x:${t}\"] }",
    );
    assert_eq!(found.unwrap(), ["x: 1 2"]);
}
