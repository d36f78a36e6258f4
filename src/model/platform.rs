//! Platforms in containerd's notation, `os[(os.version+feature…)]/arch[/variant]`, and their normal form. Pure.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use crate::model::foreign::Foreign;
use crate::model::suggest::near_miss;

/// A platform as written: what the list will say. Compare [`Platform::normal`] forms to ask whether two texts mean
/// the same one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Platform {
    /// `GOOS`, e.g. `linux`.
    pub os: String,
    /// `GOARCH`, e.g. `arm64`.
    pub arch: String,
    /// e.g. `v7`.
    pub variant: Option<String>,
    /// e.g. `10.0.20348.169`.
    pub os_version: Option<String>,
    /// e.g. `win32k`.
    pub os_features: Vec<String>,
}

/// The combinations that Go builds for and images exist for, as `docker manifest annotate` checks them
/// (docker/cli, `manifest/util.go`), with those that came since (`go tool dist list`), and `wasi/wasm`, as Docker calls what
/// its WebAssembly runtimes run.
const KNOWN: &[(&str, &[&str])] = &[
    ("aix", &["ppc64"]),
    ("android", &["386", "amd64", "arm", "arm64"]),
    ("darwin", &["386", "amd64", "arm", "arm64"]),
    ("dragonfly", &["amd64"]),
    ("freebsd", &["386", "amd64", "arm", "arm64", "riscv64"]),
    ("illumos", &["amd64"]),
    ("ios", &["amd64", "arm64"]),
    ("js", &["wasm"]),
    (
        "linux",
        &[
            "386", "amd64", "arm", "arm64", "loong64", "mips", "mipsle", "mips64", "mips64le", "ppc64",
            "ppc64le", "riscv64", "s390x",
        ],
    ),
    ("netbsd", &["386", "amd64", "arm", "arm64"]),
    ("openbsd", &["386", "amd64", "arm", "arm64", "mips64", "ppc64", "riscv64"]),
    ("plan9", &["386", "amd64", "arm"]),
    ("solaris", &["amd64"]),
    ("wasi", &["wasm", "wasm32"]),
    ("wasip1", &["wasm"]),
    ("wasip2", &["wasm"]),
    ("windows", &["386", "amd64", "arm", "arm64"]),
];

/// The variants that mean something, by architecture (image-spec, image-index.md, "Platform Variants"; for arm64 with the
/// versions in between, as containerd's `platforms/compare.go` has them).
const VARIANTS: &[(&str, &[&str])] = &[
    ("arm", &["v5", "v6", "v7", "v8"]),
    (
        "arm64",
        &[
            "v8", "v8.1", "v8.2", "v8.3", "v8.4", "v8.5", "v8.6", "v8.7", "v8.8", "v8.9", "v9", "v9.1",
            "v9.2", "v9.3", "v9.4", "v9.5", "v9.6", "v9.7",
        ],
    ),
    ("amd64", &["v1", "v2", "v3", "v4"]),
    ("ppc64", &["power8", "power9", "power10"]),
    ("ppc64le", &["power8", "power9", "power10"]),
    ("riscv64", &["rva20u64", "rva22u64", "rva23u64"]),
];

impl Platform {
    /// A platform of `os` and `arch` alone.
    pub fn new(os: &str, arch: &str) -> Self {
        Self { os: os.to_owned(), arch: arch.to_owned(), ..Self::default() }
    }

    /// The normal form: aliases resolved, and the variant that is an architecture's default left out, but for arm,
    /// where it is `v7` (containerd, `platforms/database.go`).
    #[must_use]
    pub fn normal(&self) -> Self {
        let os = match self.os.to_ascii_lowercase().as_str() {
            "macos" => "darwin".to_owned(),
            other => other.to_owned(),
        };
        let variant = self.variant.as_deref().map(str::to_ascii_lowercase).filter(|v| !v.is_empty());
        let (arch, variant) = match (self.arch.to_ascii_lowercase().as_str(), variant.as_deref()) {
            ("i386" | "i486" | "i586" | "i686" | "x86", _) => ("386".to_owned(), None),
            ("x86_64" | "x86-64" | "amd64", None | Some("v1")) => ("amd64".to_owned(), None),
            ("x86_64" | "x86-64" | "amd64", Some(v)) => ("amd64".to_owned(), Some(v.to_owned())),
            ("aarch64" | "arm64", None | Some("8" | "v8" | "v8.0")) => ("arm64".to_owned(), None),
            ("aarch64" | "arm64", Some("9" | "9.0" | "v9.0")) => ("arm64".to_owned(), Some("v9".to_owned())),
            ("aarch64" | "arm64", Some(v)) => ("arm64".to_owned(), Some(v.to_owned())),
            ("armhf", _) => ("arm".to_owned(), Some("v7".to_owned())),
            ("armel", _) => ("arm".to_owned(), Some("v6".to_owned())),
            ("arm", None) => ("arm".to_owned(), Some("v7".to_owned())),
            ("arm", Some(digit @ ("5" | "6" | "7" | "8"))) => ("arm".to_owned(), Some(format!("v{digit}"))),
            (arch, variant) => (arch.to_owned(), variant.map(str::to_owned)),
        };
        let os_features = self.sorted_features().map(str::to_owned).collect();
        Self { os, arch, variant, os_version: self.os_version.clone().filter(|v| !v.is_empty()), os_features }
    }

