"""The servers that the deployed stack calls, each on a free port of 127.0.0.1: a token issuer with
introspection, a PSP connector, and a substitute for the AWS Parameters and Secrets extension."""

import base64
import datetime
import http.server
import ipaddress
import json
import ssl
import threading
import time
import urllib.parse

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

def serve(answer, certificate=None):
    """Serves `answer(method, path, headers, body) -> (status, document)`. Returns the port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self):
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            status, document = answer(self.command, self.path, self.headers, body)
            text = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = handle_any

        def log_message(self, *_):
            pass

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_):
            """Ignores errors: a killed caller closes its connection before the answer."""

    server = Server(("127.0.0.1", 0), Handler)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


def make_certificate(directory):
    """Writes a self-signed certificate for localhost. Returns its two files."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.timezone.utc)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    files = directory / "certificate.pem", directory / "key.pem"
    files[0].write_bytes(certificate.public_bytes(pem))
    pkcs8, open_text = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    files[1].write_bytes(key.private_bytes(pem, pkcs8, open_text))
    return files


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Issuer:
    """Issues JWTs, which its keys verify, and opaque tokens, which it introspects."""

    def __init__(self, certificate):
        self.key = rsa.generate_private_key(65537, 2048)
        self.opaque = {}
        self.client_secret = "the-client-secret"
        self.url = f"https://localhost:{serve(self.answer, certificate)}"

    def answer(self, method, path, headers, body):
        if path == "/.well-known/openid-configuration":
            return 200, {"issuer": self.url, "jwks_uri": f"{self.url}/keys"}
        if path == "/keys":
            numbers = self.key.public_key().public_numbers()
            as_text = lambda n: base64url(n.to_bytes((n.bit_length() + 7) // 8, "big"))
            key = {"n": as_text(numbers.n), "e": as_text(numbers.e), "kty": "RSA", "alg": "RS256"}
            return 200, {"keys": [{**key, "use": "sig", "kid": "1"}]}
        if method == "POST" and path == "/introspect":
            basic = base64.b64encode(f"payment-intents:{self.client_secret}".encode()).decode()
            if headers.get("authorization") != f"Basic {basic}":
                return 401, {"error": "invalid_client"}
            token = urllib.parse.parse_qs(body.decode()).get("token", [""])[0]
            if token not in self.opaque:
                return 200, {"active": False}
            return 200, {"active": True, "client_id": "walk", "scope": self.opaque[token]}
        return 404, {}

    def jwt(self, scope):
        now = int(time.time())
        header = {"alg": "RS256", "kid": "1", "typ": "JWT"}
        claims = {"iss": self.url, "aud": "payment-intents", "sub": "walk", "client_id": "walk"}
        claims |= {"iat": now - 1, "exp": now + 3600, "scope": scope}
        signed = ".".join(base64url(json.dumps(part).encode()) for part in (header, claims))
        signature = self.key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{signed}.{base64url(signature)}"

    def opaque_token(self, scope):
        token = f"opaque-{len(self.opaque)}"
        self.opaque[token] = scope
        return token


class Connector:
    """Acts once for each key. Repeats its answer to a repeated key."""

    def __init__(self):
        self.lock = threading.Lock()
        self.effects = {}
        self.slow = threading.Event()
        self.url = f"http://127.0.0.1:{serve(self.answer)}"

    def answer(self, method, path, headers, body):
        if method != "POST" or not path.startswith("/operations/payment-intents/"):
            return 404, {}
        payment, key = path.rsplit("/", 1)[1], headers["idempotency-key"]
        action = json.loads(body)["actions"][0]
        with self.lock:
            is_first = (payment, key) not in self.effects
            self.effects[payment, key] = action
        if is_first and action.get("merchantReference") == "slow":
            # The caller is killed during this time.
            self.slow.set()
            time.sleep(20)
        return 200, {"outcome": "approved"}

    def of(self, payment):
        with self.lock:
            return [action for (of, _), action in self.effects.items() if of == payment]


def secrets_extension(read_secret):
    """Answers as the extension does, if the request has a session token. Returns its port."""

    def answer(_method, path, headers, _body):
        url = urllib.parse.urlparse(path)
        if url.path != "/secretsmanager/get" or not headers.get("x-aws-parameters-secrets-token"):
            return 400, {}
        return 200, {"SecretString": read_secret(urllib.parse.parse_qs(url.query)["secretId"][0])}

    return serve(answer)
