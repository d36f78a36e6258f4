//! Pushes through the engine.

use anyhow::Result;

use super::{Engine, indent};
use crate::children::Lines;
use crate::error::Failure;
use crate::model::digest::Digest;
use crate::model::reference::Reference;

/// What a push reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// The digest of the manifest that the registry took.
    pub digest: Digest,
    /// Its length in bytes, when the engine said it.
    pub size: Option<u64>,
}

impl Engine {
    /// Fetches the image behind a reference by digest; every line goes to `lines`. Gives what the engine knows it by.
    ///
    /// # Errors
    ///
    /// The engine cannot fetch it: it has credentials and TLS settings of its own.
    pub async fn pull(&self, reference: &Reference, lines: Lines) -> Result<String> {
        let ended = self.command(["pull", &reference.to_string()]).lines(lines).abridged().merged().await?;
        if !ended.success {
            let output = indent(&ended.stdout);
            return Err(Failure::new(format!("could not pull {reference} with the engine:\n{output}"))
                .hint(hint(&ended.stdout, reference))
                .into());
        }
        match self.inspect(&reference.to_string()).await? {
            Some(image) => Ok(image.id.to_string()),
            None => {
                let lost = "the pull ended well, but the engine does not hold the image";
                Err(Failure::new(format!("could not pull {reference} with the engine: {lost}")).into())
            }
        }
    }

    /// Takes a name away that [`Engine::pull`] gave. An image that stays takes room, nothing else.
    pub async fn forget(&self, reference: &Reference) {
        let _ = self.command(["image", "rm", &reference.to_string()]).abridged().merged().await;
    }

    /// `docker push REF`.
    ///
    /// # Errors
    ///
    /// The push fails: the error shows what it wrote. Or nothing says under which digest it was.
    pub async fn push(&self, reference: &Reference, lines: Lines) -> Result<Pushed> {
        let text = reference.to_string();
        if reference.digest.is_some() {
            return Err(Failure::new(format!("could not push {text}: an engine pushes tags, not digests"))
                .hint("leave the digest out of `image`")
                .into());
        }
        let ended = self.command(["push", &text]).lines(lines).abridged().merged().await?;
        if !ended.success {
            let output = indent(&ended.stdout);
            let failure = Failure::new(format!("the push of {text} ended with {}:\n{output}", ended.status));
            return Err(failure.hint(hint(&ended.stdout, reference)).into());
        }
        if let Some(pushed) = reported(&ended.stdout) {
            return Ok(pushed);
        }
        // One record can only be of this push; of several, nothing says which.
        let mut recorded = self.recorded_digests(&text, &reference.repository).await?;
        match (recorded.pop(), recorded.is_empty()) {
            (Some(digest), true) => Ok(Pushed { digest, size: None }),
            _ => Err(Failure::new(format!(
                "the push of {text} ended well, but neither it nor the engine says under which digest:\n{}",
                indent(&ended.stdout)
            ))
            .into()),
        }
    }
}

/// The digest and size in a push's last words: `TAG: digest: sha256:… size: N`. Pure.
fn reported(output: &str) -> Option<Pushed> {
    output.lines().rev().find_map(|line| {
        let (_, rest) = line.split_once(": digest: ")?;
        let mut words = rest.split_whitespace();
        let digest = words.next()?.parse().ok()?;
        let size = words.skip_while(|word| *word != "size:").nth(1).and_then(|size| size.parse().ok());
        Some(Pushed { digest, size })
    })
}

/// The way out of failures that have one well-known cause; only the hint depends on what the engine says.
fn hint(output: &str, reference: &Reference) -> String {
    let host = &reference.repository.host;
    let output = output.to_ascii_lowercase();
    let any = |words: &[&str]| words.iter().any(|word| output.contains(word));
    if any(&["server gave http response to https client", "x509", "certificate", "tls:"]) {
        return format!("the engine has its own settings for {host}: `doctor` names the one to change");
    }
    if any(&["unauthorized", "authentication required", "denied", "no basic auth credentials", "forbidden"]) {
        return format!("`docker login {host}` with an account that may push to {}", reference.repository);
    }
    if any(&["does not exist locally", "tag does not exist"]) {
        return format!("the engine holds no image {reference}: `build` makes it");
    }
    format!("is {host} up, and reachable from the engine's daemon? `doctor` looks")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_in_the_last_words_of_a_push() {
        let digest = Digest::of(b"x");
        let other = Digest::of(b"y");
        for (output, size) in [
            // 20.10
            (
                format!("The push refers to repository [x]\nabc: Pushed\n1: digest: {digest} size: 528\n"),
                Some(528),
            ),
            // Nothing new to send.
            (format!("abc: Layer already exists\nlatest: digest: {digest} size: 528"), Some(528)),
            // 28 with the containerd image store, of an image whose other platforms are not here.
            (
                format!(
                    "1: digest: {digest} size: 528\n\ni Info → Not all multiplatform-content is present and only the \
                     available single-platform image was pushed\n         {other} -> {digest}\n"
                ),
                Some(528),
            ),
            // podman's stand-in says no size.
            (format!("1: digest: {digest}\n"), None),
        ] {
            assert_eq!(reported(&output), Some(Pushed { digest: digest.clone(), size }), "{output}");
        }
        assert_eq!(reported("abc: Pushed\n"), None);
        assert_eq!(reported("1: digest: sha256:123 size: 1"), None);
    }

    #[test]
    fn well_known_failures_come_with_their_way_out() {
        let reference: Reference = "r.corp:5000/app:1".parse().unwrap();
        for (output, expected) in [
            (
                "unauthorized: authentication required",
                "`docker login r.corp:5000` with an account that may push to",
            ),
            ("denied: requested access to the resource is denied", "`docker login"),
            (
                "Get \"https://r.corp:5000/v2/\": http: server gave HTTP response to HTTPS client",
                "the engine has its own",
            ),
            ("x509: certificate signed by unknown authority", "the engine has its own"),
            ("An image does not exist locally with the tag: r.corp:5000/app", "the engine holds no image"),
            ("dial tcp 10.0.0.1:5000: connect: connection refused", "is r.corp:5000 up"),
        ] {
            assert!(hint(output, &reference).starts_with(expected), "{output}: {}", hint(output, &reference));
        }
    }
}
