//! Who asks: one challenge per registry, credentials looked up once and only when asked for, tokens shared by all
//! requests that they cover.

mod challenge;
mod credentials;
mod helper;
mod scopes;
mod token;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use futures_util::future::join_all;
use reqwest::header::{HeaderMap, HeaderValue};
use tokio::sync::{OnceCell, OwnedMutexGuard};

use self::challenge::{Bearer, Scheme, challenge};
use self::credentials::{Credential, Found};
use super::error::{Kind, RegistryError, Task};
use super::secret::Secret;
use super::wire::Wire;

pub use self::credentials::Credentials;
pub use self::scopes::Access;
pub(crate) use self::scopes::Scopes;

/// The authentication at one registry.
pub(crate) struct Authenticator {
    found: OnceCell<Result<Option<Found>, String>>,
    state: Mutex<State>,
    /// Held by the request that finds out how the registry authenticates; the others wait for it.
    first: Arc<tokio::sync::Mutex<()>>,
    /// Held while tokens are fetched, so that nobody fetches one that is on its way.
    fetching: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    known: Known,
    /// Everything that was asked for or announced: one token is to cover as much of it as it can.
    wanted: Scopes,
    tokens: Vec<Token>,
    /// The token server does not take scopes together.
    apart: bool,
    last: u64,
}

#[derive(Clone, Default)]
enum Known {
    #[default]
    Nothing,
    /// No challenge so far.
    Open,
    Scheme(Scheme),
}

struct Token {
    number: u64,
    scopes: Scopes,
    secret: Secret,
    until: Instant,
}

/// What one request is sent with.
#[derive(Default)]
pub(crate) struct Grant {
    pub(crate) header: Option<HeaderValue>,
    /// Where the credential came from.
    pub(crate) source: Option<String>,
    token: Option<u64>,
    /// The token was fetched for this request: there is no better one.
    fresh: bool,
    /// Credentials exist but may not travel to this registry.
    withheld: bool,
    /// Others wait for what this request brings.
    _first: Option<OwnedMutexGuard<()>>,
}

impl Grant {
    pub(crate) fn is_token(&self) -> bool {
        self.token.is_some()
    }

    pub(crate) fn is_withheld(&self) -> bool {
        self.withheld
    }
}

impl Authenticator {
    pub(crate) fn new() -> Self {
        Self {
            found: OnceCell::new(),
            state: Mutex::default(),
            first: Arc::default(),
            fetching: tokio::sync::Mutex::default(),
        }
    }

    /// Says beforehand what will be asked for, so that the first token covers it.
    pub(crate) fn announce(&self, scopes: &Scopes) {
        self.state().wanted.merge(scopes);
    }

    /// What to send a request with that needs `scopes`.
    pub(crate) async fn grant(
        &self,
        wire: &Wire,
        task: &Task,
        scopes: &Scopes,
    ) -> Result<Grant, RegistryError> {
        self.announce(scopes);
        let mut known = self.state().known.clone();
        // Over TLS nearly every registry asks, and a request without credentials is thrown away: one goes ahead and
        // the rest wait for its answer. Over plain HTTP hardly any does, and waiting would cost a round trip.
        if matches!(known, Known::Nothing) && wire.base().scheme() == "https" {
            let first = self.first.clone().lock_owned().await;
            known = self.state().known.clone();
            if matches!(known, Known::Nothing) {
                return Ok(Grant { _first: Some(first), ..Grant::default() });
            }
        }
        let Known::Scheme(scheme) = known else { return Ok(Grant::default()) };
        let found = self.found(wire, task).await?;
        if let Some(found) = found
            && !wire.may_send_credentials(&wire.base())
        {
            return Ok(Grant { source: Some(found.source.clone()), withheld: true, ..Grant::default() });
        }
        let source = found.map(|found| found.source.clone());
        let credential = found.map(|found| &found.credential);
        match (scheme, credential) {
            (_, Some(Credential::Token(token))) => {
                Ok(Grant { header: Some(bearer_header(token)), source, ..Grant::default() })
            }
            (Scheme::Basic, Some(Credential::Password { name, password })) => {
                Ok(Grant { header: Some(basic(name, password)), source, ..Grant::default() })
            }
            (Scheme::Basic, _) => Ok(Grant { source, ..Grant::default() }),
            (Scheme::Bearer(bearer), _) => {
                let (number, secret, fresh) = self.token(wire, task, &bearer, found, scopes).await?;
                let header = Some(bearer_header(&secret));
                Ok(Grant { header, source, token: Some(number), fresh, ..Grant::default() })
            }
        }
    }

