// Chromium, and a page that tells on itself: whatever a browser complains of fails the test that caused it.

import assert from 'node:assert/strict';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

import { chromium } from 'playwright-core';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];

function executable() {
  if (process.env.CHROMIUM) return process.env.CHROMIUM;
  const paths = (process.env.PATH ?? '').split(delimiter).flatMap(folder => NAMES.map(name => join(folder, name)));
  const found = paths.find(path => {
    try {
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
  assert.ok(found, `no Chromium in PATH: install it, or name it in CHROMIUM`);
  return found;
}

/** Starts the system's Chromium. */
export function startBrowser() {
  // In containers it runs as root, where its sandbox does not work; it sees no page but ours.
  return chromium.launch({ executablePath: executable(), args: ['--no-sandbox', '--disable-dev-shm-usage'] });
}

/**
 * Gives `use` a page of a browser that has no cookie and nothing stored, and then requires that nothing went wrong: no
 * error or warning on the console, no violation of the policy, no dialog, and no request to anybody but `origin`.
 * `page.refusals` is where a test names the statuses that it provokes, which Chromium notes on the console, and
 * `page.outages` the network errors. `options` are those of a browser context.
 */
export async function withPage(browser, origin, use, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const wrong = [];
  const refusals = new Set();
  const outages = new Set();
  context.on('request', request => {
    const url = request.url();
    if (!url.startsWith(`${origin}/`) && !url.startsWith('data:')) wrong.push(`a request to ${url}`);
  });
  context.on('requestfailed', request => {
    const why = request.failure()?.errorText;
    // Whoever leaves a page ends its stream, and what it was just reading; a file that is saved is no page.
    const left = why === 'net::ERR_ABORTED' && request.url().startsWith(`${origin}/`);
    if (!left && !outages.has(why)) wrong.push(`${request.url()}: ${why}`);
  });
  const page = await context.newPage();
  page.on('pageerror', error => wrong.push(`an exception: ${error.stack}`));
  page.on('dialog', dialog => {
    wrong.push(`a dialog: ${dialog.message()}`);
    return dialog.dismiss();
  });
  page.on('console', message => {
    const text = message.text();
    const status = /status of (\d+)/.exec(text);
    const outage = /net::ERR_\w+/.exec(text);
    const expected = (text.startsWith('Failed to load resource') && status && refusals.has(Number(status[1])))
      || (outage && outages.has(outage[0]));
    if (['error', 'warning', 'assert'].includes(message.type()) && !expected) wrong.push(`${message.type()}: ${text}`);
  });
  await page.exposeFunction('tellOfViolation', text => wrong.push(`the policy refused ${text}`));
  await page.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', event => {
      globalThis.tellOfViolation(`${event.violatedDirective} ${event.blockedURI} ${event.sample}`);
    });
  });
  page.refusals = refusals;
  page.outages = outages;
  try {
    await use(page);
    // What is under way may still go wrong.
    if (options.javaScriptEnabled !== false) {
      await page.evaluate(() => new Promise(resolve => requestAnimationFrame(() => setTimeout(resolve))));
    }
    assert.deepEqual(wrong, []);
  } catch (error) {
    if (process.env.SCREENSHOTS) await page.screenshot({ path: join(process.env.SCREENSHOTS, 'failed.png') });
    if (wrong.length) error.message += `\nwhat the browser complained of:\n${wrong.join('\n')}`;
    throw error;
  } finally {
    await context.close();
  }
}

/** Keeps a picture of the page for people, where SCREENSHOTS names a folder. */
export async function picture(page, name, options = {}) {
  if (process.env.SCREENSHOTS) await page.screenshot({ path: join(process.env.SCREENSHOTS, `${name}.png`), ...options });
}
