//! A context, its ignore file, a Dockerfile of many stages, and what is around a build.

mod change;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use manifests::build::fingerprint::Surroundings;
use manifests::config::Build;
use tempfile::TempDir;

use super::chance::Chance;
use super::engine::Client;
use crate::support::busybox_program;

const NAMES: &[&str] = &["a", "b", "ab", "axb", "a.txt", "b.log", "c", "d", "a+b", "ä", ".h", "x y", "[a]"];

const FOLDERS: &[&str] = &["a", "b", "d", "ab", "d/a", "d/b", "d/a/b", "b/d"];

/// What a Dockerfile's stage or an ignore file's line names.
#[derive(Clone)]
pub(super) struct World {
    folder: std::sync::Arc<TempDir>,
    stages: Vec<String>,
    global: String,
    ignore: Vec<String>,
    args: BTreeMap<String, String>,
    passed: Vec<String>,
    environment: BTreeMap<OsString, OsString>,
    kept: Option<Box<World>>,
}

impl World {
    pub(super) fn new(chance: &mut Chance, client: &Client, stages: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut world = Self {
            stages: Vec::new(),
            global: String::new(),
            ignore: Vec::new(),
            args: BTreeMap::new(),
            passed: vec!["P".to_owned()],
            environment: BTreeMap::from([("DOCKER_CONFIG".into(), folder.path().join("config").into())]),
            folder: std::sync::Arc::new(folder),
            kept: None,
        };
        fs::create_dir(world.folder.path().join("config")).unwrap();
        world.configure(None);
        world.make_files(chance);
        for _ in 0..chance.below(6) {
            let line = ignore_line(chance);
            world.ignore.push(line);
        }
        // The program that RUN needs comes along in any case; half of the worlds have no RUN.
        let runs = chance.one_in(2);
        if runs {
            world.ignore.push("!zz".to_owned());
            let program = world.context().join("zz/busybox");
            fs::create_dir(world.context().join("zz")).unwrap();
            fs::write(&program, busybox_program("linux/amd64")).unwrap();
            fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
        }
        let value = chance.choose(NAMES).to_owned();
        world.global = format!("ARG G={}\nARG Q\n", chance.choose(&["a", "b", "d"]));
        world.args.insert("A".to_owned(), chance.choose(&["a", "b", "d"]).to_owned());
        world.args.insert("Q".to_owned(), value);
        if chance.one_in(2) {
            world.environment.insert("P".into(), chance.choose(&["a", "b"]).into());
        }
        for stage in 0..stages {
            let text = world.stage(chance, stage, runs, client);
            world.stages.push(text);
        }
        world.write();
        world
    }

    pub(super) fn context(&self) -> PathBuf {
        self.folder.path().join("context")
    }

    fn make_files(&self, chance: &mut Chance) {
        for folder in FOLDERS {
            if !chance.one_in(4) {
                fs::create_dir_all(self.context().join(folder)).unwrap();
            }
        }
        for folder in [""].iter().chain(FOLDERS) {
            for name in NAMES.iter().filter(|_| self.context().join(folder).is_dir()) {
                let path = self.context().join(folder).join(name);
                if chance.one_in(3) && !path.exists() {
                    fs::write(&path, format!("{folder}/{name}")).unwrap();
                }
            }
            if chance.one_in(4) && self.context().join(folder).is_dir() {
                let target =
                    chance.choose(&["a", "../a", "/d/a", "../../../etc/passwd", "b/../a", "l", ".."]);
                let _ = symlink(target, self.context().join(folder).join("l"));
            }
        }
        fs::create_dir_all(self.context().join("always")).unwrap();
        for name in ["a", "b", "d"] {
            fs::write(self.context().join("always").join(name), name).unwrap();
        }
    }

    /// Some path that is there, or might be.
    fn path(&self, chance: &mut Chance) -> String {
        let mut all = Vec::new();
        list(&self.context(), "", &mut all);
        all.retain(|path| !path.starts_with("zz"));
        all[chance.below(all.len())].clone()
    }

    fn source(&self, chance: &mut Chance) -> String {
        if chance.one_in(8) {
            return ".".to_owned();
        }
        let mut path = self.path(chance);
        if chance.one_in(3) {
            let mut parts: Vec<String> = path.split('/').map(str::to_owned).collect();
            let at = chance.below(parts.len());
            parts[at] = wild(chance, &parts[at]);
            path = parts.join("/");
        }
        match chance.below(10) {
            0 => format!("./{path}"),
            1 => format!("/{path}/"),
            2 => format!("../x/../{path}"),
            _ => path,
        }
    }

