//! Pushes through the engine, and finds out what it pushed before.

use anyhow::Result;

use super::build::indent;
use super::{Engine, Lines};
use crate::digest::Digest;
use crate::error::Failure;
use crate::reference::{Reference, Repository};

/// What a push reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// The digest of the manifest that the registry took.
    pub digest: Digest,
}

impl Engine {
    /// `docker push REF`.
    ///
    /// # Errors
    ///
    /// The push fails: the error shows all that it wrote. Or it does not say under which digest.
    pub async fn push(&self, reference: &Reference, lines: Lines) -> Result<Pushed> {
        let text = reference.to_string();
        let finished = self.stream(vec!["push".into(), text.clone().into()], lines).await?;
        if !finished.success {
            let failure = Failure::new(format!(
                "the push of {text} ended with {}; its output:\n{}",
                finished.status,
                indent(&finished.output)
            ));
            return Err(failure.hint(hint(&finished.output, reference)).into());
        }
        match reported_digest(&finished.output) {
            Some(digest) => Ok(Pushed { digest }),
            None => Err(Failure::new(format!(
                "the push of {text} ended well, but does not say under which digest:\n{}",
                indent(&finished.output)
            ))
            .into()),
        }
    }

    /// The digest under which the engine remembers having pushed or pulled this image in `repository`.
    ///
    /// # Errors
    ///
    /// The engine cannot be asked.
    pub async fn recorded_digest(&self, image_id: &str, repository: &Repository) -> Result<Option<Digest>> {
        let asked = self.capture(&["image", "inspect", "--format", "{{json .RepoDigests}}", image_id]).await?;
        if !asked.success {
            return Ok(None);
        }
        let recorded: Vec<String> = serde_json::from_str(asked.stdout.trim()).unwrap_or_default();
        let references = recorded.iter().filter_map(|text| text.parse::<Reference>().ok());
        Ok(references.filter(|reference| reference.repository == *repository).find_map(|reference| reference.digest))
    }
}

/// The digest in a push's last words: `TAG: digest: sha256:… size: N`.
fn reported_digest(output: &str) -> Option<Digest> {
    output.lines().rev().find_map(|line| {
        let (_, rest) = line.split_once("digest: ")?;
        rest.split_whitespace().next()?.parse().ok()
    })
}

fn hint(output: &str, reference: &Reference) -> String {
    let host = &reference.repository.host;
    let output = output.to_ascii_lowercase();
    let any = |words: &[&str]| words.iter().any(|word| output.contains(word));
    if any(&["unauthorized", "authentication required", "denied", "no basic auth credentials"]) {
        return format!("`docker login {host}` with an account that may push to {}", reference.repository);
    }
    if any(&["server gave http response to https client", "x509", "certificate"]) {
        return format!("the engine has its own settings for {host}: `doctor` names the one to change");
    }
    format!("is {host} up and reachable from the engine's daemon? `doctor` looks")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_in_the_last_words_of_a_push() {
        let digest = Digest::of(b"x");
        for output in [
            format!("The push refers to repository [x]\nabc: Pushed\n1: digest: {digest} size: 528\n"),
            format!("abc: Layer already exists\nlatest: digest: {digest} size: 528"),
            format!("1: digest: {digest} size: 528\n\ni Info → Not all multiplatform-content is present\n"),
        ] {
            assert_eq!(reported_digest(&output), Some(digest.clone()));
        }
        assert_eq!(reported_digest("abc: Pushed\n"), None);
        assert_eq!(reported_digest("1: digest: sha256:123 size: 1"), None);
    }
}