    /// Each feature once.
    fn sorted_features(&self) -> impl Iterator<Item = &str> {
        let filled = self.os_features.iter().map(String::as_str).filter(|feature| !feature.is_empty());
        filled.collect::<BTreeSet<_>>().into_iter()
    }

    /// As a list says it: aliases of system and architecture resolved, everything else as written.
    #[must_use]
    pub fn canonical(&self) -> Self {
        let normal = self.normal();
        let variant = if normal.arch == self.arch { self.variant.clone() } else { normal.variant };
        Self { os: normal.os, arch: normal.arch, variant, ..self.clone() }
    }

    /// Operating system, architecture and variant in normal form, without version and features: what pairs a declared
    /// with a published entry.
    #[must_use]
    pub fn base(&self) -> Self {
        Self { os_version: None, os_features: Vec::new(), ..self.normal() }
    }

    /// Whether both mean the same platform, with version and features.
    pub fn same_as(&self, other: &Self) -> bool {
        self.normal() == other.normal()
    }

    /// What `uname -m` prints there.
    pub fn machine(&self) -> String {
        let normal = self.normal();
        match (normal.arch.as_str(), normal.variant.as_deref()) {
            ("amd64", _) => "x86_64".to_owned(),
            ("386", _) => "i686".to_owned(),
            ("arm64", _) => "aarch64".to_owned(),
            ("arm", Some("v5")) => "armv5tel".to_owned(),
            ("arm", Some("v6")) => "armv6l".to_owned(),
            ("arm", Some("v8")) => "armv8l".to_owned(),
            ("arm", _) => "armv7l".to_owned(),
            ("loong64", _) => "loongarch64".to_owned(),
            ("mipsle", _) => "mips".to_owned(),
            ("mips64le", _) => "mips64".to_owned(),
            (arch, _) => arch.to_owned(),
        }
    }

    /// What stands for it in templates and for commands: features are no part of its name there.
    #[must_use]
    pub fn without_features(&self) -> Self {
        Self { os_features: Vec::new(), ..self.clone() }
    }

    /// With dashes, for tags and file names: `linux-arm-v7`.
    pub fn dashed(&self) -> String {
        let mut text = format!("{}-{}", self.os, self.arch);
        for part in [&self.variant, &self.os_version].into_iter().flatten() {
            text.push('-');
            text.push_str(part);
        }
        text
    }

    /// What the engine's `--platform` takes: without version and features.
    pub fn for_engine(&self) -> String {
        let mut text = format!("{}/{}", self.os, self.arch);
        if let Some(variant) = &self.variant {
            text.push('/');
            text.push_str(variant);
        }
        text
    }

    /// Why no image can be for this platform, with the near miss, or `None` when it is a known one.
    pub fn problem(&self) -> Option<String> {
        let normal = self.normal();
        let Some((_, arches)) = KNOWN.iter().find(|(os, _)| *os == normal.os) else {
            return Some(with_near_miss(
                format!("unknown operating system `{}`", self.os),
                &self.os,
                KNOWN.iter().map(|(os, _)| *os),
            ));
        };
        if !arches.contains(&normal.arch.as_str()) {
            return Some(with_near_miss(
                format!("unknown architecture `{}` for {}", self.arch, normal.os),
                &self.arch,
                arches.iter().copied().chain(["x86_64", "aarch64", "i386", "armhf", "armel"]),
            ));
        }
        let variant = normal.variant.as_deref()?;
        let known =
            VARIANTS.iter().find(|(arch, _)| *arch == normal.arch).map_or(&[][..], |(_, known)| known);
        if known.contains(&variant) {
            return None;
        }
        if known.is_empty() {
            return Some(format!("{} has no variants, found `{variant}`", normal.arch));
        }
        Some(format!("unknown variant `{variant}` of {}; known are {}", normal.arch, known.join(", ")))
    }
}

