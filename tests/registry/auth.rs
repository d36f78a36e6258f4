//! Authentication against scripted challenges: who is asked for what, how often, and where nothing may go.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures_util::future::try_join_all;
use manifests::model::digest::Digest;
use manifests::registry::{Access, Credentials, Kind, Options, Registry, RegistryError};

use crate::scripted::{LIST, OCI_INDEX, Reply, Seen, Server, entry, options};

/// `me` and `hunter2` as an entry of a `config.json`.
pub(crate) const PASSWORD: &str = r#"{"auth":"bWU6aHVudGVyMg=="}"#;
pub(crate) const BASIC: &str = "Basic bWU6aHVudGVyMg==";

/// A registry that is its own token server: a token is the scopes it was asked for. `judge` sees token requests first.
pub(crate) async fn guarded(judge: impl Fn(&Seen) -> Option<Reply> + Send + Sync + 'static) -> Server {
    let address = Arc::new(std::sync::OnceLock::<String>::new());
    let known = address.clone();
    let server = Server::start(move |seen, _| {
        if seen.target.starts_with("/token") {
            return Some(judge(seen).unwrap_or_else(|| token(seen, 300)));
        }
        let held = seen.header("authorization").unwrap_or_default();
        let needed = needed(seen);
        if needed.iter().all(|scope| held.contains(scope)) && held.starts_with("Bearer ") {
            return None;
        }
        let realm = known.get().cloned().unwrap_or_default();
        let error = if held.is_empty() { "" } else { r#",error="insufficient_scope""# };
        let challenge =
            format!(r#"Bearer realm="http://{realm}/token",service="s",scope="{}"{error}"#, needed.join(" "));
        Some(Reply::error(401, "UNAUTHORIZED").header("www-authenticate", challenge))
    })
    .await;
    address.set(server.address.to_string()).unwrap();
    server
}

/// The scopes of a request, as the registry sees it.
fn needed(seen: &Seen) -> Vec<String> {
    let path = seen.target.trim_start_matches("/v2/");
    let Some((name, _)) = ["/manifests/", "/blobs/", "/tags/"].iter().find_map(|part| path.split_once(part))
    else {
        return Vec::new();
    };
    let actions = if matches!(seen.method.as_str(), "GET" | "HEAD") { "pull" } else { "pull,push" };
    let mut scopes = vec![format!("repository:{name}:{actions}")];
    if let Some((_, from)) = seen.target.split_once("&from=") {
        scopes.push(format!("repository:{from}:pull"));
    }
    scopes
}

pub(crate) fn token(seen: &Seen, expires_in: u32) -> Reply {
    let query = seen.target.replace("%3A", ":").replace("%2F", "/").replace("%2C", ",");
    let scopes: Vec<&str> = query.split(['&', '?']).filter_map(|pair| pair.strip_prefix("scope=")).collect();
    Reply::status(200).body(format!(r#"{{"token":"{}","expires_in":{expires_in}}}"#, scopes.join(";")))
}

pub(crate) fn with(credentials: Credentials) -> Registry {
    Registry::new(Options { credentials, ..options() }).unwrap()
}

pub(crate) fn password(server: &Server) -> Registry {
    with(entry(&server.address.to_string(), PASSWORD))
}

pub(crate) async fn head_all(registry: &Registry, server: &Server, repositories: usize) {
    let heads = (0..repositories).map(|n| {
        let path = format!("o/app-{n}");
        server.store.put_manifest(&path, "1", OCI_INDEX, LIST);
        let (registry, repository) = (registry.clone(), server.repository(&path));
        async move { registry.head_manifest(&repository, "1").await }
    });
    let heads = try_join_all(heads).await.unwrap();
    assert!(heads.iter().all(Option::is_some));
}

#[tokio::test]
async fn many_requests_share_one_token() {
    let server = guarded(|_| None).await;
    let registry = password(&server);
    head_all(&registry, &server, 20).await;
    assert_eq!(server.count("GET", "/token"), 1);
    let asked = &server.seen().into_iter().find(|seen| seen.target.starts_with("/token")).unwrap();
    assert_eq!(asked.header("authorization"), Some(BASIC));
    assert!(asked.target.contains("service=s&") && asked.target.contains("account=me"), "{}", asked.target);
    let before = server.log().len();
    head_all(&registry, &server, 20).await;
    assert_eq!(server.log().len(), before + 20, "everything is known now");
}

#[tokio::test]
async fn what_was_announced_is_in_the_first_token() {
    let server = guarded(|_| None).await;
    let registry = password(&server);
    let (list, image) = (server.repository("o/list"), server.repository("o/image"));
    registry.announce(&list, Access::Push).unwrap();
    registry.announce(&image, Access::Pull).unwrap();
    let digest = server.store.put_blob("o/image", b"layer");
    server.store.put_manifest("o/image", "1", OCI_INDEX, LIST);
    registry.head_manifest(&image, "1").await.unwrap();
    registry.copy_blob(&image, &list, &digest, 5).await.unwrap();
    registry.put_manifest(&list, "1", OCI_INDEX, LIST).await.unwrap();
    assert_eq!(server.count("GET", "/token"), 1, "{:?}", server.log());
    assert_eq!(server.log().len(), 5, "a challenge, a token, and the three: {:?}", server.log());
}

#[tokio::test]
async fn a_mount_asks_for_its_source_as_well() {
    let server = guarded(|_| None).await;
    let digest = server.store.put_blob("o/from", b"layer");
    let (from, to) = (server.repository("o/from"), server.repository("o/to"));
    password(&server).copy_blob(&from, &to, &digest, 5).await.unwrap();
    let asked = server.seen().into_iter().find(|seen| seen.target.starts_with("/token")).unwrap().target;
    for scope in ["scope=repository%3Ao%2Ffrom%3Apull", "scope=repository%3Ao%2Fto%3Apull%2Cpush"] {
        assert!(asked.contains(scope), "{asked}");
    }
}

#[tokio::test]
async fn scopes_go_apart_where_the_token_server_cannot_take_them_together() {
    for refusal in [401, 403, 414, 431] {
        let server =
            guarded(move |seen| (seen.target.matches("scope=").count() > 1).then(|| Reply::status(refusal)))
                .await;
        head_all(&password(&server), &server, 4).await;
        // One attempt together, and one for each repository.
        assert_eq!(server.count("GET", "/token"), 5, "{refusal}");
    }
}

#[tokio::test]
async fn a_token_too_long_for_the_registry_is_replaced_by_shorter_ones() {
    for refusal in [414, 431] {
        let inner = guarded(|_| None).await;
        let address = inner.address.to_string();
        let server = Server::start(move |seen, _| {
            if seen.target.starts_with("/token") {
                return Some(token(seen, 300));
            }
            let held = seen.header("authorization").unwrap_or_default();
            if held.is_empty() {
                let challenge = format!(r#"Bearer realm="http://{address}/token""#);
                return Some(Reply::status(401).header("www-authenticate", challenge));
            }
            held.contains(';').then(|| Reply::status(refusal))
        })
        .await;
        let registry = password(&server);
        head_all(&registry, &server, 3).await;
        assert_eq!(inner.count("GET", "/token"), 4, "{refusal}");
    }
}

#[tokio::test]
async fn an_expired_token_is_renewed_once_and_unnoticed() {
    let server = guarded(|seen| Some(token(seen, if seen.target.contains("app-7") { 300 } else { 1 }))).await;
    let registry = password(&server);
    head_all(&registry, &server, 1).await;
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    head_all(&registry, &server, 8).await;
    // Fetched anew because its time was over: the registry never saw the old one again.
    assert_eq!(server.count("GET", "/token"), 2);
    let refused = server
        .seen()
        .into_iter()
        .filter(|seen| seen.is("HEAD", "") && seen.header("authorization").is_none());
    assert_eq!(refused.count(), 1);
}

#[tokio::test]
async fn a_token_refused_in_the_middle_is_replaced() {
    let revoked = Arc::new(AtomicBool::new(false));
    let tokens = Arc::new(AtomicUsize::new(0));
    let (revoke, counted) = (revoked.clone(), tokens.clone());
    let address = Arc::new(std::sync::OnceLock::<String>::new());
    let known = address.clone();
    let server = Server::start(move |seen, _| {
        if seen.target.starts_with("/token") {
            let number = counted.fetch_add(1, Ordering::SeqCst) + 1;
            return Some(
                Reply::status(200).body(format!(r#"{{"access_token":"t{number}","expires_in":3600}}"#)),
            );
        }
        let good = if revoke.load(Ordering::SeqCst) { "Bearer t2" } else { "Bearer t1" };
        if seen.header("authorization") == Some(good) {
            return None;
        }
        let challenge =
            format!(r#"Bearer realm="http://{}/token",error="invalid_token""#, known.get().unwrap());
        Some(Reply::status(401).header("www-authenticate", challenge))
    })
    .await;
    address.set(server.address.to_string()).unwrap();
    let registry = password(&server);
    registry.put_manifest(&server.repository("o/app"), "1", OCI_INDEX, LIST).await.unwrap();
    revoked.store(true, Ordering::SeqCst);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), b"layer").unwrap();
    let repository = server.repository("o/app");
    registry.upload_file(&repository, &Digest::of(b"layer"), 5, file.path()).await.unwrap();
    assert_eq!(tokens.load(Ordering::SeqCst), 2);
    assert_eq!(server.store.blob("o/app", &Digest::of(b"layer")).unwrap(), "layer");
}

#[tokio::test]
async fn a_fresh_token_that_does_not_do_is_a_denial() {
    // The token server gives a token to everybody and for nothing.
    let nothing = || Reply::status(200).body(r#"{"token":"nothing"}"#);
    let server = guarded(move |_| Some(nothing())).await;
    let registry = password(&server);
    let repository = server.repository("o/app");
    let error = registry.put_manifest(&repository, "1", OCI_INDEX, LIST).await.unwrap_err();
    assert_eq!((error.kind(), error.status()), (Kind::Denied, Some(401)));
    assert_eq!(error.credential_source(), Some("DOCKER_AUTH_CONFIG"));
    assert_eq!(server.count("PUT", ""), 2);

    // For a read this leaves open whether there is anything, once pushing was asked for as well.
    let server = guarded(move |_| Some(nothing())).await;
    let error = password(&server).head_manifest(&server.repository("o/app"), "1").await.unwrap_err();
    assert!(error.is_unreadable(), "{error:?}");
    assert!(error.hint().unwrap().contains("may not exist yet"));
    let last = server.seen().into_iter().rfind(|seen| seen.target.starts_with("/token")).unwrap().target;
    assert!(last.contains("pull%2Cpush"), "{last}");

    // Nobody in particular is told to log in instead.
    let anonymous =
        with(Credentials::default()).head_manifest(&server.repository("o/app"), "1").await.unwrap_err();
    assert_eq!((anonymous.kind(), anonymous.credential_source()), (Kind::Unauthorized, None));
    assert!(anonymous.hint().unwrap().contains("docker login"), "{:?}", anonymous.hint());
}

#[tokio::test]
async fn a_read_that_pushing_rights_allow_succeeds() {
    let server = guarded(|seen| {
        (!seen.target.contains("push")).then(|| Reply::status(200).body(r#"{"token":"only-with-push"}"#))
    })
    .await;
    let head = password(&server).head_manifest(&server.repository("o/app"), "1").await.unwrap();
    assert_eq!(head, None);
}

#[tokio::test]
async fn refused_logins_name_their_source() {
    let server = guarded(|_| Some(Reply::error(401, "UNAUTHORIZED"))).await;
    let error = password(&server).head_manifest(&server.repository("o/app"), "1").await.unwrap_err();
    assert_eq!((error.kind(), error.credential_source()), (Kind::Unauthorized, Some("DOCKER_AUTH_CONFIG")));
    assert!(error.to_string().contains("token server"), "{error}");
    never_shown(&error);

    let basic = Server::start(|seen, _| {
        (seen.header("authorization") != Some("Basic somebody-else"))
            .then(|| Reply::status(401).header("www-authenticate", "Basic realm=\"r\""))
    })
    .await;
    let error = password(&basic).get_manifest(&basic.repository("o/app"), "1").await.unwrap_err();
    assert_eq!((error.kind(), error.credential_source()), (Kind::Unauthorized, Some("DOCKER_AUTH_CONFIG")));
    assert_eq!(basic.log().len(), 2, "once without and once with");
    never_shown(&error);
}

fn never_shown(error: &RegistryError) {
    let text = format!("{error} {error:?} {:?} {}", error.hint(), error.answer());
    assert!(!text.contains("hunter2") && !text.contains("bWU6"), "{text}");
}

#[tokio::test]
async fn basic_is_sent_once_asked_for() {
    let server = Server::start(|seen, _| {
        (seen.header("authorization") != Some(BASIC))
            .then(|| Reply::status(401).header("www-authenticate", "Basic realm=\"r\""))
    })
    .await;
    let registry = password(&server);
    let repository = server.repository("o/app");
    registry.put_manifest(&repository, "1", OCI_INDEX, LIST).await.unwrap();
    registry.head_manifest(&repository, "1").await.unwrap().unwrap();
    assert_eq!(server.log().len(), 3);
    let ping = registry.ping(&repository.host).await.unwrap();
    assert_eq!((ping.authentication.as_str(), ping.accepted), ("basic", true));
    assert_eq!(ping.credentials.as_deref(), Some("DOCKER_AUTH_CONFIG"));
    let ping = with(Credentials::default()).ping(&repository.host).await.unwrap();
    assert_eq!((ping.accepted, ping.credentials), (false, None));
    assert_eq!(ping.address, format!("http://{}", server.address));
}

#[tokio::test]
async fn identity_and_registry_tokens() {
    let server = guarded(|seen| {
        let form = String::from_utf8_lossy(&seen.body).into_owned();
        if seen.method == "POST"
            && form.contains("grant_type=refresh_token")
            && form.ends_with("refresh_token=r%26t")
        {
            let scope = form.split('&').find_map(|pair| pair.strip_prefix("scope=")).unwrap();
            let scope = scope.replace("%3A", ":").replace("%2F", "/").replace("%2C", ",");
            return Some(
                Reply::status(200).body(format!(r#"{{"access_token":"{scope}","expires_in":300}}"#)),
            );
        }
        Some(Reply::status(401))
    })
    .await;
    let host = server.address.to_string();
    let identity = with(entry(&host, r#"{"auth":"PHRva2VuPjo=","identitytoken":"r&t"}"#));
    identity.head_manifest(&server.repository("o/app"), "1").await.unwrap();
    assert_eq!((server.count("POST", "/token"), server.count("GET", "/token")), (1, 0));

    let own = with(entry(&host, r#"{"registrytoken":"repository:o/app:pull"}"#));
    own.head_manifest(&server.repository("o/app"), "1").await.unwrap();
    assert_eq!(server.count("POST", "/token"), 1, "a registry token is nobody else's business");
}

#[tokio::test]
async fn a_helper_that_fails_stops_only_what_is_not_public() {
    // Tokens are for anybody but for this one.
    let private = |seen: &Seen| seen.target.contains("private").then(|| Reply::error(401, "UNAUTHORIZED"));
    let (server, other) = (guarded(private).await, guarded(private).await);
    for server in [&server, &other] {
        server.store.put_manifest("o/public", "1", OCI_INDEX, LIST);
        server.store.put_manifest("o/private", "1", OCI_INDEX, LIST);
    }
    let helpers = format!(r#"{{"{}":"nowhere","{}":"nowhere"}}"#, server.address, other.address);
    let mut credentials = entry("unused", PASSWORD);
    credentials.docker_auth_config =
        Some(manifests::registry::Secret::new(format!(r#"{{"credHelpers":{helpers}}}"#)));
    let warned = Arc::new(std::sync::Mutex::new(Vec::new()));
    let sink = warned.clone();
    let warnings = Arc::new(move |warning: &str| sink.lock().unwrap().push(warning.to_owned()));
    let registry = Registry::new(Options { credentials, warnings, ..options() }).unwrap();
    let why = "docker-credential-nowhere is not on PATH (named in DOCKER_AUTH_CONFIG)";
    for server in [&server, &other] {
        for (path, tag, expected) in [
            ("o/public", "1", Ok(true)),
            // The repository is shown to everybody, and the tag is not there.
            ("o/public", "2", Ok(false)),
            // Nothing of it is shown: it may be hidden.
            ("o/hidden", "1", Err("404 Not Found")),
            ("o/private", "1", Err("401 Unauthorized")),
        ] {
            let found = registry.head_manifest(&server.repository(path), tag).await;
            match (found, expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found.is_some(), expected, "{path}:{tag}"),
                (Err(error), Err(status)) => {
                    let text = error.to_string();
                    assert_eq!(error.kind(), Kind::Credentials, "{text}");
                    assert!(text.contains(status) && text.contains(why), "{text}");
                    assert!(error.hint().unwrap().contains("mend what is named"), "{text}");
                }
                (found, expected) => panic!("{path}:{tag}: {found:?}, not {expected:?}"),
            }
        }
    }
    assert_eq!(*warned.lock().unwrap(), [format!("{why}; going on without credentials")]);
}
