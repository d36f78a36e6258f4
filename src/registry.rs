//! STUB
#![allow(missing_docs, clippy::todo, clippy::unused_async)]
use crate::{digest::Digest, reference::Repository, config::RegistrySettings};
use std::{collections::BTreeMap, sync::Arc, path::Path};
#[derive(Clone, Debug)] pub struct Registry;
pub struct Fetched { pub bytes: bytes::Bytes, pub digest: Digest, pub media_type: String }
pub struct Head { pub digest: Digest, pub size: u64, pub media_type: String }
#[derive(Debug)] pub struct RegistryError;
impl RegistryError { pub fn is_unreadable(&self) -> bool { todo!() } pub fn hint(&self) -> Option<String> { todo!() } pub fn answer(&self) -> String { todo!() } }
impl From<RegistryError> for anyhow::Error { fn from(_: RegistryError) -> Self { todo!() } }
pub struct Credentials; impl Credentials { pub fn from_env() -> Self { todo!() } }
#[derive(Debug)] pub struct Wait; impl std::fmt::Display for Wait { fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { todo!() } }
pub struct Options { pub registries: BTreeMap<String, RegistrySettings>, pub insecure: bool, pub credentials: Credentials, pub waits: Arc<dyn Fn(&Wait) + Send + Sync>, pub patience: () }
impl Default for Options { fn default() -> Self { todo!() } }
type R<T> = Result<T, RegistryError>;
impl Registry {
 pub fn new(_: Options) -> R<Self> { todo!() }
 pub async fn head_manifest(&self, _: &Repository, _: &str) -> R<Option<Head>> { todo!() }
 pub async fn get_manifest(&self, _: &Repository, _: &str) -> R<Option<Fetched>> { todo!() }
 pub async fn put_manifest(&self, _: &Repository, _: &str, _: &str, _: &[u8]) -> R<Digest> { todo!() }
 pub async fn get_blob(&self, _: &Repository, _: &Digest, _: u64) -> R<bytes::Bytes> { todo!() }
 pub async fn copy_blob(&self, _: &Repository, _: &Repository, _: &Digest, _: u64) -> R<()> { todo!() }
 pub async fn upload_file(&self, _: &Repository, _: &Digest, _: u64, _: &Path) -> R<()> { todo!() }
 pub async fn tags(&self, _: &Repository) -> R<Option<Vec<String>>> { todo!() }
 pub async fn ping(&self, _: &str) -> R<Pong> { todo!() }
}
pub struct Pong { pub credentials: Option<String>, pub asks_for_credentials: bool }
