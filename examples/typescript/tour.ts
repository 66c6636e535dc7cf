// The tour of the README with a client that openapi-typescript generated:
//
//   npm ci && npm run build && node dist/tour.js
//
// Needs a running server and a receiver. SERVER, RECEIVER and ADMIN_TOKEN say where they are.
import { randomUUID } from "node:crypto";
import process from "node:process";
import createClient from "openapi-fetch";
import type { components, paths } from "./generated/api.js";

type Problem = components["schemas"]["Problem"];

/** The answer; a problem says why there is none. */
function expect<T>({ data, error }: { data?: T; error?: Problem }): T {
  if (data === undefined) {
    throw new Error(error ? `${error.status} ${error.title}: ${error.detail}` : "an answer without a body");
  }
  return data;
}

const server = process.env["SERVER"] ?? "http://127.0.0.1:8080";
const receiver = process.env["RECEIVER"] ?? "http://127.0.0.1:9000";
const authorization = `Bearer ${process.env["ADMIN_TOKEN"] ?? "none under --dev"}`;
const admin = createClient<paths>({ baseUrl: server, headers: { authorization } });

const account = expect(
  await admin.POST("/v1/accounts", { body: { email: `ada-${randomUUID()}@example.com`, account_name: "Ada" } }),
);
console.log("account", account.account_id);

const destination = expect(
  await admin.POST("/v1/accounts/{account_id}/destinations", {
    params: { path: { account_id: account.account_id } },
    body: { url: `${receiver}/crm`, http_method: "POST", headers: { "X-Source": "typescript" } },
  }),
);
console.log("destination", destination.destination_id, destination.state);

// Data is sent with the account's own token, in a header of its own.
const sender = createClient<paths>({ baseUrl: server, headers: { "CL-XTOKEN": account.app_secret_token } });
const event = expect(
  await sender.POST("/server/incoming_data", {
    params: { header: { Prefer: "wait=5" } },
    body: { order: 1001, items: ["tea", "cups"] },
  }),
);
console.log("event", event.event_id);

for (const { delivery_id } of event.deliveries) {
  const delivery = expect(await admin.GET("/v1/deliveries/{delivery_id}", { params: { path: { delivery_id } } }));
  for (const attempt of delivery.attempts) {
    console.log("attempt", attempt.number, attempt.status_code, `${attempt.duration_ms} ms`);
  }
  console.log("delivery", delivery.delivery_id, delivery.state);
}

// Every error is a `Problem`.
const missing = await admin.GET("/v1/accounts/{account_id}", { params: { path: { account_id: "acc_nobody" } } });
console.log("problem", missing.error?.status, missing.error?.code);
