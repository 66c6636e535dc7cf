// The dashboard at length: every form, filters and addresses, keys, hostile data, live pages under load and through a
// restart, axe-core on every page, and secrets.

import assert from 'node:assert/strict';
import { Agent, createServer, request } from 'node:http';
import { before, describe, test } from 'node:test';

import { picture, withPage } from './browser.js';
import { CANARY, eventually, fits, isAccessible, logIn, newAccount, newDestination, unfold, world } from './dashboard.js';
import { startReceiver, startServer } from './server.js';
import { binary, browser, page as stranger, receiver, server } from './stage.js';

/** A page that is logged in. */
const page = (use, options) =>
  stranger(async page => {
    await logIn(page, server);
    await use(page);
  }, options);

const source = async (page, path) => (await page.request.get(`${server.url}${path}`)).text();

describe('forms', () => {
  test('a destination is paused with its reason, resumed, and what waited is sent', () =>
    page(async page => {
      const account = await newAccount(server, 'Pauses');
      const { destination_id } = await newDestination(server, account, `${receiver.url}/pauses`);
      await page.goto(`${server.url}/destinations/${destination_id}`);
      await page.getByRole('button', { name: 'Pause', exact: true }).click();
      await page.getByRole('status').filter({ hasText: 'is paused' }).waitFor();
      await page.locator('#state').getByText('Paused manually.').waitFor();
      await account.send({ paused: 1 });
      // The page follows: nobody loads it again.
      await page.locator('#state').getByText('Pending now: 1.').waitFor();
      assert.equal(receiver.requests.filter(one => one.url === '/pauses').length, 0);
      await page.getByRole('button', { name: 'Resume' }).click();
      await page.getByRole('status').filter({ hasText: 'is active again' }).waitFor();
      await page.locator('#newest').getByText('succeeded').waitFor();
      assert.equal(receiver.requests.filter(one => one.url === '/pauses').length, 1);
    }));

  test('a test shows the answer, good or bad, and makes no delivery', () =>
    page(async page => {
      const account = await newAccount(server, 'Tests');
      const good = await newDestination(server, account, `${receiver.url}/tests`);
      const bad = await newDestination(server, account, `${receiver.url}/broken`);
      await page.goto(`${server.url}/destinations/${good.destination_id}`);
      await page.getByRole('button', { name: 'Send a test' }).click();
      await page.locator('#test').getByText('Test: 200').waitFor();
      assert.equal(await page.locator('#test pre').innerText(), 'ok');
      await page.goto(`${server.url}/destinations/${bad.destination_id}`);
      await page.getByRole('button', { name: 'Send a test' }).click();
      await page.locator('#test').getByText('Test: 500 Internal Server Error').waitFor();
      await page.locator('#test').getByText('no such column').waitFor();
      const { items } = await server.api('GET', `/v1/deliveries?account_id=${account.id}`);
      assert.deepEqual(items, []);
    }));

  test('a preview follows the typing, and saves and sends nothing', () =>
    page(async page => {
      const account = await newAccount(server, 'Previews');
      const { destination_id } = await newDestination(server, account, `${receiver.url}/previews`);
      await page.goto(`${server.url}/destinations/${destination_id}`);
      await unfold(page, 'Settings');
      await unfold(page, 'What is sent');
      await unfold(page, 'Which events');
      const shown = page.locator('#preview');
      await page.getByLabel('Event to try').fill('{"status": "paid", "total": 19.90}');
      await shown.getByText('The event comes here').waitFor();
      await page.getByLabel('Body template').fill('{"text": {{ data.status }}, "total": {{ data.total }}}');
      await shown.getByText('{"text": "paid", "total": 19.9}').waitFor();
      await shown.getByText('raw.total prints it as it came').waitFor();
      await page.getByLabel('Filter', { exact: true }).fill("data.status == 'open'");
      await shown.getByText('the filter is false').waitFor();
      await page.getByLabel('Filter', { exact: true }).fill('data.status =');
      await shown.getByText('line 1, column').waitFor();
      // What is typed stays where it is, and nothing was saved or sent.
      assert.equal(await page.getByLabel('Filter', { exact: true }).inputValue(), 'data.status =');
      const saved = await server.api('GET', `/v1/destinations/${destination_id}`);
      assert.deepEqual([saved.filter, saved.body_template], [null, null]);
      assert.equal(receiver.requests.filter(one => one.url === '/previews').length, 0);
      await isAccessible(page, 'a preview');
    }));

  test('without a script a preview comes by its button, and settings are saved', () =>
    page(
      async page => {
        const account = await newAccount(server, 'Plain previews');
        const { destination_id } = await newDestination(server, account, `${receiver.url}/plain-previews`);
        await page.goto(`${server.url}/destinations/${destination_id}`);
        await unfold(page, 'Settings');
        await unfold(page, 'What is sent');
        await page.getByLabel('Body template').fill('{"n": {{ data.order_id }}}');
        await page.getByRole('button', { name: 'Preview' }).click();
        await page.locator('#preview').getByText('{"n": 1042}').waitFor();
        await page.getByRole('button', { name: 'Save' }).click();
        await page.getByRole('status').filter({ hasText: 'saved' }).waitFor();
        await account.send({ order_id: 7 }, 20);
        const [request] = receiver.requests.filter(one => one.url === '/plain-previews');
        assert.equal(request.body, '{"n": 7}');
      },
      { javaScriptEnabled: false },
    ));

  test('a signing secret is on the page only after somebody asked for it', () =>
    page(async page => {
      const account = await newAccount(server, 'Secrets');
      const { destination_id } = await newDestination(server, account, `${receiver.url}/ok`);
      const path = `/destinations/${destination_id}`;
      const { signing_secret } = await server.api('GET', `/v1${path}/signing-secret`);
      assert.match(signing_secret, /^whsec_/);
      await page.goto(`${server.url}${path}`);
      assert.ok(!(await page.content()).includes('whsec_'));
      await unfold(page, 'Signing secret');
      await page.getByRole('button', { name: 'Show it' }).click();
      assert.equal(await page.locator('#signing-secret').innerText(), signing_secret);
      assert.ok(!(await source(page, path)).includes('whsec_'), 'it is not there for the next reader');
      await page.getByRole('button', { name: 'Make a new one' }).click();
      await page.getByRole('status').filter({ hasText: 'new signing secret' }).waitFor();
      const rotated = await server.api('GET', `/v1${path}/signing-secret`);
      assert.notEqual(rotated.signing_secret, signing_secret);
      assert.equal(await page.locator('#signing-secret').innerText(), rotated.signing_secret);
    }));

  test('a masked header stays as it was when the form is saved, and every wrong setting says so at its field', () =>
    page(async page => {
      page.refusals.add(422);
      const account = await newAccount(server, 'Headers');
      const { destination_id } = await newDestination(server, account, `${receiver.url}/headers`, {
        headers: { Authorization: CANARY, 'X-Team': 'a' },
      });
      const path = `/destinations/${destination_id}`;
      await page.goto(`${server.url}${path}`);
      await unfold(page, 'Settings');
      const headers = page.getByLabel('Headers', { exact: true });
      const shown = await headers.inputValue();
      assert.deepEqual(shown.split('\n').sort(), ['Authorization: ********', 'X-Team: a']);
      await headers.fill(shown.replace('X-Team: a', 'X-Team: b'));
      await page.getByRole('button', { name: 'Save' }).click();
      await page.getByRole('status').filter({ hasText: 'Saved.' }).waitFor();
      await account.send({}, 10);
      const got = receiver.requests.find(one => one.url === '/headers').headers;
      assert.deepEqual([got.authorization, got['x-team']], [CANARY, 'b']);

      await unfold(page, 'Settings');
      await page.getByLabel('URL', { exact: true }).fill('http://192.168.0.1/');
      await headers.fill('X-Token: ********\nHost: x');
      await unfold(page, 'Retries and limits');
      await page.getByLabel('Timeout in seconds').fill('0');
      await page.getByRole('button', { name: 'Save' }).click();
      for (const label of ['URL', 'Headers', 'Timeout in seconds']) {
        const field = page.getByLabel(label, { exact: true });
        assert.equal(await field.getAttribute('aria-invalid'), 'true', label);
        const fault = page.locator(`#${await field.getAttribute('aria-describedby')}`);
        assert.ok(await fault.isVisible(), label);
      }
      assert.equal(await page.getByLabel('Timeout in seconds').inputValue(), '0', 'what was typed stays');
      await isAccessible(page, 'a destination with wrong settings');
      await picture(page, 'destination-wrong', { fullPage: true });
      assert.ok(!(await source(page, path)).includes(CANARY));
    }));

  test('a failing destination that is delayed says so first, and until when', () =>
    page(async page => {
      const account = await newAccount(server, 'Delays');
      const { destination_id } = await newDestination(server, account, `${receiver.url}/down?delays`, { retry_schedule: [] });
      await account.send({}, 10);
      await page.goto(`${server.url}/accounts/${account.id}`);
      await page.locator('#destinations').getByText('failing', { exact: true }).waitFor();
      await server.api('PUT', `/v1/destinations/${destination_id}`, { url: `${receiver.url}/later`, http_method: 'POST', headers: {} });
      await account.send({}, 10);
      const row = page.locator('#destinations [data-row]');
      await row.getByText('delayed', { exact: true }).waitFor();
      assert.match(await row.innerText(), /until/);
      await page.goto(server.url);
      const trouble = page.locator('#trouble [data-row]').filter({ hasText: 'Delays' });
      assert.match(await trouble.innerText(), /delayed.*Every attempt has failed, and the receiver asked to wait.*until/s);
      await trouble.getByRole('link').first().click();
      await page.locator('#state').getByText('delayed', { exact: true }).waitFor();
      await page.getByRole('button', { name: 'Resume now' }).click();
      await page.getByRole('status').filter({ hasText: 'is active again' }).waitFor();
    }));

  test('a new token is shown once, and works', () =>
    page(async page => {
      const account = await newAccount(server, 'Tokens');
      await page.goto(`${server.url}/accounts/${account.id}`);
      await unfold(page, 'New token');
      await page.getByLabel('The old token is to').selectOption('stop at once');
      await page.getByRole('button', { name: 'Make a new token' }).click();
      await page.getByRole('heading', { name: 'New token: Tokens' }).waitFor();
      const token = await page.locator('#token').innerText();
      assert.notEqual(token, account.token);
      await isAccessible(page, 'a new token');
      await picture(page, 'token', { fullPage: true });
      await server.api('POST', '/server/incoming_data', {}, { 'CL-XTOKEN': token });
      await assert.rejects(account.send({}), /401/);
      await page.getByRole('link', { name: 'Back to the account' }).click();
      const text = await page.content();
      assert.ok(!text.includes(token) && text.includes(token.slice(-4)));
    }));

  test('an account is changed, and deleted only by its name', () =>
    page(async page => {
      page.refusals.add(422);
      const account = await newAccount(server, 'To be deleted');
      await page.goto(`${server.url}/accounts/${account.id}`);
      await unfold(page, 'Settings');
      await page.getByLabel('E-mail').fill('nonsense@');
      // The browser would refuse it by itself; the server's words are what is tested.
      await page.locator('#settings form').evaluate(form => { form.noValidate = true; });
      await page.getByRole('button', { name: 'Save' }).click();
      assert.equal(await page.getByLabel('E-mail').getAttribute('aria-invalid'), 'true');
      await page.getByLabel('E-mail').fill('other@example.com');
      await page.getByRole('button', { name: 'Save' }).click();
      await page.getByRole('status').filter({ hasText: 'Saved.' }).waitFor();

      await unfold(page, 'Delete this account');
      const confirm = page.getByLabel('Type the name of the account');
      await confirm.fill('Another');
      await page.getByRole('button', { name: 'Delete the account' }).click();
      await page.locator('#confirm-fault').getByText('To be deleted').waitFor();
      assert.equal(await confirm.getAttribute('aria-invalid'), 'true');
      await isAccessible(page, 'an account that is not deleted');
      await confirm.fill('To be deleted');
      await page.getByRole('button', { name: 'Delete the account' }).click();
      await page.getByRole('status').filter({ hasText: 'The account is deleted' }).waitFor();
      await assert.rejects(server.api('GET', `/v1/accounts/${account.id}`), /404/);
    }));

  test('a pending delivery is cancelled, and its document is downloaded byte for byte', () =>
    page(async page => {
      const account = await newAccount(server, 'Cancels');
      await newDestination(server, account, `${receiver.url}/down`, { retry_schedule: ['1h'] });
      const body = '{"total": 19.90,  "b":1}';
      const { event_id } = await account.send(body);
      await page.goto(`${server.url}/events/${event_id}`);
      await page.getByRole('link', { name: /^Delivery to .*: pending$/ }).click();
      await page.locator('#facts').getByText(/The next attempt is in \d+ (min|h)/).waitFor();
      const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name: 'Download' }).click()]);
      assert.equal(download.suggestedFilename(), `${event_id}.json`);
      const chunks = [];
      for await (const chunk of await download.createReadStream()) chunks.push(chunk);
      assert.equal(Buffer.concat(chunks).toString(), body);
      await page.getByRole('button', { name: 'Cancel' }).click();
      await page.locator('#facts').getByText('cancelled', { exact: true }).waitFor();
      assert.equal(await page.getByRole('button', { name: 'Cancel' }).count(), 0);
    }));
});

