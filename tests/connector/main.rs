//! Each way in which a call to a connector can end, produced on a real socket: its outcome,
//! and the bytes that had arrived by then.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic fails the test")]
#![allow(clippy::arithmetic_side_effects, reason = "lengths and times are small here")]
#![allow(unreachable_pub, reason = "the modules belong to one suite")]

mod psp;
#[path = "../support/mod.rs"]
mod support;

use Authorization::{Forward, None as Nothing};
use Step::{Await, Drip, Head, Hold, Request, Reset, Wait};
use futures_util::future::join_all;
use payment_intents::clock::SystemClock;
use payment_intents::connector::{Authorization, ConnectorSettings, HttpConnector};
use payment_intents::payment::Action;
use payment_intents::ports::{
    Call, Clock, Connector, ConnectorError, ConnectorKey, Policy, Verdict,
};
use payment_intents::secret::Secret;
use payment_intents::transport::Transport;
use psp::{Psp, Script, Step, answer, chunk, say};
use serde_json::json;
use std::io::ErrorKind;
use std::time::Duration;
use support::payments::{capture, eur, id, key, money, refund, refund_of};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::task::yield_now;
use tokio::time::{sleep, timeout};

/// The time of a call. The rows of a table run at the same time, so that the suite waits
/// for it once.
const TIMEOUT_MS: u64 = 2_000;

const KIB_64: usize = 64 * 1024;
const APPROVED: &str = r#"{"outcome":"approved"}"#;
const REJECTED: &str = r#"{"outcome":"rejected"}"#;
const NEVER: &str = "never executed";

/// The n-th URL belongs to the payment interface `n`.
fn connector(urls: Vec<String>, authorization: Authorization) -> HttpConnector<SystemClock> {
    let settings = urls.into_iter().map(|url| ConnectorSettings {
        url: url.parse().unwrap(),
        timeout_ms: TIMEOUT_MS,
        authorization: authorization.clone(),
        projects: None,
        policy: Policy::default(),
        platform: None,
        psp: None,
    });
    let named = (0..).map(|number: usize| number.to_string()).zip(settings).collect();
    HttpConnector::new(named, Transport::new().unwrap(), SystemClock)
}

fn connector_key(payment: &str, number: usize) -> ConnectorKey {
    ConnectorKey {
        payment: key(payment),
        payment_interface: Some(number.to_string()),
        interface_id: None,
        fraction_digits: 2,
    }
}

fn call() -> Call {
    Call {
        connector: connector_key("p", 0),
        transaction: id("transaction-1"),
        attempt: 1,
        action: capture(100),
        amount: eur(100),
        has_rest: false,
        fraction_digits: 2,
        merchant_reference: None,
        correlation_id: "correlation-1".to_owned(),
        bearer: None,
    }
}

/// The outcome of a call, as a word.
async fn ends(connector: &HttpConnector<SystemClock>, call: &Call) -> &'static str {
    let called = connector.call(call, SystemClock.now().plus_ms(10 * TIMEOUT_MS));
    match timeout(Duration::from_millis(5 * TIMEOUT_MS), called).await.unwrap() {
        Ok(Verdict::Approved) => "approved",
        Ok(Verdict::Received(_)) => "received",
        Ok(Verdict::Rejected(_)) => "rejected",
        Err(ConnectorError::NotReached(_) | ConnectorError::NotActed { .. }) => NEVER,
        Err(ConnectorError::OutcomeUnknown(_)) => "unknown",
    }
}

