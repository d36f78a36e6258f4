//! Whether an engine builds on images of its own instead of those that registries serve. Pure.
//!
//! An engine that holds an image under the tag of a base takes that, unless it is told to pull, and of the frontend also
//! then (moby, `builder-next/adapters/containerimage`; BuildKit, `frontend/gateway`).

use super::Base;
use crate::model::digest::Digest;

/// What an engine holds under the reference of a base.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    /// Nothing.
    Nothing,
    /// What the registry serves.
    Same,
    /// Another image, recorded under these digests of the base's repository.
    Other(Vec<Digest>),
}

impl Held {
    /// What an image that is `recorded` under these digests of the base's repository is beside what the registry serves.
    pub(crate) fn of<'a>(base: &Base, recorded: Option<impl Iterator<Item = &'a Digest>>) -> Self {
        let Some(recorded) = recorded else { return Self::Nothing };
        let recorded: Vec<Digest> = recorded.cloned().collect();
        match recorded.contains(&base.digest) {
            true => Self::Same,
            false => Self::Other(recorded),
        }
    }
}

/// How to build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Course {
    /// As declared.
    AsDeclared,
    /// With `--pull`: the engine's copies are older ones of their registries.
    Pull,
    /// As declared, and what comes out cannot be recorded: the engine may take this base from its own.
    Unknown(usize),
}

/// How to build on `bases`, each with what the engine holds. `pull` is what is declared; `from_registry` says of a base
/// whether the engine's other copy came from the registry, so that nothing that exists only here is passed over.
pub(crate) fn course(bases: &[(Base, Held)], pull: bool, from_registry: impl Fn(usize) -> bool) -> Course {
    let mut course = Course::AsDeclared;
    for (index, (base, held)) in bases.iter().enumerate() {
        match held {
            Held::Nothing | Held::Same => {}
            Held::Other(_) if base.is_frontend => return Course::Unknown(index),
            Held::Other(_) if pull => {}
            Held::Other(_) if from_registry(index) => course = Course::Pull,
            Held::Other(_) => return Course::Unknown(index),
        }
    }
    course
}

/// The base that an engine may have taken from its own during a build, told to `pull` or not: what it holds afterwards
/// came while it built.
pub(crate) fn doubtful(bases: &[(Base, Held)], pulled: bool) -> Option<&Base> {
    let doubtful =
        |(base, held): &&(Base, Held)| matches!(held, Held::Other(_)) && (base.is_frontend || !pulled);
    bases.iter().find(doubtful).map(|(base, _)| base)
}

/// Whether an image of these `layers` begins with all of one of `bases`.
pub(crate) fn begins_with<'a>(layers: &[Digest], mut bases: impl Iterator<Item = &'a [Digest]>) -> bool {
    bases.any(|base| layers.starts_with(base))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(text: &str) -> Digest {
        Digest::of(text.as_bytes())
    }

    fn base(reference: &str) -> Base {
        Base {
            reference: reference.parse().unwrap(),
            digest: digest("now"),
            platform: None,
            is_below: false,
            is_frontend: reference.starts_with("docker/dockerfile"),
        }
    }

    #[test]
    fn a_copy_is_known_by_the_digests_that_it_is_recorded_under() {
        let held = |recorded: Option<&[&str]>| {
            let recorded: Option<Vec<Digest>> =
                recorded.map(|recorded| recorded.iter().map(|text| digest(text)).collect());
            Held::of(&base("alpine:3"), recorded.as_ref().map(|recorded| recorded.iter()))
        };
        for (recorded, expected) in [
            (None, Held::Nothing),
            (Some(&["now"][..]), Held::Same),
            (Some(&["before", "now"]), Held::Same),
            (Some(&["before"]), Held::Other(vec![digest("before")])),
            (Some(&[]), Held::Other(Vec::new())),
        ] {
            assert_eq!(held(recorded), expected, "{recorded:?}");
        }
    }

    #[test]
    fn an_engine_pulls_where_its_copies_are_older_ones_of_the_registry() {
        use Course::{AsDeclared, Pull, Unknown};
        let held = |word: &str| match word {
            "nothing" => Held::Nothing,
            "same" => Held::Same,
            other => Held::Other(vec![digest(other)]),
        };
        for (bases, pull, expected) in [
            ("alpine=nothing debian=nothing", false, AsDeclared),
            ("alpine=same debian=nothing", false, AsDeclared),
            ("alpine=older debian=nothing", false, Pull),
            ("alpine=same debian=older", false, Pull),
            ("alpine=own", false, Unknown(0)),
            ("alpine=older debian=own", false, Unknown(1)),
            ("alpine=own debian=older", false, Unknown(0)),
            // Who declares it wants the registry's.
            ("alpine=own debian=older", true, AsDeclared),
            // A frontend is not pulled.
            ("docker/dockerfile:1=same alpine=older", false, Pull),
            ("docker/dockerfile:1=older alpine=same", false, Unknown(0)),
            ("docker/dockerfile:1=older", true, Unknown(0)),
        ] {
            let bases: Vec<(Base, Held)> = bases
                .split(' ')
                .map(|pair| pair.split_once('=').unwrap())
                .map(|(reference, word)| (base(reference), held(word)))
                .collect();
            let from_registry = |index: usize| bases[index].1 == held("older");
            assert_eq!(course(&bases, pull, from_registry), expected, "{bases:?}, {pull}");
        }
    }

    #[test]
    fn what_came_while_it_built_makes_a_base_doubtful() {
        let other = || Held::Other(Vec::new());
        for (reference, held, pulled, expected) in [
            ("alpine", Held::Nothing, false, false),
            ("alpine", Held::Same, false, false),
            ("alpine", other(), false, true),
            ("alpine", other(), true, false),
            ("docker/dockerfile:1", other(), true, true),
        ] {
            let bases = [(base(reference), held)];
            assert_eq!(doubtful(&bases, pulled).is_some(), expected, "{bases:?}, {pulled}");
        }
    }

    #[test]
    fn an_image_begins_with_its_base() {
        let [a, b, c] = ["a", "b", "c"].map(digest);
        for (layers, bases, expected) in [
            (&[a.clone(), b.clone()][..], vec![&[][..]], true),
            (&[a.clone(), b.clone()], vec![std::slice::from_ref(&a)], true),
            (&[a.clone(), b.clone()], vec![std::slice::from_ref(&c), std::slice::from_ref(&a)], true),
            (&[a.clone(), b.clone()], vec![std::slice::from_ref(&b)], false),
            (std::slice::from_ref(&a), vec![&[a.clone(), b.clone()][..]], false),
            (std::slice::from_ref(&a), vec![], false),
        ] {
            assert_eq!(begins_with(layers, bases.iter().copied()), expected, "{layers:?} {bases:?}");
        }
    }
}
