"""Prints, as JSON, the CloudFormation template to which a SAM template expands.

    expand_template.py template.yaml
        without parameters: the conditions stay in the template
    expand_template.py template.yaml NAME=VALUE...
        with these parameters: their declarations and the template's rules are checked, and the
        conditions are evaluated
    expand_template.py template.yaml --only RESOURCE
        only this resource, for an import into a new stack
"""

import json
import pathlib
import re
import sys

from samtranslator.model.exceptions import InvalidDocumentException
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

NOTHING = object()
DASHBOARD_COLUMNS = 24


class NoManagedPolicies:
    """An empty list of managed policies. SAM would read it from an account; the template uses none."""

    def load(self):
        return {}


def expand(template, values):
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            # `sam package` would set such an address; the translator accepts no local path.
            resource["Properties"]["CodeUri"] = "s3://bucket/key"
    template["Globals"]["Function"].pop("CodeUri")
    try:
        return transform(template, dict(values), NoManagedPolicies())
    except InvalidDocumentException as error:
        sys.exit("\n".join([error.message, *(cause.message for cause in error.causes)]))


def parameters(template, given):
    """The values of all parameters, and the problems of those that are given."""
    declared = template["Parameters"]
    problems = [f"there is no parameter {name}" for name in given if name not in declared]
    values = {}
    for name, declaration in declared.items():
        value = str(given.get(name, declaration.get("Default", NOTHING)))
        values[name] = value
        if name not in given and "Default" not in declaration:
            problems.append(f"{name} is needed")
        elif not is_allowed(value, declaration):
            problems.append(f"{name} may not be {value!r}")
    return values, problems


def is_allowed(value, declaration):
    if declaration["Type"] == "Number":
        if not re.fullmatch(r"-?[0-9]+", value):
            return False
        if not declaration.get("MinValue", int(value)) <= int(value) <= declaration.get("MaxValue", int(value)):
            return False
    return (
        value in map(str, declaration.get("AllowedValues", [value]))
        and len(value) <= declaration.get("MaxLength", len(value))
        and re.fullmatch(declaration.get("AllowedPattern", "[\\s\\S]*"), value) is not None
    )


class Resolver:
    """Evaluates conditions and parameters as CloudFormation does. Other functions stay as they are."""

    def __init__(self, template, values):
        self.values = values
        self.conditions = template.get("Conditions", {})

    def holds(self, condition):
        """The value of a condition, given by its name or as an expression."""
        if isinstance(condition, str):
            return self.holds(self.conditions[condition])
        ((function, operands),) = condition.items()
        match function:
            case "Condition":
                return self.holds(operands)
            case "Fn::Not":
                return not self.holds(operands[0])
            case "Fn::And":
                return all(map(self.holds, operands))
            case "Fn::Or":
                return any(map(self.holds, operands))
            case "Fn::Equals":
                left, right = (str(self.resolve(operand)) for operand in operands)
                return left == right
        raise ValueError(f"the condition {function} is not known here")

    def resolve(self, value):
        if isinstance(value, list):
            resolved = map(self.resolve, value)
            return [item for item in resolved if item is not NOTHING]
        if not isinstance(value, dict):
            return value
        match value:
            case {"Ref": "AWS::NoValue"}:
                return NOTHING
            case {"Ref": name} if name in self.values:
                return self.values[name]
            case {"Fn::If": [condition, then, otherwise]}:
                return self.resolve(then if self.holds(condition) else otherwise)
            case {"Fn::Sub": str(text)}:
                text = re.sub(r"\$\{(\w+)\}", lambda found: self.values.get(found[1], found[0]), text)
                return {"Fn::Sub": text} if "${" in text else text
        resolved = {key: self.resolve(item) for key, item in value.items()}
        return {key: item for key, item in resolved.items() if item is not NOTHING}

    def template(self, template):
        """The template with the resources and outputs whose conditions hold."""
        kept = {key: template[key] for key in ("AWSTemplateFormatVersion", "Description")}
        for section in ("Resources", "Outputs"):
            entries = template[section].items()
            kept[section] = {
                name: self.resolve({key: item for key, item in entry.items() if key != "Condition"})
                for name, entry in entries
                if "Condition" not in entry or self.holds(entry["Condition"])
            }
        return kept


