//! Checks of meaning. Each is one function and one line in [`CHECKS`]; all of them run, whatever the others found.

use std::collections::BTreeMap;
use std::path::Path;

use super::model::{Format, Image, Tag};
use super::problems::{Problem, Span};
use super::resolve::{FileKind, ImagePlaces, Resolved, ResolvedTarget};
use crate::model::platform::Platform;
use crate::model::reference::{Reference, Repository, host_is_loopback};

type Check = fn(&Resolved, &mut Vec<Problem>);

const CHECKS: &[Check] = &[
    doubled_repositories,
    doubled_tags,
    doubled_platforms,
    one_reference_for_two_images,
    two_builds_of_one_reference,
    two_targets_with_one_tag,
    image_is_a_list,
    build_of_a_digest,
    build_for_a_desktop,
    annotations_in_a_docker_list,
    registry_hosts,
    client_certificates,
    plain_http_with_certificates,
    registry_with_another_port,
];

/// Runs every check.
pub(super) fn all(resolved: &Resolved, problems: &mut Vec<Problem>) {
    for check in CHECKS {
        check(resolved, problems);
    }
}

/// Reports the files that `exists` denies; paths are shown as seen from `root`.
pub(super) fn files(
    resolved: &Resolved,
    root: &Path,
    exists: &dyn Fn(&Path, FileKind) -> bool,
    problems: &mut Vec<Problem>,
) {
    let mut missing_folders: Vec<&Path> = Vec::new();
    for file in &resolved.files {
        // One problem is enough for a folder and what is in it.
        if missing_folders.iter().any(|folder| file.path.starts_with(folder) && file.path != *folder)
            || exists(&file.path, file.kind)
        {
            continue;
        }
        let kind = match file.kind {
            FileKind::File | FileKind::Dockerfile => "file",
            FileKind::Folder => {
                missing_folders.push(&file.path);
                "folder"
            }
        };
        let shown = file.path.strip_prefix(root).unwrap_or(&file.path);
        let shown = shown.to_string_lossy();
        let is_escaped = shown.contains(|c: char| c == '\\' || c.is_control());
        let problem = Problem::new(&file.span, format!("there is no {kind} `{}`", shown.escape_debug()));
        let help = if is_escaped { Some("in paths write `/`, which works everywhere") } else { file.help };
        problems.push(problem.maybe_help(help.map(str::to_owned)));
    }
}

fn doubled_repositories(resolved: &Resolved, problems: &mut Vec<Problem>) {
    for target in &resolved.targets {
        let repositories: Vec<_> = target.target.repositories.iter().zip(&target.repositories).collect();
        for ((first, first_span), (_, span)) in pairs(&repositories, |item| item.0, |_, _| true) {
            problems.push(
                Problem::new(span, format!("{first} is declared twice")).also(first_span, "the first time"),
            );
        }
    }
}

fn doubled_tags(resolved: &Resolved, problems: &mut Vec<Problem>) {
    for target in &resolved.targets {
        let tags: Vec<_> = target.target.tags.iter().zip(&target.tags).collect();
        for ((first, first_span), (_, span)) in pairs(&tags, |item| item.0.name.as_str(), |_, _| true) {
            problems.push(
                Problem::new(span, format!("tag `{}` is declared twice", first.name))
                    .also(first_span, "the first time"),
            );
        }
    }
}

fn doubled_platforms(resolved: &Resolved, problems: &mut Vec<Problem>) {
    for target in &resolved.targets {
        for ((first, first_places), (second, places)) in
            pairs(&images(target), |item| item.0.platform.normal(), |_, _| true)
        {
            let (a, b) = (first.platform.to_string(), second.platform.to_string());
            let message = if a == b {
                format!("two images for platform {a}")
            } else {
                format!("two images for one platform: {b} is the same as {a}")
            };
            problems
                .push(Problem::new(&places.platform, message).also(&first_places.platform, "the first one"));
        }
    }
}

/// `macos` is darwin's other name, and whoever builds an image for it means the machine that it runs on.
fn build_for_a_desktop(resolved: &Resolved, problems: &mut Vec<Problem>) {
    for target in &resolved.targets {
        for (image, places) in images(target) {
            if image.build.is_some() && image.platform.os.eq_ignore_ascii_case("macos") {
                let meant = Platform { os: "linux".to_owned(), ..image.platform.normal() };
                let message = format!("no engine builds an image for {}", image.platform);
                problems
                    .push(Problem::new(&places.platform, message).help(format!("did you mean `{meant}`?")));
            }
        }
    }
}

