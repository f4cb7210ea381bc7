//! The template, as data.

use super::Names;
use super::sources::read;
use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde_json::{Map, Value, json};

/// The variables of a function, with those of all functions.
pub(crate) fn variables(function: &str) -> Names {
    let template = template();
    let own = &template["Resources"][function]["Properties"]["Environment"]["Variables"];
    let all = &template["Globals"]["Function"]["Environment"]["Variables"];
    [own, all].iter().flat_map(|given| given.as_object().unwrap().keys().cloned()).collect()
}

/// A statement of a role.
pub(crate) fn actions(role: &str) -> Names {
    let statements = statements(&template()["Resources"][role]["Properties"]);
    statements.iter().flat_map(|statement| listed(&statement["Action"])).collect()
}

/// The statements of a role's policies, with those that depend on a condition.
pub(crate) fn statements(role: &Value) -> Vec<Value> {
    let policies = role["Policies"].as_array().unwrap().iter();
    let policies = policies.map(|policy| policy.get("Fn::If").map_or(policy, |either| &either[1]));
    policies
        .flat_map(|policy| policy["PolicyDocument"]["Statement"].as_array().unwrap().clone())
        .collect()
}

pub(crate) fn listed(names: &Value) -> Vec<String> {
    match names {
        Value::Array(names) => names.iter().flat_map(listed).collect(),
        name => vec![name.as_str().unwrap().to_owned()],
    }
}

/// The properties of each resource of a type.
pub(crate) fn resources(kind: &str) -> impl Iterator<Item = Value> {
    let template = template();
    let resources = template["Resources"].as_object().unwrap().clone();
    let kind = kind.to_owned();
    resources
        .into_iter()
        .filter(move |(_, resource)| resource["Type"] == kind.as_str())
        .map(|(_, resource)| resource["Properties"].clone())
}

/// The names of our metrics in alarms and in the dashboard, which is text.
pub(crate) fn metrics(value: &Value, found: &mut Names) {
    if value["Namespace"] == "PaymentIntents" {
        found.insert(value["MetricName"].as_str().unwrap().to_owned());
    }
    if let Some(body) = value["DashboardBody"]["Fn::Sub"].as_str() {
        let mut is_ours = false;
        for line in body.lines().map(str::trim).filter(|line| line.starts_with('[')) {
            let mut quoted = line.split('"').skip(1).step_by(2);
            let namespace = quoted.next().unwrap_or_default();
            is_ours = namespace == "PaymentIntents" || (is_ours && namespace.starts_with('.'));
            if is_ours && namespace != "..." {
                found.insert(quoted.next().unwrap().to_owned());
            }
        }
    }
    match value {
        Value::Object(entries) => entries.values().for_each(|entry| metrics(entry, found)),
        Value::Array(entries) => entries.iter().for_each(|entry| metrics(entry, found)),
        _ => {}
    }
}

/// The template with its short forms written out: `!Ref X` is `{"Ref": "X"}`.
pub(crate) fn template() -> Value {
    let text = read("template.yaml");
    let documents = Yaml::load_from_str(&text).unwrap();
    value(&documents[0])
}

fn value(node: &Yaml) -> Value {
    match node {
        Yaml::Tagged(tag, node) => match (tag.suffix.as_str(), value(node)) {
            (name @ ("Ref" | "Condition"), of) => json!({name: of}),
            (name, of) => json!({format!("Fn::{name}"): of}),
        },
        Yaml::Value(Scalar::String(text)) => json!(text),
        Yaml::Value(Scalar::Integer(number)) => json!(number),
        Yaml::Value(Scalar::Boolean(is)) => json!(is),
        Yaml::Sequence(nodes) => nodes.iter().map(value).collect(),
        Yaml::Mapping(nodes) => {
            let entries = nodes.iter();
            Value::Object(
                entries.map(|(key, node)| (key_of(key), value(node))).collect::<Map<_, _>>(),
            )
        }
        _ => Value::Null,
    }
}

fn key_of(node: &Yaml) -> String {
    match value(node) {
        Value::String(text) => text,
        other => other.to_string(),
    }
}
