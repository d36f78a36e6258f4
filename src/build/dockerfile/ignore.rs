//! `.dockerignore` (moby/patternmatcher and its `ignorefile`, tonistiigi/fsutil).
//!
//! The client that sends a context decides what it leaves out, and its versions differ: those before fsutil of 2022 (in
//! Docker 20.10 and buildx up to 0.8) compare a path with one folder above it only, look into an ignored folder only for
//! exceptions that name it in plain words, and read `+(){}|` as regular expressions do. A path counts as ignored when the
//! older and the newer rules both ignore it, and when all patterns that decide this are understood.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::pattern::{Leading, Pattern, WILD};
use crate::model::inner_path::clean;

/// How many steps comparing an ignore file with all paths of a context may take: a step is a rule that is looked at, or a
/// character that is compared with a place in it.
pub(crate) const MOST_STEPS: u64 = 1_000_000_000;

/// What a context leaves out. The last pattern that matches a path, or a folder that it is in, decides.
#[derive(Clone, Debug, Default)]
pub struct Ignore {
    rules: Vec<Rule>,
    /// The steps that were taken so far.
    taken: Arc<AtomicU64>,
}

#[derive(Clone, Debug)]
struct Rule {
    text: String,
    /// How many parts its text has.
    parts: usize,
    /// Behind a `!`: what it matches is taken after all.
    exception: bool,
    /// As newer clients read it; `None` if that is not understood.
    newer: Option<Pattern>,
    /// As older clients read it, where that differs.
    older: Older,
}

#[derive(Clone, Debug)]
enum Older {
    Same,
    Other(Option<Pattern>),
}

/// What the rules say of a path.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// Whether newer clients leave it out.
    newer: bool,
    /// Whether older ones do.
    older: bool,
    /// For a folder: whether each client looks into it.
    newer_enters: bool,
    older_enters: bool,
    /// The rules that matched it, or a folder that it is in, for newer clients.
    matched: Vec<bool>,
}

impl Verdict {
    /// Whether all clients leave the path out.
    pub fn ignored(&self) -> bool {
        self.newer && self.older
    }

    /// Which clients alone send the path; empty where all do, or none. That it is sent at all is not enough: what one of
    /// them leaves out from now on is another build for it.
    pub fn only(&self) -> &'static str {
        match (!self.newer, !self.older || self.older_enters) {
            (true, false) => "newer",
            (false, true) => "older",
            _ => "",
        }
    }

    /// Whether some client sends the folder itself: older ones do where they look into one that is ignored.
    pub fn sends_folder(&self) -> bool {
        !self.ignored() || self.older_enters
    }

    /// Whether some client may take something in this folder.
    pub fn entered(&self) -> bool {
        self.newer_enters || self.older_enters
    }
}

impl Ignore {
    /// Reads the file's text.
    pub fn parse(text: &str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let lines = text.lines().filter(|line| !line.starts_with('#')).map(str::trim);
        Self { rules: lines.filter_map(rule).collect(), ..Self::default() }
    }

    /// Adds rules that leave `paths` out, whatever the other rules say.
    pub fn without(mut self, paths: &[String]) -> Self {
        self.rules.extend(Self::patterns(paths).iter().filter_map(|pattern| rule(pattern)));
        self
    }

    /// Lines that leave `paths` out, whatever stands before them.
    pub fn patterns(paths: &[String]) -> Vec<String> {
        paths.iter().map(|path| escaped(path)).collect()
    }

    /// Whether there were more steps than [`MOST_STEPS`]: what the rules said then means nothing.
    pub fn is_spent(&self) -> bool {
        self.taken.load(Ordering::Relaxed) > MOST_STEPS
    }

    /// What holds at the top of a context.
    pub fn top(&self) -> Verdict {
        Verdict { newer_enters: true, older_enters: true, ..Verdict::default() }
    }

