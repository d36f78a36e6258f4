//! The images that a build uses: what of a list an engine may take for a platform ([`entries`]), what their
//! configurations say ([`read`]), and whether the engine has copies of its own ([`copies`]).
//!
//! A build is recorded as made of what a registry served only where all of this agrees.

pub(crate) mod copies;
pub(crate) mod entries;
pub(crate) mod read;

use crate::model::digest::Digest;
use crate::model::platform::Platform;
use crate::model::reference::Reference;

/// An image that a build uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Base {
    /// As the Dockerfile names it.
    pub reference: Reference,
    /// What its registry served under that name, or what it is given by.
    pub digest: Digest,
    /// The platform that it is used for; none where that is not known.
    pub platform: Option<Platform>,
    /// Whether the build begins with it, in the end: then its layers lie under the image's own.
    pub is_below: bool,
    /// Whether it is the frontend that reads the Dockerfile.
    pub is_frontend: bool,
}
