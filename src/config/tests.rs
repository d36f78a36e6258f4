//! The declaration's behaviour on text. The first case is the one without problems.

use std::path::Path;

use super::*;

fn facts() -> Facts {
    let package =
        |name: &str, version: &str| Package { name: name.to_owned(), version: version.parse().unwrap() };
    Facts {
        git_sha: Ok("0123456789abcdef0123456789abcdef01234567".to_owned()),
        git_tag: Err("the commit checked out has no tag".to_owned()),
        source: Ok("https://github.com/o/r".to_owned()),
        packages: Ok(vec![package("app", "1.2.3"), package("tool", "0.1.0-rc.1+b")]),
        env: [("CHANNEL".to_owned(), "beta/1".to_owned())].into(),
    }
}

fn resolve(text: &str, strictness: Strictness) -> Result<Declaration, Problems> {
    read(Path::new("/w/manifests.toml"), text)?.resolve(&facts(), strictness)
}

fn good(text: &str) -> Declaration {
    resolve(text, Strictness::Release).unwrap_or_else(|problems| panic!("{problems}"))
}

/// `LINE:COLUMN message` of every problem, with its help.
fn bad(text: &str) -> Vec<String> {
    let problems = resolve(text, Strictness::Release).expect_err("no problem was found");
    problems
        .shown_as(Path::new("manifests.toml"))
        .located()
        .map(|at| {
            let help = at.help.map_or(String::new(), |help| format!(" | {help}"));
            format!("{}:{} {}{help}", at.line, at.column, at.message)
        })
        .collect()
}

const WALKTHROUGH: &str = r#"
[target.echo-platform]
repository = "docker.io/bookadmusic/echo-platform"
tags       = ["20240716", { name = "latest", policy = "newest" }]
image      = "docker.io/bookadmusic/echo-platform-{arch}:20240716"
platforms  = ["linux/amd64", "linux/arm64"]
package    = "app"
build.context = "examples/echo-platform"
build.args    = { BASE = "alpine:latest" }
smoke      = { command = ["cat", "/os.txt"], expect = "{machine}" }

[target.echo-platform.platform."linux/arm64"]
image = "docker.io/bookadmusic/echo-platform-arm64:20240716"

[registry."registry.corp:5000"]
ca-file = "certs/corp.pem"
"#;

#[test]
fn the_walkthrough_is_declared() {
    let declaration = good(WALKTHROUGH);
    let target = &declaration.targets[0];
    assert_eq!(target.tags[1].policy, TagPolicy::Newest);
    let images: Vec<String> = target.images.iter().map(|image| image.reference.to_string()).collect();
    assert_eq!(
        images,
        [
            "docker.io/bookadmusic/echo-platform-amd64:20240716",
            "docker.io/bookadmusic/echo-platform-arm64:20240716"
        ]
    );
    let arm64 = &target.images[1];
    let build = arm64.build.as_ref().unwrap();
    assert_eq!(build.context, Path::new("/w/examples/echo-platform"));
    assert_eq!(build.args["BASE"], "alpine:latest");
    assert_eq!(build.added_labels["org.opencontainers.image.version"], "1.2.3");
    assert_eq!(arm64.smoke.as_ref().unwrap().expect.as_deref(), Some("aarch64"));
    assert_eq!(
        declaration.registries["registry.corp:5000"].ca_file.as_deref(),
        Some(Path::new("/w/certs/corp.pem"))
    );
}

#[test]
fn defaults_merge_and_replace() {
    let declaration = good(
        r#"
        [defaults]
        platforms = ["linux/amd64", "linux/arm64"]
        build = { context = "services", args = { A = "1", B = "2" }, labels = { "org.opencontainers.image.source" = "x" } }
        tags = ["{version}", "{major}.{minor}", "latest"]
        undeclared = "remove"

        [target.app]
        repository = ["ghcr.io/o/{target}", "docker.io/o/{target}"]
        build.args = { B = "3" }
        [target.app.platform."linux/arm64"]
        build.args = { C = "{platform}" }
        os-version = "ubuntu22.04"

        [target.other]
        package = "tool"
        repository = "ghcr.io/o/other"
        platforms = ["linux/arm/v7"]
        build = false
        "#,
    );
    let [app, other] = &declaration.targets[..] else { panic!() };
    let args = |index: usize| app.images[index].build.as_ref().unwrap().args.clone();
    assert_eq!(args(0), [("A".to_owned(), "1".to_owned()), ("B".to_owned(), "3".to_owned())].into());
    assert_eq!(args(1)["C"], "linux(ubuntu22.04)/arm64");
    assert_eq!(app.images[1].platform.to_string(), "linux(ubuntu22.04)/arm64");
    assert!(
        !app.images[0].build.as_ref().unwrap().added_labels.contains_key("org.opencontainers.image.source")
    );
    let tags: Vec<(&str, TagPolicy)> = app.tags.iter().map(|tag| (tag.name.as_str(), tag.policy)).collect();
    assert_eq!(
        tags,
        [("1.2.3", TagPolicy::Immutable), ("1.2", TagPolicy::Moving), ("latest", TagPolicy::Moving)]
    );
    assert_eq!(app.undeclared, Undeclared::Remove);
    assert_eq!(other.tags[0].name, "0.1.0-rc.1-b", "what a tag cannot hold becomes a dash");
    assert_eq!(other.images[0].reference.to_string(), "ghcr.io/o/other:0.1.0-rc.1-b-linux-arm-v7");
    assert!(other.images[0].build.is_none());
}

