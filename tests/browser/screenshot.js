// Makes docs/images/dashboard.png again, from a server that had an hour's work:
//   node tests/browser/screenshot.js target/debug/data-pusher
// The server's clock runs 60 times as fast (libfaketime), so that it takes a minute.

import { readdirSync } from 'node:fs';
import { mkdir, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';

import { startBrowser } from './browser.js';
import { eventually } from './dashboard.js';
import { startReceiver, startServer } from './server.js';

const OUT = resolve(import.meta.dirname, '../../docs/images/dashboard.png');
const MAX_BYTES = 200_000;
const SPEED = 60;

/** The library that sets a clock, wherever Debian has put it for this machine. */
function clockLibrary() {
  const found = readdirSync('/usr/lib').map(name => `/usr/lib/${name}/faketime/libfaketimeMT.so.1`);
  return found.find(path => {
    try {
      return readdirSync(join(path, '..')).length > 0;
    } catch {
      return false;
    }
  });
}

const binary = process.argv[2];
if (!binary) throw new Error('usage: node tests/browser/screenshot.js BINARY');
// Pauses go by the other clock, which stays true: nothing waits well on a clock that runs away.
const env = { LD_PRELOAD: clockLibrary(), FAKETIME: `-1h x${SPEED}`, DONT_FAKE_MONOTONIC: '1' };
const receiver = await startReceiver({ '/erp/orders': { status: 503, body: 'Down for maintenance until 18:00.' } });
const server = await startServer(resolve(binary), { isDev: true, env });
const browser = await startBrowser();
try {
  const accounts = [];
  const shops = [
    ['Tea & Cups', 'shop@tea-and-cups.example', ['/crm/contacts', '/warehouse/orders']],
    ['Northwind Books', 'it@northwind-books.example', ['/billing/invoices', '/erp/orders']],
    ['Café Lindgren', 'hej@cafe-lindgren.example', ['/loyalty/points', '/analytics/collect']],
  ];
  for (const [account_name, email, paths] of shops) {
    const account = await server.api('POST', '/v1/accounts', { account_name, email });
    const made = [];
    for (const path of paths) {
      const body = { url: receiver.url + path, http_method: 'POST', headers: { 'X-Shop': 'web' }, retry_schedule: ['10m', '30m', '2h'] };
      made.push(await server.api('POST', `/v1/accounts/${account.account_id}/destinations`, body));
    }
    accounts.push({ ...account, made });
  }
  const began = Date.now();
  // More in the middle of the hour than at its ends, and never twice the same.
  const busy = second => 3 + Math.round(5 * Math.sin((second / 56) * Math.PI) ** 2 + 3 * Math.abs(Math.sin(second * 1.7)));
  const send = (account, n) =>
    server.api('POST', '/server/incoming_data', { order_id: 1_042 + n, status: 'paid', total: '19.90' }, { 'CL-XTOKEN': account.app_secret_token });
  for (let n = 0, second = 0; second < 56; second += 1) {
    await eventually(() => Date.now() - began >= second * 1_000, 'the next minute of the server begins');
    for (let some = busy(second); some > 0; some -= 1, n += 1) await send(accounts[n % 3], n);
    if (second === 48) await server.api('POST', `/v1/destinations/${accounts[2].made[1].destination_id}/pause`);
  }
  const page = await browser.newPage({ viewport: { width: 1280, height: 800 }, locale: 'en-GB', timezoneId: 'Europe/Berlin' });
  await page.goto(server.url);
  await page.locator('#live[data-state=on]').waitFor();
  await mkdir(join(OUT, '..'), { recursive: true });
  await page.screenshot({ path: OUT });
  const { size } = await stat(OUT);
  if (size > MAX_BYTES) throw new Error(`${OUT} has ${size} bytes, more than ${MAX_BYTES}`);
  console.log(`${OUT}: ${size} bytes`);
} finally {
  await browser.close();
  await server.stop();
  await receiver.stop();
}