    /// What the rules say of `path`, which lies in the folder that `above` is about.
    pub fn look(&self, path: &str, above: &Verdict) -> Verdict {
        if self.is_spent() {
            return self.top();
        }
        let before = MOST_STEPS - self.taken.load(Ordering::Relaxed).min(MOST_STEPS);
        let mut steps = before.saturating_sub(self.rules.len() as u64);
        let parents: Vec<&str> = path.match_indices('/').map(|(at, _)| &path[..at]).collect();
        let mut verdict = Verdict { matched: vec![false; self.rules.len()], ..Verdict::default() };
        for (index, rule) in self.rules.iter().enumerate() {
            let inherited = above.matched.get(index).copied().unwrap_or_default();
            let matched =
                inherited || (rule.exception == verdict.newer && rule.newer_matches(path, &mut steps));
            verdict.matched[index] = matched;
            if matched {
                verdict.newer = !rule.exception;
            }
            if rule.exception == verdict.older
                && (rule.older_matches(path, &mut steps)
                    || parents
                        .get(rule.parts - 1)
                        .is_some_and(|parent| rule.older_matches(parent, &mut steps)))
            {
                verdict.older = !rule.exception;
            }
        }
        // Where none are left, some did not last.
        let taken = if steps == 0 { before + 1 } else { before - steps };
        self.taken.fetch_add(taken, Ordering::Relaxed);
        // What a client does not look into, it leaves out.
        verdict.newer |= !above.newer_enters;
        verdict.older |= !above.older_enters;
        let exceptions = || self.rules.iter().filter(|rule| rule.exception);
        let within = |rule: &Rule| rule.text == path || below(&rule.text, path);
        let wild = |rule: &Rule| without_last_star(&rule.text).contains(WILD) || rule.newer.is_none();
        verdict.newer_enters =
            above.newer_enters && (!verdict.newer || exceptions().any(|rule| wild(rule) || within(rule)));
        verdict.older_enters = above.older_enters && (!verdict.older || exceptions().any(within));
        verdict
    }

    /// What the rules say of `path`, however deep it lies.
    pub fn look_at(&self, path: &str) -> Verdict {
        let mut verdict = self.top();
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        for end in ends.filter(|end| *end > 0) {
            verdict = self.look(&path[..end], &verdict);
        }
        verdict
    }
}

impl Rule {
    fn newer_matches(&self, path: &str, steps: &mut u64) -> bool {
        self.matches(self.newer.as_ref(), path, steps)
    }

    fn older_matches(&self, path: &str, steps: &mut u64) -> bool {
        match &self.older {
            Older::Same => self.newer_matches(path, steps),
            Older::Other(pattern) => self.matches(pattern.as_ref(), path, steps),
        }
    }

    /// A pattern that is not understood leaves nothing out, and takes everything. Line breaks in a name are not told
    /// alike by all.
    fn matches(&self, pattern: Option<&Pattern>, path: &str, steps: &mut u64) -> bool {
        match pattern {
            Some(pattern) if !path.contains('\n') => pattern.matches_within(path, steps),
            _ => self.exception,
        }
    }
}

fn rule(line: &str) -> Option<Rule> {
    let (text, exception) = match line.strip_prefix('!') {
        Some(rest) => (rest.trim(), true),
        None => (line, false),
    };
    // Clients read what comes of that once more: `/!a` is `!a` for them.
    let again = format!("{}{}", if exception { "!" } else { "" }, cleaned(text)?);
    let again = cleaned(again.trim())?;
    let (text, exception) = match again.strip_prefix('!') {
        Some("") => return None,
        Some(rest) => (rest.to_owned(), true),
        None => (again, false),
    };
    let newer = Pattern::of_ignore(&text, Leading::Anything);
    let older = if text.contains(['+', '(', ')', '{', '}', '|']) {
        Older::Other(None)
    } else if text.starts_with("**") {
        Older::Other(Pattern::of_ignore(&text, Leading::Folders))
    } else {
        Older::Same
    };
    Some(Rule { parts: text.split('/').count(), newer, older, exception, text })
}

/// A pattern's text as Go's `filepath.Clean` makes it; `None` if it can match nothing in a context.
fn cleaned(text: &str) -> Option<String> {
    let mut depth = 0_i64;
    for part in text.split('/') {
        depth += match part {
            "" | "." => 0,
            ".." => -1,
            _ => 1,
        };
        if depth < 0 && !text.starts_with('/') {
            return None;
        }
    }
    Some(clean(text)).filter(|text| !text.is_empty())
}

