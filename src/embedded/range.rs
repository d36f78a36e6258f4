//! The `Range` request header of blobs (RFC 9110, section 14), as far as the specification asks for it.

/// What a `Range` header asks of a representation of a known length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// All of it: no range, several, or of another unit, which a server may ignore.
    Whole,
    /// These bytes, both ends included.
    Bytes { first: u64, last: u64 },
    /// Nothing that exists.
    Unsatisfiable,
}

/// Reads the value of a `Range` header.
pub(super) fn parse(value: &str, length: u64) -> Wanted {
    let Some(range) = value.trim().strip_prefix("bytes=") else { return Wanted::Whole };
    let Some((first, last)) = range.trim().split_once('-') else { return Wanted::Whole };
    match (number(first), number(last)) {
        (Part::Number(first), Part::Absent) if first < length => Wanted::Bytes { first, last: length - 1 },
        (Part::Number(first), Part::Number(last)) if first <= last && first < length => {
            Wanted::Bytes { first, last: last.min(length - 1) }
        }
        (Part::Absent, Part::Number(count)) if count > 0 && length > 0 => {
            Wanted::Bytes { first: length.saturating_sub(count), last: length - 1 }
        }
        (Part::Number(_), _) | (_, Part::Number(_)) if !range.contains(',') => Wanted::Unsatisfiable,
        _ => Wanted::Whole,
    }
}

enum Part {
    Absent,
    Number(u64),
    Other,
}

fn number(text: &str) -> Part {
    match text {
        "" => Part::Absent,
        // Digits only: `parse` alone would take a leading `+`.
        _ if text.bytes().all(|b| b.is_ascii_digit()) => Part::Number(text.parse().unwrap_or(u64::MAX)),
        _ => Part::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        let bytes = |first, last| Wanted::Bytes { first, last };
        for (value, wanted) in [
            ("bytes=0-0", bytes(0, 0)),
            ("bytes=2-5", bytes(2, 5)),
            ("bytes=2-", bytes(2, 9)),
            ("bytes=2-99", bytes(2, 9)),
            ("bytes=2-99999999999999999999999", bytes(2, 9)),
            ("bytes=-3", bytes(7, 9)),
            ("bytes=-99", bytes(0, 9)),
            ("bytes=10-", Wanted::Unsatisfiable),
            ("bytes=5-2", Wanted::Unsatisfiable),
            ("bytes=-0", Wanted::Unsatisfiable),
            ("bytes=0-1,3-4", Wanted::Whole),
            ("bytes=-", Wanted::Whole),
            ("bytes=a-b", Wanted::Whole),
            ("lines=0-1", Wanted::Whole),
            ("", Wanted::Whole),
        ] {
            assert_eq!(parse(value, 10), wanted, "{value}");
        }
        assert_eq!(parse("bytes=0-", 0), Wanted::Unsatisfiable);
        assert_eq!(parse("bytes=-1", 0), Wanted::Unsatisfiable);
    }
}
