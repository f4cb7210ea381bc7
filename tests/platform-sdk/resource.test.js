// A third-party client, the platform's own as published, with this service as its platform.

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

const uniqueKey = () => `key-${randomUUID()}`;
const authorized = (rest) =>
  ({ amountPlanned: eur(10_000), transactions: [transaction('Authorization', 10_000, 'Success')], ...rest });
const customFields = (fields) => ({ type: { typeId: 'type', id: '8a1f3e0c-6a53-4c9e-9c7c-0d4f0d9f8f11' }, fields });

test('a Payment with only a planned amount has all required fields', async () => {
  const created = await paymentsOf(local.url).create({ amountPlanned: eur(10_000) });

  assertPayment(created);
  assert.equal(created.version, 1);
  assert.deepEqual(created.amountPlanned, { type: 'centPrecision', ...eur(10_000), fractionDigits: 2 });
  assert.deepEqual(created.transactions, []);
  assert.deepEqual(created.interfaceInteractions, []);
});

test('a Payment is read back by its id and by its key as it was created', async () => {
  const payments = paymentsOf(local.url);
  const authorization = transaction('Authorization', 10_000, 'Success', {
    timestamp: '2026-01-02T03:04:05.678Z',
    interactionId: 'psp-1',
    interfaceId: 'connector-1',
  });
  const draft = {
    key: uniqueKey(),
    interfaceId: `interface-${randomUUID()}`,
    anonymousId: 'anonymous-1',
    customer: { typeId: 'customer', id: '4a1d5b3e-2f57-4f7a-8e0a-3b9a3f1d2c44' },
    amountPlanned: eur(10_000),
    paymentMethodInfo: { paymentInterface: 'adyen', method: 'card', name: { en: 'Credit card', de: 'Kreditkarte' } },
    paymentStatus: { interfaceCode: '305', interfaceText: 'authorized' },
    transactions: [authorization],
    interfaceInteractions: [customFields({ request: '{"a":1}' })],
    custom: customFields({ order: 7, nested: { list: [1.5, null] } }),
  };

  const created = await payments.create(draft);

  assertPayment(created);
  const { amountPlanned, transactions, ...same } = draft;
  assert.deepEqual({ ...created, ...same }, created);
  assert.deepEqual({ ...created.amountPlanned, ...amountPlanned }, created.amountPlanned);
  assert.equal(created.transactions.length, transactions.length);
  const { amount, ...rest } = authorization;
  assert.deepEqual({ ...created.transactions[0], ...rest }, created.transactions[0]);
  assert.deepEqual({ ...created.transactions[0].amount, ...amount }, created.transactions[0].amount);
  assert.deepEqual(await payments.byId(created.id), created);
  assert.deepEqual(await payments.byKey(draft.key), created);
});

test('a key is unique within a project, and may exist in another project', async () => {
  const payments = paymentsOf(local.url);
  const key = uniqueKey();
  const first = await payments.create(authorized({ key }));

  const again = await failure(payments.create(authorized({ key })));
  const elsewhere = await paymentsOf(local.url, { projectKey: 'other' }).create(authorized({ key }));

  assertError(again, 'BadRequest', 400, 'DuplicateField', { field: 'key', duplicateValue: key });
  assert.notEqual(elsewhere.id, first.id);
  assert.equal((await payments.byKey(key)).id, first.id);
});

test('of many Payments that are created with one key at once, one is', async () => {
  const payments = paymentsOf(local.url);
  const key = uniqueKey();

  const results = await Promise.allSettled(Array.from({ length: 10 }, () => payments.create(authorized({ key }))));

  const created = results.filter(({ status }) => status === 'fulfilled');
  assert.equal(created.length, 1);
  assert.equal((await payments.byKey(key)).id, created[0].value.id);
});

test('a moved key finds the Payment that has it now, and not the one before', async () => {
  const payments = paymentsOf(local.url);
  const key = uniqueKey();
  const first = await payments.create(authorized({ key }));
  const second = await payments.create(authorized());

  const taken = await failure(payments.update(second, { action: 'setKey', key }));
  const without = await payments.update(first, { action: 'setKey' });
  const moved = await payments.update(second, { action: 'setKey', key });

  assertError(taken, 'BadRequest', 400, 'DuplicateField', { field: 'key', duplicateValue: key });
  assert.equal(without.key, undefined);
  assert.deepEqual(await payments.byKey(key), moved);
});

test("a Payment is found by its PSP's id, set at its creation or later", async () => {
  const payments = paymentsOf(local.url);
  const [early, late] = [`psp-${randomUUID()}`, `psp ${randomUUID()}/1`];
  const created = await payments.create(authorized({ interfaceId: early }));
  const nameless = await payments.create(authorized());
  assert.deepEqual((await payments.byInterfaceId(late)).results, []);
  const named = await payments.update(nameless, { action: 'setInterfaceId', interfaceId: late });

  for (const [id, payment] of [[early, created], [late, named]]) {
    const page = await payments.byInterfaceId(id);
    assert.deepEqual(page, { limit: 20, offset: 0, count: 1, total: 1, results: [payment] });
  }
  assert.deepEqual((await paymentsOf(local.url, { projectKey: 'acme' }).byInterfaceId(early)).results, []);
});

test('any other predicate is refused', async () => {
  const error = await failure(paymentsOf(local.url).where('key="a" or key="b"'));
  assertError(error, 'BadRequest', 400, 'InvalidInput', {});
});

test('an unknown id and an unknown key are a NotFound', async () => {
  const payments = paymentsOf(local.url);

  assertError(await failure(payments.byId(randomUUID())), 'NotFound', 404, 'ResourceNotFound');
  assertError(await failure(payments.byKey(uniqueKey())), 'NotFound', 404, 'ResourceNotFound');
  const absent = { id: randomUUID(), version: 1 };
  const update = payments.update(absent, { action: 'setStatusInterfaceCode', interfaceCode: '1' });
  assertError(await failure(update), 'NotFound', 404, 'ResourceNotFound');
});
