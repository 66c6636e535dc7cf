// The binary on a free port with a file of its own, and a receiver on loopback that notes what it gets.

import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

// Far longer than a start takes.
const PATIENCE_MS = 30_000;

/** Starts `binary`; gives its URL, its login link, its admin token, and what stops it. */
export async function startServer(binary) {
  const folder = await mkdtemp(join(tmpdir(), 'data-pusher-browser-'));
  const database = join(folder, 'browser.db');
  const words = ['serve', '--listen', '127.0.0.1:0', '--database', database, '--log-format', 'json'];
  words.push('--allow-network', '127.0.0.0/8', '--shutdown-grace', '1s');
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('DATA_PUSHER_')));
  const child = spawn(binary, words, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = new Promise(resolve => child.on('exit', resolve));
  const stop = async () => {
    child.kill('SIGTERM');
    await ended;
    await rm(folder, { recursive: true });
  };
  const log = [];
  try {
    const [address, link] = await new Promise((resolve, reject) => {
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
          if (said.address && said.link) resolve([said.address, said.link]);
        });
      }
    });
    const token = (await readFile(`${database}.admin-token`, 'utf8')).trim();
    return { url: `http://${address}`, link, token, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Starts a receiver that takes everything; gives its URL, the requests so far, and what stops it. */
export async function startReceiver() {
  const requests = [];
  const server = createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    requests.push({ method: request.method, headers: request.headers, body: Buffer.concat(chunks).toString() });
    response.end('ok');
  });
  await new Promise(resolve => server.listen(0, '127.0.0.1', resolve));
  const stop = () => {
    server.closeAllConnections();
    return new Promise(resolve => server.close(resolve));
  };
  return { url: `http://127.0.0.1:${server.address().port}`, requests, stop };
}
