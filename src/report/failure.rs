//! What went wrong, for machines: JSON, and annotations of a CI run. Pure.

use std::path::Path;

use serde_json::{Value, json};

use super::printer;
use crate::config::Problems;
use crate::error::{exit_of, hints};

/// The last value of a run that failed.
pub(crate) fn json(error: &anyhow::Error) -> Value {
    let problems: Vec<Value> = problems_of(error)
        .map(|problems| {
            let located = problems.located().map(|problem| {
                json!({
                    "file": problem.path,
                    "line": problem.line,
                    "column": problem.column,
                    "message": problem.message,
                    "help": problem.help,
                })
            });
            located.collect()
        })
        .unwrap_or_default();
    // Problems draw themselves with carets; machines have them one by one.
    let causes: Vec<String> = error
        .chain()
        .skip(1)
        .filter(|cause| cause.downcast_ref::<Problems>().is_none())
        .map(ToString::to_string)
        .collect();
    json!({
        "version": 1,
        "event": "failed",
        "message": error.to_string(),
        "causes": causes,
        "hints": hints(error),
        "exitCode": exit_of(error).code(),
        "problems": problems,
    })
}

/// Workflow commands for GitHub Actions, one a line: each problem at its place, else the error as a whole. `here` is the
/// folder that shown paths are relative to, `root` the one that the checkout is in.
pub(crate) fn annotations(error: &anyhow::Error, here: &Path, root: &Path) -> String {
    let Some(problems) = problems_of(error) else {
        let mut text = error.chain().map(ToString::to_string).collect::<Vec<_>>().join("\ncaused by: ");
        for hint in hints(error) {
            text.push_str(&format!("\nhint: {hint}"));
        }
        return format!("::error title=manifests::{}\n", message(&text));
    };
    let lines = problems.located().map(|problem| {
        let path = here.join(problem.path);
        let path = path.strip_prefix(root).unwrap_or(&path).display().to_string();
        let help = problem.help.map(|help| format!("\n{help}")).unwrap_or_default();
        format!(
            "::error file={},line={},col={},title=manifests::{}\n",
            property(&path),
            problem.line,
            problem.column,
            message(&format!("{}{help}", problem.message))
        )
    });
    lines.collect()
}

fn problems_of(error: &anyhow::Error) -> Option<&Problems> {
    error.chain().find_map(|cause| cause.downcast_ref::<Problems>())
}

/// As the runner reads it back: it ends a command at the line's end.
fn message(text: &str) -> String {
    printer::terminal(text, false).replace('%', "%25").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    message(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Facts, Strictness, read};
    use crate::error::{Exit, Failure};

    fn broken() -> anyhow::Error {
        let text = "[target.app]\nrepository = \"ghcr.io/acme/app\"\ntags = [\"1\"]\nplatform = 3\nplatforms = [\"linux/arm46\"]\n";
        let document = read(Path::new("manifests.toml"), text).unwrap();
        let problems = document.resolve_with(&Facts::default(), Strictness::Check, &|_, _| true).unwrap_err();
        Failure::from(problems).into()
    }

    #[test]
    fn problems_are_annotated_at_file_line_and_column() {
        let annotations = annotations(&broken(), Path::new("/checkout/a,b"), Path::new("/checkout"));
        assert_eq!(
            annotations,
            "::error file=a%2Cb/manifests.toml,line=4,col=12,title=manifests::wrong type of `platform`\n\
             ::error file=a%2Cb/manifests.toml,line=5,col=14,title=manifests::unknown architecture `arm46` for linux%0Adid you mean `arm64`?\n"
        );
    }

    #[test]
    fn other_errors_are_annotated_as_a_whole() {
        let error = Failure::new("50% of\nit").because(anyhow::anyhow!("no route")).hint("is it up?");
        let annotations = annotations(&error.into(), Path::new("/"), Path::new("/"));
        assert_eq!(
            annotations,
            "::error title=manifests::50%25 of%0Ait%0Acaused by: no route%0Ahint: is it up?\n"
        );
    }

    #[test]
    fn machines_get_every_part_by_itself() {
        let json_of_problems = json(&broken());
        assert_eq!(json_of_problems["exitCode"], 2);
        assert_eq!(json_of_problems["problems"][1]["column"], 14);
        assert_eq!(json_of_problems["causes"], json!([]));
        let error = Failure::new("outer").exit(Exit::Partial).because(Failure::new("inner").hint("again"));
        let json = json(&error.into());
        assert_eq!((&json["message"], &json["exitCode"]), (&json!("outer"), &json!(4)));
        assert_eq!((&json["causes"], &json["hints"]), (&json!(["inner"]), &json!(["again"])));
    }
}
