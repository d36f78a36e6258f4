//! How an image is built and tried: `build` and `smoke`, resolved for one platform.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::expand::Scope;
use super::model::{Build, CargoBuild, Smoke};
use super::paths;
use super::problems::Problem;
use super::resolve::{FileKind, NamedFile, Resolver};
use super::tables::{BuildTable, CargoTable, SmokeTable};
use super::tree::Text;

/// How long a smoke run may take when nothing else is declared.
const TIMEOUT: Duration = Duration::from_secs(60);

impl Resolver<'_> {
    pub(super) fn build(&mut self, table: &BuildTable, scope: Scope<'_>) -> Build {
        let scope = Scope { place: "`build`", ..scope };
        let given = |resolver: &mut Self, text: &Option<Text>| resolver.path(text.as_ref()?, scope);
        let context = given(self, &table.context);
        let dockerfile = given(self, &table.dockerfile);
        let certain = |text: &Option<Text>, path: &Option<(PathBuf, bool)>| match path {
            Some((_, guessed)) => !guessed,
            None => text.is_none(),
        };
        let certain =
            table.all_known && certain(&table.context, &context) && certain(&table.dockerfile, &dockerfile);
        let mut context = context.map_or_else(|| self.root.clone(), |(path, _)| path);
        let mut dockerfile = dockerfile.map(|(path, _)| path);
        let cargo = table.cargo.as_ref().and_then(|cargo| self.cargo(cargo, scope));
        if table.cargo.is_some() {
            if let Some(text) = &table.context {
                let problem = Problem::new(&text.span, "`build.context` beside `build.cargo`");
                self.problem(problem.help("the program's folder is the context: leave `context` out"));
            }
            context = staging_folder(&self.root, scope);
            dockerfile = dockerfile.or_else(|| Some(self.root.join("Dockerfile")));
        }
        let mut extra_args = self.list(&table.extra_args, scope);
        if let Some(named) = paths::take_dockerfile(&mut extra_args) {
            dockerfile = Some(self.root.join(named));
        }
        let certain = certain && !table.extra_args.iter().any(|text| text.value.contains('{'));
        // A command that runs before the build may write them.
        if table.before.is_empty() && certain {
            self.build_files(table, &context, dockerfile.as_deref());
        }
        let labels = self.strings(&table.labels, scope);
        Build {
            context,
            dockerfile,
            args: self.strings(&table.args, scope),
            stage: table.stage.as_ref().and_then(|text| self.expander.plain(text, scope)),
            added_labels: self.added_labels(&labels, scope),
            labels,
            secrets: self.rooted(&table.secrets, paths::secret, scope),
            ssh: self.rooted(&table.ssh, paths::ssh, scope),
            cache_from: self.rooted(&table.cache_from, paths::cache, scope),
            cache_to: self.rooted(&table.cache_to, paths::cache, scope),
            no_cache: table.no_cache,
            pull: table.pull,
            before: self.before(&table.before, scope),
            extra_args,
            cargo,
            outputs: vec![self.root.join(paths::LOCK_NAME), paths::working_folder_of(&self.root)],
        }
    }

    /// The program's package is the target's, its name the package's, when nothing else is said.
    fn cargo(&mut self, table: &CargoTable, scope: Scope<'_>) -> Option<CargoBuild> {
        let scope = Scope { place: "`build.cargo`", ..scope };
        let named = |resolver: &mut Self, text: &Option<Text>| {
            text.as_ref().map(|text| resolver.expander.plain(text, scope))
        };
        let package = match named(self, &table.package) {
            Some(package) => package?,
            None => match scope.target?.package.as_ref() {
                Ok(package) => package.name.clone(),
                Err(_) => scope.target?.name.to_owned(),
            },
        };
        let bin = named(self, &table.bin).unwrap_or_else(|| Some(package.clone()))?;
        let profile = named(self, &table.profile).unwrap_or_else(|| Some("release".to_owned()))?;
        let features = self.list(&table.features, scope);
        Some(CargoBuild { package, bin, profile, features, libc: table.libc, with: table.with })
    }

    /// Options of the engine's command line whose paths are relative to the declaration's folder.
    fn rooted(&mut self, texts: &[Text], rooted: fn(&str, &Path) -> String, scope: Scope<'_>) -> Vec<String> {
        let options = self.list(texts, scope);
        options.iter().map(|option| rooted(option, &self.root)).collect()
    }

    /// The context and the Dockerfile must be there.
    fn build_files(&mut self, table: &BuildTable, context: &Path, dockerfile: Option<&Path>) {
        let context_span = table.context.as_ref().map_or(&table.span, |text| &text.span);
        if table.cargo.is_none() {
            self.files.push(NamedFile {
                path: context.to_owned(),
                kind: FileKind::Folder,
                span: context_span.clone(),
                help: None,
            });
        }
        self.files.push(NamedFile {
            path: dockerfile.map_or_else(|| context.join("Dockerfile"), Path::to_owned),
            kind: if dockerfile.is_none() { FileKind::Dockerfile } else { FileKind::File },
            span: table.dockerfile.as_ref().map_or(context_span, |text| &text.span).clone(),
            help: dockerfile.is_none().then_some("write it, or name another with `build.dockerfile`"),
        });
    }

    pub(super) fn smoke(&mut self, table: &SmokeTable, scope: Scope<'_>) -> Smoke {
        let scope = Scope { place: "`smoke`", ..scope };
        Smoke {
            command: self.list(&table.command, scope),
            expect: table.expect.as_ref().and_then(|text| self.expander.plain(text, scope)),
            timeout: table.timeout.as_ref().and_then(|text| self.timeout(text)).unwrap_or(TIMEOUT),
            without_emulator: table.without_emulator,
        }
    }

    /// A program and its arguments, each for itself: no shell takes them apart.
    fn before(&mut self, words: &[Text], scope: Scope<'_>) -> Vec<String> {
        if let [line] = words
            && line.value.trim().contains(' ')
            && !line.value.contains(['/', '\\', '{'])
        {
            let words: Vec<String> =
                line.value.split_whitespace().map(|word| format!("\"{word}\"")).collect();
            let problem = Problem::new(&line.span, format!("`{}` is no program", line.value));
            self.problem(problem.help(format!("no shell takes it apart: `before = [{}]`", words.join(", "))));
        }
        self.list(words, scope)
    }

    /// The labels that are added where they are known and not declared.
    fn added_labels(
        &self,
        declared: &BTreeMap<String, String>,
        scope: Scope<'_>,
    ) -> BTreeMap<String, String> {
        let facts = self.expander.facts;
        let package = scope.target.and_then(|target| target.package.as_ref().ok());
        let version = match package {
            Some(package) => Some(package.version.to_string()),
            None => facts.git_tag.as_ref().ok().cloned(),
        };
        [
            ("source", facts.source.as_ref().ok().cloned()),
            ("revision", facts.git_sha.as_ref().ok().cloned()),
            ("version", version),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((format!("org.opencontainers.image.{name}"), value?)))
        .filter(|(name, _)| !declared.contains_key(name))
        .collect()
    }

    fn list(&mut self, texts: &[Text], scope: Scope<'_>) -> Vec<String> {
        texts.iter().filter_map(|text| self.expander.plain(text, scope)).collect()
    }

    fn timeout(&mut self, text: &Text) -> Option<Duration> {
        let duration = duration(&text.value);
        if duration.is_none() {
            let message = format!("`{}` is not a duration", text.value);
            self.problem(Problem::new(&text.span, message).help("write e.g. \"90s\", \"2m\" or \"1m30s\""));
        }
        duration
    }
}

