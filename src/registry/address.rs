//! Addresses that a registry names, in `Location`, `Link` and the realm of a challenge: all are read here.

use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderValue, LINK, LOCATION};

use super::wire::{authority, path_and_query};

/// The address that an answer from `from` names as `text`. `base` is where the registry is reached.
///
/// A registry behind a TLS proxy often names itself with `http://`, with the port that it listens on, or with none: such
/// an address is read as `base`. Every other step from TLS to plain HTTP is refused.
///
/// # Errors
///
/// What is wrong with the address, for a person. The query is left out: it may be a signature.
pub(crate) fn named(base: &Url, from: &Url, text: &str) -> Result<Url, String> {
    let text = text.trim();
    let shown = text.split('?').next().unwrap_or_default();
    if text.is_empty() {
        return Err("an empty address".to_owned());
    }
    let mut url = from.join(text).map_err(|error| format!("`{shown}`, which is not an address: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(format!("`{shown}`, which is not an HTTP address"));
    }
    url.set_fragment(None);
    // A server does not choose the credentials that it is asked with. Only an address without a host refuses this.
    let _ = (url.set_username(""), url.set_password(None));
    if url.scheme() == "http" && from.scheme() == "https" {
        if !is_behind(base, &url) {
            return Err(format!("http://{}, and plain HTTP after TLS is refused", authority(&url)));
        }
        url = base.join(&path_and_query(&url)).map_err(|error| error.to_string())?;
    }
    Ok(url)
}

/// Whether `url`, in plain HTTP, is the registry at `base` as it knows itself behind a TLS proxy.
fn is_behind(base: &Url, url: &Url) -> bool {
    let own_port = url.port().is_none() || url.port_or_known_default() == base.port_or_known_default();
    base.scheme() == "https"
        && url.host_str() == base.host_str()
        // Something else on another port of the same host may not be the registry, unless the path is of its API.
        && (own_port || url.path().starts_with("/v2/"))
}

/// `Location`, if there is one.
///
/// # Errors
///
/// It is not text.
pub(crate) fn location(headers: &HeaderMap) -> Result<Option<&str>, String> {
    headers.get(LOCATION).map(text_of).transpose()
}

/// The next page's address in the `Link` headers of an answer, as it stands there; `None` when this page is the last.
///
/// Besides RFC 8288's form (distribution-spec, "Listing Tags") it reads what registries have been seen to send: no angle
/// brackets (Quay), no `rel`. A link that cannot be read is an error and not the end: what follows is not known then.
///
/// # Errors
///
/// What is wrong with the links, for a person.
pub(crate) fn next(headers: &HeaderMap) -> Result<Option<&str>, String> {
    let mut next = None;
    for value in headers.get_all(LINK) {
        let mut rest = text_of(value)?.trim();
        while !rest.is_empty() {
            let (link, after) = Link::read(rest)?;
            rest = after.trim_start_matches([',', ' ', '\t']);
            if !link.is_next {
                continue;
            }
            if next.is_some_and(|known| known != link.target) {
                return Err("two different next pages".to_owned());
            }
            next = Some(link.target);
        }
    }
    Ok(next)
}

fn text_of(value: &HeaderValue) -> Result<&str, String> {
    std::str::from_utf8(value.as_bytes()).map_err(|_| "an address that is not text".to_owned())
}

struct Link<'a> {
    target: &'a str,
    is_next: bool,
}

