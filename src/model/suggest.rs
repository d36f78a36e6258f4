//! The near miss: what a mistyped word was probably meant to be. Pure.

/// The candidate nearest to `found`, when one is near enough to have been meant.
pub(crate) fn near_miss<'a>(found: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let found = found.to_ascii_lowercase();
    candidates
        .map(|candidate| (strsim::jaro_winkler(&found, candidate), candidate))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}
