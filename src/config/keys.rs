//! Every key of the file, once: the reader takes from here what it knows, the JSON Schema and the reference in the
//! documentation are written from here. Pure.

use super::section::Absent::{Means, Required, Value};
use super::section::{Kind, Section, key};

pub(super) static ROOT: Section = Section {
    owner: "the file",
    title: "manifests.toml",
    heading: "The file",
    about: "Which images a project publishes for which platforms. Paths are relative to the file's folder; every string \
            is a template. Unknown keys are errors.",
    keys: &[
        key(
            "target",
            Kind::Tables("the target's name, which commands take", &TARGET),
            "What is published: a repository, its tags and its platform images.",
            Required,
            r#"{ app = { repository = "ghcr.io/acme/app", tags = ["1.0"], platforms = ["linux/amd64"] } }"#,
        ),
        key(
            "defaults",
            Kind::Table(&TARGET),
            "Any key of a target, for all targets: tables merge, strings and arrays replace.",
            Means("nothing is shared"),
            r#"{ platforms = ["linux/amd64", "linux/arm64"] }"#,
        ),
        key(
            "registry",
            Kind::Tables("the registry's host, with its port", &REGISTRY),
            "How a registry is reached. Pushes go through the engine, which has its own settings for registries: `doctor` \
             compares the two.",
            Means("TLS with the system's certificate authorities; plain HTTP on loopback"),
            r#"{ "registry.corp:5000" = { ca-file = "certs/corp.pem" } }"#,
        ),
    ],
};