impl<'a> Link<'a> {
    /// The first link in `text`, which is not empty, and what follows it.
    fn read(text: &'a str) -> Result<(Self, &'a str), String> {
        let (target, mut rest) = match text.strip_prefix('<') {
            Some(inner) => inner.split_once('>').ok_or("a link without its closing `>`")?,
            None => text.split_at(bare_end(text)),
        };
        let target = target.trim();
        let is_odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '<' | '>' | '"' | '\\');
        if target.is_empty() || target.contains(is_odd) {
            return Err("a link whose address cannot be read".to_owned());
        }
        // Without a relation it can only be the next page: there is nothing else that a registry would link to.
        let (mut names_relation, mut is_next) = (false, false);
        loop {
            rest = rest.trim_start();
            let Some(parameter) = rest.strip_prefix(';') else { break };
            let (name, value, after) = parameter_in(parameter)?;
            rest = after;
            if name.eq_ignore_ascii_case("rel") && !value.trim().is_empty() {
                names_relation = true;
                is_next |= value.split_whitespace().any(|relation| relation.eq_ignore_ascii_case("next"));
            }
        }
        if !rest.is_empty() && !rest.starts_with(',') {
            return Err("a link with something behind it that cannot be read".to_owned());
        }
        Ok((Self { target, is_next: is_next || !names_relation }, rest))
    }
}

/// Where an address without angle brackets ends: at its parameters, or at the next link. It may hold a comma itself.
fn bare_end(text: &str) -> usize {
    let ends = |(at, c): (usize, char)| match c {
        ';' => Some(at),
        ',' => text[at + 1..].starts_with([' ', '\t', '<']).then_some(at),
        _ => None,
    };
    text.char_indices().find_map(ends).unwrap_or(text.len())
}

