// A third-party client, the Checkout SDK and its HTTP client as published, against the local server.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { ClientBuilder } from '@commercetools/ts-client';

import { startLocal } from '../support/local.mjs';
import { proxyThatKeepsTheFirstAnswer } from './proxy.js';
import { assertError, capture, checkoutWith, eur, failure } from './sdk.js';

const DEMO_AUTHORIZED = '11111111-1111-4111-8111-111111111111';
const DEMO_CAPTURED = '22222222-2222-4222-8222-222222222222';
const DEMO_AUTHORIZED_JPY = '33333333-3333-4333-8333-333333333333';

let local;
before(async () => {
  local = await startLocal({ connectorTimeoutMs: 2_000 });
});
after(() => local?.stop());

const refund = (centAmount, transactionId) => ({ action: 'refundPayment', amount: eur(centAmount), transactionId });
const cancel = { action: 'cancelPayment' };
const reverse = { action: 'reversePayment' };

const checkout = (http) =>
  checkoutWith(new ClientBuilder().withExistingTokenFlow('Bearer unknown-token', {}), { host: local.url, ...http });

const moved = async (paymentId) =>
  (await local.effects(paymentId)).map(({ action, centAmount, currencyCode }) => [action, centAmount, currencyCode]);

const toRegister = ['authorized, to be reversed', 'reserved characters: ä+&=\'"*'];
for (const [paymentId, action, effect] of [
  [DEMO_AUTHORIZED, capture(10_000), ['capturePayment', 10_000, 'EUR']],
  [DEMO_CAPTURED, refund(10_000), ['refundPayment', 10_000, 'EUR']],
  [DEMO_AUTHORIZED_JPY, cancel, ['cancelPayment', 5_000, 'JPY']],
  [toRegister[0], reverse, ['cancelPayment', 10_000, 'EUR']],
  [toRegister[1], capture(1), ['capturePayment', 1, 'EUR']],
]) {
  test(`${action.action} of Payment ${paymentId} is answered 200 with an empty object`, async () => {
    if (toRegister.includes(paymentId)) await local.authorizedPayment(paymentId);
    const { act, attempts } = checkout();

    const answer = await act(paymentId, action);

    assert.equal(answer.statusCode, 200);
    assert.deepEqual(answer.body, {});
    assert.match(answer.headers['content-type'], /^application\/json/);
    assert.equal(answer.headers['cache-control'], 'no-store');
    assert.equal(answer.headers['x-correlation-id'], attempts[0]['X-Correlation-ID']);
    assert.deepEqual(await moved(paymentId), [effect]);
    assert.equal((await local.effects(paymentId))[0].idempotencyKey, answer.headers['x-transaction-id']);
  });
}

test('a Payment is captured in parts, one part is refunded, and the rest reversed', async () => {
  const paymentId = await local.authorizedPayment();
  const { act } = checkout();

  await act(paymentId, capture(6_000));
  const second = await act(paymentId, capture(4_000));
  await act(paymentId, refund(4_000, second.headers['x-transaction-id']));
  await act(paymentId, reverse);

  assert.deepEqual(await moved(paymentId), [
    ['capturePayment', 6_000, 'EUR'],
    ['capturePayment', 4_000, 'EUR'],
    ['refundPayment', 4_000, 'EUR'],
    ['refundPayment', 6_000, 'EUR'],
  ]);
});

for (const [outcome, merchantReference] of [
  ['approved', 'inv-7'],
  ['received', 'sandbox:received'],
  ['rejected', 'sandbox:rejected'],
]) {
  test(`a client that prefers the representation reads the outcome ${outcome}`, async () => {
    const paymentId = await local.authorizedPayment();
    const preference = { Prefer: 'return=representation' };

    const answer = await checkout().act(paymentId, capture(100, merchantReference), preference);

    assert.equal(answer.statusCode, 200);
    assert.deepEqual(answer.body, { outcome });
    assert.equal(answer.headers['preference-applied'], 'return=representation');
  });
}

