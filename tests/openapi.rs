//! `openapi.yaml` says what the code does: its routes, scopes, errors, enumerations and
//! limits are those of the sources, and its examples those of the documents. What it says
//! of answers, `.ci/check-openapi` tries against the service.

#![allow(clippy::unwrap_used, reason = "a test that cannot read the sources has failed")]
#![allow(clippy::indexing_slicing, reason = "a missing part of the document is a failure")]
#![allow(clippy::arithmetic_side_effects, reason = "an overflow fails the test, too")]

use payment_intents::http::{ACTION_BYTES_MAX, BODY_BYTES_MAX, WEBHOOK_BYTES_MAX};
use payment_intents::money::{Currency, Money};
use payment_intents::payment::Payment;
use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

type Names = BTreeSet<String>;

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

#[test]
fn the_routes_are_those_of_the_code() {
    let code = read("src/http/route.rs");
    let routes = code.lines().filter_map(|line| line.trim().strip_prefix("/// `"));
    let routes = routes.map(|line| line.split('`').next().unwrap().to_owned());
    let routes: Names = routes.filter(|route| route.contains(" /")).collect();
    let documented: Names = operations().into_keys().collect();
    assert_eq!(documented, routes);
}

#[test]
fn each_operation_names_the_scopes_of_the_code() {
    let code = read("src/http/route.rs");
    let (_, scopes) = code.split_once("fn scopes(").unwrap();
    let (scopes, _) = scopes.split_once("\n    }\n").unwrap();
    let mut expected = BTreeMap::new();
    for arm in scopes.split(']').filter(|arm| arm.contains("=>")) {
        let (routes, names) = arm.split_once("=>").unwrap();
        let names: Names = quoted(names).map(|name| format!("{name}:{{projectKey}}")).collect();
        let routes = routes.split("Self::").skip(1).map(|route| route.split('(').next().unwrap());
        expected.extend(routes.map(|route| (route.to_owned(), names.clone())));
    }
    let variants = variants(&code);
    for (route, operation) in operations() {
        let schemes = &document()["components"]["securitySchemes"];
        let mut named = Names::new();
        for alternative in operation["security"].as_array().unwrap() {
            for (scheme, scopes) in alternative.as_object().unwrap() {
                let known = &schemes[scheme]["x-scopes"];
                for scope in scopes.as_array().unwrap() {
                    let scope = scope.as_str().unwrap();
                    assert!(known.get(scope).is_some(), "{scheme} has no scope {scope}");
                    named.insert(scope.to_owned());
                }
            }
        }
        assert_eq!(named, expected[&variants[&route]], "{route}");
    }
}

/// The variant of `Route` for each documented route.
fn variants(code: &str) -> BTreeMap<String, String> {
    let lines: Vec<_> = code.lines().map(str::trim).collect();
    let pairs = lines.windows(2).filter_map(|pair| {
        let route = pair[0].strip_prefix("/// `")?.strip_suffix('`')?;
        Some((route.to_owned(), pair[1].split('(').next()?.to_owned()))
    });
    pairs.collect()
}

/// A status of our own, or one of its codes, that is added on one side alone, fails here.
#[test]
fn each_status_has_the_error_codes_of_the_code() {
    let statuses = BTreeMap::from([
        ("BAD_REQUEST", 400),
        ("UNAUTHORIZED", 401),
        ("FORBIDDEN", 403),
        ("NOT_FOUND", 404),
        ("METHOD_NOT_ALLOWED", 405),
        ("CONFLICT", 409),
        ("PAYLOAD_TOO_LARGE", 413),
        ("UNSUPPORTED_MEDIA_TYPE", 415),
        ("UNPROCESSABLE_ENTITY", 422),
        ("INTERNAL_SERVER_ERROR", 500),
        ("BAD_GATEWAY", 502),
        ("SERVICE_UNAVAILABLE", 503),
    ]);
    let mut answered = BTreeSet::from([(400, "RequiredField".to_owned())]);
    for code in [problems(), read("src/http/answer.rs")] {
        for call in code.split("StatusCode::").skip(1) {
            let (status, rest) = call.split_once(|c: char| !c.is_uppercase() && c != '_').unwrap();
            // The code follows its status.
            if rest.trim_start().starts_with('"') {
                let status = statuses.get(status).unwrap_or_else(|| panic!("{status} is unknown"));
                answered.insert((*status, quoted(rest).next().unwrap().to_owned()));
            }
        }
    }
    let schemas = &document()["components"]["schemas"];
    let mut documented = BTreeSet::new();
    for (route, operation) in operations() {
        for (status, response) in operation["responses"].as_object().unwrap() {
            let Some(reference) = response["$ref"].as_str() else { continue };
            let response = &document()["components"]["responses"][last(reference)];
            let schema = &response["content"]["application/json"]["schema"]["allOf"];
            let items = &schema[1]["properties"]["errors"]["items"];
            let one = std::slice::from_ref(items);
            for error in items["oneOf"].as_array().map_or(one, Vec::as_slice) {
                let error = &schemas[last(error["$ref"].as_str().unwrap())];
                let code = error["properties"]["code"]["const"].as_str().unwrap();
                documented.insert((status.parse::<u16>().unwrap(), code.to_owned()));
            }
        }
        assert!(operation["responses"].get("500").is_some(), "{route}");
    }
    assert_eq!(documented, answered);
}

