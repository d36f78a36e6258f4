use serde_json::json;

use super::*;

fn docker(config: &str) -> (tempfile::TempDir, Credentials) {
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join(".docker")).unwrap();
    std::fs::write(home.path().join(".docker/config.json"), config).unwrap();
    let credentials = Credentials { home: Some(home.path().to_owned()), ..Credentials::default() };
    (home, credentials)
}

fn password(name: &str, password: &str) -> Credential {
    Credential::Password { name: name.to_owned(), password: Secret::new(password) }
}

impl Credentials {
    /// What is found where no helper fails, else the first failure.
    fn find(&self, host: &str, path: &str) -> Result<Option<Found>, String> {
        let search = self.search(host, path)?;
        match search.doubt() {
            Some(doubt) => Err(doubt),
            None => Ok(search.found),
        }
    }
}

#[test]
fn every_kind_of_entry_is_understood() {
    // "me:pass:word" in base64, with and without padding
    let (_home, credentials) = docker(
        r#"{ "auths": {
            "padded.corp": { "auth": "bWU6cGFzczp3b3Jk" },
            "bare.corp:5000": { "auth": "bWU6cA" },
            "https://old.corp/v1/": { "username": "me", "password": "p" },
            "identity.corp": { "auth": "bWU6cA==", "identitytoken": "refresh" },
            "convention.corp": { "username": "<token>", "password": "refresh" },
            "token.corp": { "registrytoken": "bearer" },
            "marker.corp": {},
            "https://index.docker.io/v1/": { "auth": "bWU6aHVi" }
        }, "HttpHeaders": { "X": "y" }, "currentContext": "z" }"#,
    );
    let found = |host: &str| credentials.find(host, "").unwrap().map(|found| found.credential);
    assert_eq!(found("padded.corp"), Some(password("me", "pass:word")));
    assert_eq!(found("bare.corp:5000"), Some(password("me", "p")));
    assert_eq!(found("old.corp"), Some(password("me", "p")));
    assert_eq!(found("identity.corp"), Some(Credential::Identity(Secret::new("refresh"))));
    assert_eq!(found("convention.corp"), Some(Credential::Identity(Secret::new("refresh"))));
    assert_eq!(found("token.corp"), Some(Credential::Token(Secret::new("bearer"))));
    assert_eq!(found("docker.io"), Some(password("me", "hub")));
    for none in ["marker.corp", "bare.corp", "padded.corp:443", "corp"] {
        assert_eq!(found(none), None, "{none}");
    }
}

#[test]
fn the_longest_key_that_a_repository_lies_in_is_its_own() {
    let (_home, credentials) = docker(
        r#"{ "auths": {
            "quay.io": { "auth": "bWU6aG9zdA==" },
            "quay.io/org": { "auth": "bWU6b3Jn" },
            "quay.io/org/team": { "auth": "bWU6dGVhbQ==" },
            "quay.io/org/empty": {},
            "docker.io/me": { "auth": "bWU6bWluZQ==" },
            "https://index.docker.io/v1/": { "auth": "bWU6aHVi" },
            "old.corp/v2/": { "auth": "bWU6b2xk" },
            "https://url.corp/some/path": { "auth": "bWU6dXJs" },
            "only.corp/part": { "auth": "bWU6cGFydA==" }
        } }"#,
    );
    for (host, path, expected) in [
        ("quay.io", "", Some("host")),
        ("quay.io", "other/app", Some("host")),
        ("quay.io", "organisation/app", Some("host")),
        ("quay.io", "org", Some("org")),
        ("quay.io", "org/app", Some("org")),
        ("quay.io", "org/team/app/part", Some("team")),
        // An empty entry says nothing; the next longer one does.
        ("quay.io", "org/empty/app", Some("org")),
        ("docker.io", "me/app", Some("mine")),
        ("docker.io", "library/alpine", Some("hub")),
        ("old.corp", "v2/app", Some("old")),
        ("url.corp", "anything", Some("url")),
        ("only.corp", "part/app", Some("part")),
        ("only.corp", "", None),
    ] {
        let found = credentials.find(host, path).unwrap().map(|found| found.credential);
        assert_eq!(found, expected.map(|expected| password("me", expected)), "{host}/{path}");
    }
    let source = credentials.find("quay.io", "org/app").unwrap().unwrap().source;
    assert!(source.ends_with("config.json, entry quay.io/org"), "{source}");
    let namespaces = Vec::from_iter(credentials.namespaces("quay.io"));
    assert_eq!(namespaces, ["org", "org/empty", "org/team"]);
    assert_eq!(credentials.namespaces("old.corp").len(), 0);
    assert!(credentials.mention("quay.io") && !credentials.mention("nowhere.corp"));
}

