use std::cell::RefCell;

use super::*;

/// The text that is kept of `stream`, whichever way it is cut into chunks.
fn kept(keep: Keep, stream: &[u8]) -> (String, bool) {
    let ways = [1, 2, 3, 7, stream.len().max(1)].map(|size| {
        let mut collector = Collector::new(keep, None);
        stream.chunks(size).for_each(|chunk| collector.take(chunk));
        (String::from_utf8_lossy(&collector.finish()).into_owned(), collector.overflowed())
    });
    assert!(ways.iter().all(|way| *way == ways[0]), "{ways:?}");
    ways[0].clone()
}

#[test]
fn a_parser_gets_all_of_it_or_nothing() {
    for (stream, text, overflowed) in
        [("", "", false), ("a\n", "a\n", false), ("12345678", "12345678", false), ("123456789", "", true)]
    {
        assert_eq!(kept(Keep::AtMost(8), stream.as_bytes()), (text.to_owned(), overflowed), "{stream}");
    }
}

#[test]
fn people_get_head_and_tail() {
    for (stream, text) in [
        ("", ""),
        ("1234", "1234"),
        ("12345678", "12345678"),
        ("123456789", "1234\n[… 1 bytes left out …]\n6789"),
        ("123\n5678\nabc", "123\n[… 4 bytes left out …]\n\nabc"),
        // Two bytes each: neither half of one that is cut is kept.
        ("1ü3ü5ü7", "1ü3\n[… 2 bytes left out …]\n5ü7"),
        ("123ü5ü7", "123\n[… 2 bytes left out …]\n5ü7"),
        ("12345ü789", "1234\n[… 3 bytes left out …]\n789"),
        ("12ü4ü78", "12ü\n[… 1 bytes left out …]\nü78"),
    ] {
        let (found, overflowed) = kept(Keep::Ends(4), stream.as_bytes());
        assert!(!overflowed);
        assert_eq!(found, text, "{stream}");
        let marks = found.lines().filter(|line| is_left_out(line)).count();
        assert_eq!(marks, usize::from(stream.len() > 8), "{found}");
    }
    // What is no UTF-8 is no half of a character either.
    let (found, _) = kept(Keep::Ends(4), b"12\xff\xff\xff\xff\xff\xff\xff");
    assert_eq!(found, "12\u{fffd}\u{fffd}\n[… 1 bytes left out …]\n\u{fffd}\u{fffd}\u{fffd}\u{fffd}");
    let (found, _) = kept(Keep::Ends(4), b"\x80\x80\x80\x80\x80\x80\x80\x80\x80");
    assert_eq!(found, "\u{fffd}\u{fffd}\u{fffd}\u{fffd}\n[… 4 bytes left out …]\n\u{fffd}");
}

#[test]
fn what_is_held_does_not_grow_with_the_stream() {
    let chunk = vec![b'x'; 60_000];
    // Looking for a text is slow without optimisation.
    for (keep, sought, chunks) in [
        (Keep::AtMost(1 << 20), None, 5_000),
        (Keep::Ends(512 << 10), None, 5_000),
        (Keep::Ends(512 << 10), Some("absent"), 50),
    ] {
        let mut collector = Collector::new(keep, sought);
        let mut most = 0;
        for _ in 0..chunks {
            collector.take(&chunk);
            most = most.max(collector.held());
        }
        assert!(most <= 3 << 20, "{keep:?}: {most} bytes of {chunks} chunks");
        assert_eq!(collector.overflowed(), keep == Keep::AtMost(1 << 20));
    }
}

#[test]
fn a_text_is_found_wherever_it_is() {
    for (stream, text, expected) in [
        ("", "", true),
        ("", "a", false),
        ("aarch64\n", "aarch64", true),
        ("xxxxxxxxxxxxaarch64xxxxxxxxxxxx", "aarch64", true),
        ("aaaarch64", "aarch64", true),
        ("aarch6", "aarch64", false),
        ("aarch 64", "aarch64", false),
        ("grün", "ü", true),
    ] {
        for size in 1..=stream.len().max(1) {
            let mut collector = Collector::new(Keep::Ends(4), Some(text));
            stream.as_bytes().chunks(size).for_each(|chunk| collector.take(chunk));
            assert_eq!(collector.found(), expected, "{stream} in pieces of {size}");
        }
    }
    assert!(!Collector::new(Keep::Ends(4), None).found());
}

#[test]
fn lines_are_passed_on_as_they_end() {
    for (stream, expected) in [
        ("", vec![]),
        ("\n", vec![""]),
        ("one\ntwo", vec!["one", "two"]),
        ("one\r\n\r\ntwo\r\n", vec!["one", "", "two"]),
        ("1%\r2%\r\n3%\r", vec!["2%", "3%"]),
        ("1%\r\r\n", vec!["1%"]),
        ("grün\n", vec!["grün"]),
    ] {
        for size in 1..=stream.len().max(1) {
            let (mut splitter, seen) = (LineSplitter::default(), RefCell::new(Vec::new()));
            let pass_on = |line: &str| seen.borrow_mut().push(line.to_owned());
            stream.as_bytes().chunks(size).for_each(|chunk| splitter.take(chunk, &pass_on));
            splitter.finish(&pass_on);
            assert_eq!(*seen.borrow(), expected, "{stream:?} in pieces of {size}");
        }
    }
    let (mut splitter, lengths) = (LineSplitter::default(), RefCell::new(Vec::new()));
    let pass_on = |line: &str| lengths.borrow_mut().push(line.len());
    for _ in 0..100 {
        splitter.take(&[b'x'; 10_000], &pass_on);
        assert!(splitter.line.capacity() <= 2 * LONGEST_LINE);
    }
    splitter.take(b"\nshort\n", &pass_on);
    assert_eq!(*lengths.borrow(), [LONGEST_LINE, 5]);
}