    /// Takes in a 401. True when the request is worth sending again.
    pub(crate) fn challenged(&self, headers: &HeaderMap, grant: &Grant, scopes: &mut Scopes) -> bool {
        let Some(challenge) = challenge(headers) else { return false };
        let mut state = self.state();
        let same = matches!(&state.known, Known::Scheme(scheme) if *scheme == challenge.scheme);
        for scope in &challenge.scopes {
            scopes.add_own_words(scope);
        }
        state.known = Known::Scheme(challenge.scheme);
        if let Some(number) = grant.token {
            state.tokens.retain(|token| token.number != number);
            // A fresh token that does not do is a denial, whether the registry calls it `insufficient_scope` or not;
            // an older one may have expired, or have been asked for before the registry named its scopes.
            return !grant.fresh || !same;
        }
        if grant.withheld {
            return false;
        }
        // Sent without anything: there is something to send now. With a password: only another scheme helps.
        if grant.header.is_none() { !same || grant.source.is_none() } else { !same }
    }

    /// Takes in an answer that was no 401.
    pub(crate) fn accepted(&self, grant: &Grant) {
        let mut state = self.state();
        if grant.header.is_none() && matches!(state.known, Known::Nothing) {
            state.known = Known::Open;
        }
    }

    /// The token was too long for the registry, or for what stands before it: from now on one for each request's needs.
    pub(crate) fn too_long(&self, grant: &Grant) {
        let mut state = self.state();
        state.apart = true;
        state.tokens.retain(|token| Some(token.number) != grant.token);
    }

    /// The scheme in use, for people: `none`, `basic`, `bearer` with the token server; `None` before it is known.
    pub(crate) fn description(&self) -> Option<String> {
        match &self.state().known {
            Known::Nothing => None,
            Known::Open => Some("none".to_owned()),
            Known::Scheme(Scheme::Basic) => Some("basic".to_owned()),
            Known::Scheme(Scheme::Bearer(bearer)) => {
                Some(format!("bearer, tokens from {}", bearer.realm.origin().ascii_serialization()))
            }
        }
    }

    /// The credential for the registry, looked up once.
    async fn found(&self, wire: &Wire, task: &Task) -> Result<Option<&Found>, RegistryError> {
        let find = || async {
            let credentials = wire.setup.credentials.clone();
            let host = wire.place.name.clone();
            let found = tokio::task::spawn_blocking(move || credentials.find(&host)).await;
            found.unwrap_or_else(|_| Err("the search for credentials ended early".to_owned()))
        };
        match self.found.get_or_init(find).await {
            Ok(found) => Ok(found.as_ref()),
            Err(why) => Err(task.error(Kind::Credentials, why.clone())),
        }
    }

    /// Where the credential for the registry comes from.
    pub(crate) async fn source(&self, wire: &Wire, task: &Task) -> Result<Option<String>, RegistryError> {
        Ok(self.found(wire, task).await?.map(|found| found.source.clone()))
    }

    /// A token that covers `scopes`: its number, itself, and whether it was fetched just now.
    async fn token(
        &self,
        wire: &Wire,
        task: &Task,
        bearer: &Bearer,
        found: Option<&Found>,
        scopes: &Scopes,
    ) -> Result<(u64, Secret, bool), RegistryError> {
        if let Some((number, secret)) = self.cached(scopes) {
            return Ok((number, secret, false));
        }
        let _fetching = self.fetching.lock().await;
        if let Some((number, secret)) = self.cached(scopes) {
            return Ok((number, secret, false));
        }
        // Requests that set out together get to say what they need before the first of them asks for all.
        tokio::task::yield_now().await;
        let groups = self.groups(scopes);
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
        let token = first?;
        let secret = token.secret.clone();
        Ok((self.keep(group, token), secret, true))
    }

    /// What to fetch tokens for when one for `needed` is fetched.
    fn groups(&self, needed: &Scopes) -> Vec<Scopes> {
        let state = self.state();
        if state.apart {
            return vec![needed.clone()];
        }
        let now = Instant::now();
        let covered =
            |one: &Scopes| state.tokens.iter().any(|token| token.until > now && token.scopes.covers(one));
        let mut all = needed.clone();
        state.wanted.each().filter(|one| !covered(one)).for_each(|one| all.merge(&one));
        Scopes::groups(needed, &all)
    }

    fn cached(&self, scopes: &Scopes) -> Option<(u64, Secret)> {
        let mut state = self.state();
        let now = Instant::now();
        state.tokens.retain(|token| token.until > now);
        let token = state.tokens.iter().find(|token| token.scopes.covers(scopes))?;
        Some((token.number, token.secret.clone()))
    }

    fn keep(&self, scopes: &Scopes, token: token::Fetched) -> u64 {
        let mut state = self.state();
        state.last += 1;
        let number = state.last;
        state.tokens.push(Token { number, scopes: scopes.clone(), secret: token.secret, until: token.until });
        number
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `Basic …` (RFC 7617).
fn basic(name: &str, password: &Secret) -> HeaderValue {
    let pair = BASE64_STANDARD.encode(format!("{name}:{}", password.reveal()));
    sensitive(&format!("Basic {pair}"))
}

fn bearer_header(token: &Secret) -> HeaderValue {
    sensitive(&format!("Bearer {}", token.reveal()))
}

/// A value that is never logged, nor kept in HTTP/2's header table. A token with characters that no header takes
/// becomes empty, and the registry refuses it.
fn sensitive(text: &str) -> HeaderValue {
    let mut value = HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""));
    value.set_sensitive(true);
    value
}
