//! Reads a page: its blocks of code, and what their comments say about them.

use std::fs;
use std::path::Path;

/// A page of the book.
pub(crate) struct Page {
    pub(crate) text: String,
    pub(crate) blocks: Vec<Block>,
}

/// A block of code, and what is to be done with it.
#[derive(Debug)]
pub(crate) enum Block {
    /// Nothing: it is for the eye.
    Text,
    /// It has to parse.
    Data { language: String, text: String },
    /// A whole declaration, with files that are there.
    Declaration { text: String, needs: Vec<String> },
    /// A file to write.
    File { path: String, text: String },
    /// What the declaration holds when a command has run.
    Made { by: String, text: String },
    /// Commands to run.
    Console(Vec<Command>),
}

/// A line after `$ `, and what it prints.
#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) line: String,
    pub(crate) prints: String,
}

impl Page {
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
        let mut blocks = Vec::new();
        let mut lines = text.lines();
        let mut said = "";
        while let Some(line) = lines.next() {
            let Some(language) = line.trim_start().strip_prefix("```") else {
                if !line.trim().is_empty() {
                    said = line;
                }
                continue;
            };
            let indent = line.len() - line.trim_start().len();
            let body = lines.by_ref().take_while(|line| !line.trim_start().starts_with("```"));
            let body: String =
                body.map(|line| format!("{}\n", line.get(indent..).unwrap_or_default())).collect();
            let included = body.trim().strip_prefix("{{#include ").and_then(|rest| rest.strip_suffix("}}"));
            if let Some(file) = included {
                // A file of the repository, which has tests of its own.
                let there = path.parent().is_some_and(|folder| folder.join(file).is_file());
                said = "";
                blocks.push(if there { Block::Text } else { return Err(format!("there is no {file}")) });
                continue;
            }
            blocks.push(block(language, body, std::mem::take(&mut said))?);
        }
        Ok(Self { blocks, text })
    }
}

fn block(language: &str, text: String, said: &str) -> Result<Block, String> {
    let comment = said.trim().strip_prefix("<!-- ").and_then(|rest| rest.strip_suffix(" -->"));
    let (order, value) = comment.and_then(|comment| comment.split_once(": ")).unwrap_or_default();
    let declares = text.lines().any(|line| line.starts_with("[target."));
    match (order, language) {
        ("file", _) => Ok(Block::File { path: value.to_owned(), text }),
        ("made by", _) => Ok(Block::Made { by: value.to_owned(), text }),
        ("not run", "console") if value.len() > 10 => Ok(Block::Text),
        (_, "console") => Ok(Block::Console(commands(&text)?)),
        (_, "toml") if declares => {
            let needs = if order == "needs" { value } else { "" };
            Ok(Block::Declaration { text, needs: needs.split_whitespace().map(str::to_owned).collect() })
        }
        (_, "toml" | "yaml" | "json") => Ok(Block::Data { language: language.to_owned(), text }),
        (_, "text" | "dockerfile" | "rust" | "diff") => Ok(Block::Text),
        _ => Err(format!("a block of `{language}` that nothing checks:\n{text}")),
    }
}

fn commands(text: &str) -> Result<Vec<Command>, String> {
    let mut commands: Vec<Command> = Vec::new();
    for line in text.lines() {
        match (line.strip_prefix("$ "), commands.last_mut()) {
            (Some(line), _) => commands.push(Command { line: line.to_owned(), prints: String::new() }),
            (None, Some(command)) => command.prints.push_str(&format!("{line}\n")),
            (None, None) => return Err(format!("a console block begins with `$ `, not with `{line}`")),
        }
    }
    Ok(commands)
}

/// Whether data parses.
pub(crate) fn parse(language: &str, text: &str) -> Result<(), String> {
    let problem = match language {
        "toml" => toml::from_str::<toml::Table>(text).err().map(|error| error.to_string()),
        "yaml" => serde_saphyr::from_str::<serde_json::Value>(text).err().map(|error| error.to_string()),
        _ => serde_json::from_str::<serde_json::Value>(text).err().map(|error| error.to_string()),
    };
    problem.map_or(Ok(()), |problem| Err(format!("this {language} does not parse: {problem}\n{text}")))
}

/// The pages below a folder, by their paths from it.
pub(crate) fn below(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            found.extend(below(&path).iter().map(|inner| format!("{name}/{inner}")));
        } else if name.ends_with(".md") {
            found.push(name);
        }
    }
    found
}
