"""The scenario, with the client of openapi-python-client: a call answers what came, or a `Problem`."""

import os
import time
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import TypeVar

from data_pusher_client.api.accounts import create_account, delete_account, get_account, update_account
from data_pusher_client.api.data import send_event
from data_pusher_client.api.deliveries import get_delivery, list_deliveries, retry_delivery
from data_pusher_client.api.destinations import create_destination, preview_destination, update_destination
from data_pusher_client.api.events import get_event
from data_pusher_client.api.operations import get_health
from data_pusher_client.client import AuthenticatedClient, Client
from data_pusher_client.models import (
    AccountCreate,
    AccountUpdate,
    DeliveryOrder,
    DeliveryState,
    DestinationCreate,
    DestinationCreateHeaders,
    DestinationPreview,
    DestinationUpdate,
    HttpMethod,
    Problem,
    SkipReason,
)
from data_pusher_client.types import UNSET, Unset

SERVER = os.environ["SERVER_URL"]
RECEIVER = os.environ["RECEIVER_URL"]
NAME = os.environ["CLIENT"]


T = TypeVar("T")


def answer(parsed: T | Problem | None) -> T:
    assert parsed is not None and not isinstance(parsed, Problem), parsed
    return parsed


def problem(parsed: object, status: HTTPStatus, code: str) -> Problem:
    assert isinstance(parsed, Problem) and (parsed.status, parsed.code) == (status, code), parsed
    return parsed


health = answer(get_health.sync(client=Client(base_url=SERVER)))
assert health.status == "ok"

admin = AuthenticatedClient(base_url=SERVER, token=os.environ["ADMIN_TOKEN"])
wanted = AccountCreate(email=f"{NAME}@example.com", account_name=NAME, website="https://example.com")
account = answer(create_account.sync(client=admin, body=wanted))
problem(create_account.sync(client=admin, body=wanted), HTTPStatus.CONFLICT, "email_taken")
invalid = AccountCreate(email="nobody", account_name="Nobody", website="ftp://example.com")
refused = problem(
    create_account.sync(client=admin, body=invalid), HTTPStatus.UNPROCESSABLE_ENTITY, "validation_failed"
)
assert not isinstance(refused.errors, Unset)
assert {fault.field for fault in refused.errors} == {"email", "website"}
changed = answer(update_account.sync(account.account_id, client=admin, body=AccountUpdate(website=None)))
assert (changed.website, changed.account_name) == (None, NAME)

headers = DestinationCreateHeaders.from_dict({"X-Client": NAME})
ok, fails_first = (
    answer(
        create_destination.sync(
            account.account_id,
            client=admin,
            body=DestinationCreate(
                url=f"{RECEIVER}/{path}", http_method=HttpMethod.POST, headers=headers, retry_schedule=[]
            ),
        )
    )
    for path in ("ok", "fails-first")
)
assert ok.headers["X-Client"] == NAME

pusher = AuthenticatedClient(
    base_url=SERVER, token=account.app_secret_token, prefix="", auth_header_name="CL-XTOKEN"
)
documents: list[object] = [{"order": 1, "total": 19.5, "lines": [None, True]}, [1, "two"], "three"]
receipts = [
    answer(send_event.sync(client=pusher, body=document, prefer="wait=10", idempotency_key=f"{NAME}-{number}"))
    for number, document in enumerate(documents)
]
for receipt, document in zip(receipts, documents, strict=True):
    states = {delivery.destination_id: (delivery.state, delivery.status_code) for delivery in receipt.deliveries}
    assert states == {
        ok.destination_id: (DeliveryState.SUCCEEDED, 200),
        fails_first.destination_id: (DeliveryState.EXHAUSTED, 500),
    }, states
    assert answer(get_event.sync(receipt.event_id, client=admin)).payload == document
again = answer(send_event.sync(client=pusher, body=documents[0], idempotency_key=f"{NAME}-0"))
assert again.duplicate and again.event_id == receipts[0].event_id
problem(
    send_event.sync(client=pusher, body={}, idempotency_key=f"{NAME}-0"),
    HTTPStatus.UNPROCESSABLE_ENTITY,
    "idempotency_key_reused",
)

