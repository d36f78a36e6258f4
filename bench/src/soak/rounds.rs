//! The kinds of round, and what must hold after each.

use std::fs;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};
use manifests::model::digest::Digest;
use tokio::task::spawn_blocking;

use super::counts::Counts;
use super::proxy::Weather;
use super::world::{Workspace, World};

/// What goes wrong in a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Round {
    /// Nothing.
    Undisturbed,
    /// The run is told to end, or killed.
    Signal,
    /// Another workspace publishes something else under the same tags at the same time.
    Race,
    /// The workspace's disk is full, or becomes full.
    FullDisk,
    /// Both registries are slow.
    Slow,
    /// Connections are cut and refused.
    Faulty,
    /// They are, and the run is told to end.
    FaultySignal,
}

/// The longest that a run may take; what is then still running hangs.
const LONGEST: Duration = Duration::from_secs(120);

const SIGNALS: [&str; 5] = ["TERM", "INT", "HUP", "QUIT", "KILL"];

impl Round {
    pub(crate) const ALL: [Self; 7] = [
        Self::Undisturbed,
        Self::Signal,
        Self::Race,
        Self::FullDisk,
        Self::Slow,
        Self::Faulty,
        Self::FaultySignal,
    ];

    pub(crate) fn choose(random: &mut fastrand::Rng) -> Self {
        Self::ALL[random.usize(..Self::ALL.len())]
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Undisturbed => "undisturbed",
            Self::Signal => "a signal",
            Self::Race => "a rival",
            Self::FullDisk => "a full disk",
            Self::Slow => "slow registries",
            Self::Faulty => "bad connections",
            Self::FaultySignal => "both, and a signal",
        }
    }

    fn weather(self, random: &mut fastrand::Rng) -> Weather {
        match self {
            Self::Slow => Weather { delay: Duration::from_millis(random.u64(1..30)), ..Weather::default() },
            Self::Faulty | Self::FaultySignal => Weather {
                delay: Duration::from_millis(random.u64(0..5)),
                cut_one_of: random.u32(4..60),
                refuse_one_of: random.u32(3..30),
            },
            _ => Weather::default(),
        }
    }

    fn signal(self, random: &mut fastrand::Rng) -> Option<(&'static str, Duration)> {
        let longest = match self {
            Self::Signal => 250,
            Self::FaultySignal => 1_500,
            _ => return None,
        };
        Some((SIGNALS[random.usize(..SIGNALS.len())], Duration::from_millis(random.u64(..longest))))
    }
}

/// One round; gives what was wrong.
pub(crate) async fn run(
    world: &mut World,
    round: Round,
    random: &mut fastrand::Rng,
    counts: &mut Counts,
) -> Result<Vec<String>> {
    let version = format!("1.{}.0", random.u32(..));
    let before = world.served("latest").await?;
    let disk = match round {
        Round::FullDisk => match Disk::mount(&world.place("disk"), random)? {
            Some(disk) => Some(disk),
            None => {
                counts.left_out(round);
                return Ok(Vec::new());
            }
        },
        _ => None,
    };
    let folder = disk.as_ref().map_or_else(|| world.place(&version), |disk| disk.0.join("workspace"));
    let mut workspace = world.workspace(folder, &version).await?;
    let mut rival = match round {
        Round::Race => Some(world.workspace(world.place(&format!("{version}-rival")), &version).await?),
        _ => None,
    };
    // While nothing is in the way of a plan.
    for workspace in std::iter::once(&mut workspace).chain(&mut rival) {
        workspace.list = Some(planned_list(world, workspace)?);
    }
    if let Some(disk) = &disk {
        disk.fill(random)?;
    }
    for proxy in &world.proxies {
        proxy.set(round.weather(random));
    }
    let signal = round.signal(random);
    let runs: Vec<_> = std::iter::once(&workspace)
        .chain(&rival)
        .map(|workspace| start(&world.binary, &workspace.folder, signal))
        .collect();
    let mut ends = Vec::new();
    for run in runs {
        ends.push(run.await??);
    }
    for proxy in &world.proxies {
        proxy.set(Weather::default());
    }
    let mut wrongs = Vec::new();
    for end in &ends {
        counts.ended(round, end.name());
        wrongs.extend(end.wrongs(signal.map(|(name, _)| name)));
    }
    let tags = [version.as_str(), "latest"];
    wrongs.extend(world.wrongs(&tags).await?);
    let killed = matches!(signal, Some(("KILL", _)));
    // Whoever is killed cannot clear up; whoever has no room cannot either.
    if !killed && disk.is_none() {
        wrongs.extend(workspace.wrongs()?);
    }
    if let Some(disk) = &disk {
        disk.clear()?;
    }

    let immutable = world.served(&version).await?;
    if let Some(rival) = rival {
        wrongs.extend(judge_race(world, &mut workspace, rival, &ends, &immutable)?);
        remove_left_overs(&workspace.folder)?;
    }
    wrongs.extend(converge(world, &workspace, &version, &before, &immutable, killed).await?);
    drop(disk);
    let _ = fs::remove_dir_all(&workspace.folder);
    Ok(wrongs)
}

