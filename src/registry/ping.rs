//! Whether a registry answers at all, for `doctor` (distribution-spec, "Determining Support").

use reqwest::{Method, StatusCode};

use super::auth::Scopes;
use super::error::{Kind, RegistryError};
use super::transport::Call;
use super::{Registry, Task};

/// What was found out about a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ping {
    /// Where it was reached, e.g. `https://registry-1.docker.io`.
    pub address: String,
    /// How it authenticates: `none`, `basic`, or `bearer` with the token server.
    pub authentication: String,
    /// Where this machine's credentials for it come from; `None` when there are none.
    pub credentials: Option<String>,
    /// Whether it let us in with them.
    pub accepted: bool,
}

impl Registry {
    /// Asks `host` whether it is a registry, how it authenticates, and whether the credentials are good.
    ///
    /// # Errors
    ///
    /// It cannot be reached, or is no registry; broken credential files and helpers.
    pub async fn ping(&self, host: &str) -> Result<Ping, RegistryError> {
        let task = Task::new("reach", host, host);
        let found = self.host(&task)?;
        let call = Call::new(task, Method::GET, "v2/", Scopes::default());
        let accepted = match found.call(&call).await {
            Ok(reply) if reply.status.is_success() => true,
            Ok(reply) if reply.status == StatusCode::NOT_FOUND => {
                return Err(call
                    .task
                    .error(Kind::Protocol, "404 from a server that is no registry: it has no /v2/"));
            }
            Ok(reply) => return Err(reply.error(&call)),
            Err(error) if matches!(error.kind(), Kind::Unauthorized | Kind::Denied | Kind::Unreadable) => {
                false
            }
            Err(error) => return Err(error),
        };
        Ok(Ping {
            address: found.wire.base().origin().ascii_serialization(),
            authentication: found.auth.description().unwrap_or_else(|| "none".to_owned()),
            credentials: found.auth.source(&found.wire, &call.task).await?,
            accepted,
        })
    }
}
