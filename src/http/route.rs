//! The resource that a request names: its project and Payment, from the raw path.
//!
//! The URL of `lambda_http` is not used: it resolves `..` and begins with the stage, so
//! that the authorized project could differ from the one that API Gateway routed.

use super::fields::is_payment_key;
use super::problem::Problem;
use crate::payment::{PaymentId, PaymentKey, ProjectKey};
use http::Method;
use percent_encoding::percent_decode_str;

/// The operation that a request asks for. Project and Payment are read from one source,
/// the raw path, so that no caller is authorized for one project and acts on another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// `POST /{projectKey}/payment-intents/{paymentId}`
    Act(PaymentKey),
    /// `GET /{projectKey}/payments/{paymentId}`
    Get(PaymentKey),
    /// `GET /{projectKey}/payments/key={key}`
    Find(ProjectKey, String),
    /// `GET /{projectKey}/payments`
    Query(ProjectKey),
    /// `POST /{projectKey}/payments`
    Create(ProjectKey),
    /// `POST /{projectKey}/payments/{paymentId}`
    Update(PaymentKey),
    /// `POST /{projectKey}/webhooks/{connector}`
    Webhook(ProjectKey, String),
}

/// A path that exists, with any method.
enum Resource {
    PaymentIntent(PaymentKey),
    Payment(PaymentKey),
    PaymentByKey(ProjectKey, String),
    Payments(ProjectKey),
    Webhook(ProjectKey, String),
}

impl Route {
    pub(super) fn of(method: &Method, path: &str, stage: Option<&str>) -> Result<Self, Problem> {
        let resource = Resource::of(path, stage).ok_or_else(Problem::no_such_path)?;
        match (resource, method) {
            (Resource::PaymentIntent(key), &Method::POST) => Ok(Self::Act(key)),
            (Resource::Payment(key), &Method::GET) => Ok(Self::Get(key)),
            (Resource::Payment(key), &Method::POST) => Ok(Self::Update(key)),
            (Resource::PaymentByKey(project, key), &Method::GET) => Ok(Self::Find(project, key)),
            (Resource::Payments(project), &Method::GET) => Ok(Self::Query(project)),
            (Resource::Payments(project), &Method::POST) => Ok(Self::Create(project)),
            (Resource::Webhook(project, connector), &Method::POST) => {
                Ok(Self::Webhook(project, connector))
            }
            (Resource::PaymentIntent(_) | Resource::Webhook(..), _) => {
                Err(Problem::method_not_allowed("POST"))
            }
            (Resource::Payment(_) | Resource::Payments(_), _) => {
                Err(Problem::method_not_allowed("GET, POST"))
            }
            (Resource::PaymentByKey(..), _) => Err(Problem::method_not_allowed("GET")),
        }
    }

    /// The project that the caller must hold a scope for.
    pub(super) fn project(&self) -> &ProjectKey {
        match self {
            Self::Act(key) | Self::Get(key) | Self::Update(key) => &key.project,
            Self::Find(project, _)
            | Self::Query(project)
            | Self::Create(project)
            | Self::Webhook(project, _) => project,
        }
    }

    /// The scopes of which the caller needs one for that project.
    pub(super) fn scopes(&self) -> &'static [&'static str] {
        match self {
            Self::Act(_) => &["manage_checkout_payment_intents", "manage_project"],
            Self::Get(_) | Self::Find(..) | Self::Query(_) => {
                &["view_payments", "manage_payments", "manage_project"]
            }
            Self::Create(_) | Self::Update(_) => &["manage_payments", "manage_project"],
            // The PSP's signature authorizes it.
            Self::Webhook(..) => &[],
        }
    }
}

impl Resource {
    /// The resource of a path. API Gateway puts a named stage in front of the path, except
    /// behind a custom domain.
    fn of(path: &str, stage: Option<&str>) -> Option<Self> {
        let path = path.strip_prefix('/')?;
        let behind_stage = stage
            .and_then(|stage| path.strip_prefix(stage))
            .and_then(|path| path.strip_prefix('/'));
        behind_stage.and_then(Self::without_stage).or_else(|| Self::without_stage(path))
    }

