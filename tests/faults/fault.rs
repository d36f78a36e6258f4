//! The faults: which requests each can meet, and what may come of it.

use crate::request::{Answered, Asked, Class};
use crate::scenarios::Scenario;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// The registry goes down: this request is cut, and connections are refused after it.
    Refused,
    /// The connection is closed before the request is carried out.
    Closed,
    /// The request is carried out, and the connection reset before the answer.
    Reset,
    /// The answer ends within its head.
    HalfHead,
    /// The answer ends within its body.
    HalfBody,
    Status500,
    /// With a page of a proxy's instead of an error.
    Status502,
    Status503,
    /// After the request was carried out.
    Status504,
    Status429,
    /// With a `Retry-After` that is soon over.
    RetrySoon,
    /// With one that is longer than anybody waits.
    RetryLate,
    /// Without a challenge.
    Status401,
    Status403,
    /// Another host, to which the registry sends the request, asks for credentials.
    ForeignChallenge,
    /// Every token so far is void.
    Expired,
    WrongDigest,
    WrongLength,
    NoLocation,
    NoDigest,
    /// The request is carried out, and nothing comes.
    Silent,
    /// To the same content at another host.
    Redirect,
    /// 200 and nothing in it.
    Empty,
    /// A list without its last half, and without a word on it.
    CutList,
    /// The body goes on and on.
    Endless,
    /// It goes on and on, a byte at a time.
    Dribble,
    /// Somebody else moves all the tags just before.
    Moved,
    /// A write is refused because it carries a condition.
    NoConditions,
}

/// How often a fault meets its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Times {
    /// Only this time.
    Once,
    /// This time, and each time that the same is asked for again.
    Always,
}

/// What may come of a fault. The right end of a failure is the text of the error, which is to say one of the things.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Allowed {
    Success,
    Failure(&'static [&'static str]),
    Either(&'static [&'static str]),
}

use Allowed::{Either, Failure, Success};

/// What a connection that ends early looks like, by where it was.
const BROKEN: &[&str] = &[
    "connection closed before message completed",
    "connection error",
    "Connection reset by peer",
    "Connection refused",
    "end of file before message length reached",
    "Broken pipe",
    "unexpected EOF",
];
/// Another host's refusal; a stream that goes out once is not sent after a redirect.
const ELSEWHERE: &[&str] = &["where the registry sends its clients", "307 Temporary Redirect"];
const SILENCE: &[&str] = &["no answer within"];
/// A body in dribbles: given up, or ended by what it says of itself, its digest or its size.
const SLOW: &[&str] =
    &["no answer within", "hardly anything came", "longer than", "with the digest", "have the digest"];
/// A tag that is not what it was, or does not say so.
const OVERTAKEN: &[&str] = &["was moved by somebody else", "was overtaken", MAY_NOT_MOVE];
/// A tag that was somebody else's before the run looked.
pub(crate) const MAY_NOT_MOVE: &str = "is immutable and serves another list";

