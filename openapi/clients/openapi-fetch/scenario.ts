// The scenario, with openapi-fetch over the types of openapi-typescript: a call gives `data`, or a `Problem` as `error`.

import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';

import createClient from 'openapi-fetch';

import type { components, paths } from './schema.d.ts';

type Problem = components['schemas']['Problem'];

const { SERVER_URL: baseUrl = '', RECEIVER_URL: receiver = '', ADMIN_TOKEN: token = '', CLIENT: name = '' } =
  process.env;

function answer<T>({ data, error }: { data?: T; error?: Problem }): T {
  assert(data !== undefined, JSON.stringify(error));
  return data;
}

function problem({ error, response }: { error?: Problem; response: Response }, status: number, code: string): Problem {
  assert(error);
  assert.deepEqual([response.status, error.status, error.code], [status, status, code]);
  return error;
}

assert.equal(answer(await createClient<paths>({ baseUrl }).GET('/healthz')).status, 'ok');

const admin = createClient<paths>({ baseUrl, headers: { Authorization: `Bearer ${token}` } });
const body = { email: `${name}@example.com`, account_name: name, website: 'https://example.com' };
const account = answer(await admin.POST('/v1/accounts', { body }));
problem(await admin.POST('/v1/accounts', { body }), 409, 'email_taken');
const invalid = { email: 'nobody', account_name: 'Nobody', website: 'ftp://example.com' };
const refused = problem(await admin.POST('/v1/accounts', { body: invalid }), 422, 'validation_failed');
assert.deepEqual(refused.errors?.map((fault) => fault.field).sort(), ['email', 'website']);
const path = { account_id: account.account_id };
const changed = answer(await admin.PATCH('/v1/accounts/{account_id}', { params: { path }, body: { website: null } }));
assert.deepEqual([changed.website, changed.account_name], [null, name]);

async function destination(at: string) {
  const headers = { 'X-Client': name };
  const body = { url: `${receiver}/${at}`, http_method: 'POST' as const, headers, retry_schedule: [] };
  return answer(await admin.POST('/v1/accounts/{account_id}/destinations', { params: { path }, body }));
}
const ok = await destination('ok');
const failsFirst = await destination('fails-first');
assert.equal(ok.headers['X-Client'], name);

const pusher = createClient<paths>({ baseUrl, headers: { 'CL-XTOKEN': account.app_secret_token } });
const documents: unknown[] = [{ order: 1, total: 19.5, lines: [null, true] }, [1, 'two'], 'three'];
const sent: string[] = [];
let first = '';
for (const [number, body] of documents.entries()) {
  const header = { Prefer: 'wait=10', 'Idempotency-Key': `${name}-${number}` };
  const receipt = answer(await pusher.POST('/server/incoming_data', { params: { header }, body }));
  const states = new Map(receipt.deliveries.map((d) => [d.destination_id, [d.state, d.status_code]]));
  assert.deepEqual(states.get(ok.destination_id), ['succeeded', 200]);
  assert.deepEqual(states.get(failsFirst.destination_id), ['exhausted', 500]);
  const event = await admin.GET('/v1/events/{event_id}', { params: { path: { event_id: receipt.event_id } } });
  assert.deepEqual(answer(event).payload, body);
  sent.push(...receipt.deliveries.map((delivery) => delivery.delivery_id));
  first ||= receipt.event_id;
}
const header = { 'Idempotency-Key': `${name}-0` };
const again = answer(await pusher.POST('/server/incoming_data', { params: { header }, body: documents[0] }));
assert.deepEqual([again.duplicate, again.event_id], [true, first]);
const reused = await pusher.POST('/server/incoming_data', { params: { header }, body: {} });
problem(reused, 422, 'idempotency_key_reused');

const seen: string[] = [];
const since = new Date(Date.now() - 3_600_000).toISOString();
let pages = 0;
let cursor: string | undefined;
do {
  const query = { account_id: account.account_id, since, limit: 2, cursor };
  const page = answer(await admin.GET('/v1/deliveries', { params: { query } }));
  seen.push(...page.items.map((delivery) => delivery.delivery_id));
  pages += 1;
  cursor = page.next_cursor ?? undefined;
} while (cursor);
assert.deepEqual(seen.sort(), sent.sort());
assert(pages >= 3);

