//! The proxies of the environment, as the Go programs of this field use them (`golang.org/x/net/http/httpproxy`).

use std::env;

use hyper_util::client::proxy::matcher::Matcher;
use reqwest::{ClientBuilder, NoProxy, Proxy, Url};

use super::wire::authority;
use crate::model::reference::host_is_loopback;

/// Where a request went in place of the registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Used {
    /// Host and port, without credentials.
    pub(crate) address: String,
    /// The variable that names it; `None` where the system's settings do.
    pub(crate) variable: Option<&'static str>,
}

impl Used {
    /// What is said of a connection for `url` that the proxy did not bring about, and the way out.
    pub(crate) fn failed(&self, url: &Url, why: &str) -> (String, Option<String>) {
        // `NO_PROXY` takes names without ports.
        let (host, name) = (authority(url), url.host_str().unwrap_or_default());
        let source = match self.variable {
            Some(variable) => format!("`{variable}`"),
            None => "the system's settings".to_owned(),
        };
        (
            format!("the proxy {} of {source} gives no connection to {host}: {why}", self.address),
            Some(format!("is {source} right, and does the proxy run? `NO_PROXY={name}` goes without it")),
        )
    }
}

/// The variables that count for a scheme, the most important first.
fn variables(scheme: &str) -> [&'static str; 4] {
    match scheme {
        "http" => ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"],
        _ => ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"],
    }
}

fn declared(scheme: &str) -> Option<(&'static str, String)> {
    let set = variables(scheme).into_iter().filter_map(|name| Some((name, env::var(name).ok()?)));
    set.into_iter().find(|(_, value)| !value.trim().is_empty())
}

/// The proxy that a request to `url` goes through.
pub(crate) fn used(url: &Url) -> Option<Used> {
    if host_is_loopback(&authority(url)) {
        return None;
    }
    let found = Matcher::from_system().intercept(&url.as_str().parse().ok()?)?;
    let address = found.uri().authority()?.to_string();
    Some(Used { address, variable: declared(url.scheme()).map(|(name, _)| name) })
}

/// Sets `builder` up for the environment's proxies; `plain`: for requests without TLS alone.
///
/// # Errors
///
/// A variable holds something else than a proxy's address: without it, requests would go out directly. The error does
/// not show the value, in which there may be a password.
pub(crate) fn apply(mut builder: ClientBuilder, plain: bool) -> Result<ClientBuilder, String> {
    let schemes = if plain { &["http"][..] } else { &["http", "https"] };
    let mut found = Vec::new();
    for &scheme in schemes {
        let Some((name, value)) = declared(scheme) else { continue };
        if (scheme == "https" || plain) && !is_understood(&value) {
            return Err(format!("`{name}` does not hold the address of a proxy, as in http://HOST:PORT"));
        }
        found.push((scheme, value));
    }
    // The client reads the same variables by itself.
    if !found.iter().any(|(_, value)| resolved_there(value).is_some()) {
        return Ok(builder);
    }
    for (scheme, value) in found {
        let address = resolved_there(&value).unwrap_or(value);
        let proxy = if scheme == "http" { Proxy::http(address) } else { Proxy::https(address) };
        let Ok(proxy) = proxy else { continue };
        builder = builder.proxy(proxy.no_proxy(NoProxy::from_env()));
    }
    Ok(builder)
}

fn is_understood(value: &str) -> bool {
    let matcher = Matcher::builder().all(value.to_owned()).build();
    let found = "https://host.invalid/".parse().ok().and_then(|uri| matcher.intercept(&uri));
    found.is_some_and(|found| Url::parse(&found.uri().to_string()).is_ok())
}

/// The address of a SOCKS 5 proxy so that the proxy resolves names. Go's client leaves that to the proxy under either
/// name, ours only under `socks5h`: a registry behind the proxy may have a name there alone.
fn resolved_there(value: &str) -> Option<String> {
    let rest = value.trim().strip_prefix("socks5").and_then(|rest| rest.strip_prefix('h').or(Some(rest)))?;
    let mut address = Url::parse(&format!("socks5h{rest}")).ok()?;
    if address.port().is_none() {
        // RFC 1928, 3.
        address.set_port(Some(1080)).ok()?;
    }
    Some(address.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_proxies() {
        for value in [
            "http://p:3128",
            "p:3128",
            "https://p",
            "http://me:p%40ss@p:3128/",
            "socks5://p",
            "socks5h://me:p@p:9",
            "socks4://p:1",
        ] {
            assert!(is_understood(value), "{value}");
        }
        for value in ["http://us er:p@p:3128", "ftp://p", "http://", "socks6://p:1", "p:port"] {
            assert!(!is_understood(value), "{value}");
        }
    }

    #[test]
    fn socks_5_resolves_names_at_the_proxy() {
        for (value, expected) in [
            ("http://p:3128", None),
            ("socks4://p:1", None),
            ("socks5://p:9050", Some("socks5h://p:9050")),
            ("socks5h://p:9050", Some("socks5h://p:9050")),
            ("socks5://me:s%40@p", Some("socks5h://me:s%40@p:1080")),
            ("socks5://[::1]:9050", Some("socks5h://[::1]:9050")),
        ] {
            assert_eq!(resolved_there(value).as_deref(), expected, "{value}");
        }
    }
}
