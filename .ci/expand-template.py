"""Prints, as JSON, the CloudFormation template that a SAM template becomes when it is deployed."""

import json
import pathlib
import sys

from samtranslator.model.exceptions import InvalidDocumentException
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse


class NoManagedPolicies:
    """AWS's managed policies would be read from an account; the template names none."""

    def load(self):
        return {}


def main():
    template = yaml_parse(pathlib.Path(sys.argv[1]).read_text(encoding="utf-8"))
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            # What `sam package` would put here; the translator accepts no local path.
            resource["Properties"]["CodeUri"] = "s3://bucket/key"
    try:
        expanded = transform(template, {}, NoManagedPolicies())
    except InvalidDocumentException as error:
        sys.exit("\n".join([error.message, *(cause.message for cause in error.causes)]))
    json.dump(expanded, sys.stdout, indent=2)


main()
