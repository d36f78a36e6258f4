//! The registry adapter over the wire: against a scripted server that misbehaves on demand, and against Debian's
//! `docker-registry`; and whole commands against both.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "the helpers are part of the tests")]

mod addresses;
mod auth;
mod budgets;
mod commands;
mod conditions;
mod debian;
mod elsewhere;
mod faults;
mod helpers;
mod manifests;
mod proxy;
mod scripted;
#[path = "../support/mod.rs"]
mod support;
mod tls;
mod tokens;
mod transfer;
mod withheld;
