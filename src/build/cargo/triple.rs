//! Rust's names for platforms. Pure.

use crate::config::Libc;
use crate::model::platform::Platform;

/// The target triple of programs for `platform`; `None` where Rust has none that runs in a container.
pub fn triple(platform: &Platform, libc: Libc) -> Option<&'static str> {
    let platform = platform.normal();
    let parts = (platform.os.as_str(), platform.arch.as_str(), platform.variant.as_deref());
    Some(match (parts, libc) {
        (("linux", "amd64", _), Libc::Musl) => "x86_64-unknown-linux-musl",
        (("linux", "amd64", _), Libc::Gnu) => "x86_64-unknown-linux-gnu",
        (("linux", "386", _), Libc::Musl) => "i686-unknown-linux-musl",
        (("linux", "386", _), Libc::Gnu) => "i686-unknown-linux-gnu",
        (("linux", "arm64", _), Libc::Musl) => "aarch64-unknown-linux-musl",
        (("linux", "arm64", _), Libc::Gnu) => "aarch64-unknown-linux-gnu",
        (("linux", "arm", Some("v5")), Libc::Musl) => "armv5te-unknown-linux-musleabi",
        (("linux", "arm", Some("v5")), Libc::Gnu) => "armv5te-unknown-linux-gnueabi",
        (("linux", "arm", Some("v6")), Libc::Musl) => "arm-unknown-linux-musleabihf",
        (("linux", "arm", Some("v6")), Libc::Gnu) => "arm-unknown-linux-gnueabihf",
        (("linux", "arm", _), Libc::Musl) => "armv7-unknown-linux-musleabihf",
        (("linux", "arm", _), Libc::Gnu) => "armv7-unknown-linux-gnueabihf",
        (("linux", "loong64", _), Libc::Musl) => "loongarch64-unknown-linux-musl",
        (("linux", "loong64", _), Libc::Gnu) => "loongarch64-unknown-linux-gnu",
        (("linux", "ppc64le", _), Libc::Musl) => "powerpc64le-unknown-linux-musl",
        (("linux", "ppc64le", _), Libc::Gnu) => "powerpc64le-unknown-linux-gnu",
        (("linux", "riscv64", _), Libc::Musl) => "riscv64gc-unknown-linux-musl",
        (("linux", "riscv64", _), Libc::Gnu) => "riscv64gc-unknown-linux-gnu",
        (("linux", "s390x", _), Libc::Musl) => "s390x-unknown-linux-musl",
        (("linux", "s390x", _), Libc::Gnu) => "s390x-unknown-linux-gnu",
        // There the C library is Windows' own, and this names who links.
        (("windows", "amd64", _), _) => "x86_64-pc-windows-gnu",
        (("windows", "arm64", _), _) => "aarch64-pc-windows-gnullvm",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variants_have_targets_of_their_own() {
        let of = |platform: &str, libc| triple(&platform.parse().unwrap(), libc);
        assert_eq!(of("linux/amd64", Libc::Musl), Some("x86_64-unknown-linux-musl"));
        assert_eq!(of("linux/aarch64", Libc::Gnu), Some("aarch64-unknown-linux-gnu"));
        assert_eq!(of("linux/arm", Libc::Musl), Some("armv7-unknown-linux-musleabihf"));
        assert_eq!(of("linux/arm/v6", Libc::Musl), Some("arm-unknown-linux-musleabihf"));
        assert_eq!(of("darwin/arm64", Libc::Musl), None);
    }
}
