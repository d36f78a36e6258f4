//! What a document does not keep of its text: line ends, a byte order mark, and that the last line has no end. Pure.

/// `new`, an edited `old` in which all lines end with a line feed, with the ends and the byte order mark of `old`. Lines
/// that are new end like the one before them.
pub(super) fn restore(old: &str, new: &str) -> String {
    let (mark, old) = match old.strip_prefix('\u{feff}') {
        Some(old) => ("\u{feff}", old),
        None => ("", old),
    };
    let (old, new) = (lines(old), lines(new));
    let mut usual = old.first().map(|line| line.1).filter(|end| !end.is_empty()).unwrap_or("\n");
    let mut text = mark.to_owned();
    for (index, (line, place)) in new.iter().zip(places(&old, &new)).enumerate() {
        let kept = place.and_then(|place| old.get(place)).map(|line| line.1);
        let is_last = index + 1 == new.len();
        let end = match kept {
            Some("") if is_last => "",
            Some("") | None => usual,
            Some(end) => end,
        };
        usual = if end.is_empty() { usual } else { end };
        text.push_str(line.0);
        text.push_str(end);
    }
    text
}

/// Each line with its end.
fn lines(text: &str) -> Vec<(&str, &str)> {
    let split = |line: &'_ str| -> usize {
        let content = line.strip_suffix('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
        content.unwrap_or(line).len()
    };
    text.split_inclusive('\n').map(|line| line.split_at(split(line))).collect()
}

/// For each new line its place among the old ones, in order, for as many lines as possible.
fn places(old: &[(&str, &str)], new: &[(&str, &str)]) -> Vec<Option<usize>> {
    let is_same = |(old, new): &(&(&str, &str), &(&str, &str))| old.0 == new.0;
    let before = old.iter().zip(new).take_while(is_same).count();
    let (old_rest, new_rest) = (&old[before..], &new[before..]);
    let behind = old_rest.iter().rev().zip(new_rest.iter().rev()).take_while(is_same).count();
    let (old_rest, new_rest) = (&old_rest[..old_rest.len() - behind], &new_rest[..new_rest.len() - behind]);

    // How many lines are common from here on.
    let mut common = vec![vec![0_u32; new_rest.len() + 1]; old_rest.len() + 1];
    for (o, old) in old_rest.iter().enumerate().rev() {
        for (n, new) in new_rest.iter().enumerate().rev() {
            common[o][n] = match old.0 == new.0 {
                true => common[o + 1][n + 1] + 1,
                false => common[o + 1][n].max(common[o][n + 1]),
            };
        }
    }
    let mut found: Vec<Option<usize>> = (0..before).map(Some).collect();
    let mut o = 0;
    for (n, new) in new_rest.iter().enumerate() {
        while o < old_rest.len() && old_rest[o].0 != new.0 && common[o + 1][n] == common[o][n] {
            o += 1;
        }
        let is_common = o < old_rest.len() && old_rest[o].0 == new.0;
        found.push(is_common.then_some(before + o));
        o += usize::from(is_common);
    }
    found.extend((old.len() - behind..old.len()).map(Some));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_ends_as_it_did() {
        for (old, new, expected) in [
            ("a\nb\n", "a\nb\n", "a\nb\n"),
            ("", "a\n", "a\n"),
            ("a\r\nb\r\n", "a\nb\n", "a\r\nb\r\n"),
            ("a\r\nb\r\n", "a\nnew\nb\nnew\n", "a\r\nnew\r\nb\r\nnew\r\n"),
            ("a\r\nb\r\nc\r\n", "a\nc\n", "a\r\nc\r\n"),
            ("\u{feff}a\r\n", "new\na\n", "\u{feff}new\r\na\r\n"),
            ("\u{feff}a\n", "a\n", "\u{feff}a\n"),
            // Several ends in one file, and changes in several places.
            ("a\r\nb\nc\r\nd\ne\r\n", "a\nB\nc\nd\nE\n", "a\r\nB\r\nc\r\nd\nE\n"),
            ("a\nx\r\n\r\nb\nx\n", "x\n\nb\nnew\nx\n", "x\r\n\r\nb\nnew\nx\n"),
            // Without an end of the last line.
            ("a\nb", "a\nb\n", "a\nb"),
            ("a\r\nb", "A\nb\n", "A\r\nb"),
            ("a\r\nb", "a\nb\nnew\n", "a\r\nb\r\nnew\r\n"),
            ("a", "new\na\n", "new\na"),
        ] {
            assert_eq!(restore(old, new), expected, "{old:?} {new:?}");
        }
    }
}