#[test]
fn templates_know_where_they_stand() {
    let declaration = good(
        r#"
        [target.app]
        repository = "ghcr.io/o/app"
        tags = ["{env.CHANNEL}", "{git.sha}"]
        image = "ghcr.io/o/app:{tag}-{platform}"
        platforms = ["linux/arm/v7"]
        build.labels = { literal = "{{os}}", p = "{os}.{arch}.{variant}" }
        "#,
    );
    let image = &declaration.targets[0].images[0];
    assert_eq!(image.reference.to_string(), "ghcr.io/o/app:beta-1-linux-arm-v7");
    let labels = &image.build.as_ref().unwrap().labels;
    assert_eq!((labels["literal"].as_str(), labels["p"].as_str()), ("{os}", "linux.arm.v7"));
}

#[test]
fn only_check_accepts_what_this_checkout_cannot_resolve() {
    let text = "[target.app]\nrepository = \"ghcr.io/o/app\"\ntags = [\"{git.tag}\"]\nplatforms = [\"linux/amd64\"]\n";
    assert!(resolve(text, Strictness::Check).is_ok());
    assert_eq!(bad(text), ["3:11 `{git.tag}` cannot be resolved: the commit checked out has no tag"]);
}

/// A target that is right but for what `change` replaces.
fn changed(from: &str, to: &str) -> String {
    let text = "[target.app]\nrepository = \"ghcr.io/o/app\"\ntags = [\"1\"]\nplatforms = [\"linux/amd64\", \"linux/arm64\"]\n";
    assert!(text.contains(from), "{from}");
    text.replacen(from, to, 1)
}

#[test]
fn mistakes_name_place_and_way_out() {
    let table: &[(&str, &str, &[&str])] = &[
        (
            "tags = ",
            "tag = ",
            &["1:9 target `app` has no `tags`", "3:1 unknown key `tag` of a target | did you mean `tags`?"],
        ),
        ("\"1\"", "1", &["3:9 wrong type of `tags`"]),
        ("[\"1\"]", "[]", &["3:8 `tags` is empty"]),
        ("\"1\"", "\"a b\"", &["3:9 `a b` is not a tag"]),
        ("\"1\"", "\"1\", \"1\"", &["3:14 the tag `1` is declared twice"]),
        (
            "\"1\"",
            "{ name = \"1\", policy = \"movin\" }",
            &["3:32 unknown value `movin` of `policy` | did you mean `moving`?"],
        ),
        ("\"1\"", "\"{versoin}\"", &["3:11 unknown template name `versoin` | did you mean `{version}`?"]),
        (
            "\"1\"",
            "\"{arch}\"",
            &[
                "3:11 `{arch}` has no value in `tags` | it has one where a platform is known: in `image`, `build`, `smoke` and the tables of platforms",
            ],
        ),
        ("\"1\"", "\"{version\"", &["3:10 this brace is never closed | write `{{` for a brace"]),
        ("ghcr.io/o/app", "ghcr.io/O/app", &["2:14 `ghcr.io/O/app` is not a repository"]),
        ("ghcr.io/o/app", "https://ghcr.io/o/app", &["2:14 `https://ghcr.io/o/app` is not a repository"]),
        (
            "linux/arm64",
            "linux/arm46",
            &["4:29 unknown architecture `arm46` for linux; did you mean `arm64`?"],
        ),
        (
            "linux/arm64",
            "linux",
            &[
                "4:29 `linux` is not a platform: expected os[(os.version)]/arch[/variant], e.g. linux/arm64 or linux/arm/v7",
            ],
        ),
        (
            "linux/arm64",
            "linux/x86_64",
            &[
                "4:29 two images for one platform, linux/amd64 | leave one out; two versions of a system are told apart by `os-version`",
            ],
        ),
        (
            "platforms",
            "image = \"ghcr.io/o/app:x\"\nplatforms",
            &[
                "4:9 this names one image, ghcr.io/o/app:x, for two platforms | tell them apart, e.g. with `{platform}` or `{arch}`",
            ],
        ),
        (
            "platforms",
            "platform.\"linux/s390x\" = {}\nplatforms",
            &["4:10 `platform.\"linux/s390x\"` is not among `platforms` | known are linux/amd64, linux/arm64"],
        ),
        (
            "platforms",
            "format = \"docker\"\nannotations = { a = \"b\" }\nplatforms",
            &["5:17 a Docker manifest list has no annotations | set `format = \"oci\"`, or leave them out"],
        ),
        ("platforms", "smoke = { timeout = \"soon\" }\nplatforms", &["4:21 `soon` is not a duration"]),
        (
            "platforms",
            "build = { contxt = \".\" }\nplatforms",
            &["4:11 unknown key `contxt` of `build` | did you mean `context`?"],
        ),
        (
            "platforms",
            "package = \"ap\"\nplatforms",
            &["4:11 no package `ap` in this workspace | did you mean `app`?"],
        ),
        (
            "[target.app]",
            "[registry.\"https://ghcr.io\"]\n[target.app]",
            &["1:11 `https://ghcr.io` is not a registry's host | write HOST or HOST:PORT, e.g. \"ghcr.io\""],
        ),
        (
            "[target.app]",
            "[registry.\"r.corp\"]\nclient-cert = \"c\"\n[target.app]",
            &["2:15 a client's certificate and key go together: `client-key` is missing"],
        ),
        (
            "[target.app]",
            "[registry.\"r.corp\"]\nplain-http = true\nca-file = \"c\"\n[target.app]",
            &["2:1 plain HTTP has no use for certificates"],
        ),
        (
            "[target.app]",
            "[targt.x]\n[target.app]",
            &["1:2 unknown key `targt` of the file | did you mean `target`?"],
        ),
    ];
    for (from, to, expected) in table {
        let found = bad(&changed(from, to));
        let matches = found.len() == expected.len()
            && found.iter().zip(*expected).all(|(found, expected)| found == expected);
        assert!(matches, "{to}\n found: {found:#?}\n expected: {expected:#?}");
    }
}

