//! A stand-in for a forge: the parts of the APIs of GitHub and GitLab that the scripts use, after their references, and
//! git's own server behind HTTP. It does what the running job is allowed to, for its token, and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::Response;
use base64::Engine as _;
use serde_json::{Value, json};
use tempfile::TempDir;

/// The token that the API and git take.
pub(crate) const TOKEN: &str = "token-of-the-forge";

/// What it holds.
#[derive(Default)]
pub(crate) struct Contents {
    /// Comments of the one pull request, oldest first.
    pub(crate) comments: Vec<Value>,
    /// Pull requests that were opened.
    pub(crate) requests: Vec<Value>,
    /// What the running job may do: `contents: write`.
    pub(crate) allowed: BTreeSet<String>,
    /// What was asked, `METHOD PATH`, in this order.
    pub(crate) asked: Vec<String>,
}

struct Shared {
    folder: TempDir,
    contents: Mutex<Contents>,
}

pub(crate) struct Forge {
    shared: Arc<Shared>,
    /// `http://127.0.0.1:PORT`.
    pub(crate) url: String,
    /// Ends the server with itself.
    _runtime: tokio::runtime::Runtime,
}

impl Forge {
    /// Serves a copy of a repository as `acme/app`.
    pub(crate) fn start(project: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let repository = folder.path().join("acme/app.git");
        let mut clone = Command::new("git");
        clone.args(["clone", "--quiet", "--bare"]).arg(project).arg(&repository);
        assert!(clone.status().unwrap().success(), "git clone --bare");
        git(&repository, &["config", "http.receivepack", "true"]);

        let shared = Arc::new(Shared { folder, contents: Mutex::default() });
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        runtime.spawn(async { axum::serve(listener, router).await });
        Self { shared, url, _runtime: runtime }
    }

    /// The folder of its repository.
    pub(crate) fn repository(&self) -> PathBuf {
        self.shared.folder.path().join("acme/app.git")
    }

    /// Asks git for something of the repository.
    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        git(&self.repository(), arguments)
    }

    pub(crate) fn contents<T>(&self, look: impl FnOnce(&mut Contents) -> T) -> T {
        look(&mut self.shared.contents.lock().unwrap())
    }
}

fn git(repository: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git").arg("-C").arg(repository).args(arguments).output().unwrap();
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap().to_vec();
    let path = head.uri.path().to_owned();
    let query = head.uri.query().unwrap_or_default().to_owned();
    shared.contents.lock().unwrap().asked.push(format!("{} {path}", head.method));
    let git = path.starts_with("/acme/app.git/");
    match (authorized(&head.headers), git) {
        (false, _) => {
            let ask = Response::builder().status(StatusCode::UNAUTHORIZED);
            ask.header("WWW-Authenticate", "Basic realm=\"forge\"").body(Body::empty()).unwrap()
        }
        (true, true) => {
            let writes = path.ends_with("git-receive-pack") || query.contains("git-receive-pack");
            if writes && !shared.contents.lock().unwrap().allowed.contains("contents: write") {
                return plain(StatusCode::FORBIDDEN, String::new());
            }
            let work =
                move || backend(shared.folder.path(), &head.method, &path, &query, &head.headers, &body);
            tokio::task::spawn_blocking(work).await.unwrap()
        }
        (true, false) => {
            let body = serde_json::from_slice(&body).unwrap_or_default();
            match api(&mut shared.contents.lock().unwrap(), &head.method, &path, &query, body) {
                Ok(value) => plain(StatusCode::OK, value.to_string()),
                Err(status) => plain(status, json!({ "message": status.to_string() }).to_string()),
            }
        }
    }
}

fn plain(status: StatusCode, text: String) -> Response {
    Response::builder().status(status).body(Body::from(text)).unwrap()
}

/// `Authorization: Bearer`, GitLab's own header, or what git sends.
fn authorized(headers: &HeaderMap) -> bool {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let basic = header("authorization").strip_prefix("Basic ").unwrap_or_default();
    let basic = base64::engine::general_purpose::STANDARD.decode(basic).unwrap_or_default();
    let users = ["x-access-token", "oauth2"].map(|user| format!("{user}:{TOKEN}"));
    header("authorization") == format!("Bearer {TOKEN}")
        || header("private-token") == TOKEN
        || users.iter().any(|user| user.as_bytes() == basic)
}

