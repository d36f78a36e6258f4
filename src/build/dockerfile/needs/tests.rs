use super::*;

fn needs_of(text: &str, stage: Option<&str>, args: &[(&str, &str)], contexts: &[(&str, &str)]) -> Needs {
    let map = |pairs: &[(&str, &str)]| {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect::<BTreeMap<_, _>>()
    };
    let platform = "linux/arm/v7".parse().unwrap();
    let (args, contexts) = (map(args), map(contexts));
    let asked = Asked { args: &args, stage, platform: &platform, contexts: &contexts };
    Dockerfile::parse(text).needs(asked)
}

fn needs(text: &str) -> Needs {
    needs_of(text, None, &[], &[])
}

fn sources(text: &str) -> Vec<String> {
    needs(text).sources.into_iter().collect()
}

fn images(needs: &Needs) -> Vec<String> {
    needs.images.iter().map(Reference::familiar).collect()
}

#[test]
fn what_is_copied_counts_after_expansion() {
    for (text, expected) in [
        ("FROM scratch\nCMD x", &[][..]),
        ("FROM scratch\nCOPY a /b/./c/ ../d e/*.txt /", &["a", "b/c", "d", "e/*.txt"]),
        ("FROM scratch\nCOPY [\"a b\", \"/\"]", &["a b"]),
        ("FROM scratch\nADD a.tar /", &["a.tar"]),
        ("FROM scratch\nCOPY . /", &[""]),
        ("FROM scratch\nCOPY <<E a /\nx\nE", &["a"]),
        (
            "FROM x\nARG TARGETOS TARGETARCH\nARG TARGETVARIANT\nCOPY $TARGETOS-${TARGETARCH}$TARGETVARIANT /",
            &["linux-armv7"],
        ),
        ("ARG A=1\nFROM x\nARG A\nARG B=2$A\nENV C=3${B} D=\"4 5\"\nCOPY $A $B $C /", &["1", "21", "321"]),
        ("FROM x\nARG A=1\nENV A=2\nCOPY $A /", &["2"]),
        ("FROM scratch\nENV A b c\nCOPY d$A /", &["db c"]),
        // Nothing else may set them.
        ("FROM scratch\nCOPY a$A /", &["a"]),
        ("ARG A=1\nFROM scratch\nCOPY a$A /", &["a"]),
        // The base may, or the builder.
        ("FROM x\nCOPY a$A /", &[""]),
        ("FROM scratch\nARG BUILDARCH\nCOPY $BUILDARCH /", &[""]),
        ("FROM scratch\nENV A=${B/x/y}\nCOPY $A /", &[""]),
        ("FROM scratch\nCOPY --parents **/a /", &[""]),
        ("FROM scratch\nCOPY --parents a/b/*.c /", &["a"]),
        // A child of a stage may have its arguments, or not, and what it declares again.
        ("FROM scratch AS a\nARG A=1\nFROM a\nCOPY x$A /", &[""]),
        ("FROM scratch AS a\nARG A=1\nFROM a\nARG A\nCOPY x$A /", &[""]),
        ("FROM scratch AS a\nARG A=1\nFROM a\nARG A=2\nCOPY x$A /", &["x2"]),
        ("FROM scratch AS a\nENV A=1\nFROM a\nCOPY x$A /", &["x1"]),
        ("FROM scratch AS a\nENV A=1\nFROM a\nARG A=2\nCOPY x$A /", &[""]),
        ("FROM scratch\nARG A=1 B=$A\nCOPY x$B /", &[""]),
        ("FROM scratch\nENV \"A\"=1\nCOPY x$A /", &[""]),
        ("FROM scratch\nARG HTTP_PROXY=1\nCOPY x$HTTP_PROXY /", &[""]),
        ("FROM scratch\nCOPY [a b", &["", "[a"]),
        ("FROM scratch\nCOPY a\u{a0}b /", &["", "a\u{a0}b"]),
        ("FROM x\nARG T=cache\nRUN --mount=type=$T,target=/src make", &[""]),
        ("FROM x\nARG S=a\nRUN --mount=source=$S/[x],target=/src make", &["a/\\[x]"]),
        ("FROM scratch\nRUN cat << E\nCOPY a b\nE\nCOPY c /", &["c"]),
        ("FROM x\nRUN --mount=target=/src make", &[""]),
        ("FROM x\nRUN --mount=type=bind,source=a,target=/b --mount=type=cache,target=/c make", &["a"]),
        ("FROM x\nRUN --mount=type=secret,id=a make", &[]),
    ] {
        assert_eq!(sources(text), expected, "{text}");
    }
}

