// The scenario, with OpenAPI Generator's typescript-fetch client: a refusal is a `ResponseError`, whose body
// `ProblemFromJSON` reads.

import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';

import {
  AccountsApi,
  Configuration,
  DataApi,
  DeliveriesApi,
  DeliveryOrder,
  DeliveryState,
  DestinationsApi,
  EventsApi,
  HttpMethod,
  OperationsApi,
  type Problem,
  ProblemFromJSON,
  ResponseError,
  SkipReason,
} from './client/index.js';

const { SERVER_URL: basePath = '', RECEIVER_URL: receiver = '', ADMIN_TOKEN: accessToken = '', CLIENT: name = '' } =
  process.env;

async function problem(call: Promise<unknown>, status: number, code: string): Promise<Problem> {
  try {
    await call;
  } catch (error) {
    if (!(error instanceof ResponseError)) throw error;
    const problem = ProblemFromJSON(await error.response.json());
    assert.deepEqual([error.response.status, problem.status, problem.code], [status, status, code]);
    return problem;
  }
  throw new Error(`it was not refused with ${code}`);
}

assert.equal((await new OperationsApi(new Configuration({ basePath })).getHealth()).status, 'ok');

const admin = new Configuration({ basePath, accessToken });
const accounts = new AccountsApi(admin);
const destinations = new DestinationsApi(admin);
const deliveries = new DeliveriesApi(admin);

const accountCreate = { email: `${name}@example.com`, accountName: name, website: 'https://example.com' };
const account = await accounts.createAccount({ accountCreate });
const { accountId } = account;
await problem(accounts.createAccount({ accountCreate }), 409, 'email_taken');
const invalid = { email: 'nobody', accountName: 'Nobody', website: 'ftp://example.com' };
const refused = await problem(accounts.createAccount({ accountCreate: invalid }), 422, 'validation_failed');
assert.deepEqual(refused.errors?.map((fault) => fault.field).sort(), ['email', 'website']);
const changed = await accounts.updateAccount({ accountId, accountUpdate: { website: null } });
assert.deepEqual([changed.website, changed.accountName], [null, name]);

const [ok, failsFirst] = await Promise.all(
  ['ok', 'fails-first'].map((path) =>
    destinations.createDestination({
      accountId,
      destinationCreate: {
        url: `${receiver}/${path}`,
        httpMethod: HttpMethod.Post,
        headers: { 'X-Client': name },
        retrySchedule: [],
      },
    }),
  ),
);
assert(ok && failsFirst);
assert.equal(ok.headers['X-Client'], name);

const pusher = new DataApi(new Configuration({ basePath, apiKey: account.appSecretToken }));
const documents: unknown[] = [{ order: 1, total: 19.5, lines: [null, true] }, [1, 'two'], 'three'];
const sent: string[] = [];
let first = '';
for (const [number, body] of documents.entries()) {
  const receipt = await pusher.sendEvent({ body, prefer: 'wait=10', idempotencyKey: `${name}-${number}` });
  const states = new Map(receipt.deliveries.map((d) => [d.destinationId, [d.state, d.statusCode]]));
  assert.deepEqual(states.get(ok.destinationId), [DeliveryState.Succeeded, 200]);
  assert.deepEqual(states.get(failsFirst.destinationId), [DeliveryState.Exhausted, 500]);
  assert.deepEqual((await new EventsApi(admin).getEvent({ eventId: receipt.eventId })).payload, body);
  sent.push(...receipt.deliveries.map((delivery) => delivery.deliveryId));
  first ||= receipt.eventId;
}
const again = await pusher.sendEvent({ body: documents[0], idempotencyKey: `${name}-0` });
assert.deepEqual([again.duplicate, again.eventId], [true, first]);
await problem(pusher.sendEvent({ body: {}, idempotencyKey: `${name}-0` }), 422, 'idempotency_key_reused');

const seen: string[] = [];
const since = new Date(Date.now() - 3_600_000);
let pages = 0;
let cursor: string | undefined;
do {
  const page = await deliveries.listDeliveries({ accountId, since, limit: 2, cursor });
  seen.push(...page.items.map((delivery) => delivery.deliveryId));
  pages += 1;
  cursor = page.nextCursor ?? undefined;
} while (cursor);
assert.deepEqual(seen.sort(), sent.sort());
assert(pages >= 3);

const exhausted = await deliveries.listDeliveries({ accountId, state: DeliveryState.Exhausted });
const deliveryId = exhausted.items[0]?.deliveryId ?? '';
let delivery = await deliveries.getDelivery({ deliveryId });
assert.deepEqual(delivery.attempts.map((a) => [a.statusCode, a.responseBody]), [[500, 'down']]);
await deliveries.retryDelivery({ deliveryId });
const deadline = Date.now() + 10_000;
while (delivery.state !== DeliveryState.Succeeded) {
  assert(Date.now() < deadline, JSON.stringify(delivery));
  await sleep(50);
  delivery = await deliveries.getDelivery({ deliveryId });
}
assert.deepEqual(delivery.attempts.map((attempt) => attempt.statusCode), [500, 200]);

const { destinationId, ordering, nextSendAt } = await destinations.createDestination({
  accountId,
  destinationCreate: {
    url: `${receiver}/ok`,
    httpMethod: HttpMethod.Post,
    headers: {},
    eventTypes: ['order.*'],
    filter: 'data.total > 100',
    bodyTemplate: '{"text": {{ data.name }}}',
    rateLimit: '100/s',
    ordering: DeliveryOrder.Strict,
  },
});
assert.deepEqual([ordering, nextSendAt], [DeliveryOrder.Strict, null]);
const paid = { name: 'Ada', total: 250 };
const destinationPreview = { data: paid, eventType: 'order.paid' };
const preview = await destinations.previewDestination({ destinationId, destinationPreview });
assert.deepEqual([preview.matches, preview.request.body], [true, '{"text": "Ada"}']);
const typed = { prefer: 'wait=10', eventType: 'order.paid' };
const passes = await pusher.sendEvent({ ...typed, body: paid });
const fails = await pusher.sendEvent({ ...typed, body: { ...paid, total: 5 } });
assert.deepEqual([passes.eventType, passes.skipped], ['order.paid', []]);
assert.deepEqual([fails.eventType, fails.skipped], ['order.paid', [{ destinationId, reason: SkipReason.Filter }]]);
const got = passes.deliveries.find((d) => d.destinationId === destinationId);
delivery = await deliveries.getDelivery({ deliveryId: got?.deliveryId ?? '' });
assert.deepEqual(delivery.attempts.map((a) => [a.statusCode, a.requestBody]), [[200, '{"text": "Ada"}']]);
const listed = await deliveries.listDeliveries({ accountId, eventType: 'order.paid' });
const expected = [...passes.deliveries, ...fails.deliveries].map((d) => d.deliveryId);
assert.deepEqual(listed.items.map((d) => d.deliveryId).sort(), expected.sort());
const unfiltered = await destinations.updateDestination({ destinationId, destinationUpdate: { filter: null } });
assert.deepEqual([unfiltered.filter, unfiltered.rateLimit], [null, '100/s']);

const stranger = new DataApi(new Configuration({ basePath, apiKey: 'nobody' }));
await problem(stranger.sendEvent({ body: {} }), 401, 'invalid_token');
await problem(accounts.getAccount({ accountId: 'acc_nobody' }), 404, 'not_found');
await accounts.deleteAccount({ accountId });
await problem(accounts.getAccount({ accountId }), 404, 'not_found');
