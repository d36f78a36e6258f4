//! What a declaration asks to be checked of an image, and what was checked. Pure.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::config::{BinaryCheck, Image, Smoke, Target, WithoutEmulator};
use crate::model::digest::Digest;

/// A check of an image, in words that stay the same while the check does: `smoke sha256:…`, `binary-check`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Check(String);

impl Check {
    /// The smoke run: its command, what it expects and the time that it gets.
    pub fn smoke(smoke: &Smoke) -> Self {
        let what = (&smoke.command, &smoke.expect, smoke.timeout.as_millis());
        let text = serde_json::to_string(&what).unwrap_or_default();
        Self(format!("smoke {}", Digest::of(text.as_bytes())))
    }

    /// The image's programs are for its platform.
    pub fn programs() -> Self {
        Self("binary-check".to_owned())
    }

    /// Those that could be read are; some layers could not be. Another look would see no more.
    pub fn programs_in_part() -> Self {
        Self("binary-check in-part".to_owned())
    }

    /// They were looked at, and what was found was no more than a warning.
    pub fn programs_with_warnings() -> Self {
        Self("binary-check warn".to_owned())
    }

    /// `smoke`, `binary-check`: of one kind, the last one counts.
    pub fn kind(&self) -> &str {
        self.0.split(' ').next().unwrap_or_default()
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind() {
            "smoke" => "smoke run",
            "binary-check" => "check of programs",
            kind => kind,
        })
    }
}

/// The checks that one image has passed. What this program does not know stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Checks(BTreeSet<Check>);

impl Checks {
    /// Nothing was checked.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes in that `check` was passed; another one of its kind was passed before, and does not count any more.
    pub fn add(&mut self, check: Check) {
        self.0.retain(|known| known.kind() != check.kind());
        self.0.insert(check);
    }

    /// Takes in all that was passed later.
    pub fn extend(&mut self, later: &Self) {
        for check in &later.0 {
            self.add(check.clone());
        }
    }

    fn has(&self, check: &Check) -> bool {
        self.0.contains(check)
    }

    /// Whether the declared check of programs was passed.
    pub fn has_programs(&self, declared: BinaryCheck) -> bool {
        let well = self.has(&Check::programs()) || self.has(&Check::programs_in_part());
        match declared {
            BinaryCheck::Off => true,
            BinaryCheck::Warn => well || self.has(&Check::programs_with_warnings()),
            BinaryCheck::Error => well,
        }
    }

    /// What `target` asks to be checked of `image`, one of its own, and was not passed. Smoke runs may be left out.
    pub fn outstanding(&self, target: &Target, image: &Image, smoke: bool) -> Vec<Outstanding> {
        let mut outstanding = Vec::new();
        // Of an image that somebody else built every file is given.
        if image.build.is_some() && !self.has_programs(target.binary_check) {
            outstanding.push(Outstanding { check: Check::programs(), optional: false });
        }
        if let Some(declared) = image.smoke.as_ref().filter(|_| smoke) {
            let check = Check::smoke(declared);
            if !self.has(&check) {
                let optional = declared.without_emulator == WithoutEmulator::Warn;
                outstanding.push(Outstanding { check, optional });
            }
        }
        outstanding
    }
}

/// A declared check that an image has not passed yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outstanding {
    /// The check.
    pub check: Check,
    /// A machine that cannot do it goes on without.
    pub optional: bool,
}

impl Outstanding {
    /// Whether it is the smoke run.
    pub fn is_smoke(&self) -> bool {
        self.check.kind() == "smoke"
    }
}

impl FromIterator<Check> for Checks {
    fn from_iter<T: IntoIterator<Item = Check>>(checks: T) -> Self {
        let mut all = Self::default();
        for check in checks {
            all.add(check);
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn smoke() -> Smoke {
        Smoke {
            command: vec!["cat".to_owned(), "/text".to_owned()],
            expect: Some("x".to_owned()),
            timeout: Duration::from_secs(60),
            without_emulator: WithoutEmulator::Fail,
        }
    }

    #[test]
    fn what_decides_a_smoke_run_is_in_its_name() {
        let same = Check::smoke(&smoke());
        assert_eq!(Check::smoke(&smoke()), same);
        // The lock keeps it: it must not change between versions of this program.
        assert_eq!(same.0, "smoke sha256:662654c626b60e5d06c209008fd8f9f0ba3036b02dd1ea810052b47f57a36ccf");
        assert_eq!(Check::smoke(&Smoke { without_emulator: WithoutEmulator::Warn, ..smoke() }), same);
        for (what, other) in [
            ("command", Smoke { command: vec!["cat /text".to_owned()], ..smoke() }),
            ("no expect", Smoke { expect: None, ..smoke() }),
            ("expect", Smoke { expect: Some("y".to_owned()), ..smoke() }),
            ("timeout", Smoke { timeout: Duration::from_secs(1), ..smoke() }),
        ] {
            assert_ne!(Check::smoke(&other), same, "{what}");
        }
    }

    #[test]
    fn the_last_check_of_a_kind_counts() {
        let other = Check::smoke(&Smoke { expect: None, ..smoke() });
        let mut checks: Checks =
            [Check::programs_with_warnings(), Check::smoke(&smoke())].into_iter().collect();
        assert!(!checks.has_programs(BinaryCheck::Error));
        assert!(checks.has_programs(BinaryCheck::Warn) && checks.has_programs(BinaryCheck::Off));
        checks.extend(&[Check::programs(), other.clone()].into_iter().collect());
        assert!(checks.has_programs(BinaryCheck::Error) && checks.has_programs(BinaryCheck::Warn));
        assert!(checks.has(&other) && !checks.has(&Check::smoke(&smoke())));
        assert_eq!(checks.0.len(), 2);
    }
}
