// What the tests of the dashboard share: logging in, data of every kind, and what has to hold on every page.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';

const AXE = createRequire(import.meta.url).resolve('axe-core/axe.min.js');

/** What stands in headers that nobody may see; the name of the header says that it is secret. */
export const CANARY = 'Bearer canary-in-a-header';

/** Tries until it gives something; fails if that takes longer than anything here should. */
export async function eventually(holds, what) {
  const end = Date.now() + 20_000;
  for (;;) {
    const found = await holds();
    if (found) return found;
    assert.ok(Date.now() < end, `it does not come true: ${what}`);
    await new Promise(resolve => setTimeout(resolve, 25));
  }
}

/** By the form, as somebody does who has no link. */
export async function logIn(page, server) {
  await page.goto(server.url);
  await page.getByLabel('Admin token').fill(server.token);
  await page.getByRole('button', { name: 'Log in' }).click();
  await page.getByRole('navigation', { name: 'Main' }).waitFor();
}

/** Opens or closes what stands under a summary. */
export async function unfold(page, summary) {
  await page.locator('summary', { hasText: summary }).click();
}

let accounts = 0;

/** A new account; gives its id and what sends events for it, until they are decided on if `wait` is so many seconds. */
export async function newAccount(server, name = 'Orders') {
  accounts += 1;
  const made = await server.api('POST', '/v1/accounts', { email: `a${accounts}@example.com`, account_name: name });
  const send = (body, wait = 0) =>
    server.api('POST', '/server/incoming_data', body, {
      'CL-XTOKEN': made.app_secret_token,
      ...(wait && { Prefer: `wait=${wait}` }),
    });
  return { id: made.account_id, name, token: made.app_secret_token, send };
}

/** A new destination; gives it as the API shows it. */
export function newDestination(server, account, url, more = {}) {
  const body = { url, http_method: 'POST', headers: {}, ...more };
  return server.api('POST', `/v1/accounts/${account.id}/destinations`, body);
}

/** Answers of a receiver whose destinations get into every state. */
export const ANSWERS = {
  '/down': { status: 503, body: 'Down for maintenance until 18:00.' },
  '/broken': { status: 500, headers: { 'Content-Type': 'application/json' }, body: '{"error":"no such column: total"}' },
  '/gone': { status: 410, body: 'gone' },
  '/later': { status: 429, headers: { 'Retry-After': '600' }, body: 'slow down' },
};

/** Data of every kind: a destination in each state and a delivery in each; gives the paths of the pages that show it. */
export async function world(server, receiver, title = 'Orders') {
  const account = await newAccount(server, title);
  const lone = await newAccount(server, `${title}, still without a destination`);
  const headers = { 'X-Team': 'orders', Authorization: CANARY };
  const to = (path, more) => newDestination(server, account, `${receiver.url}${path}`, more);
  const destinations = {
    active: await to('/ok', { headers }),
    failing: await to('/down', { headers, retry_schedule: ['1h'] }),
    exhausted: await to('/broken', { retry_schedule: [] }),
    gone: await to('/gone'),
    delayed: await to('/later', { retry_schedule: ['1h'] }),
    paused: await to('/paused'),
    unreached: await to('/cancelled', { http_method: 'GET', retry_schedule: ['1h'] }),
  };
  const id = name => destinations[name].destination_id;
  for (const name of ['paused', 'unreached']) await server.api('POST', `/v1/destinations/${id(name)}/pause`);
  const events = [];
  for (let n = 1; n <= 3; n += 1) {
    events.push(await account.send({ order_id: 1_041 + n, status: 'paid', total: '19.90', items: ['tea', 'cups'] }));
  }
  await eventually(async () => {
    const { items } = await server.api('GET', `/v1/deliveries?account_id=${account.id}&limit=100`);
    const decided = ['paused', 'unreached', 'gone', 'delayed'].map(id);
    return items.every(one => one.attempt_count > 0 || decided.includes(one.destination_id));
  }, 'every delivery was attempted');
  const newest = async name => {
    const { items } = await server.api('GET', `/v1/deliveries?destination_id=${id(name)}`);
    return items[0].delivery_id;
  };
  await server.api('POST', `/v1/deliveries/${await newest('unreached')}/cancel`);
  await server.api('POST', `/v1/destinations/${id('unreached')}/resume`);
  const event = events.at(-1).event_id;
  const viewer = { name: 'Night shift', role: 'viewer', account_id: account.id };
  const { token_id } = await server.api('POST', '/v1/tokens', viewer);
  const pages = {
    overview: '/',
    'overview-month': '/?window=month',
    guide: '/?guide=1',
    attention: '/attention',
    accounts: '/accounts',
    'accounts-new': '/accounts?new=1',
    'accounts-none': '/accounts?q=nobody',
    account: `/accounts/${account.id}`,
    'account-empty': `/accounts/${lone.id}`,
    deliveries: '/deliveries',
    'deliveries-filtered': `/deliveries?destination_id=${id('failing')}&state=pending&within=1d&status_code=503`,
    'deliveries-wrong': '/deliveries?state=lost&status_code=9&since=yesterday',
    'deliveries-none': '/deliveries?status_code=599',
    search: '/deliveries?q=1042',
    'search-none': '/deliveries?q=nothing-like-that',
    replay: `/deliveries/replay?destination_id=${id('exhausted')}&state=exhausted`,
    'replay-none': `/deliveries/replay?destination_id=${id('active')}&state=exhausted`,
    event: `/events/${event}`,
    tokens: '/tokens',
    token: `/tokens/${token_id}`,
    error: '/deliveries/dlv_none',
  };
  for (const name of Object.keys(destinations)) {
    pages[`destination-${name}`] = `/destinations/${id(name)}`;
    pages[`delivery-${name}`] = `/deliveries/${await newest(name)}`;
  }
  return { account, lone, destinations, id, newest, event, pages };
}

/** Requires that axe-core finds nothing on the page as it stands. */
export async function isAccessible(page, name) {
  // As a text, because the policy lets no script in; what a debugger evaluates is no matter of it.
  if (!(await page.evaluate(() => 'axe' in globalThis))) await page.evaluate(await readFile(AXE, 'utf8'));
  const violations = await page.evaluate(async () => {
    const values = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
    const { violations } = await globalThis.axe.run(document, { runOnly: { type: 'tag', values } });
    return violations.flatMap(({ id, help, nodes }) => nodes.map(node => `${id}: ${help}: ${node.html.slice(0, 200)}
      ${node.failureSummary.replaceAll('\n', ' ').slice(0, 300)}`));
  });
  assert.deepEqual(violations, [], name);
}

/** Requires that nothing is wider than the page, and no text is cut off that cannot be scrolled to. */
export async function fits(page, name) {
  const wide = await page.evaluate(() => {
    const width = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth <= width) return [];
    const all = [...document.querySelectorAll('body *')].filter(one => one.getBoundingClientRect().right > width + 1);
    return [`${document.documentElement.scrollWidth} of ${width}`, ...all.slice(0, 5).map(one => one.outerHTML.slice(0, 150))];
  });
  assert.deepEqual(wide, [], `${name} is wider than the window`);
}