#[test]
fn the_fields_of_errors_are_those_of_the_code() {
    let code = problems() + &read("src/http/error_body.rs");
    let calls = code.split(".field(\"").skip(1).filter_map(|call| call.split('"').next());
    let known: Names = calls.map(str::to_owned).collect();
    let schemas = document()["components"]["schemas"].clone();
    let errors = schemas.as_object().unwrap().values();
    let errors = errors.filter(|schema| schema["properties"]["code"]["const"].is_string());
    let fields = errors.flat_map(|error| keys(&error["properties"]));
    let fields: Names = fields.filter(|field| field != "code" && field != "message").collect();
    assert_eq!(fields, known);
}

#[test]
fn actions_and_enumerations_are_those_of_the_code() {
    let schemas = document()["components"]["schemas"].clone();
    let alternatives = schemas["UpdateAction"]["oneOf"].as_array().unwrap();
    let updates = alternatives.iter().map(|one| one["properties"]["action"]["const"].clone());
    let headers = document()["components"]["headers"].clone();
    let outcome = &schemas["Outcome"]["properties"]["outcome"]["enum"];
    let answer = read("src/http/answer.rs");
    let outcomes = answer.split(r#"{"outcome":""#).skip(1);
    let outcomes = outcomes.map(|rest| rest.split('"').next().unwrap().to_owned());
    let preferences = quoted(&answer).filter(|text| text.starts_with("return="));
    for (name, documented, known) in [
        (
            "actions",
            keys(&schemas["Action"]["discriminator"]["mapping"]),
            table("http/action.rs", "ACTIONS"),
        ),
        (
            "update actions",
            updates.map(|name| text(&name)).collect(),
            table("http/update.rs", "ACTIONS"),
        ),
        ("types", texts(&schemas["TransactionType"]["enum"]), table("platform.rs", "TYPES")),
        ("states", texts(&schemas["TransactionState"]["enum"]), table("platform.rs", "STATES")),
        ("outcomes", texts(outcome), outcomes.collect()),
        (
            "preferences",
            texts(&headers["PreferenceApplied"]["schema"]["enum"]),
            preferences.map(str::to_owned).collect(),
        ),
    ] {
        assert_eq!(documented, known, "{name}");
    }
}

#[test]
fn headers_are_those_of_the_code() {
    let mut used = Names::new();
    for file in ["src/http/answer.rs", "src/http/headers.rs"] {
        let code = read(file);
        let names = code.split("HeaderName::from_static(").skip(1);
        used.extend(names.map(|rest| quoted(rest).next().unwrap().to_owned()));
    }
    let code = read("src/connector/webhooks.rs");
    let signatures = code.split("(webhook.header)(").skip(1);
    used.extend(signatures.map(|rest| quoted(rest).next().unwrap().to_owned()));
    let known = problems() + &read("src/http/answer.rs");
    for (constant, name) in [
        ("header::ALLOW", "allow"),
        ("header::CACHE_CONTROL", "cache-control"),
        ("header::RETRY_AFTER", "retry-after"),
        ("header::WWW_AUTHENTICATE", "www-authenticate"),
    ] {
        assert!(known.contains(constant), "{constant} is no longer used");
        used.insert(name.to_owned());
    }
    let mut documented = Names::new();
    headers(&document(), &mut documented);
    assert_eq!(documented, used);
}

/// The names of all headers in the document, those of requests and of responses.
fn headers(value: &Value, found: &mut Names) {
    if value["in"] == "header" {
        found.insert(text(&value["name"]).to_lowercase());
    }
    match value {
        Value::Object(entries) => {
            for (name, entry) in entries {
                // The components have names of their own.
                if name == "headers" && entry.get("Challenge").is_none() {
                    found.extend(keys(entry).iter().map(|name| name.to_lowercase()));
                }
                headers(entry, found);
            }
        }
        Value::Array(entries) => entries.iter().for_each(|entry| headers(entry, found)),
        _ => {}
    }
}

#[test]
fn limits_and_currencies_are_those_of_the_code() {
    let document = document();
    let schemas = &document["components"]["schemas"];
    let cents = &schemas["Amount"]["properties"]["centAmount"]["maximum"];
    assert_eq!(*cents, json!(Money::MINOR_UNITS_MAX));
    let transactions = &schemas["PaymentDraft"]["properties"]["transactions"]["maxItems"];
    assert_eq!(*transactions, json!(Payment::TRANSACTIONS_MAX - 1));
    let shown = &schemas["Payment"]["properties"]["transactions"]["maxItems"];
    assert_eq!(*shown, json!(Payment::TRANSACTIONS_MAX_REPORTED));
    let actions = &schemas["Update"]["properties"]["actions"]["maxItems"];
    let limit = format!("ACTIONS_MAX: usize = {actions};");
    assert!(read("src/http/update.rs").contains(&limit), "{limit}");
    let too_long = text(&document["components"]["responses"]["TooLong"]["description"]);
    for limit in [ACTION_BYTES_MAX, BODY_BYTES_MAX, WEBHOOK_BYTES_MAX] {
        assert!(too_long.contains(&format!("{} KiB", limit / 1024)), "{too_long}");
    }
    let letters = || 'A'..='Z';
    let codes = letters().flat_map(|a| letters().map(move |b| (a, b)));
    let codes = codes.flat_map(|(a, b)| letters().map(move |c| format!("{a}{b}{c}")));
    let is_payable =
        |code: &String| Currency::parse(code).and_then(Currency::fraction_digits).is_some();
    let payable: Names = codes.filter(is_payable).collect();
    assert_eq!(texts(&schemas["CurrencyCode"]["enum"]), payable);
}

/// The bodies that the README sends and gets, and the samples of docs/api.md.
#[test]
fn the_examples_are_those_of_the_documents() {
    let readme = read("README.md");
    let (_, console) = readme.split_once("```console\n").unwrap();
    let (console, _) = console.split_once("```").unwrap();
    let mut expected: Vec<String> = console
        .lines()
        .filter_map(|line| match line.strip_prefix("$ ") {
            Some(command) => {
                Some(command.split_once("--json '")?.1.trim_end_matches('\'').to_owned())
            }
            None => Some(line.to_owned()),
        })
        .collect();
    assert_eq!(expected.len(), 4, "{expected:?}");
    let api = read("docs/api.md");
    expected.extend(
        api.split("```json\n").skip(1).map(|block| block.split("```").next().unwrap().to_owned()),
    );
    let (_, draft) = api.split_once("demo/payments --json '").unwrap();
    expected.push(draft.split('\'').next().unwrap().to_owned());
    let mut examples = Vec::new();
    collect_examples(&document(), &mut examples);
    for sample in expected {
        let sample: Value = serde_json::from_str(&sample).unwrap();
        assert!(examples.contains(&sample), "openapi.yaml has no example {sample}");
    }
}

fn collect_examples(value: &Value, found: &mut Vec<Value>) {
    match value {
        Value::Object(entries) => {
            for (name, entry) in entries {
                if name == "examples" {
                    let examples = entry.as_object().unwrap().values();
                    found.extend(examples.map(|example| example["value"].clone()));
                }
                collect_examples(entry, found);
            }
        }
        Value::Array(entries) => entries.iter().for_each(|entry| collect_examples(entry, found)),
        _ => {}
    }
}

/// The operations by method and path.
fn operations() -> BTreeMap<String, Value> {
    let document = document();
    let mut operations = BTreeMap::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in METHODS {
            if let Some(operation) = item.get(method) {
                let route = format!("{} {path}", method.to_uppercase());
                operations.insert(route, operation.clone());
            }
        }
    }
    operations
}

