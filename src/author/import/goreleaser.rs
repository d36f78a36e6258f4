//! The sections of a GoReleaser file that are about lists: `docker_manifests`, with the platforms of `dockers`, and
//! `dockers_v2`.

use serde_json::{Map, Value};

use super::go_template::convert;
use super::yaml::{Fields, mappings};
use super::{Imported, name_of, push_new, split_tag};
use crate::author::edit::{NewPlatform, NewTarget, Setting};
use crate::model::platform::Platform;

/// The targets that the file describes.
///
/// # Errors
///
/// That nothing of it can be declared, in words.
pub(crate) fn goreleaser(root: &Map<String, Value>) -> Result<Imported, String> {
    let mut imported = Imported::default();
    let project = root.get("project_name").and_then(Value::as_str);
    let dockers: Vec<Docker> = mappings(root.get("dockers")).into_iter().map(Docker::read).collect();
    for (index, map) in mappings(root.get("docker_manifests")).into_iter().enumerate() {
        docker_manifest(map, index, &dockers, project, &mut imported);
    }
    for (index, map) in mappings(root.get("dockers_v2")).into_iter().enumerate() {
        docker_v2(map, index, project, &mut imported);
    }
    if !dockers.is_empty() {
        imported.notes.push(
            "`dockers`: their images are declared as existing; `build` declares how they are built"
                .to_owned(),
        );
    }
    for key in ["docker_signs", "docker_digest", "kos"] {
        if root.contains_key(key) {
            imported.notes.push(format!("`{key}` has no equivalent here"));
        }
    }
    if format!("{:?}", imported.targets).contains("{version}") {
        imported.notes.push("`{{ .Version }}` became `{version}`, the Cargo package's".to_owned());
    }
    if imported.targets.is_empty() {
        imported.notes.insert(0, "nothing of it can be declared".to_owned());
        return Err(imported.notes.join("; "));
    }
    Ok(imported)
}

/// An entry of `dockers`, as far as it says which platform an image is for.
struct Docker {
    images: Vec<String>,
    platform: Option<Platform>,
}

impl Docker {
    fn read(map: Map<String, Value>) -> Self {
        let mut ignored = Vec::new();
        let mut fields = Fields::new(map, "dockers", &mut ignored);
        let flags = fields.texts("build_flag_templates");
        let go = ["goos", "goarch", "goarm", "goamd64"].map(|key| fields.text(key));
        let platform = docker_platform(&flags, go.each_ref().map(Option::as_deref));
        Self {
            images: fields.texts("image_templates"),
            platform: platform.problem().is_none().then_some(platform),
        }
    }
}

/// The platform of an entry of `dockers`, by its flags, else by `goos`, `goarch`, `goarm` and `goamd64`.
pub(crate) fn docker_platform(flags: &[String], go: [Option<&str>; 4]) -> Platform {
    let by_flag = flags.iter().find_map(|flag| flag.strip_prefix("--platform=")?.parse().ok());
    let [os, arch, arm, amd64] = go.map(|text| text.filter(|text| !text.is_empty()));
    let arch = arch.unwrap_or("amd64");
    let variant = match arch {
        "arm" => Some(format!("v{}", arm.unwrap_or("6"))),
        "amd64" => amd64.filter(|variant| *variant != "v1").map(str::to_owned),
        _ => None,
    };
    by_flag.unwrap_or_else(|| Platform { variant, ..Platform::new(os.unwrap_or("linux"), arch) })
}

/// One list; entries that list the same images in one repository are tags of one target.
fn docker_manifest(
    map: Map<String, Value>,
    index: usize,
    dockers: &[Docker],
    project: Option<&str>,
    imported: &mut Imported,
) {
    let mut fields = Fields::new(map, format!("docker_manifests, entry {}", index + 1), &mut imported.notes);
    let (name, images) = (fields.text("name_template").unwrap_or_default(), fields.texts("image_templates"));
    let mut platforms = Vec::new();
    for image in &images {
        let platform =
            dockers.iter().find(|docker| docker.images.contains(image)).map(|d| d.platform.clone());
        let platform = match platform {
            Some(platform) => platform,
            None => {
                let guessed = by_name(image);
                if let Some(platform) = &guessed {
                    fields.note(format!("`{image}` is taken for {platform}, by its name"));
                }
                guessed
            }
        };
        match (platform, convert(image, project)) {
            (Some(platform), Ok(text)) => {
                platforms.push(NewPlatform { platform, image: Some(text), ..NewPlatform::default() });
            }
            (None, _) => fields.note(format!("`{image}` is left out: nothing says its platform")),
            (_, Err(why)) => fields.note(format!("`{image}` is left out: {why}")),
        }
    }
    let list = convert(&name, project);
    let complete = platforms.len() == images.len() && !images.is_empty();
    match list {
        Ok(list) if complete && !name.is_empty() => {
            fields.finish();
            let (repository, tag) = split_tag(&list);
            let same = imported.targets.iter_mut().find(|target| {
                target.repositories == [repository]
                    && target.platforms == platforms
                    && target.build.is_empty()
            });
            match same {
                Some(target) => push_new(&mut target.tags, tag.to_owned()),
                None => imported.targets.push(NewTarget {
                    name: name_of(repository),
                    repositories: vec![repository.to_owned()],
                    tags: vec![tag.to_owned()],
                    platforms,
                    ..NewTarget::default()
                }),
            }
        }
        Ok(_) => fields.note(format!("`{name}` is not declared: its images are not all known")),
        Err(why) => fields.note(format!("`{name}` is not declared: {why}")),
    }
}

