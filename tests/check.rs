//! Declarations and what is said about them: `check/NAME.toml` with the diagnostics in `check/NAME.txt`. A new case is
//! a new file; `SNAPSHOTS=overwrite` writes what it says now.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use manifests::config::{self, Facts, FileKind, Package, Strictness};
use snapbox::{Assert, Data};

/// A checkout in which everything is known.
fn facts() -> Facts {
    let package = |name: &str, version: &str| Package {
        name: name.into(),
        version: version.parse().expect("a version"),
    };
    Facts {
        git_sha: Ok("1234567890abcdef1234567890abcdef12345678".into()),
        git_tag: Ok("release/1.2.3".into()),
        source: Ok("https://git.example/acme/app".into()),
        packages: Ok(vec![package("app", "1.2.3-rc.1+7"), package("tool", "0.4.0")]),
        env: BTreeMap::from([("CHANNEL".into(), "beta".into())]),
    }
}

fn exists(path: &Path, _: FileKind) -> bool {
    !path.iter().any(|part| part == "missing") && !path.ends_with("bare/Dockerfile")
}

/// What is said about `text`: the diagnostics, or `ok`.
fn said(text: &str) -> String {
    let checked = config::read(Path::new("manifests.toml"), text)
        .and_then(|document| document.resolve_with(&facts(), Strictness::Release, &exists));
    match checked {
        Ok(_) => "ok\n".to_owned(),
        Err(problems) => format!("{}\nerror: {}\n", problems.render(false, None), problems.summary()),
    }
}

#[test]
fn a_good_declaration_is_accepted() {
    assert_eq!(said(include_str!("check/good.toml")), "ok\n");
    assert_eq!(said(include_str!("../manifests.toml")), "ok\n");
}

/// Every message names file, line and column, and what was expected: beside the caret, in its own words or as help.
fn assert_leads_to_the_mistake(case: &Path, said: &str) {
    let messages: Vec<&str> = said.split("\n\n").filter(|message| message.starts_with("error: ")).collect();
    let (last, messages) = messages.split_last().expect("a message");
    assert!(last.contains(&format!("has {} problem", messages.len())), "{}: {said}", case.display());
    for message in messages {
        assert!(
            message.contains("--> manifests.toml:") && message.contains('^'),
            "{}: {message}",
            case.display()
        );
    }
}

#[test]
fn every_mistake_is_shown_where_it_is() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/check");
    let mut cases: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    cases.sort();
    cases.retain(|case| !case.ends_with("good.toml"));
    assert!(cases.len() >= 110, "{} cases", cases.len());
    for case in cases {
        let text = std::fs::read_to_string(&case).unwrap();
        assert_leads_to_the_mistake(&case, &said(&text));
        let expected = Data::read_from(&case.with_extension("txt"), None).raw();
        Assert::new().action_env("SNAPSHOTS").eq(said(&text), expected);
    }
}
