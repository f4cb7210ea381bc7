// The built local server with its Stripe, and the clients of both.

import assert from 'node:assert/strict';
import Stripe from 'stripe';
import { startLocal } from '../support/local.mjs';

export const PAYMENT = '55555555-5555-4555-8555-555555555555';
export const INTENT = 'pi_demo';
export const WEBHOOK_SECRET = 'whsec_sandbox';

/** Starts the server. `stripe` is Stripe's own client of its Stripe, `stripeUrl` and `key` are what that was told. */
export async function startWorld() {
  const server = await startLocal({ connectorTimeoutMs: 5_000, stripe: true });
  const line = await eventually(() =>
    server.welcome.map((said) => /A Stripe on localhost: (\S+) with the key (\S+)/.exec(said)).find(Boolean),
  );
  const [, stripeUrl, key] = line;
  const { hostname, port } = new URL(stripeUrl);
  const stripe = new Stripe(key, { host: hostname, port: Number(port), protocol: 'http', telemetry: false });
  return { ...server, stripe, stripeUrl, key };
}

/** What `look` finds, as soon as it finds something. */
export async function eventually(look) {
  for (let tries = 0; tries < 200; tries += 1) {
    const found = await look();
    if (found) return found;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assert.fail('it did not come');
}

/** One action on the Payment, with a key. Returns the answer and the id of its transaction. */
export async function act(world, action, key) {
  const answer = await fetch(`${world.url}/demo/payment-intents/${PAYMENT}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'idempotency-key': key },
    body: JSON.stringify({ actions: [action] }),
  });
  return { status: answer.status, body: await answer.json(), id: answer.headers.get('x-transaction-id') };
}

/** The transactions of the Payment: type, state and amount. */
export async function transactions(world) {
  const payment = await (await fetch(`${world.url}/demo/payments/${PAYMENT}`)).json();
  return payment.transactions.map(({ type, state, amount }) => `${type} ${state} ${amount.centAmount}`);
}

export const amount = (centAmount) => ({ centAmount, currencyCode: 'EUR' });
