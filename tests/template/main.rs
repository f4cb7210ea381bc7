//! The template matches the code: routes, variables, permissions, metrics. An addition to
//! only one of the two fails here. `.ci/check-template` checks the template as
//! CloudFormation.

#![allow(clippy::unwrap_used, reason = "a test that cannot read the sources has failed")]
#![allow(clippy::indexing_slicing, reason = "a missing part of the template fails the test")]

mod document;
mod sources;

use document::{actions, listed, metrics, resources, statements, template, variables};
use serde_json::json;
use sources::{
    NOT_IN_A_LAMBDA, action, operations, read, sources, store_methods, upper_case_names,
    without_white_space,
};
use std::collections::BTreeSet;

type Names = BTreeSet<String>;

/// Variables that Lambda sets.
const GIVEN_BY_LAMBDA: [&str; 5] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_LAMBDA_LOG_LEVEL",
    "AWS_REGION",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
];

/// Variables for other places than AWS, or for a secret in plain text.
const NOT_OFFERED: [&str; 4] = [
    "AUTH_CLIENT_SECRET",
    "AWS_ENDPOINT_URL_DYNAMODB",
    "AWS_ENDPOINT_URL_EVENTBRIDGE",
    "PARAMETERS_SECRETS_EXTENSION_HTTP_PORT",
];

/// Texts that look like variables: the levels of the log.
const LEVELS: [&str; 6] = ["DEBUG", "ERROR", "FATAL", "INFO", "TRACE", "WARN"];

/// Operations that Lambda needs in the role of every function.
const DONE_FOR_ALL: [&str; 4] = [
    "logs:CreateLogStream",
    "logs:PutLogEvents",
    "xray:PutTelemetryRecords",
    "xray:PutTraceSegments",
];

/// Operations that Lambda needs for a function behind a stream.
const DONE_FOR_A_STREAM: [&str; 5] = [
    "dynamodb:DescribeStream",
    "dynamodb:GetRecords",
    "dynamodb:GetShardIterator",
    "dynamodb:ListStreams",
    "sqs:SendMessage",
];

/// Operations that could read all Payments or lose one.
const FORBIDDEN: [&str; 3] = ["dynamodb:DeleteItem", "dynamodb:DeleteTable", "dynamodb:Scan"];

#[test]
fn the_routes_are_those_of_the_code() {
    let documented = read("src/http/route.rs");
    let mut used = Names::from(["$default".to_owned()]);
    for line in documented.lines().filter_map(|line| line.trim().strip_prefix("/// `")) {
        let route = line.split('`').next().unwrap();
        if ["GET ", "POST ", "PUT ", "PATCH ", "DELETE "].iter().any(|verb| route.starts_with(verb))
        {
            // API Gateway calls the key of the route `id`.
            used.insert(route.replace("key={key}", "{paymentId}"));
        }
    }
    let given = resources("AWS::ApiGatewayV2::Route")
        .map(|route| route["RouteKey"].as_str().unwrap().to_owned())
        .collect::<Names>();
    assert_eq!(given, used);
}

#[test]
fn the_api_waits_longer_than_the_function() {
    let function = &template()["Resources"]["PaymentIntents"]["Properties"]["Timeout"];
    let function_ms = function.as_u64().unwrap().checked_mul(1_000).unwrap();
    for integration in resources("AWS::ApiGatewayV2::Integration") {
        assert!(integration["TimeoutInMillis"].as_u64().unwrap() > function_ms);
    }
}

#[test]
fn the_variables_are_those_of_the_code() {
    let mut used = Names::new();
    for (path, code) in sources() {
        let reads = ["src/config", "src/secrets_manager", "src/main.rs", "src/bin/", "src/observe"];
        if reads.iter().any(|room| path.starts_with(room)) {
            used.extend(upper_case_names(&code));
        }
    }
    for name in [&GIVEN_BY_LAMBDA[..], &NOT_OFFERED, &LEVELS].concat() {
        assert!(used.remove(name), "{name} is no longer used");
    }
    type Belongs = fn(&str) -> bool;
    let is_for: [(&str, Belongs); 3] = [
        ("PaymentIntents", |name| !name.starts_with("EVENT_")),
        ("Recovery", |name| !name.starts_with("EVENT_") && !is_about_callers(name)),
        ("Events", |name| name.starts_with("EVENT_") || name == "STACK_NAME"),
    ];
    for (function, is_for) in is_for {
        let expected = used.iter().filter(|name| is_for(name)).cloned().collect::<Names>();
        assert_eq!(variables(function), expected, "{function}");
    }
}

fn is_about_callers(name: &str) -> bool {
    name.starts_with("AUTH") || name == "RESPONSE" || name == "REPEAT_DETECTION"
}

