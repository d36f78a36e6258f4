//! What reconciling costs: at a distance, by kind of work, number of platforms and of targets, with an empty cache and
//! with a full one.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use manifests::model::platform::Platform;
use serde::Serialize;

use crate::fixture::{Fixture, platforms, remove, target_repository};
use crate::measure::{Sample, measure, run};
use crate::peers::Peer;

/// What there is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Work {
    /// The list is what is declared.
    Unchanged,
    /// One image of the list is another one.
    Changed,
    /// The same, for an immutable tag that is new and a moving one after it.
    ChangedMoving,
    /// There is no list yet.
    New,
    /// There is no list yet, and the images are in repositories of their own.
    Elsewhere,
    /// The same, with a moving tag after an immutable one.
    ElsewhereMoving,
}

impl Work {
    pub(crate) const ALL: [Self; 6] = [
        Self::Unchanged,
        Self::Changed,
        Self::ChangedMoving,
        Self::New,
        Self::Elsewhere,
        Self::ElsewhereMoving,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Unchanged => "unchanged",
            Self::Changed => "changed",
            Self::ChangedMoving => "changed, moving tag after",
            Self::New => "new list",
            Self::Elsewhere => "images elsewhere",
            Self::ElsewhereMoving => "images elsewhere, moving tag after",
        }
    }

    fn is_elsewhere(self) -> bool {
        matches!(self, Self::Elsewhere | Self::ElsewhereMoving)
    }

    fn tags(self) -> &'static str {
        match self {
            Self::ChangedMoving | Self::ElsewhereMoving => {
                r#"[{ name = "1", policy = "immutable" }, "latest"]"#
            }
            _ => r#"["1"]"#,
        }
    }
}

/// One line of the result.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) work: Work,
    pub(crate) targets: usize,
    pub(crate) platforms: usize,
    /// With nothing known from before.
    pub(crate) cold: Sample,
    /// With everything fetched before.
    pub(crate) warm: Sample,
    /// Other tools at the same work; empty where they were not measured.
    pub(crate) peers: Vec<(&'static str, Sample)>,
}

/// The measurements, on one registry.
pub(crate) struct Bench<'a> {
    pub(crate) runtime: &'a tokio::runtime::Runtime,
    pub(crate) fixture: &'a Fixture,
    pub(crate) binary: &'a Path,
    pub(crate) times: u32,
    pub(crate) peers: &'a [Peer],
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Cache {
    Cold,
    Warm,
}

impl Bench<'_> {
    /// One target of `count` platforms, at every kind of work.
    pub(crate) fn platforms(&self, count: usize) -> Result<Vec<Row>> {
        let platforms = platforms(count);
        let case = Case::new(self, count, &platforms)?;
        let peers = self.peers_at(&case)?;
        Work::ALL
            .iter()
            .map(|work| {
                let mut cold = None;
                let mut warm = None;
                for _ in 0..self.times {
                    cold = Some(case.sample(*work, Cache::Cold)?.better(cold));
                    warm = Some(case.sample(*work, Cache::Warm)?.better(warm));
                }
                let (Some(cold), Some(warm)) = (cold, warm) else { anyhow::bail!("measured nothing") };
                let peers = peers
                    .iter()
                    .filter(|(elsewhere, ..)| *elsewhere == work.is_elsewhere())
                    .map(|(_, name, sample)| (*name, *sample))
                    .collect();
                Ok(Row { work: *work, targets: 1, platforms: count, cold, warm, peers })
            })
            .collect()
    }

    /// The tools of today do the same whatever is there: what counts is only where the images are.
    fn peers_at(&self, case: &Case<'_>) -> Result<Vec<(bool, &'static str, Sample)>> {
        let mut samples = Vec::new();
        for peer in self.peers {
            for elsewhere in [false, true] {
                let images: Vec<String> =
                    case.platforms.iter().map(|platform| case.image(platform, elsewhere)).collect();
                let kind = if elsewhere { "list" } else { case.repository.as_str() };
                let tag = peer.name().replace(' ', "-");
                let list = format!("{}/{}:{tag}", self.fixture.host(), kind);
                let folder = self.fixture.workspace(&format!("{tag}-{elsewhere}"))?;
                let sample = measure(self.fixture, peer.publish(&folder, &list, &images)?)?;
                samples.push((elsewhere, peer.name(), sample));
            }
        }
        Ok(samples)
    }

    /// Many targets of eight platforms, unchanged.
    pub(crate) fn targets(&self, counts: &[usize]) -> Result<Vec<Row>> {
        let platforms = platforms(8);
        let first = target_repository(0);
        self.runtime
            .block_on(self.fixture.images(&platforms, "", |platform| (first.clone(), platform.dashed())))?;
        let mut ready = 1;
        counts
            .iter()
            .map(|count| {
                self.runtime.block_on(self.fixture.copy_images(ready..*count, &platforms))?;
                ready = ready.max(*count);
                let workspace = self.fixture.workspace("targets")?;
                let mut text = String::new();
                for target in 0..*count {
                    let list = format!("{}/{}", self.fixture.host(), target_repository(target));
                    let image = |platform: &Platform| format!("{list}:{}", platform.dashed());
                    declare(&mut text, &format!("app-{target}"), &list, r#"["1"]"#, &platforms, image)?;
                }
                fs::write(workspace.join("manifests.toml"), text)?;
                run(self.reconcile(&workspace))?;
                let mut cold = None;
                let mut warm = None;
                for _ in 0..self.times {
                    remove(&workspace.join("cache"))?;
                    cold = Some(measure(self.fixture, vec![self.reconcile(&workspace)])?.better(cold));
                    warm = Some(measure(self.fixture, vec![self.reconcile(&workspace)])?.better(warm));
                }
                let (Some(cold), Some(warm)) = (cold, warm) else { anyhow::bail!("measured nothing") };
                let platforms = platforms.len();
                Ok(Row { work: Work::Unchanged, targets: *count, platforms, cold, warm, peers: Vec::new() })
            })
            .collect()
    }

    fn command(&self, workspace: &Path, verb: &str) -> Command {
        let mut command = Command::new(self.binary);
        command
            .args([verb, "--quiet"])
            .current_dir(workspace)
            .env("HOME", workspace)
            .env("XDG_CACHE_HOME", workspace.join("cache"));
        command
    }

    fn reconcile(&self, workspace: &Path) -> Command {
        self.command(workspace, "reconcile")
    }
}

