// Effects at the PSP, reported with the platform's own client: each report moves money in the ledger once.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, test } from 'node:test';

import { startLocal } from '../support/local.mjs';
import { act, capture, eur, paymentsOf, refund, transaction } from './client.js';

let local;
before(async () => {
  local = await startLocal({ connectorTimeoutMs: 2_000 });
});
after(() => local?.stop());

const register = (...transactions) => paymentsOf(local.url).create({ amountPlanned: eur(10_000), transactions });
const authorization = (state = 'Success') => transaction('Authorization', 10_000, state);

/** Sends an update action with the current version. */
async function tell(paymentId, ...actions) {
  const payments = paymentsOf(local.url);
  return payments.update(await payments.byId(paymentId), ...actions);
}
const add = (...report) => ({ action: 'addTransaction', transaction: transaction(...report) });
const change = (transactionId, state) => ({ action: 'changeTransactionState', transactionId, state });

/** The transactions after the authorization, in short. */
const ledger = ({ transactions }) =>
  transactions
    .filter(({ type }) => type !== 'Authorization')
    .map(({ type, amount, state }) => [type, amount.centAmount, state]);

const DONE = { status: 200, code: undefined };
const REFUSED = { status: 400, code: 'InvalidOperation' };
async function assertAnswer(paymentId, action, expected) {
  const { status, code } = await act(local.url, paymentId, action);
  assert.deepEqual({ status, code }, expected, `${action.action} ${action.amount?.centAmount}`);
}

test('a capture in the PSP\'s dashboard reduces the amount left to capture, and can be refunded', async () => {
  const { id } = await register(authorization());

  const told = await tell(id, add('Charge', 4_000, 'Success', { interactionId: 'dashboard-1' }));

  assert.deepEqual(ledger(told), [['Charge', 4_000, 'Success']]);
  await assertAnswer(id, capture(6_001), REFUSED);
  await assertAnswer(id, capture(6_000), DONE);
  await assertAnswer(id, refund(10_000), DONE);
});

test('a pending capture in the dashboard holds its amount', async () => {
  const { id } = await register(authorization());

  const told = await tell(id, add('Charge', 4_000, 'Pending', { interactionId: 'dashboard-2' }));

  await assertAnswer(id, capture(6_001), REFUSED);
  await tell(id, change(told.transactions.at(-1).id, 'Failure'));
  await assertAnswer(id, capture(10_000), DONE);
});

test('a Chargeback leaves nothing to refund', async () => {
  const { id } = await register(authorization());
  await assertAnswer(id, capture(10_000), DONE);

  const told = await tell(id, add('Chargeback', 10_000, 'Success', { interactionId: 'chargeback-1' }));

  assert.deepEqual(ledger(told), [['Charge', 10_000, 'Success'], ['Chargeback', 10_000, 'Success']]);
  await assertAnswer(id, refund(1), REFUSED);
});

test('an authorization that succeeds later can be captured then', async () => {
  const created = await register(authorization('Pending'));
  await assertAnswer(created.id, capture(1), REFUSED);

  await tell(created.id, change(created.transactions[0].id, 'Success'));

  await assertAnswer(created.id, capture(10_000), DONE);
});

test('a further authorization can be captured as well', async () => {
  const { id } = await register(authorization());

  await tell(id, add('Authorization', 5_000, 'Success', { interactionId: 'authorization-2' }));

  await assertAnswer(id, capture(15_001), REFUSED);
  await assertAnswer(id, capture(15_000), DONE);
});

test('an amount that the PSP releases cannot be captured any more', async () => {
  const { id } = await register(authorization());
  await assertAnswer(id, capture(4_000), DONE);

  const told = await tell(id, add('CancelAuthorization', 6_000, 'Success', { interactionId: 'release-1' }));

  assert.deepEqual(ledger(told), [['Charge', 4_000, 'Success'], ['CancelAuthorization', 6_000, 'Success']]);
  await assertAnswer(id, capture(1), REFUSED);
  await assertAnswer(id, refund(4_000), DONE);
});

test('a report with a known interaction id is the same report', async () => {
  const { id } = await register(authorization());
  const report = add('Charge', 4_000, 'Success', { interactionId: 'dashboard-3' });

  await tell(id, report);
  const again = await tell(id, report);

  assert.deepEqual(ledger(again), [['Charge', 4_000, 'Success']]);
  await assertAnswer(id, capture(6_000), DONE);
});

/** A capture that the PSP carried out and whose outcome is unknown to the service. */
async function unclear(centAmount = 10_000) {
  const { id } = await register(authorization());
  const { status, transactionId } = await act(local.url, id, capture(centAmount, 'sandbox:drop'));
  assert.equal(status, 500);
  return { id, transactionId };
}