fn one_reference_for_two_images(resolved: &Resolved, problems: &mut Vec<Problem>) {
    for target in &resolved.targets {
        let collide =
            |a: &(&Image, &ImagePlaces), b: &(&Image, &ImagePlaces)| !a.0.platform.same_as(&b.0.platform);
        for ((first, first_places), (second, places)) in
            pairs(&images(target), |item| looked_up(&item.0.reference), collide)
        {
            let (a, b) = (&first.platform, &second.platform);
            problems.push(if first_places.reference == places.reference {
                Problem::new(&places.reference, format!("one image for two platforms: {a} and {b}"))
                    .label(format!("{} for both", second.reference))
                    .help("every platform has its own: add `{arch}`, or `{platform}`, which is never the same twice")
            } else {
                Problem::new(&places.reference, format!("the images of {a} and {b} are both {}", second.reference))
                    .also(&first_places.reference, format!("the image of {a}"))
            });
        }
    }
}

/// Images that exist already may be shared; two builds would overwrite each other.
fn two_builds_of_one_reference(resolved: &Resolved, problems: &mut Vec<Problem>) {
    let built: Vec<_> = resolved
        .targets
        .iter()
        .flat_map(|target| images(target).into_iter().map(move |(image, places)| (target, image, places)))
        .filter(|(_, image, _)| image.build.is_some())
        .collect();
    for ((first, _, first_places), (target, image, places)) in
        pairs(&built, |item| looked_up(&item.1.reference), |a, b| a.0.name != b.0.name)
    {
        let message = format!(
            "targets `{}` and `{}` both build {}",
            first.target.name, target.target.name, image.reference
        );
        let problem = Problem::new(&places.reference, message).also(&first_places.reference, "the first one");
        problems.push(problem.help("have one of them take it as it is, with `build = false`"));
    }
}

fn two_targets_with_one_tag(resolved: &Resolved, problems: &mut Vec<Problem>) {
    let published: Vec<_> = resolved.targets.iter().flat_map(published).collect();
    for ((first, _, _, first_span), (_, repository, tag, span)) in
        pairs(&published, |item| (item.1, item.2.name.as_str()), |a, b| a.0.name != b.0.name)
    {
        let message = format!("target `{}` publishes {repository}:{} already", first.target.name, tag.name);
        problems.push(Problem::new(span, message).also(first_span, "there"));
    }
}

fn image_is_a_list(resolved: &Resolved, problems: &mut Vec<Problem>) {
    let mut lists: BTreeMap<(&Repository, &str), &Span> = BTreeMap::new();
    for (_, repository, tag, span) in resolved.targets.iter().flat_map(published) {
        lists.entry((repository, &tag.name)).or_insert(span);
    }
    for target in &resolved.targets {
        for (image, places) in images(target) {
            let reference = &image.reference;
            if let Some(span) = lists.get(&looked_up(reference)).filter(|_| reference.digest.is_none()) {
                let message = format!("{reference} is both an image and a list");
                let problem = Problem::new(&places.reference, message).also(span, "the list's tag");
                problems.push(problem.help("give the images a tag or a repository of their own"));
            }
        }
    }
}

fn build_of_a_digest(resolved: &Resolved, problems: &mut Vec<Problem>) {
    for (image, places) in resolved.targets.iter().flat_map(images) {
        if let (Some(_), Some(build)) = (&image.reference.digest, &places.build) {
            let message = format!("{} is given by digest and cannot be built", image.platform);
            problems.push(
                Problem::new(&places.reference, message)
                    .also(build, "the build")
                    .help("say `build = false` for this platform, or give the image a tag"),
            );
        }
    }
}

fn annotations_in_a_docker_list(resolved: &Resolved, problems: &mut Vec<Problem>) {
    for target in resolved.targets.iter().filter(|target| target.target.format == Format::Docker) {
        if let Some(span) = &target.annotations {
            problems.push(
                Problem::new(span, "a Docker list has no annotations")
                    .help("say `format = \"oci\"`, or leave the annotations out"),
            );
        }
    }
}