#[test]
fn the_permissions_are_those_that_the_code_uses() {
    let store = store_methods();
    for (function, role, callers) in [
        ("PaymentIntents", "PaymentIntentsRole", &["src/service.rs", "src/service/"][..]),
        ("Recovery", "RecoveryRole", &["src/recovery.rs", "src/service/attempt.rs"]),
    ] {
        let mut used = Names::from(DONE_FOR_ALL.map(str::to_owned));
        for (path, code) in sources() {
            if callers.iter().any(|caller| path.starts_with(caller)) {
                for (method, operations) in &store {
                    if without_white_space(&code).contains(&format!("self.store.{method}(")) {
                        used.extend(operations.iter().map(|name| action("dynamodb", name)));
                    }
                }
            }
        }
        if sources().any(|(_, code)| code.contains("/secretsmanager/get")) {
            used.insert("secretsmanager:GetSecretValue".to_owned());
        }
        assert_eq!(actions(role), used, "{function}");
    }
    // Other permissions, which no method of the store uses.
    for (path, code) in sources().filter(|(path, _)| path != NOT_IN_A_LAMBDA) {
        if code.contains("aws_sdk_dynamodb") || path.starts_with("src/dynamodb") {
            let asked = operations(&code).iter().map(|name| action("dynamodb", name)).collect();
            let allowed = &actions("PaymentIntentsRole") | &actions("RecoveryRole");
            assert!(allowed.is_superset(&asked), "{path}: {asked:?}");
        }
    }
}

#[test]
fn the_events_function_may_only_publish() {
    let done = [&DONE_FOR_ALL[..], &DONE_FOR_A_STREAM].concat();
    let mut used = done.into_iter().map(str::to_owned).collect::<Names>();
    for (_, code) in sources() {
        if code.contains("aws_sdk_eventbridge") {
            used.extend(operations(&code).iter().map(|name| action("events", name)));
        }
        if code.contains("AWSEvents.PutEvents") {
            used.insert("events:PutEvents".to_owned());
        }
    }
    assert_eq!(actions("EventsRole"), used);
}

#[test]
fn no_role_may_scan_delete_or_use_a_wildcard() {
    for role in resources("AWS::IAM::Role") {
        for statement in statements(&role) {
            let names = listed(&statement["Action"]);
            let is_one = |name: &String| !name.contains('*') && !FORBIDDEN.contains(&name.as_str());
            assert!(names.iter().all(is_one), "{names:?}");
            let is_everywhere = statement["Resource"] == "*";
            assert!(
                !is_everywhere || names.iter().all(|name| name.starts_with("xray:")),
                "{names:?}"
            );
        }
    }
}

#[test]
fn the_table_is_the_one_that_localhost_has() {
    let made = read(NOT_IN_A_LAMBDA);
    let table = &template()["Resources"]["Payments"]["Properties"];
    for attribute in table["AttributeDefinitions"].as_array().unwrap() {
        assert!(made.contains(&attribute["AttributeName"].to_string()), "{attribute}");
    }
    let index = &table["GlobalSecondaryIndexes"][0];
    assert!(made.contains(&format!(".index_name({})", index["IndexName"])));
    let queried = json!({"Fn::Sub": "${Payments.Arn}/index/recovery"});
    let role = &template()["Resources"]["RecoveryRole"]["Properties"];
    assert!(statements(role).iter().any(|statement| statement["Resource"] == queried));
}

/// An alarm on a metric that does not exist never fires.
#[test]
fn every_metric_of_an_alarm_or_the_dashboard_is_written() {
    let code = sources().map(|(_, code)| code).collect::<String>();
    let template = template();
    let mut looked_at = Names::new();
    metrics(&template["Resources"], &mut looked_at);
    assert!(looked_at.len() > 10, "{looked_at:?}");
    for name in looked_at {
        assert!(code.contains(&format!("\"{name}\"")), "{name} is written nowhere");
    }
}

#[test]
fn the_environments_set_only_existing_parameters() {
    let declared = &template()["Parameters"];
    let config = read("samconfig.toml").parse::<toml::Table>().unwrap();
    let mut stacks = Names::new();
    for (environment, settings) in config.iter().filter(|(_, settings)| settings.is_table()) {
        let settings = &settings["global"]["parameters"];
        assert!(
            stacks.insert(settings["stack_name"].as_str().unwrap().to_owned()),
            "{environment}"
        );
        for name in settings["parameter_overrides"].as_table().unwrap().keys() {
            assert!(declared.get(name).is_some(), "{environment} gives {name}");
        }
    }
    for region in [
        "europe-west1.gcp",
        "us-central1.gcp",
        "australia-southeast1.gcp",
        "eu-central-1.aws",
        "us-east-2.aws",
    ] {
        let overrides = &config[region]["global"]["parameters"]["parameter_overrides"];
        let domain = overrides["DomainName"].as_str().unwrap();
        assert!(domain.starts_with(&format!("checkout.{region}.")), "{domain}");
    }
}
