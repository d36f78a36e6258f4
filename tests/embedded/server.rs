//! The server as a library sees it: starting, stopping, layers, the request log.

use anyhow::{Context, Result};
use axum::http::{Method, StatusCode};
use axum::middleware::{self, Next};
use axum::response::IntoResponse;
use manifests::embedded::{Options, Request, Server};

use super::support::{Client, Registry, Send, sha256};

#[tokio::test]
async fn a_root_is_served_once_and_the_error_names_it() -> Result<()> {
    let registry = Registry::start().await?;
    let refused =
        Server::start(Options::new(registry.root())).await.err().context("a second server started")?;
    let root = registry.root().canonicalize()?;
    let message = format!("{refused:#}");
    assert!(message.contains(&*root.to_string_lossy()) && message.contains("in use"), "{message}");
    // The refusal does no harm, and stopping lets go.
    registry.push_image("a", "v1", b"layer").await?;
    registry.restart().await?.call("GET", "a/manifests/v1").await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn an_index_that_cannot_be_read_stops_the_start() -> Result<()> {
    let root = tempfile::tempdir()?;
    Server::start(Options::new(root.path())).await?.stop().await?;
    let index = root.path().join("repositories/a/_index.json");
    std::fs::create_dir_all(index.parent().context("no parent")?)?;
    std::fs::write(&index, "not JSON")?;
    let refused = Server::start(Options::new(root.path())).await.err().context("it started")?;
    assert!(format!("{refused:#}").contains("_index.json"), "{refused:#}");
    Ok(())
}

#[tokio::test]
async fn dropping_the_server_cuts_connections() -> Result<()> {
    let registry = Registry::start().await?;
    registry.call("GET", "/v2/").await?.expect(200)?;
    let client = registry.client.clone();
    drop(registry);
    // The accept loop goes at its next turn; no connection outlives it.
    while client.call("GET", "/v2/").await.is_ok() {
        tokio::task::yield_now().await;
    }
    Ok(())
}

#[tokio::test]
async fn a_layer_answers_instead_and_is_logged() -> Result<()> {
    let root = tempfile::tempdir()?;
    let refuse_writes = |router: axum::Router| {
        router.layer(middleware::from_fn(|request: axum::extract::Request, next: Next| async move {
            match *request.method() {
                Method::GET => next.run(request).await,
                _ => StatusCode::SERVICE_UNAVAILABLE.into_response(),
            }
        }))
    };
    let server = Server::start_with(Options::new(root.path()), refuse_writes).await?;
    let client = Client::new(server.addr())?;
    client.call("GET", "/v2/").await?.expect(200)?;
    client.call("POST", "a/blobs/uploads/?digest=x").await?.expect(503)?;
    let request =
        |method: &str, path: &str, status| Request { method: method.into(), path: path.into(), status };
    let expected = [request("GET", "/v2/", 200), request("POST", "/v2/a/blobs/uploads/?digest=x", 503)];
    assert_eq!(server.requests(), expected);
    server.stop().await
}

#[tokio::test]
async fn the_log_file_has_a_line_for_each_request() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let log = folder.path().join("requests.log");
    let registry = Registry::start_as(|options| options.request_log = Some(log.clone())).await?;
    let digest = sha256(b"bytes");
    let path = format!("a/blobs/uploads/?digest={digest}");
    registry.request("POST", &path).body("bytes").answer().await?.expect(201)?;
    registry.call("GET", &format!("a/blobs/{digest}")).await?.expect(200)?;
    registry.call("HEAD", &format!("a/blobs/{digest}")).await?.expect(200)?;
    registry.server.stop().await?;
    let expected = format!(
        "POST /v2/a/blobs/uploads/?digest={digest} 201 5 0\n\
         GET /v2/a/blobs/{digest} 200 0 5\n\
         HEAD /v2/a/blobs/{digest} 200 0 0\n"
    );
    assert_eq!(std::fs::read_to_string(log)?, expected);
    Ok(())
}

#[tokio::test]
async fn http_2_without_tls_is_understood() -> Result<()> {
    let registry = Registry::start().await?;
    let client = reqwest::Client::builder().no_proxy().http2_prior_knowledge().build()?;
    let response = client.get(format!("http://{}/v2/", registry.server.addr())).send().await?;
    assert_eq!((response.version(), response.status().as_u16()), (reqwest::Version::HTTP_2, 200));
    Ok(())
}
