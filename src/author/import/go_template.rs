//! Go's templates, as GoReleaser fills them in, as templates of ours.

use crate::config::template::literal;

/// `text` as a template of ours; in words, what of it has none.
pub(crate) fn convert(text: &str, project: Option<&str>) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, action)) = rest.split_once("{{") {
        out.push_str(&literal(before));
        let (action, behind) =
            action.split_once("}}").ok_or_else(|| format!("`{text}` has a `{{{{` that is never closed"))?;
        let name = action.trim_matches(|c: char| c.is_whitespace() || c == '-');
        match (name, name.strip_prefix(".Env.")) {
            (".Version", _) => out.push_str("{version}"),
            (".Tag", _) => out.push_str("{git.tag}"),
            (".Major", _) => out.push_str("{major}"),
            (".Minor", _) => out.push_str("{minor}"),
            (".FullCommit" | ".Commit", _) => out.push_str("{git.sha}"),
            (".ProjectName", _) => match project {
                Some(project) => out.push_str(&literal(project)),
                None => {
                    return Err(format!("`{text}` takes the project's name, which the file does not say"));
                }
            },
            (_, Some(variable)) if variable.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') => {
                out.push_str(&format!("{{env.{variable}}}"));
            }
            _ => return Err(format!("`{{{{ {name} }}}}` in `{text}` has no equivalent here")),
        }
        rest = behind;
    }
    out.push_str(&literal(rest));
    Ok(out)
}