#[test]
fn targets_may_not_meet() {
    let two = |second: &str| {
        format!(
            "[defaults]\ntags = [\"1\"]\nplatforms = [\"linux/amd64\"]\n[target.a]\nrepository = \"ghcr.io/o/a\"\n{second}"
        )
    };
    assert_eq!(
        bad(&two("[target.b]\nrepository = \"ghcr.io/o/a\"\nimage = \"ghcr.io/o/x\"\n")),
        ["2:9 targets a and b both publish ghcr.io/o/a:1"]
    );
    assert_eq!(
        bad(&two("[target.b]\nrepository = \"ghcr.io/o/b\"\nimage = \"ghcr.io/o/a:1\"\n")),
        ["8:9 ghcr.io/o/a:1 is to be an image, and the list of target a"]
    );
    assert_eq!(
        bad(&two("[target.b]\nrepository = \"ghcr.io/o/b\"\nimage = \"ghcr.io/o/a:1-linux-amd64\"\n")),
        ["8:9 two images resolve to ghcr.io/o/a:1-linux-amd64"]
    );
}

#[test]
fn an_image_with_a_digest_is_not_built() {
    let digest = crate::digest::Digest::of(b"x");
    let by_digest = format!("platforms = [\"linux/amd64\"]\nimage = \"ghcr.io/o/app@{digest}\"\n");
    let text = format!("[target.app]\nrepository = \"ghcr.io/o/app\"\ntags = [\"1\"]\n{by_digest}");
    assert_eq!(good(&text).targets[0].images[0].reference.digest.as_ref(), Some(&digest));
    let found = bad(&format!("{text}build.context = \".\"\n"));
    assert!(found[0].starts_with("5:9 an image that is built has no digest yet"), "{found:?}");
}

#[test]
fn all_problems_are_shown_with_line_and_caret() {
    let text =
        "[target.app]\nrepository = \"ghcr.io/O/app\"\ntags = [\"1\"]\nplatfroms = [\"linux/amd64\"]\n";
    let problems = resolve(text, Strictness::Check).unwrap_err().shown_as(Path::new("manifests.toml"));
    snapbox::assert_data_eq!(
        problems.render(false),
        snapbox::str![[r#"
error: target `app` has no platforms
 --> manifests.toml:1:9
  |
1 | [target.app]
  |         ^^^
  |
  = help: list them, e.g. `platforms = ["linux/amd64", "linux/arm64"]`

error: `ghcr.io/O/app` is not a repository
 --> manifests.toml:2:14
  |
2 | repository = "ghcr.io/O/app"
  |              ^^^^^^^^^^^^^^^ a repository's name is lower-case

error: unknown key `platfroms` of a target
 --> manifests.toml:4:1
  |
4 | platfroms = ["linux/amd64"]
  | ^^^^^^^^^
  |
  = help: did you mean `platforms`?

"#]]
    );
}

proptest::proptest! {
    /// No text makes it panic, however it was mangled.
    #[test]
    fn mangled_text_is_a_problem_and_no_panic(
        at in 0usize..700, length in 0usize..12, insert in "[\\PC\\n]{0,4}",
    ) {
        let mut text = WALKTHROUGH.to_owned();
        let floor = |mut index: usize| { while !text.is_char_boundary(index) { index -= 1; } index };
        let start = floor(at.min(text.len()));
        let end = floor((start + length).min(text.len()));
        text.replace_range(start..end, &insert);
        if let Err(problems) = resolve(&text, Strictness::Check) {
            proptest::prop_assert!(!problems.render(false).is_empty());
        }
    }
}
