//! Content discovery: tags, and lists that come in pages (distribution-spec, "Listing Tags").

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use reqwest::header::{ACCEPT, HeaderValue};
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::Registry;
use super::address;
use super::blobs::pull;
use super::error::{Kind, RegistryError};
use super::manifests::confirm_absence;
use super::transport::{Call, Wanted};
use super::wire::authority;
use crate::model::go_json;
use crate::model::reference::Repository;

#[derive(Deserialize)]
struct Page {
    name: Option<String>,
    tags: Option<Vec<String>>,
}

impl Page {
    /// The tags listed; `None` for something else than a list of tags. CNCF distribution says `"tags": null` beside the
    /// name of a repository that lost all of them.
    fn tags(self) -> Option<Vec<String>> {
        self.tags.or_else(|| self.name.map(|_| Vec::new()))
    }
}

/// How many items are asked for at once.
const PAGE_SIZE: &str = "?n=1000";
/// So many pages are more than any repository has; registries that choose their size themselves send 50 items or more.
pub const MOST_PAGES: usize = 2_000;
/// One page, in bytes. A registry may send everything in one.
pub const LARGEST_PAGE: usize = 16 << 20;
/// All pages, in bytes. A tag takes 131 at most.
pub const LARGEST_LIST: usize = 64 << 20;
/// All items of a list, in number: short tags take much more memory than their bytes.
pub const MOST_LISTED: usize = 500_000;
/// How long all pages may take.
pub const LONGEST_LIST: Duration = Duration::from_secs(15 * 60);

impl Registry {
    /// All tags of `repository` as served; `None` when there is no such repository.
    ///
    /// A registry can leave tags out without a sign of it. Who concludes something from what is not listed uses
    /// [`Registry::all_tags`].
    ///
    /// # Errors
    ///
    /// Anything but an answer that says one or the other, or a next page that cannot be followed.
    pub async fn tags(&self, repository: &Repository) -> Result<Option<Vec<String>>, RegistryError> {
        let address = tags_address(repository);
        let (mut tags, mut known) = (Vec::new(), HashSet::new());
        let found = self
            .pages("list the tags of", repository, &address, |page: Page| {
                let before = tags.len();
                tags.extend(page.tags()?.into_iter().filter(|tag| known.insert(tag.clone())));
                Some(tags.len() - before)
            })
            .await?;
        Ok(found.then_some(tags))
    }

    /// All tags of `repository`, none when there is no such repository. Those of `expected` that are not listed are
    /// looked up.
    ///
    /// # Errors
    ///
    /// As [`Registry::tags`]; and one of `expected` is served although it is not listed, so that others may be missing
    /// as well.
    pub async fn all_tags(
        &self,
        repository: &Repository,
        expected: impl IntoIterator<Item = &str>,
    ) -> Result<Vec<String>, RegistryError> {
        let tags = self.tags(repository).await?.unwrap_or_default();
        for expected in expected {
            if !tags.iter().any(|tag| tag == expected)
                && self.head_manifest(repository, expected).await?.is_some()
            {
                let task = super::Task::new("list the tags of", repository, &repository.host);
                let detail = format!("the list lacks `{expected}`, which is served, so it is not complete");
                return Err(task.error(Kind::Protocol, detail));
            }
        }
        Ok(tags)
    }

    /// All tags of `repository`, when one request brings them; `None` when there are more, or none, or they are not
    /// listed for whatever reason. For callers that can ask for each tag instead.
    pub async fn few_tags(&self, repository: &Repository) -> Option<Vec<String>> {
        let task = super::Task::new("list the tags of", repository, &repository.host);
        let host = self.host(&task).ok()?;
        let mut call = Call::new(task, Method::GET, tags_address(repository), pull(repository));
        call.answer = Wanted::Body(LARGEST_PAGE);
        let reply = host.call(&call).await.ok()?;
        if reply.status != StatusCode::OK || address::next(&reply.headers) != Ok(None) {
            return None;
        }
        let page: Page = go_json::from_slice(&reply.body).ok()?;
        page.tags().filter(|tags| !tags.is_empty())
    }