impl Fault {
    pub(crate) const ALL: [Self; 28] = [
        Self::Refused,
        Self::Closed,
        Self::Reset,
        Self::HalfHead,
        Self::HalfBody,
        Self::Status500,
        Self::Status502,
        Self::Status503,
        Self::Status504,
        Self::Status429,
        Self::RetrySoon,
        Self::RetryLate,
        Self::Status401,
        Self::Status403,
        Self::ForeignChallenge,
        Self::Expired,
        Self::WrongDigest,
        Self::WrongLength,
        Self::NoLocation,
        Self::NoDigest,
        Self::Silent,
        Self::Redirect,
        Self::Empty,
        Self::CutList,
        Self::Endless,
        Self::Dribble,
        Self::Moved,
        Self::NoConditions,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Closed => "closed",
            Self::Reset => "reset after",
            Self::HalfHead => "half head",
            Self::HalfBody => "half body",
            Self::Status500 => "500",
            Self::Status502 => "502, HTML",
            Self::Status503 => "503",
            Self::Status504 => "504 after",
            Self::Status429 => "429",
            Self::RetrySoon => "429, 0 s",
            Self::RetryLate => "429, 1 h",
            Self::Status401 => "401",
            Self::Status403 => "403",
            Self::ForeignChallenge => "401 elsewhere",
            Self::Expired => "expired token",
            Self::WrongDigest => "wrong digest",
            Self::WrongLength => "wrong length",
            Self::NoLocation => "no Location",
            Self::NoDigest => "no digest",
            Self::Silent => "silence",
            Self::Redirect => "redirect",
            Self::Empty => "200, empty",
            Self::CutList => "cut list",
            Self::Endless => "endless",
            Self::Dribble => "dribble",
            Self::Moved => "tag moved",
            Self::NoConditions => "412 to a condition",
        }
    }

    /// Whether the run has to wait for it to see it.
    pub(crate) fn takes_time(self) -> bool {
        matches!(self, Self::Silent | Self::Dribble)
    }

    /// Whether it is not the registry that answers so, but what is below it.
    pub(crate) fn is_below_http(self) -> bool {
        matches!(self, Self::Refused | Self::Closed | Self::Reset | Self::HalfHead)
    }

    /// Whether another host takes part in it.
    pub(crate) fn leads_away(self) -> bool {
        matches!(self, Self::Redirect | Self::ForeignChallenge)
    }

    /// Whether the fault can meet a request that was `answered` so in a clean run.
    pub(crate) fn fits(self, asked: &Asked, answered: &Answered, with_tokens: bool, times: Times) -> bool {
        let is_token = asked.class == Class::Token;
        match self {
            Self::HalfBody | Self::WrongLength | Self::Endless | Self::Dribble
                if matches!(asked.class, Class::HeadTag | Class::HeadManifest | Class::HeadBlob) =>
            {
                self == Self::WrongLength && answered.success
            }
            Self::HalfBody => answered.body > 1,
            Self::WrongLength => answered.success && answered.body > 1,
            Self::Endless | Self::Dribble => answered.success,
            Self::WrongDigest => answered.success && (answered.has_digest || asked.class == Class::GetBlob),
            Self::NoDigest => answered.has_digest,
            Self::Empty => answered.success && answered.body > 0 && asked.class.is_read(),
            Self::CutList => answered.success && asked.class == Class::ListTags,
            Self::NoLocation => answered.has_location,
            Self::Expired => with_tokens && !is_token,
            Self::Moved => !is_token && times == Times::Once,
            Self::NoConditions => asked.class == Class::PutTag,
            _ => true,
        }
    }

    /// What may come of it.
    pub(crate) fn allowed(
        self,
        asked: &Asked,
        answered: &Answered,
        scenario: &Scenario,
        times: Times,
    ) -> Allowed {
        let with_tokens = scenario.with_tokens;
        let is_first = asked.before == 0 || asked.class == Class::Token;
        match self.allowed_at(asked, answered, with_tokens, times) {
            // Signatures are found without the list of all tags, too, one by one.
            Failure(words) if asked.class == Class::ListTags && !scenario.compares_versions() => {
                Either(words)
            }
            // It only asks whether the registry takes conditions.
            Failure(words) if answered.is_refused_condition => Either(words),
            // Which of the first requests are told to bring a token varies, and that answer has nothing to spoil.
            Failure(words) if with_tokens && is_first && self.spoils_success() => Either(words),
            allowed => allowed,
        }
    }

    fn spoils_success(self) -> bool {
        matches!(self, Self::WrongDigest | Self::WrongLength | Self::Empty | Self::Endless | Self::Dribble)
    }

    fn allowed_at(self, asked: &Asked, answered: &Answered, with_tokens: bool, times: Times) -> Allowed {
        use Times::{Always, Once};
        let class = asked.class;
        // A write that was carried out is found so by looking, and no answer to it is needed.
        let is_found = matches!(class, Class::PutTag | Class::PutManifest | Class::FinishUpload);
        match (self, times) {
            // Passing troubles pass.
            (Self::Refused | Self::Closed | Self::Reset | Self::HalfHead | Self::HalfBody, Once) => Success,
            (Self::Status500 | Self::Status502 | Self::Status503 | Self::Status504, Once) => Success,
            (Self::Status429 | Self::RetrySoon | Self::Silent, Once) => Success,
            // Lasting ones are errors that say what they are.
            (Self::Refused, Always) => Failure(BROKEN),
            (Self::Reset | Self::HalfHead, Always) if is_found => Success,
            (Self::Closed | Self::Reset | Self::HalfHead | Self::HalfBody, Always) => Failure(BROKEN),
            (Self::Status504 | Self::Silent, Always) if is_found => Success,
            (Self::Status500, Always) => Failure(&["500 Internal Server Error"]),
            (Self::Status502, Always) => Failure(&["502 Bad Gateway"]),
            (Self::Status503, Always) => Failure(&["503 Service Unavailable"]),
            (Self::Status504, Always) => Failure(&["504 Gateway Timeout"]),
            (Self::Status429 | Self::RetrySoon, Always) => Failure(&["429 Too Many Requests"]),
            (Self::Silent, Always) => Failure(SILENCE),
            (Self::RetryLate, _) => Failure(&["asks to wait 3600 s"]),
            // With tokens a wider one is tried. What cannot be looked at in another repository is brought there; what
            // a token server refuses together is asked for apart.
            (Self::Status401, Once) if with_tokens => Either(&["401 Unauthorized"]),
            // What cannot be mounted is sent.
            (Self::Status401, _) if class == Class::Mount => Either(&["401 Unauthorized"]),
            (Self::Expired, _) if class == Class::Mount => Either(&["401 Unauthorized"]),
            (Self::Status401, Always) if matches!(class, Class::HeadManifest | Class::Token) => {
                Either(&["401 Unauthorized"])
            }
            (Self::Status401, _) => Failure(&["401 Unauthorized"]),
            // Where tags are not listed they are compared otherwise; what cannot be mounted is sent; what cannot be looked
            // at in another repository is brought there.
            (Self::Status403, _) => match class {
                Class::Mount | Class::HeadManifest | Class::ListTags => Either(&["403 Forbidden"]),
                Class::Token => Either(&["403 Forbidden"]),
                _ if with_tokens && times == Once => Either(&["403 Forbidden"]),
                _ => Failure(&["403 Forbidden"]),
            },
            // The registry may send somewhere else the next time, and what was written all the same is found.
            (Self::ForeignChallenge, Once) if class != Class::Token => Either(ELSEWHERE),
            (Self::ForeignChallenge, _) => match class {
                Class::Token => Failure(&["307 Temporary Redirect"]),
                _ if is_found => Either(ELSEWHERE),
                _ => Failure(ELSEWHERE),
            },
            // A token that was fetched for this very request, and does not do, is a denial.
            (Self::Expired, Once) => Success,
            (Self::Expired, Always) => Failure(&["401 Unauthorized"]),
            // A tag's digest is whatever the registry says; only what is asked for by digest can be held against it.
            (Self::WrongDigest, _) if class == Class::HeadTag => Either(OVERTAKEN),
            // Of what is written, what is served counts.
            (Self::WrongDigest, _) if is_found || class == Class::Mount => Success,
            (Self::WrongDigest, _) => Failure(&["have the digest", "with the digest", "names"]),
            (Self::WrongLength, _) => match class {
                Class::GetTag | Class::GetManifest => Failure(&["have the digest"]),
                Class::GetBlob => Either(&["with the digest", "it ends after", "the blob ended after"]),
                Class::Token => Failure(&["answered without a token"]),
                Class::ListTags | Class::Referrers => Failure(&["could not list"]),
                _ => Success,
            },
            (Self::NoLocation, _) => match class {
                Class::BeginUpload => Failure(&["does not say where"]),
                _ => Success,
            },
            (Self::NoDigest, _) => Success,
            (Self::Empty, _) => match class {
                Class::GetTag | Class::GetManifest => {
                    Failure(&["have the digest", "not a manifest", "is empty"])
                }
                Class::GetBlob => Either(&["with the digest", "ended after"]),
                Class::Token => Failure(&["answered without a token"]),
                _ => Failure(&["not what it should be"]),
            },
            // What is published is compared with as well, and a list that lacks it is not believed.
            (Self::CutList, _) => Either(&["is not known"]),
            (Self::Redirect, _) => match class {
                Class::Token => Failure(&["307 Temporary Redirect"]),
                // A stream goes out once, and then in pieces that say where they go.
                Class::FinishUpload => Either(&["307 Temporary Redirect"]),
                // Another host's word for it is not the registry's.
                _ if answered.is_absent && times == Always => {
                    Failure(&["where the registry sends its clients"])
                }
                _ => Success,
            },
            // Where the status says all, the rest does not matter.
            (Self::Endless | Self::Dribble, _) if !class.is_read() => Success,
            (Self::Endless, _) => Failure(&["longer than", "with the digest", "its bytes have the digest"]),
            // A byte at a time is a blob too, if it is a small one; what comes is not its bytes.
            (Self::Dribble, Once) => Either(SLOW),
            (Self::Dribble, Always) => Failure(SLOW),
            (Self::Moved, _) => Either(OVERTAKEN),
            (Self::NoConditions, _) => Success,
        }
    }
}
