//! Takes an image out of an engine that cannot reach the registry, as parts that can be pushed from here.
//!
//! `docker save` writes an archive whose `manifest.json` names the configuration and the layers (moby, `image/spec`).
//! Layers stream to disk; none is held in memory.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek as _, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use flate2::{Compression, GzBuilder};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::{Engine, children};
use crate::digest::{Digest, hex};
use crate::manifest::Descriptor;
use crate::media;

/// An image as files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exported {
    /// Configuration and layers.
    pub blobs: Vec<ExportedBlob>,
    /// The manifest's bytes.
    pub manifest: Vec<u8>,
    /// The manifest's media type.
    pub media_type: String,
}

/// A blob as a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportedBlob {
    /// Its digest.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// Where it is.
    pub path: PathBuf,
}

impl Engine {
    /// Writes the parts of `image_id` into `folder`.
    ///
    /// # Errors
    ///
    /// The engine does not give the image, or the archive is not of the known shape.
    pub async fn export(&self, image_id: &str, folder: &Path) -> Result<Exported> {
        let into = folder.to_owned();
        let arguments = vec!["image".into(), "save".into(), image_id.into()];
        children::pipe(&self.program, arguments, move |archive| read_archive(archive, &into))
            .await
            .with_context(|| format!("could not export {image_id} from {}", self.describe()))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    layers: Vec<String>,
}

fn read_archive(archive: &mut dyn Read, folder: &Path) -> Result<Exported> {
    let mut archive = tar::Archive::new(archive);
    let mut files: BTreeMap<String, PathBuf> = BTreeMap::new();
    let mut links: BTreeMap<String, String> = BTreeMap::new();
    for entry in archive.entries()? {
        let mut entry = entry?;
        let name = entry.path()?.to_string_lossy().into_owned();
        match entry.header().entry_type() {
            tar::EntryType::Regular => {
                // A number for a name: what the archive says is no path to be trusted.
                let path = folder.join(format!("part-{}", files.len()));
                std::io::copy(&mut entry, &mut File::create(&path)?)?;
                files.insert(name, path);
            }
            // The same layer twice is a link to its first.
            tar::EntryType::Symlink | tar::EntryType::Link => {
                let target = entry.link_name()?.context("a link without a target")?;
                links.insert(name, target.to_string_lossy().trim_start_matches("../").to_owned());
            }
            _ => {}
        }
    }
    let file = |name: &String| -> Result<&PathBuf> {
        let name = links.get(name).unwrap_or(name);
        files.get(name).with_context(|| format!("the archive has no {name}"))
    };
    let saved: Vec<Saved> = serde_json::from_slice(&std::fs::read(file(&"manifest.json".to_owned())?)?)
        .context("manifest.json of the archive")?;
    let [saved] = &saved[..] else { bail!("the archive holds {} images, not one", saved.len()) };

    let layers = saved.layers.iter().map(|layer| compressed(file(layer)?)).collect::<Result<Vec<_>>>()?;
    let zstd = layers.iter().any(|(_, kind)| *kind == Kind::Zstd);
    let config_path = file(&saved.config)?;
    let config = blob(config_path)?;
    Ok(assemble(config, layers, zstd))
}

fn assemble(config: ExportedBlob, layers: Vec<(ExportedBlob, Kind)>, zstd: bool) -> Exported {
    // Docker's types have no name for a layer compressed with zstd.
    let (media_type, config_type) = match zstd {
        true => (media::OCI_IMAGE, "application/vnd.oci.image.config.v1+json"),
        false => (media::DOCKER_IMAGE, "application/vnd.docker.container.image.v1+json"),
    };
    let layer_type = |kind: Kind| match (zstd, kind) {
        (_, Kind::Zstd) => "application/vnd.oci.image.layer.v1.tar+zstd",
        (true, Kind::Gzip) => "application/vnd.oci.image.layer.v1.tar+gzip",
        (false, Kind::Gzip) => "application/vnd.docker.image.rootfs.diff.tar.gzip",
    };
    let descriptor = |media_type: &str, blob: &ExportedBlob| Descriptor::new(media_type, blob.digest.clone(), blob.size);
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": descriptor(config_type, &config),
        "layers": layers.iter().map(|(blob, kind)| descriptor(layer_type(*kind), blob)).collect::<Vec<_>>(),
    });
    let mut blobs: Vec<ExportedBlob> = Vec::new();
    for blob in layers.into_iter().map(|(blob, _)| blob).chain([config]) {
        if !blobs.iter().any(|known| known.digest == blob.digest) {
            blobs.push(blob);
        }
    }
    Exported { blobs, manifest: format!("{manifest:#}").into_bytes(), media_type: media_type.to_owned() }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Gzip,
    Zstd,
}

