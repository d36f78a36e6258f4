//! What a run says of images that were pushed although others failed.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::sync::{Mutex, PoisonError};

use crate::error::{Exit, Failure, exit_of, render};
use crate::model::digest::Digest;
use crate::model::reference::Reference;

/// The images that were sent under tags of their own, by what they are known as; without a digest where the push has begun
/// and has not ended.
#[derive(Debug, Default)]
pub(crate) struct Pushes(Mutex<BTreeMap<String, Option<Digest>>>);

impl Pushes {
    /// The push to `reference` begins: from now on it may serve the image.
    pub(super) fn begin(&self, reference: &Reference) {
        self.note(reference, None);
    }

    /// The registry took it.
    pub(super) fn end(&self, reference: &Reference, digest: &Digest) {
        self.note(reference, Some(digest.clone()));
    }

    fn note(&self, reference: &Reference, digest: Option<Digest>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(reference.to_string(), digest);
    }
}

impl fmt::Display for Pushes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pushes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if pushes.is_empty() {
            return f.write_str("nothing was published");
        }
        f.write_str("nothing was published but images under tags of their own:")?;
        for (reference, digest) in pushes.iter() {
            match digest {
                Some(digest) => write!(f, "\n  pushed: {reference} {}", digest.short())?,
                None => write!(f, "\n  perhaps pushed: {reference}")?,
            }
        }
        Ok(())
    }
}

/// One error out of those of several platforms: what each says, the hints of all, and what was pushed by the others.
pub(crate) fn all_failures(
    failures: Vec<(String, anyhow::Error)>,
    of: usize,
    pushes: &Pushes,
) -> anyhow::Error {
    let names: Vec<&str> = failures.iter().map(|(name, _)| name.as_str()).collect();
    let summary = format!("{} of {of} images failed: {}", failures.len(), names.join(", "));
    let exit = failures.first().map_or(Exit::Failed, |(_, error)| exit_of(error));
    let mut details = String::new();
    for (name, error) in &failures {
        let _ = write!(details, "\n{name}:\n{}", render(error).trim_end().replace('\n', "\n  "));
    }
    Failure::new(format!("{summary}; {pushes}{details}")).exit(exit).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_pushed_is_named() {
        let reference = |arch: &str| -> Reference { format!("r.corp/app:1-{arch}").parse().unwrap() };
        let failed = || vec![("linux/arm64".to_owned(), anyhow::Error::from(Failure::new("no luck")))];
        let digest = Digest::of(b"x");
        let pushes = Pushes::default();
        let message = |pushes: &Pushes| all_failures(failed(), 2, pushes).to_string();
        let rest = "\nlinux/arm64:\nerror: no luck";
        let first = "1 of 2 images failed: linux/arm64";
        assert_eq!(message(&pushes), format!("{first}; nothing was published{rest}"));
        let but = "nothing was published but images under tags of their own:";
        pushes.begin(&reference("amd64"));
        let begun = "perhaps pushed: r.corp/app:1-amd64";
        assert_eq!(message(&pushes), format!("{first}; {but}\n  {begun}{rest}"));
        pushes.end(&reference("amd64"), &digest);
        let ended = format!("pushed: r.corp/app:1-amd64 {}", digest.short());
        assert_eq!(message(&pushes), format!("{first}; {but}\n  {ended}{rest}"));
    }
}
