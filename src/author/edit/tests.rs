//! Each change as text before and after, then many of them in any order.

use proptest::prelude::*;

use super::*;
use crate::config::{Declaration, Facts, Strictness};

const FILE: &str = r##"# What we publish. "Quotes # and hashes" in a comment.
[defaults]
attestations = "drop" # none of them

# The service.
[target.app] # the first
# where it goes
repository = "docker.io/acme/app"   # the Hub
tags = [
  # the release
  "1.0", # and
  "latest", # moving
]
image = "docker.io/acme/app-{arch}:1.0" # per platform
platforms = ["linux/amd64", "linux/arm64"] # two

# Arm is special.
[target.app.platform."linux/arm64"] # special
os-features = [ "a" ] # of the system
# end of arm

[target.tool]
repository = ["ghcr.io/acme/tool", "docker.io/acme/tool"] # twice
tags = ["1"]
annotations = { note = "# no \"comment\"", other = '# none' } # but this
platform."linux/amd64".image = "ghcr.io/acme/tool:amd64" # as dotted keys
# between
platform."linux/arm/v7".image = 'ghcr.io/acme/tool:arm7'

# Registries.
[registry."registry.corp:5000"]
max-connections = 4 # careful
# the end
"##;

fn resolve(text: &str) -> Declaration {
    let document = crate::config::read(std::path::Path::new("/p/manifests.toml"), text);
    let document = document.unwrap_or_else(|problems| panic!("{problems}\n{text}")).without_targets();
    document
        .resolve(&Facts::default(), Strictness::Check)
        .unwrap_or_else(|problems| panic!("{problems}\n{text}"))
}

/// The lines of `after` that `before` does not have, and the other way round.
fn diff(before: &str, after: &str) -> String {
    let mut lines = Vec::new();
    let missing = |line: &&str, other: &str| !other.lines().any(|theirs| theirs == *line);
    lines.extend(before.lines().filter(|line| missing(line, after)).map(|line| format!("-{line}")));
    lines.extend(after.lines().filter(|line| missing(line, before)).map(|line| format!("+{line}")));
    lines.join("\n")
}

fn platform(text: &str) -> Platform {
    text.parse().unwrap()
}

fn image(platform_text: &str, image: &str) -> NewPlatform {
    NewPlatform { platform: platform(platform_text), image: Some(image.to_owned()), ..NewPlatform::default() }
}

fn new_target(name: &str) -> NewTarget {
    NewTarget {
        name: name.to_owned(),
        repositories: vec![format!("docker.io/acme/{name}")],
        tags: vec!["1".to_owned()],
        platforms: vec![
            image("linux/amd64", &format!("docker.io/acme/{name}-amd64:1")),
            image("linux/arm64/v8", &format!("docker.io/acme/{name}-arm64:1")),
        ],
        ..NewTarget::default()
    }
}

#[test]
fn no_change_is_no_change() {
    assert_eq!(apply(FILE, &[]).unwrap(), FILE);
}

#[test]
fn a_new_target_comes_behind_the_others() {
    let after = apply(FILE, &[Change::AddTarget(new_target("new"))]).unwrap();
    let expected = r#"
[target.new]
repository = "docker.io/acme/new"
tags = ["1"]

[target.new.platform."linux/amd64"]
image = "docker.io/acme/new-amd64:1"

[target.new.platform."linux/arm64/v8"]
image = "docker.io/acme/new-arm64:1"

# Registries.
"#;
    let registries = FILE.find("\n# Registries.\n").unwrap();
    let end = &FILE[registries + "\n# Registries.\n".len()..];
    assert_eq!(after, format!("{}{expected}{end}", &FILE[..registries]));
    assert_eq!(resolve(&after).targets[2].images[1].reference.to_string(), "docker.io/acme/new-arm64:1");
}

#[test]
fn the_first_target_needs_no_blank_line_before_it() {
    let after = apply("", &[Change::AddTarget(new_target("new"))]).unwrap();
    assert!(after.starts_with("[target.new]\nrepository = "), "{after}");
    let after = apply("# only this\n", &[Change::AddTarget(new_target("new"))]).unwrap();
    assert!(after.starts_with("# only this\n"), "{after}");
    resolve(&after);
}

