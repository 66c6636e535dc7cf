"""The tour of the README with a client that openapi-python-client generated: `setup` first, then

    .venv/bin/python tour.py

Needs a running server and a receiver. SERVER, RECEIVER and ADMIN_TOKEN say where they are.
"""

import os
import sys
import uuid
from pathlib import Path
from typing import TypeVar

sys.path.insert(0, str(Path(__file__).parent / "generated"))

from data_pusher import AuthenticatedClient
from data_pusher.api.accounts import create_account, get_account
from data_pusher.api.data import send_event
from data_pusher.api.deliveries import get_delivery
from data_pusher.api.destinations import create_destination
from data_pusher.models import (
    AccountCreate,
    AccountWithToken,
    DeliveryDetail,
    Destination,
    DestinationCreate,
    DestinationCreateHeaders,
    EventReceipt,
    HttpMethod,
    Problem,
)

Answer = TypeVar("Answer")


def expect(kind: type[Answer], answer: object) -> Answer:
    """The answer, which must be of this kind; a problem says why it is not."""
    if isinstance(answer, Problem):
        raise SystemExit(f"{answer.status} {answer.title}: {answer.detail}")
    if not isinstance(answer, kind):
        raise SystemExit(f"an unexpected answer: {answer}")
    return answer


server = os.environ.get("SERVER", "http://127.0.0.1:8080")
receiver = os.environ.get("RECEIVER", "http://127.0.0.1:9000")
admin = AuthenticatedClient(server, token=os.environ.get("ADMIN_TOKEN", "none under --dev"))

account = expect(
    AccountWithToken,
    create_account.sync(client=admin, body=AccountCreate(email=f"ada-{uuid.uuid4()}@example.com", account_name="Ada")),
)
print("account", account.account_id)

destination = expect(
    Destination,
    create_destination.sync(
        account.account_id,
        client=admin,
        body=DestinationCreate(
            url=f"{receiver}/crm",
            http_method=HttpMethod.POST,
            headers=DestinationCreateHeaders.from_dict({"X-Source": "python"}),
        ),
    ),
)
print("destination", destination.destination_id, destination.state)

# Data is sent with the account's own token, in a header of its own.
sender = AuthenticatedClient(server, token=account.app_secret_token, prefix="", auth_header_name="CL-XTOKEN")
event = expect(
    EventReceipt, send_event.sync(client=sender, body={"order": 1001, "items": ["tea", "cups"]}, prefer="wait=5")
)
print("event", event.event_id)

delivery = expect(DeliveryDetail, get_delivery.sync(event.deliveries[0].delivery_id, client=admin))
for attempt in delivery.attempts:
    print("attempt", attempt.number, attempt.status_code, f"{attempt.duration_ms} ms")
print("delivery", delivery.delivery_id, delivery.state)

# Every error is a `Problem`.
missing = get_account.sync("acc_nobody", client=admin)
assert isinstance(missing, Problem)
print("problem", missing.status, missing.code)
