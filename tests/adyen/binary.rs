//! The built Lambda with an Adyen account in its settings.

use crate::support::lambda::events::{act, event, with};
use crate::support::lambda::function::Function;
use crate::support::lambda::run_api_to_exit;
use crate::support::{Reply, capture, refund, transactions_of};
use payment_intents::local::adyen::{AdyenFault, AdyenSandbox};
use payment_intents::local::emulator;
use serde_json::{Value, json};
use std::path::PathBuf;
use tempfile::TempDir;

const TIMEOUT_MS: u64 = 20_000;
const PAYMENT: &str = "PAYMENT000000001";

struct Deployed {
    function: Function,
    adyen: AdyenSandbox,
    directory: TempDir,
}

impl Deployed {
    /// With the Payment `p`, of which 100 EUR cents are authorized.
    async fn start() -> Self {
        let dynamodb = emulator::start(None).await.unwrap();
        emulator::ensure_table(&dynamodb.clone().client(), "payments").await.unwrap();
        let adyen = AdyenSandbox::start().await.unwrap();
        adyen.authorize(PAYMENT, 100, "EUR", false);
        let directory = tempfile::tempdir().unwrap();
        let environment = [
            ("AUTH", "gateway".to_owned()),
            ("PAYMENTS_TABLE", "payments".to_owned()),
            ("CONNECTORS", json!({"adyen": adyen.entry()}).to_string()),
            ("AWS_ENDPOINT_URL_DYNAMODB", dynamodb.endpoint_url.unwrap()),
            ("AWS_LAMBDA_LOG_LEVEL", "TRACE".to_owned()),
        ];
        let binary = env!("CARGO_BIN_EXE_payment-intents");
        let function = Function::start(binary, &environment, log_of(&directory)).await;
        let amount = json!({"centAmount": 100, "currencyCode": "EUR"});
        let draft = json!({
            "id": "p", "interfaceId": PAYMENT, "amountPlanned": amount,
            "paymentMethodInfo": {"paymentInterface": "adyen"},
            "transactions": [{"type": "Authorization", "state": "Success", "amount": amount}],
        });
        let deployed = Self { function, adyen, directory };
        let register = with(event("create-payment"), "/rawPath", "/demo/payments");
        let reply = deployed.invoke(&with(register, "/body", draft.to_string())).await;
        assert_eq!(reply.status, 201, "{reply:?}");
        deployed
    }

    async fn invoke(&self, event: &Value) -> Reply {
        self.function.request(TIMEOUT_MS, event).await.unwrap()
    }

    async fn transactions(&self) -> Vec<String> {
        let get = with(event("get-payment"), "/rawPath", "/demo/payments/p");
        transactions_of(&self.invoke(&get).await.body)
    }

    /// A webhook that has no token. Returns the status, the type and the text of the answer.
    async fn webhook(&self, path: &str, body: &str) -> (u64, String, String) {
        let event = with(with(event("webhook"), "/rawPath", path), "/body", body);
        let posted = self.function.invoke(TIMEOUT_MS, event.to_string()).await.unwrap();
        let answer: Value = serde_json::from_slice(&posted.unwrap()).unwrap();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let content_type = text(&answer["headers"]["content-type"]);
        (answer["statusCode"].as_u64().unwrap(), content_type, text(&answer["body"]))
    }

    fn log(&self) -> String {
        std::fs::read_to_string(log_of(&self.directory)).unwrap()
    }
}

fn log_of(directory: &TempDir) -> PathBuf {
    directory.path().join("log")
}

fn message(items: &[Value]) -> String {
    AdyenSandbox::notification(items).to_string()
}

