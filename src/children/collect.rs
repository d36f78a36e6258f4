//! What is kept of what a child writes, and what is looked for in it. Pure.

use std::collections::VecDeque;

/// How much of a stream is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    /// All of it, for a parser. A stream that is longer is of no use.
    AtMost(usize),
    /// So many bytes of its head and as many of its tail, for people.
    Ends(usize),
}

/// What the line between head and tail begins with.
const LEFT_OUT: &str = "[… ";

/// The longest line that is passed on; the rest of a longer one is not.
const LONGEST_LINE: usize = 64 << 10;

/// Whether `line` stands for what was left out between the head and the tail of an output.
pub(crate) fn is_left_out(line: &str) -> bool {
    line.starts_with(LEFT_OUT) && line.ends_with(" bytes left out …]")
}

/// One stream, as it comes.
pub(super) struct Collector {
    keep: Keep,
    head: Vec<u8>,
    tail: VecDeque<u8>,
    /// How many bytes were between them.
    left_out: u64,
    overflowed: bool,
    sought: Option<Seeker>,
}

impl Collector {
    pub(super) fn new(keep: Keep, sought: Option<&str>) -> Self {
        let sought = sought.map(Seeker::new);
        Self { keep, head: Vec::new(), tail: VecDeque::new(), left_out: 0, overflowed: false, sought }
    }

    pub(super) fn take(&mut self, chunk: &[u8]) {
        if let Some(sought) = &mut self.sought {
            sought.take(chunk);
        }
        match self.keep {
            Keep::AtMost(_) if self.overflowed => {}
            Keep::AtMost(limit) if chunk.len() > limit - self.head.len() => {
                self.overflowed = true;
                self.head = Vec::new();
            }
            Keep::AtMost(_) => self.head.extend_from_slice(chunk),
            Keep::Ends(each) => {
                let (head, rest) = chunk.split_at(chunk.len().min(each - self.head.len()));
                self.head.extend_from_slice(head);
                let dropped_first = rest.len().saturating_sub(each);
                let rest = &rest[dropped_first..];
                let dropped = (self.tail.len() + rest.len()).saturating_sub(each);
                self.tail.drain(..dropped);
                self.tail.extend(rest);
                self.left_out += (dropped_first + dropped) as u64;
            }
        }
    }

    /// Whether there was more than is of use. Nothing is kept then.
    pub(super) fn overflowed(&self) -> bool {
        self.overflowed
    }

    /// Whether what was looked for was anywhere in the stream, also in what is left out.
    pub(super) fn found(&self) -> bool {
        self.sought.as_ref().is_some_and(|sought| sought.found)
    }

    /// What was kept, which is gone here.
    pub(super) fn finish(&mut self) -> Vec<u8> {
        let (mut head, mut tail) = (std::mem::take(&mut self.head), std::mem::take(&mut self.tail));
        if self.left_out == 0 {
            head.extend(tail);
            return head;
        }
        // No half of a character at either side of the mark.
        let whole = without_half_a_character(&head);
        let half = tail.iter().take(3).take_while(|byte| is_continuation(**byte)).count();
        self.left_out += (head.len() - whole + half) as u64;
        head.truncate(whole);
        tail.drain(..half);
        let new_line = if head.ends_with(b"\n") || head.is_empty() { "" } else { "\n" };
        head.extend(format!("{new_line}{LEFT_OUT}{} bytes left out …]\n", self.left_out).into_bytes());
        head.extend(tail);
        head
    }

    #[cfg(test)]
    fn held(&self) -> usize {
        self.head.capacity()
            + self.tail.capacity()
            + self.sought.as_ref().map_or(0, |one| one.last.capacity())
    }
}

fn is_continuation(byte: u8) -> bool {
    byte & 0b1100_0000 == 0b1000_0000
}

/// How much of `bytes` ends with a whole character.
fn without_half_a_character(bytes: &[u8]) -> usize {
    let Some(back) = bytes.iter().rev().take(4).position(|byte| !is_continuation(*byte)) else {
        return bytes.len();
    };
    let first = bytes.len() - 1 - back;
    let length = match bytes[first] {
        0xc0..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf7 => 4,
        _ => 1,
    };
    if first + length > bytes.len() { first } else { bytes.len() }
}

/// Looks for a text in a stream.
struct Seeker {
    text: Vec<u8>,
    /// The end of what came so far: too short to hold the text, and what it may begin in.
    last: Vec<u8>,
    found: bool,
}

impl Seeker {
    fn new(text: &str) -> Self {
        Self { text: text.as_bytes().to_vec(), last: Vec::new(), found: text.is_empty() }
    }

    fn take(&mut self, chunk: &[u8]) {
        if self.found {
            return;
        }
        self.last.extend_from_slice(chunk);
        self.found = self.last.windows(self.text.len()).any(|window| window == self.text);
        let needless = self.last.len().saturating_sub(self.text.len() - 1);
        self.last.drain(..needless);
    }
}

/// A stream's lines. Of one that is overwritten in place, as progress bars do, what it was in the end.
#[derive(Default)]
pub(super) struct LineSplitter {
    line: Vec<u8>,
    /// Something was written since the last line feed.
    begun: bool,
    /// What comes next overwrites the line.
    returned: bool,
}

impl LineSplitter {
    pub(super) fn take(&mut self, chunk: &[u8], pass_on: &dyn Fn(&str)) {
        let mut rest = chunk;
        while let Some(end) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            self.add(&rest[..end]);
            match rest[end] {
                b'\n' => self.end(pass_on),
                _ => (self.begun, self.returned) = (true, true),
            }
            rest = &rest[end + 1..];
        }
        self.add(rest);
    }

    /// The last line, which has no line feed.
    pub(super) fn finish(&mut self, pass_on: &dyn Fn(&str)) {
        if self.begun {
            self.end(pass_on);
        }
    }

    fn add(&mut self, text: &[u8]) {
        if text.is_empty() {
            return;
        }
        if std::mem::take(&mut self.returned) {
            self.line.clear();
        }
        self.begun = true;
        let room = LONGEST_LINE.saturating_sub(self.line.len());
        self.line.extend_from_slice(&text[..text.len().min(room)]);
    }

    fn end(&mut self, pass_on: &dyn Fn(&str)) {
        pass_on(&String::from_utf8_lossy(&self.line));
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests;
