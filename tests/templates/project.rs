//! A project that adopted the templates: its repository at the forge, and the registry that it publishes to.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use crate::forge::Forge;
use crate::support::{DebianRegistry, ImageGuard, Workspace, docker_ok};

/// Who may push, and the password: what a template's login is given.
pub(crate) const USER: &str = "octocat";
pub(crate) const PASSWORD: &str = "token-of-the-run";
/// The two, hashed with bcrypt's least cost.
const HTPASSWD: &str = "octocat:$2b$04$wI7MsfStuKlGkM8n/.GkRuTEcl382EjlSiUZ3kxGAvB.tews5F4W6\n";

/// The version that is released.
pub(crate) const TAG: &str = "v1.0";

pub(crate) struct Project {
    pub(crate) workspace: Workspace,
    pub(crate) registry: DebianRegistry,
    pub(crate) forge: Forge,
    images: RefCell<ImageGuard>,
}

impl Project {
    /// Two platforms, whose images are one file each. With `folder`, what `ci/` has is copied there.
    pub(crate) fn new(name: &str, folder: Option<&str>) -> Self {
        let registry = DebianRegistry::start_with_password(HTPASSWD);
        let host = registry.host();
        let declaration = format!(
            "[target.app]\nrepository = \"{host}/acme/{name}\"\ntags = [\"1.0\", \"latest\"]\n\
             platforms = [\"linux/amd64\", \"linux/arm64\"]\nbuild.context = \"image\"\n"
        );
        let mut files = vec![
            ("manifests.toml".to_owned(), declaration),
            ("image/Dockerfile".to_owned(), "FROM scratch\nCOPY Dockerfile /\n".to_owned()),
        ];
        for entry in folder.iter().flat_map(|_| std::fs::read_dir(here("ci")).unwrap()) {
            let file = entry.unwrap();
            let place = format!("{}/{}", folder.unwrap(), file.file_name().to_str().unwrap());
            files.push((place, std::fs::read_to_string(file.path()).unwrap()));
        }
        let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (&**path, &**text)).collect();
        let workspace = Workspace::new(&files);
        workspace.git(&["tag", TAG]);
        let forge = Forge::start(&workspace.path());
        let mut images = ImageGuard::default();
        for arch in ["amd64", "arm64"] {
            images.add(format!("{host}/acme/{name}:1.0-linux-{arch}"));
        }
        Self { workspace, registry, forge, images: RefCell::new(images) }
    }

    /// What a rehearsal in `checkout`, if there was one, left in the engine goes with the project.
    pub(crate) fn guard_rehearsal(&self, checkout: &Path) {
        let Ok(port) = std::fs::read_to_string(checkout.join("target/manifests/rehearsal/port")) else {
            return;
        };
        let all = docker_ok(&["image", "ls", "--format", "{{.Repository}}:{{.Tag}}"]);
        let start = format!("127.0.0.1:{}/", port.trim());
        all.lines()
            .filter(|image| image.starts_with(&start))
            .for_each(|image| self.images.borrow_mut().add(image));
    }

    /// Gives the branch or tag `name` at the forge a commit with other files.
    pub(crate) fn publish(&self, name: &str, files: &[(&str, &str)]) {
        let workspace = &self.workspace;
        workspace.git(&["checkout", "--quiet", "--detach", "main"]);
        files.iter().for_each(|(path, text)| workspace.write(path, text));
        workspace.git(&["add", "."]);
        workspace.git(&["commit", "--quiet", "--message=Change"]);
        let (forge, place) = (self.forge.repository(), if name == TAG { "tags" } else { "heads" });
        workspace.git(&[
            "push",
            "--quiet",
            "--force",
            forge.to_str().unwrap(),
            &format!("HEAD:refs/{place}/{name}"),
        ]);
    }
}

/// A file of this repository.
pub(crate) fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The values of a YAML file.
pub(crate) fn yaml(text: &str) -> serde_json::Value {
    serde_saphyr::from_str(text).unwrap()
}
