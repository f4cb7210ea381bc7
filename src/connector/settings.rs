use crate::payment::ProjectKey;
use crate::ports::Policy;
use crate::secret::Secret;
use http::Uri;
use std::collections::HashMap;

/// The connectors by the payment interface that they serve; `*` serves the rest.
pub type Connectors = HashMap<String, ConnectorSettings>;

/// What the operator says of one connector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectorSettings {
    /// Where it is: `https`, or a loopback address; no query.
    pub url: Uri,
    /// How long one call may take.
    pub timeout_ms: u64,
    /// What we show it.
    pub authorization: Authorization,
    /// Who may use it; everybody where it is `None`.
    pub projects: Option<Vec<ProjectKey>>,
    /// What may be assumed of it.
    pub policy: Policy,
    /// Where its transactions can be looked up.
    pub platform: Option<Platform>,
}

/// The platform whose Payments a connector writes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Platform {
    /// Where it is: `https`, or a loopback address; no query.
    pub url: Uri,
    /// What we show it.
    pub authorization: Authorization,
}

/// How we identify ourselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authorization {
    /// Not at all.
    None,
    /// With the bearer token of our caller. Recovery has none.
    Forward,
    /// With a token of our own.
    ClientCredentials(ClientCredentials),
}

/// How to get a token (RFC 6749, 4.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCredentials {
    /// The token endpoint: `https`, or a loopback address.
    pub token_url: Uri,
    /// Who we are there.
    pub client_id: String,
    /// And the proof.
    pub client_secret: Secret,
    /// What we ask for, where it has to be said.
    pub scope: Option<String>,
}