/// Name and value of the parameter that `text` begins with, and what follows it.
fn parameter_in(text: &str) -> Result<(&str, &str, &str), String> {
    let name_end = text.find(['=', ';', ',']).unwrap_or(text.len());
    let (name, rest) = text.split_at(name_end);
    let Some(value) = rest.strip_prefix('=') else { return Ok((name.trim(), "", rest)) };
    let value = value.trim_start();
    if let Some(quote) = value.chars().next().filter(|c| matches!(c, '"' | '\'')) {
        let inner = &value[1..];
        let end = inner.find(quote).ok_or("a link with a quotation that does not end")?;
        return Ok((name.trim(), &inner[..end], &inner[end + 1..]));
    }
    let end = value.find([';', ',']).unwrap_or(value.len());
    Ok((name.trim(), value[..end].trim(), &value[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links(values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (LINK, HeaderValue::from_bytes(value.as_bytes()).unwrap())).fold(
            HeaderMap::new(),
            |mut map, (name, value)| {
                map.append(name, value);
                map
            },
        )
    }

    #[test]
    fn the_next_page_is_found_in_every_form_or_the_links_are_an_error() {
        let page = Ok(Some("/v2/a/tags/list?n=2&last=b"));
        let n = Ok(Some("n"));
        let wrong = Err(());
        for (values, expected) in [
            (&[][..], Ok(None)),
            (&[""], Ok(None)),
            (&[r#"</v2/a/tags/list?n=2&last=b>; rel="next""#], page),
            (&[r#"/v2/a/tags/list?n=2&last=b; rel="next""#], page),
            (&["</v2/a/tags/list?n=2&last=b>"], page),
            (&["/v2/a/tags/list?n=2&last=b"], page),
            (&["</v2/a/tags/list?n=2&last=b>; REL = 'Next' "], page),
            (&["<n>;rel=next"], n),
            (&["<n>;rel=next;title=x"], n),
            (&["<n>; type=\"a/b\""], n),
            (&["<n>; rel=\"\""], n),
            (&["<n>; rel"], n),
            (&[r#"<p>; rel="prev", <n>; title="a, b; rel=prev"; rel="last next""#], n),
            (&[r#"p; rel="prev", n; rel="next""#], n),
            (&["<p>; rel=prev", "<n>; rel=next"], n),
            (&["<n>; rel=next", "<n>; rel=next"], n),
            (&["a?last=x,y; rel=next"], Ok(Some("a?last=x,y"))),
            (&["<a?last=x,y;z>; rel=next"], Ok(Some("a?last=x,y;z"))),
            (&[r#"<p>; rel="prev""#], Ok(None)),
            (&["<p>; rel=prev, <f>; rel=first"], Ok(None)),
            (&["<n>; rel=next, <m>; rel=next"], wrong),
            (&["<n>; rel=next", "<m>"], wrong),
            (&["<n; rel=next"], wrong),
            (&["<>; rel=next"], wrong),
            (&["; rel=next"], wrong),
            (&["<n>; rel=\"next"], wrong),
            (&["<n> rel=next"], wrong),
            (&["a b; rel=next"], wrong),
            (&["<a\\u0026b>; rel=next"], wrong),
        ] {
            let headers = links(values);
            assert_eq!(next(&headers).map_err(drop), expected, "{values:?}");
        }
        let mut headers = HeaderMap::new();
        headers.insert(LINK, HeaderValue::from_bytes(b"<\xff>; rel=next").unwrap());
        assert!(next(&headers).is_err());
    }

    #[test]
    fn an_address_is_read_as_the_registry_is_reached() {
        let tls = "https://r.corp/v2/a/tags/list?n=1";
        for (base, from, text, expected) in [
            // As it stands.
            ("https://r.corp/", tls, "/v2/a/tags/list?last=b", Some("https://r.corp/v2/a/tags/list?last=b")),
            ("https://r.corp/", tls, "list?last=b", Some("https://r.corp/v2/a/tags/list?last=b")),
            ("https://r.corp/", tls, " ?last=b ", Some("https://r.corp/v2/a/tags/list?last=b")),
            ("https://r.corp/", tls, "https://r.corp/x#f", Some("https://r.corp/x")),
            ("https://r.corp/", tls, "https://u:p@r.corp/x", Some("https://r.corp/x")),
            ("https://r.corp/", tls, "//cdn.corp/x", Some("https://cdn.corp/x")),
            ("https://r.corp/", tls, "https://cdn.corp:8443/x", Some("https://cdn.corp:8443/x")),
            ("http://r.corp/", "http://r.corp/v2/", "http://cdn.corp/x", Some("http://cdn.corp/x")),
            ("http://r.corp/", "http://r.corp/v2/", "https://r.corp/x", Some("https://r.corp/x")),
            // Behind TLS without knowing it.
            ("https://r.corp/", tls, "http://r.corp/v2/x?a=b", Some("https://r.corp/v2/x?a=b")),
            ("https://r.corp/", tls, "http://R.corp:80/x", Some("https://r.corp/x")),
            ("https://r.corp/", tls, "http://r.corp:443/x", Some("https://r.corp/x")),
            ("https://r.corp/", tls, "http://r.corp:5000/v2/x", Some("https://r.corp/v2/x")),
            (
                "https://r.corp:5443/",
                "https://r.corp:5443/v2/",
                "http://r.corp/v2/x",
                Some("https://r.corp:5443/v2/x"),
            ),
            (
                "https://r.corp:5443/",
                "https://r.corp:5443/v2/",
                "http://r.corp:5443/x",
                Some("https://r.corp:5443/x"),
            ),
            ("https://[::1]:5/", "https://[::1]:5/v2/", "http://[::1]:5/v2/x", Some("https://[::1]:5/v2/x")),
            ("https://r.corp/", "https://cdn.corp/x", "http://r.corp/v2/x", Some("https://r.corp/v2/x")),
            // From TLS to plain HTTP elsewhere, and what is no address.
            ("https://r.corp/", tls, "http://cdn.corp/v2/x", None),
            ("https://r.corp/", tls, "http://r.corp:9000/bucket/x", None),
            ("http://r.corp/", "https://cdn.corp/x", "http://r.corp/v2/x", None),
            ("https://r.corp/", tls, "", None),
            ("https://r.corp/", tls, "ftp://r.corp/x", None),
            ("https://r.corp/", tls, "r.corp:5000/v2/x", None),
            ("https://r.corp/", tls, "https://", None),
        ] {
            let found = named(&base.parse().unwrap(), &from.parse().unwrap(), text);
            assert_eq!(found.as_ref().ok().map(Url::as_str), expected, "{base} {from} {text}: {found:?}");
        }
        let error = named(&tls.parse().unwrap(), &tls.parse().unwrap(), "ftp://x/?secret").unwrap_err();
        assert!(!error.contains("secret"), "{error}");
    }
}