#[test]
fn only_stages_that_the_wanted_one_needs_count() {
    let text = "ARG V=1\nFROM base:$V AS One\nCOPY one /\nFROM other AS two\nCOPY two /\nFROM scratch AS three\n\
                COPY three /\nCOPY --from=one /x /\nFROM three AS four\nCOPY --from=1 /y /";
    let of = |stage: Option<&str>| {
        let needs = needs_of(text, stage, &[], &[]);
        (needs.sources.iter().cloned().collect::<Vec<_>>().join(" "), images(&needs).join(" "))
    };
    let pair = |sources: &str, images: &str| (sources.to_owned(), images.to_owned());
    assert_eq!(of(Some("one")), pair("one", "base:1"));
    assert_eq!(of(Some("1")), pair("two", "other:latest"));
    assert_eq!(of(Some("THREE")), pair("one three", "base:1"));
    assert_eq!(of(None), pair("one three two", "base:1 other:latest"));
    let three = needs_of(text, Some("three"), &[], &[]).instructions;
    assert_eq!(
        three,
        [
            "ARG V=1",
            "FROM base:$V AS One",
            "COPY one /",
            "FROM scratch AS three",
            "COPY three /",
            "COPY --from=one /x /"
        ]
    );
    let none = needs_of(text, Some("five"), &[], &[]).undecided;
    assert_eq!(none, BTreeSet::from([Undecided::Stage("five".to_owned())]));
}

#[test]
fn every_image_that_is_used_is_named() {
    for (text, expected) in [
        ("FROM scratch", ""),
        (
            "FROM --platform=$BUILDPLATFORM golang:1 AS a\nFROM alpine\nCOPY --from=a x /",
            "alpine:latest golang:1",
        ),
        ("FROM scratch\nCOPY --from=busybox:1 /bin /", "busybox:1"),
        ("FROM scratch\nRUN --mount=type=bind,from=tools:2,target=/t x", "tools:2"),
        ("FROM scratch\nRUN --mount=type=cache,from=cache:2,target=/t x", "cache:2"),
        ("# syntax=docker/dockerfile:1.7\nFROM scratch", "docker/dockerfile:1.7"),
        ("FROM img-$TARGETARCH", "img-arm:latest"),
        ("ARG B=a:1\nFROM ${B}", "a:1"),
        ("FROM x AS a\nONBUILD COPY --from=late:1 y /\nFROM a", "late:1 x:latest"),
    ] {
        let needs = needs(text);
        assert_eq!(images(&needs).join(" "), expected, "{text}");
        assert!(needs.undecided.is_empty(), "{text}");
    }
    assert_eq!(images(&needs_of("ARG B=a:1\nFROM ${B}", None, &[("B", "b:2")], &[])), ["b:2"]);
}

#[test]
fn named_contexts_take_the_place_of_stages_and_images() {
    let text = "FROM alpine AS base\nFROM base\nCOPY --from=files a /";
    let with = |contexts: &[(&str, &str)]| needs_of(text, None, &[], contexts);
    let needs = with(&[("alpine", "docker-image://debian:12"), ("files", "../files")]);
    assert_eq!(images(&needs), ["debian:12"]);
    assert_eq!(needs.contexts, BTreeSet::from(["files".to_owned()]));
    let needs = with(&[("base", "docker-image://debian:12"), ("files", "https://x/y.git")]);
    // The stage that it takes the place of still counts: which one that is, is the engine's to find.
    assert_eq!(images(&needs), ["alpine:latest", "debian:12"]);
    assert_eq!(needs.undecided, BTreeSet::from([Undecided::Remote("https://x/y.git".to_owned())]));
    // What a stage sets that one stands for is not known.
    let text = "FROM scratch AS base\nENV A=a\nFROM base\nCOPY $A /";
    assert_eq!(needs_of(text, None, &[], &[]).sources, BTreeSet::from(["a".to_owned()]));
    assert_eq!(needs_of(text, None, &[], &[("base", "../b")]).sources, BTreeSet::from([String::new()]));
}

