//! The registry adapter over the wire: against a scripted server that misbehaves on demand, and against Debian's
//! `docker-registry`.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "the helpers are part of the tests")]

mod auth;
mod debian;
mod faults;
mod manifests;
mod scripted;
mod transfer;