describe('filters and addresses', () => {
  let account, good;

  before(async () => {
    account = await newAccount(server, 'Filters');
    good = await newDestination(server, account, `${receiver.url}/ok?filters`);
    await newDestination(server, account, `${receiver.url}/down?filters`, { retry_schedule: ['1h'] });
    await Promise.all(Array.from({ length: 60 }, (_, n) => account.send({ n, needle: n === 7 ? 'pin in the hay' : '' })));
    await eventually(async () => {
      const { items } = await server.api('GET', `/v1/deliveries?account_id=${account.id}&state=succeeded&limit=100`);
      return items.length === 60;
    }, 'all are delivered');
  });

  const rows = page => page.locator('#rows tbody tr').evaluateAll(all => all.map(one => one.id));

  test('the address holds the view: a second page shows the same rows, and back leads back', () =>
    page(async page => {
      await page.goto(`${server.url}/deliveries`);
      await page.getByLabel('State').selectOption('succeeded');
      await page.getByLabel('Received', { exact: true }).selectOption('last day');
      await page.getByLabel('Account id').fill(account.id);
      await unfold(page, 'More filters');
      await page.getByLabel('Status of the last attempt').fill('200');
      await page.getByRole('button', { name: 'Show' }).click();
      await page.waitForURL(/state=succeeded/);
      const filtered = new URL(page.url());
      for (const [name, value] of [['state', 'succeeded'], ['within', '1d'], ['account_id', account.id], ['status_code', '200']]) {
        assert.equal(filtered.searchParams.get(name), value);
      }
      const first = await rows(page);
      assert.equal(first.length, 50);
      const states = await page.locator('#rows .badge').allInnerTexts();
      assert.deepEqual([...new Set(states)], ['succeeded']);

      await page.getByRole('link', { name: 'Older' }).click();
      await page.waitForURL(/cursor=/);
      const older = new URL(page.url());
      assert.deepEqual(['state', 'account_id', 'status_code'].map(name => older.searchParams.get(name)), ['succeeded', account.id, '200']);
      const second = await rows(page);
      assert.equal(second.length, 10);
      assert.equal(new Set([...first, ...second]).size, 60);
      assert.equal(await page.getByLabel('State').inputValue(), 'succeeded');

      const colleague = await page.context().newPage();
      await colleague.goto(page.url());
      assert.deepEqual(await rows(colleague), second);
      await colleague.close();

      await page.goBack();
      await page.waitForURL(String(filtered));
      assert.deepEqual(await rows(page), first);
      assert.equal(await page.getByLabel('State').inputValue(), 'succeeded');
    }));

  test('a destination and an account lead to their own deliveries', () =>
    page(async page => {
      await page.goto(`${server.url}/destinations/${good.destination_id}`);
      await page.getByRole('link', { name: 'Deliveries', exact: true }).last().click();
      assert.equal(await page.getByLabel('Destination id').inputValue(), good.destination_id);
      assert.equal((await rows(page)).length, 50);
      await page.goto(`${server.url}/accounts/${account.id}`);
      await page.getByRole('link', { name: 'Deliveries of this account' }).click();
      assert.equal(await page.getByLabel('Account id').inputValue(), account.id);
    }));

  test('a wrong filter says so at its field, and shows nothing that was not asked for', () =>
    page(async page => {
      await page.goto(`${server.url}/deliveries?state=lost&account_id=a/b&status_code=9&since=yesterday`);
      for (const label of ['State', 'Account id', 'Status of the last attempt', 'Received at or after']) {
        const field = page.getByLabel(label);
        assert.equal(await field.getAttribute('aria-invalid'), 'true', label);
        assert.ok(await page.locator(`#${await field.getAttribute('aria-describedby')}`).isVisible(), label);
      }
      assert.deepEqual(await rows(page), []);
      assert.equal(await page.getByRole('link', { name: 'Send all of these again' }).count(), 0);
      await picture(page, 'filters-wrong');
    }));

  test('a text is found in the documents, and the page says how far it looked', () =>
    page(async page => {
      await page.goto(`${server.url}/deliveries`);
      await page.getByLabel('Text in the document').fill('pin in the hay');
      await page.getByLabel('Text in the document').press('Enter');
      await page.getByRole('heading', { name: 'Search in documents' }).waitFor();
      assert.equal(await page.locator('tbody tr').count(), 1);
      await page.getByText(/\d+ events were looked at here/).waitFor();
      await page.locator('tbody tr').getByRole('link').first().click();
      await page.locator('pre[aria-label=Document]').getByText('pin in the hay').waitFor();
    }));
});

