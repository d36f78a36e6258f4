//! One target of a first file before it is written: what is known of it, and how it is known. Pure.

use std::collections::BTreeMap;

use super::{Dockerfile, Found, Own, Service, service};
use crate::author::import::push_new;
use crate::config::Package;
use crate::config::template::literal;
use crate::model::platform::Platform;

/// A target to be written.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) name: String,
    pub(super) repositories: Vec<String>,
    /// TOML, one for each tag.
    pub(super) tags: Vec<String>,
    pub(super) versioned: bool,
    /// The Cargo package, when the target is not called as it is.
    pub(super) package: Option<String>,
    pub(super) image: Option<String>,
    pub(super) platforms: Vec<String>,
    pub(super) context: String,
    pub(super) dockerfile: Option<String>,
    pub(super) args: BTreeMap<String, String>,
    pub(super) labels: BTreeMap<String, String>,
    /// Further keys of `build`.
    pub(super) lists: BTreeMap<&'static str, Vec<String>>,
    /// Build arguments without a value anywhere.
    pub(super) open: Vec<String>,
    pub(super) stage: Option<String>,
    /// What differs for single platforms.
    pub(super) own: Vec<Own>,
    /// Whether it listens, so that a run would not end.
    pub(super) serves: bool,
    /// What was read and what was assumed.
    pub(super) notes: Vec<String>,
    /// Whether the repository is on the machine itself, for want of anything to guess from.
    pub(super) local: bool,
}

/// The targets: those of another tool's file, when there is one, else one for each Dockerfile.
pub(super) fn drafts(found: &Found) -> Vec<Draft> {
    let mut drafts: Vec<Draft> = match found.services.is_empty() {
        true => found.dockerfiles.iter().map(|dockerfile| of_dockerfile(found, dockerfile)).collect(),
        false => found.services.iter().map(|service| of_service(found, service)).collect(),
    };
    for index in 1..drafts.len() {
        if drafts[..index].iter().any(|other| other.name == drafts[index].name) {
            drafts[index].name = format!("{}-{}", drafts[index].name, index + 1);
        }
    }
    for draft in &mut drafts {
        take_published(found, draft);
    }
    drafts
}

/// Takes the platforms of the list that is published already, unless the file of another tool says what is built for
/// which.
fn take_published(found: &Found, draft: &mut Draft) {
    let served = |name: &String| found.published.get(&service::repository(name)?.to_string());
    let listed = draft.repositories.iter().find_map(|name| Some((name, served(name)?)));
    let Some((repository, served)) = listed.filter(|_| draft.own.is_empty()) else { return };
    let mut platforms: Vec<Platform> = Vec::new();
    for text in served {
        let platform = text.parse::<Platform>().map_err(|error| error.to_string());
        match platform.and_then(|platform| platform.problem().map_or(Ok(platform), Err)) {
            Ok(platform) if platforms.iter().any(|other| other.same_as(&platform)) => {}
            Ok(platform) => platforms.push(platform),
            Err(why) => draft.notes.push(format!("left out {text}, which {repository} serves: {why}")),
        }
    }
    if !platforms.is_empty() {
        draft.platforms = platforms.iter().map(ToString::to_string).collect();
        draft.notes.push(format!("took the platforms of {repository}, which is published already"));
    }
}

