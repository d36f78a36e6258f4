//! What adopters copy for their CI, run as it stands: every script of the GitHub Action, its workflow and the GitLab
//! template is taken from the YAML and run in a clone of a project, against a registry that wants a password.
//!
//! Stand-ins are the outside services only: the API and git server of the forge, the runner's own actions, and the
//! package managers of the images that jobs run in.
#![allow(clippy::unwrap_used, reason = "what a test does not expect may panic")]

#[path = "../support/mod.rs"]
mod support;

mod comment;
mod files;
mod forge;
mod github;
mod gitlab;
mod job;
mod packaging;
mod project;
mod release;
