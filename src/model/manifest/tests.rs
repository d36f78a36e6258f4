use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::model::go_json::tests::any_json;

fn entry(content: &str, os: &str, arch: &str) -> Descriptor {
    let mut entry = Descriptor::new(media::OCI_IMAGE, Digest::of(content.as_bytes()), content.len() as u64);
    entry.platform = Some((&Platform::new(os, arch)).into());
    entry
}

#[test]
fn a_list_is_read_as_it_was_written() {
    let mut list = List::new(ListKind::Oci);
    list.entries = vec![entry("a", "linux", "amd64"), entry("b", "linux", "arm64")];
    list.annotations.insert("k".to_owned(), "v".to_owned());
    list.other.insert("artifactType".to_owned(), "x/y".into());
    list.entries[0].other.insert("data".to_owned(), "YQ==".into());
    let bytes = list.to_bytes();
    assert_eq!(parse(&bytes, "text/plain"), Ok(Manifest::List(list.clone())));
    assert_eq!(bytes, list.to_bytes());
}

#[test]
fn the_type_comes_from_the_bytes_then_the_header_then_the_shape() {
    let docker = format!(r#"{{"schemaVersion":2,"mediaType":"{}","manifests":[]}}"#, media::DOCKER_LIST);
    let bare = r#"{"schemaVersion":2,"manifests":[]}"#;
    let kind = |bytes: &str, content_type| match parse(bytes.as_bytes(), content_type) {
        Ok(Manifest::List(list)) => list.kind,
        other => panic!("{other:?}"),
    };
    assert_eq!(kind(&docker, media::OCI_INDEX), ListKind::Docker);
    assert_eq!(
        kind(bare, "application/vnd.docker.distribution.manifest.list.v2+json; x=y"),
        ListKind::Docker
    );
    assert_eq!(kind(bare, "application/json"), ListKind::Oci);
    assert_eq!(
        parse(br#"{"schemaVersion":1,"fsLayers":[]}"#, "application/json"),
        Err(ManifestError::Schema1)
    );
    assert!(matches!(parse(b"{}", "text/html"), Err(ManifestError::Unknown(_))));
    assert!(matches!(parse(b"<html>", "text/html"), Err(ManifestError::Malformed { .. })));
}

#[test]
fn an_entry_is_an_image_an_attestation_or_neither() {
    let image = entry("a", "linux", "amd64");
    assert_eq!(image.role(), Role::Image(Platform::new("linux", "amd64")));
    let mut attestation = entry("b", "unknown", "unknown");
    assert_eq!(attestation.role(), Role::Other);
    attestation.annotations.insert(REFERENCE_TYPE.to_owned(), "attestation-manifest".to_owned());
    attestation.annotations.insert(REFERENCE_DIGEST.to_owned(), image.digest.to_string());
    assert_eq!(attestation.role(), Role::Attestation(image.digest.clone()));
    let mut list = List::new(ListKind::Oci);
    list.entries = vec![image.clone(), attestation.clone()];
    assert_eq!(list.attestations_of(&image.digest), vec![attestation]);
}

#[test]
fn blobs_are_named_once_and_foreign_layers_not_at_all() {
    let layer = Descriptor::new("x", Digest::of(b"layer"), 5);
    let foreign =
        Descriptor { urls: vec!["https://x".to_owned()], ..Descriptor::new("x", Digest::of(b"f"), 1) };
    let image = ImageManifest {
        media_type: media::OCI_IMAGE.to_owned(),
        artifact_type: None,
        config: Descriptor::new("c", Digest::of(b"config"), 6),
        layers: vec![layer.clone(), foreign, layer.clone()],
    };
    let digests: Vec<_> = image.blobs().iter().map(|blob| blob.digest.clone()).collect();
    assert_eq!(digests, vec![Digest::of(b"config"), layer.digest]);
}

#[test]
fn a_configuration_gives_platform_and_labels() {
    let config = ImageConfig::parse(
        br#"{"architecture":"amd64","os":"windows","os.version":"10.0.17763.1","config":{"Labels":{"a":"b"}}}"#,
    )
    .unwrap();
    assert_eq!(config.platform.to_string(), "windows(10.0.17763.1)/amd64");
    assert_eq!(config.labels["a"], "b");
    assert!(ImageConfig::parse(br#"{"architecture":"amd64","os":"linux","config":{"Labels":null}}"#).is_ok());
}

fn read(value: &Value) -> Result<Manifest, ManifestError> {
    parse(&serde_json::to_vec(value).unwrap(), "")
}

/// An index of two images, with every member that is known.
fn index() -> Value {
    let entry = |arch: &str| {
        json!({ "mediaType": media::OCI_IMAGE, "digest": Digest::of(arch.as_bytes()), "size": 5,
            "urls": ["https://a"], "annotations": { "k": "v" },
            "platform": { "os": "linux", "architecture": arch, "variant": "v1", "os.version": "1",
                "os.features": ["f"] } })
    };
    json!({ "schemaVersion": 2, "mediaType": media::OCI_INDEX, "annotations": { "k": "v" },
        "manifests": [entry("amd64"), entry("arm64")] })
}

#[test]
fn null_members_are_absent() {
    let places = ["", "/manifests/0", "/manifests/0/annotations", "/manifests/0/platform", "/annotations"];
    for place in places {
        let members: Vec<String> =
            index().pointer(place).unwrap().as_object().unwrap().keys().cloned().collect();
        for member in members.into_iter().chain(["unknown".to_owned()]) {
            let object =
                |value: &mut Value| value.pointer_mut(place).unwrap().as_object_mut().unwrap().clone();
            let (mut null, mut absent) = (index(), index());
            let mut changed = object(&mut null);
            changed.insert(member.clone(), Value::Null);
            *null.pointer_mut(place).unwrap() = changed.clone().into();
            changed.remove(&member);
            *absent.pointer_mut(place).unwrap() = changed.into();
            assert_eq!(read(&null), read(&absent), "{place}/{member}");
            let required = ["digest", "size"].contains(&member.as_str());
            assert_eq!(read(&null).is_err(), required, "{place}/{member}");
        }
    }
    let image = |layers: Value| {
        json!({ "mediaType": media::OCI_IMAGE, "layers": layers, "subject": null,
        "config": { "mediaType": media::OCI_CONFIG, "digest": Digest::of(b"c"), "size": 1, "urls": null,
            "annotations": null, "platform": null }, "annotations": null, "artifactType": null })
    };
    let Ok(Manifest::Image(read)) = read(&image(Value::Null)) else { panic!() };
    assert_eq!((read.layers.len(), read.artifact()), (0, None));
    let config = json!({ "architecture": "amd64", "os": "linux", "variant": null, "os.features": null, "config": null,
        "rootfs": null, "history": null });
    let config = ImageConfig::parse(&serde_json::to_vec(&config).unwrap()).unwrap();
    assert_eq!(config.platform.to_string(), "linux/amd64");
}

#[test]
fn keys_in_another_case_and_digests_of_other_algorithms_are_read() {
    let text = index().to_string();
    let other = text
        .replace("\"manifests\"", "\"Manifests\"")
        .replace("\"mediaType\"", "\"MEDIATYPE\"")
        .replace("\"platform\"", "\"Platform\"")
        .replace("\"os.version\"", "\"OS.Version\"")
        .replace("\"size\":5", "\"size\":5.0");
    assert_eq!(parse(other.as_bytes(), ""), parse(text.as_bytes(), ""));
    let config =
        ImageConfig::parse(br#"{"OS":"linux","Architecture":"arm","Config":{"labels":{"A":"b"}}}"#).unwrap();
    assert_eq!((config.platform.to_string().as_str(), config.labels["A"].as_str()), ("linux/arm", "b"));
    let mut blake = index();
    blake["manifests"][1]["digest"] = "blake3:af1349b9".into();
    let Ok(Manifest::List(list)) = read(&blake) else { panic!() };
    assert_eq!(list.entries[1].digest.algorithm(), "blake3");
}

#[test]
fn what_reads_as_two_kinds_is_neither() {
    let with = |mut value: Value, member: &str| {
        value[member] = json!([]);
        value
    };
    let image = json!({ "mediaType": media::OCI_IMAGE, "layers": [],
        "config": { "mediaType": media::OCI_CONFIG, "digest": Digest::of(b"c"), "size": 1 } });
    let untyped = |mut value: Value| {
        value.as_object_mut().unwrap().remove("mediaType");
        value
    };
    for value in [
        with(index(), "layers"),
        with(index(), "config"),
        with(index(), "fsLayers"),
        with(image.clone(), "manifests"),
        with(untyped(image.clone()), "Manifests"),
        with(image.clone(), "fsLayers"),
    ] {
        assert!(matches!(read(&value), Err(ManifestError::Ambiguous(_))), "{value}");
    }
    let bytes = serde_json::to_vec(&image).unwrap();
    assert!(matches!(parse(&bytes, media::OCI_INDEX), Err(ManifestError::Ambiguous(_))));
    assert!(parse(&bytes, media::DOCKER_IMAGE).is_ok() && parse(&bytes, "text/plain").is_ok());
    for (artifact_type, config, expected) in [
        (None, media::OCI_CONFIG, None),
        (Some(""), media::DOCKER_CONFIG, None),
        (Some("a/b"), "application/vnd.oci.empty.v1+json", Some("a/b")),
        (None, "application/vnd.cncf.helm.config.v1+json", Some("application/vnd.cncf.helm.config.v1+json")),
    ] {
        let mut value = image.clone();
        (value["artifactType"], value["config"]["mediaType"]) = (json!(artifact_type), config.into());
        let Ok(Manifest::Image(read)) = read(&value) else { panic!() };
        assert_eq!(read.artifact(), expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Read, written and read again, a list says all that it said, whoever wrote it.
    #[test]
    fn every_member_is_kept(
        members in prop::collection::vec(("x[a-zA-Z.]{0,4}", any_json()), 3),
        docker in any::<bool>(),
    ) {
        let mut value = index();
        if docker { value["mediaType"] = media::DOCKER_LIST.into(); }
        for (place, (name, member)) in ["", "/manifests/1", "/manifests/0/platform"].iter().zip(members) {
            value.pointer_mut(place).unwrap()[&name] = member;
        }
        let Ok(Manifest::List(list)) = read(&value) else { panic!() };
        let bytes = list.to_bytes();
        prop_assert_eq!(parse(&bytes, ""), Ok(Manifest::List(list)));
        for place in ["", "/manifests/1", "/manifests/0/platform"] {
            let object = value.pointer_mut(place).unwrap().as_object_mut().unwrap();
            object.retain(|_, member| !member.is_null());
        }
        prop_assert_eq!(serde_json::from_slice::<Value>(&bytes).unwrap(), value);
    }
}
