//! Where credentials may not go: to realms in the clear, over a fall-back to plain HTTP, along with a redirect.

use manifests::config::RegistrySettings;
use manifests::model::digest::Digest;
use manifests::model::reference::Repository;
use manifests::registry::{Credentials, Kind, Options, Registry};

use crate::auth::{BASIC, PASSWORD, password, token, with};
use crate::scripted::{LIST, OCI_INDEX, Reply, Server, Store, entry, options};

/// The server under an address that is not loopback by name and yet does not leave the machine.
fn elsewhere(server: &Server, path: &str) -> Repository {
    Repository { host: format!("0.0.0.0:{}", server.address.port()), path: path.to_owned() }
}

#[tokio::test]
async fn credentials_go_to_no_realm_in_the_clear() {
    let tokens = Server::start(|seen, _| Some(token(seen, 300))).await;
    let realm = format!("0.0.0.0:{}", tokens.address.port());
    let named = realm.clone();
    let server = Server::start(move |seen, _| {
        let challenge = format!(r#"Bearer realm="http://{named}/token""#);
        seen.header("authorization")
            .is_none()
            .then(|| Reply::status(401).header("www-authenticate", challenge))
    })
    .await;
    let error = password(&server).head_manifest(&server.repository("o/app"), "1").await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unauthorized);
    assert!(error.to_string().contains(&format!("http://{realm}")), "{error}");
    assert_eq!(tokens.log(), [""; 0], "not even asked");

    // Declared plain, it is what the declaration says; and without credentials there is nothing to lose.
    let mut declared = Options { credentials: entry(&server.address.to_string(), PASSWORD), ..options() };
    declared
        .registries
        .insert(realm, RegistrySettings { plain_http: Some(true), ..RegistrySettings::default() });
    let head = Registry::new(declared).unwrap().head_manifest(&server.repository("o/app"), "1").await;
    assert_eq!(head.unwrap(), None);
    assert_eq!(tokens.seen()[0].header("authorization"), Some(BASIC));
    let anonymous = with(Credentials::default());
    assert_eq!(anonymous.head_manifest(&server.repository("o/app"), "1").await.unwrap(), None);
    assert_eq!(tokens.seen()[1].header("authorization"), None);
}

#[tokio::test]
async fn credentials_never_go_over_the_insecure_fall_back() {
    let server = Server::start(|seen, _| {
        (seen.target.contains("private") && seen.header("authorization").is_none())
            .then(|| Reply::status(401).header("www-authenticate", "Basic realm=\"r\""))
    })
    .await;
    let repository = elsewhere(&server, "o/app");
    let credentials = entry(&repository.host, PASSWORD);
    let insecure = Options { insecure: true, credentials: credentials.clone(), ..options() };
    let registry = Registry::new(insecure).unwrap();
    server.store.put_manifest("o/app", "1", OCI_INDEX, LIST);
    assert!(
        registry.head_manifest(&repository, "1").await.unwrap().is_some(),
        "TLS is not spoken, plain HTTP is"
    );

    let error = registry.head_manifest(&elsewhere(&server, "o/private"), "1").await.unwrap_err();
    assert_eq!((error.kind(), error.credential_source()), (Kind::Unauthorized, Some("DOCKER_AUTH_CONFIG")));
    assert!(error.to_string().contains("were not sent"), "{error}");
    assert!(server.seen().iter().all(|seen| seen.header("authorization").is_none()));

    // Without --insecure there is no falling back at all.
    let error = with(credentials.clone()).head_manifest(&repository, "1").await.unwrap_err();
    assert!(matches!(error.kind(), Kind::Tls | Kind::Connect), "{error:?}");
    // And where plain HTTP is declared, there is nothing to withhold.
    let mut declared = Options { credentials, ..options() };
    let settings = RegistrySettings { plain_http: Some(true), ..RegistrySettings::default() };
    declared.registries.insert(repository.host.clone(), settings);
    let registry = Registry::new(declared).unwrap();
    assert_eq!(registry.head_manifest(&elsewhere(&server, "o/private"), "1").await.unwrap(), None);
    assert_eq!(server.seen().last().unwrap().header("authorization"), Some(BASIC));
}

#[tokio::test]
async fn a_redirect_takes_no_credentials_along() {
    let storage = Server::start(|seen, _: &Store| {
        seen.target.contains("/layer").then(|| Reply::status(200).body("layer"))
    })
    .await;
    let place = format!("http://{}/layer?signed", storage.address);
    let server = Server::start(move |seen, _| {
        if seen.header("authorization") != Some(BASIC) {
            return Some(Reply::status(401).header("www-authenticate", "Basic realm=\"r\""));
        }
        if seen.target.ends_with("/moved") {
            return Some(Reply::status(307).header("location", "1"));
        }
        seen.target.contains("/blobs/").then(|| Reply::status(307).header("location", place.clone()))
    })
    .await;
    server.store.put_manifest("o/app", "1", OCI_INDEX, LIST);
    let registry = password(&server);
    let repository = server.repository("o/app");
    let bytes = registry.get_blob(&repository, &Digest::of(b"layer"), 5).await.unwrap();
    assert_eq!(bytes, "layer");
    assert_eq!(storage.seen()[0].header("authorization"), None);
    assert_eq!(storage.seen()[0].target, "/layer?signed");
    // Within the registry they stay with the request.
    assert!(registry.get_manifest(&repository, "moved").await.unwrap().is_some());
}

#[tokio::test]
async fn a_storage_that_refuses_is_not_taken_for_the_registry() {
    let storage = Server::start(|seen, _: &Store| {
        Some(if seen.before == 0 { Reply::status(403) } else { Reply::status(200).body("layer") })
    })
    .await;
    let place = format!("http://{}/layer", storage.address);
    let server = Server::start(move |_, _| Some(Reply::status(307).header("location", place.clone()))).await;
    let bytes =
        with(Credentials::default()).get_blob(&server.repository("o/app"), &Digest::of(b"layer"), 5).await;
    assert_eq!(bytes.unwrap(), "layer");
    assert_eq!(server.log().len(), 2, "a signed address that ran out is asked for anew");

    let round =
        Server::start(|seen, _| Some(Reply::status(302).header("location", seen.target.clone()))).await;
    let error =
        with(Credentials::default()).head_manifest(&round.repository("o/app"), "1").await.unwrap_err();
    assert_eq!(error.kind(), Kind::Protocol);
    assert!(round.log().len() < 20);
}