const query = { account_id: account.account_id, state: 'exhausted' as const };
const exhausted = answer(await admin.GET('/v1/deliveries', { params: { query } }));
const one = { params: { path: { delivery_id: exhausted.items[0]?.delivery_id ?? '' } } };
let delivery = answer(await admin.GET('/v1/deliveries/{delivery_id}', one));
assert.deepEqual(delivery.attempts.map((a) => [a.status_code, a.response_body]), [[500, 'down']]);
answer(await admin.POST('/v1/deliveries/{delivery_id}/retry', one));
const deadline = Date.now() + 10_000;
while (delivery.state !== 'succeeded') {
  assert(Date.now() < deadline, JSON.stringify(delivery));
  await sleep(50);
  delivery = answer(await admin.GET('/v1/deliveries/{delivery_id}', one));
}
assert.deepEqual(delivery.attempts.map((attempt) => attempt.status_code), [500, 200]);

const shaping = {
  url: `${receiver}/ok`,
  http_method: 'POST' as const,
  headers: {},
  event_types: ['order.*'],
  filter: 'data.total > 100',
  body_template: '{"text": {{ data.name }}}',
  rate_limit: '100/s',
  ordering: 'strict' as const,
};
const created = await admin.POST('/v1/accounts/{account_id}/destinations', { params: { path }, body: shaping });
const { destination_id, ordering, next_send_at } = answer(created);
assert.deepEqual([ordering, next_send_at], ['strict', null]);
const at = { path: { destination_id } };
const paid = { name: 'Ada', total: 250 };
const settings = { data: paid, event_type: 'order.paid' };
const previewed = await admin.POST('/v1/destinations/{destination_id}/preview', { params: at, body: settings });
const preview = answer(previewed);
assert.deepEqual([preview.matches, preview.request.body], [true, '{"text": "Ada"}']);
const typed = { header: { Prefer: 'wait=10', 'Event-Type': 'order.paid' } };
const passes = answer(await pusher.POST('/server/incoming_data', { params: typed, body: paid }));
const fails = answer(await pusher.POST('/server/incoming_data', { params: typed, body: { ...paid, total: 5 } }));
assert.deepEqual([passes.event_type, passes.skipped], ['order.paid', []]);
assert.deepEqual([fails.event_type, fails.skipped], ['order.paid', [{ destination_id, reason: 'filter' }]]);
const got = passes.deliveries.find((d) => d.destination_id === destination_id);
const shaped = { path: { delivery_id: got?.delivery_id ?? '' } };
delivery = answer(await admin.GET('/v1/deliveries/{delivery_id}', { params: shaped }));
assert.deepEqual(delivery.attempts.map((a) => [a.status_code, a.request_body]), [[200, '{"text": "Ada"}']]);
const byType = { account_id: account.account_id, event_type: 'order.paid' };
const listed = answer(await admin.GET('/v1/deliveries', { params: { query: byType } })).items.map((d) => d.delivery_id);
const expected = [...passes.deliveries, ...fails.deliveries].map((d) => d.delivery_id);
assert.deepEqual(listed.sort(), expected.sort());
const change = { params: at, body: { filter: null } };
const unfiltered = answer(await admin.PATCH('/v1/destinations/{destination_id}', change));
assert.deepEqual([unfiltered.filter, unfiltered.rate_limit], [null, '100/s']);

const stranger = createClient<paths>({ baseUrl, headers: { 'CL-XTOKEN': 'nobody' } });
problem(await stranger.POST('/server/incoming_data', { body: {} }), 401, 'invalid_token');
const nobody = { params: { path: { account_id: 'acc_nobody' } } };
problem(await admin.GET('/v1/accounts/{account_id}', nobody), 404, 'not_found');
assert.equal((await admin.DELETE('/v1/accounts/{account_id}', { params: { path } })).response.status, 204);
problem(await admin.GET('/v1/accounts/{account_id}', { params: { path } }), 404, 'not_found');
