//! Tokens from a token server (distribution, "Token Authentication" and "OAuth2 Token Authentication").

use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, Url};
use serde::Deserialize;

use super::super::error::{Answered, Kind, RegistryError, Task};
use super::super::retry::{retry_after, retrying};
use super::super::wire::{Request, Wire, authority};
use super::challenge::Bearer;
use super::credentials::{Credential, Found};
use super::scopes::Scopes;
use super::secrets;
use crate::model::go_json;
use crate::model::secret::{Secret, hidden_bytes};

/// A token and how long to use it.
pub(crate) struct Fetched {
    pub(crate) secret: Secret,
    pub(crate) until: Instant,
}

#[derive(Deserialize)]
struct Answer {
    token: Option<String>,
    access_token: Option<String>,
    /// Seconds. Some servers write it as a text, and a token is not to be lost for it.
    expires_in: Option<serde_json::Value>,
}

/// How long a token is good for when the server does not say.
const USUAL: f64 = 60.0;
/// A token that is good for longer is renewed all the same, at no cost to speak of.
const LONGEST_USE: f64 = 86_400.0;
/// Tokens are some kilobytes; the limit only keeps a wrong server from filling the memory.
const LONGEST_ANSWER: usize = 1 << 20;
/// Names this program to token servers.
const CLIENT: &str = "manifests";

/// Asks the token server for a token that covers `scopes`; without a credential, for an anonymous one.
pub(crate) async fn fetch(
    wire: &Wire,
    task: &Task,
    bearer: &Bearer,
    found: Option<&Found>,
    scopes: &Scopes,
) -> Result<Fetched, RegistryError> {
    let source = found.map(|found| found.source.as_str());
    if let Some(source) = source
        && !wire.may_send_credentials(&bearer.realm)
    {
        return Err(task
            .error(
                Kind::Unauthorized,
                format!(
                    "the registry wants the credentials sent to {}, which is neither TLS nor loopback nor declared \
                     with `plain-http`; they were not sent",
                    origin(&bearer.realm)
                ),
            )
            .with_credential(Some(source))
            .with_hint(format!(
                "if that is right, declare `plain-http = true` in [registry.\"{}\"]",
                authority(&bearer.realm)
            )));
    }
    let credential = found.map(|found| &found.credential);
    let first = ask(wire, task, bearer, source, &request(bearer, credential, scopes)).await;
    match (credential, first) {
        // Some token servers know refresh tokens and not the document that says how to send them.
        (Some(Credential::Identity(refresh)), Err(error)) if matches!(error.status(), Some(404 | 405)) => {
            let as_password = Credential::Password { name: String::new(), password: refresh.clone() };
            ask(wire, task, bearer, source, &request(bearer, Some(&as_password), scopes)).await
        }
        (_, first) => first,
    }
}

async fn ask(
    wire: &Wire,
    task: &Task,
    bearer: &Bearer,
    source: Option<&str>,
    request: &Request,
) -> Result<Fetched, RegistryError> {
    retrying(&wire.setup.retry_policy, &wire.setup.waits, RegistryError::is_temporary, || async {
        let sent = Instant::now();
        let response = wire.send(task, request, None).await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = wire.read(task, &request.method, response, LONGEST_ANSWER).await?;
        if !status.is_success() {
            let body = hide(body, request);
            let retry_after = retry_after(&headers, SystemTime::now());
            let answer = Answered { status, body: &body, retry_after, credential: source };
            let detail = format!("from the token server {}", origin(&bearer.realm));
            return Err(task.answered(&request.method, &answer).with_detail(detail));
        }
        read(&body, sent).ok_or_else(|| {
            task.error(Kind::Protocol, format!("{} answered without a token", origin(&bearer.realm)))
        })
    })
    .await
    // The request that needs the token is not the reason to ask for it once more.
    .map_err(RegistryError::lasting)
}

fn request(bearer: &Bearer, credential: Option<&Credential>, scopes: &Scopes) -> Request {
    let mut url = bearer.realm.clone();
    let mut headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("application/json"))]);
    if let Some(Credential::Identity(refresh)) = credential {
        // The scopes stand in one parameter here, and in one each below: so the two documents say.
        let scope = scopes.texts().join(" ");
        let mut form = vec![("grant_type", "refresh_token"), ("client_id", CLIENT), ("scope", &scope)];
        form.extend(bearer.service.as_deref().map(|service| ("service", service)));
        form.push(("refresh_token", refresh.reveal()));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        return Request { method: Method::POST, url, headers, body: Some(Bytes::from(encode(&form))) };
    }
    {
        let mut query = url.query_pairs_mut();
        if let Some(service) = &bearer.service {
            query.append_pair("service", service);
        }
        for scope in scopes.texts() {
            query.append_pair("scope", &scope);
        }
        if let Some((name, authorization)) = credential.and_then(Credential::basic) {
            if !name.is_empty() {
                query.append_pair("account", name);
            }
            query.append_pair("client_id", CLIENT);
            headers.insert(AUTHORIZATION, authorization);
        }
    }
    Request { method: Method::GET, url, headers, body: None }
}