#[test]
fn what_nobody_can_know_is_said() {
    for (text, expected) in [
        ("FROM x\nADD https://h/a.tgz /", "https://h/a.tgz is added without a checksum"),
        ("FROM x\nADD git@h:a.git /", "git@h:a.git is added without a checksum"),
        ("ARG BUILDARCH\nFROM x-$BUILDARCH", "`x-$BUILDARCH` names no image that is known before the build"),
        ("ARG B\nFROM $B", "`` names no image that is known before the build"),
        ("# syntax=me/mine\nFROM x", "the syntax docker.io/me/mine is not Docker's own"),
        ("RUN x", "the Dockerfile has no stage ``"),
        ("FROM x\nADD me@h:a.git /", "me@h:a.git is added without a checksum"),
        ("FROM x\nARG C\nADD --checksum=$C https://h/a.tgz /", "https://h/a.tgz is added without a checksum"),
        ("FROM x\nADD $U /", "$U is added without a checksum"),
        ("FROM x\nRUN --hurry true", "line 2 of the Dockerfile has a flag of RUN that is not understood"),
        ("FROM x\nCOPY --often a /", "line 2 of the Dockerfile has a flag of COPY that is not understood"),
        (
            "FROM x\nRUN --mount=source=\\\"a\\\" true",
            "line 2 of the Dockerfile has a mount that is not understood",
        ),
        ("FROM x\n\nLINK a", "line 3 of the Dockerfile has `LINK`, which is not understood"),
        ("FROM x AS c\nCOPY --from=c a /", "line 2 of the Dockerfile has `c`, a stage that comes later"),
    ] {
        let undecided: Vec<String> = needs(text).undecided.iter().map(Undecided::to_string).collect();
        assert_eq!(undecided, [expected.replace("docker.io/me", "me")], "{text}");
    }
    assert!(needs("FROM x\nADD --checksum=sha256:0 https://h/a.tgz /").undecided.is_empty());
    // Of a stage that is not needed nothing counts.
    assert!(needs("FROM x\nADD https://h/a.tgz /\nFROM y").undecided.is_empty());
}

#[test]
fn triggers_act_where_the_stage_is_begun_with() {
    let text = "FROM scratch AS a\nENV D=x\nONBUILD COPY $D /\nFROM a AS b\nFROM b";
    assert_eq!(sources(text), ["x"]);
    assert_eq!(needs_of(text, Some("a"), &[], &[]).sources.len(), 0);
}

#[test]
fn thousands_of_stages_and_arguments_that_double_are_read_at_once() {
    let mut text = String::from("ARG A0=xx\nFROM scratch AS s0\nARG A0\n");
    for index in 1..3000 {
        text.push_str(&format!("FROM s{} AS s{index}\nENV E{index}=$E{}\n", index - 1, index - 1));
    }
    for index in 1..3000 {
        text.push_str(&format!("ARG A{index}=$A{}$A{}\n", index - 1, index - 1));
    }
    text.push_str("COPY $A2999 /");
    let needs = needs(&text);
    assert_eq!(needs.sources, BTreeSet::from([String::new()]));
    assert_eq!(needs.instructions.len(), 2 + 3000 + 2 * 2999 + 1);
}