    fn copy(&self, chance: &mut Chance) -> String {
        let sources: Vec<String> = (0..=chance.below(2)).map(|_| self.source(chance)).collect();
        let keyword = if chance.one_in(4) { "ADD" } else { "COPY" };
        if sources.iter().any(|source| source.contains(' ')) || chance.one_in(6) {
            let words: Vec<&str> = sources.iter().map(String::as_str).chain(["/out/"]).collect();
            return format!("{keyword} {}\n", serde_json::to_string(&words).unwrap());
        }
        format!("{keyword} {} /out/\n", sources.join(" "))
    }

    fn stage(&self, chance: &mut Chance, number: usize, runs: bool, client: &Client) -> String {
        let from = format!("FROM scratch AS s{number}\n");
        let run =
            format!("FROM scratch AS s{number}\nCOPY zz /bin/\nSHELL [\"/bin/busybox\", \"sh\", \"-c\"]\n");
        let variable = chance.choose(&["A", "G", "P", "Q", "E", "TARGETARCH", "N"]);
        let word = match chance.below(5) {
            0 => format!("${variable}"),
            1 => format!("${{{variable}}}"),
            2 => format!("${{{variable}:-b}}"),
            3 => format!("${{{variable}:+b}}"),
            _ => format!("${{N:-${variable}}}"),
        };
        let declared = chance.choose(&[
            "ARG A=a\n",
            "ARG A\nARG G\n",
            "ARG P=b\n",
            "ENV E=d\n",
            "ARG Q P\nENV E=$P\n",
            "",
        ]);
        let copied = self.copy(chance);
        match chance.below(if runs { 14 } else { 9 }) {
            0..=3 => from + &copied,
            4 => format!("{from}{copied}{}", self.copy(chance)),
            5 => format!("{from}{declared}COPY always/{word} /out/\n"),
            6 => format!(
                "FROM scratch AS p{number}\n{declared}COPY always /out/\nFROM p{number} AS s{number}\nARG {variable}\nCOPY always/{word} /out/x/\n"
            ),
            7 => format!(
                "FROM scratch AS p{number}\n{copied}FROM scratch AS s{number}\nCOPY --from=p{number} /out /out/\n"
            ),
            8 => format!(
                "FROM scratch AS p{number}\n{declared}ONBUILD COPY always/{word} /out/\nCOPY always/a /out/y\nFROM p{number} AS s{number}\nCOPY always/b /out/\n"
            ),
            9 => format!("{run}{declared}RUN busybox mkdir /out && echo \"{word}\" > /out/said\n")
                .replace("RUN busybox", "RUN /bin/busybox"),
            10 => {
                let source = self.path(chance);
                format!(
                    "{run}RUN --mount=type=bind,source={source},target=/m /bin/busybox mkdir /out && /bin/busybox find /m -type f -exec /bin/busybox md5sum {{}} + | /bin/busybox sort > /out/m\n"
                )
            }
            11 if client.variable_mounts => format!(
                "{run}{declared}ARG T=bind\nRUN --mount=type=$T,target=/m /bin/busybox mkdir /out && /bin/busybox ls -R /m > /out/m\n"
            ),
            12 => format!(
                "{run}ARG HTTP_PROXY\nRUN /bin/busybox mkdir /out && echo \"$HTTP_PROXY\" > /out/proxy\n"
            ),
            _ if client.here_documents => {
                let (open, body) = (
                    chance.choose(&["<<EOF", "<<'EOF'", "<< EOF", "<<-EOF"]),
                    chance.choose(&["a", " a ", "\ta\r", "a\n\nb", "# a\nb\\\nc"]),
                );
                format!("{run}RUN /bin/busybox mkdir /out && /bin/busybox cat > /out/d {open}\n{body}\nEOF\n")
            }
            _ => from + &copied,
        }
    }

    /// The Dockerfile without what gathers its stages.
    fn dockerfile(&self) -> String {
        format!("{}{}", self.global, self.stages.concat())
    }

    /// The Dockerfile without what gathers its stages, on disk.
    pub(super) fn file(&self) -> PathBuf {
        self.folder.path().join("Dockerfile")
    }

