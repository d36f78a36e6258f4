//! What a token is asked for (distribution, "Token Scope Documentation").

use std::collections::{BTreeMap, BTreeSet};

/// What is done in a repository. Each includes the ones before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Access {
    /// Reading.
    Pull,
    /// Writing.
    Push,
    /// Deleting.
    Delete,
}

impl Access {
    fn actions(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Push => "pull,push",
            Self::Delete => "pull,push,delete",
        }
    }
}

/// Repositories of one registry with the access wanted, and scopes in a registry's own words.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Scopes {
    repositories: BTreeMap<String, Access>,
    own_words: BTreeSet<String>,
}

/// The token that carries the scopes travels in a header; registries and what stands before them take 8 KiB or less,
/// and a token is several times as long as the scopes that it was asked for.
const LONGEST: usize = 2048;

impl Scopes {
    pub(crate) fn one(repository: &str, access: Access) -> Self {
        let mut scopes = Self::default();
        scopes.add(repository, access);
        scopes
    }

    pub(crate) fn add(&mut self, repository: &str, access: Access) {
        let entry = self.repositories.entry(repository.to_owned()).or_insert(access);
        *entry = (*entry).max(access);
    }

    /// Adds what a challenge asks for, where it goes beyond what is here: a registry may know the repository by
    /// another name.
    pub(crate) fn add_own_words(&mut self, scope: &str) {
        let parts: Vec<&str> = scope.splitn(2, ':').collect();
        if let ["repository", rest] = parts[..]
            && let Some((name, actions)) = rest.rsplit_once(':')
            && let Some(access) = self.repositories.get(name)
            && actions.split(',').all(|action| access.actions().split(',').any(|known| known == action))
        {
            return;
        }
        self.own_words.insert(scope.to_owned());
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for (repository, access) in &other.repositories {
            self.add(repository, *access);
        }
        self.own_words.extend(other.own_words.iter().cloned());
    }

    pub(crate) fn covers(&self, other: &Self) -> bool {
        let has =
            |(name, access): (&String, &Access)| self.repositories.get(name).is_some_and(|a| a >= access);
        other.repositories.iter().all(has) && other.own_words.is_subset(&self.own_words)
    }

    pub(crate) fn only_reads(&self) -> bool {
        self.repositories.values().all(|access| *access == Access::Pull)
    }

    /// The same repositories, for reading and writing.
    pub(crate) fn for_push(&self) -> Self {
        let raised = |(name, access): (&String, &Access)| (name.clone(), (*access).max(Access::Push));
        Self {
            repositories: self.repositories.iter().map(raised).collect(),
            own_words: self.own_words.clone(),
        }
    }

    /// The repository that the request is about: the one it writes to, where it reads from another.
    pub(crate) fn subject(&self) -> &str {
        let mut subject = ("", Access::Pull);
        for (name, access) in &self.repositories {
            if subject.0.is_empty() || *access > subject.1 {
                subject = (name, *access);
            }
        }
        subject.0
    }

    /// The repositories that `choose` takes by their path.
    pub(crate) fn only(&self, choose: impl Fn(&str) -> bool) -> Self {
        let chosen = self.repositories.iter().filter(|(name, _)| choose(name));
        Self {
            repositories: chosen.map(|(name, access)| (name.clone(), *access)).collect(),
            own_words: BTreeSet::new(),
        }
    }

    /// Each repository by itself.
    pub(crate) fn each(&self) -> impl Iterator<Item = Self> {
        self.repositories.iter().map(|(name, access)| Self::one(name, *access))
    }

    /// As they stand in a token request, each one a parameter.
    pub(crate) fn texts(&self) -> Vec<String> {
        let named =
            self.repositories.iter().map(|(name, access)| format!("repository:{name}:{}", access.actions()));
        named.chain(self.own_words.iter().cloned()).collect()
    }

    fn len(&self) -> usize {
        self.texts().iter().map(|text| text.len() + 1).sum()
    }

    /// Groups short enough for one token each. `needed` is whole in the first one, with as much of the rest as fits.
    pub(crate) fn groups(needed: &Self, all: &Self) -> Vec<Self> {
        let mut groups = vec![needed.clone()];
        for (name, access) in &all.repositories {
            if needed.repositories.get(name).is_some_and(|known| known >= access) {
                continue;
            }
            let one = Self::one(name, *access);
            match groups.last_mut() {
                Some(last) if last.len() + one.len() <= LONGEST => last.merge(&one),
                _ => groups.push(one),
            }
        }
        groups
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_join_and_the_widest_access_counts() {
        let mut scopes = Scopes::one("o/a", Access::Push);
        scopes.merge(&Scopes::one("o/b", Access::Pull));
        scopes.merge(&Scopes::one("o/a", Access::Pull));
        assert_eq!(scopes.texts(), ["repository:o/a:pull,push", "repository:o/b:pull"]);
        assert!(scopes.covers(&Scopes::one("o/a", Access::Pull)));
        assert!(!scopes.covers(&Scopes::one("o/b", Access::Push)));
        assert!(!scopes.covers(&Scopes::one("o/c", Access::Pull)));
        assert!(scopes.for_push().covers(&Scopes::one("o/b", Access::Push)));
    }

    #[test]
    fn a_registrys_own_words_are_added_only_when_they_say_more() {
        let mut scopes = Scopes::one("o/a", Access::Push);
        for known in ["repository:o/a:pull", "repository:o/a:push,pull"] {
            scopes.add_own_words(known);
        }
        assert_eq!(scopes.texts(), ["repository:o/a:pull,push"]);
        scopes.add_own_words("repository:mirror/o/a:pull");
        scopes.add_own_words("repository:o/a:*");
        assert_eq!(scopes.texts().len(), 3);
        assert!(!Scopes::one("o/a", Access::Push).covers(&scopes));
    }

    #[test]
    fn groups_stay_short_and_lose_nothing() {
        let needed = Scopes::one("o/needed", Access::Push);
        let mut all = needed.clone();
        for n in 0..200 {
            all.add(&format!("organisation/repository-{n}"), Access::Push);
        }
        let groups = Scopes::groups(&needed, &all);
        assert!(groups.len() > 3 && groups[0].covers(&needed));
        assert!(groups.iter().all(|group| group.len() <= LONGEST));
        let mut union = Scopes::default();
        groups.iter().for_each(|group| union.merge(group));
        assert_eq!(union, all);
        assert_eq!(Scopes::groups(&needed, &Scopes::default()), [needed]);
    }
}
