//! Media types of manifests (image-spec, media-types.md; distribution, "Image Manifest V 2, Schema 2"). Pure.

/// A Docker manifest list.
pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// A Docker image manifest, schema 2.
pub const DOCKER_IMAGE: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// An OCI image index.
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// An OCI image manifest.
pub const OCI_IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
/// Docker image manifests of schema 1, signed and not, which are refused.
pub const DOCKER_SCHEMA1: [&str; 2] = [
    "application/vnd.docker.distribution.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v1+prettyjws",
];

/// The configuration of an OCI image.
pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// The configuration of a Docker image.
pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";

/// Whether `media_type` is a list of either kind.
pub fn is_list(media_type: &str) -> bool {
    matches!(media_type, DOCKER_LIST | OCI_INDEX)
}

/// Whether `media_type` is an image manifest of either kind.
pub fn is_image(media_type: &str) -> bool {
    matches!(media_type, DOCKER_IMAGE | OCI_IMAGE)
}

/// Whether `media_type` is an image's configuration; other manifests of an image's type are artifacts.
pub fn is_image_config(media_type: &str) -> bool {
    let without_parameters = media_type.split(';').next().unwrap_or_default().trim();
    matches!(without_parameters, DOCKER_CONFIG | OCI_CONFIG)
}

/// Whether `media_type` says nothing about a configuration. Docker before 1.11.1 and some registries wrote these types
/// for images, and Docker takes exactly these for one (distribution/distribution#1621, moby/moby#22378 and #30083).
pub fn is_vague_config(media_type: &str) -> bool {
    matches!(media_type, "application/octet-stream" | "application/json" | "text/html" | "")
}
