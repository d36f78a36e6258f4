//! The declared references of images that this run does not push: each serves its image all the same. Pure.

use super::{CopyPlan, ObservedCopy, ObservedImage, ObservedTarget, PlacePlan};
use crate::config::{Attestations, Target};
use crate::model::digest::Digest;
use crate::model::manifest::{Descriptor, List, ListKind};
use crate::model::media;
use crate::model::reference::{Reference, Repository};

/// What is known of an image whose declared reference does not serve it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unserved {
    /// The image that it serves instead, as far as that is known.
    pub serves: Option<Digest>,
    /// What is known of the image in the repository of that reference; `None` when it was found there.
    pub copy: Option<ObservedCopy>,
}

/// A declared reference that will be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReferencePlan {
    /// The reference.
    pub reference: Reference,
    /// The image that it will serve.
    pub image: Descriptor,
    /// The image that it serves now, as far as that is known.
    pub serves: Option<Digest>,
    /// Manifests that have to be brought into its repository before.
    pub copies: Vec<CopyPlan>,
    /// Where the manifest that it will serve is.
    pub from: Repository,
    /// The index around the image and its attestations, when there are any; else it serves the image's own manifest.
    pub index: Option<Vec<u8>>,
}

impl ReferencePlan {
    /// What the reference will serve.
    pub fn digest(&self) -> Digest {
        self.index.as_ref().map_or_else(|| self.image.digest.clone(), |bytes| Digest::of(bytes))
    }

    /// The type of what it will serve.
    pub fn media_type(&self) -> &str {
        if self.index.is_some() { media::OCI_INDEX } else { &self.image.media_type }
    }
}

/// The references to write, in declaration order; `place` has the entries.
pub(super) fn plan_references(
    target: &Target,
    observed: &ObservedTarget,
    place: Option<&PlacePlan>,
) -> Vec<ReferencePlan> {
    let plan = |(index, unserved): (&usize, &Unserved)| {
        let image = target.images.get(*index)?;
        let ObservedImage::Found(found) = observed.images.get(*index)? else { return None };
        let entry = place?.entries.get(*index)?.change.entry()?;
        let attested = target.attestations == Attestations::Keep && !found.attestations.is_empty();
        let index = attested.then(|| {
            let mut list = List::new(ListKind::Oci);
            list.entries.push(entry.clone());
            list.entries.extend(found.attestations.clone());
            list.to_bytes()
        });
        Some(ReferencePlan {
            reference: image.reference.clone(),
            image: found.descriptor.clone(),
            serves: unserved.serves.clone(),
            copies: unserved.copy.as_ref().map(|copy| copy.missing().copies).unwrap_or_default(),
            from: found.source.clone(),
            index,
        })
    };
    observed.unserved.iter().filter_map(plan).collect()
}