#[test]
fn arguments_count_as_far_as_an_instruction_asks_for_them() {
    for (text, expected) in [
        ("FROM scratch\nCOPY a /", ""),
        // Only the image's history shows it.
        ("FROM scratch\nARG A\nCOPY a /", ""),
        ("FROM scratch\nCOPY $A /", ""),
        ("FROM scratch\nARG A\nCOPY $A /", "A"),
        ("FROM scratch\nARG A\nCOPY \\$A /", "A"),
        ("FROM scratch\nARG A\nCOPY ${A:+a} /", "A?"),
        ("FROM scratch\nARG A\nCOPY ${A:-$B} /", "A"),
        ("FROM scratch\nARG A B\nCOPY ${N:-$A} ${A:+$B} /", "A B"),
        ("FROM scratch\nARG E B\nCOPY ${E:+$B}a /", "E?"),
        ("FROM scratch\nARG A B\nCOPY ${A:-$B} /", "A"),
        ("FROM scratch\nARG A\nCOPY ${A#x} /", "A"),
        ("FROM scratch\nARG A\nCOPY ${U:-${A:+x}} /", "A?"),
        ("FROM scratch\nARG A\nARG C=$A\nCOPY a$C /", "A"),
        ("FROM scratch\nARG A\nARG C=${A:+x}\nCOPY ${C:-b} /", "A?"),
        ("FROM scratch\nARG A\nARG C=${A#x}\nCOPY a$C /", "A"),
        ("FROM scratch\nARG A\nCOPY a /\nCMD [\"$A\"]", ""),
        ("FROM scratch\nARG A\nLABEL a='$A'", "A"),
        ("FROM scratch\nARG A\nWORKDIR /$A", "A"),
        ("FROM scratch\nARG A\nCOPY <<E /b\n$A\nE", "A"),
        // What is run gets all of them, whatever it names.
        ("FROM x\nARG A\nRUN true", "A"),
        ("FROM x\nRUN true\nARG A", ""),
        ("FROM x AS y\nARG A\nFROM y\nRUN true", "A"),
        ("FROM x AS y\nRUN true\nARG A\nFROM y\nRUN true", "A"),
        ("FROM x AS y\nARG A\nRUN true\nFROM x\nCOPY --from=y a /", "A"),
        ("FROM x AS y\nARG A\nRUN true\nFROM x\nARG B", ""),
        ("FROM x AS y\nARG A\nONBUILD RUN true\nFROM y", "A"),
        // What ENV sets is part of the image, and of those that begin with it.
        ("FROM scratch\nARG A\nENV C=$A", "A"),
        ("FROM scratch AS y\nARG A\nENV C=${A:+x}\nFROM y\nCOPY a /", "A?"),
        ("FROM scratch AS y\nARG A\nENV C=$A\nCOPY a /\nFROM scratch\nCOPY --from=y a /", ""),
        ("FROM scratch AS y\nARG A\nENV C=$A\nFROM y\nARG C=b\nCOPY $C /", "A"),
        ("ARG A\nFROM $A", "A"),
        ("ARG A\nFROM b:${A:+1}", "A?"),
        ("ARG A\nARG C=$A\nFROM b:$C", "A"),
        ("ARG A\nARG C=$A\nFROM scratch\nARG C\nCOPY a$C /", "A"),
        ("ARG A\nFROM b", ""),
        // Not understood, or the builder's own.
        ("FROM scratch\nENV \"A\"=1\nCOPY a /", "A B E"),
    ] {
        let args = [("A", "a"), ("B", "b"), ("E", "")];
        let found = needs_of(text, None, &args, &[]).arguments.into_iter();
        let said = found.map(|(name, much)| if much == Use::Value { name } else { format!("{name}?") });
        assert_eq!(said.collect::<Vec<_>>().join(" "), expected, "{text}");
    }
    let given = [("SOURCE_DATE_EPOCH", "1"), ("TARGETARCH", "x"), ("OTHER", "y")];
    let names: Vec<String> = needs_of("FROM scratch", None, &given, &[]).arguments.into_keys().collect();
    assert_eq!(names, ["SOURCE_DATE_EPOCH", "TARGETARCH"]);
}

#[test]
fn words_of_copy_are_told_by_their_words_alone() {
    for (text, expected) in [
        ("FROM scratch\nCOPY  a \t b", "COPY a b"),
        ("FROM scratch\nCOPY --chown=1 a  b", "COPY --chown=1 a b"),
        ("FROM scratch\nCOPY [\"a\",  \"b\"]", "COPY [\"a\",  \"b\"]"),
        ("FROM x\nRUN a  b", "RUN a  b"),
        ("FROM x\nCOPY <<E  /b\nE", "COPY <<E  /b\nE"),
    ] {
        assert_eq!(needs(text).instructions[1], expected);
    }
}

