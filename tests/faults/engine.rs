//! A few faults under a whole release by the real binary: the engine's own pushes meet them, too. Only a few, as an
//! engine takes most of a minute to give up on a registry that answers 500.

use std::sync::Arc;

use crate::fault::{Fault, Times};
use crate::request::{Asked, Class};
use crate::scenarios::scenario;
use crate::support::{ImageGuard, Workspace};
use crate::world::{Template, World};

struct Release {
    world: World,
    workspace: Arc<Workspace>,
    _image: ImageGuard,
}

impl Release {
    async fn new(name: &str) -> Self {
        let text = format!(
            "[target.app]\nrepository = \"{{0}}/{name}/app\"\ntags = [\"1.0\"]\n\
             image = \"{{0}}/{name}/image:1.0\"\nplatforms = [\"linux/amd64\"]\n"
        );
        let scenario = scenario(&text);
        let template = Template::fill(&scenario).await;
        let world = World::start(&scenario, &template, Some(Fault::Closed)).await;
        let text = format!("{text}build.context = \".\"\n").replace("{0}", &world.hosts()[0]);
        let dockerfile = format!("FROM scratch\nCOPY Dockerfile /{name}\n");
        let workspace = Workspace::new(&[("manifests.toml", &text), ("Dockerfile", &dockerfile)]);
        let image = ImageGuard::new(format!("{}/{name}/image:1.0", world.hosts()[0]));
        Self { world, workspace: Arc::new(workspace), _image: image }
    }

    /// Runs it, with a fault at one request, and gives the exit code and what was said.
    async fn run(&self, plan: Option<(Class, String, Fault, Times)>) -> (Option<i32>, String) {
        let met = plan.is_some();
        self.world.injector.arm(plan.map(|(class, target, fault, times)| {
            (Asked { registry: 0, class, target, before: 0 }, fault, times)
        }));
        let workspace = self.workspace.clone();
        let run = move || workspace.manifests(&["release"]).output().unwrap();
        let output = tokio::task::spawn_blocking(run).await.unwrap();
        let (_, hits) = self.world.injector.disarm();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(met, hits > 0, "{stderr}");
        assert_eq!(self.world.wrongs().await, Vec::<String>::new(), "{stderr}");
        (output.status.code(), stderr)
    }

    async fn is_published(&self) -> bool {
        self.world.served().await.values().all(Option::is_some)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_that_meets_a_passing_fault_is_finished() {
    let release = Release::new("passing").await;
    let begin =
        (Class::BeginUpload, "/v2/passing/image/blobs/uploads/".to_owned(), Fault::Status503, Times::Once);
    let (code, stderr) = release.run(Some(begin)).await;
    assert_eq!((code, release.is_published().await), (Some(0), true), "{stderr}");
    let (code, stderr) = release.run(None).await;
    assert_eq!(code, Some(0), "{stderr}");
    assert!(!release.world.would_change().await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_that_is_refused_publishes_nothing_and_the_next_run_does() {
    let release = Release::new("refused").await;
    let put = (Class::PutTag, "/v2/refused/image/manifests/1.0".to_owned(), Fault::Status401, Times::Always);
    let (code, stderr) = release.run(Some(put)).await;
    assert_eq!((code, release.is_published().await), (Some(1), false), "{stderr}");
    assert!(stderr.contains("linux/amd64") && stderr.contains("nothing was published"), "{stderr}");
    let (code, stderr) = release.run(None).await;
    assert_eq!((code, release.is_published().await), (Some(0), true), "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_whose_answer_was_lost_is_published() {
    let release = Release::new("lost").await;
    let tag = (Class::PutTag, "/v2/lost/app/manifests/1.0".to_owned(), Fault::Reset, Times::Always);
    let (code, stderr) = release.run(Some(tag)).await;
    assert_eq!((code, release.is_published().await), (Some(0), true), "{stderr}");
}
