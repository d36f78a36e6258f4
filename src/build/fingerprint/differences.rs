//! What is not as it was. Pure.

use std::fmt;

use super::{Input, Inputs};

/// An input that is not as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// It came.
    Added(Input),
    /// It went.
    Removed(Input),
    /// It is another.
    Changed(Input),
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Added(input) => write!(f, "{input} is new"),
            Self::Removed(input) => write!(f, "{input} is gone"),
            Self::Changed(input @ Input::Base(_)) => write!(f, "{input} has moved"),
            Self::Changed(input) => write!(f, "{input} has changed"),
        }
    }
}

impl Inputs {
    /// What differs from `before`, in the order of inputs.
    pub fn since(&self, before: &Self) -> Vec<Difference> {
        let mut differences = Vec::new();
        for (input, value) in &self.0 {
            match before.0.get(input) {
                None => differences.push(Difference::Added(input.clone())),
                Some(old) if old != value => differences.push(Difference::Changed(input.clone())),
                Some(_) => {}
            }
        }
        let gone = before.0.keys().filter(|input| !self.0.contains_key(input));
        differences.extend(gone.cloned().map(Difference::Removed));
        differences
    }
}

/// `differences` in a few words: the first ones, and how many there are.
pub fn summary(differences: &[Difference]) -> String {
    const SHOWN: usize = 3;
    let shown: Vec<String> = differences.iter().take(SHOWN).map(Difference::to_string).collect();
    let text = shown.join(", ");
    match differences.len().saturating_sub(SHOWN) {
        0 => text,
        more => format!("{text} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changed_is_named() {
        let before: Inputs = [
            (Input::Path("a".to_owned()), "1".to_owned()),
            (Input::Path("b".to_owned()), "1".to_owned()),
            (Input::Base("docker.io/library/alpine:3".to_owned()), "x".to_owned()),
        ]
        .into_iter()
        .collect();
        assert_eq!(before.since(&before), []);
        let after: Inputs = [
            (Input::Path("a".to_owned()), "2".to_owned()),
            (Input::Path("c".to_owned()), "1".to_owned()),
            (Input::Base("docker.io/library/alpine:3".to_owned()), "y".to_owned()),
        ]
        .into_iter()
        .collect();
        let differences = after.since(&before);
        assert_eq!(
            summary(&differences),
            "a has changed, c is new, base docker.io/library/alpine:3 has moved and 1 more"
        );
        assert_eq!(summary(&differences[3..]), "b is gone");
    }
}