/// `message`, and the candidate that was probably meant.
fn with_near_miss<'a>(message: String, found: &str, candidates: impl Iterator<Item = &'a str>) -> String {
    match near_miss(found, candidates) {
        Some(candidate) => format!("{message}; did you mean `{candidate}`?"),
        None => message,
    }
}

impl Platform {
    /// The platform that was probably meant by what is none: `amd64`, `linux-arm64`, `linux/armv7`, `linux/amd64 `, or
    /// Rust's `aarch64-unknown-linux-musl`.
    pub fn meant(text: &str) -> Option<Self> {
        let text = text.trim();
        if let [arch, _, os, ..] = text.split('-').collect::<Vec<_>>()[..]
            && let Ok(triple) = format!("{os}/{arch}").parse::<Self>()
            && triple.problem().is_none()
        {
            return Some(triple.normal());
        }
        let slashes = text.replace(['-', '_'], "/").replace("x86/64", "amd64");
        let variant = slashes.replace("armv", "arm/v");
        let candidates =
            [slashes.clone(), format!("linux/{slashes}"), variant.clone(), format!("linux/{variant}")];
        let exists = |text: &String| text.parse().ok().filter(|platform: &Self| platform.problem().is_none());
        candidates.iter().find_map(exists)
    }
}

/// Why a text is no platform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a platform: expected os[(os.version)]/arch[/variant], e.g. linux/arm64 or linux/arm/v7"
)]
pub struct PlatformError(String);

impl FromStr for Platform {
    type Err = PlatformError;

    /// Reads the notation; whether such a platform exists is [`Platform::problem`]'s to say.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || PlatformError(text.to_owned());
        let parts: Vec<&str> = text.split('/').collect();
        let (os, arch, variant) = match parts[..] {
            [os, arch] => (os, arch, None),
            [os, arch, variant] => (os, arch, Some(variant)),
            _ => return Err(error()),
        };
        let (os, options) = match os.split_once('(') {
            Some((os, rest)) => (os, rest.strip_suffix(')').ok_or_else(error)?),
            None => (os, ""),
        };
        let valid = |part: &str| {
            !part.is_empty()
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
        };
        if ![Some(os), Some(arch), variant].into_iter().flatten().all(valid) {
            return Err(error());
        }
        let mut options = options.split('+').map(|option| decoded(option).ok_or_else(error));
        let os_version = options.next().transpose()?.filter(|version| !version.is_empty());
        let os_features = options.collect::<Result<Vec<String>, _>>()?;
        if os_features.iter().any(String::is_empty) {
            return Err(error());
        }
        Ok(Self {
            os: os.to_owned(),
            arch: arch.to_owned(),
            variant: variant.map(str::to_owned),
            os_version,
            os_features,
        })
    }
}

/// A version or feature with its `%` sequences resolved (containerd, `platforms.go`, `decodeOSOption`).
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digit = |byte: u8| char::from(byte).to_digit(16);
                u8::try_from(digit(rest.next()?)? * 16 + digit(rest.next()?)?).ok()?
            }
            byte if byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.') => byte,
            _ => return None,
        });
    }
    String::from_utf8(bytes).ok()
}

/// A version or feature as it stands in the notation.
fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        byte if byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.') => {
            char::from(byte).to_string()
        }
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}

