"""The scenario, with OpenAPI Generator's Python client: a refusal is an exception whose `data` is a `Problem`."""

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from data_pusher_client import (
    AccountCreate,
    AccountsApi,
    AccountUpdate,
    ApiClient,
    ApiException,
    Configuration,
    DataApi,
    DeliveriesApi,
    DeliveryOrder,
    DeliveryState,
    DestinationCreate,
    DestinationPreview,
    DestinationsApi,
    DestinationUpdate,
    EventsApi,
    HttpMethod,
    OperationsApi,
    Problem,
    SkipReason,
)

SERVER = os.environ["SERVER_URL"]
RECEIVER = os.environ["RECEIVER_URL"]
NAME = os.environ["CLIENT"]


def problem(call: Callable[[], object], status: int, code: str) -> Problem:
    try:
        call()
    except ApiException as error:
        assert isinstance(error.data, Problem), error
        assert (error.status, error.data.status, error.data.code) == (status, status, code), error
        return error.data
    raise AssertionError(f"it was not refused with {code}")


admin = ApiClient(Configuration(host=SERVER, access_token=os.environ["ADMIN_TOKEN"]))
accounts = AccountsApi(admin)
destinations = DestinationsApi(admin)
deliveries = DeliveriesApi(admin)
assert OperationsApi(ApiClient(Configuration(host=SERVER))).get_health().status == "ok"

wanted = AccountCreate(email=f"{NAME}@example.com", account_name=NAME, website="https://example.com")
account = accounts.create_account(wanted)
problem(lambda: accounts.create_account(wanted), 409, "email_taken")
invalid = AccountCreate(email="nobody", account_name="Nobody", website="https:///example.com")
refused = problem(lambda: accounts.create_account(invalid), 422, "validation_failed")
assert {fault.field for fault in refused.errors or []} == {"email", "website"}
changed = accounts.update_account(account.account_id, AccountUpdate(website=None))
assert (changed.website, changed.account_name) == (None, NAME)

ok, fails_first = (
    destinations.create_destination(
        account.account_id,
        DestinationCreate(
            url=f"{RECEIVER}/{path}", http_method=HttpMethod.POST, headers={"X-Client": NAME}, retry_schedule=[]
        ),
    )
    for path in ("ok", "fails-first")
)
assert ok.headers["X-Client"] == NAME

pusher = DataApi(ApiClient(Configuration(host=SERVER, api_key={"appToken": account.app_secret_token})))
documents: list[object] = [{"order": 1, "total": 19.5, "lines": [None, True]}, [1, "two"], "three"]
receipts = [
    pusher.send_event(document, prefer="wait=10", idempotency_key=f"{NAME}-{number}")
    for number, document in enumerate(documents)
]
for receipt, document in zip(receipts, documents, strict=True):
    states = {delivery.destination_id: (delivery.state, delivery.status_code) for delivery in receipt.deliveries}
    assert states == {
        ok.destination_id: (DeliveryState.SUCCEEDED, 200),
        fails_first.destination_id: (DeliveryState.EXHAUSTED, 500),
    }, states
    assert EventsApi(admin).get_event(receipt.event_id).payload == document
again = pusher.send_event(documents[0], idempotency_key=f"{NAME}-0")
assert again.duplicate and again.event_id == receipts[0].event_id
problem(lambda: pusher.send_event({}, idempotency_key=f"{NAME}-0"), 422, "idempotency_key_reused")

seen: list[str] = []
pages = 0
since = datetime.now(UTC) - timedelta(hours=1)
cursor: str | None = None
while pages == 0 or cursor is not None:
    page = deliveries.list_deliveries(account_id=account.account_id, since=since, limit=2, cursor=cursor)
    seen += [delivery.delivery_id for delivery in page.items]
    pages += 1
    cursor = page.next_cursor
assert sorted(seen) == sorted(delivery.delivery_id for receipt in receipts for delivery in receipt.deliveries)
assert pages >= 3

exhausted = deliveries.list_deliveries(account_id=account.account_id, state=DeliveryState.EXHAUSTED)
delivery = deliveries.get_delivery(exhausted.items[0].delivery_id)
assert [(attempt.status_code, attempt.response_body) for attempt in delivery.attempts] == [(500, "down")]
deliveries.retry_delivery(delivery.delivery_id)
deadline = time.monotonic() + 10
while delivery.state != DeliveryState.SUCCEEDED:
    assert time.monotonic() < deadline, delivery
    time.sleep(0.05)
    delivery = deliveries.get_delivery(delivery.delivery_id)
assert [attempt.status_code for attempt in delivery.attempts] == [500, 200]

shaped = destinations.create_destination(
    account.account_id,
    DestinationCreate(
        url=f"{RECEIVER}/ok",
        http_method=HttpMethod.POST,
        headers={},
        event_types=["order.*"],
        filter="data.total > 100",
        body_template='{"text": {{ data.name }}}',
        rate_limit="100/s",
        ordering=DeliveryOrder.STRICT,
    ),
)
assert (shaped.ordering, shaped.next_send_at) == (DeliveryOrder.STRICT, None)
settings = DestinationPreview(data={"name": "Ada", "total": 250}, event_type="order.paid")
preview = destinations.preview_destination(shaped.destination_id, settings)
assert (preview.matches, preview.request.body) == (True, '{"text": "Ada"}'), preview
passes, fails = (
    pusher.send_event({"name": "Ada", "total": total}, prefer="wait=10", event_type="order.paid")
    for total in (250, 5)
)
assert (passes.event_type, passes.skipped) == ("order.paid", []), passes
assert fails.event_type == "order.paid", fails
assert [(skipped.destination_id, skipped.reason) for skipped in fails.skipped] == [
    (shaped.destination_id, SkipReason.FILTER)
], fails
[got] = [delivery for delivery in passes.deliveries if delivery.destination_id == shaped.destination_id]
delivery = deliveries.get_delivery(got.delivery_id)
assert [(attempt.status_code, attempt.request_body) for attempt in delivery.attempts] == [(200, '{"text": "Ada"}')]
listed = deliveries.list_deliveries(account_id=account.account_id, event_type="order.paid")
assert {delivery.delivery_id for delivery in listed.items} == {
    delivery.delivery_id for receipt in (passes, fails) for delivery in receipt.deliveries
}
unfiltered = destinations.update_destination(shaped.destination_id, DestinationUpdate(filter=None))
assert (unfiltered.filter, unfiltered.rate_limit) == (None, "100/s")

stranger = DataApi(ApiClient(Configuration(host=SERVER, api_key={"appToken": "nobody"})))
problem(lambda: stranger.send_event({}), 401, "invalid_token")
problem(lambda: accounts.get_account("acc_nobody"), 404, "not_found")
accounts.delete_account(account.account_id)
problem(lambda: accounts.get_account(account.account_id), 404, "not_found")
