//! Opens pages in headless Chromium, by its DevTools protocol over a pipe, and tells what goes wrong in them.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::host;

/// How long Chromium may say nothing: it starts in a second, and a page is there in a tenth of one.
const RETRY_POLICY: Duration = Duration::from_secs(60);

/// Opens each page; one that logs an error, loads something in vain, or asks another machine fails the task.
pub(super) fn open_each(pages: &[PathBuf]) -> Result<()> {
    let mut browser = Browser::start()?;
    let mut problems = Vec::new();
    let mut loads = 0;
    for page in pages {
        let seen = browser.open(&format!("file://{}", page.display()))?;
        loads += seen.loads;
        problems.extend(seen.problems.into_iter().map(|problem| format!("{}: {problem}", page.display())));
    }
    if !problems.is_empty() {
        bail!("in Chromium:\n  {}", problems.join("\n  "));
    }
    eprintln!("{} pages opened in Chromium, {loads} files loaded, nothing failed", pages.len());
    Ok(())
}

/// What happened while a page was opened.
#[derive(Default)]
struct Seen {
    loads: usize,
    problems: Vec<String>,
    quiet: bool,
}

struct Browser {
    process: Child,
    commands: ChildStdin,
    messages: Receiver<Value>,
    session: String,
    last: u64,
    // Chromium's settings, which go with it.
    _profile: tempfile::TempDir,
}

impl Browser {
    fn start() -> Result<Self> {
        let hint = "hint: install chromium, on Debian the package of that name";
        let program =
            ["chromium", "chromium-browser", "google-chrome"].into_iter().find_map(host::find_program);
        let program = program.with_context(|| format!("no chromium on PATH\n{hint}"))?;
        let profile = tempfile::tempdir()?;
        // Chromium reads the protocol's pipe as file 3 and writes it as file 4.
        let mut process = Command::new("sh")
            .args(["-c", "exec \"$@\" 3<&0 4>&1 >/dev/null", "sh"])
            .arg(program)
            .args(["--headless", "--remote-debugging-pipe", "--no-first-run", "--disable-gpu"])
            // What is opened is our own, and containers rarely let a browser make its sandbox.
            .args(["--no-sandbox", "--disable-dev-shm-usage", "--disable-background-networking"])
            // Each page starts without what another one left, and no name leads anywhere.
            .args(["--host-resolver-rules=MAP * ~NOTFOUND", "--disk-cache-size=1"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start chromium")?;
        let commands = process.stdin.take().context("chromium's pipe")?;
        let messages = listen(process.stdout.take().context("chromium's pipe")?);
        let mut browser =
            Self { process, commands, messages, session: String::new(), last: 0, _profile: profile };

        let mut seen = Seen::default();
        let target = browser.ask("Target.createTarget", json!({ "url": "about:blank" }), &mut seen)?;
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = browser.ask("Target.attachToTarget", attach, &mut seen)?;
        browser.session = attached["sessionId"].as_str().context("chromium gave no session")?.to_owned();
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.ask(&format!("{domain}.enable"), json!({}), &mut seen)?;
        }
        browser.ask("Page.setLifecycleEventsEnabled", json!({ "enabled": true }), &mut seen)?;
        Ok(browser)
    }

    /// Opens an address, and waits until the page has been without requests for half a second.
    fn open(&mut self, address: &str) -> Result<Seen> {
        let mut seen = Seen::default();
        let answer = self.ask("Page.navigate", json!({ "url": address }), &mut seen)?;
        if let Some(error) = answer["errorText"].as_str() {
            bail!("Chromium could not open {address}: {error}");
        }
        // A quiet moment before is that of the page before.
        seen.quiet = false;
        while !seen.quiet {
            let message = self.next().with_context(|| format!("{address} was not loaded"))?;
            seen.take(&message);
        }
        Ok(seen)
    }

    /// Sends a command and gives its result; events that come before it are seen.
    fn ask(&mut self, method: &str, params: Value, seen: &mut Seen) -> Result<Value> {
        self.last += 1;
        let mut command = json!({ "id": self.last, "method": method, "params": params });
        if !self.session.is_empty() {
            command["sessionId"] = self.session.clone().into();
        }
        write!(self.commands, "{command}\0")
            .and_then(|()| self.commands.flush())
            .context("chromium has ended")?;
        loop {
            let mut message = self.next()?;
            if message["id"] != self.last {
                seen.take(&message);
            } else if message["error"].is_null() {
                return Ok(message["result"].take());
            } else {
                bail!("Chromium refused {method}: {}", message["error"]);
            }
        }
    }

    fn next(&self) -> Result<Value> {
        self.messages
            .recv_timeout(RETRY_POLICY)
            .with_context(|| format!("Chromium said nothing for {RETRY_POLICY:?}"))
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Its own children end with it, as their pipes close. One that cannot be killed has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Messages end with a zero byte.
fn listen(pipe: std::process::ChildStdout) -> Receiver<Value> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for message in BufReader::new(pipe).split(0) {
            let value = message.ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
            // Nobody waits any more, or what came is no JSON: either way it is over.
            let Some(Ok(())) = value.map(|value| sender.send(value)) else { return };
        }
    });
    receiver
}

impl Seen {
    fn take(&mut self, message: &Value) {
        let params = &message["params"];
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        match message["method"].as_str().unwrap_or_default() {
            "Page.lifecycleEvent" => self.quiet |= params["name"] == "networkIdle",
            "Network.requestWillBeSent" => {
                self.loads += 1;
                let url = text(&params["request"]["url"]);
                if !["file:", "data:", "blob:"].iter().any(|scheme| url.starts_with(scheme)) {
                    self.problems.push(format!("asks for {url}"));
                }
            }
            "Network.loadingFailed" => {
                self.problems.push(format!(
                    "could not load a {}: {}",
                    text(&params["type"]),
                    text(&params["errorText"])
                ));
            }
            "Network.responseReceived" if params["response"]["status"].as_u64() >= Some(400) => {
                self.problems.push(format!("no {}", text(&params["response"]["url"])));
            }
            "Runtime.exceptionThrown" => {
                self.problems.push(format!("exception: {}", params["exceptionDetails"]));
            }
            "Runtime.consoleAPICalled" if ["error", "assert"].iter().any(|kind| params["type"] == *kind) => {
                self.problems.push(format!("console: {}", params["args"]));
            }
            "Log.entryAdded" if params["entry"]["level"] == "error" => {
                let entry = &params["entry"];
                self.problems.push(format!("log: {} {}", text(&entry["text"]), text(&entry["url"])));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_wrong_in_a_page_is_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let page = folder.path().join("page.html");
        let mut browser = Browser::start().expect("chromium starts");
        let mut opened = |body: &str| {
            std::fs::write(&page, body).expect("a page");
            browser.open(&format!("file://{}", page.display())).expect("chromium answers").problems.join("; ")
        };
        assert_eq!(opened("<p>Nothing<script>console.log('fine')</script>"), "");
        for (body, why) in [
            ("<script>console.error('no good')</script>", "no good"),
            ("<script>nothing()</script>", "nothing is not defined"),
            ("<script>Promise.reject('later')</script>", "exception"),
            ("<img src='none.png'>", "ERR_FILE_NOT_FOUND"),
            ("<img src='http://registry.example/x.png'>", "asks for http://registry.example/x.png"),
        ] {
            let problems = opened(body);
            assert!(problems.contains(why), "{body}: {problems}");
        }
        assert_eq!(opened("<p>As if nothing had been"), "");
    }
}