/// What a token server says, without the secret that it was asked with.
fn hide(said: Bytes, request: &Request) -> Bytes {
    let header = request.headers.get(AUTHORIZATION);
    let form = request.body.as_deref().and_then(|body| std::str::from_utf8(body).ok()).unwrap_or_default();
    let refresh = Url::parse(&format!("http://localhost/?{form}")).ok().and_then(|url| {
        url.query_pairs().find(|(name, _)| name == "refresh_token").map(|(_, value)| value.into_owned())
    });
    hidden_bytes(said, header.into_iter().flat_map(secrets).chain(refresh))
}

/// As `application/x-www-form-urlencoded`.
fn encode(form: &[(&str, &str)]) -> String {
    // A URL's query is written in that format; the address itself plays no part.
    let pairs = Url::parse_with_params("http://localhost/", form);
    pairs.ok().and_then(|url| url.query().map(str::to_owned)).unwrap_or_default()
}

fn read(body: &[u8], sent: Instant) -> Option<Fetched> {
    let answer: Answer = go_json::from_slice(body).ok()?;
    // Either name, or both; some servers send one of them empty.
    let secret = [answer.token, answer.access_token].into_iter().flatten().find(|token| !token.is_empty())?;
    let said =
        answer.expires_in.and_then(|said| said.as_f64().or_else(|| said.as_str()?.trim().parse().ok()));
    let lasts = said.filter(|seconds| *seconds > 0.0).unwrap_or(USUAL).min(LONGEST_USE);
    // The last tenth is left to clocks and to requests under way.
    Some(Fetched { secret: Secret::new(secret), until: sent + Duration::from_secs_f64(lasts * 0.9) })
}

fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

#[cfg(test)]
mod tests {
    use super::super::scopes::Access;
    use super::*;

    #[test]
    fn requests_are_as_the_two_documents_say() {
        let realm = Url::parse("https://auth.corp/token?tenant=1").unwrap();
        let bearer = Bearer { realm, service: Some("registry.corp".to_owned()) };
        let mut scopes = Scopes::one("o/a", Access::Push);
        scopes.add("o/b", Access::Pull);

        let anonymous = request(&bearer, None, &scopes);
        assert_eq!(
            (anonymous.method, anonymous.url.query().unwrap()),
            (
                Method::GET,
                "tenant=1&service=registry.corp&scope=repository%3Ao%2Fa%3Apull%2Cpush&scope=repository%3Ao%2Fb%3Apull"
            )
        );
        assert!(!anonymous.headers.contains_key(AUTHORIZATION));

        let password = Credential::Password { name: "me".to_owned(), password: Secret::new("p") };
        let with_password = request(&bearer, Some(&password), &scopes);
        assert!(with_password.url.query().unwrap().contains("&account=me"));
        assert_eq!(with_password.headers[AUTHORIZATION], "Basic bWU6cA==");
        assert!(with_password.headers[AUTHORIZATION].is_sensitive());

        let identity = request(&bearer, Some(&Credential::Identity(Secret::new("r&f"))), &scopes);
        assert_eq!(
            (identity.method, identity.url.as_str()),
            (Method::POST, "https://auth.corp/token?tenant=1")
        );
        assert_eq!(
            identity.body.unwrap(),
            "grant_type=refresh_token&client_id=manifests&scope=repository%3Ao%2Fa%3Apull%2Cpush+repository%3Ao%2Fb%3Apull&service=registry.corp&refresh_token=r%26f"
        );
    }

    #[test]
    fn both_names_of_a_token_are_read_and_its_time_is_kept() {
        let sent = Instant::now();
        let until = |body: &str| read(body.as_bytes(), sent).map(|token| (token.until - sent).as_secs());
        assert_eq!(until(r#"{"token":"t","expires_in":300}"#), Some(270));
        assert_eq!(until(r#"{"access_token":"t"}"#), Some(54));
        assert_eq!(until(r#"{"token":"t","expires_in":"300"}"#), Some(270));
        for nonsense in
            ["0", "-5", "null", r#""soon""#, r#""""#, r#""-5""#, r#""NaN""#, "false", "[300]", "{}"]
        {
            assert_eq!(until(&format!(r#"{{"token":"t","expires_in":{nonsense}}}"#)), Some(54), "{nonsense}");
        }
        assert_eq!(until(r#"{"token":"t","expires_in":18446744073709551615}"#), Some(77_760));
        assert_eq!(until(r#"{"token":"t","expires_in":1e300}"#), Some(77_760));
        for either in [
            r#""token":"","access_token":"t""#,
            r#""token":null,"access_token":"t""#,
            r#""token":"t","access_token":"""#,
        ] {
            assert_eq!(until(&format!("{{{either},\"expires_in\":300}}")), Some(270), "{either}");
        }
        // When a token was made is not counted with: clocks differ.
        for made in
            [r#""""#, "null", "0", r#""yesterday""#, r#""0001-01-01T00:00:00Z""#, r#""9999-12-31T23:59:59Z""#]
        {
            let answer = format!(r#"{{"token":"t","expires_in":300,"issued_at":{made}}}"#);
            assert_eq!(until(&answer), Some(270), "{made}");
        }
        assert_eq!(until(r#"{"token":"t","expires_in":" 300 "}"#), Some(270));
        assert_eq!(until(r#"{"token":"t","expires_in":"inf"}"#), Some(77_760));
        assert_eq!(until(r#"{"token":"","access_token":""}"#), None);
        assert_eq!(until(r#"{"token":null}"#), None);
        assert_eq!(until(""), None);
        assert_eq!(until(r#"{"details":"denied"}"#), None);
        assert_eq!(until("<html>"), None);
    }
}
