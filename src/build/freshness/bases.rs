//! Looks the images up that builds use: one HEAD each. I/O.

use std::collections::BTreeSet;

use futures_util::future::join_all;

use super::Heads;
use crate::model::reference::Reference;
use crate::registry::Registry;

/// The digest behind each of `images` that is not given by digest. What cannot be looked up says why.
pub(crate) async fn heads(registry: &Registry, images: BTreeSet<&Reference>) -> Heads {
    let asked = images.into_iter().filter(|image| image.digest.is_none()).map(|image| async move {
        let head = match registry.head_manifest(&image.repository, image.lookup()).await {
            Ok(Some(head)) => Ok(head.digest),
            Ok(None) => Err("it does not exist".to_owned()),
            Err(error) => Err(error.answer()),
        };
        (image.clone(), head)
    });
    join_all(asked).await.into_iter().collect()
}
