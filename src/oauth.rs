//! Requests to OAuth token services.

use crate::error::BoxError;
use crate::secret::Secret;
use crate::url::UNRESERVED;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::{HeaderValue, Request, Uri, header};
use http_body_util::Full;
use hyper::body::Bytes;
use percent_encoding::utf8_percent_encode;

/// A form request to a token service (RFC 6749, RFC 7662). The client authenticates by a
/// header, form-encoded as RFC 6749, 2.3.1 requires.
pub(crate) fn form(
    url: &Uri,
    client_id: &str,
    client_secret: &Secret,
    fields: &[(&str, &str)],
) -> Result<Request<Full<Bytes>>, BoxError> {
    let encoded = |text| utf8_percent_encode(text, UNRESERVED);
    let basic = format!("{}:{}", encoded(client_id), encoded(client_secret.reveal()));
    let mut basic = HeaderValue::try_from(format!("Basic {}", BASE64.encode(basic)))?;
    basic.set_sensitive(true);
    let fields = fields.iter().map(|(name, value)| format!("{name}={}", encoded(value)));
    let request = Request::post(url)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header(header::ACCEPT, "application/json")
        .header(header::AUTHORIZATION, basic);
    Ok(request.body(Full::from(fields.collect::<Vec<_>>().join("&")))?)
}