impl fmt::Display for Platform {
    /// With the features in order and each once, as containerd formats them. What no platform is called is shown as text
    /// from outside, and is not read back.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = self.os_version.as_deref().unwrap_or_default();
        let features: String =
            self.sorted_features().map(|feature| format!("+{}", encoded(feature))).collect();
        write!(f, "{}", Foreign(&self.os))?;
        if !version.is_empty() || !features.is_empty() {
            write!(f, "({}{features})", encoded(version))?;
        }
        write!(f, "/{}", Foreign(&self.arch))?;
        if let Some(variant) = &self.variant {
            write!(f, "/{}", Foreign(variant))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn platform(text: &str) -> Platform {
        text.parse().unwrap()
    }

    #[test]
    fn the_same_platform_has_one_normal_form() {
        for (a, b) in [
            ("linux/amd64", "linux/amd64"),
            ("linux/amd64", "linux/x86_64/v1"),
            ("linux/arm64", "linux/aarch64/v8"),
            ("linux/arm", "linux/arm/v7"),
            ("linux/armhf", "linux/arm/7"),
            ("linux/386", "linux/i386"),
            ("darwin/arm64", "macos/arm64"),
            ("linux/arm64/v9", "linux/aarch64/9.0"),
            ("linux/arm64/v9", "Linux/arm64/V9.0"),
            ("windows(+win32k)/amd64", "windows(+win32k+win32k)/amd64"),
            ("linux(+b+a)/amd64", "linux(+a+b)/amd64"),
            ("windows()/amd64", "windows/amd64"),
        ] {
            assert!(platform(a).same_as(&platform(b)), "{a} and {b}");
        }
        for (a, b) in [
            ("linux/arm/v6", "linux/arm"),
            ("linux/amd64/v2", "linux/amd64"),
            ("windows(10.0.17763.1)/amd64", "windows(10.0.20348.1)/amd64"),
            ("linux/arm64/v8.1", "linux/arm64"),
            ("linux/ppc64le/power9", "linux/ppc64le"),
            ("windows(10.0+win32k)/amd64", "windows(10.0)/amd64"),
            ("wasi/wasm", "wasip1/wasm"),
        ] {
            assert!(!platform(a).same_as(&platform(b)), "{a} and {b}");
        }
    }

    #[test]
    fn a_list_says_architectures_by_their_own_name_and_variants_as_written() {
        for (written, published) in [
            ("linux/arm", "linux/arm"),
            ("linux/arm/v7", "linux/arm/v7"),
            ("linux/arm64/v8", "linux/arm64/v8"),
            ("linux/aarch64", "linux/arm64"),
            ("linux/armhf", "linux/arm/v7"),
        ] {
            assert_eq!(platform(written).canonical().to_string(), published);
        }
    }

    #[test]
    fn what_was_written_is_shown() {
        for text in [
            "linux/arm/v7",
            "windows(10.0.17763.1)/amd64",
            "linux/aarch64",
            "windows(10.0.17763+win32k)/amd64",
            "linux(+gpu+simd)/arm64/v8.3",
            "windows(10.0.17763%2Bbuild.42+win32k)/amd64",
            "linux(+100%25%2F%28x%29)/amd64",
            "wasi/wasm",
        ] {
            assert_eq!(platform(text).to_string(), text);
        }
        assert_eq!(platform("linux/arm/v7").dashed(), "linux-arm-v7");
        assert_eq!(platform("windows(10.0.1)/amd64").for_engine(), "windows/amd64");
        assert_eq!(platform("linux/arm64").machine(), "aarch64");
    }

    #[test]
    fn mistakes_come_with_the_near_miss() {
        for text in [
            "",
            "linux",
            "linux/",
            "linux/arm/v7/x",
            "windows(10/amd64",
            "linux/a md64",
            "windows(10+)/amd64",
            "windows(1%2)/amd64",
            "windows(1%zz)/amd64",
            "linux(+a+)/amd64",
            "linux(a)b/amd64",
            "linux(+%ff)/amd64",
        ] {
            assert!(text.parse::<Platform>().is_err(), "{text}");
        }
        for (text, problem) in [
            ("linux/arm46", "unknown architecture `arm46` for linux; did you mean `arm64`?"),
            ("linus/amd64", "unknown operating system `linus`; did you mean `linux`?"),
            ("linux/arm/v9", "unknown variant `v9` of arm; known are v5, v6, v7, v8"),
            ("linux/s390x/v1", "s390x has no variants, found `v1`"),
        ] {
            assert_eq!(platform(text).problem().as_deref(), Some(problem), "{text}");
        }
        for text in [
            "linux/aarch64",
            "wasi/wasm",
            "wasi/wasm32",
            "wasip1/wasm",
            "js/wasm",
            "linux/arm64/v8.3",
            "linux/arm64/v9.2",
            "linux/arm64/v9.0",
            "linux/ppc64le/power9",
            "linux/ppc64le/power10",
            "linux/riscv64/rva23u64",
            "linux/riscv64/rva20u64",
            "linux/amd64/v4",
            "linux/arm/v8",
            "windows(10.0.20348.169+win32k)/amd64",
            "linux(+gpu)/amd64",
            "macos/arm64",
            "darwin/amd64",
            "freebsd/riscv64",
            "ios/arm64",
            "openbsd/ppc64",
        ] {
            assert_eq!(platform(text).problem(), None, "{text}");
        }
        for (text, meant) in [
            ("amd64", Some("linux/amd64")),
            ("linux-arm64", Some("linux/arm64")),
            ("linux/armv7", Some("linux/arm/v7")),
            ("armv7", Some("linux/arm/v7")),
            ("linux/x86-64", Some("linux/amd64")),
            ("linux", None),
            ("linux/arm46", None),
        ] {
            assert_eq!(Platform::meant(text).map(|meant| meant.to_string()).as_deref(), meant, "{text}");
        }
    }
}
