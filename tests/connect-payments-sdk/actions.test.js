// A connector on the library of the public connectors, with this service as its platform.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { GenerateInterfaceInteractionCustomFieldsDraft } from '@commercetools/connect-payments-sdk';

import { cancel, capture, eur, ledger, references, refund, reverse, startWorld } from './world.js';

const DONE = { status: 200, code: undefined };
const REFUSED = { status: 400, code: 'InvalidOperation' };

let world;
before(async () => {
  world = await startWorld();
});
after(() => world?.stop());

/** A request to the PSP and its answer, as the library records them. */
const note = GenerateInterfaceInteractionCustomFieldsDraft({
  interactionId: 'interaction-1',
  createdAt: '2026-01-02T03:04:05.678Z',
  request: '{"capture":true}',
  response: '{"ok":true}',
  type: 'AUTHORIZATION',
});

/** A Payment with this captured amount, whose capture was answered and reported. */
async function captured(centAmount = 10_000) {
  const paymentId = await world.authorizedPayment();
  assert.deepEqual(await world.act(paymentId, capture(centAmount)), DONE);
  return paymentId;
}

test('an authorization that the connector records as the template does can be captured', async () => {
  const { payments } = world.connector;
  const { id, amountPlanned } = await payments.createPayment({
    amountPlanned: eur(10_000),
    paymentMethodInfo: { paymentInterface: 'mock' },
  });
  const interactionId = `authorization-${id}`;

  const recorded = await payments.updatePayment({
    id,
    pspReference: interactionId,
    paymentMethod: 'card',
    transaction: { type: 'Authorization', amount: amountPlanned, interactionId, state: 'Success' },
    pspInteractions: [note],
  });

  assert.equal(recorded.interfaceId, interactionId);
  assert.deepEqual(recorded.paymentMethodInfo, { paymentInterface: 'mock', method: 'card' });
  assert.deepEqual(recorded.interfaceInteractions.map(({ fields }) => fields), [note.fields]);
  const [authorization, ...others] = recorded.transactions;
  assert.deepEqual({ ...authorization, type: 'Authorization', state: 'Success', interactionId }, authorization);
  assert.deepEqual(others, []);
  assert.deepEqual(await world.act(id, capture(10_001)), REFUSED);
  assert.deepEqual(await world.act(id, capture(10_000)), DONE);
});

for (const [what, begin, action, effect] of [
  ['a capture', () => world.authorizedPayment(), capture(4_000), ['Charge', 4_000]],
  ['a refund', () => captured(), refund(4_000), ['Refund', 4_000]],
  ['a cancellation', () => world.authorizedPayment(), cancel, ['CancelAuthorization', 10_000]],
  ['a reversal of what is authorized', () => world.authorizedPayment(), reverse, ['CancelAuthorization', 10_000]],
  ['a reversal of what is captured', () => captured(), reverse, ['Refund', 10_000]],
]) {
  test(`${what} is done once, and is the one transaction that the connector reports`, async () => {
    const paymentId = await begin();
    const earlier = ledger(await world.payment(paymentId)).length;

    assert.deepEqual(await world.act(paymentId, action), DONE);

    const payment = await world.payment(paymentId);
    assert.deepEqual(world.connector.effects(paymentId).slice(earlier), [effect]);
    assert.deepEqual(ledger(payment).slice(earlier), [[...effect, 'Success']]);
    assert.deepEqual(references(payment).slice(earlier), [world.connector.reference(paymentId)]);
  });
}

test('a Payment is captured in parts, one part is refunded, and the ledger has each of them', async () => {
  const paymentId = await captured(6_000);

  assert.deepEqual(await world.act(paymentId, capture(4_000)), DONE);
  assert.deepEqual(await world.act(paymentId, refund(6_000)), DONE);
  assert.deepEqual(await world.act(paymentId, refund(4_001)), REFUSED);

  const effects = [['Charge', 6_000], ['Charge', 4_000], ['Refund', 6_000]];
  assert.deepEqual(world.connector.effects(paymentId), effects);
  assert.deepEqual(ledger(await world.payment(paymentId)), effects.map((effect) => [...effect, 'Success']));
});

