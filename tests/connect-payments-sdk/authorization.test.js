// With verified tokens: each caller may do what its scope allows, and so may the connector.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { capture, ledger, references, startWorld } from './world.js';

let world;
before(async () => {
  world = await startWorld({ verifiesTokens: true });
});
after(() => world?.stop());

const FORBIDDEN = { status: 403, code: 'insufficient_scope' };

async function ask(path, { token, body } = {}) {
  const answer = await fetch(`${world.local.url}/demo/payments${path}`, {
    method: body ? 'POST' : 'GET',
    headers: { 'Content-Type': 'application/json', ...(token && { Authorization: `Bearer ${token}` }) },
    body: body && JSON.stringify(body),
  });
  const { errors } = await answer.json();
  return { status: answer.status, code: errors?.[0].code };
}

test('the merchant captures and the connector reports, each with its own token', async () => {
  const paymentId = await world.authorizedPayment();

  assert.deepEqual(await world.act(paymentId, capture(10_000)), { status: 200, code: undefined });

  const payment = await world.payment(paymentId);
  assert.deepEqual(ledger(payment), [['Charge', 10_000, 'Success']]);
  assert.deepEqual(references(payment), [world.connector.reference(paymentId)]);
  assert.deepEqual(world.connector.effects(paymentId), [['Charge', 10_000]]);
  const asked = new Set(world.tokens.introspected.map(({ by, of }) => `${by} of ${of}`));
  assert.deepEqual([...asked].toSorted(), ['connector of merchant', 'service of connector', 'service of merchant']);
});

test('a connector may not capture, and a merchant may not report', async () => {
  const paymentId = await world.authorizedPayment();
  const { version } = await world.payment(paymentId);
  const charge = { type: 'Charge', amount: { centAmount: 1, currencyCode: 'EUR' }, state: 'Success' };
  const body = { version, actions: [{ action: 'addTransaction', transaction: charge }] };

  assert.deepEqual(await world.act(paymentId, capture(1), { token: world.tokens.issue('connector') }), FORBIDDEN);
  assert.deepEqual(await ask(`/${paymentId}`, { token: world.tokens.issue('merchant'), body }), FORBIDDEN);
  assert.deepEqual(await ask(`/${paymentId}`, { token: world.tokens.issue('shop'), body }), FORBIDDEN);

  assert.deepEqual(world.connector.effects(paymentId), []);
  assert.equal((await world.payment(paymentId)).version, version);
});

test('a caller who may view Payments reads them by id and by key', async () => {
  const paymentId = await world.authorizedPayment();
  await world.update(paymentId, { action: 'setKey', key: `key-${paymentId}` });
  const seen = { status: 200, code: undefined };

  for (const path of [`/${paymentId}`, `/key=key-${paymentId}`]) {
    assert.deepEqual(await ask(path, { token: world.tokens.issue('shop') }), seen, path);
    assert.deepEqual(await ask(path, { token: world.tokens.issue('merchant') }), FORBIDDEN, path);
  }
});

test('an unknown or missing token is refused', async () => {
  const paymentId = await world.authorizedPayment();

  for (const token of ['unknown-token', undefined]) assert.equal((await ask(`/${paymentId}`, { token })).status, 401);
  assert.equal((await world.act(paymentId, capture(1), { token: 'unknown-token' })).status, 401);

  assert.deepEqual(world.connector.effects(paymentId), []);
});
