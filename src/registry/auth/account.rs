//! One account at a registry: its credential, looked up once and only when asked for, and its tokens, shared by all
//! requests that they cover.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use futures_util::future::join_all;
use tokio::sync::OnceCell;

use super::super::error::{Kind, RegistryError, Task};
use super::super::wire::Wire;
use super::Needs;
use super::challenge::Bearer;
use super::credentials::{Found, Search, is_within};
use super::scopes::Scopes;
use super::token;
use crate::model::secret::Secret;

/// An account. Nearly always there is one for a registry; podman's files can name others for parts of it.
pub(crate) struct Account {
    /// The part of the registry that it is for; empty for all of it.
    namespace: String,
    search: OnceCell<Result<Search, String>>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    tokens: Vec<Token>,
    /// The token server does not take scopes together.
    apart: bool,
    last: u64,
    /// Each is held while a token is fetched, so that nobody fetches one that is on its way: one for the scopes taken
    /// together (`None`), or one for each of those that go apart.
    fetching: HashMap<Option<Scopes>, Arc<tokio::sync::Mutex<()>>>,
}

struct Token {
    held: Held,
    until: Instant,
}

/// A token to send a request with.
#[derive(Clone)]
pub(crate) struct Held {
    number: u64,
    pub(crate) secret: Secret,
    pub(crate) scopes: Scopes,
    /// When it came.
    pub(crate) obtained: Instant,
}

impl Account {
    pub(crate) fn new(namespace: String) -> Self {
        Self { namespace, search: OnceCell::new(), state: Mutex::default() }
    }

    /// The credential.
    pub(crate) async fn found(&self, wire: &Wire, task: &Task) -> Result<Option<&Found>, RegistryError> {
        let find = || async {
            let (credentials, host) = (wire.setup.credentials.clone(), wire.place.name.clone());
            let namespace = self.namespace.clone();
            let search = tokio::task::spawn_blocking(move || credentials.search(&host, &namespace)).await;
            let search = search.unwrap_or_else(|_| Err("the search for credentials ended early".to_owned()));
            search.iter().flat_map(|search| &search.failed).for_each(|failed| wire.setup.warn_of(failed));
            search
        };
        match self.search.get_or_init(find).await {
            Ok(search) => Ok(search.found.as_ref()),
            Err(why) => Err(task.error(Kind::Credentials, why.clone())),
        }
    }

    /// Why there may be a credential although requests go without one; `None` also while nobody asked for one.
    pub(crate) fn doubt(&self) -> Option<String> {
        self.search.get()?.as_ref().ok()?.doubt()
    }

    /// A token that covers what is needed, with as much of `wanted` as one can carry.
    pub(crate) async fn token(
        &self,
        wire: &Wire,
        task: &Task,
        bearer: &Bearer,
        needs: &Needs,
        wanted: &(dyn Fn() -> Scopes + Sync),
    ) -> Result<Held, RegistryError> {
        loop {
            if let Some(held) = self.cached(needs) {
                return Ok(held);
            }
            let (apart, lock) = self.lock_for(needs);
            let _fetching = lock.lock().await;
            if let Some(held) = self.cached(needs) {
                return Ok(held);
            }
            // While this waited it may have turned out that scopes go apart: then each fetches its own, at once.
            if apart == self.goes_apart(needs) {
                return self.fetch(wire, task, bearer, needs, wanted).await;
            }
        }
    }