test('of 50 parallel captures of the whole amount the PSP does one, and the Payment shows one Charge', async () => {
  const paymentId = await world.authorizedPayment();

  const answers = await Promise.all(Array.from({ length: 50 }, () => world.act(paymentId, capture(10_000))));

  assert.equal(answers.filter(({ status }) => status === 200).length, 1);
  const others = answers.filter(({ status }) => status !== 200).map(({ code }) => code);
  for (const code of others) assert.ok(['ConcurrentModification', 'InvalidOperation'].includes(code), code);
  assert.deepEqual(world.connector.effects(paymentId), [['Charge', 10_000]]);
  const payment = await world.payment(paymentId);
  assert.deepEqual(ledger(payment), [['Charge', 10_000, 'Success']]);
  assert.deepEqual(references(payment), [world.connector.reference(paymentId)]);
});

for (const [first, second] of [[4_000, 6_000], [5_000, 5_000]]) {
  test(`captures of ${first} and ${second} with one reference of the PSP are both in the ledger`, async () => {
    const paymentId = await world.authorizedPayment();
    // Many connectors use the reference of the authorization for each capture.
    const interactionId = (await world.payment(paymentId)).interfaceId;

    const answers = [];
    for (const centAmount of [first, second]) {
      world.connector.plan(paymentId, { interactionId });
      answers.push(await world.act(paymentId, capture(centAmount)));
    }

    assert.deepEqual(world.connector.effects(paymentId), [['Charge', first], ['Charge', second]]);
    const shown = ledger(await world.payment(paymentId));
    assert.deepEqual(shown, [['Charge', first, 'Success'], ['Charge', second, 'Success']]);
    assert.deepEqual(answers, [DONE, DONE]);
    assert.deepEqual(await world.act(paymentId, capture(1)), REFUSED);
    assert.deepEqual(await world.act(paymentId, refund(10_000)), DONE);
  });
}

test('the library repeats its update after a conflict, and it is applied once', async () => {
  const paymentId = await world.authorizedPayment();
  const conflict = { action: 'setStatusInterfaceText', interfaceText: 'another update' };
  world.proxy.beforeUpdates(paymentId, 1, () => world.update(paymentId, conflict));
  const asked = world.proxy.watch(paymentId);

  assert.deepEqual(await world.act(paymentId, capture(10_000)), DONE);

  assert.deepEqual(asked().filter((request) => request.startsWith('POST')), ['POST 409', 'POST 200']);
  const payment = await world.payment(paymentId);
  assert.equal(payment.paymentStatus.interfaceText, conflict.interfaceText);
  assert.deepEqual(ledger(payment), [['Charge', 10_000, 'Success']]);
  assert.deepEqual(references(payment), [world.connector.reference(paymentId)]);
  assert.deepEqual(world.connector.effects(paymentId), [['Charge', 10_000]]);
});

test('an action that the PSP rejects releases its hold and is recorded as failed', async () => {
  const paymentId = await world.authorizedPayment();
  world.connector.plan(paymentId, { outcome: 'rejected' });

  assert.deepEqual(await world.act(paymentId, capture(10_000)), { status: 400, code: 'PaymentFailure' });

  assert.deepEqual(ledger(await world.payment(paymentId)), [['Charge', 10_000, 'Failure']]);
  assert.deepEqual(await world.act(paymentId, capture(10_000)), DONE);
  assert.deepEqual(world.connector.effects(paymentId), [['Charge', 10_000]]);
});

test('an action with an unknown token is not sent to the PSP', async () => {
  const paymentId = await world.authorizedPayment();

  const refused = await world.act(paymentId, capture(10_000), { token: 'unknown-token' });

  assert.deepEqual(refused, { status: 502, code: 'ConnectorFailed' });
  assert.deepEqual(world.connector.effects(paymentId), []);
  assert.deepEqual(ledger(await world.payment(paymentId)), []);
  assert.deepEqual(await world.act(paymentId, capture(10_000)), DONE);
});

test('the connector introspects the merchant\'s own token', async () => {
  const paymentId = await world.authorizedPayment();
  world.tokens.introspected.length = 0;

  assert.deepEqual(await world.act(paymentId, capture(10_000)), DONE);

  assert.deepEqual(world.tokens.introspected, [{ by: 'connector', of: 'merchant' }]);
});
