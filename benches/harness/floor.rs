//! The floor: the writes of a real action, recorded and sent again by the same client,
//! without our code.

use super::world::{World, event, handle, is_approved, payments};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::interceptors::{
    AfterDeserializationInterceptorContextRef, BeforeSerializationInterceptorContextMut,
};
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::operation::update_item::{UpdateItemInput, UpdateItemOutput};
use aws_sdk_dynamodb::types::AttributeValue::{N, S};
use aws_sdk_dynamodb::types::{AttributeValue, ReturnConsumedCapacity};
use http::{Request, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use payment_intents::error::BoxError;
use payment_intents::payment::PaymentKey;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use tokio::net::TcpStream;
use uuid::Uuid;

/// The two writes of an action, and the call between them, bare.
pub struct Floor {
    client: Client,
    reserve: UpdateItemInput,
    settle: UpdateItemInput,
    connector: SendRequest<Full<Bytes>>,
    authority: String,
}

impl Floor {
    /// Records an action that the API carries out.
    pub async fn record(world: &World) -> Self {
        let client = world.dynamodb.clone().client();
        Self::with(world, client).await
    }

    /// Records an action that this client carries out.
    pub async fn with(world: &World, client: Client) -> Self {
        let recorder = Recorder::default();
        let config = client.config().to_builder().interceptor(recorder.clone()).build();
        let api = world.api(&Client::from_conf(config));
        let payment = payments(&client, 1).await.remove(0);
        let answer = handle(&api, &event(&payment)).await;
        assert!(is_approved(&answer), "{answer}");
        let mut writes = recorder.writes().into_iter();
        let (Some(reserve), Some(settle), None) = (writes.next(), writes.next(), writes.next())
        else {
            panic!("an action is two writes");
        };
        let (connector, authority) = connect(&world.sandbox.url()).await;
        Self { client, reserve, settle, connector, authority }
    }

    /// Sends the writes and the call of the `nth` action on this Payment, and ignores the
    /// answers.
    pub async fn act(&mut self, key: &PaymentKey, nth: u64) {
        let transaction = Uuid::new_v4().to_string();
        self.reserve(key, &transaction).await;
        self.call(key, &transaction).await;
        self.settle(key, &transaction, nth).await;
    }

    pub async fn reserve(&self, key: &PaymentKey, transaction: &str) {
        self.write(with_transaction(&self.reserve, key, "#id", transaction)).await;
    }

    pub async fn settle(&self, key: &PaymentKey, transaction: &str, nth: u64) {
        let mut settle = with_transaction(&self.settle, key, "#changed0", transaction);
        // The numbers in the settling write.
        let (seen, captured) = (2 * nth, 100 * nth);
        let figures = [
            (":read_version", seen),
            (":version", seen + 1),
            (":captured", captured),
            (":refundable", captured),
        ];
        let values = settle.expression_attribute_values.get_or_insert_default();
        for (name, figure) in figures {
            let known = values.insert(name.to_owned(), N(figure.to_string()));
            assert!(known.is_some(), "the recorded write has {name}");
        }
        self.write(settle).await;
    }

    async fn write(&self, input: UpdateItemInput) {
        let write = self
            .client
            .update_item()
            .set_table_name(input.table_name)
            .set_key(input.key)
            .set_update_expression(input.update_expression)
            .set_condition_expression(input.condition_expression)
            .set_expression_attribute_names(input.expression_attribute_names)
            .set_expression_attribute_values(input.expression_attribute_values)
            .set_return_values(input.return_values)
            .set_return_values_on_condition_check_failure(
                input.return_values_on_condition_check_failure,
            );
        write.send().await.expect("the condition holds");
    }

    async fn call(&mut self, key: &PaymentKey, transaction: &str) {
        const BODY: &str = r#"{"actions":[{"action":"capturePayment","amount":{"centAmount":100,"currencyCode":"EUR","fractionDigits":2},"merchantReference":"order-1001"}]}"#;
        let request = Request::post(format!("/operations/payment-intents/{}", key.id.as_str()))
            .header("host", &self.authority)
            .header("content-type", "application/json")
            .header("accept", "application/json")
            .header("idempotency-key", transaction)
            .header("x-correlation-id", transaction)
            .body(Full::from(BODY))
            .expect("a request");
        self.connector.ready().await.expect("it is connected");
        let answer = self.connector.send_request(request).await.expect("an answer");
        assert_eq!(answer.status(), 200);
        answer.into_body().collect().await.expect("a body");
    }
}

async fn connect(url: &Uri) -> (SendRequest<Full<Bytes>>, String) {
    let authority = url.authority().expect("a host").to_string();
    let stream = TcpStream::connect(&authority).await.expect("the sandbox");
    stream.set_nodelay(true).expect("a socket");
    let (sender, connection) = handshake(TokioIo::new(stream)).await.expect("HTTP");
    tokio::spawn(connection);
    (sender, authority)
}

/// The recorded write, with another Payment and transaction.
fn with_transaction(
    recorded: &UpdateItemInput,
    key: &PaymentKey,
    name: &str,
    transaction: &str,
) -> UpdateItemInput {
    let mut input = recorded.clone();
    input.key = Some(primary_key(key));
    if let Some(names) = &mut input.expression_attribute_names {
        let known = names.insert(name.to_owned(), transaction.to_owned());
        assert!(known.is_some(), "the recorded write has {name}");
    }
    input
}

pub fn primary_key(key: &PaymentKey) -> HashMap<String, AttributeValue> {
    HashMap::from([
        ("pk".to_owned(), S(key.to_string())),
        ("sk".to_owned(), S("payment".to_owned())),
    ])
}

/// A recorder of the writes of a client, and of their capacity units.
#[derive(Clone, Debug, Default)]
pub struct Recorder(Arc<Mutex<Recorded>>);

#[derive(Debug, Default)]
struct Recorded {
    writes: Vec<UpdateItemInput>,
    capacity: Vec<f64>,
}

impl Recorder {
    /// The writes since the last time.
    pub fn writes(&self) -> Vec<UpdateItemInput> {
        std::mem::take(&mut self.0.lock().expect("no thread panicked").writes)
    }

    /// Their capacity units since the last time.
    pub fn capacity(&self) -> f64 {
        std::mem::take(&mut self.0.lock().expect("no thread panicked").capacity).iter().sum()
    }
}

impl Intercept for Recorder {
    fn name(&self) -> &'static str {
        "recorder"
    }

    fn modify_before_serialization(
        &self,
        context: &mut BeforeSerializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(input) = context.input_mut().downcast_mut::<UpdateItemInput>() {
            self.0.lock().expect("no thread panicked").writes.push(input.clone());
            input.return_consumed_capacity = Some(ReturnConsumedCapacity::Total);
        }
        Ok(())
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let output = context.output_or_error().ok();
        if let Some(output) = output.and_then(|output| output.downcast_ref::<UpdateItemOutput>()) {
            let consumed = output.consumed_capacity().and_then(|all| all.capacity_units());
            self.0.lock().expect("no thread panicked").capacity.extend(consumed);
        }
        Ok(())
    }
}
