//! Another host that asks for credentials: it is given none, whatever sent the request to it.

use std::sync::{Arc, OnceLock};

use manifests::model::digest::Digest;
use manifests::registry::{Registry, RegistryError};

use crate::auth::{BASIC, PASSWORD, with};
use crate::scripted::{LIST, OCI_INDEX, Reply, Seen, Server, entry};

/// A host that answers 401 to everything and names itself for tokens and passwords.
async fn asking() -> Server {
    let address = Arc::new(OnceLock::<String>::new());
    let known = address.clone();
    let server = Server::start(move |seen, _| {
        if seen.target.contains("/token") {
            return Some(Reply::status(200).body(r#"{"token":"stolen","expires_in":300}"#));
        }
        let realm = known.get().unwrap();
        let bearer =
            format!(r#"Bearer realm="http://{realm}/token",service="s",scope="repository:o/app:pull""#);
        let reply = Reply::status(401).header("www-authenticate", bearer);
        Some(reply.header("www-authenticate", "Basic realm=\"r\""))
    })
    .await;
    address.set(server.address.to_string()).unwrap();
    server
}

/// How the registry leads there: which requests, and what they are answered.
type Leads = fn(&Seen, &str) -> Option<Reply>;

fn redirected(seen: &Seen, there: &str) -> Reply {
    Reply::status(307).header("location", format!("http://{there}{}", seen.target))
}

#[tokio::test]
async fn credentials_never_reach_another_host() {
    async fn upload(registry: &Registry, server: &Server) -> Result<(), RegistryError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), b"layer").unwrap();
        let to = server.repository("o/app");
        registry.upload_file(&to, &Digest::of(b"layer"), 5, file.path()).await.map(drop)
    }
    let cases: [(&str, Leads); 10] = [
        ("read", |seen, there| seen.is("GET", "/manifests/").then(|| redirected(seen, there))),
        ("head", |seen, there| seen.is("HEAD", "/manifests/").then(|| redirected(seen, there))),
        ("blob", |seen, there| seen.is("GET", "/blobs/").then(|| redirected(seen, there))),
        ("tags", |seen, there| seen.is("GET", "/tags/list").then(|| redirected(seen, there))),
        ("next page", |seen, there| {
            let link = format!("<http://{there}{}&last=1>; rel=next", seen.target);
            seen.is("GET", "/tags/list")
                .then(|| Reply::status(200).body(r#"{"tags":["1"]}"#).header("link", link))
        }),
        ("put", |seen, there| seen.is("PUT", "/manifests/").then(|| redirected(seen, there))),
        ("delete", |seen, there| seen.is("DELETE", "/manifests/").then(|| redirected(seen, there))),
        ("upload", |seen, there| {
            let place = format!("http://{there}/uploads/1?state=x");
            seen.is("POST", "/uploads/").then(|| Reply::status(202).header("location", place))
        }),
        ("upload", |seen, there| seen.is("POST", "/uploads/").then(|| redirected(seen, there))),
        // The registry takes the first bytes and loses the rest; what it says of them leads away, and so does what is
        // given up.
        ("resume", |seen, there| {
            let place = format!("http://{there}/uploads/1?state=x");
            match seen.method.as_str() {
                "PUT" => Some(Reply::cut()),
                "GET" => Some(Reply::status(204).header("range", "0-2").header("location", place)),
                "DELETE" => Some(redirected(seen, there)),
                _ => None,
            }
        }),
    ];
    for (number, (what, leads)) in cases.into_iter().enumerate() {
        let other = asking().await;
        let there = other.address.to_string();
        let server = Server::start(move |seen, _| {
            if seen.header("authorization") != Some(BASIC) {
                return Some(Reply::status(401).header("www-authenticate", "Basic realm=\"r\""));
            }
            leads(seen, &there)
        })
        .await;
        server.store.put_manifest("o/app", "1", OCI_INDEX, LIST);
        let registry = with(entry(&server.address.to_string(), PASSWORD));
        let app = server.repository("o/app");
        let result = match what {
            "read" => registry.get_manifest(&app, "1").await.map(drop),
            "head" => registry.head_manifest(&app, "1").await.map(drop),
            "blob" => registry.get_blob(&app, &Digest::of(b"layer"), 5).await.map(drop),
            "tags" | "next page" => registry.tags(&app).await.map(drop),
            "put" => registry.put_manifest(&app, "2", OCI_INDEX, LIST).await.map(drop),
            "delete" => registry.delete_manifest(&app, "1").await.map(drop),
            _ => upload(&registry, &server).await,
        };
        let error = result.err().unwrap_or_else(|| panic!("{number} {what}"));
        let says = what == "resume" || error.to_string().contains(&other.address.to_string());
        assert!(says, "{number} {what}: {error}");
        let given = other.seen().into_iter().filter(|seen| seen.headers.contains_key("authorization"));
        assert_eq!((given.count(), other.count("GET", "/token")), (0, 0), "{number} {what}");
        let asked = other.log().len();
        assert!(asked <= 20 && (asked > 0) == (what != "next page"), "{number} {what}: {asked}");
        // The registry itself is believed as before.
        assert!(registry.has_blob(&app, &Digest::of(b"absent")).await.is_ok_and(|there| !there), "{what}");
    }
}

#[tokio::test]
async fn a_token_server_that_asks_for_more_is_given_nothing_else() {
    let other = asking().await;
    let realm = format!("http://{}/elsewhere", other.address);
    let server = Server::start(move |seen, _| {
        let challenge = format!("Bearer realm=\"{realm}\"");
        seen.header("authorization")
            .is_none()
            .then(|| Reply::status(401).header("www-authenticate", challenge))
    })
    .await;
    // The registry names the realm itself, and so it gets the password; what that asks for is nobody's business.
    let registry = with(entry(&server.address.to_string(), PASSWORD));
    let error = registry.head_manifest(&server.repository("o/app"), "1").await.unwrap_err();
    assert_eq!(error.status(), Some(401), "{error}");
    assert_eq!((other.count("GET", "/elsewhere"), other.count("GET", "/token")), (1, 0));
}

#[tokio::test]
async fn a_401_that_names_no_way_in_says_so() {
    for (challenges, says) in [
        (&[][..], "no `WWW-Authenticate`"),
        (&["Negotiate"], "not understood: Negotiate"),
        (&["NTLM", "Negotiate abc"], "not understood: NTLM, Negotiate"),
        (&["Bearer service=\"without a realm\""], "not understood: Bearer"),
    ] {
        let server = Server::start(move |_, _| {
            let reply = Reply::status(401);
            Some(challenges.iter().fold(reply, |reply, text| reply.header("www-authenticate", *text)))
        })
        .await;
        for registry in [crate::scripted::registry(), with(entry(&server.address.to_string(), PASSWORD))] {
            let error = registry.get_manifest(&server.repository("o/app"), "1").await.unwrap_err();
            assert!(error.to_string().contains(says), "{challenges:?}: {error}");
            assert!(!error.hint().unwrap().contains("no credentials were found"), "{:?}", error.hint());
            assert!(server.seen().iter().all(|seen| seen.header("authorization").is_none()));
        }
    }
}
