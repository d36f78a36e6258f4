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
    texts(headers).map(|text| text.split_whitespace().next().unwrap_or("an empty one").to_owned()).collect()
}

/// The headers as texts: a realm may be in any encoding, and nothing but its name is needed of a password's scheme.
fn texts(headers: &HeaderMap) -> impl Iterator<Item = String> + '_ {
    let values = headers.get_all(WWW_AUTHENTICATE).iter();
    values.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

/// `resolve` reads the address of a token server.
fn challenge(headers: &HeaderMap, resolve: impl Fn(&str) -> Option<Url>) -> Option<Challenge> {
    let mut basic = None;
    let mut offer_basic = || {
        basic = Some(Challenge { scheme: Scheme::Basic, scopes: Vec::new(), insufficient_scope: false });
    };
    for text in texts(headers) {
        let ascii = text.replace(|c: char| !c.is_ascii(), "?");
        let mut is_malformed = false;
        let parsed = ChallengeParser::new(&ascii).map_while(|found| {
            is_malformed = found.is_err();
            found.ok()
        });
        for found in parsed {
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
                offer_basic();
            }
        }
        if is_malformed {
            match read_malformed(&ascii, &resolve) {
                Some(Scheme::Basic) => offer_basic(),
                Some(scheme) => {
                    return Some(Challenge { scheme, scopes: Vec::new(), insufficient_scope: false });
                }
                None => {}
            }
        }
    }
    basic
}

/// What a header names whose parameters do not follow RFC 9110: `Basic realm=/"` (regclient/regclient#265), `Basic realm=`,
/// a realm with blanks and no quotes, `;` or blanks between a token server's parameters. Of these only what stands in
/// quotes is read.
fn read_malformed(text: &str, resolve: impl Fn(&str) -> Option<Url>) -> Option<Scheme> {
    let quoted = |name: &str| {
        let (_, rest) = text.split_once(&format!("{name}=\""))?;
        rest.split_once('"').map(|(value, _)| value)
    };
    let schemes = || text.split(',').filter_map(|part| part.split_whitespace().next());
    if schemes().any(|scheme| scheme.eq_ignore_ascii_case("bearer"))
        && let Some(realm) = quoted("realm").and_then(resolve)
    {
        return Some(Scheme::Bearer(Bearer { realm, service: quoted("service").map(str::to_owned) }));
    }
    schemes().any(|scheme| scheme.eq_ignore_ascii_case("basic")).then_some(Scheme::Basic)
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

    #[test]
    fn of_a_malformed_challenge_what_is_needed_is_read() {
        for basic in [
            "Basic realm=\"x\"",
            "Basic",
            "Basic realm=",
            "Basic realm=/\"",
            "Basic realm=/",
            "basic realm=Sonatype Nexus Repository Manager",
            "Basic realm='Sandstorm API'",
            "Negotiate, Basic realm=/\"",
        ] {
            assert_eq!(of(&[basic]).map(|found| found.scheme), Some(Scheme::Basic), "{basic}");
        }
        let mut headers = HeaderMap::new();
        for realm in [&b"Basic realm=\"Gr\xc3\xb6\xc3\x9fe\""[..], b"Basic realm=\"Gr\xf6\xdfe\""] {
            headers.insert(WWW_AUTHENTICATE, reqwest::header::HeaderValue::from_bytes(realm).unwrap());
            assert_eq!(
                challenge(&headers, |_| None).map(|found| found.scheme),
                Some(Scheme::Basic),
                "{realm:?}"
            );
        }
        for bearer in [
            r#"Bearer realm="https://a/token",service="s""#,
            r#"Bearer realm="https://a/token";service="s""#,
            r#"Bearer realm="https://a/token" service="s" scope="repository:o/a:pull""#,
        ] {
            let expected =
                Bearer { realm: "https://a/token".parse().unwrap(), service: Some("s".to_owned()) };
            assert_eq!(of(&[bearer]).map(|found| found.scheme), Some(Scheme::Bearer(expected)), "{bearer}");
        }
        for nothing in ["Negotiate realm=/\"", "Bearer realm=/\"", "Basically realm=/\""] {
            assert_eq!(of(&[nothing]), None, "{nothing}");
        }
    }
}
