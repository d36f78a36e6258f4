//! Builds one platform's image.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result};

use super::{Builder, Engine, build_log, indent};
use crate::children::{Lines, Program};
use crate::config::Build;
use crate::error::Failure;
use crate::model::platform::Platform;
use crate::model::reference::Reference;
use crate::model::secret::{hidden, is_secret_name};
use crate::workspace::load::dockerfile_in;

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
    pub root: PathBuf,
    /// As declared.
    pub build: Build,
}

/// An image that was built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Built {
    /// What the engine knows it by, `sha256:…`.
    pub image_id: String,
}

impl BuildJob {
    /// Runs `before`, when there is one; every line that it writes goes to `lines`.
    ///
    /// # Errors
    ///
    /// It ends with a status other than 0: the error shows what it wrote.
    pub async fn run_before(&self, lines: Lines) -> Result<()> {
        let Some(before) = before(self) else { return Ok(()) };
        let ended = before.clone().lines(lines).abridged().merged().await?;
        if ended.success {
            return Ok(());
        }
        let (what, output) = (before.shown(), indent(&ended.stdout));
        Err(Failure::new(format!(
            "`{what}`, run before the build of {} for {}, ended with {}:\n{output}",
            self.reference, self.platform, ended.status
        ))
        .into())
    }
}

impl BuildJob {
    /// Names a `dockerfile` that is used because there is no `Dockerfile`. Engines that find it themselves look for its
    /// ignore file under the usual name, or under its own.
    fn with_unusual_dockerfile_named(&self) -> Self {
        let mut job = self.clone();
        let found = dockerfile_in(&job.build.context);
        if job.build.dockerfile.is_none() && found.file_name().is_some_and(|name| name != "Dockerfile") {
            job.build.dockerfile = Some(found);
        }
        job
    }
}

impl Engine {
    /// Builds, after [`BuildJob::run_before`], which may have made the context; every line goes to `lines`.
    ///
    /// # Errors
    ///
    /// The build ends with a status other than 0: the error shows what the steps that failed wrote.
    pub async fn build(&self, job: &BuildJob, lines: Lines) -> Result<Built> {
        if let Some(failure) = self.objection(job) {
            return Err(failure.into());
        }
        let folder = tempfile::tempdir().context("could not make a temporary folder")?;
        let id_file = folder.path().join("image-id");
        let secrets = secrets(&job.build);
        let lines: Lines = match secrets.is_empty() {
            true => lines,
            false => {
                let secrets = secrets.clone();
                Arc::new(move |line| lines(&hidden(line, secrets.iter().cloned())))
            }
        };
        let named = job.with_unusual_dockerfile_named();
        let build = self.command(arguments(&named, self.builder, &id_file)).lines(lines).abridged();
        let build = passed(&job.build).fold(build, |build, (name, value)| build.env(name, value));
        let ended = build.merged().await?;
        if !ended.success {
            let failure = Failure::new(format!(
                "the build of {} for {} ended with {}:\n{}",
                job.reference,
                job.platform,
                ended.status,
                indent(&hidden(&build_log::failed(&ended.stdout), secrets))
            ));
            return Err(match hint(&ended.stdout, &job.platform) {
                Some(hint) => failure.hint(hint),
                None => failure,
            }
            .into());
        }
        let image_id = std::fs::read_to_string(&id_file)
            .with_context(|| format!("the build of {} ended well, but gave no image ID", job.reference))?;
        let image_id = image_id.trim().to_owned();
        if self.builder == Builder::BuildKit {
            return Ok(Built { image_id });
        }
        self.loaded(job, image_id).await
    }

    /// What buildx names may be the configuration, where the engine's image store knows an image by its manifest.
    async fn loaded(&self, job: &BuildJob, named: String) -> Result<Built> {
        if self.inspect(&named).await?.is_some() {
            return Ok(Built { image_id: named });
        }
        match self.inspect(&job.reference.to_string()).await? {
            Some(image) => Ok(Built { image_id: image.id.to_string() }),
            None => Err(Failure::new(format!(
                "the build of {} ended well, but the engine does not hold the image",
                job.reference
            ))
            .hint("does `build.extra-args` send the result elsewhere?")
            .into()),
        }
    }

