//! What a declaration comes to: templates, defaults, merging, and what a checkout does not know.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use manifests::config::{self, Build, Declaration, Facts, Package, Problems, Strictness, TagPolicy, Target};
use manifests::config::{Attestations, Format, RegistrySettings, Undeclared, WithoutEmulator};
use proptest::prelude::*;

const GOOD: &str = include_str!("check/good.toml");

fn facts() -> Facts {
    let package = |name: &str, version: &str| Package {
        name: name.into(),
        version: version.parse().expect("a version"),
    };
    Facts {
        git_sha: Ok("1234567890abcdef".into()),
        git_tag: Ok("release/1.2.3".into()),
        source: Ok("https://git.example/acme/app".into()),
        packages: Ok(vec![package("app", "1.2.3-rc.1+7"), package("tool", "0.4.0")]),
        env: BTreeMap::from([("CHANNEL".into(), "beta".into())]),
    }
}

fn resolve(text: &str, facts: &Facts, strictness: Strictness) -> Result<Declaration, Problems> {
    config::read(Path::new("/project/manifests.toml"), text)?.resolve(facts, strictness)
}

fn good(text: &str) -> Declaration {
    resolve(text, &facts(), Strictness::Release).unwrap_or_else(|problems| panic!("{problems}"))
}

/// The only target of a declaration whose target says `keys`.
fn target(keys: &str) -> Target {
    let text = format!(
        "[target.app]\nrepository = \"ghcr.io/acme/app\"\ntags = [\"1\"]\nplatforms = [\"linux/amd64\"]\n{keys}"
    );
    good(&text).targets.remove(0)
}

fn build(keys: &str) -> Build {
    target(keys).images.remove(0).build.expect("a build")
}

#[test]
fn the_smallest_declaration_is_filled_up() {
    let target = target("");
    assert_eq!(target.tags[0].policy, TagPolicy::Moving);
    assert_eq!(target.undeclared, Undeclared::Known);
    assert_eq!((target.attestations, target.format), (Attestations::Keep, Format::Auto));
    let image = &target.images[0];
    assert_eq!(image.reference.to_string(), "ghcr.io/acme/app:1-linux-amd64");
    assert_eq!((&image.build, &image.smoke), (&None, &None));
}

#[test]
fn a_build_and_a_smoke_run_are_filled_up() {
    let build = build("build = {}");
    assert_eq!((build.context.as_path(), build.dockerfile), (Path::new("/project"), None));
    let added: Vec<(&str, &str)> = build.added_labels.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(
        added,
        [
            ("org.opencontainers.image.revision", "1234567890abcdef"),
            ("org.opencontainers.image.source", "https://git.example/acme/app"),
            ("org.opencontainers.image.version", "1.2.3-rc.1+7"),
        ]
    );
    let smoke = target("smoke = {}").images.remove(0).smoke.expect("a smoke run");
    assert_eq!((smoke.command, smoke.expect), (vec![], None));
    assert_eq!((smoke.timeout, smoke.without_emulator), (Duration::from_secs(60), WithoutEmulator::Fail));
}

#[test]
fn a_declared_label_is_not_added() {
    let build = build("build.labels = { \"org.opencontainers.image.source\" = \"here\" }");
    assert_eq!(build.labels.len(), 1);
    assert_eq!(build.added_labels.len(), 2);
}

#[test]
fn paths_are_relative_to_the_file() {
    let build = build("build = { context = \"./docker/\", dockerfile = \"/srv/Dockerfile\" }");
    assert_eq!(build.context.to_str(), Some("/project/docker"));
    assert_eq!(build.dockerfile.as_deref(), Some(Path::new("/srv/Dockerfile")));
}

#[test]
fn templates_are_filled_in() {
    for (template, value) in [
        ("{target} {tag}", "app 1"),
        ("{os}-{arch}{variant} {platform} {machine}", "linux-amd64 linux/amd64 x86_64"),
        ("{package} {version} {major} {minor}", "app 1.2.3-rc.1+7 1 2"),
        ("{git.sha} {git.tag} {env.CHANNEL}", "1234567890abcdef release/1.2.3 beta"),
        ("{{target}} }", "{target} }"),
    ] {
        assert_eq!(build(&format!("build.args.X = '{template}'")).args["X"], value, "{template}");
    }
}

#[test]
fn what_a_tag_cannot_hold_becomes_a_dash() {
    for (template, reference) in [
        ("ghcr.io/acme/a:{version}", "ghcr.io/acme/a:1.2.3-rc.1-7"),
        ("ghcr.io/acme/a:{git.tag}-{platform}", "ghcr.io/acme/a:release-1.2.3-linux-amd64"),
        ("ghcr.io/acme/a-{platform}", "ghcr.io/acme/a-linux-amd64:latest"),
        ("ghcr.io/{git.tag}/a:{arch}", "ghcr.io/release/1.2.3/a:amd64"),
    ] {
        let target = target(&format!("image = \"{template}\""));
        assert_eq!(target.images[0].reference.to_string(), reference, "{template}");
    }
}

