//! Who asks: one challenge per registry, credentials looked up only when asked for, tokens shared by all requests that
//! they cover.

mod account;
mod challenge;
mod credentials;
mod helper;
mod scopes;
mod token;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use reqwest::StatusCode;
use reqwest::header::HeaderValue;
use tokio::sync::{OnceCell, OwnedMutexGuard};

use self::account::{Account, Held, namespace_of};
use self::challenge::Scheme;
use self::credentials::Credential;
use super::error::{Kind, RegistryError, Task};
use super::wire::Wire;
use crate::model::secret::{Secret, hidden_bytes};

pub(crate) use self::challenge::OwnAnswer;
pub use self::credentials::Credentials;
pub(crate) use self::credentials::FailedHelper;
pub use self::scopes::Access;
pub(crate) use self::scopes::Scopes;

/// The authentication at one registry.
pub(crate) struct Authenticator {
    kept: OnceCell<Kept>,
    state: Mutex<State>,
    /// Held by the request that finds out how the registry authenticates; the others wait for it.
    first: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Default)]
struct State {
    known: Known,
    /// A request went ahead of the others to find out.
    went_ahead: bool,
    /// Everything that was asked for or announced: one token is to cover as much of it as it can.
    wanted: Scopes,
    /// By the part of the registry that they are for.
    accounts: BTreeMap<String, Arc<Account>>,
}

/// What this machine's files say of the registry, before anything is asked.
#[derive(Default)]
struct Kept {
    /// There are credentials for it.
    mentioned: bool,
    /// Parts of it that have credentials of their own.
    namespaces: Vec<String>,
}

#[derive(Clone, Default)]
enum Known {
    #[default]
    Nothing,
    /// No challenge so far.
    Open,
    Scheme(Scheme),
}

/// What one request needs, and what it learns from being refused.
#[derive(Clone, Debug)]
pub(crate) struct Needs {
    pub(crate) scopes: Scopes,
    /// A token that came since then was given for a request like this one: there is no better one.
    since: Instant,
    /// A token that covers more than this request was refused: one for nothing else is to be tried.
    alone: bool,
}

/// What one request is sent with.
#[derive(Default)]
pub(crate) struct Grant {
    pub(crate) header: Option<HeaderValue>,
    /// Where the credential came from.
    pub(crate) source: Option<String>,
    token: Option<(Arc<Account>, Held)>,
    /// The scheme was known: this is all there is to send.
    informed: bool,
    /// Credentials exist but may not travel to this registry.
    withheld: bool,
    /// Others wait for what this request brings.
    _first: Option<OwnedMutexGuard<()>>,
}

impl Needs {
    pub(crate) fn new(scopes: Scopes) -> Self {
        Self { scopes, since: Instant::now(), alone: false }
    }

    /// The same for reading and writing.
    pub(crate) fn for_push(&self) -> Self {
        Self { scopes: self.scopes.for_push(), ..self.clone() }
    }
}

impl Grant {
    pub(crate) fn is_token(&self) -> bool {
        self.token.is_some()
    }

    /// Whether it is a token that was asked for with all of `needs`.
    pub(crate) fn covers(&self, needs: &Needs) -> bool {
        self.token.as_ref().is_some_and(|(_, held)| held.scopes.covers(&needs.scopes))
    }

    /// What a registry says, without the secret that it was sent.
    pub(crate) fn hide(&self, said: Bytes) -> Bytes {
        hidden_bytes(said, self.header.iter().flat_map(secrets))
    }

    pub(crate) fn is_withheld(&self) -> bool {
        self.withheld
    }
}

impl Authenticator {
    pub(crate) fn new() -> Self {
        Self { kept: OnceCell::new(), state: Mutex::default(), first: Arc::default() }
    }

    /// Says beforehand what will be asked for, so that the first token covers it.
    pub(crate) fn announce(&self, scopes: &Scopes) {
        self.state().wanted.merge(scopes);
    }

    /// What to send a request with.
    pub(crate) async fn grant(
        &self,
        wire: &Wire,
        task: &Task,
        needs: &Needs,
    ) -> Result<Grant, RegistryError> {
        self.announce(&needs.scopes);
        let mut known = self.state().known.clone();
        if matches!(known, Known::Nothing) && self.probably_asks(wire).await {
            let first = self.first.clone().lock_owned().await;
            let mut state = self.state();
            known = state.known.clone();
            // Once: where even the first one got no answer, the others do not queue up for their own failures.
            if matches!(known, Known::Nothing) && !state.went_ahead {
                state.went_ahead = true;
                return Ok(Grant { _first: Some(first), ..Grant::default() });
            }
        }
        let Known::Scheme(scheme) = known else { return Ok(Grant::default()) };
        let account = self.account(wire, &needs.scopes).await;
        let found = account.found(wire, task).await?;
        if let Some(found) = found
            && !wire.may_send_credentials(&wire.base())
        {
            return Ok(Grant { source: Some(found.source.clone()), withheld: true, ..Grant::default() });
        }
        let informed = Grant { informed: true, ..Grant::default() };
        let source = found.map(|found| found.source.clone());
        let credential = found.map(|found| &found.credential);
        match (scheme, credential) {
            (_, Some(Credential::Token(token))) => {
                Ok(Grant { header: Some(bearer_header(token)), source, ..informed })
            }
            (Scheme::Basic, credential) => {
                let header = credential.and_then(Credential::basic).map(|(_, header)| header);
                Ok(Grant { header, source, ..informed })
            }
            (Scheme::Bearer(bearer), _) => {
                let namespaces = &self.kept(wire).await.namespaces;
                let wanted = || account.own(&self.state().wanted, namespaces);
                let held = account.token(wire, task, &bearer, needs, &wanted).await?;
                let header = Some(bearer_header(&held.secret));
                Ok(Grant { header, source, token: Some((account.clone(), held)), ..informed })
            }
        }
    }