#[test]
fn what_stands_at_the_end_of_the_file_stays_with_what_it_follows() {
    let file = "[target.a]\nrepository = \"docker.io/a/a\"\ntags = [\"1\"]\nplatforms = [\"linux/amd64\"]\n# end of a\n";
    let after = apply(file, &[Change::AddTarget(new_target("new"))]).unwrap();
    assert!(after.starts_with(&format!("{file}\n[target.new]\n")), "{after}");
}

#[test]
fn an_array_grows_as_it_is_laid_out() {
    for (before, after) in [
        ("[]", "[\"x\"]"),
        ("[\"a\"]", "[\"a\", \"x\"]"),
        ("[ \"a\", \"b\" ]", "[ \"a\", \"b\", \"x\" ]"),
        ("[\n  \"a\", # one\n  \"b\", # two\n]", "[\n  \"a\", # one\n  \"b\", # two\n  \"x\",\n]"),
        ("[\n  \"a\",\n  \"b\" # two\n]", "[\n  \"a\",\n  \"b\", # two\n  \"x\"\n]"),
        ("[\n  # first\n  \"a\",\n  # end\n]", "[\n  # first\n  \"a\",\n  # end\n  \"x\",\n]"),
    ] {
        let mut document: DocumentMut = format!("a = {before}\n").parse().unwrap();
        layout::push(document["a"].as_array_mut().unwrap(), "x");
        assert_eq!(document.to_string(), format!("a = {after}\n"));
    }
}

#[test]
fn a_new_target_is_not_what_the_defaults_make_of_it() {
    let file = "[defaults]\nplatforms = [\"linux/s390x\"]\nbuild.context = \"x\"\n";
    let declaration = resolve(&apply(file, &[Change::AddTarget(new_target("new"))]).unwrap());
    let images = &declaration.targets[0].images;
    assert_eq!(
        images.iter().map(|image| image.platform.to_string()).collect::<Vec<_>>(),
        ["linux/amd64", "linux/arm64/v8"]
    );
    assert!(images.iter().all(|image| image.build.is_none()));
}

#[test]
fn an_image_is_replaced_where_it_stands_or_added_as_the_others_are() {
    let set = |target: &str, image| Change::SetImage { target: target.to_owned(), image, built: false };
    for (change, expected) in [
        (
            set("tool", image("linux/arm/v7", "ghcr.io/acme/tool:arm8")),
            "-platform.\"linux/arm/v7\".image = 'ghcr.io/acme/tool:arm7'\n\
             +platform.\"linux/arm/v7\".image = \"ghcr.io/acme/tool:arm8\"",
        ),
        (
            set("tool", image("linux/s390x", "ghcr.io/acme/tool:s390x")),
            "+platform.\"linux/s390x\".image = \"ghcr.io/acme/tool:s390x\"",
        ),
        (
            set("app", image("linux/s390x", "docker.io/acme/app:s390x")),
            "-platforms = [\"linux/amd64\", \"linux/arm64\"] # two\n\
             +platforms = [\"linux/amd64\", \"linux/arm64\", \"linux/s390x\"] # two\n\
             +[target.app.platform.\"linux/s390x\"]\n\
             +image = \"docker.io/acme/app:s390x\"",
        ),
        (
            set("app", image("linux/arm64/v8", "docker.io/acme/app:arm")),
            "+image = \"docker.io/acme/app:arm\"",
        ),
    ] {
        let after = apply(FILE, std::slice::from_ref(&change)).unwrap();
        assert_eq!(diff(FILE, &after), expected, "{change:?}");
        resolve(&after);
    }
}

#[test]
fn an_image_that_exists_is_not_built() {
    let file = "[target.a]\nrepository = \"docker.io/a/a\"\ntags = [\"1\"]\nplatforms = [\"linux/amd64\"]\n\
                build.context = \"x\"\n[target.a.platform.\"linux/amd64\"]\n# why\nbuild.stage = \"y\" # because\n";
    let change = Change::SetImage {
        target: "a".to_owned(),
        image: image("linux/amd64", "docker.io/a/b:1"),
        built: true,
    };
    let after = apply(file, &[change]).unwrap();
    assert!(after.ends_with("image = \"docker.io/a/b:1\"\n# why\n# because\nbuild = false\n"), "{after}");
    assert!(resolve(&after).targets[0].images[0].build.is_none());
}

