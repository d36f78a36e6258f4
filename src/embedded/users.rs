//! Who may use the registry: a file of names and bcrypt hashes, as `htpasswd -B` writes it, and HTTP's Basic scheme
//! (RFC 7617).

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use tokio::sync::Semaphore;

/// Less does not exist.
const MIN_COST: u32 = 4;

/// The most work that a hash may ask for: 2^15 rounds take about two seconds, and `htpasswd -B` makes 2^5.
const MAX_COST: u32 = 15;

/// How many passwords are compared at once: each takes a core.
const AT_ONCE: usize = 2;

/// A longer file is no list of users.
const MAX_FILE: u64 = 1024 * 1024;

/// The users of a registry; cheap to clone.
#[derive(Clone)]
pub struct Users(Arc<Inner>);

struct Inner {
    /// By name.
    hashes: BTreeMap<String, String>,
    /// A digest of the password that each user was let in with: bcrypt is slow on purpose, and Basic sends the password
    /// with every request.
    known: Mutex<HashMap<String, [u8; 32]>>,
    /// Of this process, for the digests.
    key: u64,
    turns: Semaphore,
}

impl Users {
    /// Reads a file with a line `name:hash` for each user; empty lines and lines that begin with `#` say nothing.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or a line is something else than a name and a bcrypt hash, or a name comes twice, or there
    /// is none. The error names the file and the line; it never quotes it.
    pub fn read(path: &Path) -> Result<Self> {
        let what = || format!("could not read the users in {}", path.display());
        let length = std::fs::metadata(path).with_context(what)?.len();
        ensure!(length <= MAX_FILE, "{}: the file has {length} bytes, at most {MAX_FILE} are read", what());
        let text = std::fs::read_to_string(path).with_context(what)?;
        let mut hashes = BTreeMap::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim_end();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let at = || format!("{}, line {}", what(), number + 1);
            let (name, hash) = line
                .split_once(':')
                .filter(|(name, _)| !name.is_empty())
                .with_context(|| format!("{}: expected `name:hash`, as `htpasswd -B` writes it", at()))?;
            let Ok(parts) = hash.parse::<bcrypt::HashParts>() else {
                bail!("{}: the hash is not bcrypt's; make it with `htpasswd -B`", at());
            };
            let cost = parts.get_cost();
            ensure!(
                (MIN_COST..=MAX_COST).contains(&cost),
                "{}: the hash has the cost {cost}, {MIN_COST} to {MAX_COST} are taken",
                at()
            );
            if hashes.insert(name.to_owned(), hash.to_owned()).is_some() {
                bail!("{}: the name was there before", at());
            }
        }
        ensure!(!hashes.is_empty(), "{}: there is no user in it", what());
        Ok(Self(Arc::new(Inner {
            hashes,
            known: Mutex::default(),
            key: RandomState::new().hash_one(path),
            turns: Semaphore::new(AT_ONCE),
        })))
    }

    /// Whether an `Authorization` header names a user with the right password.
    pub(super) async fn admit(&self, authorization: Option<&str>) -> bool {
        let Some((name, password)) = authorization.and_then(basic) else { return false };
        let digest: [u8; 32] = Sha256::new()
            .chain_update(self.0.key.to_le_bytes())
            .chain_update(name.as_bytes())
            .chain_update([0])
            .chain_update(&password)
            .finalize()
            .into();
        let known = self.0.known.lock().unwrap_or_else(PoisonError::into_inner).get(&name).copied();
        if known.is_some_and(|known| bool::from(known.ct_eq(&digest))) {
            return true;
        }
        // A name that is not there costs as much as one that is, so that the time does not tell them apart.
        let found = self.0.hashes.get(&name);
        let Some(hash) = found.or_else(|| self.0.hashes.values().next()).cloned() else { return false };
        let Ok(_turn) = self.0.turns.acquire().await else { return false };
        let compare = move || bcrypt::verify(&password, &hash).unwrap_or(false);
        let same = tokio::task::spawn_blocking(compare).await.unwrap_or(false);
        if !same || found.is_none() {
            return false;
        }
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner).insert(name, digest);
        true
    }
}

impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Users").field(&self.0.hashes.len()).finish()
    }
}

/// The name and the password of `Basic …`. A name cannot hold a colon.
fn basic(authorization: &str) -> Option<(String, Vec<u8>)> {
    let (scheme, token) = authorization.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("Basic") {
        return None;
    }
    let decoded = STANDARD.decode(token.trim()).ok()?;
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    Some((String::from_utf8(decoded[..colon].to_vec()).ok()?, decoded[colon + 1..].to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A well-formed hash.
    fn hash(cost: u32) -> String {
        format!("$2y${cost:02}$abcdefghijklmnopqrstuu{}", "a".repeat(31))
    }

    fn read(text: &str) -> Result<Users> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Users::read(file.path()).map_err(|error| {
            let shown = format!("{error:#}");
            assert!(shown.contains(&*file.path().to_string_lossy()), "{shown}");
            assert!(!shown.contains("secret"), "{shown}");
            error
        })
    }

    #[test]
    fn files_of_users() {
        let (fast, slow) = (hash(5), hash(16));
        assert_eq!(read(&format!("# users\n\nme:{fast}\nyou:{fast}\r\n")).unwrap().0.hashes.len(), 2);
        for (text, problem) in [
            (String::new(), "no user"),
            ("# none\n".to_owned(), "no user"),
            ("secret".to_owned(), "line 1: expected"),
            (format!(":{fast}"), "line 1: expected"),
            ("\nme:secret".to_owned(), "line 2: the hash is not bcrypt's"),
            ("me:{SHA}secret".to_owned(), "the hash is not bcrypt's"),
            ("me:$apr1$secret$secret".to_owned(), "the hash is not bcrypt's"),
            (format!("me:{fast}secret"), "the hash is not bcrypt's"),
            (format!("me:{slow}"), "the cost 16"),
            (format!("me:{}", hash(3)), "the cost 3"),
            (format!("me:{fast}\nme:{fast}"), "line 2: the name was there before"),
        ] {
            let error = read(&text).unwrap_err();
            assert!(format!("{error:#}").contains(problem), "{text}: {error:#}");
        }
        assert!(Users::read(Path::new("/no/such/file")).is_err());
        assert!(Users::read(&std::env::temp_dir()).is_err());
    }

    #[test]
    fn basic_credentials() {
        let basic =
            |text: &str| basic(text).map(|(name, password)| (name, String::from_utf8(password).unwrap()));
        let pair = |name: &str, password: &str| Some((name.to_owned(), password.to_owned()));
        assert_eq!(basic("Basic bWU6b3Blbg=="), pair("me", "open"));
        assert_eq!(basic("basic bWU6YTpi"), pair("me", "a:b"));
        assert_eq!(basic("Basic OnNlY3JldA=="), pair("", "secret"));
        for none in ["", "Basic", "Basic ", "Basic !", "Basic bWU=", "Bearer bWU6b3Blbg=="] {
            assert_eq!(basic(none), None, "{none}");
        }
    }
}
