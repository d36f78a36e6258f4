use super::*;
use crate::build::fingerprint::gather;
use crate::config::Build;
use crate::model::platform::Platform;

fn digest(text: &str) -> Digest {
    Digest::of(text.as_bytes())
}

fn base() -> Reference {
    "alpine:3".parse().unwrap()
}

struct Project {
    folder: tempfile::TempDir,
}

impl Project {
    fn new() -> Self {
        let project = Self { folder: tempfile::tempdir().unwrap() };
        project.write("Dockerfile", "FROM alpine:3\nCOPY a /\n");
        project.write("a", "a");
        project
    }

    fn write(&self, path: &str, text: &str) {
        std::fs::write(self.folder.path().join(path), text).unwrap();
    }

    fn gathered(&self) -> Gathered {
        let build = Build { context: self.folder.path().to_owned(), ..Build::default() };
        gather(&[(&build, &Platform::new("linux", "amd64"))]).remove(0)
    }
}

fn heads(content: &str) -> Heads {
    Heads::from([(base(), Ok(digest(content)))])
}

fn locked(made: &MadeOf) -> LockedImage {
    LockedImage {
        digest: digest("image"),
        size: 1,
        fingerprint: Some(made.fingerprint.clone()),
        checked: Default::default(),
        attestations: Vec::new(),
        bases: made.bases.iter().map(|(base, digest)| (base.to_string(), digest.clone())).collect(),
    }
}

#[test]
fn what_is_as_it_was_is_fresh() {
    let gathered = Project::new().gathered();
    let made = made_of(&gathered, &heads("first")).unwrap();
    let locked = locked(&made);
    assert_eq!(unchanged(&gathered, Some(&locked), || None), Ok(()));
    assert_eq!(bases_unmoved(&gathered, &locked, &heads("first")), Ok(()));
}

#[test]
fn what_is_not_says_why() {
    let project = Project::new();
    let gathered = project.gathered();
    let made = made_of(&gathered, &heads("first")).unwrap();
    let image = locked(&made);
    let told = |result: Result<(), Stale>| result.unwrap_err().to_string();
    assert_eq!(told(unchanged(&gathered, None, || None)), "the lock does not have it");
    let foreign = LockedImage { fingerprint: None, ..image.clone() };
    assert_eq!(
        told(unchanged(&gathered, Some(&foreign), || None)),
        "the lock does not say what it was built from"
    );
    for (scheme, age) in [(SCHEME - 1, "an older"), (SCHEME + 1, "a newer")] {
        let fingerprint = Some(Fingerprint { scheme, ..made.fingerprint.clone() });
        let image = LockedImage { fingerprint, ..image.clone() };
        assert_eq!(
            told(unchanged(&gathered, Some(&image), || None)),
            format!("its inputs were hashed by {age} version of manifests")
        );
    }
    assert_eq!(
        told(bases_unmoved(&gathered, &image, &heads("second"))),
        "base docker.io/library/alpine:3 has moved"
    );
    let unknown = Heads::from([(base(), Err("it does not exist".to_owned()))]);
    assert_eq!(
        told(bases_unmoved(&gathered, &image, &unknown)),
        "base docker.io/library/alpine:3 cannot be looked up: it does not exist"
    );
    assert!(bases_unmoved(&gathered, &image, &Heads::new()).is_err());

    project.write("a", "other");
    let gathered = project.gathered();
    assert_eq!(told(unchanged(&gathered, Some(&image), || Some(made.inputs))), "a has changed");
    let general = "inputs have changed since the locked release";
    assert_eq!(told(unchanged(&gathered, Some(&image), || None)), general);
    // What is noted of another build explains nothing.
    let other = made_of(&gathered, &heads("first")).unwrap().inputs;
    assert_eq!(told(unchanged(&gathered, Some(&image), || Some(other))), general);
}

#[test]
fn what_is_not_decided_has_no_fingerprint() {
    let project = Project::new();
    assert_eq!(made_of(&project.gathered(), &Heads::new()), None);
    project.write("Dockerfile", "FROM scratch\nADD https://example.org/x /\n");
    assert_eq!(made_of(&project.gathered(), &Heads::new()), None);
    let stale = unchanged(&project.gathered(), None, || None).unwrap_err();
    assert_eq!(stale.to_string(), "https://example.org/x is added without a checksum");
}