describe('keys', () => {
  /** Presses Tab until `locator` has the focus; whoever has no mouse goes this way. */
  async function tabTo(page, locator) {
    for (let presses = 0; presses < 80; presses += 1) {
      if (await locator.evaluate(one => one === document.activeElement)) return;
      await page.keyboard.press('Tab');
    }
    assert.fail('no Tab leads there');
  }

  test('j, k, Enter, r, / and ? work, and can be turned off', () =>
    page(async page => {
      const account = await newAccount(server, 'Keys');
      const { destination_id } = await newDestination(server, account, `${receiver.url}/broken?keys`, { retry_schedule: [] });
      for (let n = 0; n < 3; n += 1) await account.send({ n }, 10);
      const list = `${server.url}/deliveries?destination_id=${destination_id}`;
      const focused = () => page.evaluate(() => document.activeElement.closest('[data-row]')?.id);
      await page.goto(list);
      const ids = await page.locator('[data-row]').evaluateAll(all => all.map(one => one.id));
      await page.keyboard.press('j');
      assert.equal(await focused(), ids[0]);
      await page.keyboard.press('j');
      await page.keyboard.press('j');
      assert.equal(await focused(), ids[2]);
      await page.keyboard.press('k');
      assert.equal(await focused(), ids[1]);
      await page.keyboard.press('Enter');
      await page.waitForURL(`${server.url}/deliveries/${ids[1]}`);
      await page.goto(list);
      await page.keyboard.press('j');
      await page.keyboard.press('r');
      await page.getByRole('status').filter({ hasText: 'sent again' }).waitFor();
      await eventually(async () => (await server.api('GET', `/v1/deliveries/${ids[0]}`)).attempt_count === 2, 'r retried');
      await page.goto(`${server.url}/deliveries/${ids[2]}`);
      await page.keyboard.press('r');
      await page.getByRole('heading', { name: 'Attempts: 2' }).waitFor();

      await page.goto(list);
      await page.keyboard.press('/');
      assert.equal(await page.evaluate(() => document.activeElement.id), 'q');
      await page.keyboard.type('j/?');
      assert.equal(await page.locator('#q').inputValue(), 'j/?', 'in a field, keys are letters');
      await page.locator('#q').blur();
      await page.keyboard.press('?');
      await page.getByRole('dialog', { name: 'Keyboard shortcuts' }).waitFor();
      await isAccessible(page, 'the list of keys');
      await page.getByLabel('Shortcuts are on').uncheck();
      await page.keyboard.press('Escape');
      for (const next of [false, true]) {
        if (next) await page.reload();
        await page.keyboard.press('j');
        await page.keyboard.press('?');
        assert.equal(await focused(), undefined);
        assert.equal(await page.getByRole('dialog').count(), 0);
      }
      await page.getByRole('button', { name: 'Keyboard shortcuts' }).click();
      await page.getByLabel('Shortcuts are on').check();
      await page.keyboard.press('Escape');
      await page.keyboard.press('j');
      assert.equal(await focused(), ids[0]);
    }));

  test('the first Tab skips to the content, and every form is filled in without a mouse', () =>
    page(async page => {
      await page.goto(`${server.url}/accounts`);
      await page.keyboard.press('Tab');
      const skip = page.getByRole('link', { name: 'Skip to the content' });
      assert.ok(await skip.evaluate(one => one === document.activeElement));
      assert.ok((await skip.boundingBox()).x >= 0, 'it is seen');
      await page.keyboard.press('Enter');
      assert.equal(await page.evaluate(() => document.activeElement.id), 'main');

      await tabTo(page, page.locator('summary', { hasText: 'New account' }));
      await page.keyboard.press('Enter');
      await tabTo(page, page.getByLabel('Name', { exact: true }));
      await page.keyboard.type('No mouse');
      await tabTo(page, page.getByLabel('E-mail'));
      await page.keyboard.type('no-mouse@example.com');
      await page.keyboard.press('Enter');
      await page.getByRole('heading', { name: 'Account created: No mouse' }).waitFor();
      await tabTo(page, page.getByRole('link', { name: 'Add a destination' }));
      await page.keyboard.press('Enter');
      await tabTo(page, page.getByLabel('URL', { exact: true }));
      await page.keyboard.type(`${receiver.url}/no-mouse`);
      await tabTo(page, page.getByLabel('Method'));
      await page.keyboard.type('PUT');
      await tabTo(page, page.getByRole('button', { name: 'Create destination' }));
      await page.keyboard.press('Space');
      await page.getByRole('heading', { name: `PUT ${receiver.url}/no-mouse` }).waitFor();
      for (const [button, said] of [['Pause', 'is paused'], ['Resume', 'is active again']]) {
        await tabTo(page, page.getByRole('button', { name: button, exact: true }));
        await page.keyboard.press('Enter');
        await page.getByRole('status').filter({ hasText: said }).waitFor();
      }
      await tabTo(page, page.getByRole('button', { name: 'Send a test' }));
      await page.keyboard.press('Enter');
      await page.locator('#test').getByText('Test: 200').waitFor();
      await tabTo(page, page.locator('summary', { hasText: 'Delete this destination' }));
      await page.keyboard.press('Enter');
      await tabTo(page, page.getByLabel('Type the host of the URL'));
      await page.keyboard.type('127.0.0.1');
      await page.keyboard.press('Enter');
      await page.getByRole('status').filter({ hasText: 'is deleted' }).waitFor();
    }));
});

