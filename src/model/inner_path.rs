//! Paths within a context or an image: parts with `/` between them, none in front. Pure.

/// `path` without `.`, `..` and slashes around it; nothing leads above the top, which is empty.
pub(crate) fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// What is called `name` in `folder`.
pub(crate) fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

/// The folder that `path` is in.
pub(crate) fn folder(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// Where a link at `path` leads that says `target`.
pub(crate) fn link(path: &str, target: &str) -> String {
    let from = if target.starts_with('/') { "" } else { folder(path) };
    clean(&join(from, target))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leads_above_the_top() {
        for (path, expected) in
            [("", ""), ("/", ""), (".", ""), ("./a//b/", "a/b"), ("a/../../b", "b"), ("../..", "")]
        {
            assert_eq!(clean(path), expected, "{path}");
        }
        for (path, target, expected) in [
            ("lib", "usr/lib", "usr/lib"),
            ("a/b", "c", "a/c"),
            ("a/b", "/c", "c"),
            ("a/b", "../../../c", "c"),
        ] {
            assert_eq!(link(path, target), expected, "{path} → {target}");
        }
    }
}
