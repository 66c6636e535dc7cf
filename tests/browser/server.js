// The binary on a free port with a file of its own, and receivers on loopback that note what they get.

import { execFile, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';

// Far longer than a start takes.
const PATIENCE_MS = 30_000;

/**
 * Starts `binary`, with login or as on a laptop (`isDev`), with more variables (`env`) if need be; gives its URL, its
 * login link and admin token where there is a login, a call of its API, what ends it and starts it again on the same
 * port and file, and what stops it.
 */
export async function startServer(binary, { isDev = false, env = {} } = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'data-pusher-browser-'));
  const database = join(folder, 'browser.db');
  let running;
  const stop = async () => {
    await running?.stop();
    await rm(folder, { recursive: true });
  };
  const start = async listen => {
    running = await run(binary, { listen, database, isDev, env });
    return running.said;
  };
  try {
    const { address, link } = await start('127.0.0.1:0');
    const token = isDev ? '' : (await readFile(`${database}.admin-token`, 'utf8')).trim();
    const url = `http://${address}`;
    return {
      url,
      link,
      token,
      stop,
      /** A login link that nobody has used. */
      anotherLink: async () => (await promisify(execFile)(binary, ['login-link', '--database', database])).stdout.trim(),
      /** Ends it as an operator would, and leaves its file. */
      halt: () => running.stop(),
      /** After `halt`. */
      resume: () => start(address),
      api: (method, path, body, headers = {}) => api(url, token, { method, path, body, headers }),
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Runs the binary until it listens. */
async function run(binary, { listen, database, isDev, env }) {
  const words = ['serve', '--listen', listen, '--database', database, '--log-format', 'json'];
  words.push('--shutdown-grace', '1s', ...(isDev ? ['--dev'] : ['--allow-network', '127.0.0.0/8']));
  const own = Object.entries(process.env).filter(([name]) => !name.startsWith('DATA_PUSHER_'));
  const child = spawn(binary, words, { env: { ...Object.fromEntries(own), ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = new Promise(resolve => child.on('exit', resolve));
  const stop = () => {
    child.kill('SIGTERM');
    return ended;
  };
  const log = [];
  try {
    const said = await new Promise((resolve, reject) => {
      const said = {};
      const give = why => reject(new Error(`${why}:\n${log.join('\n')}`));
      child.on('error', reject);
      ended.then(code => give(`the server ended with ${code}`));
      setTimeout(() => give('the server does not listen'), PATIENCE_MS).unref();
      for (const stream of [child.stdout, child.stderr]) {
        createInterface({ input: stream }).on('line', line => {
          log.push(line);
          const record = line.startsWith('{') ? JSON.parse(line) : {};
          if (record.message === 'listening') said.address = record.address;
          if (record.link) said.link = record.link;
          if (said.address && (said.link || isDev)) resolve(said);
        });
      }
    });
    return { said, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Calls the API; gives the JSON of the answer, and fails on an error status. */
async function api(url, token, { method, path, body, headers }) {
  const raw = typeof body === 'string' || body instanceof Uint8Array;
  const response = await fetch(`${url}${path}`, {
    method,
    headers: {
      ...(token && !headers['CL-XTOKEN'] && { Authorization: `Bearer ${token}` }),
      ...(body !== undefined && { 'Content-Type': 'application/json' }),
      ...headers,
    },
    body: raw || body === undefined ? body : JSON.stringify(body),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
  return text && JSON.parse(text);
}

/**
 * Starts a receiver. It answers as `answers` says for a path, `{ status, headers, body }`, and 200 for any other; a test
 * may change `answers`. Gives its URL, the requests so far, and what stops it.
 */
export async function startReceiver(answers = {}) {
  const requests = [];
  const server = createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const { method, url, headers } = request;
    requests.push({ method, url, headers, body: Buffer.concat(chunks).toString() });
    const answer = answers[url.split('?')[0]] ?? {};
    response.writeHead(answer.status ?? 200, answer.headers);
    response.end(answer.body ?? 'ok');
  });
  await new Promise(resolve => server.listen(0, '127.0.0.1', resolve));
  const stop = () => {
    server.closeAllConnections();
    return new Promise(resolve => server.close(resolve));
  };
  return { url: `http://127.0.0.1:${server.address().port}`, requests, answers, stop };
}