    async fn fetch(
        &self,
        wire: &Wire,
        task: &Task,
        bearer: &Bearer,
        needs: &Needs,
        wanted: &(dyn Fn() -> Scopes + Sync),
    ) -> Result<Held, RegistryError> {
        let found = self.found(wire, task).await?;
        let scopes = &needs.scopes;
        // Requests that set out together get to say what they need before the first of them asks for all.
        tokio::task::yield_now().await;
        let groups = self.groups(needs, &wanted());
        let answers = groups.iter().map(|group| token::fetch(wire, task, bearer, found, group));
        let mut answers = join_all(answers).await.into_iter().zip(&groups);
        let Some((mut first, mut group)) = answers.next() else {
            return Err(task.error(Kind::Protocol, "nothing to ask a token for"));
        };
        // What is not needed now may fail; the request that needs it will say so.
        for (answer, group) in answers {
            if let Ok(token) = answer {
                self.keep(group, token);
            }
        }
        // Some token servers give nothing when one of several repositories is not allowed, and some cannot take a
        // long address.
        let refused = |error: &RegistryError| {
            matches!(error.kind(), Kind::Unauthorized | Kind::Denied | Kind::NotFound | Kind::Rejected)
        };
        if group != scopes && first.as_ref().is_err_and(refused) {
            first = token::fetch(wire, task, bearer, found, scopes).await;
            group = scopes;
            self.state().apart |= first.is_ok();
        }
        Ok(self.keep(group, first?))
    }

    /// What to fetch tokens for.
    fn groups(&self, needs: &Needs, wanted: &Scopes) -> Vec<Scopes> {
        let state = self.state();
        if state.apart || needs.alone {
            return vec![needs.scopes.clone()];
        }
        let now = Instant::now();
        let covered = |one: &Scopes| {
            state.tokens.iter().any(|token| token.until > now && token.held.scopes.covers(one))
        };
        let mut all = needs.scopes.clone();
        wanted.each().filter(|one| !covered(one)).for_each(|one| all.merge(&one));
        Scopes::groups(&needs.scopes, &all)
    }

    fn cached(&self, needs: &Needs) -> Option<Held> {
        let mut state = self.state();
        let now = Instant::now();
        state.tokens.retain(|token| token.until > now);
        let fits = |held: &Held| {
            if needs.alone { held.scopes == needs.scopes } else { held.scopes.covers(&needs.scopes) }
        };
        // The newest first: an older one may have been given before an account got its rights.
        state.tokens.iter().rev().map(|token| &token.held).find(|held| fits(held)).cloned()
    }

    fn keep(&self, scopes: &Scopes, token: token::Fetched) -> Held {
        let mut state = self.state();
        state.last += 1;
        let (number, obtained) = (state.last, Instant::now());
        let held = Held { number, secret: token.secret, scopes: scopes.clone(), obtained };
        state.tokens.push(Token { held: held.clone(), until: token.until });
        held
    }

    /// The token is no good: nobody is given it again.
    pub(crate) fn drop_token(&self, held: &Held) {
        self.state().tokens.retain(|token| token.held.number != held.number);
    }

    /// Scopes do not go together here: from now on each request fetches a token for its own.
    pub(crate) fn go_apart(&self) {
        self.state().apart = true;
    }

    fn goes_apart(&self, needs: &Needs) -> bool {
        needs.alone || self.state().apart
    }

    /// The lock under which a token for `needs` is fetched, and whether it is one for these scopes alone.
    fn lock_for(&self, needs: &Needs) -> (bool, Arc<tokio::sync::Mutex<()>>) {
        let apart = self.goes_apart(needs);
        let key = apart.then(|| needs.scopes.clone());
        (apart, self.state().fetching.entry(key).or_default().clone())
    }

    /// What of `scopes` is this account's, when there are accounts for `namespaces`.
    pub(crate) fn own(&self, scopes: &Scopes, namespaces: &[String]) -> Scopes {
        scopes.only(|path| namespace_of(path, namespaces) == self.namespace)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The longest of `namespaces` that the repository `path` lies in; empty when it lies in none.
pub(crate) fn namespace_of<'a>(path: &str, namespaces: &'a [String]) -> &'a str {
    let holding = namespaces.iter().filter(|namespace| is_within(path, namespace));
    holding.max_by_key(|namespace| namespace.len()).map_or("", String::as_str)
}
