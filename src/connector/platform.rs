//! Reading a Payment of the platform: `GET {url}/{projectKey}/payments/{id}`.

use super::settings::Platform;
use super::{address, authorization};
use crate::error::BoxError;
use crate::money::{Currency, Money};
use crate::payment::Report;
use crate::platform::{parse_time, transaction_kind, transaction_state};
use crate::ports::ConnectorKey;
use crate::secret::Secret;
use http::{Request, StatusCode, header};
use http_body_util::Full;
use hyper::body::Bytes;
use serde::Deserialize;

/// The longest answer of the platform that is read. It includes all notes of connectors.
pub(super) const ANSWER_BYTES_MAX: usize = 1024 * 1024;

pub(super) fn request(
    platform: &Platform,
    key: &ConnectorKey,
    bearer: Option<&Secret>,
) -> Result<Request<Full<Bytes>>, BoxError> {
    let path = format!("{}/payments", key.payment.project.as_str());
    let uri = address(&platform.url, &path, key.payment.id.as_str())?;
    let mut request = Request::get(uri).header(header::ACCEPT, "application/json");
    if let Some(bearer) = bearer {
        request = request.header(header::AUTHORIZATION, authorization(bearer)?);
    }
    Ok(request.body(Full::default())?)
}

/// Reads the transactions. An answer with an invalid transaction is an error, because an
/// incomplete list proves nothing.
pub(super) fn transactions(status: StatusCode, body: &[u8]) -> Result<Vec<Report>, BoxError> {
    if status != StatusCode::OK {
        return Err(format!("the platform answered {status}").into());
    }
    // The parser's message is dropped: it may quote the body.
    let payment: PaymentBody =
        serde_json::from_slice(body).map_err(|_| "the platform's answer is not a Payment")?;
    payment.transactions.into_iter().map(TransactionBody::read).collect()
}

#[derive(Deserialize)]
struct PaymentBody {
    transactions: Vec<TransactionBody>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TransactionBody {
    r#type: String,
    state: String,
    amount: AmountBody,
    timestamp: Option<String>,
    interaction_id: Option<String>,
    interface_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AmountBody {
    cent_amount: u64,
    currency_code: String,
}

impl TransactionBody {
    fn read(self) -> Result<Report, BoxError> {
        let currency = Currency::parse(&self.amount.currency_code)
            .ok_or("the platform's Payment has an invalid currency")?;
        Ok(Report {
            kind: transaction_kind(&self.r#type)
                .ok_or("the platform's Payment has an unknown type of transaction")?,
            state: transaction_state(&self.state)
                .ok_or("the platform's Payment has an unknown state of a transaction")?,
            amount: Money::new(self.amount.cent_amount, currency)?,
            timestamp: self
                .timestamp
                .map(|time| parse_time(&time).ok_or("the platform's Payment has an invalid time"))
                .transpose()?,
            interaction_id: self.interaction_id,
            interface_id: self.interface_id,
        })
    }
}