const badRequest = (code) => ['BadRequest', 400, code];
const amountIsMissing = [{ action: 'capturePayment' }];
const nothingSent = ['HttpError', 502, 'ConnectorFailed'];
const unknownOutcome = ['InternalServerError', 500, 'General'];
for (const { when, actions, body = { actions }, headers, error, fields, effects = 0 } of [
  { when: 'more than is authorized', actions: [capture(10_001)], error: badRequest('InvalidOperation') },
  { when: 'a refund of nothing captured', actions: [refund(1)], error: badRequest('InvalidOperation') },
  { when: 'no action', actions: [], error: badRequest('RequiredField'), fields: { field: 'actions' } },
  { when: 'no amount', actions: amountIsMissing, error: badRequest('RequiredField'), fields: { field: 'amount' } },
  { when: 'half a cent', actions: [capture(0.5)], error: badRequest('InvalidField'), fields: { invalidValue: 0.5 } },
  { when: 'two actions', actions: [capture(1), cancel], error: badRequest('MultipleActionsNotAllowed') },
  { when: 'broken JSON', body: '{"actions":', error: badRequest('InvalidJsonInput') },
  { when: 'a rejection', actions: [capture(1, 'sandbox:rejected')], error: badRequest('PaymentFailure') },
  { when: 'a body over 16 KiB', actions: [capture(1, 'x'.repeat(17 * 1024))], error: ['HttpError', 413] },
  { when: 'text', actions: [cancel], headers: { 'Content-Type': 'text/plain' }, error: ['HttpError', 415] },
  { when: 'a connector that did not act', actions: [capture(1, 'sandbox:refuse')], error: nothingSent },
  { when: 'a dropped connection', actions: [capture(1, 'sandbox:drop')], error: unknownOutcome, effects: 1 },
  { when: 'a failed connector', actions: [capture(1, 'sandbox:error')], error: unknownOutcome, effects: 1 },
]) {
  test(`${when}: the SDK raises ${error.join(' ')} and repeats nothing`, async () => {
    const paymentId = await local.authorizedPayment();
    const { attempts, post } = checkout();

    const refused = await failure(post(paymentId, body, headers));

    assertError(refused, ...error);
    assert.deepEqual({ ...refused.body.errors[0], ...fields }, refused.body.errors[0]);
    assert.equal(refused.headers['x-correlation-id'], attempts[0]['X-Correlation-ID']);
    assert.equal(attempts.length, 1);
    assert.equal((await local.effects(paymentId)).length, effects);
  });
}

test('an unknown Payment is a NotFound that names it', async () => {
  const error = await failure(checkout().act('unknown payment', cancel));

  assertError(error, 'NotFound', 404, 'ResourceNotFound');
  assert.equal(error.body.errors[0].resourceId, 'unknown payment');
});

test('a repeated key is answered from the record, and refused with other content', async () => {
  const paymentId = await local.authorizedPayment();
  const { act } = checkout();
  const key = { 'Idempotency-Key': 'order-7-capture-1' };

  const first = await act(paymentId, capture(4_000), key);
  const again = await act(paymentId, capture(4_000), key);
  const other = await failure(act(paymentId, capture(4_001), key));

  assert.deepEqual(again.body, {});
  assert.equal(first.headers['idempotent-replayed'], undefined);
  assert.equal(again.headers['idempotent-replayed'], 'true');
  assert.equal(again.headers['x-transaction-id'], first.headers['x-transaction-id']);
  assertError(other, 'HttpError', 422, 'IdempotencyKeyReused');
  assert.deepEqual(await moved(paymentId), [['capturePayment', 4_000, 'EUR']]);
});

test('while an action is in flight the SDK raises ConcurrentModification for another and repeats nothing', async () => {
  const paymentId = await local.authorizedPayment();
  const { act } = checkout();
  const held = failure(act(paymentId, capture(4_000, 'sandbox:timeout')));
  for (let tries = 0; tries < 100 && (await moved(paymentId)).length === 0; tries += 1) await sleep(10);

  const second = checkout();
  const refused = await failure(second.act(paymentId, capture(6_000)));

  assertError(refused, 'ConcurrentModification', 409, 'ConcurrentModification');
  assert.equal(refused.body.errors[0].currentVersion, undefined);
  assert.match(refused.headers['retry-after'], /^\d+$/);
  assert.equal(second.attempts.length, 1);
  assertError(await held, 'InternalServerError', 500, 'General');
  assert.deepEqual(await moved(paymentId), [['capturePayment', 4_000, 'EUR']]);
});

test('the retry of the SDK after its own time-out gets the answer that was lost, and money moves once', async (t) => {
  const paymentId = await local.authorizedPayment();
  const proxy = await proxyThatKeepsTheFirstAnswer(t, local.url);
  const { act } = checkout({ host: proxy.url, timeout: 1_000, retryConfig: { retryDelay: 50, backoff: false } });

  const answer = await act(paymentId, capture(4_000), { 'Idempotency-Key': 'order-7-capture-2' });

  assert.equal(answer.statusCode, 200);
  assert.deepEqual(answer.body, {});
  assert.ok(answer.retryCount >= 1, 'the SDK did not retry');
  assert.equal(answer.headers['idempotent-replayed'], 'true');
  assert.deepEqual([...new Set(proxy.seen.map((headers) => headers['idempotency-key']))], ['order-7-capture-2']);
  assert.deepEqual(await moved(paymentId), [['capturePayment', 4_000, 'EUR']]);
});

test('a client that disconnects from a slow action and repeats it moves money once, and is answered to verify the Payment', async () => {
  const paymentId = await local.authorizedPayment();
  const untilAnswered = { retryCodes: [409], maxRetries: 100, retryDelay: 100, backoff: false };
  const { act } = checkout({ timeout: 300, retryConfig: untilAnswered });
  const key = { 'Idempotency-Key': 'order-7-capture-3' };

  const error = await failure(act(paymentId, capture(4_000, 'sandbox:timeout'), key));

  assertError(error, 'InternalServerError', 500, 'General');
  assert.ok(error.retryCount >= 1, 'the SDK did not retry');
  assert.deepEqual(await moved(paymentId), [['capturePayment', 4_000, 'EUR']]);
  const allOfIt = await failure(checkout().act(paymentId, capture(10_000)));
  assertError(allOfIt, 'BadRequest', 400, 'InvalidOperation');
});