#[test]
fn the_good_declaration_means_what_it_says() {
    let declaration = good(GOOD);
    let app = &declaration.targets[0];
    let tags: Vec<(&str, TagPolicy)> = app.tags.iter().map(|tag| (tag.name.as_str(), tag.policy)).collect();
    assert_eq!(
        tags,
        [
            ("1.2.3-rc.1-7", TagPolicy::Immutable),
            ("1.2", TagPolicy::Moving),
            ("latest", TagPolicy::Newest),
            ("release-1.2.3", TagPolicy::Moving),
            ("beta", TagPolicy::Moving),
        ]
    );
    assert_eq!(app.undeclared, Undeclared::Keep);
    assert_eq!(app.version.as_ref().map(ToString::to_string).as_deref(), Some("1.2.3-rc.1+7"));
    let images: Vec<String> = app.images.iter().map(|image| image.reference.to_string()).collect();
    assert_eq!(images[0], "ghcr.io/acme/app-linux-amd64:1.2.3-rc.1-7");
    assert_eq!(images[1], "ghcr.io/acme/app-linux-arm-v7:1.2.3-rc.1-7");
    assert!(images[2].starts_with("mcr.microsoft.com/acme/app@sha256:"));
    assert_eq!(images[3], "ghcr.io/acme/app-windows-amd64-10.0.20348:1.2.3-rc.1-7");

    // The platform's build goes over the target's, which goes over the defaults'.
    let arm = app.images[1].build.as_ref().expect("a build");
    let args: Vec<(&str, &str)> = arm.args.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(args, [("LINKER", "arm-linux-gnueabihf-gcc"), ("PROFILE", "release")]);
    assert_eq!(arm.labels["org.opencontainers.image.title"], "{app} 1234567890abcdef");
    let smoke = app.images[1].smoke.as_ref().expect("a smoke run");
    assert_eq!(smoke.expect.as_deref(), Some("armv7l"));
    assert_eq!((smoke.timeout, smoke.without_emulator), (Duration::from_secs(120), WithoutEmulator::Warn));
    assert_eq!((&app.images[2].build, &app.images[2].smoke), (&None, &None));

    let tool = &declaration.targets[1];
    assert_eq!(tool.images[0].platform.os_features, ["sse4"]);
    assert_eq!(tool.images[0].build.as_ref().expect("a build").before, ["make", "linux/riscv64"]);
    let local = &declaration.registries["localhost:5000"];
    assert_eq!(*local, RegistrySettings { plain_http: Some(false), ..RegistrySettings::default() });
}

#[test]
fn arrays_and_strings_of_defaults_are_replaced() {
    let text = "
        [defaults]
        repository = 'ghcr.io/acme/default'
        tags = ['1', '2']
        platforms = ['linux/amd64', 'linux/arm64']
        build.context = 'default'
        platform.'linux/arm64'.annotations = { a = 'default', b = 'default' }
        platform.'linux/s390x'.annotations.note = 'only where it is declared'
        [target.app]
        tags = ['3']
        build = false
        platform.'linux/arm64'.annotations.a = 'own'
    ";
    let target = good(text).targets.remove(0);
    assert_eq!(target.repositories[0].path, "acme/default");
    assert_eq!(target.tags.len(), 1);
    assert_eq!((target.images.len(), &target.images[0].build), (2, &None));
    let annotations: Vec<&str> = target.images[1].annotations.values().map(String::as_str).collect();
    assert_eq!(annotations, ["own", "default"]);
}

#[test]
fn tables_alone_declare_platforms_in_their_order() {
    let text = "
        [target.app]
        repository = 'ghcr.io/acme/app'
        tags = ['1']
        platform.'windows/amd64'.os-version = '10.0.20348'
        platform.'linux/arm64'.image = 'acme/arm'
        platform.'linux/amd64' = {}
    ";
    let target = good(text).targets.remove(0);
    let platforms: Vec<String> = target.images.iter().map(|image| image.platform.to_string()).collect();
    assert_eq!(platforms, ["windows(10.0.20348)/amd64", "linux/arm64", "linux/amd64"]);
    assert_eq!(target.images[0].reference.tag.as_deref(), Some("1-windows-amd64-10.0.20348"));
}

#[test]
fn existing_images_may_be_shared_and_built_ones_taken() {
    let text = "
        [defaults]
        tags = ['1']
        platforms = ['linux/amd64']
        image = 'ghcr.io/acme/image:{arch}'
        [target.a]
        repository = 'ghcr.io/acme/a'
        build = {}
        [target.b]
        repository = 'ghcr.io/acme/b'
    ";
    assert_eq!(good(text).targets.len(), 2);
}