#[test]
fn a_platform_changes_wherever_it_is_named() {
    let set = |target: &str, from: &str, to: Platform, reference: &str| Change::SetPlatform {
        target: target.to_owned(),
        from: platform(from),
        to,
        reference: reference.to_owned(),
    };
    let with_version = |text: &str| Platform { os_version: Some("ubuntu22.04".to_owned()), ..platform(text) };
    let with_features =
        Platform { os_features: vec!["a".to_owned(), "b".to_owned()], ..platform("linux/arm64") };
    let mut from_features = platform("linux/arm64");
    from_features.os_features = vec!["a".to_owned()];
    for (change, expected) in [
        (
            set("tool", "linux/amd64", with_version("linux/amd64"), ""),
            "+platform.\"linux/amd64\".os-version = \"ubuntu22.04\"",
        ),
        (
            set("tool", "linux/arm/v7", platform("linux/arm/v6"), ""),
            "-platform.\"linux/arm/v7\".image = 'ghcr.io/acme/tool:arm7'\n\
             +platform.\"linux/arm/v6\".image = 'ghcr.io/acme/tool:arm7'",
        ),
        (
            set("app", "linux/amd64", platform("linux/amd64/v3"), "docker.io/acme/app-amd64:1.0"),
            "-platforms = [\"linux/amd64\", \"linux/arm64\"] # two\n\
             +platforms = [\"linux/amd64/v3\", \"linux/arm64\"] # two\n\
             +[target.app.platform.\"linux/amd64/v3\"]\n\
             +image = \"docker.io/acme/app-amd64:1.0\"",
        ),
        (
            Change::SetPlatform {
                target: "app".to_owned(),
                from: from_features,
                to: with_features,
                reference: String::new(),
            },
            "-os-features = [ \"a\" ] # of the system\n+os-features = [ \"a\", \"b\" ] # of the system",
        ),
    ] {
        let after = apply(FILE, std::slice::from_ref(&change)).unwrap();
        assert_eq!(diff(FILE, &after), expected, "{change:?}");
        resolve(&after);
    }
}

#[test]
fn what_goes_leaves_its_comments() {
    let remove = |target: &str| Change::RemoveTarget { target: target.to_owned() };
    let after = apply(FILE, &[remove("tool")]).unwrap();
    let expected = "# end of arm\n# but this\n# as dotted keys\n# between\n\n# Registries.\n[registry";
    let kept = after.replace("# twice\n", "");
    assert!(kept.contains(expected), "{after}");
    let after = apply(FILE, &[remove("tool"), remove("app")]).unwrap();
    assert!(!after.contains("[target"), "{after}");
    for comment in comments_of(FILE) {
        assert!(after.contains(&comment), "{comment}\n{after}");
    }
    let after = apply(FILE, &[Change::RemoveTag { target: "app".to_owned(), index: 0 }]).unwrap();
    assert!(after.contains("tags = [\n  # the release\n  # and\n  \"latest\", # moving\n]"), "{after}");
    let after = apply(FILE, &[Change::RemoveTag { target: "app".to_owned(), index: 1 }]).unwrap();
    assert_eq!(resolve(&after).targets[0].tags.len(), 1);
    let change = Change::RemoveRepository { target: "tool".to_owned(), index: 0 };
    let after = apply(FILE, &[change]).unwrap();
    assert!(after.contains("repository = [\"docker.io/acme/tool\"] # twice"), "{after}");
}

#[test]
fn what_cannot_be_changed_is_said() {
    let file = "[defaults]\ntags = [\"1\"]\nplatforms = [\"linux/amd64\"]\n[target.a]\nrepository = \"docker.io/a/a\"\n";
    let inherited = |key| Err(EditError::Inherited { target: "a".to_owned(), key });
    let target = || "a".to_owned();
    for (text, change, expected) in [
        (file, Change::RemoveTag { target: target(), index: 0 }, inherited("tags")),
        (
            file,
            Change::SetPlatform {
                target: target(),
                from: platform("linux/amd64"),
                to: platform("linux/amd64/v2"),
                reference: String::new(),
            },
            inherited("platforms"),
        ),
        (
            file,
            Change::RemoveRepository { target: target(), index: 0 },
            Err(EditError::Unexpected { target: target(), key: "repository".to_owned() }),
        ),
        (file, Change::RemoveTarget { target: "b".to_owned() }, Err(EditError::NoTarget("b".to_owned()))),
    ] {
        assert_eq!(apply(text, &[change]), expected);
    }
    assert!(matches!(apply("a = ", &[]), Err(EditError::Syntax(_))));
}

