//! Events of API Gateway, from an HTTP API (payload 2.0) or a REST API (payload 1.0).
//! `lambda_http` converts them to requests, and responses to documents.
//!
//! Every event is answered. `lambda_http` 1.3.2 alone does not ensure that:
//!
//! * It panics on a malformed `Host`, on `X-Forwarded-Proto: http, https`, on
//!   invalid base64, and on a raw `"`, `<` or space in a query.
//! * It reports invalid headers, and authorizer data of another shape than it
//!   expects, as errors of the function.
//! * It keeps only the last value of a repeated header of a REST event, so that the first
//!   of two `Authorization` headers would be ignored.
//!
//! So an event is first mapped to one that `lambda_http` can read.

use super::Response;
use super::answer::Answer;
use super::headers;
use super::problem::Problem;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use lambda_http::aws_lambda_events::apigw::{ApiGatewayProxyRequest, ApiGatewayV2httpRequest};
use lambda_http::request::LambdaRequest;
use lambda_http::{Adapter, Context, LambdaEvent, Request, Service, service_fn};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use std::convert::Infallible;
use std::future::ready;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Answers an event with `service`, in the response format of the event's API. An event
/// that is not a request is answered with 400.
pub async fn answer<'a, S>(
    service: S,
    event: LambdaEvent<Box<RawValue>>,
) -> Result<impl Serialize, Infallible>
where
    S: Service<Request, Response = Response, Error = Infallible>,
    S::Future: Send + 'a,
{
    let LambdaEvent { payload, context } = event;
    let answered = catch_unwind(AssertUnwindSafe(|| {
        let request = LambdaEvent::new(read(payload.get())?, context);
        Ok::<_, NotARequest>(Adapter::from(service).call(request))
    }));
    let error = match answered {
        Ok(Ok(answered)) => return answered.await,
        Ok(Err(error)) => error,
        // The panic hook has logged the location. Nothing was done yet.
        Err(_) => NotARequest::Panicked,
    };
    let refused = service_fn(|_: Request| ready(Ok(not_a_request(&error))));
    let empty = LambdaRequest::ApiGatewayV2(ApiGatewayV2httpRequest::default());
    Adapter::from(refused).call(LambdaEvent::new(empty, Context::default())).await
}

fn not_a_request(error: &NotARequest) -> Response {
    let correlation_id = headers::correlation_id(&HeaderMap::new());
    Answer::from(Problem::invalid_json(&error.to_string())).into_response(&correlation_id)
}

/// Reads an event of either API. Only that of an HTTP API has `requestContext.http`.
fn read(document: &str) -> Result<LambdaRequest, NotARequest> {
    let mut event: Value = serde_json::from_str(document)?;
    for name in ["headers", "multiValueHeaders"] {
        if let Some(headers) = event.get_mut(name).and_then(Value::as_object_mut) {
            map_headers(headers);
        }
    }
    if let Some(context) = event.get_mut("requestContext").and_then(Value::as_object_mut) {
        map_authorizer(context);
    }
    if event.pointer("/requestContext/http").is_some() {
        map_http_api(serde_json::from_value(event)?)
    } else {
        map_rest_api(serde_json::from_value(event)?)
    }
}

fn map_http_api(mut event: ApiGatewayV2httpRequest) -> Result<LambdaRequest, NotARequest> {
    // With a malformed host, lambda_http panics when it builds the URL. Without a
    // host it reads no X-Forwarded-Proto either. Nothing here reads the URL.
    event.headers.remove(header::HOST);
    event.request_context.domain_name = None;
    event.raw_path = Some(path(event.raw_path)?);
    // http::Uri refuses some bytes that a client did not encode. Encoding them does not
    // change the query.
    let encoded = |query: String| utf8_percent_encode(&query, INVALID_IN_QUERY).to_string();
    event.raw_query_string = event.raw_query_string.map(encoded);
    check_base64(event.is_base64_encoded, event.body.as_deref())?;
    Ok(LambdaRequest::ApiGatewayV2(event))
}

fn map_rest_api(mut event: ApiGatewayProxyRequest) -> Result<LambdaRequest, NotARequest> {
    // The lists have every value. lambda_http would replace each list by the last value,
    // and a repeated Authorization header would not be noticed.
    if !event.multi_value_headers.is_empty() {
        event.headers.clear();
    }
    // A malformed domain name breaks the URL, as for an HTTP API. lambda_http reads the
    // host from the single values only.
    event.headers.remove(header::HOST);
    event.request_context.domain_name = None;
    event.path = Some(path(event.path)?);
    check_base64(event.is_base64_encoded, event.body.as_deref())?;
    Ok(LambdaRequest::ApiGatewayV1(event))
}

/// The bytes that `http::Uri` refuses in a query.
const INVALID_IN_QUERY: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'<').add(b'>');

/// The path. One that does not begin with a slash becomes empty: it names no resource, and
/// would become part of the host in the URL that `lambda_http` builds.
fn path(path: Option<String>) -> Result<String, NotARequest> {
    let path = path.ok_or(NotARequest::NoPath)?;
    Ok(if path.starts_with('/') { path } else { String::new() })
}