/// The platform that the end of an image's name tells of.
fn by_name(image: &str) -> Option<Platform> {
    const ENDS: &[(&str, &str)] = &[
        ("arm64v8", "linux/arm64/v8"),
        ("aarch64", "linux/arm64"),
        ("arm64", "linux/arm64"),
        ("amd64v2", "linux/amd64/v2"),
        ("amd64v3", "linux/amd64/v3"),
        ("x86_64", "linux/amd64"),
        ("amd64", "linux/amd64"),
        ("armv6", "linux/arm/v6"),
        ("armv7", "linux/arm/v7"),
        ("i386", "linux/386"),
        ("386", "linux/386"),
        ("ppc64le", "linux/ppc64le"),
        ("riscv64", "linux/riscv64"),
        ("s390x", "linux/s390x"),
    ];
    let (_, platform) = ENDS.iter().find(|(end, _)| image.ends_with(end))?;
    platform.parse().ok()
}

/// One image, built for several platforms.
fn docker_v2(map: Map<String, Value>, index: usize, project: Option<&str>, imported: &mut Imported) {
    let mut fields = Fields::new(map, format!("dockers_v2, entry {}", index + 1), &mut imported.notes);
    let texts = |fields: &mut Fields<'_>, key: &str| -> Vec<String> {
        let mut converted = Vec::new();
        for text in fields.texts(key).into_iter().filter(|text| !text.is_empty()) {
            match convert(&text, project) {
                Ok(text) => converted.push(text),
                Err(why) => fields.note(format!("`{key}`: left out: {why}")),
            }
        }
        converted
    };
    let repositories = texts(&mut fields, "images");
    let mut tags = Vec::new();
    texts(&mut fields, "tags").into_iter().for_each(|tag| push_new(&mut tags, tag));
    let flags = texts(&mut fields, "flags");
    let dockerfile = texts(&mut fields, "dockerfile").pop();
    let mut named = fields.texts("platforms");
    if named.is_empty() {
        named = vec!["linux/amd64".to_owned(), "linux/arm64".to_owned()];
    }
    let mut platforms = Vec::new();
    for name in &named {
        match name.parse::<Platform>().ok().filter(|platform| platform.problem().is_none()) {
            Some(platform) => platforms.push(NewPlatform { platform, ..NewPlatform::default() }),
            None => fields.note(format!("`platforms`: left out: `{name}` is no platform that is known")),
        }
    }
    let maps = |fields: &mut Fields<'_>, key: &str| {
        let mut converted = std::collections::BTreeMap::new();
        for (name, text) in fields.map(key) {
            match convert(&text, project) {
                Ok(text) => drop(converted.insert(name, text)),
                Err(why) => fields.note(format!("`{key}.{name}` left out: {why}")),
            }
        }
        converted
    };
    let args = maps(&mut fields, "build_args");
    let labels = maps(&mut fields, "labels");
    let annotations = maps(&mut fields, "annotations");
    if repositories.is_empty() || tags.is_empty() || platforms.is_empty() {
        fields.note("not declared: it needs an image, a tag and a platform");
        return;
    }
    fields.note("the context is this folder, where GoReleaser makes one of the binaries that it built");
    fields.finish();

    let mut build = vec![("context", Setting::Text(".".to_owned()))];
    if let Some(dockerfile) = dockerfile {
        build.push(("dockerfile", Setting::Text(dockerfile)));
    }
    for (key, map) in [("args", args), ("labels", labels)] {
        if !map.is_empty() {
            build.push((key, Setting::Map(map)));
        }
    }
    if !flags.is_empty() {
        build.push(("extra-args", Setting::Texts(flags)));
    }
    imported.targets.push(NewTarget {
        name: name_of(&repositories[0]),
        repositories,
        tags,
        platforms,
        build,
        annotations,
        ..NewTarget::default()
    });
}