    /// Reads page after page; false when the first is not there. `take` gives how many items a page had that no page
    /// before it had, and `None` for what is not such a page.
    pub(super) async fn pages<P: DeserializeOwned>(
        &self,
        verb: &'static str,
        repository: &Repository,
        address: &str,
        take: impl FnMut(P) -> Option<usize>,
    ) -> Result<bool, RegistryError> {
        let task = super::Task::new(verb, repository, &repository.host);
        let pages = self.each_page(task.clone(), repository, address, take);
        tokio::time::timeout(LONGEST_LIST, pages).await.unwrap_or_else(|_| {
            let minutes = LONGEST_LIST.as_secs() / 60;
            Err(task.error(Kind::Timeout, format!("the list takes more than {minutes} minutes")).lasting())
        })
    }

    async fn each_page<P: DeserializeOwned>(
        &self,
        task: super::Task,
        repository: &Repository,
        address: &str,
        mut take: impl FnMut(P) -> Option<usize>,
    ) -> Result<bool, RegistryError> {
        let host = self.host(&task)?;
        let mut call = Call::new(task, Method::GET, address, pull(repository));
        call.answer = Wanted::Body(LARGEST_PAGE);
        call.headers.insert(
            ACCEPT,
            HeaderValue::from_static("application/json, application/vnd.oci.image.index.v1+json"),
        );
        let (mut seen, mut length, mut listed) = (BTreeSet::new(), 0, 0);
        for page_number in 0..MOST_PAGES {
            let reply = host.call(&call).await?;
            match reply.status {
                StatusCode::OK => {}
                // CNCF distribution refuses to send more at once than it is set to (`PAGINATION_NUMBER_INVALID`).
                StatusCode::BAD_REQUEST if call.address.ends_with(PAGE_SIZE) => {
                    call.address.truncate(call.address.len() - PAGE_SIZE.len());
                    continue;
                }
                // Only the first page may be absent: a list that ends in the middle is not the whole one.
                StatusCode::NOT_FOUND if page_number == 0 => {
                    return confirm_absence(&host, &call, &reply).await.map(|()| false);
                }
                _ => return Err(reply.error(&call)),
            }
            seen.insert(reply.url.clone());
            length += reply.body.len();
            if length > LARGEST_LIST {
                let detail = format!("the list is longer than {LARGEST_LIST} bytes");
                return Err(call.task.error(Kind::TooLarge, detail));
            }
            let page = go_json::from_slice(&reply.body).map_err(|error| {
                call.task.error(Kind::Protocol, format!("the answer is not what it should be: {error}"))
            })?;
            let unlike =
                || call.task.error(Kind::Protocol, "the answer is not what it should be: it lists nothing");
            let new = take(page).ok_or_else(unlike)?;
            listed += new;
            if listed > MOST_LISTED {
                let detail = format!("the list has more than {MOST_LISTED} items");
                return Err(call.task.error(Kind::TooLarge, detail));
            }
            let wrong = |why: String| call.task.error(Kind::Protocol, format!("the answer links to {why}"));
            let Some(next) = address::next(&reply.headers).map_err(wrong)? else { return Ok(true) };
            let next = host.wire.named(&reply.url, next).map_err(wrong)?;
            if !host.wire.is_own(&next) {
                return Err(wrong(format!("a next page at another host, {}", authority(&next))));
            }
            if seen.contains(&next) {
                return Err(wrong("a page that came before".to_owned()));
            }
            if new == 0 {
                return Err(wrong("a next page, and lists nothing new itself".to_owned()));
            }
            call.address = next.into();
        }
        Err(call.task.error(Kind::TooLarge, format!("the list has more than {MOST_PAGES} pages")))
    }
}

fn tags_address(repository: &Repository) -> String {
    format!("v2/{}/tags/list{PAGE_SIZE}", repository.path)
}