/// One target, with its images in the list's repository and in repositories of their own.
struct Case<'a> {
    bench: &'a Bench<'a>,
    platforms: &'a [Platform],
    repository: String,
    workspace: PathBuf,
    /// A list with another image in it, to be changed.
    before: (String, Vec<u8>),
    /// How many lists were published where there was none.
    lists: std::cell::Cell<usize>,
}

impl<'a> Case<'a> {
    fn new(bench: &'a Bench<'a>, count: usize, platforms: &'a [Platform]) -> Result<Self> {
        let repository = format!("app-{count}");
        let workspace = bench.fixture.workspace(&repository)?;
        let mut case = Self {
            bench,
            platforms,
            repository,
            workspace,
            before: Default::default(),
            lists: Default::default(),
        };
        let own = |platform: &Platform| (case.repository.clone(), platform.dashed());
        let elsewhere = |platform: &Platform| (case.elsewhere(platform), "1".to_owned());
        bench.runtime.block_on(async {
            bench.fixture.images(&platforms[..1], "before", own).await?;
            bench.fixture.images(&platforms[1..], "", own).await?;
            bench.fixture.images(platforms, "", elsewhere).await
        })?;
        case.declare(Work::Changed, &case.repository)?;
        run(case.reconcile())?;
        let before = bench.runtime.block_on(async {
            let before = bench.fixture.served(&case.repository, "1").await?;
            bench.fixture.images(&platforms[..1], "", own).await?;
            anyhow::Ok(before)
        })?;
        case.before = before;
        Ok(case)
    }

    /// Prepares the registry and the cache, and measures one run.
    fn sample(&self, work: Work, cache: Cache) -> Result<Sample> {
        let fixture = self.bench.fixture;
        let list = match work {
            _ if !work.is_elsewhere() => self.repository.clone(),
            _ => {
                self.lists.set(self.lists.get() + 1);
                format!("{}-list-{}", self.repository, self.lists.get())
            }
        };
        self.declare(work, &list)?;
        self.bench.runtime.block_on(async {
            match work {
                Work::Unchanged | Work::Elsewhere | Work::ElsewhereMoving => {}
                Work::Changed => fixture.serve(&self.repository, "1", &self.before).await?,
                Work::ChangedMoving => {
                    fixture.delete_tag(&self.repository, "1").await?;
                    fixture.serve(&self.repository, "latest", &self.before).await?;
                }
                Work::New => fixture.delete_tag(&self.repository, "1").await?,
            }
            anyhow::Ok(())
        })?;
        match (work, cache) {
            // Both tell what is there without changing it, and what was told is known afterwards.
            (Work::Unchanged, _) => drop(run(self.reconcile())?),
            (_, Cache::Warm) => drop(run(self.bench.command(&self.workspace, "plan"))?),
            (_, Cache::Cold) => {}
        }
        if cache == Cache::Cold {
            remove(&self.workspace.join("cache"))?;
        }
        measure(fixture, vec![self.reconcile()])
    }

    fn reconcile(&self) -> Command {
        self.bench.reconcile(&self.workspace)
    }

    fn declare(&self, work: Work, list: &str) -> Result<()> {
        let mut text = String::new();
        let list = format!("{}/{list}", self.bench.fixture.host());
        let image = |platform: &Platform| self.image(platform, work.is_elsewhere());
        declare(&mut text, "app", &list, work.tags(), self.platforms, image)?;
        Ok(fs::write(self.workspace.join("manifests.toml"), text)?)
    }

    fn image(&self, platform: &Platform, elsewhere: bool) -> String {
        let host = self.bench.fixture.host();
        if elsewhere {
            format!("{host}/{}:1", self.elsewhere(platform))
        } else {
            format!("{host}/{}:{}", self.repository, platform.dashed())
        }
    }

    /// The repository of one platform's image.
    fn elsewhere(&self, platform: &Platform) -> String {
        format!("{}-{}", self.repository, platform.dashed())
    }
}

/// Writes one target.
fn declare(
    text: &mut String,
    name: &str,
    list: &str,
    tags: &str,
    platforms: &[Platform],
    image: impl Fn(&Platform) -> String,
) -> Result<()> {
    writeln!(text, "[target.{name}]\nrepository = \"{list}\"\ntags = {tags}")?;
    for platform in platforms {
        writeln!(text, "platform.\"{platform}\".image = \"{}\"", image(platform))?;
    }
    Ok(())
}