/// The layer at `path`, compressed if it is not: always to the same bytes.
fn compressed(path: &Path) -> Result<(ExportedBlob, Kind)> {
    let mut file = File::open(path)?;
    let mut magic = [0; 4];
    let read = file.read(&mut magic)?;
    match &magic[..read] {
        [0x1f, 0x8b, ..] => return Ok((blob(path)?, Kind::Gzip)),
        [0x28, 0xb5, 0x2f, 0xfd] => return Ok((blob(path)?, Kind::Zstd)),
        _ => {}
    }
    file.seek(SeekFrom::Start(0))?;
    let packed = path.with_extension("gz");
    let mut encoder = GzBuilder::new().mtime(0).write(File::create(&packed)?, Compression::default());
    std::io::copy(&mut file, &mut encoder)?;
    encoder.finish()?.flush()?;
    Ok((blob(&packed)?, Kind::Gzip))
}

fn blob(path: &Path) -> Result<ExportedBlob> {
    let mut hasher = Sha256::new();
    let mut file = File::open(path)?;
    let mut buffer = vec![0; 64 * 1024];
    let mut size = 0;
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        hasher.update(&buffer[..read]);
        size += read as u64;
    }
    Ok(ExportedBlob { digest: format!("sha256:{}", hex(&hasher.finalize())).parse()?, size, path: path.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{Manifest, parse};

    fn archive(files: &[(&str, &[u8])], link: Option<(&str, &str)>) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, content) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            builder.append_data(&mut header, name, *content).unwrap();
        }
        if let Some((name, target)) = link {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_size(0);
            builder.append_link(&mut header, name, target).unwrap();
        }
        builder.into_inner().unwrap()
    }

    #[test]
    fn an_archive_becomes_a_manifest_and_its_blobs() {
        let folder = tempfile::tempdir().unwrap();
        let manifest = br#"[{"Config":"c.json","RepoTags":null,"Layers":["a/layer.tar","b/layer.tar"]}]"#;
        let bytes = archive(
            &[("c.json", b"{}"), ("a/layer.tar", b"a tar"), ("manifest.json", manifest)],
            Some(("b/layer.tar", "../a/layer.tar")),
        );
        let exported = read_archive(&mut &bytes[..], folder.path()).unwrap();
        let Ok(Manifest::Image(image)) = parse(&exported.manifest, &exported.media_type) else { panic!() };
        assert_eq!(image.config.digest, Digest::of(b"{}"));
        assert_eq!(image.layers.len(), 2);
        assert_eq!(image.layers[0].digest, image.layers[1].digest);
        assert_eq!(exported.blobs.len(), 2, "each once");
        for blob in &exported.blobs {
            assert!(blob.digest.matches(&std::fs::read(&blob.path).unwrap()));
        }
        let again = tempfile::tempdir().unwrap();
        assert_eq!(read_archive(&mut &bytes[..], again.path()).unwrap().manifest, exported.manifest, "same bytes");
    }

    #[test]
    fn an_archive_of_another_shape_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let without = archive(&[("c.json", b"{}")], None);
        assert!(read_archive(&mut &without[..], folder.path()).is_err());
        let missing = archive(&[("manifest.json", br#"[{"Config":"c.json","Layers":[]}]"#)], None);
        assert!(format!("{:#}", read_archive(&mut &missing[..], folder.path()).unwrap_err()).contains("c.json"));
    }
}
