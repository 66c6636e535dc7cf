// A newcomer's tour in a browser: the printed link, then everything by "Try it out".

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { picture } from './browser.js';
import { page, receiver, server } from './stage.js';
import { authorize, cutOff, faint, open, tryOut } from './swagger.js';

const HOSTILE = '</script><img src=x onerror=alert(1)>';

test('the printed link logs in, and in Swagger UI the whole tour works', () =>
  page(async page => {
    await page.goto(server.link);
    await page.waitForURL(/\/(\?guide=1)?$/);
    await page.goto(`${server.url}/docs`);
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
    assert.equal(await page.getByRole('navigation').getByRole('link', { name: 'Log in' }).count(), 1);
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
    await page.getByRole('status').filter({ hasText: 'This token is wrong' }).waitFor();
    await picture(page, 'login-refused');
    await page.getByLabel('Admin token').fill(` ${server.token}\n`);
    await page.getByLabel('Admin token').press('Enter');
    await page.waitForURL(/\/(\?guide=1)?$/);
    await page.getByRole('navigation').getByRole('link', { name: 'API' }).click();
    const cookies = await page.context().cookies();
    assert.deepEqual(cookies.map(cookie => [cookie.httpOnly, cookie.sameSite]), [[true, 'Strict']]);
    assert.equal(await page.evaluate(() => document.cookie), '');
    assert.equal((await tryOut(page, 'Accounts', 'listAccounts')).status, 200);
    // Logging out forgets tokens, too, that the Authorize button was given.
    await authorize(page, { adminToken: server.token });
    await page.getByRole('navigation').getByRole('button', { name: 'Log out' }).click();
    await page.waitForURL(`${server.url}/login`);
    await page.goto(`${server.url}/docs`);
    assert.equal(await page.getByRole('navigation').getByRole('link', { name: 'Log in' }).count(), 1);
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

test('a link that cannot be used says over a session that it goes on', () =>
  page(async page => {
    page.refusals.add(401);
    const link = await server.anotherLink();
    await page.goto(link);
    await page.getByText('Logged in as admin').waitFor();
    await page.goto(link);
    const said = page.getByRole('status').filter({ hasText: 'This link was used already' });
    await said.getByText('You are still logged in as admin.').waitFor();
    assert.equal(await page.getByLabel('Admin token').isVisible(), false);
    await picture(page, 'login-still');
    await said.getByRole('link').click();
    await page.getByText('Logged in as admin').waitFor();
    // What is no code is no link.
    await page.goto(`${server.url}/login#main`);
    await page.waitForURL(url => url.pathname === '/');
    await page.getByText('Logged in as admin').waitFor();
  }));

test('a form with a place on its page says that the session has ended, and a login leads back', () =>
  page(async page => {
    page.refusals.add(401);
    const { account_id, destination_id } = await deliver();
    const logins = [];
    page.on('request', request => {
      if (request.method() === 'POST' && new URL(request.url()).pathname === '/login') logins.push(request.postData());
    });
    for (const [path, fragment] of [
      [`/destinations/${destination_id}`, '#secret'],
      [`/accounts/${account_id}`, '#settings'],
      ['/tokens', '#new'],
    ]) {
      const admin = { Authorization: `Bearer ${server.token}` };
      const made = await call('/v1/tokens', admin, { name: `ends ${fragment}`, role: 'admin' });
      await page.goto(`${server.url}/login`);
      await page.getByLabel('Admin token').fill(made.token);
      await page.getByRole('button', { name: 'Log in' }).click();
      await page.getByText('Logged in as admin').waitFor();
      await page.goto(`${server.url}${path}`);
      const revoked = await fetch(`${server.url}/v1/tokens/${made.token_id}`, { method: 'DELETE', headers: admin });
      assert.equal(revoked.status, 204);
      logins.length = 0;
      await page.locator(`form[action$="${fragment}"]`).first().evaluate(form => form.submit());
      await page.getByRole('status').filter({ hasText: 'Your session has ended. Log in to go on.' }).waitFor();
      assert.equal(new URL(page.url()).hash, fragment);
      // The script has run once the network rests.
      await page.waitForLoadState('networkidle');
      assert.deepEqual(logins, []);
      await page.getByLabel('Admin token').fill(server.token);
      await page.getByRole('button', { name: 'Log in' }).click();
      await page.getByText('Logged in as admin').waitFor();
      assert.equal(page.url(), `${server.url}${path}`);
      await page.getByRole('button', { name: 'Log out' }).click();
      await page.getByLabel('Admin token').waitFor();
    }
  }));

test('a login link takes the place of a session, and without a code a session leads on', () =>
  page(async page => {
    const admin = { Authorization: `Bearer ${server.token}` };
    const { token } = await call('/v1/tokens', admin, { name: 'before', role: 'viewer' });
    await page.goto(`${server.url}/login`);
    await page.getByLabel('Admin token').fill(token);
    await page.getByRole('button', { name: 'Log in' }).click();
    await page.getByText('Logged in as viewer').waitFor();
    await page.goto(`${server.url}/login`);
    await page.waitForURL(/\/(\?guide=1)?$/);
    await page.getByText('Logged in as viewer').waitFor();
    await page.goto(await server.anotherLink());
    await page.getByText('Logged in as admin').waitFor();
    assert.equal(new URL(page.url()).hash, '');
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

test('the page begins with a tour, and each link of it opens its operation', () =>
  page(async page => {
    await page.goto(`${server.url}/docs`);
    assert.equal(await page.getByRole('heading', { level: 1 }).count(), 1);
    const main = page.getByRole('main');
    assert.equal(await main.locator('.info ol li').count(), 5);
    const links = main.locator('.info a[href^="#/"]');
    const names = await links.allInnerTexts();
    assert.equal(names[0], 'Create an account');
    for (const link of await links.all()) {
      const [tag, operation] = (await link.getAttribute('href')).split('/').slice(1);
      await link.click();
      await page.locator(`#operations-${tag}-${operation}.is-open .btn.execute`).waitFor();
    }
    assert.equal(page.context().pages().length, 1);
    // What is open stays open.
    await links.first().click();
    assert.equal(await page.locator('.opblock.is-open').count(), names.length);
    assert.ok(await page.getByRole('navigation').getByRole('link', { name: 'Dashboard' }).isVisible());
  }));

test('Execute works on every GET as it stands, and shows what there is', () =>
  page(async page => {
    const there = await deliver();
    const { account_id, destination_id, event_id, delivery_id, token_id } = there;
    // What each of them has to show, as the form stands but for ids in its path.
    const shows = {
      listAccounts: account_id,
      getAccount: account_id,
      listDestinations: destination_id,
      getDestination: destination_id,
      getSigningSecret: 'whsec_',
      listDeliveries: delivery_id,
      getDelivery: delivery_id,
      listEvents: event_id,
      getEvent: event_id,
      getHealth: 'ok',
      getReadiness: 'ok',
      getStats: 'succeeded',
      getMetrics: 'data_pusher_attempts_total',
      listTokens: token_id,
      getToken: token_id,
    };
    const document = await (await fetch(`${server.url}/openapi.json`)).json();
    const gets = Object.values(document.paths).flatMap(item => item.get ?? []);
    await logIn(page);
    // Its response does not end, so Swagger UI never shows one; its text says so, and what to do instead.
    const ending = gets.filter(({ operationId }) => operationId !== 'streamDeliveries');
    assert.deepEqual(ending.map(({ operationId }) => operationId).sort(), Object.keys(shows).sort());
    for (const { operationId, tags: [tag], parameters: all = [] } of ending) {
      const block = await open(page, tag, operationId);
      for (const field of await block.locator('.parameters input, .parameters select').all()) {
        const preset = await field.evaluate(field => field.value);
        // The default of `limit`, which is no filter.
        assert.ok(['', '--', '50'].includes(preset), `${operationId} begins with ${preset}`);
      }
      const named = all.filter(parameter => parameter.in === 'path').map(({ name }) => [name, there[name]]);
      const shown = await tryOut(page, tag, operationId, { parameters: Object.fromEntries(named) });
      assert.equal(shown.status, 200, operationId);
      assert.ok(shown.text.includes(shows[operationId]), `${operationId} shows ${shown.text}`);
      assert.ok(['', '?limit=50'].includes(new URL(shown.request.url()).search), shown.request.url());
      // A page on which all of them are open is slow.
      await block.locator('.opblock-summary-control').dispatchEvent('click');
    }
  }));

test('on a telephone nothing is cut off', () =>
  page(async page => {
    await page.setViewportSize({ width: 390, height: 844 });
    await page.goto(`${server.url}/login`);
    assert.deepEqual(await cutOff(page), []);
    await picture(page, 'telephone-login');
    await logIn(page);
    await picture(page, 'telephone-docs');
    const there = await deliver();
    await tryOut(page, 'Deliveries', 'getDelivery', { parameters: { delivery_id: there.delivery_id } });
    await tryOut(page, 'Accounts', 'listAccounts');
    await openAll(page);
    await picture(page, 'telephone-open', { fullPage: true });
    assert.deepEqual(await cutOff(page), []);
    await page.locator('.auth-wrapper .btn.authorize').first().click();
    await page.locator('.modal-ux').waitFor();
    await picture(page, 'telephone-authorize');
    assert.deepEqual(await cutOff(page), []);
  }));

test('in the dark every text can be read', () =>
  page(async page => {
    await page.emulateMedia({ colorScheme: 'dark' });
    await logIn(page);
    await picture(page, 'dark-docs');
    await tryOut(page, 'Accounts', 'listAccounts');
    page.refusals.add(404);
    await tryOut(page, 'Deliveries', 'getDelivery', { parameters: { delivery_id: 'dlv_none' } });
    await openAll(page);
    await picture(page, 'dark-open', { fullPage: true });
    assert.deepEqual(await faint(page, 4.5), []);
    await page.locator('.auth-wrapper .btn.authorize').first().click();
    await page.locator('.modal-ux').waitFor();
    await picture(page, 'dark-authorize');
    assert.deepEqual(await faint(page, 4.5), []);
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

/** Logs in with the token, and opens Swagger UI. */
async function logIn(page) {
  await page.goto(`${server.url}/login`);
  await page.getByLabel('Admin token').fill(server.token);
  await page.getByRole('button', { name: 'Log in' }).click();
  await page.waitForURL(url => url.pathname !== '/login');
  await page.goto(`${server.url}/docs`);
  await page.locator('.opblock').first().waitFor();
}

/** Opens every operation at once: one after the other, each of them would lay out a page that grows. */
async function openAll(page) {
  await page.evaluate(() => {
    for (const summary of document.querySelectorAll('.opblock:not(.is-open) .opblock-summary-control')) summary.click();
  });
  const count = await page.locator('.opblock').count();
  await page.waitForFunction(count => document.querySelectorAll('.btn.execute').length === count, count);
}

/** Calls the API as a program does, and gives what came. */
async function call(path, headers, body) {
  const answer = await fetch(`${server.url}${path}`, {
    method: 'POST', headers: { 'Content-Type': 'application/json', ...headers }, body: JSON.stringify(body),
  });
  assert.ok(answer.ok, `${path}: ${answer.status}`);
  return answer.json();
}

/** Makes an account with a destination, to which an event was delivered; gives the ids. */
async function deliver() {
  const admin = { Authorization: `Bearer ${server.token}` };
  const email = `${Math.random()}@example.com`;
  const { account_id, app_secret_token } = await call('/v1/accounts', admin, { email, account_name: 'Ada' });
  const destination = { url: `${receiver.url}/get`, http_method: 'POST', headers: {} };
  const { destination_id } = await call(`/v1/accounts/${account_id}/destinations`, admin, destination);
  const { token_id } = await call('/v1/tokens', admin, { name: 'tour', role: 'viewer', account_id });
  const headers = { 'CL-XTOKEN': app_secret_token, Prefer: 'wait=20' };
  const { event_id, deliveries: [{ delivery_id }] } = await call('/server/incoming_data', headers, { order: 1 });
  return { account_id, destination_id, event_id, delivery_id, token_id };
}

/** Tries until it holds; the time limit of the run ends what never does. */
async function assertEventually(holds) {
  const end = Date.now() + 20_000;
  while (!(await holds())) assert.ok(Date.now() < end, 'it does not come true');
}
