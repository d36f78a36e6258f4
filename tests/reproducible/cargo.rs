//! Programs built before their images: the same bytes in every clone.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use manifests::build::cargo::{Job, build, staged};
use manifests::config::{CargoBuild, CargoTool, Libc};
use manifests::error::render;
use manifests::model::platform::Platform;

/// A workspace whose program says where its source lies, and panics, for which rustc notes that place too.
fn workspace(root: &Path) {
    for (path, text) in [
        ("Cargo.toml", "[workspace]\nmembers = [\"app\"]\nresolver = \"3\"\n"),
        ("app/Cargo.toml", "[package]\nname = \"app\"\nversion = \"0.1.0\"\nedition = \"2024\"\n"),
        (
            "app/src/main.rs",
            "fn main() {\n    println!(\"{}\", file!());\n    std::env::args().nth(1).expect(\"an argument\");\n}\n",
        ),
    ] {
        fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
        fs::write(root.join(path), text).unwrap();
    }
}

fn cargo(bin: &str, libc: Libc, with: CargoTool) -> CargoBuild {
    let (package, profile) = ("app".to_owned(), "release".to_owned());
    CargoBuild { package, bin: bin.to_owned(), profile, features: Vec::new(), libc, with }
}

fn host() -> Platform {
    Platform::new("linux", std::env::consts::ARCH)
}

async fn built(root: &Path, cargo: &CargoBuild, platform: &Platform) -> anyhow::Result<Vec<u8>> {
    let context = root.join("target/context");
    build(Job { root, cargo, platform, context: &context }, Arc::new(|_| {})).await?;
    Ok(fs::read(context.join(staged(cargo, platform)))?)
}

#[tokio::test]
async fn two_clones_build_the_same_bytes() {
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let second = second.path().join("a longer name/of a folder");
    workspace(first.path());
    workspace(&second);
    let cargo = cargo("app", Libc::Gnu, CargoTool::Cargo);
    let one = built(first.path(), &cargo, &host()).await.unwrap();
    let other = built(&second, &cargo, &host()).await.unwrap();
    assert!(one.starts_with(b"\x7fELF"));
    assert!(one == other, "the programs of two clones differ");
    let place = first.path().to_str().unwrap().as_bytes();
    assert!(
        !one.windows(place.len()).any(|bytes| bytes == place),
        "the program names the folder of its source"
    );

    // It runs, and another build leaves it as it is.
    let staged = first.path().join("target/context").join(staged(&cargo, &host()));
    let output = std::process::Command::new(&staged).arg("x").output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).ends_with("src/main.rs\n"));
    let before = fs::metadata(&staged).unwrap().modified().unwrap();
    built(first.path(), &cargo, &host()).await.unwrap();
    assert_eq!(fs::metadata(&staged).unwrap().modified().unwrap(), before);
}

#[tokio::test]
async fn what_stands_in_the_way_is_said_with_the_way_out() {
    let folder = tempfile::tempdir().unwrap();
    workspace(folder.path());
    let failed = async |cargo: CargoBuild, platform: &str| {
        render(&built(folder.path(), &cargo, &platform.parse().unwrap()).await.unwrap_err())
    };
    // Nobody has this one.
    let text = failed(cargo("app", Libc::Musl, CargoTool::Cargo), "linux/loong64").await;
    assert!(text.contains("could not build the program `app` for linux/loong64: the Rust target"), "{text}");
    assert!(text.contains("hint: rustup target add loongarch64-unknown-linux-musl"), "{text}");
    let text = failed(cargo("app", Libc::Musl, CargoTool::Cargo), "plan9/amd64").await;
    assert!(text.contains("no Rust target is known"), "{text}");
    let host = host().to_string();
    let text = failed(cargo("other", Libc::Gnu, CargoTool::Cargo), &host).await;
    assert!(text.contains("no bin target named `other`"), "{text}");
    fs::write(folder.path().join("app/src/main.rs"), "fn main() { wrong }").unwrap();
    let text = failed(cargo("app", Libc::Gnu, CargoTool::Cargo), &host).await;
    assert!(text.contains("cannot find value `wrong`"), "{text}");
}

#[test]
fn programs_are_staged_as_dockerfiles_name_platforms() {
    let cargo = cargo("app", Libc::Musl, CargoTool::Cargo);
    for (platform, place) in [
        ("linux/amd64", "linux-amd64/app"),
        ("linux/arm64/v8", "linux-arm64/app"),
        ("linux/arm", "linux-arm-v7/app"),
        ("linux/arm/v6", "linux-arm-v6/app"),
    ] {
        assert_eq!(staged(&cargo, &platform.parse().unwrap()), Path::new(place));
    }
}
