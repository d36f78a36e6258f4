//! A command on a real pseudo-terminal, and what stands on the screen at a moment of its run.

use std::io::Read as _;
use std::num::NonZero;
use std::path::Path;

use pty_process::Size;
use pty_process::blocking::{Command, open};

/// The terminal's size: wide enough for a digest beside a name, and high enough that nothing leaves it.
const COLUMNS: u16 = 120;
const ROWS: u16 = 100;

/// Runs the command in the folder and gives back all that it wrote to its terminal.
///
/// # Panics
///
/// When it cannot be run, or ends with another exit code than `code`.
pub(crate) fn record(program: &Path, line: &str, folder: &Path, engine: &Path, code: i32) -> String {
    let (mut terminal, process) = open().expect("a pseudo-terminal");
    terminal.resize(Size::new(ROWS, COLUMNS)).expect("the terminal takes its size");
    let command = Command::new(program).args(line.split_whitespace()).current_dir(folder);
    let command = command
        .env_remove("NO_COLOR")
        .env("TERM", "xterm-256color")
        .env("MANIFESTS_ENGINE", engine)
        // One image per build on every engine, and no answer that an earlier run kept.
        .env("BUILDX_NO_DEFAULT_ATTESTATIONS", "1")
        .env("XDG_CACHE_HOME", folder.join("target/cache"));
    let mut child = command.spawn(process).unwrap_or_else(|error| panic!("cannot start {line}: {error}"));

    let mut written = Vec::new();
    let mut part = [0; 4096];
    // Linux ends the terminal of a process that has gone with an error, not with an empty read.
    while let Ok(length @ 1..) = terminal.read(&mut part) {
        written.extend_from_slice(&part[..length]);
    }
    let written = String::from_utf8(written).expect("the terminal got UTF-8");
    let ended = child.wait().expect("the child's end");
    assert_eq!(ended.code(), Some(code), "`{line}` shows:\n{}", screen(&written));
    written
}

/// What stands on a screen that got all of `written`, line by line with its colours as escape codes.
pub(crate) fn screen(written: &str) -> String {
    let [rows, columns] = [ROWS, COLUMNS].map(|size| NonZero::new(size).expect("a size"));
    let mut parser = vt100::Parser::new(rows, columns, 0);
    parser.process(written.as_bytes());
    let screen = parser.screen();
    let lines: Vec<String> = (0..ROWS).map(|row| line(screen, row)).collect();
    let filled = lines.iter().rposition(|line| !line.is_empty()).map_or(0, |last| last + 1);
    lines[..filled].join("\n")
}

/// The screens on the way to all of `written`: one for each time that lines which change were drawn.
pub(crate) fn frames(written: &str) -> impl Iterator<Item = String> {
    // Before the lines are drawn anew they are wiped.
    written.match_indices("\r\u{1b}[2K").map(|(wiped, _)| screen(&written[..wiped]))
}

fn line(screen: &vt100::Screen, row: u16) -> String {
    let cells: Vec<_> = (0..COLUMNS).filter_map(|column| screen.cell(row, column)).collect();
    let filled = cells.iter().rposition(|cell| !cell.contents().trim().is_empty()).map_or(0, |last| last + 1);
    let mut out = String::new();
    let mut now = String::new();
    for cell in &cells[..filled] {
        let codes = codes(cell);
        if codes != now {
            out += &format!("\u{1b}[0{codes}m");
            now = codes;
        }
        out += if cell.has_contents() { cell.contents() } else { " " };
    }
    if now.is_empty() { out } else { out + "\u{1b}[0m" }
}

/// How a cell looks, as the parameters of an escape code. Backgrounds are not used.
fn codes(cell: &vt100::Cell) -> String {
    let effects = [(cell.bold(), ";1"), (cell.dim(), ";2"), (cell.italic(), ";3"), (cell.underline(), ";4")];
    let mut codes: String = effects.iter().filter(|(is_on, _)| *is_on).map(|(_, code)| *code).collect();
    if let vt100::Color::Idx(colour) = cell.fgcolor() {
        codes += &format!(";38;5;{colour}");
    }
    codes
}