    /// Why this engine would fail to build `job`, as far as it can be told without trying.
    fn objection(&self, job: &BuildJob) -> Option<Failure> {
        let build = &job.build;
        let what = format!("could not build {} for {}", job.reference, job.platform);
        if self.builder == Builder::BuildKit && !build.cache_to.is_empty() {
            return Some(
                Failure::new(format!("{what}: `build.cache-to` needs buildx; this is {}", self.describe()))
                    .hint(super::find::BUILDX),
            );
        }
        if !build.context.is_dir() {
            return Some(
                Failure::new(format!("{what}: there is no folder {}", build.context.display()))
                    .hint("`build.context` is relative to the declaration's folder"),
            );
        }
        let named_elsewhere =
            |argument: &String| argument.starts_with("-f") || argument.starts_with("--file");
        if build.dockerfile.is_none() && build.extra_args.iter().any(named_elsewhere) {
            return None;
        }
        let dockerfile = build.dockerfile.clone().unwrap_or_else(|| dockerfile_in(&build.context));
        (!dockerfile.is_file()).then(|| {
            Failure::new(format!("{what}: there is no {}", dockerfile.display()))
                .hint("`build.dockerfile` names another file, relative to the declaration's folder")
        })
    }
}

/// The declared command that comes before the build.
fn before(job: &BuildJob) -> Option<Program> {
    let (name, arguments) = job.build.before.split_first()?;
    let program = Program::new(name).args(arguments).folder(&job.root);
    let platform = &job.platform;
    let variables = [
        ("MANIFESTS_TARGET", job.target.clone()),
        ("MANIFESTS_PLATFORM", platform.without_features().to_string()),
        ("MANIFESTS_OS", platform.os.clone()),
        ("MANIFESTS_ARCH", platform.arch.clone()),
        ("MANIFESTS_VARIANT", platform.variant.clone().unwrap_or_default()),
        ("MANIFESTS_MACHINE", platform.machine()),
        ("MANIFESTS_IMAGE", job.reference.to_string()),
    ];
    Some(variables.into_iter().fold(program, |program, (name, value)| program.env(name, value)))
}

/// The CLI's arguments. Pure.
fn arguments(job: &BuildJob, builder: Builder, id_file: &Path) -> Vec<OsString> {
    let build = &job.build;
    let mut arguments: Vec<OsString> = match builder {
        Builder::Buildx => vec!["buildx".into(), "build".into()],
        Builder::BuildKit => vec!["build".into()],
    };
    let mut option = |name: &str, value: OsString| arguments.extend([name.into(), value]);
    option("--platform", job.platform.for_engine().into());
    option("--tag", job.reference.to_string().into());
    if let Some(dockerfile) = &build.dockerfile {
        option("--file", dockerfile.into());
    }
    for (name, value) in &build.args {
        let argument = if is_heeded(name) { format!("{name}={value}") } else { name.clone() };
        option("--build-arg", argument.into());
    }
    if let Some(stage) = &build.stage {
        option("--target", stage.into());
    }
    for (name, value) in build.labels.iter().chain(&build.added_labels) {
        option("--label", format!("{name}={value}").into());
    }
    for (name, values) in [
        ("--secret", &build.secrets),
        ("--ssh", &build.ssh),
        ("--cache-from", &build.cache_from),
        ("--cache-to", &build.cache_to),
    ] {
        for value in values {
            option(name, value.into());
        }
    }
    option("--iidfile", id_file.into());
    option("--progress", "plain".into());
    for (name, wanted) in [
        ("--no-cache", build.no_cache),
        ("--pull", build.pull),
        // A builder in a container would keep the image to itself.
        ("--load", builder == Builder::Buildx),
    ] {
        if wanted {
            arguments.push(name.into());
        }
    }
    arguments.extend(build.extra_args.iter().map(OsString::from));
    arguments.push(build.context.clone().into());
    arguments
}

/// Arguments whose values go to the engine's client in its environment: everybody on the machine can read a command line.
fn passed(build: &Build) -> impl Iterator<Item = (&str, &str)> {
    let arguments = build.args.iter().filter(|(name, _)| !is_heeded(name));
    arguments.map(|(name, value)| (name.as_str(), value.as_str()))
}

/// Whether a variable of this name may mean something to the client itself, or to what it starts: its argument stays on
/// the command line. None of them is a place for a secret, but for the password of a proxy.
fn is_heeded(name: &str) -> bool {
    const NAMES: [&str; 12] = [
        "PATH",
        "HOME",
        "USER",
        "SHELL",
        "PWD",
        "TMPDIR",
        "TERM",
        "LANG",
        "NO_COLOR",
        "HOSTNAME",
        "KUBECONFIG",
        "REGISTRY_AUTH_FILE",
    ];
    const STARTS: [&str; 18] = [
        "DOCKER_",
        "BUILDX_",
        "BUILDKIT_",
        "BUILDAH_",
        "PODMAN_",
        "CONTAINER",
        "STORAGE_",
        "COMPOSE_",
        "EXPERIMENTAL_",
        "XDG_",
        "LD_",
        "DYLD_",
        "LC_",
        "SSH_",
        "SSL_",
        "GO",
        "OTEL_",
        "MANIFESTS_",
    ];
    let upper = name.to_ascii_uppercase();
    let is_name = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && !name.is_empty();
    !is_name
        || upper.ends_with("_PROXY")
        || NAMES.contains(&upper.as_str())
        || STARTS.iter().any(|start| upper.starts_with(start))
}

