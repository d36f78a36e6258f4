//! `unpublish` beside another run that publishes, at every request; and with every request failing.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex};

use anyhow::Result;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{Method, StatusCode};
use axum::middleware::{self, Next};
use axum::response::Response;
use manifests::apply::Unpublished;
use manifests::embedded::{Options, Server};
use manifests::error::{Exit, exit_of, render};
use manifests::lock::LockedTarget;
use manifests::model::digest::Digest;
use manifests::model::media::OCI_INDEX;
use manifests::release::unpublish::{Journal, carry_out, survey};
use serde_json::Value;
use tempfile::TempDir;

use crate::answers::error;
use crate::backdoor::Backdoor;
use crate::content::{Content, attested, image, list};
use crate::world::{RETRY_POLICY, declaration, registry, scratch};

const APP: &str = "team/app";
const DECLARATION: &str = r#"
[target.app]
repository = "{0}/team/app"
tags = ["1.0", "latest"]
platforms = ["linux/amd64", "linux/arm64"]
"#;

/// How a registry deletes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deletes {
    /// Tags by their names, manifests by their digests with all their tags.
    Both,
    /// Only by digest, as CNCF distribution: 400 for a tag.
    Digests,
    /// Both, but nothing that a list holds.
    Unlisted,
    /// It says that it does, and keeps everything.
    Nothing,
    /// It says that it does, and deletes tags alone.
    Tags,
}

/// What happens at one request.
#[derive(Clone, Debug)]
enum Strike {
    /// Another run writes a tag just before, if the registry takes it: the manifest comes with all that it lists.
    Write(&'static str, Bytes),
    /// Each time it is asked for, the registry says so instead.
    Always(StatusCode),
    /// It is the last request that is carried out.
    Stop,
}

#[derive(Default)]
struct State {
    seen: Vec<String>,
    at: Option<(usize, Strike)>,
    /// Whether another run's tag was taken.
    written: bool,
    stopped: bool,
}

struct Place {
    server: Server,
    backdoor: Backdoor,
    state: Arc<Mutex<State>>,
    folder: TempDir,
}

/// What is there: a list with an attestation and a signature, and one of its images under a tag of its own.
struct Published {
    list: Content,
    amd64: Content,
    arm64: Content,
    signature: Content,
}

impl Published {
    fn new() -> Self {
        let (amd64, arm64) = (image("linux/amd64", "new", 40), image("linux/arm64", "new", 40));
        let with_attestation = attested("linux/amd64", amd64.clone());
        let mut list = list(vec![("linux/amd64", amd64.clone()), ("linux/arm64", arm64.clone())]);
        let mut value: Value = serde_json::from_slice(&list.manifest).unwrap();
        let attested: Value = serde_json::from_slice(&with_attestation.manifest).unwrap();
        value["manifests"].as_array_mut().unwrap().push(attested["manifests"][1].clone());
        list.manifest = value.to_string().into();
        list.children.push(with_attestation.children[1].clone());
        list.tags = vec!["1.0".to_owned(), "latest".to_owned()];
        let signature = image("linux/amd64", "signature", 40);
        let tag = format!("{}.sig", list.digest().as_str().replace(':', "-"));
        Self { list, amd64, arm64, signature: Content { tags: vec![tag], ..signature } }
    }

    /// A list of another run with the same image.
    fn other(&self) -> Bytes {
        list(vec![("linux/arm64", self.arm64.clone())]).manifest
    }

    fn digests(&self) -> BTreeSet<Digest> {
        let children = self.list.children.iter().map(Content::digest);
        children.chain([self.list.digest(), self.signature.digest()]).collect()
    }

    /// What a lock says of it.
    fn locked(&self, host: &str) -> LockedTarget {
        let [amd64, arm64, attestation] = [0, 1, 2].map(|index| self.list.children[index].digest());
        let (list, size) = (self.list.digest(), self.list.manifest.len());
        let text = format!(
            "[repository.\"{host}/{APP}\"]\n\"1.0\" = \"{list}\"\n\"latest\" = \"{list}\"\n\
             [list.\"{list}\"]\nmedia-type = \"{OCI_INDEX}\"\nsize = {size}\n\
             [image.\"linux/amd64\"]\ndigest = \"{amd64}\"\nsize = 1\nattestations = [\"{attestation}\"]\n\
             [image.\"linux/arm64\"]\ndigest = \"{arm64}\"\nsize = 1\n"
        );
        toml::from_str(&text).unwrap()
    }
}

impl Place {
    async fn start(deletes: Deletes, published: &Published) -> Self {
        let folder = scratch();
        let state = Arc::<Mutex<State>>::default();
        let (kept, mut backdoor) = (state.clone(), None);
        let filled = &mut backdoor;
        let options = Options::new(folder.path().join("registry"));
        let server = Server::start_with(options, move |router| {
            let backdoor = Backdoor::new(router.clone());
            *filled = Some(backdoor.clone());
            router.layer(middleware::from_fn(move |request: Request, next: Next| {
                let (state, backdoor) = (kept.clone(), backdoor.clone());
                async move { answer(&state, &backdoor, deletes, request, next).await }
            }))
        });
        let server = server.await.unwrap();
        let place = Self { server, backdoor: backdoor.unwrap(), state, folder };
        for content in [&published.list, &published.signature] {
            content.put(std::slice::from_ref(&place.backdoor)).await;
        }
        place
    }

