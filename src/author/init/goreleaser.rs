//! What a GoReleaser file (`.goreleaser.yaml`) publishes as images. Pure.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::service::{Own, Published, Service, joined};
use crate::author::import::go_template::convert;
use crate::author::import::{docker_platform, push_new, yaml};
use crate::model::platform::Platform;

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
    goamd64: Option<String>,
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

/// What `text`, the content of `file`, publishes; `folder` is what the project is called when the file does not say.
pub(super) fn published(file: &str, text: &str, folder: &str) -> Result<Published, String> {
    let read: File = yaml::parse(text)?;
    let project = read.project_name.clone().unwrap_or_else(|| folder.to_owned());
    let mut published = Published::default();
    // Each tag is a list of its own there: one target here, when the same is built for the same repository.
    for list in &read.docker_manifests {
        match convert(&list.name_template, Some(&project)) {
            Ok(name) => published.add(of_list(&read, list, &project, file), &[name]),
            Err(why) => published.notes.push(left_out(&list.name_template, &why)),
        }
    }
    for several in &read.dockers_v2 {
        let mut service = of_several(several, &project, file);
        let pairs = several.images.iter().flat_map(|image| several.tags.iter().map(move |tag| (image, tag)));
        let mut names = Vec::new();
        for name in pairs.map(|(image, tag)| format!("{image}:{tag}")) {
            match convert(&name, Some(&project)) {
                Ok(name) => names.push(name),
                Err(why) => service.notes.push(left_out(&name, &why)),
            }
        }
        published.add(service, &names);
    }
    Ok(published)
}

fn of_list(read: &File, list: &List, project: &str, file: &str) -> Service {
    let mut service = named(project, file);
    let mut built: Vec<(Platform, Own)> = Vec::new();
    for image in &list.image_templates {
        let Some(docker) = read.dockers.iter().find(|docker| docker.image_templates.contains(image)) else {
            service.notes.push(format!("{image} is in no `dockers` of {file}"));
            continue;
        };
        let go = [&docker.goos, &docker.goarch, &docker.goarm, &docker.goamd64].map(Option::as_deref);
        let platform = docker_platform(&docker.build_flag_templates, go);
        if let Some(problem) = platform.problem() {
            service.notes.push(left_out(image, &problem));
        } else if built.iter().any(|(other, _)| other.same_as(&platform)) {
            service.notes.push(left_out(image, &format!("another image is for {platform}")));
        } else {
            let own = of_docker(docker, image, &platform, project, file, &mut service.notes);
            built.push((platform, own));
        }
    }
    share(&mut service, built);
    service
}

/// All that is said of one platform's image.
fn of_docker(
    docker: &Docker,
    image: &str,
    platform: &Platform,
    project: &str,
    file: &str,
    notes: &mut Vec<String>,
) -> Own {
    let dockerfile = joined(".", docker.dockerfile.as_deref().unwrap_or("Dockerfile"));
    let mut own = Own { platform: platform.to_string(), dockerfile: Some(dockerfile), ..Own::default() };
    for flag in &docker.build_flag_templates {
        let argument = flag.strip_prefix("--build-arg=").and_then(|argument| argument.split_once('='));
        if let Some((key, value)) = argument {
            match convert(value, Some(project)) {
                Ok(value) => drop(own.args.insert(key.to_owned(), value)),
                Err(why) => push_new(notes, left_out(&format!("the build argument {key}"), &why)),
            }
        } else if !["--platform=", "--label=", "--pull"].iter().any(|known| flag.starts_with(known)) {
            push_new(notes, format!("`{flag}` of {file} is not taken over"));
        }
    }
    match convert(image, Some(project)) {
        Ok(image) => own.image = Some(image),
        Err(why) => push_new(notes, left_out(&format!("the name {image}"), &why)),
    }
    own
}

/// Gives `service` what all platforms have in common, and each platform what is left.
fn share(service: &mut Service, built: Vec<(Platform, Own)>) {
    let Some((_, first)) = built.first() else { return };
    // Their names tell the architecture in the tag, else in the last part of the repository.
    service.image = [':', '/'].into_iter().find_map(|from| {
        let mut images =
            built.iter().map(|(platform, own)| Some(with_arch(own.image.as_deref()?, from, &platform.arch)));
        let image = images.next()??;
        images.all(|other| other.as_ref() == Some(&image)).then_some(image)
    });
    service.dockerfile.clone_from(&first.dockerfile);
    let common =
        |(key, value): &(&String, &String)| built.iter().all(|(_, own)| own.args.get(*key) == Some(value));
    let args = first.args.iter().filter(common);
    service.args = args.map(|(key, value)| (key.clone(), value.clone())).collect();
    for (platform, mut own) in built {
        service.platforms.push(platform.to_string());
        own.image = own.image.filter(|_| service.image.is_none());
        own.dockerfile = own.dockerfile.filter(|path| Some(path) != service.dockerfile.as_ref());
        own.args.retain(|key, _| !service.args.contains_key(key));
        if own.image.is_some() || own.dockerfile.is_some() || !own.args.is_empty() {
            service.own.push(own);
        }
    }
}

/// `image` with `{arch}` for its architecture, where that is a word behind the last `from`.
fn with_arch(image: &str, from: char, arch: &str) -> String {
    let (before, rest) = image.split_at(image.rfind(from).map_or(0, |at| at + 1));
    let words = rest.split_inclusive(['-', '.', '_', ':']).map(|word| match word.strip_prefix(arch) {
        Some(rest) if matches!(rest, "" | "-" | "." | "_" | ":") => format!("{{arch}}{rest}"),
        _ => word.to_owned(),
    });
    format!("{before}{}", words.collect::<String>())
}

fn of_several(several: &Several, project: &str, file: &str) -> Service {
    let mut service = named(several.id.as_deref().unwrap_or(project), file);
    service.platforms.clone_from(&several.platforms);
    service.dockerfile = several.dockerfile.as_deref().map(|path| joined(".", path));
    for (key, value) in &several.build_args {
        match convert(value, Some(project)) {
            Ok(value) => drop(service.args.insert(key.clone(), value)),
            Err(why) => service.notes.push(left_out(&format!("the build argument {key}"), &why)),
        }
    }
    service
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

fn left_out(what: &str, why: &str) -> String {
    format!("left out {what}: {why}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_all_images_has_the_architecture_where_it_is_a_word() {
        for (images, expected) in [
            (["h/charm/app:1-amd64", "h/charm/app:1-arm"], Some("h/charm/app:1-{arch}")),
            (["h/arm:amd64-1", "h/arm:arm-1"], Some("h/arm:{arch}-1")),
            (["h:1/app-amd64:{version}", "h:1/app-arm:{version}"], Some("h:1/app-{arch}:{version}")),
            (["h/app:amd64.a_amd64", "h/app:arm.a_arm"], Some("h/app:{arch}.a_{arch}")),
            (["h/app:1-amd64", "h/app:1-armv6"], None),
            (["h/amd64/app:1", "h/arm/app:1"], None),
        ] {
            let built = ["amd64", "arm"].into_iter().zip(images).map(|(arch, image)| {
                let platform = Platform::new("linux", arch);
                let own = Own { image: Some(image.to_owned()), ..Own::default() };
                (platform, own)
            });
            let mut service = Service::default();
            share(&mut service, built.collect());
            assert_eq!(service.image.as_deref(), expected);
            let own: Vec<_> = service.own.iter().filter_map(|own| own.image.as_deref()).collect();
            assert_eq!(own, if expected.is_some() { vec![] } else { images.to_vec() });
        }
    }
}
