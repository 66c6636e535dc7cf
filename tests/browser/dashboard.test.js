// The dashboard in short: from a new server to the first delivered event, a failing destination put right, everything
// without a script, and what axe-core says of the main pages.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';

import { picture, withPage } from './browser.js';
import { eventually, fits, isAccessible, logIn, newAccount, newDestination, unfold, world } from './dashboard.js';
import { startReceiver, startServer } from './server.js';
import { binary, browser, page, receiver, server } from './stage.js';

const shell = promisify(execFile);

/** From the first page of a new server to the first delivered event, with nothing typed but the receiver's URL. */
async function firstSteps(page, url, way) {
  const receiver = await startReceiver();
  try {
    await page.getByRole('heading', { name: 'First steps' }).waitFor();
    await isAccessible(page, 'the guide');
    await picture(page, `${way}-guide`);
    await page.getByLabel('URL of the destination').fill(`${receiver.url}/hook`);
    await page.getByRole('button', { name: 'Create both' }).click();

    const command = await page.locator('#command').innerText();
    const token = await page.locator('#token').innerText();
    assert.ok(command.includes(`${url}/server/incoming_data`) && command.includes(token), command);
    await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
    await page.locator('[data-copy=command]').click();
    await page.getByRole('status').filter({ hasText: 'Copied.' }).waitFor({ state: 'attached' });
    assert.equal(await page.evaluate(() => navigator.clipboard.readText()), command);
    await isAccessible(page, 'the guide with the command');
    await picture(page, `${way}-command`);
    await page.locator('#live[data-state=on]').waitFor();

    const { stdout } = await shell('sh', ['-c', command]);
    assert.equal(JSON.parse(stdout).deliveries.length, 1, stdout);
    // By itself: nobody loads the page again. The token stays until it is copied.
    const first = page.locator('#first');
    await first.getByRole('cell', { name: '200', exact: true }).waitFor();
    assert.equal(await page.locator('#token').innerText(), token);
    assert.deepEqual(receiver.requests.map(one => [one.url, JSON.parse(one.body).order_id]), [['/hook', 1042]]);
    await isAccessible(page, 'the guide at its end');
    await picture(page, `${way}-delivered`);
    await first.getByRole('link', { name: /^Delivery to .*: succeeded$/ }).click();
    await page.getByRole('heading', { name: `POST ${receiver.url}/hook` }).waitFor();
    await page.locator('#facts').getByText('succeeded', { exact: true }).waitFor();
    await page.locator('#attempts').getByText('200').waitFor();

    await page.getByRole('link', { name: 'Overview' }).click();
    await page.locator('#numbers').getByText('100.0 %').waitFor();
    await page.locator('#newest').getByRole('link', { name: /^Delivery to / }).click();
    await page.getByRole('heading', { name: 'Attempts: 1' }).waitFor();
  } finally {
    await receiver.stop();
  }
}

test('the printed link leads from a new server to the first delivered event', () =>
  page(async page => {
    await page.goto(server.link);
    await firstSteps(page, server.url, 'login');
  }));

test('on a laptop the same works without login', async () => {
  const server = await startServer(binary, { isDev: true });
  try {
    await withPage(browser, server.url, async page => {
      await page.goto(server.url);
      await firstSteps(page, server.url, 'dev');
      assert.equal(await page.getByRole('button', { name: 'Log out' }).count(), 0);
    });
  } finally {
    await server.stop();
  }
});

test('a failing destination is found, mended, and its deliveries are sent again', async () => {
  const account = await newAccount(server, 'Shop');
  const { destination_id } = await newDestination(server, account, `${receiver.url}/broken`, { retry_schedule: [] });
  for (let n = 0; n < 3; n += 1) await account.send({ shop: n }, 10);
  const mended = () => receiver.requests.filter(one => one.url === '/shop').map(one => JSON.parse(one.body).shop).sort();
  await page(async page => {
    await logIn(page, server);
    const trouble = page.locator('#trouble').getByRole('row').filter({ hasText: 'Shop' });
    assert.match(await trouble.innerText(), /failing.*\/broken/s);
    await trouble.getByRole('link').first().click();

    // Why it failed, in the words of its receiver.
    await page.locator('#newest').getByRole('link', { name: /^Delivery to / }).first().click();
    await page.locator('#attempts').getByText('no such column: total').waitFor();
    await page.locator('#facts').getByRole('link', { name: '/broken' }).click();

    await unfold(page, 'Settings');
    await page.getByLabel('URL', { exact: true }).fill(`${receiver.url}/shop`);
    await page.getByRole('button', { name: 'Save' }).click();
    await page.getByRole('status').filter({ hasText: 'Saved.' }).waitFor();
    assert.equal(new URL(page.url()).pathname, `/destinations/${destination_id}`);
    assert.ok(await page.getByText('Saved.').evaluate(one => one.getBoundingClientRect().top >= 0), 'it is in sight');

    await page.locator('#newest').getByRole('button', { name: 'Retry' }).first().click();
    await page.getByRole('status').filter({ hasText: 'sent again' }).waitFor();
    // Sent again from its destination, it is followed on its own page.
    await page.locator('#facts').getByText('succeeded', { exact: true }).waitFor();
    assert.deepEqual(mended(), [2]);

    await page.goto(`${server.url}/destinations/${destination_id}`);
    await page.locator('#newest tr').filter({ hasText: 'exhausted' }).first().getByRole('link').first().click();
    await page.getByRole('link', { name: 'Send all exhausted with 500 again' }).click();
    await page.getByRole('heading', { name: 'Send 2 deliveries again?' }).waitFor();
    assert.deepEqual(mended(), [2], 'nothing is sent before it is confirmed');
    await page.getByRole('button', { name: 'Send 2 again' }).click();
    await page.getByRole('status').filter({ hasText: 'sent again' }).waitFor();
    // The list follows.
    await page.locator('#rows').getByText('succeeded').nth(2).waitFor();
    assert.equal(await page.locator('#rows tbody tr').count(), 3);
    assert.deepEqual(mended(), [0, 1, 2]);
    await page.goto(server.url);
    assert.equal(await page.locator('#trouble').getByText('Shop').count(), 0, 'it is well again');
  });
});

