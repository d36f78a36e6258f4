//! `.dockerignore` (moby/patternmatcher, `ignorefile` and `MatchesOrParentMatches`).

use super::pattern::{Pattern, PatternError};
use crate::inner_path::clean;

/// What a context leaves out. The last pattern that meets a path, or a folder that it is in, decides.
#[derive(Clone, Debug, Default)]
pub struct Ignore {
    rules: Vec<Rule>,
}

#[derive(Clone, Debug)]
struct Rule {
    pattern: Pattern,
    text: String,
    /// Behind a `!`: what it meets is taken after all.
    taken: bool,
}

impl Ignore {
    /// Reads the file's text.
    ///
    /// # Errors
    ///
    /// A line that is no pattern: no engine would build.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let text = text.trim_start_matches('\u{feff}');
        let lines = text.lines().filter(|line| !line.starts_with('#')).map(str::trim);
        let rules = lines.filter(|line| !line.is_empty()).map(rule).collect::<Result<_, _>>()?;
        Ok(Self { rules })
    }

    /// Whether the context leaves `path` out.
    pub fn ignores(&self, path: &str) -> bool {
        let parents: Vec<&str> = path.match_indices('/').map(|(at, _)| &path[..at]).collect();
        let mut ignored = false;
        for rule in self.rules.iter().filter(|rule| !rule.text.is_empty()) {
            // A rule that would change nothing is not asked.
            if rule.taken == ignored
                && (rule.pattern.matches(path) || parents.iter().any(|parent| rule.pattern.matches(parent)))
            {
                ignored = !rule.taken;
            }
        }
        ignored
    }

    /// Whether something in the folder `path`, which is ignored, may be taken after all.
    pub fn takes_from(&self, path: &str) -> bool {
        let wild = |text: &str| text.contains(['*', '?', '[', '\\']);
        let within = |text: &str| text.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'));
        self.rules.iter().any(|rule| rule.taken && (wild(&rule.text) || within(&rule.text)))
    }
}

fn rule(line: &str) -> Result<Rule, PatternError> {
    let (text, taken) = match line.strip_prefix('!') {
        Some(rest) => (rest.trim(), true),
        None => (line, false),
    };
    // What lies outside meets nothing.
    let outside = text == ".." || text.starts_with("../");
    let text = if outside { String::new() } else { clean(text) };
    Ok(Rule { pattern: Pattern::of_ignore(&text)?, text, taken })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_rule_that_meets_a_path_or_its_folder_decides() {
        for (text, ignored, taken) in [
            ("", &[][..], &["a", "a/b"][..]),
            ("# a\n\n  \n", &[], &["a"]),
            ("a", &["a", "a/b", "a/b/c"], &["ab", "b/a"]),
            ("/a/ ", &["a", "a/b"], &["b/a"]),
            ("./a/../b", &["b"], &["a"]),
            ("*", &["a", "a/b"], &[]),
            ("*.md\n!README.md", &["a.md"], &["README.md", "b/a.md"]),
            ("!README.md\n*.md", &["README.md"], &[]),
            ("*\n!src", &["a", "target/x"], &["src", "src/a/b"]),
            ("*\n!src\nsrc/*.log", &["src/a.log"], &["src/a", "src/b/a.log"]),
            ("**/*.o", &["a.o", "b/c/a.o"], &["a.c"]),
            ("a\n!a/b", &["a", "a/c"], &["a/b", "a/b/d"]),
            ("a/**", &["a/b", "a/b/c"], &["a"]),
            ("! a\n", &[], &["a"]),
            (".", &[], &["a"]),
            ("../a", &[], &["a"]),
        ] {
            let ignore = Ignore::parse(text).unwrap();
            for path in ignored {
                assert!(ignore.ignores(path), "{text:?} leaves {path} out");
            }
            for path in taken {
                assert!(!ignore.ignores(path), "{text:?} takes {path}");
            }
        }
        assert!(Ignore::parse("[").is_err());
    }

    #[test]
    fn a_folder_is_entered_only_for_what_may_be_taken() {
        let takes = |text: &str, path: &str| Ignore::parse(text).unwrap().takes_from(path);
        assert!(!takes("a", "a"));
        assert!(!takes("*\n!src", "target"));
        assert!(takes("*\n!src/a", "src"));
        assert!(takes("*\n!**/a", "target"));
    }
}