    fn host(&self) -> String {
        self.server.addr().to_string()
    }

    /// One run with what an earlier one kept in `journal`.
    async fn run(
        &self,
        strike: Option<(usize, Strike)>,
        journal: &Path,
        locked: &LockedTarget,
    ) -> Result<Unpublished> {
        *self.state.lock().unwrap() = State { at: strike, ..State::default() };
        let declaration = declaration(DECLARATION, &[self.host()]);
        let registry = registry(self.folder.path().join("cache"), RETRY_POLICY, || {});
        let target = &declaration.targets[0];
        let journal = Journal::open(journal)?;
        let plan = survey(&registry, target, Some(locked), &journal).await?;
        carry_out(&registry, target, &plan, &journal, &|_| {}).await
    }

    fn seen(&self) -> Vec<String> {
        self.state.lock().unwrap().seen.clone()
    }

    async fn serves(&self, lookup: &str) -> bool {
        self.backdoor.get(&format!("/v2/{APP}/manifests/{lookup}")).await.is_some()
    }

    /// What a tag leads to and is not there.
    async fn missing(&self, tag: &str) -> Vec<String> {
        match self.serves(tag).await {
            true => self.backdoor.missing(&format!("/v2/{APP}/manifests/{tag}")).await,
            false => Vec::new(),
        }
    }