#[test]
fn a_name_is_made_unique() {
    assert_eq!(free_name(FILE, &[], &["new"]).unwrap(), "new");
    assert_eq!(free_name(FILE, &[], &["app", "app-1"]).unwrap(), "app-1");
    assert_eq!(free_name(FILE, &[], &["app", "tool"]).unwrap(), "tool-2");
}

/// The comments of a TOML text, found by reading its characters and not by the library that edits it.
fn comments_of(text: &str) -> Vec<String> {
    let mut comments = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let quotes = ["\"\"\"", "'''", "\"", "'"].into_iter().find(|quotes| rest.starts_with(quotes));
        if let Some(quotes) = quotes {
            rest = &rest[quotes.len()..];
            while !rest.starts_with(quotes) && !rest.is_empty() {
                let escaped = quotes.starts_with('"') && rest.starts_with('\\');
                let length = rest.chars().take(if escaped { 2 } else { 1 }).map(char::len_utf8).sum();
                rest = &rest[length..];
            }
            rest = rest.get(quotes.len()..).unwrap_or_default();
        } else if c == '#' {
            let comment = rest.lines().next().unwrap_or_default();
            comments.push(comment.trim_end().to_owned());
            rest = &rest[comment.len()..];
        } else {
            rest = &rest[c.len_utf8()..];
        }
    }
    comments
}

/// One random edit of whatever is declared now, as a command would make it.
fn edit(text: &str, dice: (u8, usize, usize)) -> Option<Change> {
    let declaration = resolve(text);
    let (kind, a, b) = dice;
    let name = || free_name(text, &[], &[["app", "tool", "web"][a % 3]]).unwrap();
    let Some(target) = declaration.targets.get(a % declaration.targets.len().max(1)) else {
        return Some(Change::AddTarget(new_target(&name())));
    };
    let image = &target.images[b % target.images.len()];
    let of = target.name.clone();
    match kind {
        0 => Some(Change::AddTarget(new_target(&name()))),
        1 => {
            let platform = ["linux/amd64", "linux/s390x", "linux/arm/v6", "linux/386"][b % 4];
            let reference = format!("docker.io/acme/set:{}-{a}", platform.replace('/', "-"));
            let taken = |image: &&crate::config::Image| image.reference.to_string() == reference;
            let new = NewPlatform { image: Some(reference.clone()), ..tests::image(platform, "") };
            (!target.images.iter().any(|image| taken(&image))).then_some(Change::SetImage {
                target: of,
                image: new,
                built: a % 5 == 0,
            })
        }
        2 => {
            let mut to = image.platform.clone();
            to.os_version = Some(format!("v{a}"));
            Some(set_platform(of, image, to))
        }
        3 => {
            let mut to = image.platform.clone();
            let feature = format!("f{}", a % 4);
            if to.os_features.contains(&feature) {
                return None;
            }
            to.os_features.push(feature);
            Some(set_platform(of, image, to))
        }
        4 => {
            let to = platform(["linux/arm64/v9", "linux/riscv64", "linux/ppc64le"][a % 3]);
            let to = Platform {
                os_version: image.platform.os_version.clone(),
                os_features: image.platform.os_features.clone(),
                ..to
            };
            let taken = target.images.iter().any(|other| other.platform.base() == to.base());
            (!taken).then(|| set_platform(of, image, to))
        }
        5 => Some(Change::RemoveTarget { target: of }),
        6 if target.tags.len() > 1 => Some(Change::RemoveTag { target: of, index: b % target.tags.len() }),
        7 if target.repositories.len() > 1 => {
            Some(Change::RemoveRepository { target: of, index: b % target.repositories.len() })
        }
        _ => None,
    }
}

fn set_platform(target: String, image: &crate::config::Image, to: Platform) -> Change {
    Change::SetPlatform { target, from: image.platform.clone(), to, reference: image.reference.to_string() }
}

