// Each update action of the platform that the service supports, sent by the platform's own client.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, test } from 'node:test';

import { startLocal } from '../support/local.mjs';
import { assertError, assertPayment, eur, failure, paymentsOf, transaction } from './client.js';

let local;
before(async () => {
  local = await startLocal({ connectorTimeoutMs: 2_000 });
});
after(() => local?.stop());

const draft = { amountPlanned: eur(10_000), transactions: [transaction('Authorization', 10_000, 'Pending')] };

const PAST = '2026-01-02T03:04:05.678Z';
const authorization = ({ transactions }) => transactions[0];

/** Each action that sets an empty field: the field, the value, and its place in the Payment. */
const SETS = {
  setKey: ['key', ({ id }) => `key-${id}`, ({ key }) => key],
  setInterfaceId: ['interfaceId', ({ id }) => `interface-${id}`, ({ interfaceId }) => interfaceId],
  setMethodInfoInterface: ['interface', () => 'adyen', ({ paymentMethodInfo }) => paymentMethodInfo.paymentInterface],
  setMethodInfoMethod: ['method', () => 'card', ({ paymentMethodInfo }) => paymentMethodInfo.method],
  setMethodInfoName: ['name', () => ({ en: 'Card', de: 'Karte' }), ({ paymentMethodInfo }) => paymentMethodInfo.name],
  setStatusInterfaceCode: ['interfaceCode', () => '305', ({ paymentStatus }) => paymentStatus.interfaceCode],
  setStatusInterfaceText: ['interfaceText', () => 'no, really', ({ paymentStatus }) => paymentStatus.interfaceText],
  changeTransactionState: ['state', () => 'Success', (payment) => authorization(payment).state],
  changeTransactionInteractionId: ['interactionId', () => 'psp-2', (payment) => authorization(payment).interactionId],
  changeTransactionTimestamp: ['timestamp', () => PAST, (payment) => authorization(payment).timestamp],
  setTransactionInterfaceId: ['interfaceId', () => 'connector-2', (payment) => authorization(payment).interfaceId],
};
/** Each action that adds to a list: the list and the entry. */
const ADDS = {
  addTransaction: ['transactions', { transaction: transaction('Authorization', 500, 'Failure') }],
  addInterfaceInteraction: ['interfaceInteractions', { type: { typeId: 'type', id: 'note' }, fields: { a: 1 } }],
};

const setting = (name, payment) => {
  const [field, value] = SETS[name];
  const ofTransaction = name.includes('Transaction') ? { transactionId: authorization(payment).id } : {};
  return { action: name, ...ofTransaction, [field]: value(payment) };
};
const adding = (name) => ({ action: name, ...ADDS[name][1] });

for (const [name, [, value, read]] of Object.entries(SETS)) {
  test(`${name} sets its field, raises the version, and changes nothing the second time`, async () => {
    const payments = paymentsOf(local.url);
    const created = await payments.create(draft);

    const updated = await payments.update(created, setting(name, created));
    const again = await payments.update(updated, setting(name, created));

    assertPayment(updated);
    assert.deepEqual(read(updated), value(created));
    assert.equal(updated.version, created.version + 1);
    assert.equal(again.version, updated.version);
    assert.deepEqual(await payments.byId(created.id), again);
  });
}

const REMOVABLE = ['setMethodInfoMethod', 'setMethodInfoName', 'setStatusInterfaceCode', 'setTransactionInterfaceId'];
for (const name of REMOVABLE) {
  test(`${name} without a value removes the field`, async () => {
    const payments = paymentsOf(local.url);
    const created = await payments.create(draft);
    const [field, , read] = SETS[name];
    const updated = await payments.update(created, setting(name, created));

    const removed = await payments.update(updated, { ...setting(name, created), [field]: undefined });

    assertPayment(removed);
    assert.equal(read(removed), undefined);
    assert.equal(removed.version, updated.version + 1);
  });
}

for (const [name, [list]] of Object.entries(ADDS)) {
  test(`${name} adds one entry and raises the version`, async () => {
    const payments = paymentsOf(local.url);
    const created = await payments.create(draft);

    const updated = await payments.update(created, adding(name));

    assertPayment(updated);
    assert.equal(updated[list].length, created[list].length + 1);
    assert.equal(updated.version, created.version + 1);
    assert.deepEqual(await payments.byId(created.id), updated);
  });
}

test('all actions of one request are applied, and each raises the version', async () => {
  const payments = paymentsOf(local.url);
  const created = await payments.create(draft);
  const actions = [...Object.keys(SETS).map((name) => setting(name, created)), ...Object.keys(ADDS).map(adding)];

  const updated = await payments.update(created, ...actions);

  assertPayment(updated);
  // Transactions are ordered by their timestamps, one of which was changed.
  const shown = { ...updated, transactions: updated.transactions.filter(({ id }) => id === authorization(created).id) };
  for (const [name, [, value, read]] of Object.entries(SETS)) assert.deepEqual(read(shown), value(created), name);
  for (const [name, [list]] of Object.entries(ADDS)) assert.equal(updated[list].length, created[list].length + 1, name);
  assert.equal(updated.version, created.version + actions.length);
});

test('a request without actions is answered with the Payment as it is', async () => {
  const payments = paymentsOf(local.url);
  const created = await payments.create(draft);

  assert.deepEqual(await payments.update(created), created);
});

const dollars = { type: 'Charge', state: 'Success', amount: { centAmount: 1, currencyCode: 'USD' } };
for (const [what, bad] of [
  ['an unknown action', { action: 'changeAmountPlanned', amount: eur(1) }],
  ['a field that is missing', { action: 'setStatusInterfaceText' }],
  ['a transaction that is not there', { ...setting('changeTransactionState', draft), transactionId: randomUUID() }],
  ['another currency', { action: 'addTransaction', transaction: dollars }],
]) {
  test(`${what} among others: nothing of the request is applied`, async () => {
    const payments = paymentsOf(local.url);
    const created = await payments.create(draft);
    const code = setting('setStatusInterfaceCode', created);
    const text = setting('setStatusInterfaceText', created);

    const refused = await failure(payments.update(created, code, bad, text));

    assert.equal(refused.statusCode, 400, JSON.stringify(refused.body));
    assert.deepEqual(await payments.byId(created.id), created);
  });
}

test('an unknown action is an InvalidInput that names it', async () => {
  const payments = paymentsOf(local.url);
  const created = await payments.create(draft);

  const refused = await failure(payments.update(created, { action: 'changeAmountPlanned', amount: eur(1) }));

  assertError(refused, 'BadRequest', 400, 'InvalidInput');
  assert.match(refused.message, /changeAmountPlanned/);
});
