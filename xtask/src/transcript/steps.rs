//! The steps of the walkthrough.

/// One step.
pub(super) struct Step {
    pub(super) title: &'static str,
    /// What one would type.
    pub(super) by_hand: &'static str,
    pub(super) text: &'static str,
    pub(super) commands: &'static [Command],
}

/// A command and what of it is shown.
pub(super) struct Command {
    /// `HOST` is the registry.
    pub(super) line: &'static str,
    pub(super) code: i32,
    pub(super) shows: Shown,
}

/// What of stdout is shown.
pub(super) enum Shown {
    All,
    /// The lines that contain this: the others are about the machine.
    Lines(&'static str),
}

impl Command {
    pub(super) fn shown(&self) -> String {
        self.line.replace("HOST", super::filters::HOST).replace(" --quiet", "")
    }
}

const fn run(line: &'static str) -> Command {
    Command { line, code: 0, shows: Shown::All }
}

const fn fails(line: &'static str) -> Command {
    Command { line, code: 1, shows: Shown::All }
}

pub(super) const STEPS: &[Step] = &[
    Step {
        title: "Emulators",
        by_hand: "docker run --privileged --rm tonistiigi/binfmt --install all",
        text: "`doctor` says which declared platforms this machine can run, and how to register what is missing; `doctor \
               --fix` does it. It also looks at the engine, the registries and the credentials (`docker login`).",
        commands: &[Command { line: "manifests doctor", code: 0, shows: Shown::Lines("running linux/") }],
    },
    Step {
        title: "Build",
        by_hand: "docker build --no-cache --platform=linux/amd64 -t bookadmusic/echo-platform-amd64:20240716 .",
        text: "All declared platforms side by side; `--no-cache` is the key `build.no-cache`.",
        commands: &[run("manifests build --quiet")],
    },
    Step {
        title: "Run",
        by_hand: "docker run --platform=linux/arm64 --rm IMAGE",
        text: "`smoke` in the target: each image is run and has to print what is expected, before it is pushed.",
        commands: &[run("manifests smoke --quiet")],
    },
    Step {
        title: "Push",
        by_hand: "docker push IMAGE",
        text: "Side by side, with the engine's credentials.",
        commands: &[run("manifests push --skip-smoke --quiet")],
    },
    Step {
        title: "Find what was published",
        by_hand: "docker search bookadmusic",
        text: "What a registry holds under a name.",
        commands: &[
            run("manifests tags HOST/bookadmusic/echo-platform-arm64"),
            run("manifests inspect HOST/bookadmusic/echo-platform-arm64:20240716"),
        ],
    },
    Step {
        title: "Publish the list",
        by_hand: "docker manifest create LIST IMAGE… && docker manifest push LIST",
        text: "The list is declared; `reconcile` publishes it once every image is there. The second time there is nothing \
               to do. `release` is all of the above in one.",
        commands: &[
            run("manifests reconcile --quiet"),
            run("manifests reconcile --quiet"),
            run("manifests inspect HOST/bookadmusic/echo-platform:20240716"),
        ],
    },
    Step {
        title: "Run the list",
        by_hand: "docker run LIST",
        text: "The engine takes the entry of its platform.",
        commands: &[
            run(
                "docker run --rm --quiet --pull always --platform linux/amd64 HOST/bookadmusic/echo-platform:20240716",
            ),
            run(
                "docker run --rm --quiet --pull always --platform linux/arm64 HOST/bookadmusic/echo-platform:20240716",
            ),
        ],
    },
    Step {
        title: "Create a list",
        by_hand: "docker manifest create [--insecure] LIST IMAGE…",
        text: "The same arguments, and the list is declared in `manifests.toml`. When an image is not there nothing is \
               declared, where Docker keeps the half. A registry on loopback needs no `--insecure`.",
        commands: &[
            fails(
                "manifests manifest create HOST/bookadmusic/other:1 HOST/bookadmusic/echo-platform-amd64:20240716 \
                 HOST/bookadmusic/none:1",
            ),
            run(
                "manifests manifest create HOST/bookadmusic/other:1 HOST/bookadmusic/echo-platform-amd64:20240716",
            ),
        ],
    },
    Step {
        title: "Amend it",
        by_hand: "docker manifest create --amend LIST IMAGE…",
        text: "Images are replaced and added platform by platform.",
        commands: &[
            fails(
                "manifests manifest create HOST/bookadmusic/other:1 HOST/bookadmusic/echo-platform-arm64:20240716",
            ),
            run("manifests manifest create --amend HOST/bookadmusic/other:1 \
                 HOST/bookadmusic/echo-platform-arm64:20240716"),
        ],
    },
    Step {
        title: "Annotate it",
        by_hand: "docker manifest annotate LIST IMAGE --os-version ubuntu22.04",
        text: "Keys of the platform in the file.",
        commands: &[
            run(
                "manifests manifest annotate HOST/bookadmusic/other:1 HOST/bookadmusic/echo-platform-amd64:20240716 \
                 --os-version ubuntu22.04",
            ),
            run("tail -n 10 manifests.toml"),
        ],
    },
    Step {
        title: "Inspect it",
        by_hand: "docker manifest inspect [-v] REF",
        text: "What is declared, before it is published; byte for byte what Docker prints.",
        commands: &[
            run("manifests manifest inspect HOST/bookadmusic/other:1"),
            run(
                "manifests manifest inspect -v HOST/bookadmusic/other:1 HOST/bookadmusic/echo-platform-arm64:20240716",
            ),
        ],
    },
    Step {
        title: "Push it",
        by_hand: "docker manifest push LIST",
        text: "A line for each image that came into the repository, then the digest.",
        commands: &[
            run("manifests manifest push HOST/bookadmusic/other:1"),
            run("manifests manifest push HOST/bookadmusic/other:1"),
        ],
    },
    Step {
        title: "Forget it",
        by_hand: "docker manifest rm LIST…",
        text: "Drops the declaration, so that `inspect` shows the published list again.",
        commands: &[
            run("manifests manifest rm HOST/bookadmusic/other:1"),
            fails("manifests manifest rm HOST/bookadmusic/other:1"),
            run("manifests manifest inspect HOST/bookadmusic/other:1"),
        ],
    },
    Step {
        title: "Push and forget",
        by_hand: "docker manifest push --purge LIST",
        text: "The declaration goes once the list is published, and only then.",
        commands: &[
            run(
                "manifests manifest create HOST/bookadmusic/third:1 HOST/bookadmusic/echo-platform-amd64:20240716 \
                 HOST/bookadmusic/echo-platform-arm64:20240716",
            ),
            run("manifests manifest push --purge HOST/bookadmusic/third:1"),
            fails("manifests manifest push --purge HOST/bookadmusic/third:1"),
        ],
    },
];
