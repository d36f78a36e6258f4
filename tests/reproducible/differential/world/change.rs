//! What changes between two builds of a world.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use super::super::chance::Chance;
use super::{World, ignore_line};

impl World {
    /// Whether the arguments are others than before the change.
    pub(in super::super) fn has_other_arguments(&self) -> bool {
        self.kept
            .as_ref()
            .is_some_and(|kept| (&kept.args, &kept.environment) != (&self.args, &self.environment))
    }

    /// Changes something, until [`Self::restore`]; says what.
    pub(in super::super) fn change(&mut self, chance: &mut Chance) -> String {
        self.kept = Some(Box::new(self.clone()));
        let saved = self.folder.path().join("saved");
        copy(&self.context(), &saved);
        let path = self.path(chance);
        let place = self.context().join(&path);
        let metadata = place.symlink_metadata().unwrap();
        let stage = chance.below(self.stages.len());
        let told = match chance.below(20) {
            0..=4 if metadata.is_file() => {
                fs::write(&place, "another").unwrap();
                format!("content of {path:?}")
            }
            5 if !metadata.is_symlink() => {
                fs::set_permissions(&place, Permissions::from_mode(0o711)).unwrap();
                format!("mode of {path:?}")
            }
            6 if metadata.is_file() => {
                fs::remove_file(&place).unwrap();
                format!("{path:?} is gone")
            }
            7 if metadata.is_file() => {
                fs::remove_file(&place).unwrap();
                let status = Command::new("mkfifo").arg(&place).status().unwrap();
                assert!(status.success());
                format!("{path:?} is a FIFO")
            }
            8 if metadata.is_file() => {
                let name = place.with_file_name("linked");
                fs::hard_link(&place, name).unwrap();
                format!("hard link beside {path:?}")
            }
            9 if metadata.is_dir() => {
                fs::create_dir(place.join("new")).unwrap();
                format!("new folder in {path:?}")
            }
            10 if metadata.is_symlink() => {
                fs::remove_file(&place).unwrap();
                symlink("b", &place).unwrap();
                format!("link {path:?}")
            }
            11 => {
                let line = ignore_line(chance);
                let at = chance.below(self.ignore.len() + 1);
                self.ignore.insert(at, line.clone());
                format!("ignore line {line:?} at {at}")
            }
            12 if !self.ignore.is_empty() => {
                let at = chance.below(self.ignore.len());
                format!("without the ignore line {:?}", self.ignore.remove(at))
            }
            13 => {
                let value = chance.choose(&["a", "b", "d"]);
                self.environment.insert("P".into(), value.into());
                format!("P={value} in the environment")
            }
            14 => {
                let name = chance.choose(&["A", "Q"]);
                let value = chance.choose(&["a", "b", "d", ""]);
                self.args.insert(name.to_owned(), value.to_owned());
                format!("argument {name}={value}")
            }
            15 => {
                self.configure(Some("http://proxy.invalid:1"));
                "proxy of the client".to_owned()
            }
            16 => {
                let text = &mut self.stages[stage];
                *text = match chance.below(3) {
                    0 => text.replace(" /out", "  /out"),
                    1 => text.replace("\na", "\na "),
                    _ => text.replacen("\n", "\n# a comment\n\n", 1),
                };
                format!("text of s{stage}")
            }
            17 => {
                self.stages[stage] = self.stages[stage].replace("COPY ", "COPY always /out/more\nCOPY ");
                format!("another COPY in s{stage}")
            }
            18 => {
                self.environment.insert("OTHER".into(), "x".into());
                "a variable that nothing passes on".to_owned()
            }
            _ => {
                let past = SystemTime::UNIX_EPOCH + Duration::from_secs(1);
                if metadata.is_file() {
                    File::open(&place).unwrap().set_modified(past).unwrap();
                }
                format!("time of {path:?}")
            }
        };
        self.write();
        told
    }

    pub(in super::super) fn restore(&mut self) {
        let saved = self.folder.path().join("saved");
        fs::remove_dir_all(self.context()).unwrap();
        fs::rename(saved, self.context()).unwrap();
        *self = *self.kept.take().unwrap();
        self.configure(None);
        self.write();
    }
}

/// Copies a folder with its links, modes and times.
fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(status.success());
}