for (const [how, report] of [
  ['by its id', (transactionId, state) => change(transactionId, state)],
  ['as an addition', (_, state) => add('Charge', 10_000, state, { interactionId: randomUUID() })],
  ['as an addition without an interaction id', (_, state) => add('Charge', 10_000, state)],
]) {
  test(`an unclear capture that is reported as a success ${how} is final, and is one capture`, async () => {
    const { id, transactionId } = await unclear();

    const told = await tell(id, report(transactionId, 'Success'));

    assert.deepEqual(ledger(told), [['Charge', 10_000, 'Success']]);
    assert.equal(told.transactions.at(-1).id, transactionId);
    await assertAnswer(id, capture(1), REFUSED);
    await assertAnswer(id, refund(10_000), DONE);
  });

  test(`an unclear capture that is reported as a failure ${how} releases its hold`, async () => {
    const { id, transactionId } = await unclear();

    const told = await tell(id, report(transactionId, 'Failure'));

    assert.deepEqual(ledger(told), [['Charge', 10_000, 'Failure']]);
    await assertAnswer(id, capture(10_000), DONE);
  });
}

test('an unclear capture takes the interaction id of its report, and a repeat of the report is recognised by it', async () => {
  const { id, transactionId } = await unclear(4_000);
  const report = add('Charge', 4_000, 'Success', { interactionId: 'psp-1' });

  await tell(id, report);
  const again = await tell(id, report);

  assert.deepEqual(ledger(again), [['Charge', 4_000, 'Success']]);
  assert.equal(again.transactions.at(-1).id, transactionId);
  assert.equal(again.transactions.at(-1).interactionId, 'psp-1');
  await assertAnswer(id, capture(6_000), DONE);
});

test('of two unclear captures of one amount the older is the first that is reported', async () => {
  const { id, transactionId: older } = await unclear(4_000);
  const { transactionId: newer } = await act(local.url, id, capture(4_000, 'sandbox:drop'));

  const once = await tell(id, add('Charge', 4_000, 'Success', { interactionId: 'psp-1' }));
  const twice = await tell(id, add('Charge', 4_000, 'Failure', { interactionId: 'psp-2' }));

  const states = ({ transactions }) =>
    [older, newer].map((wanted) => transactions.find((transaction) => transaction.id === wanted).state);
  assert.deepEqual(states(once), ['Success', 'Initial']);
  assert.deepEqual(states(twice), ['Success', 'Failure']);
  await assertAnswer(id, capture(6_000), DONE);
});

test('a report of another amount is another transaction', async () => {
  const { id } = await unclear(4_000);

  const told = await tell(id, add('Charge', 3_000, 'Success', { interactionId: 'dashboard-4' }));

  assert.deepEqual(ledger(told).toSorted(), [['Charge', 3_000, 'Success'], ['Charge', 4_000, 'Initial']]);
  await assertAnswer(id, capture(3_001), REFUSED);
  await assertAnswer(id, capture(3_000), DONE);
});

for (const [state, then] of [['Success', refund(10_000)], ['Failure', capture(10_000)]]) {
  test(`a capture that the PSP took on is final when it reports the ${state}`, async () => {
    const { id } = await register(authorization());
    const { transactionId } = await act(local.url, id, capture(10_000, 'sandbox:received'));

    const told = await tell(id, change(transactionId, state));

    assert.deepEqual(ledger(told), [['Charge', 10_000, state]]);
    await assertAnswer(id, then, DONE);
  });
}

test('a capture that is reported as failed later releases its amount, and takes it again when it succeeds', async () => {
  const { id } = await register(authorization());
  const { transactionId } = await act(local.url, id, capture(10_000));

  await tell(id, change(transactionId, 'Failure'));
  await assertAnswer(id, refund(1), REFUSED);
  await tell(id, change(transactionId, 'Success'));

  await assertAnswer(id, capture(1), REFUSED);
  await assertAnswer(id, refund(10_000), DONE);
});

test('the failure of a refunded capture is recorded as a discrepancy, and frees no money', async () => {
  const { id } = await register(authorization());
  const { transactionId } = await act(local.url, id, capture(10_000));
  await assertAnswer(id, refund(10_000), DONE);

  const told = await tell(id, change(transactionId, 'Failure'));

  // It is open until a further report resolves it.
  assert.deepEqual(ledger(told), [['Charge', 10_000, 'Initial'], ['Refund', 10_000, 'Success']]);
  await assertAnswer(id, refund(1), REFUSED);
  await assertAnswer(id, capture(1), REFUSED);
});

test('the success of a failed capture whose amount was captured again is recorded as a discrepancy, and frees no money', async () => {
  const { id } = await register(authorization());
  const { transactionId } = await act(local.url, id, capture(10_000));
  await tell(id, change(transactionId, 'Failure'));
  await assertAnswer(id, capture(10_000), DONE);

  const told = await tell(id, change(transactionId, 'Success'));

  assert.deepEqual(ledger(told), [['Charge', 10_000, 'Success'], ['Charge', 10_000, 'Success']]);
  await assertAnswer(id, capture(1), REFUSED);
});