/// Where the programs of a target are staged, for all of its platforms.
fn staging_folder(root: &Path, scope: Scope<'_>) -> PathBuf {
    let target = scope.target.map_or("target", |target| target.name);
    paths::working_folder_of(root).join("cargo").join(target)
}

/// Numbers with `h`, `m`, `s` or `ms` behind them, added up; more than nothing.
fn duration(text: &str) -> Option<Duration> {
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = rest[..digits].parse().ok()?;
        let unit = &rest[digits..];
        let unit = &unit[..unit.find(|c: char| c.is_ascii_digit()).unwrap_or(unit.len())];
        let part = match unit {
            "h" => Duration::from_secs(number.checked_mul(3600)?),
            "m" => Duration::from_secs(number.checked_mul(60)?),
            "s" => Duration::from_secs(number),
            "ms" => Duration::from_millis(number),
            _ => return None,
        };
        total = total.checked_add(part)?;
        rest = &rest[digits + unit.len()..];
    }
    (!total.is_zero()).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        for (text, millis) in
            [("60s", 60_000), ("2m", 120_000), ("1m30s", 90_000), ("1h", 3_600_000), ("5ms", 5)]
        {
            assert_eq!(duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in
            ["", "60", "s", "0s", "1 m", "1d", "-1s", "99999999999999999999s", "18446744073709551615h"]
        {
            assert_eq!(duration(text), None, "{text}");
        }
    }
}
