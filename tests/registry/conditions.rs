//! Tags written on a condition, at registries that refuse what carries one.

use manifests::model::digest::Digest;
use manifests::registry::{Conditional, Expected};

use crate::scripted::{LIST, OCI_INDEX, Reply, Server, registry};

const RIVAL: &[u8] = br#"{"schemaVersion":2,"manifests":[],"annotations":{"by":"another"}}"#;

#[tokio::test]
async fn a_refused_condition_is_looked_up_before_anything_is_written_without_it() {
    for status in [400, 405, 409, 412, 417, 428, 501] {
        for rival in [None, Some(RIVAL), Some(LIST)] {
            let server = Server::start(move |seen, store| {
                seen.header("if-none-match").is_some().then(|| {
                    if let Some(rival) = rival {
                        store.put_manifest("o/app", "1", OCI_INDEX, rival);
                    }
                    Reply::status(status)
                })
            })
            .await;
            let repository = server.repository("o/app");
            let written = registry().put_tag(&repository, "1", OCI_INDEX, LIST, Expected::Absent).await;
            let (expected, puts) = match rival {
                None => (Conditional::Written, 2),
                Some(RIVAL) => (Conditional::Differs(Some(Digest::of(RIVAL))), 1),
                Some(_) => (Conditional::Written, 1),
            };
            assert_eq!(written.unwrap(), expected, "{status}");
            assert_eq!(server.count("PUT", "manifests/1"), puts, "{status}");
            let served = server.store.manifest("o/app", "1").unwrap().1;
            assert_eq!(&*served, rival.unwrap_or(LIST), "{status}");
        }
    }
}

#[tokio::test]
async fn what_is_refused_for_another_reason_stays_refused() {
    for status in [400, 401, 403, 404, 405, 409, 412, 413] {
        let server =
            Server::start(move |seen, _| (seen.method == "PUT").then(|| Reply::status(status))).await;
        let repository = server.repository("o/app");
        let written = registry().put_tag(&repository, "1", OCI_INDEX, LIST, Expected::Absent).await;
        assert_eq!(written.unwrap_err().status(), Some(status));
    }
}