#[tokio::test]
async fn a_payment_is_captured_and_refunded_and_the_webhooks_are_accepted_without_a_token() {
    let deployed = Deployed::start().await;
    deployed.adyen.plan(&[AdyenFault::LostAnswer]);
    let lost = deployed.invoke(&act("p", capture(40))).await;
    assert_eq!(lost.status, 500, "{lost:?}");
    let accepted = (200, "text/plain; charset=utf-8".to_owned(), "[accepted]".to_owned());
    let deliver_all = async || {
        for item in deployed.adyen.events() {
            assert_eq!(deployed.webhook("/demo/webhooks/adyen", &message(&[item])).await, accepted);
        }
    };
    deliver_all().await;
    let captured =
        ["Authorization Success 100", "Charge Success 40", "CancelAuthorization Success 60"];
    assert_eq!(deployed.transactions().await, captured);
    let refunded = deployed.invoke(&act("p", refund(15))).await;
    assert_eq!((refunded.status, refunded.body), (200, json!({})));
    assert_eq!(deployed.transactions().await.last().unwrap(), "Refund Pending 15");
    deliver_all().await;
    assert_eq!(deployed.transactions().await.last().unwrap(), "Refund Success 15");
    let effects: Vec<_> =
        deployed.adyen.ledger().into_iter().map(|did| (did.action, did.cent_amount)).collect();
    assert_eq!(effects, [("capturePayment".to_owned(), 40), ("refundPayment".to_owned(), 15)]);
    for secret in [AdyenSandbox::API_KEY, AdyenSandbox::HMAC_KEY] {
        assert!(!deployed.log().contains(secret), "{}", deployed.log());
    }
}

#[tokio::test]
async fn each_end_of_a_webhook_has_its_status() {
    let deployed = Deployed::start().await;
    assert_eq!(deployed.invoke(&act("p", capture(40))).await.status, 200);
    let here = deployed.adyen.events().pop().unwrap();
    let signed = |name: &str, value: Value| {
        let mut item = here.clone();
        item[name] = value;
        AdyenSandbox::signed(AdyenSandbox::HMAC_KEY, item)
    };
    let mut forged = here.clone();
    forged["success"] = json!("false");
    let elsewhere = signed("originalReference", json!("PAYMENT000000002"));
    let other = signed("eventCode", json!("REPORT_AVAILABLE"));
    let long = format!("{}{}", message(std::slice::from_ref(&here)), " ".repeat(256 * 1024));
    let one = |item: &Value| message(std::slice::from_ref(item));
    for (path, body, status, text) in [
        ("/demo/webhooks/adyen", one(&here), 200, "[accepted]"),
        ("/demo/webhooks/adyen", one(&other), 200, "[accepted]"),
        // Adyen repeats what is not accepted.
        ("/demo/webhooks/adyen", one(&elsewhere), 409, "ResourceNotFound"),
        ("/acme/webhooks/adyen", one(&here), 409, "ResourceNotFound"),
        ("/demo/webhooks/adyen", one(&forged), 401, "invalid_signature"),
        (
            "/demo/webhooks/adyen",
            message(&[here.clone(), forged.clone()]),
            401,
            "invalid_signature",
        ),
        ("/demo/webhooks/adyen", "[]".to_owned(), 401, "invalid_signature"),
        ("/demo/webhooks/adyen", one(&signed("eventDate", json!("?"))), 400, "InvalidJsonInput"),
        ("/demo/webhooks/adyen", long, 413, "ContentTooLarge"),
        ("/demo/webhooks/stripe", one(&here), 404, "ResourceNotFound"),
    ] {
        let (found, _, answer) = deployed.webhook(path, &body).await;
        assert_eq!(found, status, "{path} {answer}");
        assert!(answer.contains(text), "{path} {answer}");
        assert_eq!(answer == "[accepted]", status == 200, "{path} {answer}");
    }
}

#[tokio::test]
async fn the_keys_of_an_account_are_refused_in_a_variable_that_many_can_read() {
    let mut entry = AdyenSandbox::start().await.unwrap().entry();
    entry["url"] = json!("https://1-checkout-live.adyenpayments.com/checkout/v71");
    let connectors = json!({"adyen": entry}).to_string();
    let variables =
        [("AUTH", "gateway"), ("PAYMENTS_TABLE", "payments"), ("CONNECTORS", &connectors)];
    let output = run_api_to_exit(&variables).await;
    assert!(!output.status.success());
    let said =
        String::from_utf8(output.stderr).unwrap() + &String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("CONNECTORS.adyen has the keys of a PSP account"), "{said}");
    for secret in [AdyenSandbox::API_KEY, AdyenSandbox::HMAC_KEY] {
        assert!(!said.contains(secret), "{said}");
    }
}
