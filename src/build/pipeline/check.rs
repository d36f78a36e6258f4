//! Declared checks of images that this run does not build: the engine fetches them, runs and looks at them, and forgets
//! them.

use anyhow::Result;

use super::{Pipeline, Pushes, lines};
use crate::config::Target;
use crate::error::Failure;
use crate::events::Task;
use crate::lock::{Checks, Outstanding};
use crate::model::reference::Reference;

/// An image that is in a registry, and that the declaration asks to check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unchecked<'a> {
    /// Its target.
    pub target: &'a Target,
    /// Which of the target's images.
    pub index: usize,
    /// Where it is, by its digest.
    pub at: Reference,
    /// What is to be checked.
    pub outstanding: Vec<Outstanding>,
}

impl<'a> Unchecked<'a> {
    fn place(&self) -> (&'a Target, usize) {
        (self.target, self.index)
    }
}

impl Pipeline<'_> {
    /// Checks images that are in a registry, as far as that is outstanding. Gives what was passed, one for each.
    ///
    /// # Errors
    ///
    /// After all have ended, one error that names every platform that failed and why.
    pub(crate) async fn check(&self, unchecked: &[Unchecked<'_>]) -> Result<Vec<Checks>> {
        let smoked = unchecked.iter().filter(|one| one.outstanding.iter().any(Outstanding::is_smoke));
        self.check_emulators(&smoked.map(Unchecked::place).collect::<Vec<_>>())?;
        let work: Vec<_> = unchecked.iter().map(Unchecked::place).collect();
        self.each(&work, &Pushes::default(), async |position: usize, task: &Task| {
            let checked = self.check_one(&unchecked[position], task).await?;
            task.done("checked");
            Ok(checked)
        })
        .await
    }

    /// Has the engine fetch an image, unless it holds it, and does what is outstanding.
    async fn check_one(&self, unchecked: &Unchecked<'_>, task: &Task) -> Result<Checks> {
        let Unchecked { target, index, at, outstanding } = unchecked;
        let image = &target.images[*index];
        let found = self.engine.inspect(&at.to_string()).await?;
        let fetched = found.is_none();
        let image_id = match found {
            Some(found) => found.id.to_string(),
            None if at.repository.is_loopback() && !self.engine_reaches_loopback => {
                let tried = format!("could not check {at}: the engine does not reach {}", at.repository.host);
                let hint = "`release --rebuild` builds it again, and checks it then";
                return Err(Failure::new(tried).hint(hint).into());
            }
            None => {
                task.stage("pulling");
                self.engine.pull(at, lines(task, "pulling")).await?
            }
        };
        let checked = async {
            let smoke = outstanding.iter().any(Outstanding::is_smoke);
            let programs = outstanding.iter().any(|outstanding| !outstanding.is_smoke());
            let programs = match programs {
                true => self.check_programs(target, image, &image_id, task).await?,
                false => None,
            };
            let smoke = if smoke { self.smoke(image, &image_id, task).await? } else { None };
            anyhow::Ok(programs.into_iter().chain(smoke).collect())
        };
        let checked = checked.await;
        if fetched {
            self.engine.forget(at).await;
        }
        checked
    }
}