seen: list[str] = []
pages = 0
cursor: str | None | Unset = UNSET
since = datetime.now(UTC) - timedelta(hours=1)
while cursor is not None:
    page = answer(
        list_deliveries.sync(client=admin, account_id=account.account_id, since=since, limit=2, cursor=cursor)
    )
    seen += [delivery.delivery_id for delivery in page.items]
    pages += 1
    cursor = page.next_cursor
assert sorted(seen) == sorted(delivery.delivery_id for receipt in receipts for delivery in receipt.deliveries)
assert pages >= 3

exhausted = answer(
    list_deliveries.sync(client=admin, account_id=account.account_id, state=DeliveryState.EXHAUSTED)
)
delivery = answer(get_delivery.sync(exhausted.items[0].delivery_id, client=admin))
assert [(attempt.status_code, attempt.response_body) for attempt in delivery.attempts] == [(500, "down")]
answer(retry_delivery.sync(delivery.delivery_id, client=admin))
deadline = time.monotonic() + 10
while delivery.state != DeliveryState.SUCCEEDED:
    assert time.monotonic() < deadline, delivery
    time.sleep(0.05)
    delivery = answer(get_delivery.sync(delivery.delivery_id, client=admin))
assert [attempt.status_code for attempt in delivery.attempts] == [500, 200]

shaping = DestinationCreate(
    url=f"{RECEIVER}/ok",
    http_method=HttpMethod.POST,
    headers=DestinationCreateHeaders(),
    event_types=["order.*"],
    filter_="data.total > 100",
    body_template='{"text": {{ data.name }}}',
    rate_limit="100/s",
    ordering=DeliveryOrder.STRICT,
)
shaped = answer(create_destination.sync(account.account_id, client=admin, body=shaping))
assert (shaped.ordering, shaped.next_send_at) == (DeliveryOrder.STRICT, None)
settings = DestinationPreview(data={"name": "Ada", "total": 250}, event_type="order.paid")
preview = answer(preview_destination.sync(shaped.destination_id, client=admin, body=settings))
assert (preview.matches, preview.request.body) == (True, '{"text": "Ada"}'), preview
passes, fails = (
    answer(
        send_event.sync(
            client=pusher, body={"name": "Ada", "total": total}, prefer="wait=10", event_type="order.paid"
        )
    )
    for total in (250, 5)
)
assert (passes.event_type, passes.skipped) == ("order.paid", []), passes
assert fails.event_type == "order.paid", fails
assert [(skipped.destination_id, skipped.reason) for skipped in fails.skipped] == [
    (shaped.destination_id, SkipReason.FILTER)
], fails
[got] = [delivery for delivery in passes.deliveries if delivery.destination_id == shaped.destination_id]
delivery = answer(get_delivery.sync(got.delivery_id, client=admin))
assert [(attempt.status_code, attempt.request_body) for attempt in delivery.attempts] == [(200, '{"text": "Ada"}')]
listed = answer(list_deliveries.sync(client=admin, account_id=account.account_id, event_type="order.paid"))
assert {delivery.delivery_id for delivery in listed.items} == {
    delivery.delivery_id for receipt in (passes, fails) for delivery in receipt.deliveries
}
unfiltered = answer(
    update_destination.sync(shaped.destination_id, client=admin, body=DestinationUpdate(filter_=None))
)
assert (unfiltered.filter_, unfiltered.rate_limit) == (None, "100/s")

stranger = AuthenticatedClient(base_url=SERVER, token="nobody", prefix="", auth_header_name="CL-XTOKEN")
problem(send_event.sync(client=stranger, body={}), HTTPStatus.UNAUTHORIZED, "invalid_token")
problem(get_account.sync("acc_nobody", client=admin), HTTPStatus.NOT_FOUND, "not_found")
assert delete_account.sync_detailed(account.account_id, client=admin).status_code == HTTPStatus.NO_CONTENT
problem(get_account.sync(account.account_id, client=admin), HTTPStatus.NOT_FOUND, "not_found")
