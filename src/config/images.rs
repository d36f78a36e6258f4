//! The images of a target: which platforms, what each is called, how each is built and tried.

use std::path::Path;
use std::time::Duration;

use super::document::{BuildTable, PlatformTable, SmokeTable, TargetTable};
use super::expand::{Expander, Scope, TargetScope};
use super::model::{Build, Image, Smoke};
use super::problems::{Problem, Span};
use super::resolve::{Placed, pairs};
use super::template::Form;
use super::tree::Text;
use crate::platform::Platform;
use crate::reference::{Reference, Repository};

/// The labels that are added to built images (image-spec, annotations.md).
const SOURCE: &str = "org.opencontainers.image.source";
const REVISION: &str = "org.opencontainers.image.revision";
const VERSION: &str = "org.opencontainers.image.version";

/// How long a smoke run may take when nothing is said.
const TIMEOUT: Duration = Duration::from_secs(60);

/// What images follow from.
pub(super) struct Place<'a> {
    pub(super) table: &'a TargetTable,
    pub(super) of_target: &'a TargetScope<'a>,
    pub(super) root: &'a Path,
    /// The first repository.
    pub(super) repository: &'a Repository,
    /// The first tag.
    pub(super) tag: &'a str,
}

/// One image for each platform, with the place that names it; `None` after reporting why not.
pub(super) fn images(expander: &mut Expander<'_>, place: &Place<'_>) -> Option<Vec<Placed<Image>>> {
    let platforms = platforms(expander, place.table)?;
    let mut images = Vec::new();
    let mut complete = true;
    for (platform, span) in &platforms {
        let table = place.table.tables.iter().find(|table| stands_for(table, platform));
        match image(expander, place, platform, span, table) {
            Some(image) => images.push(image),
            None => complete = false,
        }
    }
    for (index, (image, _)) in images.iter().enumerate() {
        let span = &platforms.get(index)?.1;
        let same = |(other, _): &&Placed<Image>| other.platform.same_as(&image.platform);
        if images[..index].iter().any(|other| same(&other)) {
            let message = format!("two images for one platform, {}", image.platform.normal());
            expander.problems.push(
                Problem::new(span, message)
                    .help("leave one out; two versions of a system are told apart by `os-version`"),
            );
        }
    }
    complete.then_some(images)
}

fn stands_for(table: &PlatformTable, platform: &Platform) -> bool {
    table.key.value.parse::<Platform>().is_ok_and(|key| key.same_as(platform))
}

/// The declared platforms in declaration order: of `platforms`, or of the tables.
fn platforms(expander: &mut Expander<'_>, table: &TargetTable) -> Option<Vec<Placed<Platform>>> {
    let own = table.tables.iter().filter(|table| table.own).map(|table| &table.key);
    let texts: Vec<&Text> = match &table.platforms {
        Some(listed) => listed.iter().collect(),
        None => own.clone().collect(),
    };
    if texts.is_empty() {
        if table.platforms.is_none() {
            let message = format!("target `{}` has no platforms", table.name.value);
            let help = "list them, e.g. `platforms = [\"linux/amd64\", \"linux/arm64\"]`";
            expander.problems.push(Problem::new(&table.name.span, message).help(help));
        }
        return None;
    }
    let platforms: Vec<Placed<Platform>> =
        texts.iter().filter_map(|text| Some((platform(expander, text)?, text.span.clone()))).collect();
    if let Some(listed) = &table.platforms {
        for key in own {
            let Some(parsed) = platform(expander, key) else { continue };
            if !platforms.iter().any(|(platform, _)| platform.same_as(&parsed)) {
                let message = format!("`platform.\"{}\"` is not among `platforms`", key.value);
                let known: Vec<&str> = listed.iter().map(|text| text.value.as_str()).collect();
                expander.problems.push(Problem::new(&key.span, message).meant(&key.value, &known));
            }
        }
    }
    (platforms.len() == texts.len()).then_some(platforms)
}

fn platform(expander: &mut Expander<'_>, text: &Text) -> Option<Platform> {
    let problem = match text.value.parse::<Platform>() {
        Ok(platform) => match platform.problem() {
            None => return Some(platform),
            Some(problem) => Problem::new(&text.span, problem),
        },
        Err(error) => Problem::new(&text.span, error.to_string()),
    };
    expander.problems.push(problem);
    None
}