    /// Whether a stage, or what it begins with, has an ENV.
    pub(super) fn sets_variables(&self, stage: usize) -> bool {
        self.stages[stage].contains("ENV ")
    }

    fn write(&self) {
        fs::write(self.context().join(".dockerignore"), self.ignore.join("\n") + "\n").unwrap();
        fs::write(self.file(), self.dockerfile()).unwrap();
    }

    /// A Dockerfile whose last stage gathers `stages`.
    pub(super) fn with_all(&self, stages: &[usize]) -> PathBuf {
        let copies: String =
            stages.iter().map(|stage| format!("COPY --from=s{stage} /out /s{stage}/\n")).collect();
        let path = self.folder.path().join("All");
        fs::write(&path, format!("{}FROM scratch AS all\n{copies}", self.dockerfile())).unwrap();
        path
    }

    pub(super) fn arguments(&self) -> Vec<String> {
        let given =
            self.args.iter().flat_map(|(name, value)| ["--build-arg".to_owned(), format!("{name}={value}")]);
        given.chain(self.extra()).collect()
    }

    fn extra(&self) -> Vec<String> {
        self.passed.iter().flat_map(|name| ["--build-arg".to_owned(), name.clone()]).collect()
    }

    pub(super) fn environment(&self) -> BTreeMap<OsString, OsString> {
        self.environment.clone()
    }

    pub(super) fn surroundings(&self) -> Surroundings {
        self.environment.clone().into_iter().collect()
    }

    pub(super) fn build(&self, stage: usize) -> Build {
        Build {
            context: self.context(),
            dockerfile: Some(self.file()),
            args: self.args.clone(),
            extra_args: self.extra(),
            stage: Some(format!("s{stage}")),
            ..Build::default()
        }
    }

    pub(super) fn story(&self) -> String {
        let mut files = Vec::new();
        list(&self.context(), "", &mut files);
        format!(
            "-- .dockerignore\n{}\n-- Dockerfile\n{}-- {:?} {:?}\n-- {files:?}",
            self.ignore.join("\n"),
            self.dockerfile(),
            self.args,
            self.environment
        )
    }

    fn configure(&self, proxy: Option<&str>) {
        let config = match proxy {
            Some(proxy) => serde_json::json!({ "proxies": { "default": { "httpProxy": proxy } } }),
            None => serde_json::json!({}),
        };
        fs::write(self.folder.path().join("config/config.json"), config.to_string()).unwrap();
    }
}

/// A part of a path as a pattern that may mean it.
fn wild(chance: &mut Chance, part: &str) -> String {
    let first: String = part.chars().take(1).collect();
    let rest: String = part.chars().skip(1).collect();
    match chance.below(8) {
        0 => "*".to_owned(),
        1 => format!("{first}*"),
        2 => format!("?{rest}"),
        3 => format!("[a-c]{rest}"),
        4 => format!("*{rest}"),
        5 => format!("[^x]{rest}"),
        6 => format!("\\{first}{rest}"),
        _ => format!("{first}**{rest}"),
    }
}

fn ignore_line(chance: &mut Chance) -> String {
    let mut parts: Vec<String> = Vec::new();
    for _ in 0..=chance.below(3) {
        let name = chance.choose(NAMES);
        let part = match chance.below(6) {
            0 => wild(chance, name),
            1 => "**".to_owned(),
            2 => "*".to_owned(),
            3 => chance.choose(&["a", "b", "d"]).to_owned(),
            _ => name.to_owned(),
        };
        parts.push(part);
    }
    let line = parts.join("/");
    match chance.below(12) {
        0..=2 => format!("!{line}"),
        3 => format!("/{line}"),
        4 => format!("{line}/"),
        5 => format!("  {line} "),
        6 => format!("**{}", parts[0]),
        7 => format!("x/../{line}"),
        8 => format!("# {line}"),
        9 => format!("! {line}"),
        _ => line,
    }
}

/// All paths below, without what the test itself needs.
fn list(root: &Path, below: &str, all: &mut Vec<String>) {
    let mut entries: Vec<_> = fs::read_dir(root.join(below)).unwrap().map(Result::unwrap).collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name().into_string().unwrap();
        let path = if below.is_empty() { name } else { format!("{below}/{name}") };
        if path == ".dockerignore" {
            continue;
        }
        if entry.file_type().unwrap().is_dir() {
            list(root, &path, all);
        }
        all.push(path);
    }
}
