//! What may come out of a command.

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use crate::hostile::FORGED;

/// Characters that nobody sees, or that change how others are seen; named here once more, apart from the product.
fn is_hidden(c: char) -> bool {
    (c.is_control() && c != '\n' && c != '\t')
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
        || ('\u{e0000}'..='\u{e007f}').contains(&c)
}

/// A file for people to review: what is wrong with it.
pub(crate) fn problem_of_file(text: &str) -> Option<String> {
    if let Some(hidden) = text.chars().find(|c| is_hidden(*c)) {
        return Some(format!("has {hidden:?}"));
    }
    let forged = text.lines().find(|line| line.starts_with(FORGED));
    forged.map(|line| format!("has a line that is not ours: {line:?}"))
}

/// Text for people, in a job of GitHub's: what is wrong with it.
pub(crate) fn problem_of_text(text: &str) -> Option<String> {
    if let Some(problem) = problem_of_file(text) {
        return Some(problem);
    }
    for line in text.lines() {
        let start = line.trim_start();
        let is_ours =
            ["::error title=manifests::", "::error file="].iter().any(|ours| line.starts_with(ours));
        if start.starts_with("::") && !is_ours {
            return Some(format!("has a workflow command: {line:?}"));
        }
        if line.contains("##[") || line.contains("##vso[") {
            return Some(format!("has a command within a line: {line:?}"));
        }
    }
    None
}

/// Values of JSON, one after the other: what is wrong with them.
pub(crate) fn problem_of_json(text: &str) -> Option<String> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<serde_json::Value>();
    if let Some(error) = values.find_map(Result::err) {
        return Some(format!("is no JSON: {error}"));
    }
    problem_of_text(text)
}

/// What Markdown of ours holds, as a reader of CommonMark with GitHub's tables sees it.
#[derive(Debug, Default)]
pub(crate) struct Markdown {
    /// The rows of all tables, headings of columns left out.
    pub(crate) rows: Vec<Vec<String>>,
    /// The texts of headings.
    pub(crate) headings: Vec<String>,
    /// What else is not text: there should be none.
    pub(crate) problem: Option<String>,
}

/// The markup of our own that is HTML.
const OURS: [&str; 5] = ["<!-- manifests plan -->", "<details>", "<summary>", "<code>", "</"];

pub(crate) fn markdown(text: &str) -> Markdown {
    let options = Options::ENABLE_TABLES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_MATH
        | Options::ENABLE_FOOTNOTES;
    let mut found = Markdown { problem: problem_of_text(text), ..Markdown::default() };
    let (mut code, mut item) = (false, 0);
    let mut heading: Option<String> = None;
    let mut row: Option<Vec<String>> = None;
    for event in Parser::new_ext(text, options) {
        let mut wrong = |what: String| {
            found.problem.get_or_insert(what);
        };
        match event {
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::End(TagEnd::Heading(_)) => found.headings.extend(heading.take()),
            Event::Start(Tag::TableRow) => row = Some(Vec::new()),
            Event::End(TagEnd::TableRow) => found.rows.extend(row.take()),
            Event::Start(Tag::TableCell) => row.iter_mut().for_each(|row| row.push(String::new())),
            Event::Start(Tag::List(_) | Tag::Item) => item += 1,
            Event::End(TagEnd::List(_) | TagEnd::Item) => item -= 1,
            Event::Start(Tag::Strong) if item > 0 => code = true,
            Event::End(TagEnd::Strong) => code = false,
            Event::Code(text) | Event::Text(text) => {
                // `error` is the one word that stands out.
                if code && &*text != "error" {
                    wrong(format!("has {text:?} in bold"));
                }
                if let Some(heading) = &mut heading {
                    heading.push_str(&text);
                }
                if let Some(cell) = row.as_mut().and_then(|row| row.last_mut()) {
                    cell.push_str(&text);
                }
            }
            Event::Html(html) | Event::InlineHtml(html) => {
                let ours = OURS.iter().any(|ours| html.trim_start().starts_with(ours));
                if !ours || html.contains("script") || html.contains("img") {
                    wrong(format!("has HTML: {html:?}"));
                }
            }
            Event::Start(Tag::Paragraph | Tag::Table(_) | Tag::TableHead | Tag::HtmlBlock)
            | Event::End(_)
            | Event::SoftBreak => {}
            other => wrong(format!("has {other:?}")),
        }
    }
    found
}

/// What a reader sees of `text` within Markdown: without what makes it code, and white space.
pub(crate) fn seen(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace() && *c != '`').collect()
}