/// At most one of two rivals ended well, and its list is what the immutable tag serves. From then on the round is about
/// the workspace whose list is served.
fn judge_race(
    world: &World,
    workspace: &mut Workspace,
    rival: Workspace,
    ends: &[End],
    immutable: &[Option<Digest>],
) -> Result<Vec<String>> {
    let mut wrongs = Vec::new();
    let well: Vec<bool> = ends.iter().map(|end| end.status.success()).collect();
    if well.iter().filter(|well| **well).count() > 1 {
        wrongs.push("both rivals ended well".to_owned());
    }
    for (one, well) in [&*workspace, &rival].into_iter().zip(well) {
        let list = planned_list(world, one)?;
        if well && immutable.iter().any(|served| *served != Some(list.clone())) {
            wrongs.push(format!("a rival ended well, and its list {list} is not served: {immutable:?}"));
        }
    }
    let served = immutable.iter().flatten().next();
    if served.is_some_and(|served| planned_list(world, &rival).is_ok_and(|list| list == *served)) {
        *workspace = rival;
    }
    Ok(wrongs)
}

/// The undisturbed run ends well, and everything serves what is declared; another one changes nothing.
async fn converge(
    world: &World,
    workspace: &Workspace,
    version: &str,
    before: &[Option<Digest>],
    immutable: &[Option<Digest>],
    killed: bool,
) -> Result<Vec<String>> {
    let mut wrongs = Vec::new();
    let list = planned_list(world, workspace)?;
    // Two registries that two rivals divided among themselves cannot both serve one list any more: an immutable tag stays.
    let divided = immutable.iter().flatten().any(|served| *served != list);
    let end = start(&world.binary, &workspace.folder, None).await??;
    if divided {
        if end.status.success() {
            wrongs.push("an immutable tag that serves another list was no error".to_owned());
        }
        return Ok(wrongs);
    }
    if !end.status.success() {
        wrongs.push(format!("the undisturbed run ended with {}: {}", end.name(), end.stderr));
    }
    for tag in [version, "latest"] {
        let served = world.served(tag).await?;
        if served.iter().any(|served| *served != Some(list.clone())) {
            wrongs
                .push(format!("{tag} serves {served:?} in the end, not {list}; `latest` served {before:?}"));
        }
    }
    let plan = manifests(&world.binary, &workspace.folder, &["plan", "--exit-code"])?;
    if !plan.status.success() {
        wrongs.push(format!("after the undisturbed run `plan --exit-code` ended with {}", plan.status));
    }
    if killed {
        remove_left_overs(&workspace.folder)?;
    }
    wrongs.extend(workspace.wrongs()?);
    Ok(wrongs)
}

/// The digest of the list that a workspace publishes, as its plan says.
fn planned_list(world: &World, workspace: &Workspace) -> Result<Digest> {
    if let Some(list) = &workspace.list {
        return Ok(list.clone());
    }
    let output = manifests(&world.binary, &workspace.folder, &["plan", "--format", "json"])?;
    let plan: serde_json::Value = serde_json::from_slice(&output.stdout).context("the plan is no JSON")?;
    let digest = plan.pointer("/targets/0/repositories/0/list/digest").and_then(serde_json::Value::as_str);
    Ok(digest.with_context(|| format!("the plan names no digest: {plan}"))?.parse()?)
}

/// How a run ended.
pub(crate) struct End {
    status: ExitStatus,
    stderr: String,
    /// Processes of its group that were still there.
    left: Vec<String>,
    hung: bool,
}

impl End {
    fn name(&self) -> String {
        match (self.status.code(), self.status.signal()) {
            (Some(code), _) => format!("exit code {code}"),
            (None, Some(signal)) => format!("signal {signal}"),
            (None, None) => "neither".to_owned(),
        }
    }

