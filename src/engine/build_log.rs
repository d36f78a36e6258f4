//! What a build that failed wrote: of BuildKit's plain progress, the steps that failed. Pure.

use crate::children::is_left_out;

/// The lines of the steps that failed and what follows them; everything, where no step says that it failed.
pub(super) fn failed(output: &str) -> String {
    let errors = output.lines().enumerate().filter_map(|(index, line)| {
        step(line).filter(|(_, rest)| rest.starts_with("ERROR")).map(|(number, _)| (index, number))
    });
    let (places, failed): (Vec<usize>, Vec<&str>) = errors.unzip();
    let Some(first) = places.first() else { return output.to_owned() };
    let kept = output.lines().enumerate().filter(|(index, line)| match step(line) {
        // A step's own digest says nothing to a person.
        Some((number, rest)) => failed.contains(&number) && !rest.starts_with("sha256:"),
        None => is_left_out(line) || (index > first && !line.is_empty()),
    });
    kept.map(|(_, line)| format!("{line}\n")).collect()
}

/// `#5 RUN make` belongs to step 5.
fn step(line: &str) -> Option<(&str, &str)> {
    let (number, rest) = line.strip_prefix('#')?.split_once(' ')?;
    number.bytes().all(|b| b.is_ascii_digit()).then_some((number, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_failed_build_the_failed_step_is_shown() {
        let output = "#1 [internal] load build definition from Dockerfile\n#1 sha256:9b4a\n#1 DONE 0.0s\n\n\
                      #5 [2/3] RUN make\n#5 sha256:f7f1\n#5 0.5 cc: no such file\n\n#6 [3/3] RUN test\n#6 CANCELED\n\
                      #5 ERROR: exit code: 3\n------\n > [2/3] RUN make:\n#5 0.5 cc: no such file\n------\n\
                      executor failed running [make]: exit code: 3\n";
        assert_eq!(
            failed(output),
            "#5 [2/3] RUN make\n#5 0.5 cc: no such file\n#5 ERROR: exit code: 3\n------\n > [2/3] RUN make:\n\
             #5 0.5 cc: no such file\n------\nexecutor failed running [make]: exit code: 3\n"
        );
        // Where the middle of a long output is left out, a person sees that.
        let gap = "[… 12 bytes left out …]";
        let output = format!("#5 RUN make\n#6 RUN test\n{gap}\n#5 0.5 cc\n#5 ERROR: exit code: 3\n");
        assert_eq!(failed(&output), format!("#5 RUN make\n{gap}\n#5 0.5 cc\n#5 ERROR: exit code: 3\n"));
        for all in
            ["Step 1/2 : FROM scratch\nno such image\n", "#1 DONE 0.1s\nunknown flag: --nonsense\n", ""]
        {
            assert_eq!(failed(all), all);
        }
    }
}
