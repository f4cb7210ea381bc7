//! The check of URLs that this service calls, and the encoding of their parts.

use http::Uri;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC};
use std::net::IpAddr;

/// The characters to encode: all but the unreserved ones of RFC 3986. No others are
/// encoded, because many token services do not decode credentials.
pub(crate) const UNRESERVED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Reads the address of a connector: a [`trusted_url`] without a query, so that a path can
/// be added.
pub fn connector_url(text: &str) -> Result<Uri, &'static str> {
    let url = trusted_url(text)?;
    if url.query().is_some() {
        return Err("has a query");
    }
    Ok(url)
}

/// Reads an address that this service calls: `https`, or plain `http` to a loopback
/// address; without credentials and fragment.
pub fn trusted_url(text: &str) -> Result<Uri, &'static str> {
    let url: Uri = text.parse().map_err(|_| "is not a URL")?;
    url.host().ok_or("has no host")?;
    match url.scheme_str() {
        Some("https") => {}
        Some("http") if is_loopback(&url) => {}
        Some("http") => return Err("is plain http, which is for loopback addresses only"),
        _ => return Err("is neither https nor http"),
    }
    if url.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err("carries credentials");
    }
    if text.contains('#') {
        return Err("has a fragment");
    }
    Ok(url)
}

/// True if the address is on this machine.
pub(crate) fn is_loopback(url: &Uri) -> bool {
    let host = url.host().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    address.map_or(host == "localhost", |address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_loopback_addresses() {
        for (url, valid) in [
            ("http://127.0.0.1:8080/base", true),
            ("http://127.1.2.3", true),
            ("http://[::1]:80", true),
            ("http://localhost:1", true),
            ("https://10.0.0.1", true),
            ("http://10.0.0.1", false),
            ("http://localhost.example", false),
            ("http://127.0.0.1.example", false),
            ("ftp://127.0.0.1", false),
            ("/path", false),
        ] {
            assert_eq!(connector_url(url).is_ok(), valid, "{url}");
        }
    }
}
