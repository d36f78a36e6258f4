//! Patterns as parts of paths: `a/*.txt`, `**/name`, `folder/**`.

use super::{Token, take};

/// Parts before and after a `**` that stands for itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Parts {
    head: Vec<Vec<Token>>,
    /// What follows any number of folders, if there are any.
    tail: Option<Vec<Vec<Token>>>,
    /// Whether something has to follow in the end: `a/**`.
    goes_on: bool,
}

impl Parts {
    /// The parts of a pattern; `None` where a token may reach over a slash within a part.
    pub(super) fn of(tokens: &[Token]) -> Option<Self> {
        let mut parts = Self { head: Vec::new(), tail: None, goes_on: false };
        let mut part = Vec::new();
        let mut tokens = tokens.iter().peekable();
        let mut at_start = true;
        while let Some(token) = tokens.next() {
            match token {
                Token::Char('/') => {
                    parts.push(std::mem::take(&mut part));
                    at_start = true;
                    continue;
                }
                Token::MaybeFolders if at_start && parts.tail.is_none() && tokens.peek().is_some() => {
                    // Its other half.
                    tokens.next();
                    parts.tail = Some(Vec::new());
                    continue;
                }
                Token::Rest if at_start && tokens.peek().is_none() => {
                    parts.goes_on = true;
                    return Some(parts);
                }
                Token::MaybeFolders | Token::Folders | Token::Rest | Token::Class { negated: true, .. } => {
                    return None;
                }
                token => part.push(token.clone()),
            }
            at_start = false;
        }
        parts.push(part);
        Some(parts)
    }

    fn push(&mut self, part: Vec<Token>) {
        self.tail.as_mut().unwrap_or(&mut self.head).push(part);
    }

    /// Whether `path` is meant; see [`super::Pattern::matches_within`].
    pub(super) fn matches(&self, path: &str, steps: &mut u64) -> bool {
        if !take(steps, 1) {
            return false;
        }
        let mut rest = Some(path);
        for part in &self.head {
            let Some(text) = rest else { return false };
            let (first, after) = match text.split_once('/') {
                Some((first, after)) => (first, Some(after)),
                None => (text, None),
            };
            if !part_matches(part, first, steps) {
                return false;
            }
            rest = after;
        }
        match (&self.tail, rest) {
            (None, rest) => rest.is_some() == self.goes_on,
            (Some(_), None) => false,
            (Some(tail), Some(rest)) => self.tail_matches(tail, rest, steps),
        }
    }

    fn tail_matches(&self, tail: &[Vec<Token>], rest: &str, steps: &mut u64) -> bool {
        let count = rest.split('/').count();
        let more = usize::from(self.goes_on);
        let Some(last) = count.checked_sub(tail.len() + more) else { return false };
        let first = if self.goes_on { 0 } else { last };
        (first..=last).any(|start| {
            tail.iter().zip(rest.split('/').skip(start)).all(|(part, text)| part_matches(part, text, steps))
        })
    }
}

/// Whether one part is meant. Of several stars only the last one is ever tried anew: what those before it take is as little
/// as they can.
fn part_matches(part: &[Token], text: &str, steps: &mut u64) -> bool {
    let (mut at, mut rest) = (0, text.chars());
    let mut star = None;
    loop {
        if !take(steps, 1) {
            return false;
        }
        if part.get(at) == Some(&Token::Star) {
            at += 1;
            star = Some((at, rest.clone()));
            continue;
        }
        let mut after = rest.clone();
        match (part.get(at), after.next()) {
            (None, None) => return true,
            (Some(token), Some(c)) if token.is(c) => {
                at += 1;
                rest = after;
                continue;
            }
            // Nothing is left that a star could give back.
            (Some(_), None) => return false,
            _ => {}
        }
        let Some((behind, taken)) = &mut star else { return false };
        if taken.next().is_none() {
            return false;
        }
        at = *behind;
        rest = taken.clone();
    }
}
