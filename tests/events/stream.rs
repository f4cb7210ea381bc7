//! The table's stream, read over its API and delivered as Lambda does.

use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use payment_intents::dynamodb::Connection;
use serde_json::{Value, json};
use std::sync::Mutex;

/// The stream of one table, from its first record.
pub struct Stream {
    url: String,
    http: HyperClient<HttpConnector, Full<Bytes>>,
    arn: String,
    position: Mutex<String>,
}

impl Stream {
    /// Enables the stream, with both images of each write.
    pub async fn of(dynamodb: &Connection, table: &str) -> Self {
        let url = dynamodb.endpoint_url.clone().unwrap();
        let http = HyperClient::builder(TokioExecutor::new()).build_http();
        let mut stream = Self { url, http, arn: String::new(), position: Mutex::default() };
        let view = json!({"StreamEnabled": true, "StreamViewType": "NEW_AND_OLD_IMAGES"});
        let update = json!({"TableName": table, "StreamSpecification": view});
        stream.call("DynamoDB_20120810.UpdateTable", update).await;
        let streams = stream.ask("ListStreams", json!({"TableName": table})).await;
        stream.arn = text(&streams["Streams"][0]["StreamArn"]);
        let described = stream.ask("DescribeStream", json!({"StreamArn": stream.arn})).await;
        let shards = described["StreamDescription"]["Shards"].as_array().unwrap();
        assert_eq!(shards.len(), 1, "the emulator does not split streams");
        let start = json!({
            "StreamArn": stream.arn,
            "ShardId": shards[0]["ShardId"],
            "ShardIteratorType": "TRIM_HORIZON",
        });
        let iterator = stream.ask("GetShardIterator", start).await;
        stream.position = Mutex::new(text(&iterator["ShardIterator"]));
        stream
    }

    /// The records since the last time, with the fields that Lambda adds.
    pub async fn records(&self) -> Vec<Value> {
        let mut records = Vec::new();
        loop {
            let position = self.position.lock().unwrap().clone();
            let mut page = self.ask("GetRecords", json!({"ShardIterator": position})).await;
            *self.position.lock().unwrap() = text(&page["NextShardIterator"]);
            let page = page["Records"].as_array_mut().unwrap();
            if page.is_empty() {
                return records;
            }
            for record in page.iter_mut() {
                record["eventSourceARN"] = json!(self.arn);
                records.push(record.take());
            }
        }
    }

    async fn ask(&self, operation: &str, body: Value) -> Value {
        self.call(&format!("DynamoDBStreams_20120810.{operation}"), body).await
    }

    async fn call(&self, target: &str, body: Value) -> Value {
        // The emulator requires a signature, and does not check it.
        let signed = "AWS4-HMAC-SHA256 Credential=local/20261122/eu-central-1/dynamodb/aws4_request, \
                      SignedHeaders=host;x-amz-date;x-amz-target, Signature=0";
        let request = Request::post(&self.url)
            .header("content-type", "application/x-amz-json-1.0")
            .header("x-amz-target", target)
            .header("x-amz-date", "20261122T000000Z")
            .header("authorization", signed)
            .body(Full::from(body.to_string()))
            .unwrap();
        let (parts, body) = self.http.request(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        assert_eq!(parts.status, 200, "{target}: {}", String::from_utf8_lossy(&body));
        serde_json::from_slice(&body).unwrap()
    }
}

/// The event that Lambda delivers.
pub fn batch(records: &[Value]) -> String {
    json!({"Records": records}).to_string()
}

pub fn sequence(record: &Value) -> String {
    text(&record["dynamodb"]["SequenceNumber"])
}

/// The sort key distinguishes Payments from names.
pub fn is_of_payment(record: &Value) -> bool {
    record["dynamodb"]["Keys"]["sk"]["S"] == "payment"
}

/// The transactions that became Success or Failure by this write.
pub fn settled(record: &Value) -> Vec<String> {
    let states = |image: &str| {
        let transactions = record["dynamodb"][image]["transactions"]["M"].as_object();
        transactions.into_iter().flatten().map(|(id, stored)| (id, &stored["M"]["s"]["S"]))
    };
    let before: Vec<_> = states("OldImage").collect();
    states("NewImage")
        .filter(|now| !before.contains(now) && (*now.1 == "S" || *now.1 == "F"))
        .map(|(id, _)| id.clone())
        .collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}
