//! The tables of the file, each read from its keys. What does not fit is reported, and the rest is read all the same.

use super::fields::Fields;
use super::keys;
use super::model::{
    Attestations, BinaryCheck, CargoTool, Format, Libc, TagPolicy, Undeclared, WithoutEmulator,
};
use super::problems::{Problem, Span};
use super::tree::{Node, Table, Text, Value};

/// `[target.NAME]`, with `[defaults]` under it.
#[derive(Clone, Debug)]
pub(super) struct TargetTable {
    pub(super) name: Text,
    pub(super) repositories: Vec<Text>,
    pub(super) tags: Vec<TagEntry>,
    pub(super) image: Option<Text>,
    pub(super) platforms: Option<Vec<Text>>,
    pub(super) tables: Vec<PlatformTable>,
    pub(super) build: Option<BuildTable>,
    pub(super) smoke: Option<SmokeTable>,
    pub(super) undeclared: Undeclared,
    pub(super) attestations: Attestations,
    pub(super) format: Format,
    pub(super) annotations: Vec<(Text, Text)>,
    pub(super) package: Option<Text>,
    pub(super) binary_check: BinaryCheck,
}

#[derive(Clone, Debug)]
pub(super) struct TagEntry {
    pub(super) name: Text,
    pub(super) policy: Option<TagPolicy>,
}

/// `platform."…"` of a target, with the target's `build` and `smoke` under its own.
#[derive(Clone, Debug)]
pub(super) struct PlatformTable {
    pub(super) key: Text,
    /// Whether the target itself has the table; those of `[defaults]` wait for targets with that platform.
    pub(super) own: bool,
    pub(super) image: Option<Text>,
    pub(super) os_version: Option<Text>,
    pub(super) os_features: Vec<Text>,
    pub(super) build: Option<BuildTable>,
    pub(super) smoke: Option<SmokeTable>,
    pub(super) annotations: Vec<(Text, Text)>,
}

#[derive(Clone, Debug)]
pub(super) struct BuildTable {
    pub(super) context: Option<Text>,
    pub(super) dockerfile: Option<Text>,
    pub(super) args: Vec<(Text, Text)>,
    pub(super) stage: Option<Text>,
    pub(super) labels: Vec<(Text, Text)>,
    pub(super) secrets: Vec<Text>,
    pub(super) ssh: Vec<Text>,
    pub(super) cache_from: Vec<Text>,
    pub(super) cache_to: Vec<Text>,
    pub(super) no_cache: bool,
    pub(super) pull: bool,
    pub(super) before: Vec<Text>,
    pub(super) extra_args: Vec<Text>,
    pub(super) cargo: Option<CargoTable>,
    /// No key of it is unknown: one that is may be meant to say where the files are.
    pub(super) all_known: bool,
    /// Where `build` stands.
    pub(super) span: Span,
}

/// `build.cargo`.
#[derive(Clone, Debug)]
pub(super) struct CargoTable {
    pub(super) package: Option<Text>,
    pub(super) bin: Option<Text>,
    pub(super) profile: Option<Text>,
    pub(super) features: Vec<Text>,
    pub(super) libc: Libc,
    pub(super) with: CargoTool,
}

#[derive(Clone, Debug)]
pub(super) struct SmokeTable {
    pub(super) command: Vec<Text>,
    pub(super) expect: Option<Text>,
    pub(super) timeout: Option<Text>,
    pub(super) without_emulator: WithoutEmulator,
}

/// `[registry."HOST"]`.
#[derive(Clone, Debug)]
pub(super) struct RegistryTable {
    pub(super) host: Text,
    pub(super) ca_file: Option<Text>,
    pub(super) client_cert: Option<Text>,
    pub(super) client_key: Option<Text>,
    pub(super) insecure: bool,
    pub(super) plain_http: Option<(bool, Span)>,
    pub(super) max_connections: Option<usize>,
}

const POLICIES: &[(&str, TagPolicy)] =
    &[("moving", TagPolicy::Moving), ("immutable", TagPolicy::Immutable), ("newest", TagPolicy::Newest)];
const UNDECLARED: &[(&str, Undeclared)] = &[
    ("known", Undeclared::Known),
    ("remove", Undeclared::Remove),
    ("keep", Undeclared::Keep),
    ("error", Undeclared::Error),
];
const ATTESTATIONS: &[(&str, Attestations)] = &[("keep", Attestations::Keep), ("drop", Attestations::Drop)];
const FORMATS: &[(&str, Format)] =
    &[("auto", Format::Auto), ("docker", Format::Docker), ("oci", Format::Oci)];
const BINARY_CHECK: &[(&str, BinaryCheck)] =
    &[("error", BinaryCheck::Error), ("warn", BinaryCheck::Warn), ("off", BinaryCheck::Off)];
