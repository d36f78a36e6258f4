//! A first `.dockerignore`, where there is none: what an image never needs stays out of its context. Pure but for
//! [`missing`].

use std::path::Path;

use super::Dockerfile;

/// What no image needs, unless it copies it.
const PATTERNS: &[(&str, &str)] = &[
    (".git", "the history"),
    ("target", "what cargo builds; also where rehearsals are kept"),
    ("manifests.toml", "what is published is no part of it: a new tag builds nothing anew"),
    ("manifests.lock", ""),
    ("manifests.schema.json", ""),
];

/// Whether the context of `dockerfile` has no ignore file, nor the Dockerfile one of its own.
pub(super) fn missing(root: &Path, dockerfile: &Dockerfile) -> bool {
    let own = format!("{}.dockerignore", dockerfile.path);
    !root.join(&dockerfile.context).join(".dockerignore").exists() && !root.join(own).exists()
}

/// The file's content for a context that `dockerfiles` are built in.
pub(super) fn text(dockerfiles: &[&Dockerfile]) -> String {
    let mut out = String::from(
        "# What is not sent to the engine: builds start sooner, and are not repeated for its sake.\n",
    );
    for (pattern, about) in PATTERNS {
        let copied = |path: &String| path.split('/').find(|part| *part != ".") == Some(*pattern);
        if dockerfiles.iter().any(|dockerfile| dockerfile.copied().iter().any(copied)) {
            continue;
        }
        if !about.is_empty() {
            out.push_str(&format!("# {about}\n"));
        }
        out.push_str(&format!("{pattern}\n"));
    }
    out
}
