use super::adyen::AdyenAccount;
use super::stripe::StripeAccount;
use crate::payment::ProjectKey;
use crate::ports::Policy;
use crate::secret::Secret;
use crate::url::is_loopback;
use http::Uri;
use std::collections::HashMap;

/// The connectors by payment interface; `*` is for all other payment interfaces.
pub type Connectors = HashMap<String, ConnectorSettings>;

/// The settings of one connector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectorSettings {
    /// Its address: `https`, or a loopback address; no query.
    pub url: Uri,
    /// The time limit of one call.
    pub timeout_ms: u64,
    /// Our credentials at the connector.
    pub authorization: Authorization,
    /// The projects that may use it; `None` for all projects.
    pub projects: Option<Vec<ProjectKey>>,
    /// The assumptions that hold for it.
    pub policy: Policy,
    /// The platform where its transactions can be looked up.
    pub platform: Option<Platform>,
    /// The PSP that is called directly, in place of a connector.
    pub psp: Option<Psp>,
}

/// An account at a PSP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Psp {
    /// An account at Stripe.
    Stripe(StripeAccount),
    /// At Adyen.
    Adyen(AdyenAccount),
}

impl ConnectorSettings {
    /// True if they may be kept in a variable of the environment, which many people can read:
    /// they have no keys of a PSP account, or only keys of a PSP on this machine.
    pub fn may_be_plain(&self) -> bool {
        self.psp.is_none() || is_loopback(&self.url)
    }
}

/// The platform to whose Payments a connector writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Platform {
    /// Its address: `https`, or a loopback address; no query.
    pub url: Uri,
    /// Our credentials at the platform.
    pub authorization: Authorization,
}

/// Our credentials at a connector or a platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authorization {
    /// None.
    None,
    /// The bearer token of our caller. Recovery has none.
    Forward,
    /// A token that we get with client credentials.
    ClientCredentials(ClientCredentials),
}

/// Client credentials, by which we get a token (RFC 6749, 4.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCredentials {
    /// The token endpoint: `https`, or a loopback address.
    pub token_url: Uri,
    /// Our client id.
    pub client_id: String,
    /// The secret of that client.
    pub client_secret: Secret,
    /// The requested scope, if the endpoint needs one.
    pub scope: Option<String>,
}