    /// What is still served of what was to go.
    async fn left(&self, published: &Published) -> Vec<String> {
        let digests = published.digests().into_iter().map(|digest| digest.to_string());
        let mut left = Vec::new();
        for lookup in
            digests.chain(["1.0".to_owned(), "latest".to_owned(), published.signature.tags[0].clone()])
        {
            if self.serves(&lookup).await {
                left.push(lookup);
            }
        }
        left
    }
}

async fn answer(
    state: &Mutex<State>,
    backdoor: &Backdoor,
    deletes: Deletes,
    request: Request,
    next: Next,
) -> Response {
    let asked = format!("{} {}", request.method(), request.uri().path());
    let strike = {
        let mut state = state.lock().unwrap();
        if state.stopped {
            return error(StatusCode::FORBIDDEN, "DENIED");
        }
        let number = state.seen.len();
        state.seen.push(asked.clone());
        let planned = state.at.clone();
        planned.filter(|(at, strike)| match strike {
            Strike::Always(_) => number == *at || (number > *at && state.seen[*at] == asked),
            _ => number == *at,
        })
    };
    match strike {
        Some((_, Strike::Write(tag, bytes))) => {
            let taken = backdoor.try_put(&format!("/v2/{APP}/manifests/{tag}"), OCI_INDEX, bytes).await;
            state.lock().unwrap().written = taken;
        }
        Some((_, Strike::Always(status))) => return error(status, "UNKNOWN"),
        Some((_, Strike::Stop)) => state.lock().unwrap().stopped = true,
        None => {}
    }
    if request.method() == Method::DELETE {
        let lookup = asked.rsplit('/').next().unwrap_or_default();
        if deletes == Deletes::Digests && !lookup.contains(':') {
            return error(StatusCode::BAD_REQUEST, "DIGEST_INVALID");
        }
        if deletes == Deletes::Nothing || deletes == Deletes::Tags && lookup.contains(':') {
            return Response::builder().status(StatusCode::ACCEPTED).body(Body::empty()).unwrap();
        }
        if deletes == Deletes::Unlisted && lookup.contains(':') && is_listed(backdoor, lookup).await {
            return error(StatusCode::FORBIDDEN, "DENIED");
        }
    }
    next.run(request).await
}

/// Whether the list of these tests holds it, and is there.
async fn is_listed(backdoor: &Backdoor, digest: &str) -> bool {
    let list = Published::new().list;
    let listed = list.children.iter().any(|child| child.digest().as_str() == digest);
    listed && backdoor.get(&format!("/v2/{APP}/manifests/{}", list.digest())).await.is_some()
}

async fn clean(deletes: Deletes) -> Vec<String> {
    let published = Published::new();
    let place = Place::start(deletes, &published).await;
    let journal = place.folder.path().join("journal");
    place.run(None, &journal, &LockedTarget::default()).await.unwrap();
    assert_eq!(place.left(&published).await, Vec::<String>::new(), "{deletes:?}");
    place.seen()
}

fn first_delete(asked: &[String]) -> usize {
    asked.iter().position(|asked| asked.starts_with("DELETE")).unwrap_or_default()
}

/// At every request, another run publishes a list with the same images: whatever it was told, its tag serves it whole.
#[tokio::test(flavor = "multi_thread")]
async fn a_tag_that_another_run_writes_meanwhile_keeps_its_images() {
    let mut restored = 0;
    for deletes in [Deletes::Both, Deletes::Digests, Deletes::Unlisted] {
        let asked = clean(deletes).await;
        // What is asked before anything is deleted does not depend on how it is deleted.
        let from = if deletes == Deletes::Unlisted { first_delete(&asked) } else { 0 };
        for (number, at) in asked.iter().enumerate().skip(from) {
            let published = Published::new();
            let (same, other) = (published.list.manifest.clone(), published.other());
            for (tag, bytes) in [("stable", same), ("stable", other.clone()), ("1.0", other)] {
                let digest = Digest::of(&bytes);
                let case = format!("{deletes:?}, {tag} → {digest} at request {number}, {at}");
                let place = Place::start(deletes, &published).await;
                let journal = place.folder.path().join("journal");
                let ran = place
                    .run(Some((number, Strike::Write(tag, bytes))), &journal, &LockedTarget::default())
                    .await;
                let written = place.state.lock().unwrap().written;
                for tag in ["stable", "1.0", "latest"] {
                    assert_eq!(place.missing(tag).await, Vec::<String>::new(), "{case}: {tag}");
                }
                // A registry deletes a digest with all its tags, and a tag whatever it serves: what is written between
                // the last look and that request is lost, and its writer told, who looks once more.
                let seen = place.seen();
                let deleted =
                    seen.iter().position(|asked| *asked == format!("DELETE /v2/{APP}/manifests/{digest}"));
                let list = format!("GET /v2/{APP}/tags/list");
                let is_too_late = deleted.is_some_and(|at| number <= at && !seen[number..at].contains(&list))
                    || seen.get(number) == Some(&format!("DELETE /v2/{APP}/manifests/{tag}"));
                // A declared tag that moves before it is deleted goes, or ends the run. Tags are deleted side by side:
                // the deletion has ended once something else is asked.
                let before = &seen[..number.min(seen.len())];
                let gone =
                    before.iter().position(|asked| *asked == format!("DELETE /v2/{APP}/manifests/1.0"));
                let has_ended =
                    gone.is_some_and(|gone| before[gone..].iter().any(|asked| !asked.starts_with("DELETE")));
                let is_declared = tag == "1.0" && (ran.is_err() || !has_ended);
                if written && !is_too_late && !is_declared {
                    assert!(place.serves(tag).await, "{case}: its tag is gone");
                }
                match ran {
                    Ok(unpublished) => restored += unpublished.places[0].restored.len(),
                    Err(error) => {
                        let text = render(&error);
                        let words = ["was moved by somebody else", "the tag stable serves it too"];
                        assert!(words.iter().any(|word| text.contains(word)), "{case}: {text}");
                    }
                }
            }
        }
    }
    assert!(restored > 0, "no request was late enough for anything to be restored");
}

/// Every request fails for good, or is the last that is answered: the next run deletes what remains.
#[tokio::test(flavor = "multi_thread")]
async fn the_next_run_deletes_what_one_left_that_failed_anywhere() {
    let mut in_part = 0;
    for deletes in [Deletes::Both, Deletes::Digests] {
        let asked = clean(deletes).await;
        let strikes = [
            Strike::Always(StatusCode::INTERNAL_SERVER_ERROR),
            Strike::Always(StatusCode::BAD_REQUEST),
            Strike::Stop,
        ];
        for (number, strike) in (0..asked.len()).flat_map(|number| strikes.iter().map(move |s| (number, s))) {
            // Before anything is deleted, one failure is like another.
            if number < first_delete(&asked) && !matches!(strike, Strike::Always(StatusCode::BAD_REQUEST)) {
                continue;
            }
            // What a lost journal leaves does not depend on how the run failed.
            let journals = if matches!(strike, Strike::Stop) { &[false, true][..] } else { &[false] };
            for is_journal_lost in journals.iter().copied() {
                let case = format!(
                    "{deletes:?}, {strike:?} at request {number}, {}, lost: {is_journal_lost}",
                    asked[number]
                );
                let published = Published::new();
                let place = Place::start(deletes, &published).await;
                let locked = published.locked(&place.host());
                let journal = place.folder.path().join("journal");
                let before = place.left(&published).await;
                let ran = place.run(Some((number, strike.clone())), &journal, &locked).await;
                let after = place.left(&published).await;
                if let Err(error) = &ran {
                    let expected = if before == after { Exit::Failed } else { Exit::Partial };
                    // Whether a deletion without an answer was carried out may be open.
                    let is_open = render(error).contains("perhaps deleted");
                    assert!(exit_of(error) == expected || is_open, "{case}: {}", render(error));
                    in_part += usize::from(expected == Exit::Partial);
                }
                for tag in ["1.0", "latest"] {
                    assert_eq!(place.missing(tag).await, Vec::<String>::new(), "{case}: {tag}");
                }
                if is_journal_lost && journal.exists() {
                    std::fs::remove_dir_all(&journal).unwrap();
                }
                if let Err(error) = place.run(None, &journal, &locked).await {
                    panic!("{case}: the next run failed: {}", render(&error));
                }
                let mut left = place.left(&published).await;
                if is_journal_lost {
                    // A lock knows nothing of signatures.
                    left.retain(|lookup| *lookup != published.signature.digest().as_str());
                }
                assert_eq!(left, Vec::<String>::new(), "{case}");
                let again = place.run(None, &journal, &locked).await.unwrap();
                assert!(again.places[0].tags.is_empty() && again.places[0].manifests.is_empty(), "{case}");
                assert!(!journal.join("unpublish.json").exists(), "{case}");
            }
        }
    }
    assert!(in_part > 0);
}

/// 202 says that a deletion was accepted, no more.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_accepted_and_not_carried_out_is_not_reported_as_deleted() {
    for (deletes, kept) in [(Deletes::Nothing, "1.0"), (Deletes::Tags, "@sha256:")] {
        let published = Published::new();
        let place = Place::start(deletes, &published).await;
        let journal = place.folder.path().join("journal");
        let error = place.run(None, &journal, &LockedTarget::default()).await.unwrap_err();
        let text = render(&error);
        assert_eq!(exit_of(&error), Exit::Partial, "{deletes:?}: {text}");
        for words in ["took the deletion and still serves it", "perhaps deleted", kept, "run again"] {
            assert!(text.contains(words), "{deletes:?}: {words:?} is not in: {text}");
        }
        let account = text.split("perhaps deleted").next().unwrap();
        assert!(!account.contains("@sha256:"), "{text}");
        // Nobody sees a tag without what it leads to, and the next run goes on.
        assert_eq!(place.serves("1.0").await, deletes == Deletes::Nothing, "{deletes:?}");
        assert_eq!(place.missing("1.0").await, Vec::<String>::new(), "{deletes:?}");
        assert!(journal.join("unpublish.json").exists(), "{deletes:?}");
    }
}