fn registry_hosts(resolved: &Resolved, problems: &mut Vec<Problem>) {
    for (table, _) in &resolved.registries {
        let host = &table.host.value;
        let repository = format!("{host}/repository").parse::<Repository>();
        if repository.as_ref().is_ok_and(|repository| repository.host == *host) {
            continue;
        }
        let problem = Problem::new(&table.host.span, format!("`{host}` is not a registry's host"));
        let scheme = host.split_once("://").map(|(scheme, _)| format!("leave `{scheme}://` out"));
        // What has no dot and no port is a path on Docker Hub.
        let meant = repository.ok().filter(|meant| meant.host != "docker.io" || host.contains("docker.io"));
        let help = scheme.or_else(|| meant.map(|meant| format!("did you mean `{}`?", meant.host)));
        problems.push(
            problem.help(
                help.unwrap_or_else(|| "write HOST or HOST:PORT, e.g. `registry.corp:5000`".to_owned()),
            ),
        );
    }
}

fn client_certificates(resolved: &Resolved, problems: &mut Vec<Problem>) {
    for (table, _) in &resolved.registries {
        let (alone, key, missing) = match (&table.client_cert, &table.client_key) {
            (Some(cert), None) => (cert, "client-cert", "client-key"),
            (None, Some(key)) => (key, "client-key", "client-cert"),
            _ => continue,
        };
        problems.push(Problem::new(&alone.span, format!("`{key}` without `{missing}`")));
    }
}

fn plain_http_with_certificates(resolved: &Resolved, problems: &mut Vec<Problem>) {
    for (table, _) in &resolved.registries {
        let Some((true, span)) = &table.plain_http else { continue };
        let files = [
            ("ca-file", &table.ca_file),
            ("client-cert", &table.client_cert),
            ("client-key", &table.client_key),
        ];
        if let Some((key, Some(text))) = files.into_iter().find(|(_, text)| text.is_some()) {
            let problem = Problem::new(span, format!("plain HTTP has no use for `{key}`"))
                .also(&text.span, "given here");
            let loopback = host_is_loopback(&table.host.value);
            problems.push(if loopback {
                problem.help("leave `plain-http` out to speak TLS with loopback")
            } else {
                problem
            });
        }
    }
}

/// Settings that no target's registry gets, while one on another port of the same machine goes without.
fn registry_with_another_port(resolved: &Resolved, problems: &mut Vec<Problem>) {
    let name = |host: &str| host.rsplit_once(':').map_or(host, |(name, _)| name).to_owned();
    let declared: Vec<&str> =
        resolved.registries.iter().map(|(table, _)| table.host.value.as_str()).collect();
    let used: Vec<&str> = resolved
        .targets
        .iter()
        .flat_map(|target| {
            let repositories = target.target.repositories.iter().map(|repository| repository.host.as_str());
            repositories
                .chain(target.target.images.iter().map(|image| image.reference.repository.host.as_str()))
        })
        .collect();
    for (table, _) in &resolved.registries {
        let host = table.host.value.as_str();
        let other = used.iter().find(|used| name(used) == name(host) && !declared.contains(used));
        if let (Some(other), false) = (other, used.contains(&host)) {
            let message = format!("no target is at `{host}`");
            let help = format!("did you mean `{other}`? If both are meant, give it a table as well");
            problems.push(Problem::new(&table.host.span, message).help(help));
        }
    }
}

fn images(target: &ResolvedTarget) -> Vec<(&Image, &ImagePlaces)> {
    target.target.images.iter().zip(&target.images).collect()
}

/// What a target publishes, name by name.
fn published(target: &ResolvedTarget) -> Vec<(&ResolvedTarget, &Repository, &Tag, &Span)> {
    let tags = || target.target.tags.iter().zip(&target.tags);
    let repositories = target.target.repositories.iter();
    repositories
        .flat_map(|repository| tags().map(move |(tag, span)| (target, repository, tag, span)))
        .collect()
}

/// What tells references apart: with a digest, the digest counts.
fn looked_up(reference: &Reference) -> (&Repository, &str) {
    (&reference.repository, reference.lookup())
}

/// Every item with the first before it that has the same key and that `collides` with it.
fn pairs<'a, T, K: Ord>(
    items: &'a [T],
    key: impl Fn(&'a T) -> K,
    collides: impl Fn(&T, &T) -> bool,
) -> Vec<(&'a T, &'a T)> {
    let mut by_key: BTreeMap<K, Vec<&T>> = BTreeMap::new();
    let mut pairs = Vec::new();
    for item in items {
        let before = by_key.entry(key(item)).or_default();
        match before.iter().find(|first| collides(first, item)) {
            Some(first) => pairs.push((*first, item)),
            None => before.push(item),
        }
    }
    pairs
}