/// The names in a table of names and values in the sources.
fn table(file: &str, name: &str) -> Names {
    let code = read(&format!("src/{file}"));
    let (_, table) = code.split_once(&format!("const {name}: [")).unwrap();
    let (_, table) = table.split_once("= [").unwrap();
    let (table, _) = table.split_once("\n];").unwrap();
    let entries = table.split("\n    (").skip(1);
    let names: Names = entries.map(|entry| quoted(entry).next().unwrap().to_owned()).collect();
    assert!(!names.is_empty(), "{file} has no {name}");
    names
}

fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('"').skip(1).step_by(2)
}

fn last(reference: &str) -> &str {
    reference.rsplit('/').next().unwrap()
}

fn keys(object: &Value) -> Names {
    object.as_object().unwrap().keys().cloned().collect()
}

fn texts(list: &Value) -> Names {
    list.as_array().unwrap().iter().map(text).collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// The sources of all errors.
fn problems() -> String {
    let parts =
        ["problem", "problem/access", "problem/payment", "problem/request", "problem/webhook"];
    parts.map(|part| read(&format!("src/http/{part}.rs"))).concat()
}

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

fn document() -> Value {
    let text = read("openapi.yaml");
    value(&Yaml::load_from_str(&text).unwrap()[0])
}

fn value(node: &Yaml) -> Value {
    match node {
        Yaml::Value(Scalar::String(text)) => json!(text),
        Yaml::Value(Scalar::Integer(number)) => json!(number),
        Yaml::Value(Scalar::Boolean(is)) => json!(is),
        Yaml::Sequence(nodes) => nodes.iter().map(value).collect(),
        Yaml::Mapping(nodes) => {
            let entries = nodes.iter().map(|(key, node)| (text(&value(key)), value(node)));
            Value::Object(entries.collect::<Map<_, _>>())
        }
        _ => Value::Null,
    }
}