    /// What about this end is not as documented.
    fn wrongs(&self, signal: Option<&str>) -> Vec<String> {
        let mut wrongs = Vec::new();
        let told = match signal {
            Some("KILL") => self.status.signal() == Some(9),
            Some(name) => {
                let number = match name {
                    "HUP" => 1,
                    "INT" => 2,
                    "QUIT" => 3,
                    _ => 15,
                };
                self.status.code() == Some(128 + number) || self.status.signal() == Some(number)
            }
            None => false,
        };
        if !told && !matches!(self.status.code(), Some(0 | 1 | 4)) {
            wrongs.push(format!("it ended with {}: {}", self.name(), self.stderr));
        }
        if self.hung {
            wrongs.push(format!("it still ran after {} s", LONGEST.as_secs()));
        }
        if !self.left.is_empty() {
            wrongs.push(format!("it left processes behind: {}", self.left.join(", ")));
        }
        wrongs
    }
}

/// Releases from `folder`, in a process group of its own; a signal comes after its time.
fn start(
    binary: &Path,
    folder: &Path,
    signal: Option<(&'static str, Duration)>,
) -> tokio::task::JoinHandle<Result<End>> {
    let (binary, folder) = (binary.to_owned(), folder.to_owned());
    spawn_blocking(move || {
        let mut command = command(&binary, &folder, &["release", "--allow-dirty", "--first-publish"]);
        let child = command
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let pid = child.id();
        let (sender, done) = std::sync::mpsc::channel::<()>();
        let watch = std::thread::spawn(move || {
            let wait =
                |time: Duration| done.recv_timeout(time) == Err(std::sync::mpsc::RecvTimeoutError::Timeout);
            if let Some((name, after)) = signal
                && wait(after)
            {
                kill(name, pid);
            }
            let hung = wait(LONGEST);
            if hung {
                kill("KILL", pid);
            }
            hung
        });
        let output = child.wait_with_output()?;
        drop(sender);
        let hung = watch.join().map_err(|_| anyhow::anyhow!("the watch of a run panicked"))?;
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        Ok(End { status: output.status, stderr, left: group(pid)?, hung })
    })
}

fn kill(signal: &str, pid: u32) {
    // One that has ended meanwhile needs no signal.
    let _ =
        Command::new("kill").arg(format!("-{signal}")).arg(pid.to_string()).stderr(Stdio::null()).status();
}

/// The processes of a group, by their names.
fn group(leader: u32) -> Result<Vec<String>> {
    let mut left = Vec::new();
    for entry in fs::read_dir("/proc").context("processes are listed on Linux only")? {
        let path = entry?.path();
        let Ok(stat) = fs::read_to_string(path.join("stat")) else { continue };
        // proc(5): the name stands in parentheses and may hold any; the group is the third field behind it.
        let Some((name, rest)) = stat.rsplit_once(')') else { continue };
        if rest.split_whitespace().nth(2) == Some(leader.to_string().as_str()) {
            left.push(name.to_owned());
        }
    }
    Ok(left)
}

fn manifests(binary: &Path, folder: &Path, args: &[&str]) -> Result<std::process::Output> {
    Ok(command(binary, folder, args).stdin(Stdio::null()).output()?)
}

fn command(binary: &Path, folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(binary);
    command.args(args).current_dir(folder).env("HOME", folder.with_extension("home"));
    command.env("XDG_CACHE_HOME", folder.with_extension("cache"));
    command.env_remove("DOCKER_CONFIG").env_remove("GITHUB_ACTIONS");
    command
}

/// What a run that was killed could not remove.
fn remove_left_overs(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with('.') {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// A small file system in memory.
struct Disk(PathBuf);

impl Disk {
    /// `None` where this account may not mount one.
    fn mount(folder: &Path, random: &mut fastrand::Rng) -> Result<Option<Self>> {
        fs::create_dir_all(folder)?;
        let size = format!("size={}k", random.u32(96..256));
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder).stderr(Stdio::null());
        Ok(mount.status().is_ok_and(|status| status.success()).then(|| Self(folder.to_owned())))
    }

    /// Leaves little room, or none.
    fn fill(&self, random: &mut fastrand::Rng) -> Result<()> {
        use std::io::Write as _;
        let mut filler = fs::File::create(self.0.join("filler"))?;
        while filler.write_all(&[0; 4096]).is_ok() {}
        let size = filler.metadata()?.len();
        filler.set_len(size.saturating_sub(4096 * random.u64(..8)))?;
        Ok(())
    }

    fn clear(&self) -> Result<()> {
        Ok(fs::remove_file(self.0.join("filler"))?)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // It is gone with this machine at the latest.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
