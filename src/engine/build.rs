//! Builds one platform's image.

use std::ffi::OsString;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::{Builder, Engine, Lines, children};
use crate::config::Build;
use crate::error::Failure;
use crate::platform::Platform;
use crate::reference::Reference;

/// One image to build.
#[derive(Clone, Debug)]
pub struct BuildJob {
    /// The target's name, for `before`.
    pub target: String,
    /// What to build for.
    pub platform: Platform,
    /// The tag that the image gets in the engine.
    pub reference: Reference,
    /// The folder that `before` runs in.
    pub root: std::path::PathBuf,
    /// As declared.
    pub build: Build,
}

/// An image in the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Built {
    /// What the engine knows it by, `sha256:…`.
    pub image_id: String,
}

impl Engine {
    /// Runs `before`, then builds; every line of either goes to `lines`.
    ///
    /// # Errors
    ///
    /// Either ends with a status other than 0: the error shows all that it wrote.
    pub async fn build(&self, job: &BuildJob, lines: Lines) -> Result<Built> {
        if let Some((program, arguments)) = job.build.before.split_first() {
            before(job, program, arguments, &lines).await?;
        }
        if !job.build.context.is_dir() {
            return Err(Failure::new(format!("there is no build context {}", job.build.context.display()))
                .hint("`build.context` is relative to the declaration's folder")
                .into());
        }
        let folder = tempfile::tempdir().context("could not make a temporary folder")?;
        let id_file = folder.path().join("image-id");
        let finished = self.stream(arguments(job, self.builder, &id_file), lines).await?;
        if !finished.success {
            return Err(Failure::new(format!(
                "the build of {} for {} ended with {}; its output:\n{}",
                job.reference,
                job.platform,
                finished.status,
                indent(&finished.output)
            ))
            .hint(hint(&finished.output, &job.platform))
            .into());
        }
        let image_id = std::fs::read_to_string(&id_file)
            .with_context(|| format!("the build of {} ended well but wrote no image ID", job.reference))?;
        Ok(Built { image_id: image_id.trim().to_owned() })
    }
}

async fn before(job: &BuildJob, program: &str, arguments: &[String], lines: &Lines) -> Result<()> {
    let platform = job.platform.to_string();
    let variant = job.platform.variant.clone().unwrap_or_default();
    let environment = [
        ("MANIFESTS_TARGET", job.target.as_str()),
        ("MANIFESTS_PLATFORM", platform.as_str()),
        ("MANIFESTS_OS", job.platform.os.as_str()),
        ("MANIFESTS_ARCH", job.platform.arch.as_str()),
        ("MANIFESTS_VARIANT", variant.as_str()),
        ("MANIFESTS_IMAGE", &job.reference.to_string()),
    ];
    let arguments = arguments.iter().map(OsString::from).collect();
    let finished =
        children::stream_in(&job.root, Path::new(program), arguments, &environment, lines.clone()).await?;
    if finished.success {
        return Ok(());
    }
    Err(Failure::new(format!(
        "`build.before` of target {} for {} ended with {}; its output:\n{}",
        job.target,
        job.platform,
        finished.status,
        indent(&finished.output)
    ))
    .into())
}

/// The CLI's arguments. Pure.
fn arguments(job: &BuildJob, builder: Builder, id_file: &Path) -> Vec<OsString> {
    let build = &job.build;
    let mut arguments: Vec<OsString> = match builder {
        // Without `--load` a builder in a container keeps the image to itself.
        Builder::Buildx => vec!["buildx".into(), "build".into(), "--load".into()],
        Builder::BuildKit => vec!["build".into()],
    };
    let mut option = |name: &str, value: &str| arguments.extend([OsString::from(name), OsString::from(value)]);
    option("--platform", &job.platform.for_engine());
    option("--tag", &job.reference.to_string());
    option("--progress", "plain");
    for (name, value) in &build.args {
        option("--build-arg", &format!("{name}={value}"));
    }
    for (name, value) in build.labels.iter().chain(&build.added_labels) {
        option("--label", &format!("{name}={value}"));
    }
    for (name, values) in [
        ("--target", build.stage.as_slice()),
        ("--secret", build.secrets.as_slice()),
        ("--ssh", build.ssh.as_slice()),
        ("--cache-from", build.cache_from.as_slice()),
        ("--cache-to", build.cache_to.as_slice()),
    ] {
        for value in values {
            option(name, value);
        }
    }
    arguments.extend(["--iidfile".into(), id_file.into()]);
    if let Some(dockerfile) = &build.dockerfile {
        arguments.extend(["--file".into(), dockerfile.into()]);
    }
    for (name, wanted) in [("--no-cache", build.no_cache), ("--pull", build.pull)] {
        if wanted {
            arguments.push(name.into());
        }
    }
    arguments.extend(build.extra_args.iter().map(OsString::from));
    arguments.push(build.context.clone().into());
    arguments
}

/// What to do about failures that have one well-known cause.
fn hint(output: &str, platform: &Platform) -> String {
    if output.contains("exec format error") {
        return format!("`RUN` for {platform} needs an emulator here: `doctor` says how to get it");
    }
    "run with `--verbose` to see each build's output as it comes".to_owned()
}

pub(super) fn indent(text: &str) -> String {
    text.trim_end().lines().map(|line| format!("    {line}\n")).collect::<String>().trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn job(build: Build) -> BuildJob {
        BuildJob {
            target: "app".to_owned(),
            platform: "linux/arm/v7".parse().unwrap(),
            reference: "ghcr.io/o/app:1".parse().unwrap(),
            root: "/src".into(),
            build,
        }
    }

    fn line(build: Build, builder: Builder) -> String {
        let arguments = arguments(&job(build), builder, Path::new("/tmp/id"));
        arguments.iter().map(|argument| argument.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_build_says_platform_tag_and_context() {
        let build = Build { context: "/src".into(), ..Build::default() };
        assert_eq!(
            line(build.clone(), Builder::Buildx),
            "buildx build --load --platform linux/arm/v7 --tag ghcr.io/o/app:1 --progress plain --iidfile /tmp/id /src"
        );
        assert_eq!(
            line(build, Builder::BuildKit),
            "build --platform linux/arm/v7 --tag ghcr.io/o/app:1 --progress plain --iidfile /tmp/id /src"
        );
    }

    #[test]
    fn every_key_becomes_its_option() {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let build = Build {
            context: "/src".into(),
            dockerfile: Some("/src/D".into()),
            args: BTreeMap::from([("A".to_owned(), "1 2".to_owned())]),
            stage: Some("s".to_owned()),
            labels: BTreeMap::from([("l".to_owned(), "m".to_owned())]),
            added_labels: BTreeMap::from([("n".to_owned(), "o".to_owned())]),
            secrets: texts(&["id=x"]),
            ssh: texts(&["default"]),
            cache_from: texts(&["c"]),
            cache_to: texts(&["d"]),
            no_cache: true,
            pull: true,
            before: texts(&["make"]),
            extra_args: texts(&["--network", "none"]),
        };
        assert_eq!(
            line(build, Builder::BuildKit),
            "build --platform linux/arm/v7 --tag ghcr.io/o/app:1 --progress plain --build-arg A=1 2 --label l=m \
             --label n=o --target s --secret id=x --ssh default --cache-from c --cache-to d --iidfile /tmp/id \
             --file /src/D --no-cache --pull --network none /src"
        );
    }
}
