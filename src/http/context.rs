//! The context that API Gateway adds to a request.

use crate::auth::{Caller, Scopes};
use lambda_http::request::RequestContext;
use serde_json::Value;

/// The stage; `None` for `$default`, which is never part of the path.
pub(super) fn stage(context: &RequestContext) -> Option<&str> {
    let stage = match context {
        RequestContext::ApiGatewayV1(context) => context.stage.as_deref(),
        RequestContext::ApiGatewayV2(context) => context.stage.as_deref(),
        _ => None,
    };
    stage.filter(|stage| *stage != "$default")
}

/// The caller that API Gateway's authorizer has verified: from the claims of a JWT
/// authorizer or a user pool, or from the context of a Lambda authorizer. `None` without
/// authorizer data.
pub(super) fn caller(context: &RequestContext) -> Option<Caller> {
    match context {
        RequestContext::ApiGatewayV1(context) => {
            let fields = &context.authorizer.fields;
            let claims = fields.get("claims");
            (!fields.is_empty()).then(|| {
                caller_of(|name| [text(claims.and_then(|it| it.get(name))), text(fields.get(name))])
            })
        }
        RequestContext::ApiGatewayV2(context) => context.authorizer.as_ref().map(|authorizer| {
            let claims = authorizer.jwt.as_ref().map(|jwt| &jwt.claims);
            let claim = |name| claims.and_then(|claims| claims.get(name)).map(String::as_str);
            caller_of(|name| [claim(name), text(authorizer.fields.get(name))])
        }),
        _ => None,
    }
}

fn text(value: Option<&Value>) -> Option<&str> {
    value.and_then(Value::as_str)
}

/// The caller with all scopes of the authorizer data. `values` reads a field from both
/// places where it can be.
fn caller_of<'a>(values: impl Fn(&'static str) -> [Option<&'a str>; 2]) -> Caller {
    let all = |name| values(name).into_iter().flatten();
    let scopes = all("scope").chain(all("scp")).map(|list| Scopes::parse(without_brackets(list)));
    Caller {
        subject: ["sub", "client_id", "principalId"]
            .into_iter()
            .flat_map(all)
            .next()
            .map(str::to_owned),
        scopes: scopes.reduce(Scopes::and).unwrap_or_default(),
    }
}

/// A claim without the brackets by which an HTTP API marks a list: `[a b]`.
fn without_brackets(claim: &str) -> &str {
    claim.strip_prefix('[').and_then(|claim| claim.strip_suffix(']')).unwrap_or(claim)
}
