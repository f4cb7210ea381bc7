//! Tokens for any client. While authorization is off, a connector under development
//! needs no other token service.

use crate::clock::SystemClock;
use crate::ports::Clock;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lambda_http::aws_lambda_events::query_map::QueryMap;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use uuid::Uuid;

/// The life of a token in seconds, as the platform's have it.
const LIFE_S: u64 = 172_800;

/// The beginning of every token that was made here.
const PREFIX: &str = "local.";

/// The answer of a token endpoint: a token with the scope that the form asks for, or
/// with everything in these projects.
pub(super) fn granted(form: &str, projects: &BTreeSet<String>) -> Value {
    let scope = field(form, "scope").unwrap_or_else(|| everything_in(projects));
    json!({
        "access_token": token(&scope),
        "token_type": "Bearer",
        "expires_in": LIFE_S,
        "scope": scope,
    })
}

/// A token with this scope.
pub(super) fn token(scope: &str) -> String {
    format!("{PREFIX}{}.{}", URL_SAFE_NO_PAD.encode(scope), Uuid::new_v4().simple())
}

/// The answer of an introspection endpoint: every token is valid, with the scope that
/// it was made for. One that was made elsewhere has everything in these projects.
pub(super) fn introspected(form: &str, projects: &BTreeSet<String>) -> Value {
    let token = field(form, "token").unwrap_or_default();
    let expires = SystemClock.now().plus_ms(LIFE_S.saturating_mul(1_000)).ms() / 1_000;
    json!({
        "active": true,
        "scope": scope_of(&token).unwrap_or_else(|| everything_in(projects)),
        "client_id": "local",
        "exp": expires,
    })
}

fn scope_of(token: &str) -> Option<String> {
    let (scope, _) = token.strip_prefix(PREFIX)?.split_once('.')?;
    String::from_utf8(URL_SAFE_NO_PAD.decode(scope).ok()?).ok()
}

/// The scope that allows everything in these projects.
pub(super) fn everything_in<'a>(projects: impl IntoIterator<Item = &'a String>) -> String {
    let scopes = projects.into_iter().map(|project| format!("manage_project:{project}"));
    scopes.collect::<Vec<_>>().join(" ")
}

fn field(form: &str, name: &str) -> Option<String> {
    let Ok(fields) = form.parse::<QueryMap>();
    fields.first(name).filter(|value| !value.is_empty()).map(str::to_owned)
}
