// What a file of tests plays on: one browser, one receiver and one server, from the first test to the last.

import { after, before } from 'node:test';

import { startBrowser, withPage } from './browser.js';
import { ANSWERS } from './dashboard.js';
import { startReceiver, startServer } from './server.js';

/** The program under test. */
export const binary = process.env.DATA_PUSHER_BINARY;

/** They are there once tests run. */
export let browser, receiver, server;

before(async () => {
  [browser, receiver, server] = await Promise.all([startBrowser(), startReceiver({ ...ANSWERS }), startServer(binary)]);
});

after(async () => {
  await browser?.close();
  await server?.stop();
  await receiver?.stop();
});

/** A page of the server, without a session. */
export const page = (use, options) => withPage(browser, server.url, use, options);
