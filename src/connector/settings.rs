use super::adyen::AdyenAccount;
use super::stripe::StripeAccount;
use crate::payment::ProjectKey;
use crate::ports::Policy;
use crate::secret::Secret;
use crate::url::is_loopback;
use http::Uri;
use std::collections::HashMap;

/// The connectors by the payment interface that they serve; `*` serves the rest.
pub type Connectors = HashMap<String, ConnectorSettings>;

/// The settings of one connector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectorSettings {
    /// Its address: `https`, or a loopback address; no query.
    pub url: Uri,
    /// The time limit of one call.
    pub timeout_ms: u64,
    /// Our credentials there.
    pub authorization: Authorization,
    /// The projects that may use it; all of them where it is `None`.
    pub projects: Option<Vec<ProjectKey>>,
    /// The assumptions that hold for it.
    pub policy: Policy,
    /// The platform where its transactions can be looked up.
    pub platform: Option<Platform>,
    /// The PSP that is called in its own language, in place of a connector.
    pub psp: Option<Psp>,
}

/// An account at a PSP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Psp {
    /// At Stripe.
    Stripe(StripeAccount),
    /// At Adyen.
    Adyen(AdyenAccount),
}

impl ConnectorSettings {
    /// True where they may be kept in a variable, which many can read: they hold no keys
    /// of a PSP account, or only those of one on this machine.
    pub fn may_be_plain(&self) -> bool {
        self.psp.is_none() || is_loopback(&self.url)
    }
}

/// The platform whose Payments a connector writes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Platform {
    /// Its address: `https`, or a loopback address; no query.
    pub url: Uri,
    /// Our credentials there.
    pub authorization: Authorization,
}

/// Our credentials at a connector or a platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authorization {
    /// Not at all.
    None,
    /// With the bearer token of our caller. Recovery has none.
    Forward,
    /// With a token of our own.
    ClientCredentials(ClientCredentials),
}

/// The means of getting a token (RFC 6749, 4.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCredentials {
    /// The token endpoint: `https`, or a loopback address.
    pub token_url: Uri,
    /// Our client id there.
    pub client_id: String,
    /// The secret of that client.
    pub client_secret: Secret,
    /// The scope to ask for, where the endpoint needs one.
    pub scope: Option<String>,
}