const LIBC: &[(&str, Libc)] = &[("musl", Libc::Musl), ("gnu", Libc::Gnu)];
const CARGO_TOOLS: &[(&str, CargoTool)] =
    &[("cargo", CargoTool::Cargo), ("cross", CargoTool::Cross), ("zigbuild", CargoTool::Zigbuild)];
const WITHOUT_EMULATOR: &[(&str, WithoutEmulator)] =
    &[("fail", WithoutEmulator::Fail), ("warn", WithoutEmulator::Warn)];

/// The entries of `table` that are tables themselves; the others are reported.
pub(super) fn each_table<'a>(
    table: &'a Table,
    name: &str,
    problems: &mut Vec<Problem>,
) -> std::vec::IntoIter<(&'a Text, &'a Table)> {
    let mut tables = Vec::new();
    for entry in &table.0 {
        match &entry.node.value {
            Value::Table(table) => tables.push((&entry.key, table)),
            other => {
                let problem =
                    Problem::new(&entry.key.span, format!("`{name}.{}` is no table", entry.key.value))
                        .label(format!("expected a table, found {}", other.kind()));
                // A key of the table itself, which then has no name of its own.
                let is_key = keys::TARGET.knows(&entry.key.value) && name == "target";
                let help = match other {
                    _ if is_key => Some("a target has a name: `[target.NAME]`".to_owned()),
                    Value::Array(nodes) if nodes.iter().all(|node| matches!(node.value, Value::Table(_))) => {
                        Some(format!("one table has single brackets: `[{name}.{}]`", entry.key.value))
                    }
                    _ => None,
                };
                problems.push(problem.maybe_help(help));
            }
        }
    }
    tables.into_iter()
}

impl TargetTable {
    pub(super) fn read(name: &Text, own: &Table, defaults: &Table, problems: &mut Vec<Problem>) -> Self {
        let table = defaults.under(own);
        let mut fields = Fields::named(name, &table, &keys::TARGET, problems);
        let repositories = fields.string_or_strings("repository");
        let tags = tags(&mut fields);
        let image = fields.string("image");
        let platforms = fields
            .full_array("platforms", "an array of strings")
            .map(|nodes| nodes.iter().filter_map(|node| fields.as_string("platforms", node)).collect());
        let build = BuildTable::of(&mut fields);
        let smoke = SmokeTable::of(&mut fields);
        let undeclared = fields.one_of("undeclared", UNDECLARED).unwrap_or(Undeclared::Known);
        let attestations = fields.one_of("attestations", ATTESTATIONS).unwrap_or(Attestations::Keep);
        let format = fields.one_of("format", FORMATS).unwrap_or(Format::Auto);
        let annotations = fields.table_of_strings("annotations");
        let package = fields.string("package");
        let binary_check = fields.one_of("binary-check", BINARY_CHECK).unwrap_or(BinaryCheck::Error);
        let tables = match fields.node("platform") {
            Some(Node { span, value: Value::Array(_) }) => {
                let problem =
                    Problem::new(span, "`platform` is for what differs, in tables `platform.\"OS/ARCH\"`");
                fields.problems.push(problem.help("did you mean `platforms`?"));
                None
            }
            _ => fields.table("platform", "tables `platform.\"OS/ARCH\"`"),
        };
        // A name that was cut at its dot has said nothing yet: `[target.my.app]`.
        let is_cut = !own.0.is_empty()
            && own.0.iter().all(|entry| {
                matches!(entry.node.value, Value::Table(_)) && !keys::TARGET.knows(&entry.key.value)
            });
        for key in ["repository", "tags"].into_iter().filter(|_| !is_cut) {
            if fields.lacks(key) {
                let message = format!("target `{}` has no `{key}`", name.value);
                let help = fields.example(key);
                fields.problems.push(Problem::new(&name.span, message).help(help));
            }
        }
        if !is_cut
            && fields.lacks("platforms")
            && (fields.lacks("platform") || tables.is_some_and(|tables| tables.0.is_empty()))
        {
            let message = format!("target `{}` has no platforms", name.value);
            let help = "add e.g. `platforms = [\"linux/amd64\", \"linux/arm64\"]`";
            fields.problems.push(Problem::new(&name.span, message).help(help));
        }
        let own_tables = match own.get("platform").map(|entry| &entry.node.value) {
            Some(Value::Table(own)) => own,
            _ => &Table::default(),
        };
        let tables = each_table(tables.unwrap_or(&Table::default()), "platform", problems)
            .map(|(key, inner)| {
                let own = own_tables.get(&key.value).is_some();
                PlatformTable::read(key, own, inner, &table, problems)
            })
            .collect();
        Self {
            name: name.clone(),
            repositories,
            tags,
            image,
            platforms,
            tables,
            build,
            smoke,
            undeclared,
            attestations,
            format,
            annotations,
            package,
            binary_check,
        }
    }
}