#[test]
fn what_takes_too_many_steps_is_undecided() {
    let stages = |count: usize, each: &str| {
        let begins = |index: usize| if index == 0 { "scratch".to_owned() } else { format!("s{}", index - 1) };
        (0..count).map(|index| format!("FROM {} AS s{index}\n{each}\n", begins(index))).collect::<String>()
    };
    let copies = |count: usize| {
        let from = |index: usize| {
            if index == 0 { String::new() } else { format!("COPY --from=s{} /a /\n", index - 1) }
        };
        (0..count).map(|index| format!("FROM scratch AS s{index}\n{}", from(index))).collect::<String>()
    };
    let same = |count: usize| "FROM scratch AS s\nFROM s AS s\nCOPY a /b\n".repeat(count);
    let uses: String =
        (0..3000).map(|index| format!("ARG A{index}\nARG B{index}=$A{index}$B{}\n", index + 1)).collect();
    for (text, too_many) in [
        (stages(3000, "COPY a$U /"), false),
        (stages(10_000, "COPY a$U /"), true),
        (copies(10_000), false),
        (stages(3000, "ENV A=$A$A"), false),
        (
            format!("FROM scratch AS a\n{}{}", "ONBUILD COPY a /\n".repeat(5000), "FROM a\n".repeat(5000)),
            true,
        ),
        (format!("FROM scratch\n{uses}COPY $B0 /"), false),
        (format!("FROM scratch\nCOPY {} /", "$A".repeat(100_000)), false),
    ] {
        let start: String = text.chars().take(60).collect();
        let undecided = needs(&text).undecided;
        assert_eq!(undecided.contains(&Undecided::Steps), too_many, "{start:?}");
        assert!(too_many || undecided.is_empty(), "{start:?}");
    }
    // Which of several stages of one name is meant is not told: all that came before count, once.
    assert_eq!(needs(&same(3_000)).instructions.len(), 3 * 3_000);
    let args: Vec<(String, String)> = (0..3000).map(|index| (format!("A{index}"), "a".to_owned())).collect();
    let args: Vec<(&str, &str)> = args.iter().map(|(name, value)| (&**name, &**value)).collect();
    let needs = needs_of(&format!("FROM scratch\n{uses}COPY $B0 /"), None, &args, &[]);
    assert!(needs.arguments.contains_key("A0") && needs.undecided.is_empty());
}

#[test]
fn an_image_is_for_the_platform_unless_a_stage_around_it_may_not_be() {
    let foreign = |text: &str, args: &[(&str, &str)], contexts: &[(&str, &str)]| {
        let needs = needs_of(text, None, args, contexts);
        needs.foreign.iter().map(Reference::familiar).collect::<Vec<_>>().join(" ")
    };
    for (text, expected) in [
        ("FROM a\nCOPY --from=b:1 x /\nRUN --mount=type=bind,from=c:1,target=/t x", ""),
        ("FROM --platform=linux/arm a", ""),
        ("FROM --platform=$TARGETPLATFORM a", ""),
        ("ARG P=linux/arm/v7\nFROM --platform=$P a", ""),
        ("FROM --platform=linux/arm/v6 a", "a:latest"),
        ("FROM --platform=$BUILDPLATFORM a", "a:latest"),
        ("FROM --platform=$UNKNOWN a", "a:latest"),
        ("FROM --platform=linux/amd64 a:1 AS a\nFROM a\nCOPY --from=b:1 x /", "a:1 b:1"),
        ("FROM --platform=linux/amd64 a AS x\nFROM b\nCOPY --from=x a /", "a:latest"),
        ("FROM --platform=linux/amd64 a AS x\nFROM b", ""),
        ("# syntax=docker/dockerfile:1\nFROM a", "docker/dockerfile:1"),
    ] {
        assert_eq!(foreign(text, &[], &[]), expected, "{text}");
    }
    assert_eq!(foreign("ARG P\nFROM --platform=$P a", &[("P", "linux/amd64")], &[]), "a:latest");
    // Which stage it stands for is not known, and for which platform neither.
    assert_eq!(foreign("FROM a", &[], &[("a", "docker-image://b:1")]), "b:1");
}
