//! The built Lambda with a Stripe account in its settings.

use crate::support::lambda::events::{act, event, with};
use crate::support::lambda::function::Function;
use crate::support::lambda::run_api_to_exit;
use crate::support::{Reply, capture, refund};
use payment_intents::clock::SystemClock;
use payment_intents::local::emulator;
use payment_intents::local::stripe::{StripeFault, StripeSandbox};
use payment_intents::ports::Clock;
use serde_json::{Value, json};
use std::path::PathBuf;
use tempfile::TempDir;

const TIMEOUT_MS: u64 = 20_000;

struct Deployed {
    function: Function,
    stripe: StripeSandbox,
    directory: TempDir,
}

impl Deployed {
    /// With the Payment `p`, of which 100 EUR cents are authorized.
    async fn start() -> Self {
        let dynamodb = emulator::start(None).await.unwrap();
        emulator::ensure_table(&dynamodb.clone().client(), "payments").await.unwrap();
        let stripe = StripeSandbox::start().await.unwrap();
        stripe.authorize("pi_p", 100, "eur", false);
        let directory = tempfile::tempdir().unwrap();
        let environment = [
            ("AUTH", "gateway".to_owned()),
            ("PAYMENTS_TABLE", "payments".to_owned()),
            ("CONNECTORS", json!({"stripe": stripe.entry()}).to_string()),
            ("AWS_ENDPOINT_URL_DYNAMODB", dynamodb.endpoint_url.unwrap()),
            ("AWS_LAMBDA_LOG_LEVEL", "TRACE".to_owned()),
        ];
        let binary = env!("CARGO_BIN_EXE_payment-intents");
        let function = Function::start(binary, &environment, log_of(&directory)).await;
        let amount = json!({"centAmount": 100, "currencyCode": "EUR"});
        let draft = json!({
            "id": "p", "interfaceId": "pi_p", "amountPlanned": amount,
            "paymentMethodInfo": {"paymentInterface": "stripe"},
            "transactions": [{"type": "Authorization", "state": "Success", "amount": amount}],
        });
        let deployed = Self { function, stripe, directory };
        let register = with(event("create-payment"), "/rawPath", "/demo/payments");
        let reply = deployed.invoke(&with(register, "/body", draft.to_string())).await;
        assert_eq!(reply.status, 201, "{reply:?}");
        deployed
    }

    async fn invoke(&self, event: &Value) -> Reply {
        self.function.request(TIMEOUT_MS, event).await.unwrap()
    }

    async fn payment(&self) -> Value {
        self.invoke(&with(event("get-payment"), "/rawPath", "/demo/payments/p")).await.body
    }

    /// A webhook that has no token, with this signature.
    async fn webhook(&self, path: &str, body: &str, signature: Option<&str>) -> Reply {
        let event = with(event("webhook"), "/rawPath", path);
        let event = with(event, "/body", body);
        let event = match signature {
            Some(signature) => with(event, "/headers/stripe-signature", signature),
            None => event,
        };
        self.invoke(&event).await
    }

    fn log(&self) -> String {
        std::fs::read_to_string(log_of(&self.directory)).unwrap()
    }
}

fn log_of(directory: &TempDir) -> PathBuf {
    directory.path().join("log")
}

fn connectors(url: &str) -> String {
    let secret = StripeSandbox::WEBHOOK_SECRET;
    let key = StripeSandbox::API_KEY;
    json!({"stripe": {"psp": "stripe", "url": url, "apiKey": key, "webhookSecret": secret}})
        .to_string()
}

fn signed(body: &str) -> String {
    StripeSandbox::signature(StripeSandbox::WEBHOOK_SECRET, body, SystemClock.now())
}