#[test]
fn check_accepts_what_only_this_checkout_cannot_resolve() {
    let nothing = Facts::default();
    let text = "
        [target.app]
        repository = '{env.HOST}/app'
        tags = ['{version}', '{git.tag}', '{git.sha}', '{env.TAG}']
        image = '{env.HOST}/app@{env.DIGEST}'
        platforms = ['linux/amd64', 'linux/arm64']
        package = 'app'
        [target.tool]
        repository = '{env._X_}'
        tags = ['1']
        platforms = ['linux/amd64']
    ";
    let declaration =
        resolve(text, &nothing, Strictness::Check).unwrap_or_else(|problems| panic!("{problems}"));
    assert!(declaration.targets.iter().all(|target| target.repositories.len() == 1));
    let problems = resolve(text, &nothing, Strictness::Release).unwrap_err();
    let messages: Vec<&str> = problems.list().iter().map(|problem| problem.message.as_str()).collect();
    assert_eq!(messages.len(), 8, "{messages:?}");
    assert_eq!(messages[0], "`{env.HOST}` cannot be resolved: the environment variable HOST is not set");
    assert_eq!(messages[1], "`{version}` cannot be resolved: it was not looked up");
}

#[test]
fn files_behind_a_placeholder_are_not_looked_for() {
    let text = "
        [target.app]
        repository = 'ghcr.io/acme/app'
        tags = ['1']
        platforms = ['linux/amd64']
        build.context = '{env.NOT_SET}'
        [registry.'a.corp']
        ca-file = '{env.NOT_SET}'
    ";
    let document = config::read(Path::new("/project/manifests.toml"), text).unwrap();
    let nowhere = |_: &Path, _: config::FileKind| false;
    assert!(document.resolve_with(&facts(), Strictness::Check, &nowhere).is_ok());
    let set = Facts { env: BTreeMap::from([("NOT_SET".into(), "there".into())]), ..facts() };
    let problems = document.resolve_with(&set, Strictness::Check, &nowhere).unwrap_err();
    assert_eq!(problems.list().len(), 2, "{problems}");
}

#[test]
fn only_what_is_used_has_to_be_known() {
    let needs = |text: &str| {
        let document = config::read(Path::new("/project/manifests.toml"), text).unwrap();
        let needs = document.needs().clone();
        (needs.git, needs.packages, needs.env.into_iter().collect::<Vec<_>>())
    };
    assert_eq!(needs("[target.a]\ntags = ['{arch}', '{{git.sha}}']"), (false, false, vec![]));
    assert_eq!(needs("[target.a]\ntags = ['{git.tag}']"), (true, false, vec![]));
    assert_eq!(needs("[target.a]\ntags = ['{major}']"), (false, true, vec![]));
    assert_eq!(
        needs("[defaults]\nimage = '{env.B}{env.A}{env.B}'"),
        (false, false, vec!["A".into(), "B".into()])
    );
    assert_eq!(needs("[target.a]\ntags = [{ name = 'a', policy = 'newest' }]"), (false, true, vec![]));
    assert_eq!(needs("[target.a]\nbuild.context = 'a'"), (true, true, vec![]));
}

#[test]
fn problems_have_line_and_column_in_characters() {
    let text = "[target.app]\n\"größe\" = 1; x";
    let problems = resolve("# ö\n\"ö\" = { a = 1 }\nb = 2", &facts(), Strictness::Check).unwrap_err();
    let at: Vec<(usize, usize)> = problems.located().map(|located| (located.line, located.column)).collect();
    assert_eq!(at, [(2, 1), (3, 1)]);
    let problems = resolve(text, &facts(), Strictness::Check).unwrap_err();
    assert_eq!(problems.located().next().map(|located| (located.line, located.column)), Some((2, 11)));
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(
        cuts in proptest::collection::vec((0..GOOD.len(), 0..12_usize, "[\\[\\]{}\"'=.,:/@#\n a-zäß0-9-]{0,8}"), 1..6),
    ) {
        let mut text = GOOD.to_owned();
        for (at, length, insert) in cuts {
            let floor = |at: usize| (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            let range = floor(at)..floor(at + length).max(floor(at));
            text.replace_range(range, &insert);
        }
        for strictness in [Strictness::Check, Strictness::Release] {
            if let Err(problems) = resolve(&text, &facts(), strictness) {
                prop_assert!(!problems.list().is_empty());
                prop_assert!(problems.render(true, Some(60)).contains("manifests.toml"));
                prop_assert_eq!(problems.located().count(), problems.list().len());
            }
        }
    }
}
