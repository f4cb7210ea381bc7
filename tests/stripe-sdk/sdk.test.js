// Stripe's own client reads what this service did there, signs webhooks, and plays the dashboard.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import Stripe from 'stripe';
import { INTENT, WEBHOOK_SECRET, act, amount, eventually, startWorld, transactions } from './world.js';

let world;
before(async () => {
  world = await startWorld();
});
after(() => world?.stop());

async function webhook(body, signature) {
  const answer = await fetch(`${world.url}/demo/webhooks/stripe`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(signature && { 'stripe-signature': signature }) },
    body,
  });
  return answer.status;
}

test('what was captured and refunded is read by the client, with our ids', async () => {
  const captured = await act(world, { action: 'capturePayment', amount: amount(6_000) }, 'capture');
  assert.deepEqual([captured.status, captured.body], [200, {}]);
  const intent = await world.stripe.paymentIntents.retrieve(INTENT);
  assert.equal(intent.status, 'succeeded');
  assert.deepEqual([intent.amount, intent.amount_received, intent.amount_capturable], [10_000, 6_000, 0]);
  assert.deepEqual(intent.metadata, { [captured.id]: 'capture 6000' });

  const refunded = await act(world, { action: 'refundPayment', amount: amount(1_000) }, 'refund');
  const { data } = await world.stripe.refunds.list({ payment_intent: INTENT });
  assert.deepEqual(data.map((refund) => [refund.amount, refund.status, refund.metadata]), [
    [1_000, 'succeeded', { [refunded.id]: 'refund 1000' }],
  ]);
  // Stripe released the rest, and the Payment says so.
  assert.ok((await transactions(world)).includes('CancelAuthorization Success 4000'));
});

test('a refund of the dashboard comes by webhook, once', async () => {
  const refund = await world.stripe.refunds.create({ payment_intent: INTENT, amount: 500 });
  assert.equal(refund.status, 'succeeded');
  const expected = 'Refund Success 500';
  await eventually(async () => (await transactions(world)).includes(expected));
  // The same event once more, signed by the client.
  const event = { id: 'evt_1', type: 'refund.updated', data: { object: { id: refund.id, payment_intent: INTENT } } };
  const payload = JSON.stringify(event);
  const signature = world.stripe.webhooks.generateTestHeaderString({ payload, secret: WEBHOOK_SECRET });
  assert.equal(await webhook(payload, signature), 200);
  assert.equal((await transactions(world)).filter((one) => one === expected).length, 1);
});

test('signatures of the client are taken, and nothing else', async () => {
  const payload = JSON.stringify({ id: 'evt_2', type: 'customer.created', data: { object: { id: 'cus_ä' } } }, null, 2);
  const sign = (options) => world.stripe.webhooks.generateTestHeaderString({ payload, secret: WEBHOOK_SECRET, ...options });
  const now = Math.floor(Date.now() / 1000);
  assert.equal(await webhook(payload, sign({})), 200);
  assert.equal(await webhook(payload, sign({ timestamp: now - 290 })), 200);
  assert.equal(await webhook(payload, sign({ timestamp: now - 310 })), 401);
  assert.equal(await webhook(payload, sign({ secret: 'whsec_other' })), 401);
  assert.equal(await webhook(payload, sign({ scheme: 'v0' })), 401);
  assert.equal(await webhook(JSON.stringify(JSON.parse(payload)), sign({})), 401);
  assert.equal(await webhook(payload, undefined), 401);
});

test('the client raises the errors that Stripe raises', async () => {
  const capture = world.stripe.paymentIntents.capture(INTENT, { amount_to_capture: 1 });
  await assert.rejects(capture, (error) => {
    assert.ok(error instanceof Stripe.errors.StripeInvalidRequestError);
    return error.code === 'payment_intent_unexpected_state';
  });
  const tooMuch = world.stripe.refunds.create({ payment_intent: INTENT, amount: 1_000_000 });
  await assert.rejects(tooMuch, { type: 'StripeInvalidRequestError', statusCode: 400 });
  const { hostname, port } = new URL(world.stripeUrl);
  const other = new Stripe('sk_test_other', { host: hostname, port: Number(port), protocol: 'http', telemetry: false });
  await assert.rejects(other.paymentIntents.retrieve(INTENT), { type: 'StripeAuthenticationError' });
});

test('the same key has one effect at Stripe, and one answer', async () => {
  const key = { idempotencyKey: 'dashboard-1' };
  const first = await world.stripe.refunds.create({ payment_intent: INTENT, amount: 100 }, key);
  const again = await world.stripe.refunds.create({ payment_intent: INTENT, amount: 100 }, key);
  assert.equal(again.id, first.id);
  assert.equal(again.lastResponse.headers['idempotent-replayed'], 'true');
  const other = world.stripe.refunds.create({ payment_intent: INTENT, amount: 200 }, key);
  await assert.rejects(other, { type: 'StripeIdempotencyError' });
});

test('the Payment and Stripe have the same ledger in the end', async () => {
  const listed = world.stripe.refunds.list({ payment_intent: INTENT, limit: 2 });
  const refunds = await listed.autoPagingToArray({ limit: 1_000 });
  assert.ok(refunds.length > 2, 'there are several pages');
  const sum = refunds.reduce((total, refund) => total + refund.amount, 0);
  await eventually(async () => {
    const refunded = (await transactions(world)).filter((one) => one.startsWith('Refund Success'));
    return refunded.reduce((total, one) => total + Number(one.split(' ')[2]), 0) === sum;
  });
});
