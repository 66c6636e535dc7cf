// A newcomer's tour in a browser: the printed link, then everything by "Try it out".

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { picture, startBrowser, withPage } from './browser.js';
import { startReceiver, startServer } from './server.js';
import { authorize, open, tryOut } from './swagger.js';

const HOSTILE = '</script><img src=x onerror=alert(1)>';

let browser, receiver, server;

before(async () => {
  [browser, receiver, server] = await Promise.all([
    startBrowser(),
    startReceiver(),
    startServer(process.env.DATA_PUSHER_BINARY),
  ]);
});

after(async () => {
  await browser?.close();
  await server?.stop();
  await receiver?.stop();
});

const page = use => withPage(browser, server.url, use);

test('the printed link leads into Swagger UI, where the whole tour works', () =>
  page(async page => {
    await page.goto(server.link);
    await page.waitForURL(`${server.url}/docs`);
    await page.locator('#operations-Accounts-createAccount').waitFor();
    await picture(page, 'docs');
    await picture(page, 'docs-whole', { fullPage: true });

    // The body that is offered is a good one.
    const account = await tryOut(page, 'Accounts', 'createAccount');
    assert.equal(account.status, 201);
    const { account_id, app_secret_token } = account.json;
    await picture(page, 'account');

    const destination = await tryOut(page, 'Destinations', 'createDestination', {
      parameters: { account_id },
      body: offered => JSON.stringify({ ...JSON.parse(offered), url: `${receiver.url}/crm` }, null, 2),
    });
    assert.equal(destination.status, 201);
    const { destination_id } = destination.json;

    await authorize(page, { appToken: app_secret_token });
    const event = await tryOut(page, 'Data', 'sendEvent', { parameters: { Prefer: 'wait=20' } });
    assert.equal(event.status, 200);
    const [{ delivery_id, state }] = event.json.deliveries;
    assert.equal(state, 'succeeded');
    assert.equal(receiver.requests.length, 1);
    assert.deepEqual(JSON.parse(receiver.requests[0].body), { order_id: 1042, status: 'paid', total: '19.90' });
    assert.equal(receiver.requests[0].headers['x-team'], 'orders');
    await picture(page, 'event');

    const events = await tryOut(page, 'Events', 'listEvents', { parameters: { account_id } });
    assert.deepEqual(events.json.items.map(item => item.event_id), [event.json.event_id]);
    // No filter is preset: as the form stands, it shows the delivery that was just made.
    const untouched = await tryOut(page, 'Deliveries', 'listDeliveries');
    assert.deepEqual(untouched.json.items.map(item => item.delivery_id), [delivery_id]);
    const deliveries = await tryOut(page, 'Deliveries', 'listDeliveries', {
      parameters: { destination_id, state: 'succeeded' },
    });
    assert.deepEqual(deliveries.json.items.map(item => item.delivery_id), [delivery_id]);
    const delivery = await tryOut(page, 'Deliveries', 'getDelivery', { parameters: { delivery_id } });
    assert.deepEqual(delivery.json.attempts.map(attempt => [attempt.status_code, attempt.response_body]), [[200, 'ok']]);
    await picture(page, 'delivery');

    assert.equal((await tryOut(page, 'Deliveries', 'retryDelivery', { parameters: { delivery_id } })).status, 202);
    await assertEventually(async () => {
      const again = await tryOut(page, 'Deliveries', 'getDelivery', { parameters: { delivery_id } });
      return again.json.attempts.length === 2 && again.json.state === 'succeeded';
    });
    assert.equal(receiver.requests[1].headers['webhook-id'], event.json.event_id);

    page.refusals.add(404);
    const missing = await tryOut(page, 'Deliveries', 'getDelivery', { parameters: { delivery_id: 'dlv_none' } });
    assert.deepEqual([missing.status, missing.json.code, missing.json.status], [404, 'not_found', 404]);
    await picture(page, 'problem');

    // A token that was given is there after a reload.
    await page.reload();
    const kept = await tryOut(page, 'Data', 'sendEvent');
    assert.equal(kept.status, 202);
    assert.equal(kept.json.account_id, account_id);
    const removed = await tryOut(page, 'Accounts', 'deleteAccount', { parameters: { account_id } });
    assert.equal(removed.status, 204);
  }));

test('the Authorize button takes the admin token where there is no session', () =>
  page(async page => {
    page.refusals.add(401);
    await page.goto(`${server.url}/docs`);
    const refused = await tryOut(page, 'Accounts', 'listAccounts');
    assert.deepEqual([refused.status, refused.json.code], [401, 'unauthorized']);
    await authorize(page, { adminToken: server.token });
    assert.equal((await tryOut(page, 'Accounts', 'listAccounts')).status, 200);
    await page.reload();
    assert.equal((await tryOut(page, 'Accounts', 'listAccounts')).status, 200);
    assert.deepEqual(await page.context().cookies(), []);
  }));

