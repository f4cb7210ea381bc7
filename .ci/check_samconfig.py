"""Checks each environment of samconfig.toml, with its missing parameters filled in, by SAM's reading of
the file and by the template's declarations and rules.

    check_samconfig.py samconfig.toml template.yaml
"""

import pathlib
import re
import sys

from expand_template import Resolver, broken_rules, parameters
from samcli.lib.config.samconfig import SamConfig
from samtranslator.yaml_helper import yaml_parse

# The parameters that the environments leave open.
FILLED_IN = {
    "TokenIssuer": "https://tokens.example",
    "TokenAudience": "payment-intents",
    "Connectors": '{"*": {"url": "https://connector.example"}}',
}
FUNCTION_NAME_MAX = 64
LONGEST_SUFFIX = "-recovery"


def problems_of(settings, template):
    for key in ("stack_name", "region", "capabilities", "resolve_s3", "parameter_overrides"):
        if key not in settings:
            yield f"has no {key}"
            return
    stack = settings["stack_name"]
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9-]*", stack) or len(stack + LONGEST_SUFFIX) > FUNCTION_NAME_MAX:
        yield f"cannot have a stack {stack}"
    if not re.fullmatch(r"[a-z]{2}(-[a-z]+)+-[0-9]", settings["region"]):
        yield f"cannot be in {settings['region']}"
    given = settings["parameter_overrides"]
    values, problems = parameters(template, {**FILLED_IN, **given})
    yield from problems
    if not problems:
        yield from broken_rules(template, Resolver(template, values))


def problems_of_comments(config, template):
    """Checks that the settings in comments are parameters of the template."""
    for name in re.findall(r"^# (\w+) = ", config.read_text(encoding="utf-8"), re.MULTILINE):
        if name not in template["Parameters"]:
            yield f"a comment names {name}, which is no parameter"


def main():
    config, template = map(pathlib.Path, sys.argv[1:])
    template = yaml_parse(template.read_text(encoding="utf-8"))
    document = SamConfig(config.parent.resolve(), config.name)
    problems, stacks = list(problems_of_comments(config, template)), {}
    for environment in document.get_stage_configuration_names():
        settings = document.get_all(["deploy"], "parameters", environment)
        problems.extend(f"{environment} {problem}" for problem in problems_of(settings, template))
        first = stacks.setdefault(settings.get("stack_name"), environment)
        if first != environment:
            problems.append(f"{environment} has the same stack as {first}")
    sys.exit("\n".join(problems) or 0)


main()