test('hostile names, headers, documents and answers are text, and fit', async () => {
  const markup = `"'></script><img src=x onerror="alert(1)"><svg/onload=alert(2)>{{7*7}}&lt;b&gt;`;
  const bidi = 'a\u202egnp.exe\u2066b\u2069\u200f';
  const line = 'x'.repeat(1_000_000);
  const answers = {
    '/markup': { status: 500, headers: { 'Content-Type': 'text/html' }, body: `<html><body>${markup}${bidi}` },
    '/invalid': { status: 500, body: Buffer.from([0xff, 0xfe, 0x00, 0x3c, 0x62, 0x3e, 0xc0, 0xaf, 0x07, 0x1b]) },
    '/long': { status: 500, body: line },
  };
  const receiver = await startReceiver(answers);
  try {
    const account = await newAccount(server, markup);
    const more = { headers: { 'X-Team': markup, 'X-Long': 'y'.repeat(4_000) }, retry_schedule: [] };
    const destinations = [];
    for (const path of Object.keys(answers)) {
      const url = `${receiver.url}${path}?${encodeURIComponent(markup)}'"<script>alert(3)</script>${'z'.repeat(500)}`;
      destinations.push(await newDestination(server, account, url, more));
    }
    const get = await newDestination(server, account, `${receiver.url}/get`, { ...more, http_method: 'GET' });
    const sent = [];
    for (const body of [{ [markup]: markup, bidi, 'q"': [markup] }, `{"line":"${line}"}`]) sent.push(await account.send(body, 20));
    await page(async page => {
      const paths = ['/', '/accounts', `/accounts/${account.id}`, '/deliveries', `/deliveries?account_id=${account.id}`];
      paths.push(`/deliveries?q=${encodeURIComponent(markup)}`, `/accounts?q=${encodeURIComponent(markup)}`);
      paths.push(`/deliveries?state=${encodeURIComponent(markup)}&since=${encodeURIComponent(markup)}`);
      paths.push(`/?done=${encodeURIComponent(markup)}&window=${encodeURIComponent(markup)}`);
      for (const one of [...destinations, get]) paths.push(`/destinations/${one.destination_id}`);
      for (const event of sent) {
        paths.push(`/events/${event.event_id}`, ...event.deliveries.map(one => `/deliveries/${one.delivery_id}`));
      }
      for (const path of paths) {
        await page.goto(`${server.url}${path}`);
        await page.locator('h1').first().waitFor({ state: 'attached' });
        // Everything that can be opened is.
        await page.evaluate(() => document.querySelectorAll('details').forEach(one => { one.open = true; }));
        for (const width of [1280, 390]) {
          await page.setViewportSize({ width, height: 900 });
          await fits(page, `${path} at ${width}`);
        }
        const strange = await page.evaluate(() =>
          document.querySelectorAll('main img, main script, main svg:not(.chart), main b:not(.number b, .newer b)').length);
        assert.equal(strange, 0, path);
      }
      await page.setViewportSize({ width: 1280, height: 900 });
      await page.goto(`${server.url}/accounts/${account.id}`);
      assert.equal(await page.locator('h1').innerText(), markup);
      await page.goto(`${server.url}/events/${sent[0].event_id}`);
      const shown = await page.locator('pre').first().innerText();
      assert.ok(shown.includes(bidi), 'the document is shown as it is');
      assert.ok(shown.includes(JSON.stringify(markup)), shown);
      await page.goto(`${server.url}/deliveries/${sent[0].deliveries[0].delivery_id}`);
      await picture(page, 'hostile-delivery', { fullPage: true });
      await isAccessible(page, 'a hostile delivery');
      // Long things are cut, and the page says so.
      await page.goto(`${server.url}/events/${sent[1].event_id}`);
      await page.getByText('Only the first 64 KiB are shown').first().waitFor();
      assert.ok((await page.content()).length < 400_000);
    });
  } finally {
    await receiver.stop();
  }
});

