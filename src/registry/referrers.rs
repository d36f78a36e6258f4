//! What refers to a manifest (distribution-spec, "Listing Referrers", "Pushing Manifests with Subject"): asked of the
//! registry, and where it has no referrers API kept in an index under the fallback tag.

use std::collections::HashSet;

use serde::Deserialize;
use tokio::sync::Mutex;

use super::Registry;
use super::error::{Kind, RegistryError};
use crate::model::digest::Digest;
use crate::model::manifest::{Descriptor, List, ListKind, Manifest, ManifestError, parse};
use crate::model::reference::Repository;
use crate::single_flight::SingleFlight;

/// Who writes a fallback tag in this process: one at a time, since each writes what it read and something more.
pub(super) type Turns = SingleFlight<(Repository, String), Mutex<()>>;

impl Registry {
    /// The manifests whose `subject` is `digest`; also those that the fallback tag `sha256-…` lists, where the registry
    /// has no referrers API.
    ///
    /// # Errors
    ///
    /// Anything but an answer that says which, or that there are none.
    pub async fn referrers(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<Vec<Descriptor>, RegistryError> {
        match self.listed_referrers(repository, digest).await? {
            Some(found) => Ok(found),
            None => self.fallback_referrers(repository, digest).await,
        }
    }

    /// What the fallback tag lists.
    ///
    /// # Errors
    ///
    /// As [`Registry::get_manifest`].
    pub async fn fallback_referrers(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<Vec<Descriptor>, RegistryError> {
        let list = match self.fallback(repository, &fallback_tag(digest)).await? {
            Some(Fallback::List(list)) => list.entries,
            // A tag that only looks like the fallback.
            Some(Fallback::Other(_)) | None => Vec::new(),
        };
        Ok(list)
    }

    /// What the referrers API says; `None` when the registry has none.
    ///
    /// # Errors
    ///
    /// Anything but an answer that says which, or that it has no such API.
    pub async fn listed_referrers(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<Option<Vec<Descriptor>>, RegistryError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Index {
            schema_version: Option<u64>,
            manifests: Option<Vec<Descriptor>>,
        }
        let address = format!("v2/{}/referrers/{digest}", repository.path);
        let (mut found, mut known) = (Vec::new(), HashSet::new());
        let take = |page: Index| {
            // Some registries say `null` for none; something else than an index says no more than that either.
            let none = page.schema_version.map(|_| Vec::new());
            let listed = page.manifests.or(none)?.into_iter();
            let before = found.len();
            found.extend(listed.filter(|entry: &Descriptor| known.insert(entry.digest.clone())));
            Some(found.len() - before)
        };
        match self.pages("list the referrers of", repository, &address, take).await {
            Ok(there) => Ok(there.then_some(found)),
            // Registries from before the API answer to an address that they do not know as they like.
            Err(error) if matches!(error.kind(), Kind::Unsupported | Kind::Rejected) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sees to it that `referrers`, which `repository` holds, are found from their `subject`: by the registry itself,
    /// or where it has no referrers API by the index under the fallback tag, whose other entries stay.
    ///
    /// Registries have no conditional write: another process that writes the tag at the same moment may undo this, so
    /// it is looked at again afterwards.
    ///
    /// # Errors
    ///
    /// The tag serves something that is no index, or does not keep the entries.
    pub async fn attach_referrers(
        &self,
        repository: &Repository,
        subject: &Digest,
        referrers: &[Descriptor],
    ) -> Result<(), RegistryError> {
        if self.listed_referrers(repository, subject).await?.is_some() {
            return Ok(());
        }
        let tag = fallback_tag(subject);
        let turn = self.0.turns.of((repository.clone(), tag.clone()));
        let _turn = turn.lock().await;
        let attempt = || async {
            let mut list = match self.fallback(repository, &tag).await? {
                Some(Fallback::List(list)) => list,
                Some(Fallback::Other(error)) => return Err(error),
                None => List::new(ListKind::Oci),
            };
            let lacking_now = lacking(&list, referrers);
            if lacking_now.is_empty() {
                return Ok(());
            }
            list.entries.extend(lacking_now);
            self.put_manifest(repository, &tag, list.kind.media_type(), &list.to_bytes()).await?;
            match self.fallback(repository, &tag).await? {
                Some(Fallback::List(kept)) if lacking(&kept, referrers).is_empty() => Ok(()),
                _ => {
                    let task = self.task("write", repository, &tag);
                    Err(task.error(
                        Kind::NotFound,
                        "what was added to the list of referrers is not there afterwards",
                    ))
                }
            }
        };
        self.retrying(|error| error.kind() == Kind::NotFound, attempt).await
    }

    /// What the fallback tag serves.
    async fn fallback(&self, repository: &Repository, tag: &str) -> Result<Option<Fallback>, RegistryError> {
        let Some(fetched) = self.get_manifest(repository, tag).await? else { return Ok(None) };
        let wrong = |found: String| {
            let task = self.task("read", repository, tag);
            task.error(Kind::Protocol, format!("a list of referrers belongs there, and it serves {found}"))
        };
        match parse(&fetched.bytes, &fetched.media_type) {
            Ok(Manifest::List(list)) => Ok(Some(Fallback::List(list))),
            Ok(Manifest::Image(_)) | Err(ManifestError::Schema1 | ManifestError::Unknown(_)) => {
                Ok(Some(Fallback::Other(wrong(format!("something of type {}", fetched.media_type)))))
            }
            Err(error) => Err(wrong(format!("what is {error}"))),
        }
    }
}

/// What a fallback tag serves.
enum Fallback {
    List(List),
    /// Something else, and the error for who needs a list there.
    Other(RegistryError),
}

/// Where the referrers of `digest` are listed by registries without the API (distribution-spec, "Referrers Tag Schema").
pub fn fallback_tag(digest: &Digest) -> String {
    // The specification cuts both parts: a tag has at most 128 characters, which sha512 exceeds.
    let cut = |text: &str, length: usize| text.get(..length).unwrap_or(text).to_owned();
    let tag = format!("{}-{}", cut(digest.algorithm(), 32), cut(digest.hex(), 64));
    tag.replace(['+', '='], "-")
}

/// Those that the list does not name yet.
fn lacking(list: &List, referrers: &[Descriptor]) -> Vec<Descriptor> {
    let is_named = |referrer: &Descriptor| list.entries.iter().any(|entry| entry.digest == referrer.digest);
    referrers.iter().filter(|referrer| !is_named(referrer)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fallback_tag_is_cut_to_what_a_tag_holds() {
        let digest = Digest::of(b"x");
        assert_eq!(fallback_tag(&digest), format!("sha256-{}", digest.hex()));
        let long: Digest = format!("sha512:{}", "a".repeat(128)).parse().unwrap();
        assert_eq!(fallback_tag(&long), format!("sha512-{}", "a".repeat(64)));
        let other: Digest = "multihash+base64:Qm_-Zx==".parse().unwrap();
        assert_eq!(fallback_tag(&other), "multihash-base64-Qm_-Zx--");
    }
}