/// The run ends between deleting and restoring; the next one restores.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_stopped_run_did_not_restore_the_next_one_does() {
    let asked = clean(Deletes::Both).await;
    let published = Published::new();
    let last_delete = asked.iter().rposition(|asked| asked.starts_with("DELETE")).unwrap();
    let place = Place::start(Deletes::Both, &published).await;
    let (journal, locked) = (place.folder.path().join("journal"), LockedTarget::default());
    let ran = place.run(Some((last_delete, Strike::Stop)), &journal, &locked).await;
    let text = render(&ran.unwrap_err());
    assert!(text.contains("whether another tag needs what was deleted is not known"), "{text}");
    // A registry that takes a list without its images lets the other run write its tag.
    let (tag, amd64) = (format!("/v2/{APP}/manifests/stable"), &published.amd64);
    place.state.lock().unwrap().stopped = false;
    for child in [&published.arm64, amd64] {
        let path = format!("/v2/{APP}/manifests/{}", child.digest());
        place.backdoor.put(&path, child.media_type, child.manifest.clone()).await;
    }
    let attestation = &published.list.children[2];
    let path = format!("/v2/{APP}/manifests/{}", attestation.digest());
    place.backdoor.put(&path, attestation.media_type, attestation.manifest.clone()).await;
    place.backdoor.put(&tag, OCI_INDEX, published.list.manifest.clone()).await;
    place.backdoor.delete(&path).await;
    assert_eq!(place.missing("stable").await.len(), 1);
    let unpublished = place.run(None, &journal, &locked).await.unwrap();
    assert_eq!(place.missing("stable").await, Vec::<String>::new());
    let restored: Vec<&Digest> = unpublished.places[0].restored.iter().map(|(digest, _)| digest).collect();
    assert!(restored.contains(&&attestation.digest()), "{restored:?}");
    // The list is needed again, so its signature is there again, too.
    assert!(place.serves(&published.signature.tags[0]).await);
}
