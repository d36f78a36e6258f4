//! Content discovery: tags, and lists that come in pages (distribution-spec, "Listing Tags").

use std::collections::BTreeSet;

use reqwest::header::{ACCEPT, HeaderValue, LINK};
use reqwest::{Method, StatusCode, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::Registry;
use super::blobs::pull;
use super::error::{Kind, RegistryError};
use super::manifests::{LARGEST_MANIFEST, confirm_absence};
use super::transport::{Call, Reply, Wanted};
use crate::go_json;
use crate::reference::Repository;

#[derive(Deserialize)]
struct Page {
    /// Some registries say `null` for none.
    tags: Option<Vec<String>>,
}

/// So many pages of a thousand tags each are more than any repository has.
const MOST_PAGES: usize = 10_000;

impl Registry {
    /// All tags of `repository` as served; `None` when there is no such repository.
    ///
    /// # Errors
    ///
    /// Anything but an answer that says one or the other.
    pub async fn tags(&self, repository: &Repository) -> Result<Option<Vec<String>>, RegistryError> {
        let address = tags_address(repository);
        let mut tags = Vec::new();
        let found = self
            .pages("list the tags of", repository, &address, |page: Page| {
                tags.extend(page.tags.unwrap_or_default())
            })
            .await?;
        Ok(found.then_some(tags))
    }

    /// All tags of `repository`, when one request brings them; `None` when there are more, or they are not listed for
    /// whatever reason. For callers that can ask for each tag instead.
    pub async fn few_tags(&self, repository: &Repository) -> Option<Vec<String>> {
        let task = super::Task::new("list the tags of", repository, &repository.host);
        let host = self.host(&task).ok()?;
        let mut call = Call::new(task, Method::GET, tags_address(repository), pull(repository));
        call.answer = Wanted::Body(LARGEST_MANIFEST);
        let reply = host.call(&call).await.ok()?;
        if reply.status != StatusCode::OK || reply.headers.contains_key(LINK) {
            return None;
        }
        let page: Page = go_json::from_slice(&reply.body).ok()?;
        Some(page.tags.unwrap_or_default())
    }

    /// Reads page after page; false when the first is not there.
    pub(super) async fn pages<P: DeserializeOwned>(
        &self,
        verb: &'static str,
        repository: &Repository,
        address: &str,
        mut take: impl FnMut(P),
    ) -> Result<bool, RegistryError> {
        let task = super::Task::new(verb, repository, &repository.host);
        let host = self.host(&task)?;
        let mut call = Call::new(task, Method::GET, address, pull(repository));
        call.answer = Wanted::Body(LARGEST_MANIFEST);
        call.headers.insert(
            ACCEPT,
            HeaderValue::from_static("application/json, application/vnd.oci.image.index.v1+json"),
        );
        let mut seen = BTreeSet::new();
        for _ in 0..MOST_PAGES {
            let reply = host.call(&call).await?;
            match reply.status {
                StatusCode::OK => {}
                // Only the first page may be absent: a list that ends in the middle is not the whole one.
                StatusCode::NOT_FOUND if seen.is_empty() => {
                    return confirm_absence(&host, &call, &reply).await.map(|()| false);
                }
                _ => return Err(reply.error(&call)),
            }
            let page = go_json::from_slice(&reply.body).map_err(|error| {
                call.task.error(Kind::Protocol, format!("the answer is not what it should be: {error}"))
            })?;
            take(page);
            let Some(next) = next(&reply) else { return Ok(true) };
            if !host.wire.is_own(&next) || !seen.insert(next.to_string()) {
                return Err(call
                    .task
                    .error(Kind::Protocol, format!("the next page is said to be at {next}")));
            }
            call.address = next.into();
        }
        Err(call.task.error(Kind::TooLarge, format!("more than {MOST_PAGES} pages")))
    }
}

fn tags_address(repository: &Repository) -> String {
    format!("v2/{}/tags/list?n=1000", repository.path)
}

/// The address in `Link: <…>; rel="next"` (RFC 8288).
fn next(reply: &Reply) -> Option<Url> {
    let values = reply.headers.get_all(LINK).iter().filter_map(|value| value.to_str().ok());
    let target = values.flat_map(next_in).next()?;
    reply.url.join(target).ok()
}

fn next_in(value: &str) -> Option<&str> {
    let mut rest = value;
    loop {
        let (_, after) = rest.split_once('<')?;
        let (target, after) = after.split_once('>')?;
        let (parameters, others) = match after.find('<') {
            Some(end) => after.split_at(end),
            None => (after, ""),
        };
        let is_next = parameters.split([';', ',']).filter_map(|parameter| parameter.split_once('=')).any(
            |(name, value)| {
                name.trim().eq_ignore_ascii_case("rel")
                    && value.trim().trim_matches('"').split(' ').any(|rel| rel.eq_ignore_ascii_case("next"))
            },
        );
        if is_next {
            return Some(target);
        }
        rest = others;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_found_in_any_link() {
        for (value, target) in [
            (r#"</v2/a/tags/list?n=2&last=b>; rel="next""#, Some("/v2/a/tags/list?n=2&last=b")),
            ("<x>;rel=next", Some("x")),
            (r#"<p>; rel="prev", <n>; title="a, b"; rel="last next""#, Some("n")),
            (r#"<p>; rel="prev""#, None),
            ("rel=next", None),
            ("", None),
        ] {
            assert_eq!(next_in(value), target, "{value}");
        }
    }
}
