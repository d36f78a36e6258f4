//! What the runs of the matrix are about: what is there before, and what is declared.

use crate::content::{Content, attested, image, list};

/// One kind of run.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) registries: usize,
    /// The first registry wants tokens.
    pub(crate) with_tokens: bool,
    /// What is there was seen before, and is in the cache.
    pub(crate) is_warm: bool,
    pub(crate) contents: Vec<Content>,
    /// `{0}` and `{1}` stand for the registries.
    pub(crate) declaration: String,
}

impl Scenario {
    /// Whether a tag goes to the newest version, for which all tags have to be known.
    pub(crate) fn compares_versions(&self) -> bool {
        self.declaration.contains("newest")
    }
}

const AMD64: &str = "linux/amd64";
const ARM64: &str = "linux/arm64";

/// Two images in the repository of their list.
const BESIDE: &str = r#"
[target.app]
repository = "{0}/team/app"
tags = ["1.0"]
image = "{0}/team/app:{arch}"
platforms = ["linux/amd64", "linux/arm64"]
"#;

/// Two images in repositories of their own.
const ELSEWHERE: &str = r#"
[target.app]
repository = "{0}/team/app"
tags = ["1.0"]
image = "{0}/team/app-{arch}:1.0"
platforms = ["linux/amd64", "linux/arm64"]
"#;

pub(crate) fn all() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "unchanged",
            contents: vec![amd64(), arm64(), both("new").tagged("1.0")],
            ..scenario(BESIDE)
        },
        Scenario { name: "new list", contents: vec![amd64(), arm64()], ..scenario(BESIDE) },
        Scenario {
            name: "changed list",
            contents: vec![amd64(), arm64(), both("old").tagged("1.0")],
            ..scenario(BESIDE)
        },
        Scenario {
            name: "changed list, warm cache",
            is_warm: true,
            contents: vec![amd64(), arm64(), both("old").tagged("1.0")],
            ..scenario(BESIDE)
        },
        Scenario {
            name: "images in other repositories",
            contents: vec![
                image(AMD64, "new", 40).tagged("1.0").within(0, "team/app-amd64"),
                image(ARM64, "new", 40).tagged("1.0").within(0, "team/app-arm64"),
            ],
            ..scenario(ELSEWHERE)
        },
        Scenario {
            name: "images in other repositories, with tokens",
            with_tokens: true,
            contents: vec![
                image(AMD64, "new", 40).tagged("1.0").within(0, "team/app-amd64"),
                image(ARM64, "new", 40).tagged("1.0").within(0, "team/app-arm64"),
                both("old").tagged("1.0"),
            ],
            ..scenario(ELSEWHERE)
        },
        Scenario {
            name: "two registries, copied",
            registries: 2,
            contents: vec![
                amd64(),
                image(ARM64, "new", 600 << 10).tagged("arm64"),
                both("old").tagged("1.0"),
            ],
            ..scenario(
                r#"
[target.app]
repository = ["{0}/team/app", "{1}/other/app"]
tags = ["1.0"]
image = "{0}/team/app:{arch}"
platforms = ["linux/amd64", "linux/arm64"]
"#,
            )
        },
        Scenario {
            name: "an image that is an index",
            contents: vec![
                attested(AMD64, image(AMD64, "new", 40)).tagged("1.0").within(0, "team/app-amd64"),
            ],
            ..scenario(
                r#"
[target.app]
repository = "{0}/team/app"
tags = ["1.0"]
image = "{0}/team/app-{arch}:1.0"
platforms = ["linux/amd64"]
undeclared = "remove"
"#,
            )
        },
        Scenario {
            name: "moving, newest and immutable tags",
            contents: vec![amd64(), arm64(), both("old").tagged("edge"), both("older").tagged("0.9.0")],
            ..scenario(
                r#"
[target.app]
repository = "{0}/team/app"
tags = ["{version}", "edge", { name = "latest", policy = "newest" }]
image = "{0}/team/app:{arch}"
platforms = ["linux/amd64", "linux/arm64"]
"#,
            )
        },
    ]
}

/// One registry, empty, that wants no tokens.
pub(crate) fn scenario(declaration: &str) -> Scenario {
    let (contents, declaration) = (Vec::new(), declaration.to_owned());
    Scenario { name: "", registries: 1, with_tokens: false, is_warm: false, contents, declaration }
}

fn amd64() -> Content {
    image(AMD64, "new", 40).tagged("amd64")
}

fn arm64() -> Content {
    image(ARM64, "new", 40).tagged("arm64")
}

/// A list of somebody else, who publishes other images.
pub(crate) fn theirs() -> Content {
    list(vec![(AMD64, image(AMD64, "theirs", 40)), (ARM64, image(ARM64, "theirs", 40))])
}

/// A list of both; the image for arm64 as it was at that time.
fn both(arm64: &str) -> Content {
    list(vec![(AMD64, image(AMD64, "new", 40)), (ARM64, image(ARM64, arm64, 40))])
}
