//! Archives as the engines write them.

use super::*;
use crate::model::manifest::{Manifest, parse};
use crate::model::media;

struct Tar(tar::Builder<Vec<u8>>);

impl Tar {
    fn new() -> Self {
        Self(tar::Builder::new(Vec::new()))
    }

    fn file(mut self, name: &str, content: impl AsRef<[u8]>) -> Self {
        let content = content.as_ref();
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        self.0.append_data(&mut header, name, content).unwrap();
        self
    }

    fn blob(self, content: &str) -> Self {
        self.file(&format!("blobs/sha256/{}", Digest::of(content.as_bytes()).hex()), content)
    }

    fn link(mut self, name: &str, target: &str) -> Self {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        self.0.append_link(&mut header, name, target).unwrap();
        self
    }

    fn read(self) -> (Result<Exported>, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("image.tar");
        std::fs::write(&file, self.0.into_inner().unwrap()).unwrap();
        (read(&file, &"linux/arm64".parse().unwrap(), folder.path()), folder)
    }
}

fn descriptor(media_type: &str, content: &str, more: &str) -> String {
    let digest = Digest::of(content.as_bytes());
    format!(r#"{{"mediaType":"{media_type}","digest":"{digest}","size":{}{more}}}"#, content.len())
}

fn config(layers: &[&str]) -> String {
    let diff_ids: Vec<_> = layers.iter().map(|layer| Digest::of(layer.as_bytes())).collect();
    serde_json::json!({ "rootfs": { "type": "layers", "diff_ids": diff_ids } }).to_string()
}

const GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const BARE: &str = "application/vnd.oci.image.layer.v1.tar";
const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";

fn oci(layer: &str, layer_type: &str) -> String {
    let config = descriptor(OCI_CONFIG, &config(&[layer]), "");
    format!(r#"{{"schemaVersion":2,"config":{config},"layers":[{}]}}"#, descriptor(layer_type, layer, ""))
}

fn index(entries: &[String]) -> String {
    format!(r#"{{"schemaVersion":2,"mediaType":"{}","manifests":[{}]}}"#, media::OCI_INDEX, entries.join(","))
}

#[test]
fn an_archive_of_the_engines_own_store_becomes_a_docker_manifest() {
    let build = || {
        Tar::new()
            .file("c.json", config(&["a tar", "a tar", "another"]))
            .file("a/layer.tar", "a tar")
            .link("b/layer.tar", "../a/layer.tar")
            .file("d/layer.tar", "another")
            .file("manifest.json", r#"[{"Config":"c.json","RepoTags":null,"Layers":["a/layer.tar","b/layer.tar","d/layer.tar"]}]"#)
    };
    let (exported, _folder) = build().read();
    let exported = exported.unwrap();
    let [manifest] = &exported.manifests[..] else { panic!() };
    let Ok(Manifest::Image(image)) = parse(&manifest.bytes, &manifest.media_type) else { panic!() };
    assert_eq!(image.config.digest, Digest::of(config(&["a tar", "a tar", "another"]).as_bytes()));
    assert_eq!(image.layers.len(), 3);
    assert_eq!(image.layers[0].digest, image.layers[1].digest);
    assert_eq!(exported.blobs.len(), 3, "each once");
    for blob in &exported.blobs {
        let bytes = std::fs::read(&blob.path).unwrap();
        assert!(blob.digest.matches(&bytes) && blob.size == bytes.len() as u64);
    }
    let (again, _folder) = build().read();
    assert_eq!(again.unwrap().manifests, exported.manifests, "always the same bytes");
}

#[test]
fn a_newer_engines_own_store_is_no_different() {
    let layer = "a tar";
    let manifest = oci(layer, BARE);
    let config = config(&[layer]);
    let hex = |content: &str| Digest::of(content.as_bytes()).hex().to_owned();
    let saved =
        format!(r#"[{{"Config":"blobs/sha256/{}","Layers":["blobs/sha256/{}"]}}]"#, hex(&config), hex(layer));
    let (exported, _folder) = Tar::new()
        .file("oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#)
        .blob(layer)
        .blob(&config)
        .blob(&manifest)
        .file("index.json", index(&[descriptor(media::OCI_IMAGE, &manifest, "")]))
        .file("manifest.json", saved)
        .read();
    let exported = exported.unwrap();
    assert_eq!(exported.manifests[0].media_type, media::DOCKER_IMAGE);
    assert_eq!(exported.blobs.len(), 2);
}

#[test]
fn containerds_store_goes_out_byte_for_byte_children_first() {
    let (layer, statement) = ("gzip of a tar", "{}");
    let manifest = oci(layer, GZIP);
    let attestation = oci(statement, "application/vnd.in-toto+json");
    let list = index(&[
        descriptor(
            media::OCI_IMAGE,
            &manifest,
            r#","platform":{"os":"linux","architecture":"arm64","variant":"v8"}"#,
        ),
        descriptor(
            media::OCI_IMAGE,
            &attestation,
            r#","platform":{"os":"unknown","architecture":"unknown"}"#,
        ),
    ]);
    let layout = || {
        Tar::new()
            .file("oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#)
            .file("index.json", index(&[descriptor(media::OCI_INDEX, &list, "")]))
            .blob(layer)
            .blob(&config(&[layer]))
            .blob(&manifest)
            .blob(&list)
    };
    let (exported, _folder) = layout().blob(statement).blob(&config(&[statement])).blob(&attestation).read();
    let exported = exported.unwrap();
    let bytes = |exported: &Exported| {
        exported.manifests.iter().map(|m| String::from_utf8(m.bytes.clone()).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(bytes(&exported), [manifest.clone(), attestation, list.clone()]);
    assert_eq!(exported.manifests[2].media_type, media::OCI_INDEX);
    assert_eq!(exported.blobs.len(), 4);

    // Of a pulled list the engine holds one platform: that one goes out.
    let (exported, _folder) = layout().read();
    assert_eq!(bytes(&exported.unwrap()), [manifest]);
}

#[test]
fn an_archive_that_is_not_whole_or_not_true_is_refused() {
    let saved = r#"[{"Config":"c.json","Layers":["a/layer.tar"]}]"#;
    for (tar, reason) in [
        (Tar::new().file("c.json", "{}"), "no manifest.json"),
        (Tar::new().file("manifest.json", "[]"), "holds 0 images"),
        (Tar::new().file("manifest.json", saved), "no c.json"),
        (
            Tar::new().file("manifest.json", saved).file("c.json", config(&[])),
            "has 1 layers, the image's configuration 0",
        ),
        (Tar::new().file("manifest.json", saved).file("c.json", config(&["x"])), "no a/layer.tar"),
        (
            Tar::new().file("manifest.json", saved).file("c.json", config(&["x"])).file("a/layer.tar", "y"),
            "the configuration says sha256:",
        ),
        (
            Tar::new()
                .file("manifest.json", saved)
                .file("c.json", config(&["x"]))
                .link("a/layer.tar", "layer.tar"),
            "no a/layer.tar",
        ),
    ] {
        let error = format!("{:#}", tar.read().0.unwrap_err());
        assert!(error.contains(reason), "{reason}: {error}");
    }
}