/// Refuses invalid base64, on which `lambda_http` panics.
fn check_base64(is_encoded: bool, body: Option<&str>) -> Result<(), NotARequest> {
    let is_valid = !is_encoded || body.is_none_or(|body| BASE64.decode(body).is_ok());
    if is_valid { Ok(()) } else { Err(NotARequest::NotBase64) }
}

/// Drops headers with invalid names. Makes invalid values empty, so that validation
/// refuses them. Makes each single value a list: of names that differ only in case,
/// `lambda_http` keeps every list, but only the last single value.
fn map_headers(headers: &mut Map<String, Value>) {
    headers.retain(|name, _| HeaderName::try_from(name).is_ok());
    for value in headers.values_mut() {
        if !value.is_array() {
            *value = json!([value.take()]);
        }
        for value in value.as_array_mut().into_iter().flatten() {
            if value.as_str().is_some_and(|value| HeaderValue::from_str(value).is_err()) {
                *value = json!("");
            }
        }
    }
}

/// Removes authorizer data that is not an object or is empty: the request then has no
/// verified caller. Removes claims that are not text, on which `lambda_http` fails.
fn map_authorizer(context: &mut Map<String, Value>) {
    let Some(authorizer) = context.get_mut("authorizer") else { return };
    let Some(authorizer) = authorizer.as_object_mut().filter(|data| !data.is_empty()) else {
        context.remove("authorizer");
        return;
    };
    let jwt = authorizer.get_mut("jwt");
    if let Some(claims) = jwt.and_then(|jwt| jwt.get_mut("claims")).and_then(Value::as_object_mut) {
        claims.retain(|_, claim| claim.is_string());
    }
    authorizer.retain(|name, data| data.is_object() || !matches!(name.as_str(), "jwt" | "lambda"));
}

/// The reasons why an event is not a request.
#[derive(Debug, thiserror::Error)]
enum NotARequest {
    /// It is not a document of API Gateway.
    #[error("the event is not a request of API Gateway")]
    NotADocument(#[from] serde_json::Error),
    /// There is no path.
    #[error("the event has no path")]
    NoPath,
    /// The body is marked as base64, but is not.
    #[error("the body is not valid base64")]
    NotBase64,
    /// `lambda_http` panicked on it.
    #[error("the event cannot be read")]
    Panicked,
}

#[cfg(test)]
mod tests {
    use super::*;
    use lambda_http::RequestExt;

    const HTTP_API: &str = include_str!("../../events/capture-stage.json");
    const REST_API: &str = include_str!("../../events/capture-rest-v1.json");

    fn request(event: &str, change: impl FnOnce(&mut Value)) -> Request {
        let mut event = serde_json::from_str(event).unwrap();
        change(&mut event);
        read(&event.to_string()).unwrap().into()
    }

    /// The URL is another: nothing may be read from it.
    #[test]
    fn the_raw_path_is_handed_on_as_it_was_sent() {
        for (path, in_url) in [
            ("/demo/payments/p", "/prod/demo/payments/p"),
            ("/prod/demo/payments/p", "/prod/demo/payments/p"),
            ("/acme/../demo/payments/p", "/prod/demo/payments/p"),
            ("/acme/%2e%2e/demo/payments/p", "/prod/demo/payments/p"),
            ("/demo/payments/%31%2F%00", "/prod/demo/payments/%31%2F%00"),
            ("//demo/payments/p?x#y", "/prod//demo/payments/p"),
        ] {
            for (event, name) in [(HTTP_API, "rawPath"), (REST_API, "path")] {
                let request = request(event, |event| {
                    event[name] = path.into();
                    event["requestContext"]["stage"] = "prod".into();
                });
                assert_eq!(request.raw_http_path(), path);
                assert_eq!(request.uri().path(), in_url, "{path}");
            }
        }
    }

    #[test]
    fn every_value_of_a_repeated_header_is_handed_on() {
        for (event, name, headers) in [
            (REST_API, "multiValueHeaders", json!({"X-A": ["1", "2"]})),
            (REST_API, "multiValueHeaders", json!({"X-A": ["1"], "x-a": ["2"]})),
            (HTTP_API, "headers", json!({"X-A": "1", "x-a": "2"})),
        ] {
            let request = request(event, |event| event[name] = headers);
            let values: Vec<_> = request.headers().get_all("x-a").iter().collect();
            assert_eq!(values, ["1", "2"]);
        }
    }

    #[test]
    fn invalid_headers_are_dropped_or_become_empty() {
        let headers = json!({"a b": "1", "x-a": "1\r\n2", "x-b": "ü", "x-c": ""});
        let request = request(HTTP_API, |event| event["headers"] = headers);
        let value = |name: &str| request.headers().get(name).map(HeaderValue::as_bytes);
        assert_eq!(request.headers().len(), 3);
        assert_eq!(value("x-a"), Some("".as_bytes()));
        assert_eq!(value("x-b"), Some("ü".as_bytes()));
        assert_eq!(value("x-c"), Some("".as_bytes()));
    }
}
