// Receives deliveries and verifies their signatures by the public `standardwebhooks` library:
//
//   npm ci && npm run build && WEBHOOK_SECRET=whsec_... node dist/receiver.js 9000
//
// `GET /v1/destinations/{id}/signing-secret` shows the secret.
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import process from "node:process";
import { Webhook, WebhookVerificationError } from "standardwebhooks";

const webhook = new Webhook(process.env["WEBHOOK_SECRET"] ?? "");

async function body(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) {
    chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks).toString("utf8");
}

/** What is signed: the body, or of a GET, which has none, the query as it was sent. */
async function signed(request: IncomingMessage): Promise<string> {
  return request.method === "GET" ? (request.url ?? "").split("?").slice(1).join("?") : body(request);
}

const server = createServer(async (request, response) => {
  try {
    const content = await signed(request);
    webhook.verify(content, request.headers as Record<string, string>, { jsonParse: false });
    console.log(`verified ${request.method} ${request.url} ${request.headers["webhook-id"]}`);
    response.writeHead(204).end();
  } catch (error) {
    console.log(`refused ${request.method} ${request.url}: ${String(error)}`);
    response.writeHead(error instanceof WebhookVerificationError ? 401 : 500).end();
  }
});
server.listen(Number(process.argv[2] ?? 9000), "127.0.0.1", () => {
  console.log(`receiving on http://127.0.0.1:${(server.address() as AddressInfo).port}`);
});
