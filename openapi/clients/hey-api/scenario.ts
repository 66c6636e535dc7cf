// The scenario, with the client of @hey-api/openapi-ts: a call gives `data`, or a `Problem` as `error`.

import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';

import { createClient } from './client/client/index.js';
import * as api from './client/index.js';

const { SERVER_URL: baseUrl = '', RECEIVER_URL: receiver = '', ADMIN_TOKEN: token = '', CLIENT: name = '' } =
  process.env;

function answer<T>({ data, error }: { data?: T; error?: unknown }): T {
  assert(data !== undefined, JSON.stringify(error));
  return data;
}

function problem(
  { error, response }: { error?: api.Problem; response?: Response },
  status: number,
  code: string,
): api.Problem {
  assert(error && response);
  assert.deepEqual([response.status, error.status, error.code], [status, status, code]);
  return error;
}

assert.equal(answer(await api.getHealth({ client: createClient({ baseUrl }) })).status, 'ok');

const client = createClient({ baseUrl, auth: token });
const body = { email: `${name}@example.com`, account_name: name, website: 'https://example.com' };
const account = answer(await api.createAccount({ client, body }));
problem(await api.createAccount({ client, body }), 409, 'email_taken');
const invalid = { email: 'nobody', account_name: 'Nobody', website: 'ftp://example.com' };
const refused = problem(await api.createAccount({ client, body: invalid }), 422, 'validation_failed');
assert.deepEqual(refused.errors?.map((fault) => fault.field).sort(), ['email', 'website']);
const path = { account_id: account.account_id };
const changed = answer(await api.updateAccount({ client, path, body: { website: null } }));
assert.deepEqual([changed.website, changed.account_name], [null, name]);

async function destination(at: string): Promise<api.Destination> {
  const headers = { 'X-Client': name };
  const body: api.DestinationCreate = { url: `${receiver}/${at}`, http_method: 'POST', headers, retry_schedule: [] };
  return answer(await api.createDestination({ client, path, body }));
}
const ok = await destination('ok');
const failsFirst = await destination('fails-first');
assert.equal(ok.headers['X-Client'], name);

const pusher = createClient({ baseUrl, auth: account.app_secret_token });
const documents: unknown[] = [{ order: 1, total: 19.5, lines: [null, true] }, [1, 'two'], 'three'];
const sent: string[] = [];
let first = '';
for (const [number, body] of documents.entries()) {
  const headers = { Prefer: 'wait=10', 'Idempotency-Key': `${name}-${number}` };
  const receipt = answer(await api.sendEvent({ client: pusher, headers, body }));
  const states = new Map(receipt.deliveries.map((d) => [d.destination_id, [d.state, d.status_code]]));
  assert.deepEqual(states.get(ok.destination_id), ['succeeded', 200]);
  assert.deepEqual(states.get(failsFirst.destination_id), ['exhausted', 500]);
  const event = answer(await api.getEvent({ client, path: { event_id: receipt.event_id } }));
  assert.deepEqual(event.payload, body);
  sent.push(...receipt.deliveries.map((delivery) => delivery.delivery_id));
  first ||= receipt.event_id;
}
const headers = { 'Idempotency-Key': `${name}-0` };
const again = answer(await api.sendEvent({ client: pusher, headers, body: documents[0] }));
assert.deepEqual([again.duplicate, again.event_id], [true, first]);
problem(await api.sendEvent({ client: pusher, headers, body: {} }), 422, 'idempotency_key_reused');

const seen: string[] = [];
const since = new Date(Date.now() - 3_600_000).toISOString();
let pages = 0;
let cursor: string | undefined;
do {
  const query = { account_id: account.account_id, since, limit: 2, cursor };
  const page: api.DeliveryPage = answer(await api.listDeliveries({ client, query }));
  seen.push(...page.items.map((delivery) => delivery.delivery_id));
  pages += 1;
  cursor = page.next_cursor ?? undefined;
} while (cursor);
assert.deepEqual(seen.sort(), sent.sort());
assert(pages >= 3);

const query = { account_id: account.account_id, state: 'exhausted' as const };
const exhausted = answer(await api.listDeliveries({ client, query }));
const one = { client, path: { delivery_id: exhausted.items[0]?.delivery_id ?? '' } };
let delivery = answer(await api.getDelivery(one));
assert.deepEqual(delivery.attempts.map((a) => [a.status_code, a.response_body]), [[500, 'down']]);
answer(await api.retryDelivery(one));
const deadline = Date.now() + 10_000;
while (delivery.state !== 'succeeded') {
  assert(Date.now() < deadline, JSON.stringify(delivery));
  await sleep(50);
  delivery = answer(await api.getDelivery(one));
}
assert.deepEqual(delivery.attempts.map((attempt) => attempt.status_code), [500, 200]);

const shaping: api.DestinationCreate = {
  url: `${receiver}/ok`,
  http_method: 'POST',
  headers: {},
  event_types: ['order.*'],
  filter: 'data.total > 100',
  body_template: '{"text": {{ data.name }}}',
  rate_limit: '100/s',
  ordering: 'strict',
};
const shaped = answer(await api.createDestination({ client, path, body: shaping }));
assert.deepEqual([shaped.ordering, shaped.next_send_at], ['strict', null]);
const { destination_id } = shaped;
const paid = { name: 'Ada', total: 250 };
const settings = { data: paid, event_type: 'order.paid' };
const preview = answer(await api.previewDestination({ client, path: { destination_id }, body: settings }));
assert.deepEqual([preview.matches, preview.request.body], [true, '{"text": "Ada"}']);
const typed = { Prefer: 'wait=10', 'Event-Type': 'order.paid' };
const passes = answer(await api.sendEvent({ client: pusher, headers: typed, body: paid }));
const fails = answer(await api.sendEvent({ client: pusher, headers: typed, body: { ...paid, total: 5 } }));
assert.deepEqual([passes.event_type, passes.skipped], ['order.paid', []]);
assert.deepEqual([fails.event_type, fails.skipped], ['order.paid', [{ destination_id, reason: 'filter' }]]);
const got = passes.deliveries.find((d) => d.destination_id === destination_id);
delivery = answer(await api.getDelivery({ client, path: { delivery_id: got?.delivery_id ?? '' } }));
assert.deepEqual(delivery.attempts.map((a) => [a.status_code, a.request_body]), [[200, '{"text": "Ada"}']]);
const byType = { account_id: account.account_id, event_type: 'order.paid' };
const listed = answer(await api.listDeliveries({ client, query: byType })).items.map((d) => d.delivery_id);
const expected = [...passes.deliveries, ...fails.deliveries].map((d) => d.delivery_id);
assert.deepEqual(listed.sort(), expected.sort());
const unfiltered = answer(await api.updateDestination({ client, path: { destination_id }, body: { filter: null } }));
assert.deepEqual([unfiltered.filter, unfiltered.rate_limit], [null, '100/s']);

const stranger = createClient({ baseUrl, auth: 'nobody' });
problem(await api.sendEvent({ client: stranger, body: {} }), 401, 'invalid_token');
problem(await api.getAccount({ client, path: { account_id: 'acc_nobody' } }), 404, 'not_found');
assert.equal((await api.deleteAccount({ client, path })).response?.status, 204);
problem(await api.getAccount({ client, path }), 404, 'not_found');