/// A name, the script of the connector, and the outcome of the call.
type Row = (String, Script, &'static str);

fn row(name: impl ToString, script: impl Into<Script>, expected: &'static str) -> Row {
    (name.to_string(), script.into(), expected)
}

/// Calls the connector of each row, all at the same time. Each one gets one connection,
/// with one request or only a TLS greeting.
async fn call_each(scheme: &str, rows: impl IntoIterator<Item = Row>) {
    let rows = rows.into_iter().collect::<Vec<_>>();
    let psps = join_all(rows.iter().map(|(_, script, _)| Psp::start([script.clone()]))).await;
    let connector = connector(psps.iter().map(|psp| psp.url(scheme)).collect(), Nothing);
    let calls = (0..psps.len()).map(async |number| {
        ends(&connector, &Call { connector: connector_key("p", number), ..call() }).await
    });
    let ended = join_all(calls).await;
    drop(connector);
    for (((name, _, expected), ended), psp) in rows.into_iter().zip(ended).zip(psps) {
        let received = psp.finish().await;
        assert_eq!((ended, received.len()), (expected, 1), "{name}");
        let received = &received[0];
        let fine =
            if scheme == "https" { is_tls_greeting(received) } else { requests(received) == 1 };
        assert!(fine, "{name}: {}", String::from_utf8_lossy(received));
    }
}

fn requests(received: &[u8]) -> usize {
    String::from_utf8_lossy(received).matches("POST /").count()
}

/// A TLS record with a handshake, perhaps an alert, and no application data.
fn is_tls_greeting(received: &[u8]) -> bool {
    let length = usize::from(u16::from_be_bytes([received[3], received[4]]));
    let (greeting, rest) = received.split_at(5 + length);
    greeting[0] == 22 && (rest.is_empty() || rest[0] == 21 && rest.len() == 7)
}

/// An approval of this length.
fn approval(length: usize) -> String {
    format!("{APPROVED}{}", " ".repeat(length - APPROVED.len()))
}

#[tokio::test]
async fn a_connector_that_cannot_be_reached_counts_as_not_called() {
    // The port is bound, and nothing listens on it.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let refused = socket.local_addr().unwrap();
    // A label of a host name has at most 63 characters: no DNS server is queried for this
    // one.
    let nowhere = format!("{}.invalid", "a".repeat(64));
    for (url, cause) in [
        (format!("http://{refused}"), "ConnectionRefused"),
        (format!("https://{refused}"), "ConnectionRefused"),
        (format!("http://{nowhere}"), "dns error"),
        ("https://connector.invalid".to_owned(), ""),
    ] {
        let connector = connector(vec![url], Nothing);
        let called = connector.call(&call(), SystemClock.now().plus_ms(TIMEOUT_MS)).await;
        assert!(matches!(called, Err(ConnectorError::NotReached(_))), "{called:?}");
        assert!(format!("{called:?}").contains(cause), "{called:?}");
    }
}

#[tokio::test]
async fn an_invalid_bearer_header_is_not_sent_and_opens_no_connection() {
    let psp = Psp::start([]).await;
    let connector = connector(vec![psp.url("http")], Forward);
    let bearer = Some(Secret::new("secret\r\nx-other: header".to_owned()));
    assert_eq!(ends(&connector, &Call { bearer, ..call() }).await, NEVER);
    assert!(psp.finish().await.is_empty());
}

#[tokio::test]
async fn after_the_deadline_nothing_is_sent() {
    let psp = Psp::start([vec![Request, say(answer(200, APPROVED)), Hold]]).await;
    let connector = connector(vec![psp.url("http")], Nothing);
    assert_eq!(ends(&connector, &call()).await, "approved");
    // A connection is open, but the deadline has passed.
    let late = connector.call(&call(), SystemClock.now().minus_ms(1)).await;
    drop(connector);
    assert_eq!(psp.finish().await.iter().map(|bytes| requests(bytes)).sum::<usize>(), 1);
    assert!(matches!(late, Err(ConnectorError::NotReached(_))), "{late:?}");
}

#[tokio::test]
async fn without_a_tls_session_nothing_is_sent() {
    let plain = say(answer(200, APPROVED));
    let rows = [
        row("plain text", [Wait(100), plain.clone()], NEVER),
        row("plain text at once", [plain], NEVER),
        row("an alert", [say(b"\x15\x03\x03\x00\x02\x02\x28")], NEVER),
        row("closed", [], NEVER),
        row("reset", [Await, Reset], NEVER),
        row("half a handshake, then silence", [say(b"\x16\x03\x03\x00\x7a\x02"), Hold], NEVER),
        row("silence", [Hold], NEVER),
    ];
    call_each("https", rows).await;
}

#[tokio::test]
async fn once_a_byte_arrived_only_a_complete_answer_counts() {
    let whole = answer(200, APPROVED);
    let with = |header| say(whole.replace("\r\n\r\n", &format!("\r\n{header}\r\n\r\n")));
    let half = say(&whole[..whole.len() - 1]);
    let late = Wait(TIMEOUT_MS + 200);
    let ok = say("HTTP/1.1 200 OK\r\n");
    let open = || say("HTTP/1.1 200 OK\r\n\r\n");
    let interim = "HTTP/1.1 100 Any\r\n\r\nHTTP/1.1 103 Any\r\nlink: </>\r\n\r\n";
    let chunks = || say("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
    let (end, endless) = (|| say(chunk("")), Drip(chunk(" ").repeat(999).into(), 9));
    let (longest, long) = (approval(KIB_64), approval(KIB_64 + 1));
    let rows = [
        row("reset, nothing read", [Await, Reset], "unknown"),
        row("reset after the head", [Head, Reset], "unknown"),
        row("reset", [Request, Reset], "unknown"),
        row("reset in the answer", [Request, half.clone(), Reset], "unknown"),
        row("closed", [Request], "unknown"),
        row("silence", [Request, Hold], "unknown"),
        row("an answer after the deadline", [Request, late, say(&*whole)], "unknown"),
        row("an answer in time", [Request, Wait(200), say(&*whole)], "approved"),
        row("a slow answer", [Request, Drip(whole.clone().into(), 50)], "unknown"),
        row("a slow body", [Request, open(), Drip(approval(99).into(), 50)], "unknown"),
        row("not as slow", [Request, Drip(whole.clone().into(), 1)], "approved"),
        row("half a head", [Request, ok.clone()], "unknown"),
        row("an endless head", [Request, ok, say("a: b\r\n".repeat(99_999)), Hold], "unknown"),
        row("half an answer", [Request, half], "unknown"),
        row("some chunks", [Request, chunks(), say(chunk(APPROVED))], "unknown"),
        row("all chunks", [Request, chunks(), say(chunk(APPROVED)), end()], "approved"),
        row("endless chunks", [Request, chunks(), endless], "unknown"),
        row("64 KiB", [Request, say(answer(200, &longest))], "approved"),
        row("64 KiB + 1", [Request, say(answer(200, &long))], "unknown"),
        row("64 KiB + 1 of an error", [Request, say(answer(401, &long))], "unknown"),
        row("64 KiB in a chunk", [Request, chunks(), say(chunk(&longest)), end()], "approved"),
        row("64 KiB + 1 in a chunk", [Request, chunks(), say(chunk(&long)), end()], "unknown"),
        row("interim answers", [Request, say(interim), Hold], "unknown"),
        row("interim answers and one", [Request, say(interim), say(&*whole)], "approved"),
        row("no HTTP", [Request, say("garbage\r\n\r\n")], "unknown"),
        row("HTTP/1.0", [Request, say(whole.replace("HTTP/1.1", "HTTP/1.0"))], "approved"),
        row("no length", [Request, open(), say(APPROVED)], "approved"),
        row("the length twice", [Request, with("content-length: 22")], "approved"),
        row("two lengths", [Request, with("content-length: 9")], "unknown"),
    ];
    call_each("http", rows).await;
}

/// A graceful close would let the connector carry out the request. Bytes in the peer's
/// buffer can still be read, but the reset tells the peer that the request was given up.
#[tokio::test]
async fn a_connector_that_accepts_after_the_time_out_finds_the_connection_reset() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let connector = connector(vec![url], Nothing);
    assert_eq!(ends(&connector, &call()).await, "unknown");
    let (mut late, _) = listener.accept().await.unwrap();
    let mut received = Vec::new();
    let read = timeout(Duration::from_secs(5), late.read_to_end(&mut received)).await.unwrap();
    let kind = read.map_err(|error| error.kind());
    assert_eq!(kind, Err(ErrorKind::ConnectionReset), "{}", String::from_utf8_lossy(&received));
}

#[tokio::test]
async fn each_answer_has_the_outcome_that_it_proves() {
    let error = |codes: &str| {
        let errors = codes.split(' ').map(|code| json!({"code": code, "message": "No."}));
        json!({"message": "No.", "errors": errors.collect::<Vec<_>>()}).to_string()
    };
    let mut rows = Vec::new();
    let bodies = ["", APPROVED, "InvalidField", "InvalidOperation", "ResourceNotFound"];
    let others = [402, 403, 405, 408, 409, 410, 422, 425, 429, 500, 501, 502, 503, 504];
    for (statuses, bodies, expected) in [
        (&[200, 201][..], &[APPROVED][..], "approved"),
        (&[200], &[r#"{"outcome":"received"}"#], "received"),
        (&[200], &[REJECTED], "rejected"),
        (&[200], &["", "{}", "<html>It works!</html>", r#"{"outcome":"done"}"#], "unknown"),
        (&[101, 204], &[""], "unknown"),
        (&[400], &["RequiredField", "InvalidField", "InvalidJsonInput"], NEVER),
        (&[400], &["RequiredField InvalidField InvalidJsonInput"], NEVER),
        (&[400], &["InvalidOperation", "InvalidOperation InvalidOperation"], "rejected"),
        (&[400], &["InvalidField InvalidOperation", "InvalidField General"], "unknown"),
        (&[400], &["", APPROVED, "ResourceNotFound"], "unknown"),
        (&[401], &bodies, NEVER),
        (&[404], &["ResourceNotFound"], NEVER),
        (&[404], &["", APPROVED, "InvalidField", "ResourceNotFound General"], "unknown"),
        (&others, &bodies, "unknown"),
    ] {
        let each = statuses.iter().flat_map(|status| bodies.iter().map(move |body| (status, body)));
        for (status, body) in each {
            let codes = body.starts_with(char::is_alphabetic);
            let text = if codes { error(body) } else { body.to_string() };
            let script = [Request, say(answer(*status, &text))];
            rows.push(row(format!("{status} {body}"), script, expected));
        }
    }
    call_each("http", rows).await;
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = Psp::start([]).await;
    let location = format!("\r\nlocation: {}/\r\n", elsewhere.url("http"));
    let rows = [300, 301, 302, 303, 304, 305, 307, 308].map(|status| {
        let redirect = answer(status, APPROVED).replacen("\r\n", &location, 1);
        row(status, [Request, say(redirect)], "unknown")
    });
    call_each("http", rows).await;
    assert!(elsewhere.finish().await.is_empty());
}

#[tokio::test]
async fn a_connection_is_used_again_only_where_that_is_safe() {
    let yes = || say(answer(200, APPROVED));
    let last = say(answer(200, APPROVED).replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n"));
    let long = say(answer(200, &approval(KIB_64 + 1)));
    let two = say(answer(200, APPROVED).repeat(2));
    let kept = ("approved", "approved", vec![2]);
    let renewed = ("approved", "rejected", vec![1, 1]);
    let lost = ("approved", "unknown", vec![2]);
    let dropped = ("unknown", "rejected", vec![1, 1]);
    let rows = [
        ("kept", vec![Request, yes(), Request, yes()], 100, &kept),
        ("idle for too long", vec![Request, yes(), Request, yes()], 3_100, &renewed),
        ("closed while idle", vec![Request, yes()], 100, &renewed),
        ("reset while idle", vec![Request, yes(), Wait(50), Reset], 150, &renewed),
        ("announced as closing", vec![Request, last, Request, yes()], 100, &renewed),
        ("one answer too many", vec![Request, two, Hold], 0, &renewed),
        ("closed under the second request", vec![Request, yes(), Request], 100, &lost),
        ("reset under the second request", vec![Request, yes(), Request, Reset], 100, &lost),
        ("silent after the second request", vec![Request, yes(), Hold], 100, &lost),
        ("answered too late", vec![Request, Wait(TIMEOUT_MS + 100), yes(), Hold], 200, &dropped),
        ("answered at too great length", vec![Request, long, Request, yes()], 100, &dropped),
    ];
    let rows = rows.map(async |(name, first, pause_ms, expected)| {
        let psp = Psp::start([first, vec![Request, say(answer(200, REJECTED))]]).await;
        let connector = connector(vec![psp.url("http")], Nothing);
        let first = ends(&connector, &call()).await;
        sleep(Duration::from_millis(pause_ms)).await;
        let second = ends(&connector, &call()).await;
        drop(connector);
        let requests = psp.finish().await.iter().map(|bytes| requests(bytes)).collect();
        assert_eq!(&(first, second, requests), expected, "{name}");
    });
    join_all(rows).await;
}

/// The connector may close at any moment, and the client may see that before or after it
/// sends. A request that arrived never counts as unsent, and is never sent twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_meets_a_closing_connection_is_never_taken_for_unsent() {
    let yes = || say(answer(200, APPROVED));
    let two = say(answer(200, APPROVED).repeat(2));
    let early = vec![say(answer(408, ""))];
    let (closed, reset) = (vec![Request, yes()], vec![Request, yes(), Reset]);
    let scripts = [vec![], vec![Reset], early, closed, reset, vec![Request, two, Hold]];
    let psp = Psp::start(scripts.into_iter().cycle().take(1_000)).await;
    let connector = connector(vec![psp.url("http")], Nothing);
    let mut ended = Vec::new();
    for number in 0..1_000 {
        let call = Call { transaction: id(&format!("transaction-{number}-")), ..call() };
        ended.push((ends(&connector, &call).await, call.transaction));
        for _ in 0..number % 50 {
            yield_now().await;
        }
    }
    drop(connector);
    let received = psp.finish().await.into_iter().map(|bytes| String::from_utf8(bytes).unwrap());
    let received = received.collect::<Vec<_>>();
    // The script answers only the first request of a connection.
    let firsts = received.iter().filter_map(|text| text.split("POST /").nth(1)).collect::<String>();
    for (ended, transaction) in ended {
        let arrived = received.concat().matches(transaction.as_str()).count();
        let answered = firsts.contains(transaction.as_str());
        let possible = match ended {
            "approved" => arrived == 1 && answered,
            "unknown" => arrived <= 1,
            _ => ended == NEVER && arrived == 0,
        };
        assert!(possible, "{transaction} {ended}: arrived {arrived} times, {answered}");
    }
}

/// The bytes of a call, with `HOST` in place of the address.
async fn sent(path: &str, authorization: Authorization, call: &Call) -> String {
    let psp = Psp::start([vec![Request, say(answer(200, APPROVED))]]).await;
    let connector = connector(vec![psp.url("http") + path], authorization);
    assert_eq!(ends(&connector, call).await, "approved");
    drop(connector);
    let host = psp.address.to_string();
    String::from_utf8(psp.finish().await.concat()).unwrap().replace(&host, "HOST")
}

#[tokio::test]
async fn the_payment_id_is_one_segment_below_the_url_of_the_connector() {
    for (path, payment, expected) in [
        ("", "A-z.0_~", "/operations/payment-intents/A-z.0_~"),
        ("/", "a b+c", "/operations/payment-intents/a%20b%2Bc"),
        ("/base/path", "ü", "/base/path/operations/payment-intents/%C3%BC"),
        ("/base/path/", "a:b=c&d;e", "/base/path/operations/payment-intents/a%3Ab%3Dc%26d%3Be"),
    ] {
        let sent =
            sent(path, Nothing, &Call { connector: connector_key(payment, 0), ..call() }).await;
        assert!(sent.starts_with(&format!("POST {expected} HTTP/1.1\r\n")), "{sent}");
    }
}

#[tokio::test]
async fn the_head_names_the_transaction_and_has_the_bearer_only_where_it_is_forwarded() {
    for (authorization, bearer, attempt, shown) in [
        (Nothing, Some("secret"), 1, ""),
        (Forward, None, 1, ""),
        (Forward, Some("secret"), 1, "authorization: Bearer secret\n"),
        (Forward, Some("secret"), 2, "authorization: Bearer secret\n"),
    ] {
        let bearer = bearer.map(|bearer| Secret::new(bearer.to_owned()));
        let call = Call { attempt, bearer, ..call() };
        let sent = sent("", authorization, &call).await;
        let (head, body) = sent.split_once("\r\n\r\n").unwrap();
        let expected = format!(
            "POST /operations/payment-intents/p HTTP/1.1\naccept: application/json\n{shown}\
             content-length: {}\ncontent-type: application/json\nhost: HOST\n\
             idempotency-key: transaction-1\nx-correlation-id: correlation-1",
            body.len()
        );
        let mut lines = head.split("\r\n").collect::<Vec<_>>();
        lines.sort_unstable();
        assert_eq!(lines.join("\n"), expected);
    }
}

#[tokio::test]
async fn the_body_is_the_action_with_the_amount_that_is_reserved_for_it() {
    let euros = (eur(100), 2, r#"{"centAmount":100,"currencyCode":"EUR","fractionDigits":2}"#);
    let yen = (money(50, "JPY"), 0, r#"{"centAmount":50,"currencyCode":"JPY","fractionDigits":0}"#);
    for (action, (amount, fraction_digits, told), reference, name, more) in [
        (capture(100), euros, None, "capturePayment", ""),
        (capture(50), yen, Some("r"), "capturePayment", r#","merchantReference":"r""#),
        (refund(100), euros, None, "refundPayment", ""),
        (refund_of("charge", 100), euros, None, "refundPayment", r#","transactionId":"charge""#),
        (Action::Cancel, euros, None, "cancelPayment", ""),
        (Action::Cancel, euros, Some("r"), "cancelPayment", r#","merchantReference":"r""#),
    ] {
        let merchant_reference = reference.map(str::to_owned);
        let call = Call { action, amount, fraction_digits, merchant_reference, ..call() };
        let sent = sent("", Nothing, &call).await;
        let body = format!(r#"{{"actions":[{{"action":"{name}","amount":{told}{more}}}]}}"#);
        assert!(sent.ends_with(&format!("\r\n\r\n{body}")), "{sent}");
    }
}