fn of_dockerfile(found: &Found, dockerfile: &Dockerfile) -> Draft {
    let name = target_name(found, dockerfile.own_name());
    let bases = dockerfile.bases();
    let mut notes = vec![match bases.is_empty() {
        true => format!("read {}", dockerfile.path),
        false => format!("read {}, built on {}", dockerfile.path, bases.join(", ")),
    }];
    let repository = guessed_repository(found, &name);
    let local = found.source.is_none();
    notes.push(match local {
        true => format!("assumed {repository}: there is no git origin to guess a registry from"),
        false => format!("assumed {repository}, from the git origin"),
    });
    let package = package(found, dockerfile.package.as_deref().unwrap_or(&name));
    let tags = match package {
        Some(package) => {
            notes.push(format!("assumed the version of the Cargo package {}", package.name));
            vec![r#""{version}""#.to_owned(), r#"{ name = "latest", policy = "newest" }"#.to_owned()]
        }
        None => {
            notes.push(format!("assumed the tag latest alone: no Cargo package gives {name} a version"));
            vec![r#""latest""#.to_owned()]
        }
    };
    let platforms = dockerfile.platforms();
    notes.push(format!("assumed the platforms {}", platforms.join(", ")));
    let open: Vec<String> = dockerfile.open_arguments();
    if !open.is_empty() {
        let (path, open) = (&dockerfile.path, open.join(", "));
        notes.push(format!("{path} declares {open} without a value: see build.args"));
    }
    Draft {
        repositories: vec![repository],
        tags,
        versioned: package.is_some(),
        package: package
            .filter(|package| found.packages.len() > 1 && package.name != name)
            .map(|package| package.name.clone()),
        platforms,
        context: literal(&dockerfile.context),
        dockerfile: (!dockerfile.is_default()).then(|| literal(&dockerfile.path)),
        open,
        serves: dockerfile.serves(),
        notes,
        local,
        name,
        ..Draft::default()
    }
}

fn of_service(found: &Found, service: &Service) -> Draft {
    let default = service::joined(&service.context, "Dockerfile");
    let mut dockerfiles = found.dockerfiles.iter().filter(|dockerfile| service.builds(&dockerfile.path));
    let path = service.dockerfile();
    let dockerfile = dockerfiles.clone().find(|dockerfile| dockerfile.path == path);
    let mut notes = vec![format!("read {} of {}", service.name, service.file)];
    notes.extend(service.notes.iter().cloned());
    let mut platforms = service.platforms.clone();
    if platforms.is_empty() {
        platforms = dockerfile.map_or_else(|| vec!["linux/amd64".to_owned()], Dockerfile::platforms);
        notes.push(format!("assumed the platforms {}", platforms.join(", ")));
    }
    let given = |name: &String| {
        service.args.contains_key(name) || service.own.iter().any(|own| own.args.contains_key(name))
    };
    let mut open = Vec::new();
    for name in dockerfiles.clone().flat_map(Dockerfile::open_arguments).filter(|name| !given(name)) {
        push_new(&mut open, name);
    }
    Draft {
        name: target_name(found, Some(&service.name)),
        repositories: service.repositories.clone(),
        tags: service.tags.iter().map(|tag| super::quoted(tag)).collect(),
        image: service.image.clone(),
        platforms,
        context: service.context.clone(),
        dockerfile: service.dockerfile.clone().filter(|path| *path != default),
        args: service.args.clone(),
        labels: service.labels.clone(),
        lists: service.lists.clone(),
        open,
        stage: service.stage.clone(),
        own: service.own.clone(),
        serves: dockerfiles.any(Dockerfile::serves),
        notes,
        ..Draft::default()
    }
}

/// Named after what it is called elsewhere, else after the only package, else after the project's folder.
fn target_name(found: &Found, own: Option<&str>) -> String {
    let name = match (own, found.packages.as_slice()) {
        (Some(name), _) => name,
        (None, [only]) => only.name.as_str(),
        (None, _) => found.folder.as_str(),
    };
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let name: String = name.to_ascii_lowercase().chars().map(|c| if allowed(c) { c } else { '-' }).collect();
    let words: Vec<&str> = name.split('-').filter(|word| !word.is_empty()).collect();
    if words.is_empty() { "app".to_owned() } else { words.join("-") }
}

/// The package whose version the target's templates would use: the only one, else the one that is called `name`.
fn package<'a>(found: &'a Found, name: &str) -> Option<&'a Package> {
    match found.packages.as_slice() {
        [only] => Some(only),
        several => several.iter().find(|package| package.name == name),
    }
}

/// The container registry of the forge that the source is on.
fn guessed_repository(found: &Found, target: &str) -> String {
    let source = found.source.as_deref().unwrap_or_default().to_ascii_lowercase();
    let place = source.split_once("://").and_then(|(_, rest)| rest.split_once('/'));
    let owner = |path: &str| path.split('/').next().unwrap_or_default().to_owned();
    let guess = match place {
        Some(("github.com", path)) => format!("ghcr.io/{}/{target}", owner(path)),
        Some(("gitlab.com", path)) => format!("registry.gitlab.com/{path}/{target}"),
        Some((host, path)) => format!("{host}/{}/{target}", owner(path)),
        None => String::new(),
    };
    match guess.parse::<crate::model::reference::Repository>() {
        Ok(repository) if !guess.is_empty() => repository.to_string(),
        _ => format!("localhost:5000/{target}"),
    }
}