#[tokio::test]
async fn a_payment_is_captured_and_refunded_and_the_webhooks_are_taken_without_a_token() {
    let deployed = Deployed::start().await;
    deployed.stripe.plan(&[StripeFault::LostAnswer]);
    let lost = deployed.invoke(&act("p", capture(40))).await;
    assert_eq!(lost.status, 500, "{lost:?}");
    let succeeded = deployed.stripe.events().pop().unwrap().to_string();
    assert_eq!(
        deployed
            .webhook("/demo/webhooks/stripe", &succeeded, Some(&signed(&succeeded)))
            .await
            .status,
        200
    );
    let states = |payment: &Value| {
        let transactions = payment["transactions"].as_array().unwrap();
        let state = |one: &Value| {
            format!("{} {} {}", one["type"], one["state"], one["amount"]["centAmount"])
        };
        transactions.iter().map(state).collect::<Vec<_>>().join(", ").replace('"', "")
    };
    let payment = deployed.payment().await;
    assert_eq!(
        states(&payment),
        "Authorization Success 100, Charge Success 40, CancelAuthorization Success 60"
    );
    let refunded = deployed.invoke(&act("p", refund(15))).await;
    assert_eq!((refunded.status, refunded.body), (200, json!({})));
    let effects: Vec<_> =
        deployed.stripe.ledger().into_iter().map(|did| (did.action, did.cent_amount)).collect();
    assert_eq!(effects, [("capturePayment".to_owned(), 40), ("refundPayment".to_owned(), 15)]);
    for secret in [StripeSandbox::API_KEY, StripeSandbox::WEBHOOK_SECRET] {
        assert!(!deployed.log().contains(secret), "{}", deployed.log());
    }
}

#[tokio::test]
async fn each_end_of_a_webhook_has_its_status() {
    let deployed = Deployed::start().await;
    let notice = |r#type: &str, id: &str| {
        json!({"type": r#type, "data": {"object": {"id": id}}}).to_string()
    };
    let here = notice("payment_intent.succeeded", "pi_p");
    let elsewhere = notice("payment_intent.succeeded", "pi_other");
    let other = notice("customer.created", "cus_1");
    let long = format!("{here}{}", " ".repeat(256 * 1024 - here.len() + 1));
    let longest = long[..256 * 1024].to_owned();
    for (path, body, is_signed, status, code) in [
        ("/demo/webhooks/stripe", &here, true, 200, ""),
        ("/demo/webhooks/stripe", &longest, true, 200, ""),
        ("/demo/webhooks/stripe", &other, true, 200, ""),
        ("/demo/webhooks/stripe", &elsewhere, true, 409, "ResourceNotFound"),
        // The same id in another project is another Payment.
        ("/acme/webhooks/stripe", &here, true, 409, "ResourceNotFound"),
        ("/demo/webhooks/stripe", &"[]".to_owned(), true, 400, "InvalidJsonInput"),
        ("/demo/webhooks/stripe", &long, true, 413, "ContentTooLarge"),
        ("/demo/webhooks/stripe", &here, false, 401, "invalid_signature"),
        ("/demo/webhooks/adyen", &here, true, 404, "ResourceNotFound"),
        ("/demo/webhooks/", &here, true, 404, "ResourceNotFound"),
        ("/demo/webhooks", &here, true, 404, "ResourceNotFound"),
        ("/demo/webhooks/stripe/x", &here, true, 404, "ResourceNotFound"),
    ] {
        let signature = is_signed.then(|| signed(body));
        let reply = deployed.webhook(path, body, signature.as_deref()).await;
        let told = reply.body["errors"][0]["code"].as_str().unwrap_or_default();
        assert_eq!((reply.status, told), (status, code), "{path} {is_signed}");
    }
    let event = with(event("webhook"), "/requestContext/http/method", "GET");
    assert_eq!(deployed.invoke(&event).await.status, 405);
}

#[tokio::test]
async fn the_keys_of_an_account_are_refused_in_a_variable_that_many_can_read() {
    let ends = async |url: &str| {
        let variables =
            [("AUTH", "gateway"), ("PAYMENTS_TABLE", "payments"), ("CONNECTORS", &connectors(url))];
        let output = run_api_to_exit(&variables).await;
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap() + &String::from_utf8(output.stdout).unwrap()
    };
    let said = ends("https://api.stripe.com").await;
    assert!(said.contains("CONNECTORS.stripe has the keys of a PSP account"), "{said}");
    assert!(said.contains("CONNECTORS_SECRET_ARN"), "{said}");
    for secret in [StripeSandbox::API_KEY, StripeSandbox::WEBHOOK_SECRET] {
        assert!(!said.contains(secret), "{said}");
    }
}
