//! The manifests that an index lists, with those of the indexes in it.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use super::budget::{Budget, DEEPEST};
use crate::concurrency;
use crate::error::Failure;
use crate::model::content::{Content, is_manifest};
use crate::model::digest::Digest;
use crate::model::manifest::Descriptor;
use crate::model::media;
use crate::model::reference::Repository;
use crate::registry::Registry;

/// The manifests that `index` lists, each once, those of an inner index before it.
///
/// # Errors
///
/// One of the indexes cannot be read, is not there or is not what its descriptor says; they are nested too deep; or
/// `budget` does not suffice.
pub(super) async fn parts(
    registry: &Registry,
    budget: &Budget,
    from: &Repository,
    index: &Descriptor,
) -> Result<Vec<Descriptor>> {
    let at = || from.digest(&index.digest);
    let mut known = BTreeMap::from([(index.digest.clone(), index.clone())]);
    let mut inner: BTreeMap<Digest, Vec<Digest>> = BTreeMap::new();
    let mut level = vec![index.clone()];
    for _ in 0..DEEPEST {
        let read = concurrency::try_over(&level, |list| children(registry, from, list)).await?;
        let lists = std::mem::take(&mut level);
        for (list, children) in lists.into_iter().zip(read) {
            inner.insert(list.digest, children.iter().map(|child| child.digest.clone()).collect());
            for child in children {
                if known.contains_key(&child.digest) {
                    continue;
                }
                budget.take(|| format!("{} lists", at()), [&child])?;
                if media::is_list(&child.media_type) {
                    level.push(child.clone());
                }
                known.insert(child.digest.clone(), child);
            }
        }
        if level.is_empty() {
            let order = in_order(&index.digest, &inner);
            return Ok(order.iter().filter_map(|digest| known.remove(digest)).collect());
        }
    }
    Err(budget.exceeded(format!("{} nests indexes more than {DEEPEST} deep", at())))
}

/// What the index lists, without what an index says of it for itself.
async fn children(registry: &Registry, from: &Repository, index: &Descriptor) -> Result<Vec<Descriptor>> {
    let Some(fetched) = registry.named_manifest(from, index).await? else {
        return Err(Failure::new(format!("{} is not there", from.digest(&index.digest))).into());
    };
    let content = Content::of(&fetched.bytes, &fetched.media_type)
        .map_err(|error| error.at(from.digest(&index.digest)))?;
    let children = content.children.into_iter().filter(|child| is_manifest(&child.media_type));
    Ok(children.map(|child| Descriptor::new(&child.media_type, child.digest, child.size)).collect())
}

/// All that can be reached from `root`, each once and after all that it lists itself; without `root`.
fn in_order(root: &Digest, inner: &BTreeMap<Digest, Vec<Digest>>) -> Vec<Digest> {
    let mut seen = BTreeSet::from([root]);
    let mut order = Vec::new();
    let below = |digest: &Digest| inner.get(digest).map_or(&[][..], Vec::as_slice).iter();
    let mut open = vec![(root, below(root))];
    while let Some((digest, rest)) = open.last_mut() {
        match rest.next() {
            Some(child) if seen.insert(child) => open.push((child, below(child))),
            Some(_) => {}
            None => {
                order.push((*digest).clone());
                open.pop();
            }
        }
    }
    order.pop();
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_comes_once_and_after_what_it_lists() {
        let digest = |name: &str| Digest::of(name.as_bytes());
        for (lists, expected) in [
            (&[][..], &[][..]),
            (&[("root", &["a", "b"][..])], &["a", "b"]),
            (&[("root", &["a", "list", "b"]), ("list", &["c"])], &["a", "c", "list", "b"]),
            (&[("root", &["x", "x"]), ("x", &["y", "y"]), ("y", &["z", "z"])], &["z", "y", "x"]),
            // Known from above before it is met below.
            (&[("root", &["p", "q"]), ("p", &["q"]), ("q", &["r"])], &["r", "q", "p"]),
        ] {
            let inner =
                lists.iter().map(|(list, inner)| (digest(list), inner.iter().map(|i| digest(i)).collect()));
            let expected: Vec<Digest> = expected.iter().map(|name| digest(name)).collect();
            assert_eq!(in_order(&digest("root"), &inner.collect()), expected, "{lists:?}");
        }
    }
}
