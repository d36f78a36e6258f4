//! What a registry asks for: `WWW-Authenticate` (RFC 9110, 11.6.1; distribution, "Token Authentication").

use http_auth::parser::ChallengeParser;
use reqwest::Url;
use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};

use super::super::error::RegistryError;
use super::super::wire::Wire;

/// The way to authenticate that a registry names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// Name and password with every request.
    Basic,
    /// A token, which a token server gives.
    Bearer(Bearer),
}

/// The token server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bearer {
    pub(crate) realm: Url,
    pub(crate) service: Option<String>,
}

/// A challenge: the scheme, and what it says about this very request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Challenge {
    pub(crate) scheme: Scheme,
    /// The scopes that the request needs, as the registry names them.
    pub(crate) scopes: Vec<String>,
    /// The token was good but does not cover the request (RFC 6750, 3.1).
    pub(crate) insufficient_scope: bool,
}

/// An answer of the registry itself, and not of a storage or another host that a redirect or an upload's address led to.
///
/// Only the registry's own origin may say how to authenticate: any other could name a token server of its own, which would
/// be given the registry's password.
pub(crate) struct OwnAnswer<'a> {
    wire: &'a Wire,
    from: &'a Url,
    headers: &'a HeaderMap,
}

impl<'a> OwnAnswer<'a> {
    /// `None` for the answer of another origin.
    pub(crate) fn new(wire: &'a Wire, from: &'a Url, headers: &'a HeaderMap) -> Option<Self> {
        wire.is_own(from).then_some(Self { wire, from, headers })
    }

    /// The challenge to follow: a token where one is offered, else a password. `None` when there is none that is known.
    pub(crate) fn challenge(&self) -> Option<Challenge> {
        challenge(self.headers, |realm| {
            // The token server may be anywhere, but must be named in full. Whether credentials may go there is decided
            // when they would.
            let as_it_stands = Url::parse(realm).ok()?;
            Some(self.wire.named(self.from, realm).unwrap_or(as_it_stands))
        })
    }

    /// `error`, a 401, with the reason where the registry names no way to log in that is known here: it is not for want
    /// of credentials then.
    pub(crate) fn explain(&self, error: RegistryError) -> RegistryError {
        if self.challenge().is_some() {
            return error;
        }
        let schemes = schemes(self.headers);
        let hint = "it takes neither a password nor a token as registries do; is something in front of the registry?";
        let detail = match schemes[..] {
            [] => "without a challenge: the answer has no `WWW-Authenticate`".to_owned(),
            _ => format!("its challenge is not understood: {}", schemes.join(", ")),
        };
        error.with_detail(detail).with_hint(hint)
    }
}

/// The names of the schemes offered.
fn schemes(headers: &HeaderMap) -> Vec<String> {
    let texts = headers.get_all(WWW_AUTHENTICATE).iter().map(|value| value.to_str().unwrap_or("?"));
    texts.map(|text| text.split_whitespace().next().unwrap_or("an empty one").to_owned()).collect()
}

/// `resolve` reads the address of a token server.
fn challenge(headers: &HeaderMap, resolve: impl Fn(&str) -> Option<Url>) -> Option<Challenge> {
    let mut basic = None;
    for value in headers.get_all(WWW_AUTHENTICATE) {
        let Ok(text) = value.to_str() else { continue };
        for found in ChallengeParser::new(text).map_while(Result::ok) {
            let parameter = |wanted: &str| {
                let found = found.params.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
                found.map(|(_, value)| value.to_unescaped())
            };
            if found.scheme.eq_ignore_ascii_case("bearer") {
                let Some(realm) = parameter("realm").and_then(|realm| resolve(&realm)) else {
                    continue;
                };
                let scopes = parameter("scope").unwrap_or_default();
                return Some(Challenge {
                    scheme: Scheme::Bearer(Bearer { realm, service: parameter("service") }),
                    scopes: scopes.split_whitespace().map(str::to_owned).collect(),
                    insufficient_scope: parameter("error").as_deref() == Some("insufficient_scope"),
                });
            }
            if found.scheme.eq_ignore_ascii_case("basic") {
                basic.get_or_insert(Challenge {
                    scheme: Scheme::Basic,
                    scopes: Vec::new(),
                    insufficient_scope: false,
                });
            }
        }
    }
    basic
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[&str]) -> Option<Challenge> {
        let headers = values.iter().map(|value| (WWW_AUTHENTICATE, value.parse().unwrap()));
        let mut map = HeaderMap::new();
        headers.for_each(|(name, value)| {
            map.append(name, value);
        });
        challenge(&map, |realm| Url::parse(realm).ok())
    }

    #[test]
    fn a_token_is_preferred_wherever_it_stands() {
        let bearer = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:o/a:pull,push repository:o/b:pull",error="insufficient_scope""#;
        let expected = Challenge {
            scheme: Scheme::Bearer(Bearer {
                realm: "https://auth.docker.io/token".parse().unwrap(),
                service: Some("registry.docker.io".to_owned()),
            }),
            scopes: vec!["repository:o/a:pull,push".to_owned(), "repository:o/b:pull".to_owned()],
            insufficient_scope: true,
        };
        assert_eq!(of(&[bearer]), Some(expected.clone()));
        assert_eq!(of(&[&format!("Basic realm=\"x\", {bearer}")]), Some(expected.clone()));
        assert_eq!(of(&["BASIC realm=\"x\"", bearer]), Some(expected));
    }

    #[test]
    fn a_password_is_taken_and_nonsense_is_not() {
        assert_eq!(of(&["basic realm=\"x\""]).map(|c| c.scheme), Some(Scheme::Basic));
        for nothing in
            ["Negotiate", "Bearer service=\"no realm\"", "Bearer realm=\"relative/path\"", "\"", ""]
        {
            assert_eq!(of(&[nothing]), None, "{nothing}");
        }
        assert_eq!(of(&[]), None);
    }
}
