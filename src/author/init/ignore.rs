//! A first `.dockerignore`, where there is none: what an image never needs stays out of its context. Pure but for
//! [`missing`].

use std::path::Path;

use super::Dockerfile;
use crate::build::dockerfile::Pattern;
use crate::model::inner_path::clean;

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

/// The file's content for a context that `dockerfiles` are built in; none when they may copy all that it would name.
pub(super) fn text(dockerfiles: &[&Dockerfile]) -> Option<String> {
    let needed = |name: &str| {
        dockerfiles.iter().flat_map(|dockerfile| dockerfile.sources()).any(|source| takes_from(&source, name))
    };
    let patterns: Vec<_> = PATTERNS.iter().filter(|(pattern, _)| !needed(pattern)).collect();
    let mut out = String::from(
        "# What is not sent to the engine: builds start sooner, and are not repeated for its sake.\n",
    );
    for (pattern, about) in &patterns {
        if !about.is_empty() {
            out.push_str(&format!("# {about}\n"));
        }
        out.push_str(&format!("{pattern}\n"));
    }
    (!patterns.is_empty()).then_some(out)
}

/// Whether what `source` copies may be `name` or lie in it. All of a context is copied without what is left out of it.
fn takes_from(source: &str, name: &str) -> bool {
    let path = clean(source);
    let part = path.split('/').next().filter(|part| !part.is_empty());
    let Some(part) = part else { return false };
    match part.find(['$', '"', '\'', '\\']) {
        // What a variable holds is known when it is built.
        Some(at) => name.starts_with(part[..at].split(['*', '?', '[']).next().unwrap_or_default()),
        None => Pattern::of_source(part).is_none_or(|pattern| pattern.matches(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_dockerfile_may_copy_is_not_left_out() {
        for (copies, kept) in [
            ("COPY . /app", vec![]),
            ("COPY target/$TARGETARCH/release/app /app", vec!["target"]),
            ("COPY ./target/*/app /app", vec!["target"]),
            ("COPY [\"/target/app\", \"/app\"]", vec!["target"]),
            ("COPY \"target/my app\" /app", vec![".git", "target", "manifests.toml"]),
            ("COPY ../target/app /app", vec!["target"]),
            ("COPY t?rget/app src /app", vec!["target"]),
            ("COPY targets/app t*s /app", vec![]),
            ("COPY *.toml ./", vec!["manifests.toml"]),
            ("COPY man$NAME /app", vec!["manifests.toml"]),
            ("ADD ${BIN} /app", vec![".git", "target", "manifests.toml"]),
            ("ADD https://example.org/$VERSION/app /app", vec![]),
            ("COPY --from=build target/$TARGETARCH/app /app", vec![]),
            (
                "RUN --mount=type=bind,source=target/$TARGETARCH,target=/in install /in/app /app",
                vec!["target"],
            ),
            ("RUN --mount=type=cache,target=/app/target cargo build", vec![]),
        ] {
            let text = format!("FROM scratch\n{copies}\n");
            let dockerfile =
                Dockerfile { path: "Dockerfile".into(), context: ".".into(), text, package: None };
            let ignored = super::text(&[&dockerfile]).unwrap_or_default();
            let left = |name: &&str| !ignored.lines().any(|line| line == *name);
            let not_ignored: Vec<&str> =
                [".git", "target", "manifests.toml"].into_iter().filter(left).collect();
            assert_eq!(not_ignored, kept, "{copies}");
        }
    }
}
