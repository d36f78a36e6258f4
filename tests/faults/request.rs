//! Requests as the matrix tells them apart.

use std::fmt;

use axum::http::{Method, Uri};

/// One request of a run: the same in each run, whatever else goes on beside it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Asked {
    /// Which of the scenario's registries.
    pub(crate) registry: usize,
    pub(crate) class: Class,
    /// Path and query, without the number of an upload.
    pub(crate) target: String,
    /// How many like it came before in the run.
    pub(crate) before: usize,
}

/// The kinds of request that a run makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Class {
    HeadTag,
    GetTag,
    PutTag,
    HeadManifest,
    GetManifest,
    PutManifest,
    HeadBlob,
    GetBlob,
    Mount,
    BeginUpload,
    FinishUpload,
    OtherUpload,
    ListTags,
    Referrers,
    Token,
    Other,
}

/// What a clean run was answered, as far as a fault needs something to spoil.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answered {
    pub(crate) success: bool,
    /// 404
    pub(crate) is_absent: bool,
    /// The request was not carried out, as its condition did not hold.
    pub(crate) is_refused_condition: bool,
    pub(crate) body: u64,
    pub(crate) has_digest: bool,
    pub(crate) has_location: bool,
}

impl Asked {
    pub(crate) fn new(registry: usize, method: &Method, uri: &Uri) -> Self {
        let mut target = uri.path().to_owned();
        if let Some((path, session)) = uri.path().split_once("/blobs/uploads/")
            && !session.is_empty()
        {
            target = format!("{path}/blobs/uploads/*");
        }
        let class = class(method, &target, uri.query().unwrap_or_default());
        // Which scopes are asked for together varies with who waits for a token at the moment.
        if let Some(query) = uri.query().filter(|_| class != Class::Token) {
            target = format!("{target}?{query}");
        }
        Self { registry, class, target, before: 0 }
    }

    /// Whether both ask for the same, each in its turn.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        (self.registry, self.class, &self.target) == (other.registry, other.class, &other.target)
    }
}

fn class(method: &Method, path: &str, query: &str) -> Class {
    let of = |head, get, put| match method.as_str() {
        "HEAD" => head,
        "GET" => get,
        "PUT" => put,
        _ => Class::Other,
    };
    if path == "/token" {
        Class::Token
    } else if let Some((_, lookup)) = path.split_once("/manifests/") {
        match lookup.contains(':') {
            true => of(Class::HeadManifest, Class::GetManifest, Class::PutManifest),
            false => of(Class::HeadTag, Class::GetTag, Class::PutTag),
        }
    } else if path.ends_with("/blobs/uploads/") {
        if query.contains("mount=") { Class::Mount } else { Class::BeginUpload }
    } else if path.ends_with("/blobs/uploads/*") {
        of(Class::OtherUpload, Class::OtherUpload, Class::FinishUpload)
    } else if path.contains("/blobs/") {
        of(Class::HeadBlob, Class::GetBlob, Class::Other)
    } else if path.ends_with("/tags/list") {
        Class::ListTags
    } else if path.contains("/referrers/") {
        Class::Referrers
    } else {
        Class::Other
    }
}

impl Class {
    /// As a row of the table.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::HeadTag => "HEAD tag",
            Self::GetTag => "GET tag",
            Self::PutTag => "PUT tag",
            Self::HeadManifest => "HEAD manifest",
            Self::GetManifest => "GET manifest",
            Self::PutManifest => "PUT manifest",
            Self::HeadBlob => "HEAD blob",
            Self::GetBlob => "GET blob",
            Self::Mount => "POST mount",
            Self::BeginUpload => "POST upload",
            Self::FinishUpload => "PUT upload",
            Self::OtherUpload => "other upload",
            Self::ListTags => "GET tags",
            Self::Referrers => "GET referrers",
            Self::Token => "GET token",
            Self::Other => "other",
        }
    }

    /// Whether the answer's body is what is asked for.
    pub(crate) fn is_read(self) -> bool {
        use Class::{GetBlob, GetManifest, GetTag, ListTags, Referrers, Token};
        matches!(self, GetBlob | GetManifest | GetTag | ListTags | Referrers | Token)
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} of registry {}, {}, after {} like it",
            self.class.name(),
            self.registry,
            self.target,
            self.before
        )
    }
}