/// The values of arguments whose names say that they are secrets.
fn secrets(build: &Build) -> Vec<String> {
    let named = build.args.iter().filter(|(name, _)| is_secret_name(name));
    named.map(|(_, value)| value.clone()).collect()
}

/// The way out of failures that have one well-known cause; only the hint depends on what the engine says.
fn hint(output: &str, platform: &Platform) -> Option<String> {
    let output = output.to_ascii_lowercase();
    let any = |words: &[&str]| words.iter().any(|word| output.contains(word));
    if any(&["exec format error"]) {
        return Some(format!("`RUN` for {platform} needs an emulator here: `doctor` says how to get it"));
    }
    if any(&["no match for platform", "does not match the specified platform"]) {
        return Some(format!("the base image does not exist for {platform}"));
    }
    if any(&["pull access denied", "insufficient_scope", "unauthorized"]) {
        return Some("the base image needs credentials (`docker login`), or does not exist".to_owned());
    }
    any(&["buildx component is missing or broken"]).then(|| super::find::BUILDX.to_owned())
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
            "buildx build --platform linux/arm/v7 --tag ghcr.io/o/app:1 --iidfile /tmp/id --progress plain --load /src"
        );
        assert_eq!(
            line(build, Builder::BuildKit),
            "build --platform linux/arm/v7 --tag ghcr.io/o/app:1 --iidfile /tmp/id --progress plain /src"
        );
    }

    #[test]
    fn values_of_arguments_stay_off_the_command_line() {
        for (name, on_command_line) in [
            ("VERSION", false),
            ("NPM_TOKEN", false),
            ("npm_token", false),
            ("PATH", true),
            ("HTTP_PROXY", true),
            ("https_proxy", true),
            ("DOCKER_HOST", true),
            ("BUILDKIT_INLINE_CACHE", true),
            ("LD_PRELOAD", true),
            ("a.b", true),
        ] {
            let args = BTreeMap::from([(name.to_owned(), "the value".to_owned())]);
            let build = Build { context: "/src".into(), args, ..Build::default() };
            let in_environment = passed(&build).any(|pair| pair == (name, "the value"));
            assert_eq!(line(build, Builder::BuildKit).contains("the value"), on_command_line, "{name}");
            assert_eq!(in_environment, !on_command_line, "{name}");
        }
    }

    #[test]
    fn a_dockerfile_is_named_where_engines_would_not_agree_on_its_ignore_file() {
        let folder = tempfile::tempdir().unwrap();
        let (usual, other) = (folder.path().join("Dockerfile"), folder.path().join("dockerfile"));
        let build = Build { context: folder.path().to_owned(), ..Build::default() };
        let declared = Build { dockerfile: Some("D".into()), ..build.clone() };
        let named = |build: &Build| job(build.clone()).with_unusual_dockerfile_named().build.dockerfile;
        assert_eq!(named(&build), None);
        std::fs::write(&other, "").unwrap();
        assert_eq!(named(&build), Some(other));
        assert_eq!(named(&declared), Some("D".into()));
        std::fs::write(&usual, "").unwrap();
        assert_eq!(named(&build), None);
    }

    #[test]
    fn well_known_failures_come_with_their_way_out() {
        let platform: Platform = "linux/arm64".parse().unwrap();
        let hint = |output: &str| hint(output, &platform);
        assert!(hint("#5 0.1 exec /bin/sh: exec format error").unwrap().contains("`RUN` for linux/arm64"));
        assert!(hint("ERROR: no match for platform in manifest: not found").unwrap().contains("base image"));
        assert_eq!(hint("#5 0.1 make: *** [all] Error 1"), None);
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
            cargo: None,
            outputs: Vec::new(),
        };
        assert_eq!(
            line(build, Builder::BuildKit),
            "build --platform linux/arm/v7 --tag ghcr.io/o/app:1 --file /src/D --build-arg A --target s --label l=m \
             --label n=o --secret id=x --ssh default --cache-from c --cache-to d --iidfile /tmp/id --progress plain \
             --no-cache --pull --network none /src"
        );
    }
}