pub(super) static TARGET: Section = Section {
    owner: "a target",
    title: "target",
    heading: "`[target.NAME]`",
    about: "One thing to publish.",
    keys: &[
        key(
            "repository",
            Kind::StringOrStrings,
            "Where the list goes; an array publishes it in several registries.",
            Required,
            r#""ghcr.io/acme/app""#,
        ),
        key(
            "tags",
            Kind::StringsOrTables(&TAG),
            "The tags that serve the list: strings, or tables with a policy.",
            Required,
            r#"["{version}", { name = "latest", policy = "newest" }]"#,
        ),
        key(
            "image",
            Kind::String,
            "Where each platform's image goes, or is. Two platforms may not share one reference.",
            Means("the first repository, tagged `<first tag>-<platform, dashed>`"),
            r#""ghcr.io/acme/app-{arch}:{version}""#,
        ),
        key(
            "platforms",
            Kind::Strings,
            "The platforms, in containerd's notation `os[(os.version)]/arch[/variant]`, in the order of the list. When \
             given, a `platform.\"…\"` table outside it is an error.",
            Means("the `platform.\"…\"` tables"),
            r#"["linux/amd64", "linux/arm/v7", "windows(10.0.20348)/amd64"]"#,
        ),
        key(
            "build",
            Kind::TableOrFalse(&BUILD),
            "How the images are built; `false` for images that exist already.",
            Means("the images exist already"),
            r#"{ context = ".", args = { BASE = "alpine:3" } }"#,
        ),
        key(
            "smoke",
            Kind::TableOrFalse(&SMOKE),
            "A run of each image before it is pushed; `false` for none.",
            Means("no run"),
            r#"{ command = ["--version"], expect = "{version}" }"#,
        ),
        key(
            "platform",
            Kind::Tables("the platform", &PLATFORM),
            "What differs for one platform.",
            Means("nothing differs"),
            r#"{ "linux/arm64" = { build = { args = { BASE = "arm64v8/alpine:3" } } } }"#,
        ),
        key(
            "undeclared",
            Kind::Word(&[
                ("known", "those that the lock says were published from here go, any other stops the run"),
                ("remove", "they go"),
                ("keep", "they stay"),
                ("error", "they stop the run"),
            ]),
            "What becomes of platforms that the published list has and the declaration does not.",
            Value(r#""known""#),
            r#""keep""#,
        ),
        key(
            "attestations",
            Kind::Word(&[
                (
                    "keep",
                    "they follow their image into the list, and what else hangs on an image is copied with it",
                ),
                ("drop", "they are left out"),
            ]),
            "What becomes of the images' attestations.",
            Value(r#""keep""#),
            r#""drop""#,
        ),
        key(
            "format",
            Kind::Word(&[
                (
                    "auto",
                    "the published list's type, else Docker when all that goes in is Docker's, else OCI",
                ),
                ("docker", "a Docker manifest list"),
                ("oci", "an OCI image index"),
            ]),
            "The list's type. Images are never converted.",
            Value(r#""auto""#),
            r#""oci""#,
        ),
        key(
            "annotations",
            Kind::StringTable,
            "Annotations of the index; a Docker list has none.",
            Means("none"),
            r#"{ "org.opencontainers.image.licenses" = "MIT" }"#,
        ),
        key(
            "package",
            Kind::String,
            "The Cargo package whose version is `{version}`.",
            Means("the package named like the target, else the only one"),
            r#""app-server""#,
        ),
        key(
            "binary-check",
            Kind::Word(&[
                ("error", "the image is not pushed"),
                ("warn", "a warning"),
                ("off", "nobody looks"),
            ]),
            "What becomes of programs in an image that cannot run on its platform.",
            Value(r#""error""#),
            r#""warn""#,
        ),
    ],
};

pub(super) static TAG: Section = Section {
    owner: "a tag",
    title: "tag",
    heading: "`tags`",
    about: "An entry of `tags` that says when it may move.",
    keys: &[
        key("name", Kind::String, "The tag.", Required, r#""latest""#),
        key(
            "policy",
            Kind::Word(&[
                ("moving", "it may change"),
                ("immutable", "once it exists it stays as it is"),
                (
                    "newest",
                    "it moves only when this version is the highest released one, and no prerelease; otherwise it is \
                     skipped with a note",
                ),
            ]),
            "Whether and when the tag may move.",
            Means("`\"immutable\"` for a tag that contains `{version}` or `{git.sha}`, else `\"moving\"`"),
            r#""newest""#,
        ),
    ],
};

pub(super) static PLATFORM: Section = Section {
    owner: "a platform",
    title: "platform",
    heading: "`platform.\"OS/ARCH\"`",
    about: "What differs for one platform of a target. `build` and `smoke` merge with the target's.",
    keys: &[
        key(
            "image",
            Kind::String,
            "Where this platform's image goes; one that is not built may be given by digest.",
            Means("the target's `image`"),
            r#""ghcr.io/acme/app-arm64:1.0""#,
        ),
        key(
            "build",
            Kind::TableOrFalse(&BUILD),
            "How this platform's image is built; `false` when it exists already.",
            Means("the target's `build`"),
            "false",
        ),
        key(
            "os-version",
            Kind::String,
            "`os.version` of the entry, e.g. of Windows; may be a prefix of what the image says.",
            Means("Windows: the image's own; else none"),
            r#""10.0.20348""#,
        ),
        key("os-features", Kind::Strings, "`os.features` of the entry.", Value("[]"), r#"["win32k"]"#),
        key(
            "annotations",
            Kind::StringTable,
            "Annotations of the entry; a Docker list has none.",
            Means("none"),
            r#"{ "com.example.tier" = "beta" }"#,
        ),
        key(
            "smoke",
            Kind::TableOrFalse(&SMOKE),
            "A run of this platform's image before it is pushed; `false` for none.",
            Means("the target's `smoke`"),
            "false",
        ),
    ],
};

pub(super) static BUILD: Section = Section {
    owner: "`build`",
    title: "build",
    heading: "`build`",
    about: "How images are built: what `docker build --platform` is called with.",
    keys: &[
        key("context", Kind::String, "The folder that is built.", Value(r#"".""#), r#""docker""#),
        key(
            "dockerfile",
            Kind::String,
            "`--file`.",
            Means("`Dockerfile` in the context"),
            r#""docker/app.Dockerfile""#,
        ),
        key(
            "args",
            Kind::StringTable,
            "`--build-arg`.",
            Means("none"),
            r#"{ BASE = "alpine:3", VERSION = "{version}" }"#,
        ),
        key("stage", Kind::String, "`--target`.", Means("the last stage"), r#""runtime""#),
        key(
            "labels",
            Kind::StringTable,
            "`--label`. `org.opencontainers.image.{source,revision,version}` are added unless declared.",
            Means("none but those that are added"),
            r#"{ "org.opencontainers.image.licenses" = "MIT" }"#,
        ),
        key(
            "secrets",
            Kind::Strings,
            "`--secret`, each as on the command line.",
            Value("[]"),
            r#"["id=token,env=TOKEN"]"#,
        ),
        key("ssh", Kind::Strings, "`--ssh`, each as on the command line.", Value("[]"), r#"["default"]"#),
        key(
            "cache-from",
            Kind::Strings,
            "`--cache-from`.",
            Value("[]"),
            r#"["type=registry,ref=ghcr.io/acme/app:cache"]"#,
        ),
        key("cache-to", Kind::Strings, "`--cache-to`.", Value("[]"), r#"["type=inline"]"#),
        key("no-cache", Kind::Boolean, "`--no-cache`.", Value("false"), "true"),
        key("pull", Kind::Boolean, "`--pull`.", Value("false"), "true"),
        key(
            "before",
            Kind::Strings,
            "A command that runs before the build, for each platform, in the file's folder.",
            Means("none"),
            r#"["sh", "compile.sh", "{platform}"]"#,
        ),
        key(
            "extra-args",
            Kind::Strings,
            "Further arguments of `docker build`, passed on as they are.",
            Value("[]"),
            r#"["--network=none"]"#,
        ),
        key(
            "cargo",
            Kind::Table(&CARGO),
            "A Rust program that is built for each platform before its image, and staged in a folder that is the context.",
            Means("no program is built"),
            r#"{ bin = "app" }"#,
        ),
    ],
};

pub(super) static CARGO: Section = Section {
    owner: "`build.cargo`",
    title: "cargo",
    heading: "`build.cargo`",
    about: "A Rust program, built for each platform's target triple and staged as `<os>-<arch>[-<variant>]/BIN`.",
    keys: &[
        key("package", Kind::String, "`--package`.", Means("the target's package"), r#""app""#),
        key("bin", Kind::String, "`--bin`.", Means("the package's name"), r#""app""#),
        key("profile", Kind::String, "`--profile`.", Value(r#""release""#), r#""dist""#),
        key("features", Kind::Strings, "`--features`.", Value("[]"), r#"["tls"]"#),
        key(
            "target-libc",
            Kind::Word(&[("musl", "the program needs nothing around it"), ("gnu", "glibc")]),
            "The C library that a Linux program is linked with.",
            Value(r#""musl""#),
            r#""gnu""#,
        ),
        key(
            "with",
            Kind::Word(&[
                ("cargo", "`cargo build`"),
                ("cross", "`cross build`"),
                ("zigbuild", "`cargo zigbuild`"),
            ]),
            "What builds it.",
            Value(r#""cargo""#),
            r#""zigbuild""#,
        ),
    ],
};

pub(super) static SMOKE: Section = Section {
    owner: "`smoke`",
    title: "smoke",
    heading: "`smoke`",
    about: "A run of each image before it is pushed: `docker run --rm --platform P IMAGE COMMAND`. It passes when the \
            command ends with status 0 in time and prints what is expected; else the image is not pushed. The lock records \
            it: an image that has not changed is run again only when these keys change.",
    keys: &[
        key(
            "command",
            Kind::Strings,
            "What follows the image.",
            Means("the image's own command"),
            r#"["--version"]"#,
        ),
        key(
            "expect",
            Kind::String,
            "A text that its stdout must contain, anywhere, as it is: no pattern.",
            Means("nothing"),
            r#""{machine}""#,
        ),
        key(
            "timeout",
            Kind::String,
            "How long it may take, in `ms`, `s` and `m`.",
            Value(r#""60s""#),
            r#""1m30s""#,
        ),
        key(
            "without-emulator",
            Kind::Word(&[
                ("fail", "the release stops before anything is built"),
                ("warn", "it goes on without the run"),
            ]),
            "What happens on a machine that cannot run the platform's programs.",
            Value(r#""fail""#),
            r#""warn""#,
        ),
    ],
};

pub(super) static REGISTRY: Section = Section {
    owner: "a registry",
    title: "registry",
    heading: "`[registry.\"HOST\"]`",
    about: "How a registry is reached.",
    keys: &[
        key(
            "ca-file",
            Kind::String,
            "A PEM file with certificate authorities to trust besides the system's, or with the server's own certificate; \
             relative to this file. The engine pushes with its own: `doctor` says where it looks.",
            Means("the system's alone"),
            r#""certs/corp.pem""#,
        ),
        key(
            "client-cert",
            Kind::String,
            "The client's certificate, a PEM file.",
            Means("none"),
            r#""certs/client.pem""#,
        ),
        key(
            "client-key",
            Kind::String,
            "The client's key, a PEM file.",
            Means("none"),
            r#""certs/client.key""#,
        ),
        key("insecure", Kind::Boolean, "Take any certificate.", Value("false"), "true"),
        key(
            "plain-http",
            Kind::Boolean,
            "Speak plain HTTP.",
            Means("loopback only, unless TLS keys say otherwise"),
            "true",
        ),
        key("max-connections", Kind::Count, "Connections at once.", Value("32"), "8"),
    ],
};
