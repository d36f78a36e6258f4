//! Bases to build on, for machines that can pull none.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Publishes a base image for the platforms, e.g. `["linux/amd64", "linux/arm/v7"]`, as one OCI index in the registry at
/// `host`, and returns its reference, to be used after `FROM`. The base has `sh`, `cat`, `ls` and `uname`.
///
/// The images are put together here and copied by skopeo: this needs no engine, leaves nothing behind in one, and
/// gives the same digests on each run.
///
/// # Panics
///
/// When a platform's busybox or skopeo is missing, or the registry refuses.
pub fn busybox_base(host: &str, platforms: &[&str]) -> String {
    let images: Vec<BaseImage<'_>> =
        platforms.iter().map(|platform| BaseImage { platform, ..BaseImage::default() }).collect();
    busybox_base_of(host, &images)
}

/// One platform's image of a base.
#[derive(Clone, Copy, Default)]
pub struct BaseImage<'a> {
    /// Its platform.
    pub platform: &'a str,
    /// What its file `/version` holds; without one there is no such file.
    pub version: Option<&'a str>,
    /// Instructions for those who build on it.
    pub on_build: &'a [&'a str],
}

/// The same of images that differ.
///
/// # Panics
///
/// As [`busybox_base`].
pub fn busybox_base_of(host: &str, images: &[BaseImage<'_>]) -> String {
    let layout = tempfile::tempdir().expect("a temporary folder");
    let blobs = Blobs::create(layout.path());

    let entries: Vec<Value> = images.iter().map(|base| image(&blobs, base)).collect();
    let list = blobs.add(&json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": entries,
    }));
    let index = json!({ "schemaVersion": 2, "manifests": [list] });
    fs::write(layout.path().join("index.json"), index.to_string()).expect("index.json is written");
    fs::write(layout.path().join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)
        .expect("oci-layout is written");

    let reference = format!("{host}/busybox-base:latest");
    let output = Command::new("skopeo")
        .args(["copy", "--all", "--preserve-digests", "--dest-tls-verify=false", "--insecure-policy"])
        .arg(format!("oci:{}", layout.path().display()))
        .arg(format!("docker://{reference}"))
        .output()
        .unwrap_or_else(|error| panic!("cannot start skopeo: {error}\n{}", super::HINT));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "skopeo could not publish {reference}: {stderr}");
    reference
}

/// Adds one platform's image and returns its entry in the list.
fn image(blobs: &Blobs, base: &BaseImage<'_>) -> Value {
    let mut parts = base.platform.split('/');
    let mut fields = json!({ "os": parts.next(), "architecture": parts.next() });
    if let Some(variant) = parts.next() {
        fields["variant"] = variant.into();
    }

    let layer = blobs.add_bytes("application/vnd.oci.image.layer.v1.tar", &layer(base));
    let mut config = fields.clone();
    config["config"] = json!({ "Env": ["PATH=/bin"], "Cmd": ["sh"] });
    if !base.on_build.is_empty() {
        config["config"]["OnBuild"] = json!(base.on_build);
    }
    // An uncompressed layer's digest is its diff id too.
    config["rootfs"] = json!({ "type": "layers", "diff_ids": [layer["digest"]] });
    let config = blobs.add_bytes("application/vnd.oci.image.config.v1+json", config.to_string().as_bytes());
    let mut entry = blobs.add(&json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": config,
        "layers": [layer],
    }));
    entry["platform"] = fields;
    entry
}

/// The platform's busybox and links to it, as a tar archive.
fn layer(base: &BaseImage<'_>) -> Vec<u8> {
    let busybox = busybox_program(base.platform);
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_mode(0o755);
    header.set_size(busybox.len() as u64);
    archive.append_data(&mut header, "bin/busybox", busybox.as_slice()).expect("a file in memory");
    for name in ["sh", "cat", "ls", "uname"] {
        let mut header = tar::Header::new_ustar();
        header.set_mode(0o777);
        header.set_size(0);
        header.set_entry_type(tar::EntryType::Symlink);
        archive.append_link(&mut header, format!("bin/{name}"), "busybox").expect("a link in memory");
    }
    if let Some(version) = base.version {
        let mut header = tar::Header::new_ustar();
        header.set_mode(0o644);
        header.set_size(version.len() as u64);
        archive.append_data(&mut header, "version", version.as_bytes()).expect("a file in memory");
    }
    archive.into_inner().expect("an archive in memory")
}

/// The platform's statically linked busybox.
///
/// # Panics
///
/// When it is missing.
pub fn busybox_program(platform: &str) -> Vec<u8> {
    let program = bases().join(platform.replace('/', "-")).join("busybox");
    fs::read(&program)
        .unwrap_or_else(|error| panic!("cannot read {}: {error}\n{}", program.display(), super::HINT))
}

/// Where `cargo xtask ci` keeps the programs; without its variable, where it last did.
fn bases() -> PathBuf {
    let kept = || Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("ci").join("busybox");
    std::env::var_os("MANIFESTS_TEST_BASES").map_or_else(kept, PathBuf::from)
}

/// The blobs of an OCI image layout, each under its digest.
struct Blobs(PathBuf);

impl Blobs {
    fn create(layout: &Path) -> Self {
        let folder = layout.join("blobs/sha256");
        fs::create_dir_all(&folder).expect("the folder of the blobs is created");
        Self(folder)
    }

    /// Adds a manifest or list and returns its descriptor.
    fn add(&self, document: &Value) -> Value {
        let media_type = document["mediaType"].as_str().expect("a document that names its media type");
        self.add_bytes(media_type, document.to_string().as_bytes())
    }

    /// Adds any blob and returns its descriptor.
    fn add_bytes(&self, media_type: &str, bytes: &[u8]) -> Value {
        let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        fs::write(self.0.join(&hex), bytes).expect("a blob is written");
        json!({ "mediaType": media_type, "digest": format!("sha256:{hex}"), "size": bytes.len() })
    }
}