    fn without_stage(path: &str) -> Option<Self> {
        let mut segments = path.split('/');
        let project = ProjectKey::parse(&decoded(segments.next()?)?).ok()?;
        let collection = segments.next()?;
        let id = segments.next();
        if segments.next().is_some() {
            return None;
        }
        let id = id.map(decoded);
        if let ("webhooks", Some(Some(connector))) = (collection, &id) {
            let is_name = !connector.is_empty() && !connector.contains(char::is_control);
            return is_name.then(|| Self::Webhook(project, connector.clone()));
        }
        if let ("payments", Some(Some(id))) = (collection, &id)
            && let Some(key) = id.strip_prefix(PaymentId::KEY_PREFIX)
        {
            return is_payment_key(key).then(|| Self::PaymentByKey(project, key.to_owned()));
        }
        let id = match id {
            Some(id) => Some(PaymentId::parse(&id?).ok()?),
            None => None,
        };
        match (collection, id) {
            ("payment-intents", Some(id)) => Some(Self::PaymentIntent(PaymentKey { project, id })),
            ("payments", Some(id)) => Some(Self::Payment(PaymentKey { project, id })),
            ("payments", None) => Some(Self::Payments(project)),
            _ => None,
        }
    }
}

/// Decodes a segment once. `None` if it is not UTF-8.
fn decoded(segment: &str) -> Option<String> {
    percent_decode_str(segment).decode_utf8().ok().map(|text| text.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn act(project: &str, id: &str) -> Option<Route> {
        let project = ProjectKey::parse(project).unwrap();
        Some(Route::Act(PaymentKey { project, id: PaymentId::parse(id).unwrap() }))
    }

    #[test]
    fn the_raw_path_is_the_one_source() {
        for (path, stage, expected) in [
            ("/demo/payment-intents/p1", None, act("demo", "p1")),
            ("/demo/payment-intents/a%20b", None, act("demo", "a b")),
            // An id that would change when it is decoded twice is refused.
            ("/demo/payment-intents/a%2520b", None, None),
            ("/demo/payment-intents/a%3Fb", None, None),
            ("/demo/payment-intents/a%23b", None, None),
            ("/prod/demo/payment-intents/p1", Some("prod"), act("demo", "p1")),
            ("/demo/payment-intents/p1", Some("prod"), act("demo", "p1")),
            // The stage and the project have the same name.
            ("/demo/demo/payment-intents/p1", Some("demo"), act("demo", "p1")),
            ("/demo/payment-intents/p1", Some("demo"), act("demo", "p1")),
            ("/prod/demo/payment-intents/p1", None, None),
            ("/production/demo/payment-intents/p1", Some("prod"), None),
            ("/prod/prod/demo/payment-intents/p1", Some("prod"), None),
            ("/x/../demo/payment-intents/p1", None, None),
            ("/demo/payment-intents/..", None, None),
            ("/demo/payment-intents/%2e%2e", None, None),
            ("/demo/payment-intents/.", None, None),
            ("/demo/payment-intents/a%2Fb", None, None),
            ("/demo/payment-intents/a%5Cb", None, None),
            ("/demo%2Fpayment-intents/p1", None, None),
            ("/demo/payment-intents/a%00b", None, None),
            ("/demo/payment-intents/%FF", None, None),
            ("//demo/payment-intents/p1", None, None),
            ("/demo//payment-intents/p1", None, None),
            ("/demo/payment-intents/", None, None),
            ("/demo/payment-intents/p1/", None, None),
            ("/demo/payment-intents", None, None),
            ("/Demo/payment-intents/p1", None, None),
            ("/de%23mo/payment-intents/p1", None, None),
            ("/demo/Payment-Intents/p1", None, None),
            ("demo/payment-intents/p1", None, None),
            ("", None, None),
            ("/", None, None),
        ] {
            let route = Route::of(&Method::POST, path, stage).ok();
            assert_eq!(route, expected, "{path} {stage:?}");
        }
    }
}