fn tags(fields: &mut Fields<'_, '_>) -> Vec<TagEntry> {
    let expected = "a string or `{ name, policy }`";
    let nodes = fields.full_array("tags", "an array").unwrap_or_default();
    let mut tags = Vec::new();
    for node in nodes {
        match &node.value {
            Value::String(name) => {
                let name = Text { value: name.clone(), span: node.span.clone() };
                tags.push(TagEntry { name, policy: None });
            }
            Value::Table(table) => {
                let mut tag = Fields::new(table, &keys::TAG, fields.problems);
                let policy = tag.one_of("policy", POLICIES);
                if tag.lacks("name") {
                    let help = "write `{ name = \"latest\", policy = \"newest\" }`";
                    tag.problems.push(Problem::new(&node.span, "a tag has no `name`").help(help));
                }
                tags.extend(tag.string("name").map(|name| TagEntry { name, policy }));
            }
            _ => fields.wrong("tags", node, expected).unwrap_or_default(),
        }
    }
    tags
}

impl PlatformTable {
    fn read(key: &Text, own: bool, table: &Table, target: &Table, problems: &mut Vec<Problem>) -> Self {
        let below = Table(
            target
                .0
                .iter()
                .filter(|entry| matches!(entry.key.value.as_str(), "build" | "smoke"))
                .cloned()
                .collect(),
        );
        let table = below.under(table);
        let mut fields = Fields::named(key, &table, &keys::PLATFORM, problems);
        Self {
            key: key.clone(),
            own,
            image: fields.string("image"),
            os_version: fields.string("os-version"),
            os_features: fields.strings("os-features"),
            build: BuildTable::of(&mut fields),
            smoke: SmokeTable::of(&mut fields),
            annotations: fields.table_of_strings("annotations"),
        }
    }
}

impl BuildTable {
    /// `build` of a target or a platform.
    fn of(fields: &mut Fields<'_, '_>) -> Option<Self> {
        let table = fields.table_or_false("build")??;
        let span = fields.key("build")?.clone();
        let mut fields = Fields::new(table, &keys::BUILD, fields.problems);
        Some(Self {
            context: fields.string("context"),
            dockerfile: fields.string("dockerfile"),
            args: fields.table_of_strings("args"),
            stage: fields.string("stage"),
            labels: fields.table_of_strings("labels"),
            secrets: fields.strings("secrets"),
            ssh: fields.strings("ssh"),
            cache_from: fields.strings("cache-from"),
            cache_to: fields.strings("cache-to"),
            no_cache: fields.boolean("no-cache").unwrap_or(false),
            pull: fields.boolean("pull").unwrap_or(false),
            before: fields.strings("before"),
            extra_args: fields.strings("extra-args"),
            cargo: CargoTable::of(&mut fields),
            all_known: fields.knows_all(),
            span,
        })
    }
}

impl CargoTable {
    /// `cargo` of `build`.
    fn of(fields: &mut Fields<'_, '_>) -> Option<Self> {
        let table = fields.table("cargo", "a table")?;
        let mut fields = Fields::new(table, &keys::CARGO, fields.problems);
        Some(Self {
            package: fields.string("package"),
            bin: fields.string("bin"),
            profile: fields.string("profile"),
            features: fields.strings("features"),
            libc: fields.one_of("target-libc", LIBC).unwrap_or(Libc::Musl),
            with: fields.one_of("with", CARGO_TOOLS).unwrap_or(CargoTool::Cargo),
        })
    }
}

impl SmokeTable {
    /// `smoke` of a target or a platform.
    fn of(fields: &mut Fields<'_, '_>) -> Option<Self> {
        let table = fields.table_or_false("smoke")??;
        let mut fields = Fields::new(table, &keys::SMOKE, fields.problems);
        Some(Self {
            command: fields.strings("command"),
            expect: fields.string("expect"),
            timeout: fields.string("timeout"),
            without_emulator: fields
                .one_of("without-emulator", WITHOUT_EMULATOR)
                .unwrap_or(WithoutEmulator::Fail),
        })
    }
}

impl RegistryTable {
    pub(super) fn read(host: &Text, table: &Table, problems: &mut Vec<Problem>) -> Self {
        let mut fields = Fields::named(host, table, &keys::REGISTRY, problems);
        let plain_http = fields.boolean("plain-http");
        Self {
            host: host.clone(),
            ca_file: fields.string("ca-file"),
            client_cert: fields.string("client-cert"),
            client_key: fields.string("client-key"),
            insecure: fields.boolean("insecure").unwrap_or(false),
            plain_http: plain_http.zip(fields.key("plain-http").cloned()),
            max_connections: fields.count("max-connections"),
        }
    }
}