test('without JavaScript everything works but what is live', () =>
  page(
    async page => {
      await page.goto(server.url);
      await page.getByLabel('Admin token').fill(server.token);
      await page.getByRole('button', { name: 'Log in' }).click();
      await page.getByRole('link', { name: 'Accounts' }).click();
      await unfold(page, 'New account');
      await page.getByLabel('Name', { exact: true }).fill('Plain');
      await page.getByLabel('E-mail', { exact: true }).fill('plain@example.com');
      await page.getByRole('button', { name: 'Create account' }).click();
      await page.getByRole('heading', { name: 'Account created: Plain' }).waitFor();
      // What needs a script is not offered.
      for (const gone of ['Copy', 'Keyboard shortcuts']) {
        assert.equal(await page.getByRole('button', { name: gone }).count(), 0, gone);
      }
      assert.equal(await page.locator('#live').filter({ visible: true }).count(), 0);
      await page.getByRole('link', { name: 'Add a destination' }).click();
      await page.getByLabel('URL', { exact: true }).fill(`${receiver.url}/plain`);
      await page.getByRole('button', { name: 'Create destination' }).click();
      await page.getByRole('status').filter({ hasText: 'is created' }).waitFor();

      await page.getByRole('button', { name: 'Pause', exact: true }).click();
      await page.getByText('Paused manually').waitFor();
      await page.getByRole('link', { name: 'Plain' }).click();
      await page.getByRole('button', { name: 'Send now' }).click();
      await page.getByRole('status').filter({ hasText: 'The event is stored' }).waitFor();
      await page.getByRole('link', { name: /^Delivery to .*: pending$/ }).click();
      await page.getByText('because the destination is paused').waitFor();
      await page.locator('#facts').getByRole('link', { name: '/plain' }).click();
      await page.getByText('Pending now: 1.').waitFor();
      await page.getByRole('button', { name: 'Resume' }).click();
      // The page that answers the form has come: else loading it again meets a page that is about to go.
      await page.getByRole('button', { name: 'Pause', exact: true }).waitFor();
      await eventually(async () => {
        await page.reload();
        return (await page.locator('#newest').getByText('succeeded').count()) === 1;
      }, 'what waited is sent');
      await page.locator('#newest').getByRole('link', { name: /^Delivery to / }).click();
      await page.getByRole('button', { name: 'Send again', exact: true }).click();
      await page.getByRole('status').filter({ hasText: 'sent again' }).waitFor();
      await eventually(async () => {
        await page.reload();
        return (await page.getByRole('heading', { name: 'Attempts: 2' }).count()) === 1;
      }, 'it is sent again');
      assert.equal(receiver.requests.filter(one => one.url === '/plain').length, 2);
      // Times are whole without a script.
      assert.match(await page.locator('#attempts time').first().innerText(), /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC$/);
      await page.getByRole('button', { name: 'Log out' }).click();
      await page.getByLabel('Admin token').waitFor();
    },
    { javaScriptEnabled: false },
  ));

test('a viewer of one account is offered nothing that it may not do, also on a phone', () =>
  page(async page => {
    const account = await newAccount(server, 'Watched');
    const { destination_id } = await newDestination(server, account, `${receiver.url}/broken`, { retry_schedule: [] });
    await account.send({ n: 1 }, 10);
    const token = { name: 'Wall', role: 'viewer', account_id: account.id };
    await logIn(page, { ...server, token: (await server.api('POST', '/v1/tokens', token)).token });
    for (const width of [1280, 390]) {
      await page.setViewportSize({ width, height: 900 });
      for (const path of ['/', '/deliveries', `/accounts/${account.id}`, `/destinations/${destination_id}`]) {
        await page.goto(`${server.url}${path}`);
        await page.getByText(`Logged in as viewer of account ${account.id}`).waitFor();
        assert.equal(await page.locator('main form[method=post]').count(), 0, path);
        await fits(page, `${path} for a viewer, ${width}`);
        await picture(page, `viewer-${path.split('/')[1]}-${width}`, { fullPage: true });
      }
      await isAccessible(page, `a destination for a viewer, ${width}`);
    }
    await page.getByRole('button', { name: 'Log out' }).click();
    await page.getByLabel('Admin token').waitFor();
  }));

test('axe-core finds nothing on the main pages, light and dark, wide and narrow', () =>
  page(async page => {
    await page.goto(server.url);
    await isAccessible(page, 'login');
    await logIn(page, server);
    const { pages } = await world(server, receiver);
    const main = ['overview', 'account', 'destination-failing', 'deliveries', 'delivery-failing'];
    for (const name of main) {
      await page.goto(`${server.url}${pages[name]}`);
      for (const [width, colorScheme] of [[1280, 'light'], [390, 'dark']]) {
        await page.setViewportSize({ width, height: 900 });
        await page.emulateMedia({ colorScheme });
        await isAccessible(page, `${name} ${width} ${colorScheme}`);
        await fits(page, `${name} ${width}`);
        await picture(page, `${name}-${width}-${colorScheme}`, { fullPage: true });
      }
    }
  }));
