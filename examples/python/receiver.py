"""Receives deliveries and verifies their signatures by the public `standardwebhooks` library: `setup` first, then

    WEBHOOK_SECRET=whsec_... .venv/bin/python receiver.py --port 9000

`GET /v1/destinations/{id}/signing-secret` shows the secret.
"""

import argparse
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from standardwebhooks import Webhook, WebhookVerificationError

webhook = Webhook(os.environ["WEBHOOK_SECRET"])


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def receive(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        # A GET has no body: what is signed is the query, as it was sent.
        signed = urlsplit(self.path).query if self.command == "GET" else body
        try:
            webhook.verify(signed, dict(self.headers), json_parse=False)
        except (WebhookVerificationError, ValueError) as error:
            self.answer(401, f"refused {self.command} {self.path}: {error}")
        else:
            self.answer(204, f"verified {self.command} {self.path} {self.headers['webhook-id']}")

    def answer(self, status: int, line: str) -> None:
        print(line, flush=True)
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = receive

    def log_message(self, *_: object) -> None:
        """The line of `answer` is enough."""


parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--port", type=int, default=9000)
server = ThreadingHTTPServer(("127.0.0.1", parser.parse_args().port), Receiver)
print(f"receiving on http://127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
