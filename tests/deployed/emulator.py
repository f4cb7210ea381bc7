"""The emulated AWS on 127.0.0.1: ministack. Resource types of the template that ministack does not know
are accepted and have no effect.

Its port and all other settings come from the environment, see `walk.py`.
"""

import uuid

from ministack.app import main
from ministack.services.cloudformation import provisioners

# Canaries and saved queries are not tested.
WITHOUT_EFFECT = (
    "AWS::CodeDeploy::Application",
    "AWS::CodeDeploy::DeploymentGroup",
    "AWS::Logs::QueryDefinition",
)


def without_effect():
    def create(logical_id, _properties, stack_name):
        return f"{stack_name}-{logical_id}-{uuid.uuid4().hex[:8]}", {}

    return {"create": create, "delete": lambda *_: None}


for resource_type in WITHOUT_EFFECT:
    provisioners._RESOURCE_HANDLERS[resource_type] = without_effect()

# Alarms by metric math are accepted and not evaluated.
alarm = provisioners._RESOURCE_HANDLERS["AWS::CloudWatch::Alarm"]
create_alarm, update_alarm = alarm["create"], alarm["update"]


def accepted(properties):
    name = properties["AlarmName"]
    return name, {"Arn": f"arn:aws:cloudwatch:eu-central-1:000000000000:alarm:{name}"}


def create_any_alarm(logical_id, properties, stack_name):
    if "Metrics" in properties:
        return accepted(properties)
    return create_alarm(logical_id, properties, stack_name)


def update_any_alarm(physical_id, before, properties, stack_name, logical_id=None):
    if "Metrics" in properties:
        return accepted(properties)
    return update_alarm(physical_id, before, properties, stack_name, logical_id)


alarm |= {"create": create_any_alarm, "update": update_any_alarm}

main()