fn image(
    expander: &mut Expander<'_>,
    place: &Place<'_>,
    declared: &Platform,
    span: &Span,
    table: Option<&PlatformTable>,
) -> Option<Placed<Image>> {
    let mut platform = declared.clone();
    let scope = |place_name, platform| Scope {
        place: place_name,
        target: Some(place.of_target),
        tag: Some(place.tag),
        platform: Some(platform),
    };
    if let Some(table) = table {
        if let Some(version) = &table.os_version {
            platform.os_version = expander.plain(version, scope("`os-version`", declared));
        }
        let features = table
            .os_features
            .iter()
            .filter_map(|text| expander.plain(text, scope("`os-features`", declared)));
        platform.os_features.extend(features);
    }
    let build_table = table.map_or(place.table.build.as_ref(), |table| table.build.as_ref());
    let smoke_table = table.map_or(place.table.smoke.as_ref(), |table| table.smoke.as_ref());

    let text = table.and_then(|table| table.image.as_ref()).or(place.table.image.as_ref());
    let (reference, span) = match text {
        Some(text) => (reference(expander, text, scope("`image`", &platform))?, text.span.clone()),
        None => (place.repository.tag(&format!("{}-{}", place.tag, platform.dashed())), span.clone()),
    };
    if let (Some(build), Some(digest)) = (build_table, &reference.digest) {
        let message = format!("an image that is built has no digest yet: {digest}");
        let problem = Problem::new(&span, message).also(&build.span, "built here");
        expander.problems.push(problem.help("name it by a tag, or set `build = false` for this platform"));
    }
    let annotations = match table {
        Some(table) => pairs(expander, &table.annotations, scope("`annotations`", &platform)),
        None => Default::default(),
    };
    let build = build_table.map(|table| build(expander, table, scope("`build`", &platform), place));
    let smoke = smoke_table.map(|table| smoke(expander, table, scope("`smoke`", &platform)));
    Some((Image { platform, reference, build, smoke, annotations }, span))
}

fn reference(expander: &mut Expander<'_>, text: &Text, scope: Scope<'_>) -> Option<Reference> {
    let expanded = expander.expand(text, scope, Form::Reference)?;
    match expanded.text.parse() {
        Ok(reference) => Some(reference),
        Err(error) => {
            let message = format!("`{}` is not a reference", expanded.text);
            expander.problems.push(Problem::new(&text.span, message).label(error.reason()));
            None
        }
    }
}

fn build(expander: &mut Expander<'_>, table: &BuildTable, scope: Scope<'_>, place: &Place<'_>) -> Build {
    let mut one = |text: &Option<Text>| text.as_ref().and_then(|text| expander.plain(text, scope));
    let context = one(&table.context);
    let dockerfile = one(&table.dockerfile);
    let stage = one(&table.stage);
    let mut all =
        |texts: &[Text]| texts.iter().filter_map(|text| expander.plain(text, scope)).collect::<Vec<_>>();
    let [secrets, ssh, cache_from, cache_to, before, extra_args] =
        [&table.secrets, &table.ssh, &table.cache_from, &table.cache_to, &table.before, &table.extra_args]
            .map(|texts| all(texts));
    let args = pairs(expander, &table.args, scope);
    let labels = pairs(expander, &table.labels, scope);
    let known = [
        (SOURCE, expander.facts.source.clone().ok()),
        (REVISION, expander.facts.git_sha.clone().ok()),
        (VERSION, place.of_target.package.as_ref().ok().map(|package| package.version.to_string())),
    ];
    let added_labels = known
        .into_iter()
        .filter(|(name, _)| !labels.contains_key(*name))
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect();
    Build {
        context: place.root.join(context.unwrap_or_default()),
        dockerfile: dockerfile.map(|path| place.root.join(path)),
        args,
        stage,
        labels,
        added_labels,
        secrets,
        ssh,
        cache_from,
        cache_to,
        no_cache: table.no_cache,
        pull: table.pull,
        before,
        extra_args,
    }
}

fn smoke(expander: &mut Expander<'_>, table: &SmokeTable, scope: Scope<'_>) -> Smoke {
    let timeout = table.timeout.as_ref().and_then(|text| {
        let parsed = duration(&text.value);
        if parsed.is_none() {
            let message = format!("`{}` is not a duration", text.value);
            expander.problems.push(Problem::new(&text.span, message).label("expected e.g. `90s` or `2m`"));
        }
        parsed
    });
    Smoke {
        command: table.command.iter().filter_map(|text| expander.plain(text, scope)).collect(),
        expect: table.expect.as_ref().and_then(|text| expander.plain(text, scope)),
        timeout: timeout.unwrap_or(TIMEOUT),
        without_emulator: table.without_emulator,
    }
}

/// `90s`, `2m`, `1h`.
fn duration(text: &str) -> Option<Duration> {
    let split = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(split);
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return None,
    };
    let number: u64 = number.parse().ok().filter(|number| *number > 0)?;
    number.checked_mul(seconds).map(Duration::from_secs)
}