#[test]
fn a_part_of_a_registry_comes_before_a_helper_and_the_rest_after_it() {
    let (home, credentials) = helper(r#"echo '{"ServerURL":"","Username":"me","Secret":"helper"}'"#);
    let config = r#"{ "auths": { "r.corp": { "auth": "bWU6ZmlsZQ==" }, "r.corp/o": { "auth": "bWU6cGFydA==" } },
        "credsStore": "store" }"#;
    std::fs::write(home.path().join(".docker/config.json"), config).unwrap();
    let found = |path: &str| credentials.find("r.corp", path).unwrap().unwrap().credential;
    assert_eq!(found("o/app"), password("me", "part"));
    assert_eq!(found("other"), password("me", "helper"));
}

#[test]
fn what_is_named_for_the_run_comes_first() {
    let (home, mut credentials) = docker(r#"{ "auths": { "r.corp": { "auth": "bWU6ZG9ja2Vy" } } }"#);
    let source = |credentials: &Credentials| {
        let found = credentials.find("r.corp", "").unwrap().unwrap();
        let Credential::Password { password, .. } = found.credential else {
            panic!("{:?}", found.credential)
        };
        (password.reveal().to_owned(), found.source)
    };
    let file = |name: &str, password: &str| {
        let path = home.path().join(name);
        let text =
            format!(r#"{{ "auths": {{ "r.corp": {{ "username": "me", "password": "{password}" }} }} }}"#);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &text).unwrap();
        (path, text)
    };
    file(".config/containers/auth.json", "podman");
    assert_eq!(source(&credentials).0, "docker");

    let (path, _) = file("named.json", "named");
    credentials.registry_auth_file = Some(path.clone());
    assert_eq!(source(&credentials), ("named".to_owned(), path.display().to_string()));

    credentials.docker_auth_config = Some(Secret::new(file("unused", "variable").1));
    assert_eq!(source(&credentials), ("variable".to_owned(), "DOCKER_AUTH_CONFIG".to_owned()));

    let podman = Credentials { docker_config: Some(home.path().join("nowhere")), ..credentials.clone() };
    let podman = Credentials { registry_auth_file: None, docker_auth_config: None, ..podman };
    assert_eq!(source(&podman).0, "podman");
    file("run/containers/auth.json", "runtime");
    let runtime = Credentials { runtime_folder: Some(home.path().join("run")), ..podman };
    assert_eq!(source(&runtime).0, "runtime");
}

#[test]
fn broken_files_are_named_and_never_quoted() {
    let (home, credentials) = docker("{ \"auths\": {\n \"r.corp\": { \"auth\": hunter2 } } }");
    let error = credentials.find("r.corp", "").unwrap_err();
    assert_eq!(error, format!("{}/.docker/config.json is not valid JSON at line 2", home.path().display()));

    let (_home, credentials) = docker(r#"{ "auths": { "r.corp": { "auth": "hunter2 is no base64" } } }"#);
    let error = credentials.find("r.corp", "").unwrap_err();
    assert!(error.ends_with("the entry of r.corp has an `auth` that is not base64"), "{error}");

    let secret = Credentials { docker_auth_config: Some(Secret::new("hunter2")), ..Credentials::default() };
    assert!(!format!("{secret:?}{}", secret.find("r.corp", "").unwrap_err()).contains("hunter2"));
}

/// A helper as Docker would run it, in a folder that is the whole PATH but for what a script needs.
fn helper(script: &str) -> (tempfile::TempDir, Credentials) {
    use std::os::unix::fs::PermissionsExt as _;
    let (home, credentials) = docker(
        r#"{ "auths": { "r.corp": {} }, "credHelpers": { "own.corp": "own" }, "credsStore": "store" }"#,
    );
    let program = home.path().join("docker-credential-store");
    std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = env::join_paths([home.path(), "/usr/bin".as_ref(), "/bin".as_ref()]).unwrap();
    (home, Credentials { path: Some(path), ..credentials })
}

#[test]
fn helpers_are_asked_by_address() {
    let (home, credentials) = helper(
        r#"read address; printf '{"ServerURL":"%s","Username":"%s","Secret":"s %s"}' "$address" "$1" "$address""#,
    );
    let found = credentials.find("r.corp", "").unwrap().unwrap();
    assert_eq!(found.credential, password("get", "s r.corp"));
    assert_eq!(
        found.source,
        format!("docker-credential-store ({}/.docker/config.json)", home.path().display())
    );
    let hub = credentials.find("docker.io", "").unwrap().unwrap().credential;
    assert_eq!(hub, password("get", "s https://index.docker.io/v1/"));
}

#[test]
fn a_helper_without_credentials_is_no_failure() {
    let (_home, credentials) = helper("echo 'credentials not found in native keychain'; exit 1");
    assert_eq!(credentials.find("r.corp", ""), Ok(None));
}

#[test]
fn missing_failing_and_hanging_helpers_are_named() {
    let (_home, credentials) = helper("echo 'secret' ; echo 'the keyring is locked' >&2; exit 3");
    let error = credentials.find("r.corp", "").unwrap_err();
    assert!(
        error.contains("docker-credential-store failed") && error.contains("the keyring is locked"),
        "{error}"
    );
    assert!(!error.contains("secret"), "{error}");

    let error = credentials.find("own.corp", "").unwrap_err();
    assert!(error.contains("docker-credential-own is not on PATH (named in "), "{error}");

    let (_home, credentials) = helper("echo hunter2");
    let error = credentials.find("r.corp", "").unwrap_err();
    assert!(
        error.contains("did not answer with credentials in JSON") && !error.contains("hunter2"),
        "{error}"
    );

    // The script's child keeps the pipes open; only ending the whole group lets the wait end.
    let (_home, credentials) = helper("sleep 600 & wait");
    let hurried = Credentials { helper_limit: Duration::from_millis(300), ..credentials };
    let error = hurried.find("r.corp", "").unwrap_err();
    assert!(error.contains("docker-credential-store gave no answer within"), "{error}");
}

#[test]
fn a_helper_that_fails_is_passed_over() {
    let (home, credentials) = helper("exit 3");
    // What another source has counts, and the failure is told all the same.
    let folder = home.path().join("containers");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("auth.json"), r#"{ "auths": { "r.corp": { "auth": "bWU6cA==" } } }"#).unwrap();
    let credentials = Credentials { config_home: Some(home.path().to_owned()), ..credentials };
    for (host, found, failed) in [
        ("r.corp", Some(password("me", "p")), &["docker-credential-store"][..]),
        ("own.corp", None, &["docker-credential-own"]),
    ] {
        let search = credentials.search(host, "").unwrap();
        assert_eq!(search.doubt().is_some(), found.is_none(), "{host}");
        assert_eq!(search.found.map(|found| found.credential), found, "{host}");
        assert_eq!(search.failed.iter().map(|failed| failed.program.as_str()).collect::<Vec<_>>(), failed);
    }
}

#[test]
fn an_auth_is_decoded_as_go_decodes_it() {
    let long = "p".repeat(100);
    let wrapped = |end: &str| {
        let text = BASE64_STANDARD.encode(format!("me:{long}"));
        format!("{}{end}{}{end}", &text[..76], &text[76..])
    };
    let bytes = |pair: &[u8]| Credential::Bytes {
        name: "me".to_owned(),
        pair: Secret::new(BASE64_STANDARD.encode(pair)),
    };
    for (auth, expected) in [
        (BASE64_STANDARD.encode("me:p"), Some(password("me", "p"))),
        ("bWU6cA".to_owned(), Some(password("me", "p"))),
        (wrapped("\n"), Some(password("me", &long))),
        (wrapped("\r\n"), Some(password("me", &long))),
        (BASE64_STANDARD.encode("me:a:b\0\0"), Some(password("me", "a:b"))),
        (BASE64_STANDARD.encode(b"me:p\xe4ss"), Some(bytes(b"me:p\xe4ss"))),
        (BASE64_STANDARD.encode("me"), None),
        ("bWU6cA=?".to_owned(), None),
    ] {
        let (_home, credentials) = docker(&json!({ "auths": { "r.corp": { "auth": auth } } }).to_string());
        let found = credentials.find("r.corp", "").ok().flatten().map(|found| found.credential);
        assert_eq!(found, expected, "{auth}");
    }
    let (_, authorization) =
        bytes(b"me:p\xe4ss").basic().map(|(name, value)| (name.to_owned(), value)).unwrap();
    assert_eq!((authorization.as_bytes(), authorization.is_sensitive()), (&b"Basic bWU6cORzcw=="[..], true));
}

#[test]
fn a_file_is_read_as_docker_reads_it() {
    let none =
        ["", " \n", "{}", "null", r#"{"auths":null}"#, r#"{"auths":{"r.corp":null},"credHelpers":null}"#];
    for config in none.into_iter().chain([r#"{"credsStore":null,"HttpHeaders":null}"#]) {
        let (_home, credentials) = docker(config);
        assert_eq!(credentials.find("r.corp", ""), Ok(None), "{config:?}");
    }
    for config in [
        r#"{"Auths":{"r.corp":{"Auth":"bWU6cA==","email":null,"identitytoken":null}}}"#,
        r#"{"auths":{},"AUTHS":{"r.corp":{"USERNAME":"me","Password":"p"}}}"#,
        r#"{"auths":{"r.corp":{"auth":"bWU6cA=="}}} trailing"#,
    ] {
        let (_home, credentials) = docker(config);
        let found = credentials.find("r.corp", "").unwrap().map(|found| found.credential);
        assert_eq!(found, Some(password("me", "p")), "{config}");
    }
    for (config, message) in [
        ("[]", "does not hold the JSON object of a config.json"),
        (
            r#"{"auths":{"r.corp":{"auth":5}}}"#,
            "does not hold what a config.json holds at `auths.r.corp.auth`",
        ),
        ("{\n\"auths\": s3cret", "is not valid JSON at line 2"),
    ] {
        let (_home, credentials) = docker(config);
        let error = credentials.find("r.corp", "").unwrap_err();
        assert!(error.ends_with(message) && !error.contains("s3cret"), "{error}");
    }
}
