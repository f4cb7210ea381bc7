//! Tokens for anybody who asks: while authorization is off, a connector under
//! development gets along without a token service of its own.

use super::PROJECT;
use crate::clock::SystemClock;
use crate::ports::Clock;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lambda_http::aws_lambda_events::query_map::QueryMap;
use serde_json::{Value, json};
use uuid::Uuid;

/// The life of a token in seconds, as the platform's have it.
const LIFE_S: u64 = 172_800;

/// The beginning of every token that was made here.
const PREFIX: &str = "local.";

/// The answer of a token endpoint: a token with the scope that the form asks for, or
/// with everything in the project of the demo Payments.
pub(super) fn granted(form: &str) -> Value {
    let scope = field(form, "scope").unwrap_or_else(default_scope);
    json!({
        "access_token": token(&scope),
        "token_type": "Bearer",
        "expires_in": LIFE_S,
        "scope": scope,
    })
}

/// A token with this scope.
fn token(scope: &str) -> String {
    format!("{PREFIX}{}.{}", URL_SAFE_NO_PAD.encode(scope), Uuid::new_v4().simple())
}

/// A token with everything in the project of the demo Payments.
pub(super) fn token_of_demo() -> String {
    token(&default_scope())
}

/// The answer of an introspection endpoint: every token is valid, with the scope that
/// it was made for.
pub(super) fn introspected(form: &str) -> Value {
    let token = field(form, "token").unwrap_or_default();
    let expires = SystemClock.now().plus_ms(LIFE_S.saturating_mul(1_000)).ms() / 1_000;
    json!({
        "active": true,
        "scope": scope_of(&token).unwrap_or_else(default_scope),
        "client_id": "local",
        "exp": expires,
    })
}

fn scope_of(token: &str) -> Option<String> {
    let (scope, _) = token.strip_prefix(PREFIX)?.split_once('.')?;
    String::from_utf8(URL_SAFE_NO_PAD.decode(scope).ok()?).ok()
}

fn default_scope() -> String {
    format!("manage_project:{PROJECT}")
}

fn field(form: &str, name: &str) -> Option<String> {
    let Ok(fields) = form.parse::<QueryMap>();
    fields.first(name).filter(|value| !value.is_empty()).map(str::to_owned)
}
