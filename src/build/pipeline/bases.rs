//! What an image is built on: looked at before its build and after it.

use anyhow::Result;
use futures_util::future::{join, join_all, try_join_all};

use super::Pipeline;
use crate::build::bases::Base;
use crate::build::bases::copies::{Course, Held, begins_with, course, doubtful};
use crate::build::bases::read::{Facts, facts};
use crate::config::{Build, Target};

/// What is known of the images that a build uses before it begins.
#[derive(Debug, Default)]
pub(super) struct Footing {
    bases: Vec<Base>,
    /// What may be said of the one whose layers lie below, where there is one.
    below: Vec<Facts>,
    course: Option<Course>,
    pulls: bool,
    /// Why what comes out cannot be recorded.
    unknown: Option<String>,
}

impl Footing {
    /// Whether the engine is to be told to pull, which is not declared.
    pub(super) fn pull(&self) -> bool {
        self.course == Some(Course::Pull)
    }
}

impl Pipeline<'_> {
    /// Looks at the images that a build is about to use, where it is known which they are.
    ///
    /// # Errors
    ///
    /// The engine cannot be asked.
    pub(super) async fn footing(&self, target: &Target, index: usize, build: &Build) -> Result<Footing> {
        let Some(bases) = self.survey.and_then(|survey| survey.uses(&target.name, index)) else {
            return Ok(Footing::default());
        };
        let (read, held) = join(self.read(&bases), self.held(&bases)).await;
        let held = held?;
        let (below, unknown) = match read {
            Ok(below) => (below, None),
            Err(why) => (Vec::new(), Some(why)),
        };
        if unknown.is_some() {
            return Ok(Footing { bases, unknown, ..Footing::default() });
        }
        let told = told_to_pull(build);
        let from_registry = join_all(held.iter().map(|(base, held)| self.is_from_registry(base, held))).await;
        let course = course(&held, told == Some(true), |base| told.is_none() && from_registry[base]);
        let unknown = match course {
            Course::Unknown(base) => Some(another(&bases[base])),
            Course::AsDeclared | Course::Pull => None,
        };
        let pulls = told == Some(true) || course == Course::Pull;
        Ok(Footing { bases, below, course: Some(course), pulls, unknown })
    }

    /// Why it is not known what an image that was just built is made of, if it is not.
    ///
    /// # Errors
    ///
    /// The engine cannot be asked.
    pub(super) async fn unknown(
        &self,
        footing: &Footing,
        target: &Target,
        index: usize,
        image_id: &str,
    ) -> Result<Option<String>> {
        let Some(survey) = self.survey else { return Ok(None) };
        if let Some(changed) = survey.changed_since(&target.name, index).await? {
            return Ok(Some(format!("{changed} while it was built")));
        }
        if footing.unknown.is_some() {
            return Ok(footing.unknown.clone());
        }
        let held = self.held(&footing.bases).await?;
        if let Some(base) = doubtful(&held, footing.pulls) {
            return Ok(Some(another(base)));
        }
        let Some(base) = footing.bases.iter().find(|base| base.is_below) else { return Ok(None) };
        let built = self.engine.inspect(image_id).await?;
        let below = footing.below.iter().map(|facts| &facts.layers[..]);
        let is_on_it = built.is_some_and(|built| begins_with(&built.layers, below));
        Ok((!is_on_it).then(|| {
            format!("its first layers are not those of the {} that the registry serves", base.reference)
        }))
    }

    /// What the configurations of `bases` say, and of the one below all of it.
    async fn read(&self, bases: &[Base]) -> Result<Vec<Facts>, String> {
        let read = bases.iter().filter(|base| !base.is_frontend).map(async |base| {
            let facts = facts(self.registry, base).await;
            let facts = facts.map_err(|why| format!("base {} cannot be read: {why}", base.reference))?;
            match facts.iter().all(|facts| facts.triggers.is_empty()) {
                true => Ok((base, facts)),
                false => {
                    Err(format!("base {} has ONBUILD instructions, which are not looked at", base.reference))
                }
            }
        });
        let read = try_join_all(read).await?;
        Ok(read.into_iter().filter(|(base, _)| base.is_below).flat_map(|(_, facts)| facts).collect())
    }

    /// What the engine holds under the references of `bases`. One that is given by digest is what it is.
    async fn held(&self, bases: &[Base]) -> Result<Vec<(Base, Held)>> {
        try_join_all(bases.iter().map(async |base| {
            if base.reference.digest.is_some() {
                return Ok((base.clone(), Held::Nothing));
            }
            let image = self.engine.inspect(&base.reference.to_string()).await?;
            let recorded = image.as_ref().map(|image| image.recorded_in(&base.reference.repository));
            Ok((base.clone(), Held::of(base, recorded)))
        }))
        .await
    }

    /// Whether the engine's other copy of a base is one that the registry has, and that the engine can pull another of.
    /// Some engines record a digest for what was only built there.
    async fn is_from_registry(&self, base: &Base, held: &Held) -> bool {
        let repository = &base.reference.repository;
        let Held::Other(recorded) = held else { return false };
        if repository.is_loopback() && !self.engine_reaches_loopback {
            return false;
        }
        let heads = recorded.iter().map(|digest| self.registry.head_manifest(repository, digest.as_str()));
        join_all(heads).await.iter().any(|head| matches!(head, Ok(Some(_))))
    }
}

/// What the declaration says of pulling: the last word counts.
fn told_to_pull(build: &Build) -> Option<bool> {
    let said = build.extra_args.iter().rev().find_map(|argument| match argument.strip_prefix("--pull")? {
        "" => Some(true),
        value => value.strip_prefix('=').map(|value| value == "true"),
    });
    said.or(build.pull.then_some(true))
}

/// What an engine's other copy of a base means.
fn another(base: &Base) -> String {
    let held = format!("the engine holds another {} than the registry serves, and may have", base.reference);
    match base.is_frontend {
        true => format!("{held} read the Dockerfile with it (`docker pull {}` replaces it)", base.reference),
        false => format!("{held} built on it (`build.pull = true` builds on the registry's)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_on_pulling_counts() {
        for (pull, extra_args, told) in [
            (false, &[][..], None),
            (true, &[], Some(true)),
            (false, &["--pull"], Some(true)),
            (false, &["--pull=true", "-q"], Some(true)),
            (true, &["--pull=false"], Some(false)),
            (false, &["--pull", "--pull=false"], Some(false)),
            (true, &["--network", "none"], Some(true)),
        ] {
            let extra_args = extra_args.iter().copied().map(str::to_owned).collect();
            let build = Build { pull, extra_args, ..Build::default() };
            assert_eq!(told_to_pull(&build), told, "{build:?}");
        }
    }
}
