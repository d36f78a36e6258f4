//! What a GoReleaser file (`.goreleaser.yaml`) publishes as images. Pure.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::service::Service;
use crate::import::yaml;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct File {
    project_name: Option<String>,
    dockers: Vec<Docker>,
    docker_manifests: Vec<List>,
    dockers_v2: Vec<Several>,
}

/// One platform's image.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Docker {
    image_templates: Vec<String>,
    dockerfile: Option<String>,
    goos: Option<String>,
    goarch: Option<String>,
    goarm: Option<String>,
    build_flag_templates: Vec<String>,
}

/// A list of images.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct List {
    name_template: String,
    image_templates: Vec<String>,
}

/// All platforms of an image at once.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Several {
    id: Option<String>,
    dockerfile: Option<String>,
    images: Vec<String>,
    tags: Vec<String>,
    platforms: Vec<String>,
    build_args: BTreeMap<String, String>,
}

/// The services in `text`, the content of `file`; `folder` is what the project is called when the file does not say.
pub(super) fn services(file: &str, text: &str, folder: &str) -> Result<Vec<Service>, String> {
    let read: File = yaml::parse(text)?;
    let project = read.project_name.clone().unwrap_or_else(|| folder.to_owned());
    let mut services: Vec<Service> = Vec::new();
    for list in &read.docker_manifests {
        let service = of_list(&read, list, &project, file);
        // Each tag is a list of its own there: one target here, when the images are the same repository's.
        match services.iter_mut().find(|known| known.repositories == service.repositories) {
            Some(known) => {
                for tag in service.tags {
                    if !known.tags.contains(&tag) {
                        known.tags.push(tag);
                    }
                }
            }
            None => services.push(service),
        }
    }
    services.extend(read.dockers_v2.iter().map(|several| of_several(several, &project, file)));
    services.retain(|service| !service.repositories.is_empty());
    Ok(services)
}

fn of_list(read: &File, list: &List, project: &str, file: &str) -> Service {
    let mut service = named(project, file);
    let template = |text: &str, service: &mut Service| template(text, project, &mut service.notes);
    publish(&mut service, &list.name_template, project);
    let mut images = Vec::new();
    for image in &list.image_templates {
        let Some(docker) = read.dockers.iter().find(|docker| docker.image_templates.contains(image)) else {
            service.notes.push(format!("{image} is in no `dockers` of {file}"));
            continue;
        };
        let arch = docker.goarch.as_deref().unwrap_or("amd64");
        let variant = match (arch, docker.goarm.as_deref()) {
            ("arm", version) => format!("/v{}", version.unwrap_or("6")),
            _ => String::new(),
        };
        service.platforms.push(format!("{}/{arch}{variant}", docker.goos.as_deref().unwrap_or("linux")));
        service.dockerfile = docker.dockerfile.clone().or(service.dockerfile);
        for flag in &docker.build_flag_templates {
            let argument = flag.strip_prefix("--build-arg=").and_then(|argument| argument.split_once('='));
            if let Some((key, value)) = argument {
                let value = template(value, &mut service);
                service.args.insert(key.to_owned(), value);
            } else if !["--platform=", "--label=", "--pull"].iter().any(|known| flag.starts_with(known)) {
                service.notes.push(format!("`{flag}` of {file} is not taken over"));
            }
        }
        images.push(template(image, &mut service).replace(arch, "{arch}"));
    }
    images.dedup();
    if let [image] = &images[..] {
        service.image = Some(image.clone());
    }
    service
}

fn of_several(several: &Several, project: &str, file: &str) -> Service {
    let mut service = named(several.id.as_deref().unwrap_or(project), file);
    for image in &several.images {
        for tag in &several.tags {
            publish(&mut service, &format!("{image}:{tag}"), project);
        }
    }
    service.platforms.clone_from(&several.platforms);
    service.dockerfile.clone_from(&several.dockerfile);
    for (key, value) in &several.build_args {
        let value = template(value, project, &mut service.notes);
        service.args.insert(key.clone(), value);
    }
    service
}

/// Publishes what `name` gives, unless something in it has no counterpart.
fn publish(service: &mut Service, name: &str, project: &str) {
    let before = service.notes.len();
    let ours = template(name, project, &mut service.notes);
    match service.notes.len() == before {
        true => service.publishes(&ours),
        false => service.notes.push(format!("left out {name}")),
    }
}

fn named(name: &str, file: &str) -> Service {
    let note =
        "GoReleaser builds the programs and puts them beside the Dockerfile; here `build.before` does that";
    Service {
        name: name.to_owned(),
        file: file.to_owned(),
        context: ".".to_owned(),
        notes: vec![note.to_owned()],
        ..Service::default()
    }
}

/// A Go template as one of ours; what has no counterpart stays readable and is noted.
fn template(text: &str, project: &str, notes: &mut Vec<String>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let (action, behind) = after.split_once("}}").unwrap_or((after, ""));
        out.push_str(before);
        let action = action.trim_matches([' ', '-']);
        match action.trim_start_matches('.') {
            "Version" | "RawVersion" => out.push_str("{version}"),
            "Major" => out.push_str("{major}"),
            "Minor" => out.push_str("{minor}"),
            "Tag" => out.push_str("{git.tag}"),
            "FullCommit" | "Commit" | "ShortCommit" => out.push_str("{git.sha}"),
            "ProjectName" => out.push_str(project),
            name if name.starts_with("Env.") => out.push_str(&format!("{{env.{}}}", &name[4..])),
            other => {
                notes.push(format!("`{{{{ {action} }}}}` has no counterpart"));
                out.push_str(other);
            }
        }
        rest = behind;
    }
    out.push_str(rest);
    out
}