/// The first tag or repository goes, from which the names of images were made.
#[test]
fn images_keep_their_names_when_the_first_tag_or_repository_goes() {
    let file =
        |target: &str| format!("[target.app]\nplatforms = [\"linux/amd64\", \"linux/arm/v7\"]\n{target}");
    let tag = Change::RemoveTag { target: "app".to_owned(), index: 0 };
    let repository = Change::RemoveRepository { target: "app".to_owned(), index: 0 };
    let one = "repository = \"r.test/app\"\n";
    let two = "repository = [\"r.test/app\", \"acme/app\"]\ntags = [\"1\"]\n";
    for (target, change, expected) in [
        // Nothing is made from it.
        (format!("{one}tags = [\"1\", \"2\"]\nimage = \"r.test/i:{{arch}}\"\n"), &tag, Ok("r.test/i:{arch}")),
        (format!("{one}tags = [\"1\", \"2\"]\n"), &tag, Ok("r.test/app:1-{platform}")),
        (
            format!("{one}tags = [{{ name = \"v{{target}}\", policy = \"moving\" }}, \"2\"]\n"),
            &tag,
            Ok("r.test/app:v{target}-{platform}"),
        ),
        (
            format!("{one}tags = [\"1\", \"2\"]\nimage = \"r.test/i:{{tag}}-{{arch}}\"\n"),
            &tag,
            Ok("r.test/i:1-{arch}"),
        ),
        (two.to_owned(), &repository, Ok("r.test/app:1-{platform}")),
        (
            format!("{one}tags = [\"1\", \"2\"]\nannotations = {{ version = \"{{tag}}\" }}\n"),
            &tag,
            Err("more of target app would change"),
        ),
        (
            format!(
                "{one}tags = [\"1\", \"2\"]\nimage = \"r.test/i:{{tag}}-{{arch}}\"\n\
                  platform.\"linux/amd64\".image = \"r.test/{{tag}}\"\n"
            ),
            &tag,
            Ok("r.test/i:1-{arch}"),
        ),
    ] {
        let text = file(&target);
        let before = resolve(&text);
        match (checked(&text, change, &before, |text| Ok(resolve(text))), expected) {
            (Ok((text, after)), Ok(image)) => {
                assert!(text.contains(&format!("image = \"{image}\"")), "{target}\n{text}");
                assert_eq!(after.targets[0].images, before.targets[0].images, "{text}");
            }
            (Err(error), Err(expected)) => assert!(format!("{error:#}").contains(expected), "{error:#}"),
            (checked, expected) => panic!("{target}: {checked:?}, not {expected:?}"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Every comment stays, the file stays readable, each edit does what it is for, and nothing else changes.
    #[test]
    fn fifty_edits_lose_no_comment(dice in proptest::collection::vec((0u8..8, 0usize..60, 0usize..60), 50)) {
        let mut text = FILE.to_owned();
        for dice in dice {
            let Some(change) = edit(&text, dice) else { continue };
            let before = resolve(&text);
            let checked = checked(&text, &change, &before, |text| Ok(resolve(text)));
            prop_assert!(checked.is_ok(), "{:?}\n{}\n->\n{:#}", change, text, checked.unwrap_err());
            let (after_text, after) = checked.unwrap();
            let with_ends = |text: &str| text.replace('\n', "\r\n");
            let same = super::checked(&with_ends(&text), &change, &before, |text| Ok(resolve(text)));
            prop_assert_eq!(same.unwrap().0, with_ends(&after_text));
            for old in &before.targets {
                // What an edit is not about keeps its name.
                let new = after.targets.iter().find(|new| new.name == old.name);
                for (old, new) in new.into_iter().flat_map(|new| old.images.iter().zip(&new.images)) {
                    let moved = matches!(change, Change::SetImage { .. } | Change::SetPlatform { .. });
                    prop_assert!(moved || old == new, "{:?}\n{}\n->\n{}", change, text, after_text);
                }
            }
            let mut left = comments_of(&after_text);
            for comment in comments_of(&text) {
                let at = left.iter().position(|kept| *kept == comment);
                prop_assert!(at.is_some(), "lost {comment:?} by {change:?}\n{text}\n->\n{after_text}");
                left.swap_remove(at.unwrap());
            }
            text = after_text;
        }
    }
}
