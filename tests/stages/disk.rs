//! Runs that find no room on the disk, or a lock that cannot be read: before, while and after they publish.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::account::{Project, declaration, locked};
use crate::fixture::{Client, Ran, Ruled, run, writes_tag};
use crate::support::{ImageGuard, Workspace, docker};

/// A small disk, until it is dropped; a file fills it.
struct Disk(PathBuf);

impl Disk {
    /// Mounts one over a folder, which is made where it is not there.
    fn at(folder: &Path) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        let mount = ["-t", "tmpfs", "-o", "size=256k", "tmpfs"];
        let mounted = Command::new("mount").args(mount).arg(folder).output().expect("mount starts");
        let why = String::from_utf8_lossy(&mounted.stderr);
        assert!(mounted.status.success(), "hint: tests mount a small disk and run as root: {why}");
        Self(folder.to_owned())
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }

    fn empty(&self) {
        std::fs::remove_file(self.filler()).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

/// A project that has nothing but a small disk.
struct Small {
    workspace: Workspace,
    disk: Disk,
    // The disk goes before its folder.
    _folder: TempDir,
}

impl Small {
    fn new(declaration: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::at(folder.path());
        std::fs::write(folder.path().join("manifests.toml"), declaration).unwrap();
        Self { workspace: Workspace::new(&[]), disk, _folder: folder }
    }

    fn path(&self) -> &Path {
        &self.disk.0
    }

    fn run(&self, args: &[&str]) -> Ran {
        let output = self.workspace.command(args).current_dir(self.path()).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ran { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }
}

/// Writes until the disk is full.
fn fill(filler: &Path) {
    let mut file = File::options().create(true).append(true).open(filler).unwrap();
    while std::io::Write::write(&mut file, &[0; 4096]).is_ok_and(|written| written > 0) {}
}

#[test]
fn a_full_disk_is_told_with_the_right_code_and_the_next_run_converges() {
    let project = Project::new();
    let (registry, app) = (&project.registry, &project.app);
    let small = Small::new(&declaration(app, "1.0.0"));
    let disk = &small.disk;
    let fills_at = |tag: &'static str| {
        let filler = disk.filler();
        registry.rule(move |request| {
            if writes_tag(request, tag) {
                fill(&filler);
            }
            None
        });
    };

    // Before: nothing is published.
    fill(&disk.filler());
    small.run(&["reconcile"]).ends(1, &["could not write", "No space left on device"]);
    assert!(project.served(&["1.0.0", "latest"]).is_empty());
    disk.empty();

    // After the first tag, with no lock yet.
    fills_at("1.0.0");
    small
        .run(&["reconcile"])
        .ends(4, &["everything is published", "manifests.lock", "No space left on device"]);
    assert_eq!(project.served(&["1.0.0", "latest"]).len(), 2);
    small.run(&["reconcile"]).ends(4, &["No space left on device"]);
    registry.heal();
    disk.empty();
    small.run(&["reconcile"]).ends(0, &[]);
    assert_eq!(locked(small.path(), app), project.served(&["1.0.0", "latest"]));

    // The same with a lock, which stays whole; then the file for other programs has no room.
    let before = std::fs::read_to_string(small.path().join("manifests.lock")).unwrap();
    project.change("1.1.0");
    std::fs::write(small.path().join("manifests.toml"), declaration(app, "1.1.0")).unwrap();
    fills_at("1.1.0");
    let release = ["release", "--allow-dirty", "--metadata-file", "digests.json"];
    small.run(&release).ends(4, &["everything is published", "No space left on device"]);
    assert_eq!(std::fs::read_to_string(small.path().join("manifests.lock")).unwrap(), before);
    registry.heal();
    disk.empty();
    small.run(&["reconcile"]).ends(0, &[]);
    fill(&disk.filler());
    small.run(&release).ends(4, &["everything is published; could not write the metadata file"]);
    disk.empty();
    small.run(&release).ends(0, &[]);
    assert_eq!(locked(small.path(), app), project.served(&["1.1.0", "latest"]));
    assert!(small.path().join("digests.json").metadata().unwrap().len() > 0);
    small.run(&["verify"]).ends(0, &[]);
    let left: Vec<_> =
        std::fs::read_dir(small.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 4, "nothing unfinished is left: {left:?}");
}

#[test]
fn a_disk_that_is_full_while_a_release_works() {
    // What is kept between runs is not needed.
    let project = Project::new();
    let cache = Disk::at(&project.workspace.docker_config().join("../.cache"));
    fill(&cache.filler());
    run(&project.workspace, &["release", "--allow-dirty"]).ends(0, &[]);
    assert_eq!(project.locked(), project.served(&["1.0.0", "latest"]));

    // Without a journal nothing is tagged.
    let registry = Ruled::start();
    let app = format!("{}/app", registry.host());
    let text = format!(
        "[target.app]\nrepository = \"{app}\"\ntags = [\"1\"]\nplatforms = [\"linux/amd64\"]\nbuild.context = \".\"\n"
    );
    let dockerfile = "FROM scratch\nCOPY manifests.toml /\n";
    let workspace = Workspace::new(&[("manifests.toml", &text), ("Dockerfile", dockerfile)]);
    let _image = ImageGuard::new(format!("{app}:1-linux-amd64"));
    let disk = Disk::at(&workspace.path().join("target/manifests"));
    let filler = disk.filler();
    registry.rule(move |request| {
        if writes_tag(request, "1-linux-amd64") {
            fill(&filler);
        }
        None
    });
    let release = ["release", "--engine", docker().to_str().unwrap()];
    run(&workspace, &release).ends(1, &["could not write", "journal.json", "No space left on device"]);
    registry.heal();
    disk.empty();
    let client = Client::new();
    assert_eq!(client.served(&app, "1"), None);
    run(&workspace, &release).ends(0, &[]);
    assert_eq!(locked(&workspace.path(), &app)["1"], client.served(&app, "1").unwrap());
}

const CONFLICT: &str = "version = 1\n<<<<<<< HEAD\n=======\n>>>>>>> other\n";

#[test]
fn a_lock_that_cannot_be_read_stops_a_run_before_anything_is_written() {
    let project = Project::new();
    project.workspace.write("manifests.lock", CONFLICT);
    let (list, image) = (format!("{}:1.0.0", project.app), format!("{}:amd64", project.app));
    let declared = project.workspace.read("manifests.toml");
    for args in [
        &["plan"][..],
        &["release", "--allow-dirty"],
        &["reconcile"],
        &["verify"],
        &["promote", "--to", "localhost:1"],
        &["manifest", "push", "--purge", &list],
        &["manifest", "rm", &list],
        &["import", &image],
    ] {
        run(&project.workspace, args)
            .ends(2, &["manifests.lock", "line 2 has a conflict mark", "hint: `git checkout"]);
        assert_eq!(project.workspace.read("manifests.lock"), CONFLICT, "{args:?}");
        assert_eq!(project.workspace.read("manifests.toml"), declared, "{args:?}");
    }
    assert!(project.served(&["1.0.0", "latest"]).is_empty());
}

#[test]
fn a_lock_that_became_unreadable_meanwhile_is_left_as_it_is() {
    for args in [&["release", "--allow-dirty"][..], &["reconcile"], &["manifest", "push", "LIST"]] {
        let project = Project::new();
        let lock = project.workspace.path().join("manifests.lock");
        let written = lock.clone();
        project.registry.rule(move |request| {
            if writes_tag(request, "1.0.0") {
                std::fs::write(&written, CONFLICT).unwrap();
            }
            None
        });
        let list = format!("{}:1.0.0", project.app);
        let args: Vec<&str> = args.iter().map(|word| if *word == "LIST" { &list } else { *word }).collect();
        run(&project.workspace, &args)
            .ends(4, &["everything is published", "manifests.lock", "line 2 has a conflict mark"]);
        assert_eq!(std::fs::read_to_string(&lock).unwrap(), CONFLICT);
        assert_eq!(project.served(&["1.0.0", "latest"]).len(), 2);
        std::fs::remove_file(&lock).unwrap();
        run(&project.workspace, &args).ends(0, &[]);
        assert_eq!(project.locked(), project.served(&["1.0.0", "latest"]));
    }
}