test('the login form takes the token, refuses a wrong one, and logging out ends the session', () =>
  page(async page => {
    page.refusals.add(401);
    await page.goto(server.url);
    await picture(page, 'login');
    assert.equal(await page.evaluate(() => document.activeElement.id), 'token');
    await page.getByLabel('Admin token').fill('wrong');
    await page.getByRole('button', { name: 'Log in' }).click();
    await page.getByRole('status').filter({ hasText: 'This is not the admin token.' }).waitFor();
    await picture(page, 'login-refused');
    await page.getByLabel('Admin token').fill(` ${server.token}\n`);
    await page.getByLabel('Admin token').press('Enter');
    await page.waitForURL(`${server.url}/docs`);
    const cookies = await page.context().cookies();
    assert.deepEqual(cookies.map(cookie => [cookie.httpOnly, cookie.sameSite]), [[true, 'Strict']]);
    assert.equal(await page.evaluate(() => document.cookie), '');
    assert.equal((await tryOut(page, 'Accounts', 'listAccounts')).status, 200);
    // Logging out forgets tokens, too, that the Authorize button was given.
    await authorize(page, { adminToken: server.token });
    await page.getByRole('link', { name: 'Log in or out' }).click();
    await picture(page, 'logout');
    await page.getByRole('button', { name: 'Log out' }).click();
    await page.getByLabel('Admin token').waitFor();
    // Its text is there before its request has ended.
    await page.waitForLoadState();
    await page.goto(`${server.url}/docs`);
    assert.equal((await tryOut(page, 'Accounts', 'listAccounts')).status, 401);
  }));

test('a link that was used says so, and another way in is there', () =>
  page(async page => {
    page.refusals.add(401);
    await page.goto(server.link);
    await page.getByRole('status').filter({ hasText: 'This link was used already' }).waitFor();
    assert.ok(await page.getByLabel('Admin token').isVisible());
    assert.equal(page.url(), `${server.url}/login`);
  }));

test('an account whose name is HTML stays a text', () =>
  page(async page => {
    await page.goto(`${server.url}/docs`);
    await authorize(page, { adminToken: server.token });
    const created = await tryOut(page, 'Accounts', 'createAccount', {
      body: JSON.stringify({ email: 'hostile@example.com', account_name: HOSTILE }),
    });
    assert.equal(created.json.account_name, HOSTILE);
    const { block } = await tryOut(page, 'Accounts', 'listAccounts');
    assert.ok((await block.innerText()).includes(HOSTILE));
    await picture(page, 'hostile');
    assert.equal(await page.locator('img[src="x"]').count(), 0);
  }));

test('a deep link opens its operation', () =>
  page(async page => {
    await page.goto(`${server.url}/docs#/Deliveries/retryDelivery`);
    const block = page.locator('#operations-Deliveries-retryDelivery');
    await block.locator('.btn.execute').waitFor();
    await page.waitForFunction(() => {
      const { top, bottom } = document.getElementById('operations-Deliveries-retryDelivery').getBoundingClientRect();
      return top < innerHeight && bottom > 0;
    });
    assert.equal(await page.locator('.opblock.is-open').count(), 1);
    await open(page, 'Accounts', 'createAccount');
    assert.equal(new URL(page.url()).hash, '#/Accounts/createAccount');
  }));

test('operations stand in the order in which a newcomer needs them', () =>
  page(async page => {
    await page.goto(`${server.url}/docs`);
    const blocks = page.locator('.opblock');
    await blocks.first().waitFor();
    const ids = await blocks.evaluateAll(all => all.map(one => one.id.split('-').at(-1)));
    assert.equal(ids[0], 'createAccount');
    const tour = ['createAccount', 'createDestination', 'sendEvent', 'listDeliveries', 'getDelivery', 'retryDelivery'];
    assert.deepEqual(ids.filter(id => tour.includes(id)), tour);
    const served = await (await page.request.get(`${server.url}/openapi.json`)).json();
    const listed = Object.values(served.paths).flatMap(path => Object.values(path)).map(one => one.operationId);
    assert.deepEqual([...ids].sort(), listed.sort());
  }));

test('the page has a name and an icon, is small on the wire, and stands in no frame', () =>
  page(async page => {
    const answer = await page.goto(`${server.url}/docs`);
    assert.equal(await page.title(), 'Data Pusher API');
    await page.waitForFunction(async () => {
      const icon = new Image();
      icon.src = document.querySelector('link[rel="icon"]').href;
      await icon.decode();
      return icon.naturalWidth > 0;
    });
    const headers = await answer.allHeaders();
    assert.equal(headers['content-encoding'], 'gzip');
    const { responseBodySize } = await answer.request().sizes();
    assert.ok(responseBodySize > 0 && responseBodySize < 500_000, `${responseBodySize} bytes`);
    assert.equal(headers['x-content-type-options'], 'nosniff');
    assert.equal(headers['x-frame-options'], 'DENY');
    assert.match(headers['content-security-policy'], /default-src 'none'.*frame-ancestors 'none'/);
    assert.doesNotMatch(headers['content-security-policy'], /unsafe|https?:/);
  }));

/** Tries until it holds; the time limit of the run ends what never does. */
async function assertEventually(holds) {
  const end = Date.now() + 20_000;
  while (!(await holds())) assert.ok(Date.now() < end, 'it does not come true');
}
