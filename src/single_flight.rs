//! Things that are made once for each key and shared by all who name it: what makes work that several want at the same
//! time be done once. Pure.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

/// A thing of type `V` for each key.
pub(crate) struct SingleFlight<K, V>(Mutex<HashMap<K, Arc<V>>>);

impl<K, V> Default for SingleFlight<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash, V: Default> SingleFlight<K, V> {
    /// The key's own.
    pub(crate) fn of(&self, key: K) -> Arc<V> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(key).or_default().clone()
    }
}