describe('live pages', () => {
  /** Sends `total` events at about `rate` a second, on connections that stay open; gives how many a second it were. */
  async function load(server, token, { rate, total }) {
    const agent = new Agent({ keepAlive: true, maxSockets: 32 });
    const { hostname, port } = new URL(server.url);
    const options = {
      hostname, port, agent, method: 'POST', path: '/server/incoming_data',
      headers: { 'Content-Type': 'application/json', 'CL-XTOKEN': token },
    };
    const one = n => new Promise((resolve, reject) => {
      const sending = request(options, response => {
        response.resume().on('end', () => (response.statusCode < 300 ? resolve() : reject(new Error(`${response.statusCode}`))));
      });
      sending.on('error', reject).end(JSON.stringify({ n }));
    });
    const began = performance.now();
    const sent = [];
    while (sent.length < total) {
      const due = Math.min(total, Math.ceil(((performance.now() - began) / 1000) * rate));
      while (sent.length < due) sent.push(one(sent.length));
      await new Promise(resolve => setTimeout(resolve, 5));
    }
    await Promise.all(sent);
    agent.destroy();
    return Math.round(total / ((performance.now() - began) / 1000));
  }

  test('a log at 1,000 deliveries a second stays usable, keeps what is read in its place, and counts what is newer', async t => {
    const account = await newAccount(server, 'Busy');
    await newDestination(server, account, `${receiver.url}/busy`, { max_concurrency: 64 });
    await Promise.all(Array.from({ length: 60 }, (_, n) => account.send({ n }, 20)));
    await page(async page => {
      await page.goto(`${server.url}/deliveries?account_id=${account.id}`);
      await page.locator('#live[data-state=on]').waitFor();
      await page.mouse.move(5, 5);
      await page.evaluate(() => scrollTo({ top: 700, behavior: 'instant' }));
      await page.evaluate(() => {
        const seen = globalThis.seen = { gap: 0, moved: 0, frames: 0 };
        const row = [...document.querySelectorAll('[data-row]')].find(one => one.getBoundingClientRect().top > 80);
        const top = row.getBoundingClientRect().top;
        let last = performance.now();
        const frame = now => {
          seen.frames += 1;
          seen.gap = Math.max(seen.gap, now - last);
          last = now;
          seen.moved = Math.max(seen.moved, row.isConnected ? Math.abs(row.getBoundingClientRect().top - top) : 9_999);
          if (!seen.over) requestAnimationFrame(frame);
        };
        requestAnimationFrame(frame);
      });
      const total = 5_000;
      const rate = await load(server, account.token, { rate: 1_000, total });
      const bar = page.getByRole('button', { name: 'Newer:' });
      await bar.getByText('5,000', { exact: true }).waitFor();
      const seen = await page.evaluate(() => {
        globalThis.seen.over = true;
        return globalThis.seen;
      });
      t.diagnostic(`${rate} events a second, longest gap ${Math.round(seen.gap)} ms, ${seen.frames} frames`);
      await picture(page, 'busy');
      // On a machine that is busy with other things the load is lighter, but never light.
      assert.ok(rate > 300, `${rate} a second`);
      assert.ok(seen.gap < 1_000, `${seen.gap} ms without a frame`);
      assert.equal(seen.moved, 0, 'what is read stays in its place');
      await bar.click();
      await bar.waitFor({ state: 'hidden' });
      const { items } = await server.api('GET', `/v1/deliveries?account_id=${account.id}&limit=1`);
      const first = page.locator('[data-row]').first();
      await eventually(async () => (await first.getAttribute('id')) === items[0].delivery_id, 'the newest stands first');
      assert.equal(await page.evaluate(() => scrollY), 0);
    });
  });

  test('a page that takes long to read rests for nineteen times as long', () =>
    page(async page => {
      const account = await newAccount(server, 'Slow to read');
      await newDestination(server, account, `${receiver.url}/slow`);
      await page.goto(`${server.url}/deliveries?account_id=${account.id}`);
      await page.locator('#live[data-state=on]').waitFor();
      const took = 400;
      const readings = [];
      await page.route(/\/deliveries\?/, async route => {
        readings.push(Date.now());
        await new Promise(resolve => setTimeout(resolve, took));
        await route.continue();
      });
      while (readings.length < 3) {
        await account.send({}, 1);
        await new Promise(resolve => setTimeout(resolve, 100));
      }
      // The first one comes after a quick one; the others after rests.
      const [, one, other] = readings;
      assert.ok(other - one > 19 * took, `${other - one} ms from one reading to the next`);
      await page.unrouteAll({ behavior: 'wait' });
    }));

  test('a page says that the server is away, comes back by itself, and shows what happened meanwhile', async () => {
    const server = await startServer(binary, { isDev: true });
    try {
      const account = await newAccount(server, 'Restarts');
      await newDestination(server, account, `${receiver.url}/restarts`);
      await account.send({ n: 1 }, 20);
      await withPage(browser, server.url, async page => {
        for (const outage of ['net::ERR_CONNECTION_REFUSED', 'net::ERR_INCOMPLETE_CHUNKED_ENCODING', 'net::ERR_CONNECTION_RESET', 'net::ERR_EMPTY_RESPONSE']) {
          page.outages.add(outage);
        }
        await page.goto(`${server.url}/deliveries`);
        const sign = page.locator('#live');
        await sign.getByText('Live', { exact: true }).waitFor();
        await server.halt();
        await sign.getByText('Reconnecting…').waitFor();
        await server.resume();
        await account.send({ n: 2 }, 20);
        await sign.getByText('Live', { exact: true }).waitFor();
        await page.locator('[data-row]').nth(1).waitFor();
        await account.send({ n: 3 }, 20);
        await page.locator('[data-row]').nth(2).waitFor();
      });
    } finally {
      await server.stop();
    }
  });

  test('a hidden page has no stream open, and is up to date when it is seen again', async () => {
    // Between browser and server, counting streams as a server would see them.
    const open = new Set();
    const { hostname, port } = new URL(server.url);
    const between = createServer((incoming, response) => {
      const { method, url: path, headers } = incoming;
      const onward = request({ hostname, port, method, path, headers }, answer => {
        response.writeHead(answer.statusCode, answer.headers);
        answer.pipe(response);
      });
      onward.on('error', () => response.destroy());
      incoming.pipe(onward);
      response.on('close', () => {
        open.delete(response);
        onward.destroy();
      });
      if (path.startsWith('/live')) open.add(response);
    });
    await new Promise(resolve => between.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${between.address().port}`;
    try {
      const account = await newAccount(server, 'Hidden');
      await newDestination(server, account, `${receiver.url}/hidden`);
      await account.send({ n: 1 }, 20);
      await withPage(browser, url, async page => {
        await logIn(page, { url, token: server.token });
        await page.goto(`${url}/deliveries?account_id=${account.id}`);
        await page.locator('#live[data-state=on]').waitFor();
        await eventually(() => open.size === 1, 'one stream is open');
        // Chromium without a window regards every page as seen; what scripts are told is set by hand.
        const show = isHidden => page.evaluate(isHidden => {
          Object.defineProperty(document, 'hidden', { configurable: true, get: () => isHidden });
          Object.defineProperty(document, 'visibilityState', { configurable: true, get: () => (isHidden ? 'hidden' : 'visible') });
          document.dispatchEvent(new Event('visibilitychange', { bubbles: true }));
        }, isHidden);
        let reads = 0;
        page.on('request', () => { reads += 1; });
        await show(true);
        await eventually(() => open.size === 0, 'the stream is closed');
        await page.locator('#live').getByText('Paused').waitFor();
        const before = reads;
        for (let n = 2; n <= 4; n += 1) await account.send({ n }, 20);
        assert.equal(reads, before, 'nothing is asked of the server');
        assert.equal(await page.locator('[data-row]').count(), 1);
        await show(false);
        await page.locator('[data-row]').nth(3).waitFor();
        await eventually(() => open.size === 1, 'the stream is open again');
        // Leaving the page ends it, too.
        await page.goto(`${url}/accounts`);
        await eventually(() => open.size === 0, 'a page that was left has no stream');
      });
    } finally {
      between.closeAllConnections();
      between.close();
    }
  });
});

describe('all pages', () => {
  let data;

  before(async () => {
    data = await world(server, receiver, 'All pages');
  });

  for (const [width, colorScheme] of [[1280, 'light'], [390, 'light'], [1280, 'dark'], [390, 'dark']]) {
    test(`axe-core finds nothing on any page, ${width} wide, ${colorScheme}, and nothing is wider`, () =>
      stranger(async page => {
        page.refusals.add(404).add(422).add(401);
        const look = async (name, also = async () => {}) => {
          await also();
          await isAccessible(page, name);
          await fits(page, name);
          await picture(page, `${name}-${width}-${colorScheme}`, { fullPage: true });
        };
        await page.goto(server.url);
        await look('login');
        await page.getByLabel('Admin token').fill('wrong');
        await page.getByRole('button', { name: 'Log in' }).click();
        await page.getByText('This token is wrong').waitFor();
        await look('login-wrong');
        await logIn(page, server);
        for (const [name, path] of Object.entries(data.pages)) {
          await page.goto(`${server.url}${path}`);
          await look(name);
          const closed = await page.locator('main details:not([open])').count();
          if (closed === 0) continue;
          await page.evaluate(() => document.querySelectorAll('details').forEach(one => { one.open = true; }));
          await look(`${name}-open`);
        }
        await page.goto(`${server.url}/nowhere`);
        await look('lost');
        await page.goto(`${server.url}${data.pages['destination-active']}`);
        await unfold(page, 'Signing secret');
        await page.getByRole('button', { name: 'Show it' }).click();
        await page.locator('#signing-secret').waitFor();
        await look('secret');
        await page.getByRole('button', { name: 'Send a test' }).click();
        await page.locator('#test').waitFor();
        await look('test-good');
        await page.goto(`${server.url}${data.pages['destination-failing']}`);
        await page.getByRole('button', { name: 'Send a test' }).click();
        await page.locator('#test').waitFor();
        await look('test-bad');
        await page.goto(`${server.url}${data.pages['accounts-new']}`);
        await page.getByRole('button', { name: 'Create account' }).click();
        await page.locator('.fault').first().waitFor();
        await look('accounts-wrong');
      }, { viewport: { width, height: 900 }, colorScheme }));
  }

  test('no page holds a secret that nobody asked for', () =>
    page(async page => {
      const secrets = [CANARY, server.token, data.account.token, data.lone.token];
      for (const { destination_id } of Object.values(data.destinations)) {
        secrets.push((await server.api('GET', `/v1/destinations/${destination_id}/signing-secret`)).signing_secret);
      }
      for (const [name, path] of Object.entries(data.pages)) {
        const answer = await page.request.get(`${server.url}${path}`);
        const text = await answer.text();
        assert.ok(text.includes('</html>'), name);
        const held = secrets.filter(secret => text.includes(secret));
        assert.deepEqual(held, [], name);
        assert.equal(answer.headers()['cache-control'], 'no-store', name);
        assert.match(answer.headers()['content-security-policy'], /default-src 'none'/);
        const inline = await page.evaluate(text => {
          const all = [...new DOMParser().parseFromString(text, 'text/html').querySelectorAll('*')];
          const isInline = one => one.matches('style, script:not([src]), [style]')
            || one.getAttributeNames().some(name => name.startsWith('on'));
          return all.filter(isInline).map(one => one.outerHTML);
        }, text);
        assert.deepEqual(inline, [], name);
      }
    }));

  test('without a session every page is the login form and nothing else', () =>
    stranger(async page => {
      for (const [name, path] of Object.entries(data.pages)) {
        const answer = await page.request.get(`${server.url}${path}`);
        const text = await answer.text();
        assert.ok(text.includes('Admin token') && !text.includes('All pages'), name);
        assert.equal(answer.status(), path.split('?')[0] === '/' ? 200 : 401, name);
      }
      // Whoever was sent an address gets there by logging in.
      page.refusals.add(401);
      await page.goto(`${server.url}${data.pages['deliveries-filtered']}`);
      await page.getByLabel('Admin token').fill(server.token);
      await page.getByRole('button', { name: 'Log in' }).click();
      await page.waitForURL(`${server.url}${data.pages['deliveries-filtered']}`);
      assert.equal(await page.getByLabel('State').inputValue(), 'pending');
    }));
});