def broken_rules(template, resolver):
    for rule in template.get("Rules", {}).values():
        if "RuleCondition" not in rule or resolver.holds(rule["RuleCondition"]):
            for assertion in rule["Assertions"]:
                if not resolver.holds(assertion["Assert"]):
                    yield assertion["AssertDescription"]


def references(value, names):
    """The resources on which a resource depends, also by its update policy."""
    if isinstance(value, list):
        for item in value:
            yield from references(item, names)
    elif isinstance(value, dict):
        match value:
            case {"Ref": str(name)} | {"Fn::GetAtt": [str(name), *_]} if name in names:
                yield name
            case {"Fn::Sub": str(text) | [str(text), _]}:
                yield from (name for name in re.findall(r"\$\{(\w+)[.}]", text) if name in names)
        for key, item in value.items():
            yield from [item] if key == "DependsOn" and isinstance(item, str) else references(item, names)


def circle(resources):
    """Resources that depend on each other in a circle, if there are any."""
    waits = {name: set(references(resource, resources)) for name, resource in resources.items()}
    done = set()

    def visit(name, path):
        if name in path:
            return [*path[path.index(name) :], name]
        if name not in done:
            for following in sorted(waits[name]):
                if found := visit(following, [*path, name]):
                    return found
            done.add(name)
        return None

    return next(filter(None, (visit(name, []) for name in resources)), None)


def dashboard_problems(resources):
    for name, resource in resources.items():
        if resource["Type"] != "AWS::CloudWatch::Dashboard":
            continue
        body = resource["Properties"]["DashboardBody"]
        body = body["Fn::Sub"] if isinstance(body, dict) else body
        taken = {}
        for widget in json.loads(body)["widgets"]:
            title = widget["properties"]["title"]
            for column in range(widget["x"], widget["x"] + widget["width"]):
                for row in range(widget["y"], widget["y"] + widget["height"]):
                    if column >= DASHBOARD_COLUMNS:
                        yield f"{name}: {title} is too far to the right"
                    if taken.setdefault((column, row), title) != title:
                        yield f"{name}: {title} covers {taken[column, row]}"
            yield from (f"{name}: {title}: {problem}" for problem in metric_problems(widget))


def metric_problems(widget):
    """The problems of the metrics of a widget. Each is [namespace, name, dimension, value, ...,
    {options}]. `.` repeats the item of the line before, `...` all items but the ones that follow."""
    before = []
    for line in widget["properties"].get("metrics", []):
        line = [item for item in line if not isinstance(item, dict)]
        if line and line[0] == "...":
            line = before[: len(before) - len(line) + 1] + line[1:]
        if any(item == "." and at >= len(before) for at, item in enumerate(line)):
            yield f"{line} repeats an item that the line before does not have"
            continue
        line = [before[at] if item == "." else item for at, item in enumerate(line)]
        if line and len(line) % 2:
            yield f"{line} has a dimension without a value"
        before = line or before


def main():
    path, *given = sys.argv[1:]
    template = yaml_parse(pathlib.Path(path).read_text(encoding="utf-8"))
    if given and given[0] == "--only":
        resource = {given[1]: template["Resources"][given[1]]}
        kept = {"AWSTemplateFormatVersion": template["AWSTemplateFormatVersion"], "Resources": resource}
        json.dump(kept, sys.stdout, indent=2)
        return

    values, problems = parameters(template, dict(item.split("=", 1) for item in given))
    expanded = expand(template, values if given else {})
    if given:
        resolver = Resolver(template, values)
        problems.extend(broken_rules(template, resolver))
        expanded = resolver.template(expanded)
        problems.extend(dashboard_problems(expanded["Resources"]))
        if around := circle(expanded["Resources"]):
            problems.append("circular dependency: " + ", ".join(around))
        if problems:
            sys.exit("\n".join(problems))
    json.dump(expanded, sys.stdout, indent=2)


if __name__ == "__main__":
    main()
