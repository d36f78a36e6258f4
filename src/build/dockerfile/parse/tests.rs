use super::*;

fn parsed(text: &str) -> Vec<String> {
    let read = Dockerfile::parse(text);
    assert_eq!(read.doubts, [], "{text:?}");
    read.instructions.into_iter().map(|instruction| instruction.text).collect()
}

#[test]
fn lines_are_joined_and_comments_left_out() {
    for (text, expected) in [
        ("", &[][..]),
        ("# only a comment\n\n", &[]),
        ("from a\nRun b\n", &["FROM a", "RUN b"]),
        ("  FROM a # no comment", &["FROM a # no comment"]),
        ("RUN a \\\n  b", &["RUN a   b"]),
        ("RUN a \\\n# comment\n\n  && b \\  \n&& c\nCMD d", &["RUN a   && b && c", "CMD d"]),
        ("RUN echo \\\\\nCMD d", &["RUN echo \\\\", "CMD d"]),
        ("# escape=`\nRUN a `\nb\nRUN c:\\\nCMD d", &["RUN a b", "RUN c:\\", "CMD d"]),
        ("# a comment\n# escape=`\nRUN a \\\nb", &["RUN a b"]),
        ("FROM a\r\nCMD b\r\n", &["FROM a", "CMD b"]),
        ("RUN a \\", &["RUN a"]),
    ] {
        assert_eq!(parsed(text), expected, "{text:?}");
    }
}

#[test]
fn here_documents_belong_to_their_instruction_byte_for_byte() {
    for (text, expected) in [
        ("RUN <<EOF\nFROM x\nEOF\nCMD d", &["RUN <<EOF\nFROM x\nEOF\n", "CMD d"][..]),
        ("RUN <<EOF\r\n a \r\n\r\nEOF\r\nCMD d", &["RUN <<EOF\n a \r\n\r\nEOF\r\n", "CMD d"]),
        ("RUN <<EOF\n# a\n\\\nEOF\nCMD d", &["RUN <<EOF\n# a\n\\\nEOF\n", "CMD d"]),
        (
            "RUN cat > f <<-'E' && true\n\tCOPY a b\n\tE\nCMD d",
            &["RUN cat > f <<-'E' && true\n\tCOPY a b\n\tE\n", "CMD d"],
        ),
        ("COPY <<a <<\"b\" /\n1\na\n2\nb\nCMD d", &["COPY <<a <<\"b\" /\n1\na\n\n2\nb\n", "CMD d"]),
        ("ONBUILD RUN <<E\nx\nE", &["ONBUILD RUN <<E\nx\nE"]),
        ("RUN cat << E\nFROM x\nE\nCMD d", &["RUN cat << E\nFROM x\nE\n", "CMD d"]),
        ("RUN echo $((1<<2))\nCMD d", &["RUN echo $((1<<2))", "CMD d"]),
        ("RUN cat <<<\"x\"\nCMD d", &["RUN cat <<<\"x\"", "CMD d"]),
        ("RUN echo 'a <<E'\nCMD d", &["RUN echo 'a <<E'", "CMD d"]),
        ("CMD cat <<E\nRUN x", &["CMD cat <<E", "RUN x"]),
        ("RUN [\"cat\", \"<<E\"]\nCMD d", &["RUN [\"cat\", \"<<E\"]", "CMD d"]),
    ] {
        assert_eq!(parsed(text), expected, "{text:?}");
    }
}

#[test]
fn what_versions_read_in_more_than_one_way_is_a_doubt() {
    for text in [
        "RUN <<E\nx",
        "RUN echo $((1 << 2))\nCMD d",
        "RUN don't <<E\nx\nE",
        "RUN echo ${A%x} <<E\nx\nE",
        "RUN <<$E\nx\n$E",
        "RUN <<- E\nx\nE\nCMD d\n-",
        "RUN <<Env\nCOPY a b\nEnv",
        "RUN <<\"\"\nCOPY a b\n\n",
        " # syntax=x\nFROM a",
        "# escape=`\n# escape=`\nFROM a",
        "# escape=x\nFROM a",
        "# other=1\n# syntax=x\nFROM a",
        "#!/bin/sh\n# escape=`\nFROM a",
    ] {
        assert_ne!(Dockerfile::parse(text).doubts, [], "{text:?}");
    }
    assert_eq!(
        Dockerfile::parse("\nRUN <<E\nx").doubts[0].to_string(),
        "line 2 of the Dockerfile has the here-document `E`, which has no end"
    );
}

#[test]
fn flags_come_before_arguments() {
    let of = |line: &str| Instruction::of(line, '\\', 1);
    let instruction = of("COPY --from=a --chown=\"1 2\" --link src --dst");
    assert_eq!(instruction.flag("from"), Some("a"));
    assert_eq!(instruction.flag("chown"), Some("1 2"));
    assert_eq!(instruction.flag("link"), Some(""));
    assert_eq!(instruction.words(), ["src", "--dst"]);
    assert_eq!(of("RUN -- --mount=x").flags, []);
    assert_eq!(of("COPY [\"a b\", \"c\"]").words(), ["a b", "c"]);
    assert_eq!(of("COPY a\u{a0}b c").words(), ["a\u{a0}b", "c"]);
    assert_eq!(of("ENV a=\"b c\" d=e\\ f").quoted_words('\\'), ["a=\"b c\"", "d=e\\ f"]);
    for (line, plain) in
        [("COPY a b", true), ("COPY [\"a\"]", true), ("COPY [a b", false), ("COPY a\u{a0}b", false)]
    {
        assert_eq!(of(line).has_plain_words(), plain, "{line}");
    }
}

#[test]
fn directives_stand_above_everything() {
    let syntax = |text: &str| Dockerfile::parse(text).syntax;
    assert_eq!(syntax("# syntax = docker/dockerfile:1\nFROM a"), Some("docker/dockerfile:1".to_owned()));
    assert_eq!(syntax("\u{feff}#escape=`\n#SYNTAX=x\nFROM a"), Some("x".to_owned()));
    assert_eq!(syntax("\n# syntax=x\nFROM a"), None);
    assert_eq!(syntax("# hello\n# syntax=x\nFROM a"), None);
}
