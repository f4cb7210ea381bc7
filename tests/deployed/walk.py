"""Deploys the stack with `sam deploy` on an emulated AWS that enforces IAM, and uses it from outside.

    walk.py EMULATOR-PYTHON BUILD-DIRECTORY

The build directory is the result of `sam build`. docs/operations.md lists what the emulator cannot
do, under "Tests of the deployed stack".
"""

import concurrent.futures
import http.client
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse

import boto3
from outside import Connector, Issuer, make_certificate, secrets_extension

ROOT = pathlib.Path(__file__).resolve().parents[2]
REGION, STACK = "eu-central-1", "payment-intents-dev"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}

# A lease lasts 33 s, and recovery runs once a minute.
PATIENCE_S = 180


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until(what, probe):
    """The first true value of `probe()`. Without one in time, the walk fails."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        if found := probe():
            return found
        time.sleep(0.2)
    raise AssertionError(f"timed out: {what}")


class Aws:
    """The emulator, and clients of it."""

    def __init__(self, python, directory, certificate):
        self.port, self.log = free_port(), directory / "emulator.log"
        self.url = f"http://127.0.0.1:{self.port}"
        extension = secrets_extension(self.read_secret)
        settings = {
            "AUTH": "true",
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(self.port),
            "IOT_MTLS_ENABLED": "0",
            "LAMBDA_EXECUTOR": "local",
            "MINISTACK_REGION": REGION,
            # The emulator passes these on to the functions.
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ENDPOINT_URL_DYNAMODB": self.url,
            "AWS_ENDPOINT_URL_EVENTBRIDGE": self.url,
            "AWS_ENDPOINT_URL_LAMBDA": self.url,
            "AWS_ENDPOINT_URL_SQS": self.url,
            "PARAMETERS_SECRETS_EXTENSION_HTTP_PORT": str(extension),
            "SSL_CERT_FILE": str(certificate),
        }
        emulator = pathlib.Path(__file__).with_name("emulator.py")
        self.process = subprocess.Popen(
            [python, emulator],
            env={**os.environ, **CREDENTIALS, **settings},
            stdin=subprocess.DEVNULL,
            stdout=self.log.open("wb"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        until("the emulator", self.answers)

    def answers(self):
        assert self.process.poll() is None, self.log.read_text()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def client(self, service):
        keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
        return boto3.client(service, endpoint_url=self.url, region_name=REGION, **keys)

    def read_secret(self, arn):
        secret = self.client("secretsmanager").get_secret_value(SecretId=arn)
        return secret["SecretString"]

    def sam(self, build, *arguments):
        environment = {**os.environ, **CREDENTIALS, "AWS_ENDPOINT_URL": self.url}
        environment |= {"AWS_REGION": REGION, "AWS_DEFAULT_REGION": REGION}
        command = ["sam", *arguments, "--config-file", ROOT / "samconfig.toml"]
        done = subprocess.run(
            command, cwd=build, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{arguments}\n{done.stdout}\n{done.stderr}"

    def stop(self):
        # The functions are processes of its group.
        os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


class Stack:
    """The stack, and its API from outside."""

    def __init__(self, aws, build):
        self.aws, self.build = aws, build
        self.parameters = {}

    def deploy(self, **parameters):
        self.parameters = parameters
        overrides = [f"{name}={json.dumps(value)}" for name, value in parameters.items()]
        # The command line replaces all parameters of samconfig.toml. These are as there.
        overrides += ['Architecture="x86_64"', 'Deployment="AllAtOnce"', 'LogLevel="DEBUG"']
        self.aws.sam(
            self.build, "deploy", "--config-env", "dev", "--no-progressbar",
            "--parameter-overrides", " ".join(overrides),
        )  # fmt: skip

    def output(self, name):
        stacks = self.aws.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"]
        return next(out["OutputValue"] for out in stacks[0]["Outputs"] if out["OutputKey"] == name)

    def call(self, method, path, token=None, body=None, key=None):
        """Returns status, headers and body of the answer."""
        host = urllib.parse.urlparse(self.output("Endpoint")).hostname.split(".")[0]
        headers = {"host": f"{host}.execute-api.localhost:{self.aws.port}"}
        if token:
            headers["authorization"] = f"Bearer {token}"
        if body is not None:
            headers["content-type"] = "application/json"
        if key:
            headers["idempotency-key"] = key
        connection = http.client.HTTPConnection("127.0.0.1", self.aws.port, timeout=60)
        try:
            connection.request(method, path, body and json.dumps(body), headers)
            answer = connection.getresponse()
            headers = {name.lower(): value for name, value in answer.getheaders()}
            return answer.status, headers, json.loads(answer.read())
        finally:
            connection.close()

    def register(self, token, payment, cents):
        amount = {"centAmount": cents, "currencyCode": "EUR"}
        transaction = {"type": "Authorization", "state": "Success", "amount": amount}
        draft = {"id": payment, "key": f"key-{payment}", "amountPlanned": amount}
        draft |= {"paymentMethodInfo": {"paymentInterface": "psp"}, "transactions": [transaction]}
        return self.call("POST", "/acme/payments", token, draft)

    def act(self, token, payment, action, cents=None, key=None, reference=None, project="acme"):
        action = {"action": action}
        if cents:
            action["amount"] = {"centAmount": cents, "currencyCode": "EUR"}
        if reference:
            action["merchantReference"] = reference
        path = f"/{project}/payment-intents/{payment}"
        return self.call("POST", path, token, {"actions": [action]}, key)

    def states(self, token, payment):
        _, _, body = self.call("GET", f"/acme/payments/{payment}", token)
        return [(one["type"], one["state"]) for one in body["transactions"]]


def expect(answer, status, **fields):
    found, _, body = answer
    assert found == status, f"{status} was expected: {answer}"
    for name, value in fields.items():
        assert body.get(name) == value, f"{name}={value} was expected: {answer}"


class Walk:
    def __init__(self, aws, stack, issuer, connector):
        self.aws, self.stack, self.issuer, self.connector = aws, stack, issuer, connector
        connectors = {"*": {"url": connector.url, "resend": "sameKey"}}
        self.connectors = json.dumps(connectors)
        self.tokens = {"TokenIssuer": issuer.url, "TokenAudience": "payment-intents"}

    def run(self):
        steps = [
            self.deploys_with_an_authorizer,
            self.kills_a_process_during_a_capture,
            self.moves_money_once,
            self.refuses_callers,
            self.publishes_events,
            self.skips_an_unreadable_record,
            self.fails_without_a_permission,
            self.settles_the_killed_capture,
            self.keeps_the_version_before_a_change_of_parameters,
            self.verifies_jwts_itself,
            self.introspects_tokens_with_secrets,
            self.uses_a_rotated_secret,
            self.keeps_its_table_and_adopts_it,
        ]
        for step in steps:
            started = time.monotonic()
            step()
            print(f"ok      {step.__name__} ({time.monotonic() - started:.0f} s)", flush=True)

    def deploys_with_an_authorizer(self):
        self.stack.deploy(Auth="gateway", Connectors=self.connectors, **self.tokens)
        self.token = self.issuer.jwt("manage_project:acme")

    def kills_a_process_during_a_capture(self):
        """The process is killed after the connector has received its call."""
        expect(self.stack.register(self.token, "killed", 10_000), 201)
        with concurrent.futures.ThreadPoolExecutor() as pool:
            capture = pool.submit(
                self.stack.act, self.token, "killed", "capturePayment", 6_000, "k", "slow"
            )
            assert self.connector.slow.wait(PATIENCE_S), "the connector was not called"
            for pid in self.processes_of(STACK):
                os.kill(pid, signal.SIGKILL)
            status, headers, _ = capture.result()
        assert status >= 500 and "x-correlation-id" not in headers, (status, headers)
        self.killed_at = time.monotonic()

    def processes_of(self, function):
        """The ids of the emulator's processes of a function."""
        found = []
        for process in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                environment = (process / "environ").read_bytes().split(b"\0")
                command = (process / "cmdline").read_bytes().split(b"\0")[0]
                is_ours = os.getpgid(int(process.name)) == self.aws.process.pid
            except OSError:
                continue
            name = f"AWS_LAMBDA_FUNCTION_NAME={function}".encode()
            if name in environment and command.endswith(b"bootstrap"):
                assert is_ours or os.getsid(int(process.name)) == self.aws.process.pid
                found.append(int(process.name))
        assert found, f"no process of {function}"
        return found

    def moves_money_once(self):
        act, token = self.stack.act, self.token
        expect(self.stack.register(token, "p", 10_000), 201, key="key-p")
        expect(act(token, "p", "capturePayment", 4_000, "one"), 200)
        replay = act(token, "p", "capturePayment", 4_000, "one")
        expect(replay, 200)
        assert replay[1].get("idempotent-replayed") == "true", replay
        expect(act(token, "p", "capturePayment", 7_000, "two"), 400)
        expect(act(token, "p", "refundPayment", 1_000, "three"), 200)
        success = [("Authorization", "Success"), ("Charge", "Success"), ("Refund", "Success")]
        assert sorted(self.stack.states(token, "p")) == success
        expect(self.stack.call("GET", "/acme/payments/key=key-p", token), 200, id="p")
        assert len(self.connector.of("p")) == 2, self.connector.of("p")

        # Captures of 10.00 each with 15 keys, each key four times. 100.00 are authorized.
        expect(self.stack.register(token, "raced", 10_000), 201)
        with concurrent.futures.ThreadPoolExecutor(60) as pool:
            capture = lambda n: self.until_decided("raced", 1_000, f"key-{n % 15}")
            statuses = sorted(pool.map(capture, range(60)))
        assert set(statuses) <= {200, 400}, statuses
        assert statuses.count(200) == 40, "ten keys with four answers each"
        assert len(self.connector.of("raced")) == 10, self.connector.of("raced")

    def until_decided(self, payment, cents, key):
        """Repeats an action with its key until its status is final. Returns the status."""
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            status, _, _ = self.stack.act(self.token, payment, "capturePayment", cents, key)
            if status not in (409, 429, 500, 503):
                return status
            time.sleep(0.1)
        return None

    def refuses_callers(self):
        other = self.issuer.jwt("manage_project:other")
        expect(self.stack.act(other, "p", "capturePayment", 1_000), 403)
        # This answer is API Gateway's, not the function's.
        expect(self.stack.act(None, "p", "capturePayment", 1_000), 401, message="Unauthorized")
        expect(self.stack.call("GET", "/acme/no-such-path", self.token), 404)

    def publishes_events(self):
        sqs, events = self.aws.client("sqs"), self.aws.client("events")
        queue = sqs.create_queue(QueueName="events")["QueueUrl"]
        asked = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
        arn = asked["Attributes"]["QueueArn"]
        allow = {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}}
        allow |= {"Action": "sqs:SendMessage", "Resource": arn}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
        sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": policy})
        events.put_rule(Name="events", EventPattern=json.dumps({"source": ["payment-intents"]}))
        events.put_targets(Rule="events", Targets=[{"Id": "queue", "Arn": arn}])
        expect(self.stack.register(self.token, "captured", 10_000), 201)
        expect(self.stack.act(self.token, "captured", "capturePayment", 2_500, "t"), 200)

        self.events = queue
        assert until("the event of a capture", self.published) == ["CheckoutPaymentCharged"]

    def published(self):
        """The types of new events of the Payment `captured`."""
        sqs, types = self.aws.client("sqs"), []
        received = sqs.receive_message(QueueUrl=self.events, MaxNumberOfMessages=10)
        for message in received.get("Messages", []):
            event = json.loads(message["Body"])
            if '"captured"' in json.dumps(event["detail"]):
                types.append(event["detail-type"])
            sqs.delete_message(QueueUrl=self.events, ReceiptHandle=message["ReceiptHandle"])
        return types

    def skips_an_unreadable_record(self):
        """An item that is no Payment is named on the dead-letter queue. Later events are sent."""
        cloudformation, sqs = self.aws.client("cloudformation"), self.aws.client("sqs")
        letters = cloudformation.describe_stack_resource(
            StackName=STACK, LogicalResourceId="DeadLetters"
        )["StackResourceDetail"]["PhysicalResourceId"]
        self.aws.client("dynamodb").put_item(
            TableName=self.stack.output("TableName"),
            Item={"pk": {"S": "acme#damaged"}, "sk": {"S": "payment"}, "version": {"S": "one"}},
        )
        receive = lambda: sqs.receive_message(QueueUrl=letters).get("Messages")
        [message] = until("a dead letter", receive)
        letter = json.loads(message["Body"])
        assert (letter["reason"], letter["paymentId"]) == ("unreadableRecord", "damaged"), letter
        expect(self.stack.act(self.token, "captured", "capturePayment", 1_000, "u"), 200)
        assert until("the next event", self.published) == ["CheckoutPaymentCharged"]

    def fails_without_a_permission(self):
        """Shows that the emulator enforces IAM: an action fails without a permission."""
        iam, cloudformation = self.aws.client("iam"), self.aws.client("cloudformation")
        resource = cloudformation.describe_stack_resource(
            StackName=STACK, LogicalResourceId="PaymentIntentsRole"
        )
        role = resource["StackResourceDetail"]["PhysicalResourceId"]
        policy = iam.get_role_policy(RoleName=role, PolicyName="payments")["PolicyDocument"]
        without = json.loads(json.dumps(policy))
        without["Statement"][0]["Action"].remove("dynamodb:UpdateItem")
        put = lambda document: iam.put_role_policy(
            RoleName=role, PolicyName="payments", PolicyDocument=json.dumps(document)
        )
        put(without)
        status, _, _ = self.stack.act(self.token, "p", "capturePayment", 1_000, "four")
        # 500 rather than 503, because this connector may be sent an earlier attempt again.
        assert (status, len(self.connector.of("p"))) == (500, 2), "the permission is not enforced"
        put(policy)
        expect(self.stack.act(self.token, "p", "capturePayment", 1_000, "four"), 200)

    def settles_the_killed_capture(self):
        """The scheduled recovery settles it, after the lease of the killed process."""
        final = [("Authorization", "Success"), ("Charge", "Success")]
        until("recovery", lambda: sorted(self.stack.states(self.token, "killed")) == final)
        assert len(self.connector.of("killed")) == 1, self.connector.of("killed")
        expect(self.stack.act(self.token, "killed", "capturePayment", 6_000, "k", "slow"), 200)

    def keeps_the_version_before_a_change_of_parameters(self):
        functions = self.aws.client("lambda")
        alias = lambda: functions.get_alias(FunctionName=STACK, Name="live")["FunctionVersion"]
        before = alias()
        self.stack.deploy(**{**self.stack.parameters, "Response": "outcome"})
        assert alias() != before, "the change made no version"
        expect(self.stack.act(self.token, "p", "capturePayment", 100, "five"), 200, outcome="approved")
        # The documented roll-back.
        functions.update_alias(
            FunctionName=STACK, Name="live", FunctionVersion=before,
            RoutingConfig={"AdditionalVersionWeights": {}},
        )  # fmt: skip
        answer = self.stack.act(self.token, "p", "capturePayment", 100, "six")
        expect(answer, 200)
        assert answer[2] == {}, answer

    def verifies_jwts_itself(self):
        keys = f"{self.issuer.url}/keys"
        self.stack.deploy(Auth="jwt", TokenKeysUrl=keys, Connectors=self.connectors, **self.tokens)
        self.uses_it(self.issuer.jwt, {"error": "invalid_token"})

    def introspects_tokens_with_secrets(self):
        """The connectors move to a secret, so that the parameter has to be set to empty."""
        secrets = self.aws.client("secretsmanager")
        make = lambda name, text: secrets.create_secret(Name=name, SecretString=text)["ARN"]
        self.stack.deploy(
            Auth="introspection", TokenIssuer="", TokenAudience="", TokenKeysUrl="", Connectors="",
            IntrospectionUrl=f"{self.issuer.url}/introspect", IntrospectionClientId="payment-intents",
            IntrospectionClientSecretArn=make("client", self.issuer.client_secret),
            ConnectorsSecretArn=make("connectors", self.connectors),
            SecretsExtensionArn=f"arn:aws:lambda:{REGION}:111122223333:layer:"
            "AWS-Parameters-and-Secrets-Lambda-Extension:1",
        )  # fmt: skip
        self.uses_it(self.issuer.opaque_token, {"error": "invalid_token"})

    def uses_a_rotated_secret(self):
        """The token service refuses the old secret, and the new one is used without a deployment."""
        self.issuer.client_secret = "the-next-client-secret"
        secrets = self.aws.client("secretsmanager")
        secrets.put_secret_value(SecretId="client", SecretString=self.issuer.client_secret)
        # The answers about earlier tokens are cached.
        self.token = self.issuer.opaque_token("manage_project:acme")
        read = lambda: self.stack.call("GET", "/acme/payments/introspection", self.token)[0]
        assert read() == 503, "the token service refuses the old secret"
        assert read() == 200, "the new secret is not used"

    def uses_it(self, token, refused):
        payment = self.stack.parameters["Auth"]
        own, other = token("manage_project:acme"), token("manage_project:other")
        expect(self.stack.register(own, payment, 10_000), 201)
        expect(self.stack.act(own, payment, "capturePayment", 4_000, "one"), 200)
        expect(self.stack.act(own, payment, "refundPayment", 1_000, "two"), 200)
        expect(self.stack.act(other, payment, "capturePayment", 1_000), 403)
        expect(self.stack.act(None, payment, "capturePayment", 1_000), 401)
        expect(self.stack.act("forged", payment, "capturePayment", 1_000), 401, **refused)
        self.token = own

    def keeps_its_table_and_adopts_it(self):
        table, parameters = self.stack.output("TableName"), self.stack.parameters
        self.aws.sam(self.stack.build, "delete", "--config-env", "dev", "--no-prompts")
        assert table in self.aws.client("dynamodb").list_tables()["TableNames"]
        alone = subprocess.run(
            [sys.executable, ".ci/expand_template.py", "template.yaml", "--only", "Payments"],
            cwd=ROOT, capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        cloudformation = self.aws.client("cloudformation")
        resource = {"ResourceType": "AWS::DynamoDB::Table", "LogicalResourceId": "Payments"}
        change = {"StackName": STACK, "ChangeSetName": "adopt"}
        cloudformation.create_change_set(
            **change, ChangeSetType="IMPORT", TemplateBody=alone,
            ResourcesToImport=[{**resource, "ResourceIdentifier": {"TableName": table}}],
        )  # fmt: skip
        cloudformation.get_waiter("change_set_create_complete").wait(**change)
        cloudformation.execute_change_set(**change)
        cloudformation.get_waiter("stack_import_complete").wait(StackName=STACK)
        self.stack.deploy(**parameters)
        assert self.stack.output("TableName") == table
        states = self.stack.states(self.token, "introspection")
        assert ("Refund", "Success") in states, states
        expect(self.stack.act(self.token, "introspection", "refundPayment", 1_000, "three"), 200)


def main():
    python, build = sys.argv[1], pathlib.Path(sys.argv[2]).resolve()
    with tempfile.TemporaryDirectory() as directory:
        directory = pathlib.Path(directory)
        certificate = make_certificate(directory)
        aws = Aws(python, directory, certificate[0])
        try:
            walk = Walk(aws, Stack(aws, build), Issuer(certificate), Connector())
            walk.run()
        except BaseException:
            print(aws.log.read_text(errors="replace")[-20_000:], file=sys.stderr)
            raise
        finally:
            aws.stop()


main()