/// `path` as a pattern that means it alone.
fn escaped(path: &str) -> String {
    let mut text = String::from("/");
    for (at, c) in path.char_indices() {
        if WILD.contains(&c) || (at == 0 && c == '!') {
            text.push('\\');
        }
        text.push(c);
    }
    text
}

fn below(text: &str, path: &str) -> bool {
    text.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'))
}

fn without_last_star(text: &str) -> &str {
    let text = text.strip_suffix("/**").unwrap_or(text);
    text.strip_suffix("/*").unwrap_or(text)
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
            ("/../a", &["a"], &[]),
            ("a**b", &["ab", "ax/b"], &["axb"]),
            ("**/gone/", &["gone", "a/gone", "a/gone/b/c"], &["agone"]),
            // What older and newer clients tell differently is taken.
            ("**.log", &[".log", "a/.log"], &["a.log", "a/b.log"]),
            ("a+b\n(x)\n[a\na^b", &[], &["a+b", "aab", "(x)", "[a", "a^b"]),
            ("**/gone\n!a/b/gone/k", &["c/gone/x"], &["a/b/gone/k", "a/b/gone/x"]),
            ("*\n![[:alpha:]]", &[], &["a", "b/c"]),
            ("a\n!**/c", &["a", "a/b"], &["a/c"]),
            ("*\n/!b", &["a"], &["b"]),
            ("*\n./!b", &["a"], &["b"]),
            ("*\na/../!b/c", &["a", "b/d"], &["b/c"]),
            ("*\n!/!b", &["b"], &["!b"]),
            ("a /.\n/!", &["a"], &["a ", "!"]),
        ] {
            let ignore = Ignore::parse(text);
            for path in ignored {
                assert!(ignore.look_at(path).ignored(), "{text:?} leaves {path} out");
            }
            for path in taken {
                assert!(!ignore.look_at(path).ignored(), "{text:?} takes {path}");
            }
        }
    }

    #[test]
    fn what_one_client_alone_sends_is_told_apart() {
        for (text, path, only) in [
            ("", "a/c", ""),
            ("a", "a/c", ""),
            ("a\n!**/c", "a/c", "newer"),
            ("*\n!*/a/*", "b/a/c", "newer"),
            ("**.log", "b.log", "older"),
            ("a\n!a/b", "a", "older"),
            ("a\n!a/b", "a/b", ""),
        ] {
            assert_eq!(Ignore::parse(text).look_at(path).only(), only, "{text:?} {path}");
        }
    }

    #[test]
    fn a_folder_is_entered_only_for_what_may_be_taken() {
        let enters = |text: &str, path: &str| Ignore::parse(text).look_at(path).entered();
        assert!(enters("", "a"));
        assert!(!enters("a", "a"));
        assert!(!enters("*\n!src", "target"));
        assert!(enters("*\n!src/a", "src"));
        assert!(enters("*\n!**/a", "target"));
    }

    #[test]
    fn added_paths_are_left_out_whatever_was_read() {
        let ignore = Ignore::parse("!a/[x]\n!**").without(&["a/[x]".to_owned()]);
        assert!(ignore.look_at("a/[x]").ignored() && ignore.look_at("a/[x]/b").ignored());
        assert!(!ignore.look_at("a/x").ignored());
        let ignore = Ignore::default().without(&["!a/b".to_owned()]);
        assert!(ignore.look_at("!a/b").ignored() && !ignore.look_at("a/b").ignored());
    }

    #[test]
    fn thousands_of_long_rules_take_no_more_than_their_steps() {
        // Most often a part takes as many steps as it is long.
        let text = format!("{}b\n", "*a".repeat(200)).repeat(3000);
        let ignore = Ignore::parse(&text);
        let mut paths = 0;
        while paths < 30 {
            assert!(!ignore.look_at(&"a".repeat(100)).ignored());
            paths += 1;
        }
        assert!(!ignore.is_spent());
        // Where it takes more, there is an end.
        let text = format!("{}b\n", "a**".repeat(200)).repeat(3000);
        let ignore = Ignore::parse(&text);
        ignore.taken.store(MOST_STEPS - 10_000, Ordering::Relaxed);
        assert!(!ignore.look_at(&"a/".repeat(100)).ignored());
        assert!(ignore.is_spent());
    }
}
