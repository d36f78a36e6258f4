use super::*;
use crate::build::fingerprint::{Key, gather};
use crate::config::Build;
use crate::model::platform::Platform;

fn digest(text: &str) -> Digest {
    Digest::of(text.as_bytes())
}

fn base() -> Reference {
    "alpine:3".parse().unwrap()
}

fn platform() -> Platform {
    Platform::new("linux", "amd64")
}

/// As long as nothing is known of the images within a list.
fn unmoved(gathered: &Gathered, locked: &LockedImage, heads: &Heads) -> Result<(), Stale> {
    bases_unmoved(gathered, locked, &platform(), heads, |_| false)
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
        gather(&[(&build, &platform())]).remove(0)
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
    assert_eq!(unmoved(&gathered, &locked, &heads("first")), Ok(()));
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
        told(unmoved(&gathered, &image, &heads("second"))),
        "base docker.io/library/alpine:3 has moved"
    );
    let unknown = Heads::from([(base(), Err("it does not exist".to_owned()))]);
    assert_eq!(
        told(unmoved(&gathered, &image, &unknown)),
        "base docker.io/library/alpine:3 cannot be looked up: it does not exist"
    );
    assert!(unmoved(&gathered, &image, &Heads::new()).is_err());

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

#[test]
fn a_list_that_moved_is_the_same_base_where_its_image_for_the_platform_is() {
    let project = Project::new();
    for (what, dockerfile, comparable) in [
        ("FROM", "FROM alpine:3", true),
        ("the platform by name", "FROM --platform=linux/amd64 alpine:3", true),
        ("the platform by argument", "FROM --platform=$TARGETPLATFORM alpine:3", true),
        ("another platform", "FROM --platform=linux/arm64 alpine:3", false),
        ("a platform that is not known here", "FROM --platform=$BUILDPLATFORM alpine:3", false),
        ("files for the platform", "FROM scratch\nCOPY --from=alpine:3 a /", true),
        ("files within another", "FROM --platform=linux/arm64 x@D\nCOPY --from=alpine:3 a /", false),
        ("both", "FROM --platform=linux/arm64 alpine:3 AS a\nFROM alpine:3\nCOPY --from=a a /", false),
        (
            "what begins with another",
            "FROM --platform=$BUILDPLATFORM x@D AS a\nFROM a\nCOPY --from=alpine:3 a /",
            false,
        ),
    ] {
        project.write("Dockerfile", &dockerfile.replace("x@D", &format!("x@{}", digest("x"))));
        let gathered = project.gathered();
        let locked = locked(&made_of(&gathered, &heads("first")).unwrap());
        let moved_from = |heads: &Heads| moved(&gathered, Some(&locked), &platform(), heads);
        assert!(moved_from(&heads("first")).is_empty(), "{what}");
        assert!(moved_from(&Heads::from([(base(), Err("gone".to_owned()))])).is_empty(), "{what}");
        assert!(moved(&gathered, None, &platform(), &heads("second")).is_empty(), "{what}");
        let expected = (base(), digest("first"), digest("second"), platform());
        assert_eq!(moved_from(&heads("second")).contains(&expected), comparable, "{what}");
        let confirmed = |same: bool| {
            bases_unmoved(&gathered, &locked, &platform(), &heads("second"), |moved| {
                same && *moved == expected
            })
        };
        let stale = Err(Stale::BaseMoved(base()));
        assert_eq!(confirmed(true), if comparable { Ok(()) } else { stale.clone() }, "{what}");
        assert_eq!(confirmed(false), stale, "{what}");
    }
}

#[test]
fn a_frontend_is_of_no_platform() {
    let project = Project::new();
    project.write("Dockerfile", "# syntax=docker/dockerfile:1\nFROM alpine:3\n");
    let gathered = project.gathered();
    let frontend: Reference = "docker/dockerfile:1".parse().unwrap();
    assert_eq!((gathered.syntax(), gathered.base()), (Some(&frontend), Some(&base())));
    assert!(!gathered.is_for_platform(&frontend) && gathered.is_for_platform(&base()));
}

#[test]
fn what_may_be_a_secret_is_fresh_where_it_was_built_alone() {
    let project = Project::new();
    project.write("Dockerfile", "FROM alpine:3\nARG NPM_TOKEN\nRUN npm\nCOPY a /\n");
    let gathered = |token: &str| {
        let args = BTreeMap::from([("NPM_TOKEN".to_owned(), token.to_owned())]);
        let build = Build { context: project.folder.path().to_owned(), args, ..Build::default() };
        gather(&[(&build, &platform())]).remove(0)
    };
    let (here, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let [here, elsewhere] = [here.path(), elsewhere.path()].map(|folder| Key::of(folder).unwrap());
    let keyed = |token: &str, key: &Key| gathered(token).keyed(Some(key));
    let made = made_of(&keyed("1234", &here), &heads("base")).unwrap();
    let locked = locked(&made);
    let state = |gathered: &Gathered| unchanged(gathered, Some(&locked), || None);
    assert_eq!(state(&keyed("1234", &here)), Ok(()));
    let names = || Stale::Secret("NPM_TOKEN".to_owned());
    assert_eq!(state(&keyed("1235", &here)), Err(names()));
    assert_eq!(state(&keyed("1234", &elsewhere)), Err(names()));
    assert!(matches!(state(&gathered("1234").keyed(None)), Err(Stale::Undecided(_))));
    // Whoever has the lock and everything but key and value cannot find the value by trying all of them.
    let found = (1200..1300).map(|pin| pin.to_string()).find(|pin| state(&gathered(pin)) == Ok(()));
    assert_eq!(found, None);
}