/// The requests of both APIs; those that are not known here are not found.
fn api(
    contents: &mut Contents,
    method: &Method,
    path: &str,
    query: &str,
    body: Value,
) -> Result<Value, StatusCode> {
    let query: BTreeMap<&str, String> = query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        // Versions of curl differ in the case.
        .map(|(name, value)| (name, value.replace("%3A", ":").replace("%3a", ":")))
        .map(|(name, value)| (name, value.replace("%2F", "/").replace("%2f", "/")))
        .collect();
    let number = |name: &str| query.get(name).map_or(1, |value| value.parse().unwrap());
    let may = |contents: &Contents, what: &str| {
        contents.allowed.contains(what).then_some(()).ok_or(StatusCode::FORBIDDEN)
    };
    let path = path.strip_prefix("/api/").ok_or(StatusCode::NOT_FOUND)?;
    let (github, gitlab) = ("repos/acme/app/", "projects/5/");
    let rest = path.strip_prefix(github).or_else(|| path.strip_prefix(gitlab)).unwrap_or(path);
    match (method.as_str(), rest) {
        ("GET", "user") => Ok(json!({ "id": 99 })),
        ("GET", "issues/7/comments" | "merge_requests/7/notes") => {
            let all = contents.comments.chunks(number("per_page")).nth(number("page") - 1);
            Ok(json!(all.unwrap_or_default()))
        }
        ("POST", "issues/7/comments" | "merge_requests/7/notes") => {
            may(contents, "pull-requests: write")?;
            let id = 1000 + contents.comments.len();
            contents.comments.push(json!({
                "id": id, "body": body["body"], "user": { "type": "Bot" }, "author": { "id": 99 },
            }));
            Ok(json!({ "id": id }))
        }
        ("PATCH" | "PUT", one) => {
            may(contents, "pull-requests: write")?;
            let expected =
                if method == Method::PATCH { "issues/comments/" } else { "merge_requests/7/notes/" };
            let id = one.strip_prefix(expected).and_then(|id| id.parse::<u64>().ok());
            let id = id.ok_or(StatusCode::NOT_FOUND)?;
            let comment = contents.comments.iter_mut().find(|comment| comment["id"] == id);
            comment.ok_or(StatusCode::NOT_FOUND)?["body"] = body["body"].clone();
            Ok(json!({}))
        }
        ("GET", "pulls" | "merge_requests") => {
            let branch = query.get("source_branch").cloned();
            let branch = branch.or_else(|| Some(query.get("head")?.strip_prefix("acme:")?.to_owned()));
            let branch = json!(branch.ok_or(StatusCode::BAD_REQUEST)?);
            let of_branch =
                |request: &&Value| request["head"] == branch || request["source_branch"] == branch;
            Ok(json!(contents.requests.iter().filter(of_branch).collect::<Vec<_>>()))
        }
        ("POST", "pulls" | "merge_requests") => {
            may(contents, "pull-requests: write")?;
            contents.requests.push(body);
            Ok(json!({}))
        }
        _ => Err(StatusCode::NOT_FOUND),
    }
}

/// git's own server, asked as a CGI program.
fn backend(
    root: &Path,
    method: &Method,
    path: &str,
    query: &str,
    headers: &HeaderMap,
    body: &[u8],
) -> Response {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut server = Command::new("git")
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("REQUEST_METHOD", method.as_str())
        .env("PATH_INFO", path)
        .env("QUERY_STRING", query)
        .env("CONTENT_TYPE", header("content-type"))
        .env("CONTENT_LENGTH", body.len().to_string())
        .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
        .env("GIT_PROTOCOL", header("git-protocol"))
        .env("REMOTE_USER", "somebody")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = server.stdin.take().unwrap();
    let output = std::thread::scope(|threads| {
        threads.spawn(move || input.write_all(body).unwrap());
        server.wait_with_output().unwrap().stdout
    });
    let end = output.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap();
    let mut response = Response::builder();
    for line in std::str::from_utf8(&output[..end]).unwrap().lines() {
        let (name, value) = line.split_once(": ").unwrap();
        response = match name {
            "Status" => response.status(value.split(' ').next().unwrap()),
            _ => response.header(name, value),
        };
    }
    response.body(Body::from(output[end + 4..].to_vec())).unwrap()
}