    /// Whether the first request is to go ahead alone. Over TLS nearly every registry asks who is there, and so does
    /// one that somebody has logged in to: requests without credentials are thrown away. Elsewhere hardly any does,
    /// and waiting would cost a round trip.
    async fn probably_asks(&self, wire: &Wire) -> bool {
        wire.base().scheme() == "https" || self.kept(wire).await.mentioned
    }

    /// Takes in a 401. True when the request is worth sending again.
    pub(crate) fn challenged(&self, answer: &OwnAnswer<'_>, grant: &Grant, needs: &mut Needs) -> bool {
        let Some(challenge) = answer.challenge() else { return false };
        let same = {
            let mut state = self.state();
            let same = matches!(&state.known, Known::Scheme(scheme) if *scheme == challenge.scheme);
            state.known = Known::Scheme(challenge.scheme);
            same
        };
        let before = needs.scopes.clone();
        for scope in &challenge.scopes {
            needs.scopes.add_own_words(scope);
        }
        let Some((account, held)) = &grant.token else {
            // There may be something to send now, unless all there is was sent.
            let sent_all = same && grant.informed;
            return !(grant.withheld || sent_all);
        };
        if !same || held.obtained < needs.since {
            // It may have expired, or have been asked for before the registry named its scopes.
            account.drop_token(held);
            return true;
        }
        if needs.scopes != before {
            return true;
        }
        // A fresh token that does not do is a denial, whether the registry calls it `insufficient_scope` or not, unless
        // it was for more than this request: some token servers read only the first of several scopes.
        !std::mem::replace(&mut needs.alone, true) && held.scopes != needs.scopes
    }

    /// Takes in an answer that was no 401.
    pub(crate) fn accepted(&self, grant: &Grant, needs: &Needs, status: StatusCode) {
        let mut state = self.state();
        if grant.header.is_none() && matches!(state.known, Known::Nothing) {
            state.known = Known::Open;
        }
        if let Some((account, _)) = &grant.token
            && needs.alone
            && (status.is_success() || status == StatusCode::NOT_FOUND)
        {
            account.go_apart();
        }
    }

    /// The registry says that the token has run out: the next one is new.
    pub(crate) fn expired(&self, grant: &Grant) {
        if let Some((account, held)) = &grant.token {
            account.drop_token(held);
        }
    }

    /// The token was too long for the registry, or for what stands before it: from now on one for each request's needs.
    pub(crate) fn too_long(&self, grant: &Grant) {
        if let Some((account, held)) = &grant.token {
            account.go_apart();
            account.drop_token(held);
        }
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

    /// Where the credential for the registry comes from.
    ///
    /// # Errors
    ///
    /// Also when a helper does not say: this is asked to find out what is wrong.
    pub(crate) async fn source(&self, wire: &Wire, task: &Task) -> Result<Option<String>, RegistryError> {
        let account = self.account(wire, &Scopes::default()).await;
        let found = account.found(wire, task).await?;
        match account.doubt() {
            Some(doubt) => Err(task.error(Kind::Credentials, doubt)),
            None => Ok(found.map(|found| found.source.clone())),
        }
    }

    /// Why there may be a credential for the repository that `scopes` are about, although requests go without one.
    pub(crate) async fn doubt(&self, wire: &Wire, scopes: &Scopes) -> Option<String> {
        self.account(wire, scopes).await.doubt()
    }

    /// The account for the repository that `scopes` are about.
    async fn account(&self, wire: &Wire, scopes: &Scopes) -> Arc<Account> {
        let namespace = namespace_of(scopes.subject(), &self.kept(wire).await.namespaces).to_owned();
        let new = || Arc::new(Account::new(namespace.clone()));
        self.state().accounts.entry(namespace.clone()).or_insert_with(new).clone()
    }

    async fn kept(&self, wire: &Wire) -> &Kept {
        let read = || async {
            let (credentials, host) = (wire.setup.credentials.clone(), wire.place.name.clone());
            let read = tokio::task::spawn_blocking(move || Kept {
                mentioned: credentials.mention(&host),
                namespaces: credentials.namespaces(&host).into_iter().collect(),
            });
            // It reads files and cannot fail; a run that is ending needs no answer.
            read.await.unwrap_or_default()
        };
        self.kept.get_or_init(read).await
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
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

/// The secrets in an `Authorization`: what follows the scheme, and the password in it.
fn secrets(header: &HeaderValue) -> impl Iterator<Item = String> + use<> {
    let sent = header.to_str().ok().and_then(|text| Some(text.split_once(' ')?.1.to_owned()));
    let pair = sent.as_ref().and_then(|sent| BASE64_STANDARD.decode(sent).ok());
    let password = pair.and_then(|pair| Some(String::from_utf8_lossy(&pair).split_once(':')?.1.to_owned()));
    sent.into_iter().chain(password)
}
