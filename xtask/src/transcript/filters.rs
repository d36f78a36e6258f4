//! What differs from run to run, made the same.

/// How the registry is called in the transcript.
pub(super) const HOST: &str = "127.0.0.1:5000";

/// Replacements that go on from one command to the next: the same digest stays the same.
pub(super) struct Filters {
    host: String,
    digests: Vec<String>,
}

impl Filters {
    pub(super) fn new(host: &str) -> Self {
        Self { host: host.to_owned(), digests: Vec::new() }
    }

    pub(super) fn stable(&mut self, printed: &str) -> String {
        self.names(printed).lines().map(|line| format!("{}\n", numbers(&raw(line)))).collect()
    }

    /// Only what things are called: the registry and digests.
    pub(super) fn names(&mut self, printed: &str) -> String {
        self.digests(&printed.replace(&self.host, HOST))
    }

    /// Digests become those of the first, second … that was seen: `1111…`, `2222…`.
    fn digests(&mut self, text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once("sha256:") {
            let length = behind.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(behind.len());
            let (digest, behind) = behind.split_at(length);
            let same = |known: &String| known.starts_with(digest) || digest.starts_with(known.as_str());
            let known = self.digests.iter().position(same);
            let number = known.unwrap_or(self.digests.len());
            match self.digests.get_mut(number) {
                None => self.digests.push(digest.to_owned()),
                // It was cut short before.
                Some(known) if known.len() < length => digest.clone_into(known),
                Some(_) => {}
            }
            let digit = char::from_digit(number as u32 % 15 + 1, 16).unwrap_or('0');
            out.push_str(before);
            out.push_str("sha256:");
            out.extend(std::iter::repeat_n(digit, length));
            rest = behind;
        }
        out + rest
    }
}

/// A manifest's bytes hold digests of their own.
fn raw(line: &str) -> String {
    match line.split_once("\"Raw\": \"") {
        Some((indent, _)) => format!("{indent}\"Raw\": \"…\","),
        None => line.to_owned(),
    }
}

/// Sizes differ with the digits of a time of building.
fn numbers(line: &str) -> String {
    for mark in ["\"size\": ", "size        ", "layer       "] {
        let Some(at) = line.find(mark) else { continue };
        let at = match mark.starts_with("layer") {
            true => line.rfind("  ").map_or(line.len(), |gap| gap + 2),
            false => at + mark.len(),
        };
        let end = if line.ends_with(',') { "," } else { "" };
        return format!("{}…{end}", &line[..at]);
    }
    line.to_owned()
}
