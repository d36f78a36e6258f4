//! Looks at what was written: every tag serves the list, and the registry holds every child.

use anyhow::Result;
use futures_util::future::{try_join, try_join_all};

use crate::error::Failure;
use crate::plan::{PlacePlan, PlannedList};
use crate::registry::Registry;

/// Every tag written serves the list, and the repository holds every child of it.
pub(super) async fn confirm(registry: &Registry, places: &[(&PlacePlan, &PlannedList)]) -> Result<()> {
    let tags = places.iter().flat_map(|(place, list)| {
        place
            .tags
            .iter()
            .filter(|tag| tag.action.is_write())
            .map(move |tag| (*place, *list, tag.name.as_str()))
    });
    let tags = try_join_all(tags.map(|(place, list, tag)| async move {
        let reference = place.repository.tag(tag);
        let served = registry.head_written(&place.repository, tag).await?.map(|head| head.digest);
        match served {
            Some(digest) if digest == list.digest => Ok(()),
            Some(digest) => Err(anyhow::Error::from(
                Failure::new(format!(
                    "{reference} was overtaken: {} was written, somebody else's {digest} is served now",
                    list.digest
                ))
                .hint("run `plan` to see the difference"),
            )),
            None => {
                Err(Failure::new(format!("{reference} was written, but the registry does not serve it"))
                    .into())
            }
        }
    }));
    let changed = places.iter().filter(|(place, _)| place.is_change());
    let children = changed.flat_map(|(place, list)| list.children.iter().map(|child| (*place, child)));
    let children = try_join_all(children.map(|(place, child)| async move {
        match registry.head_written(&place.repository, child.as_str()).await? {
            Some(_) => anyhow::Ok(()),
            None => Err(Failure::new(format!(
                "the registry took the list but does not hold {}",
                place.repository.digest(child)
            ))
            .hint("run again: missing images are brought along")
            .into()),
        }
    }));
    try_join(tags, children).await?;
    Ok(())
}
