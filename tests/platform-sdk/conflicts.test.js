// Concurrent updates, and the version that orders them.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { startLocal } from '../support/local.mjs';
import { act, assertError, capture, eur, failure, paymentsOf, transaction } from './client.js';

let local;
before(async () => {
  local = await startLocal({ connectorTimeoutMs: 2_000 });
});
after(() => local?.stop());

const draft = { amountPlanned: eur(10_000), transactions: [transaction('Authorization', 10_000, 'Success')] };
const code = (interfaceCode) => ({ action: 'setStatusInterfaceCode', interfaceCode });
const text = (interfaceText) => ({ action: 'setStatusInterfaceText', interfaceText });
const note = (number) =>
  ({ action: 'addInterfaceInteraction', type: { typeId: 'type', id: 'note' }, fields: { number } });

test('a stale version is a ConcurrentModification with the current one, and changes nothing', async () => {
  const payments = paymentsOf(local.url);
  const created = await payments.create(draft);
  const updated = await payments.update(created, code('1'));

  const refused = await failure(payments.update(created, code('2')));

  assertError(refused, 'ConcurrentModification', 409, 'ConcurrentModification', { currentVersion: updated.version });
  assert.deepEqual(await payments.byId(created.id), updated);
});

test('the middleware of the client repeats a stale update once, with the current version', async () => {
  const payments = paymentsOf(local.url, { repeatsConflicts: true });
  const created = await payments.create(draft);
  const updated = await payments.update(created, code('1'));
  payments.sent.length = 0;

  const repeated = await payments.update(created, text('declined'));

  assert.deepEqual(payments.sent.map(({ version }) => version), [created.version, updated.version]);
  assert.deepEqual(repeated.paymentStatus, { interfaceCode: '1', interfaceText: 'declined' });
  assert.deepEqual(await payments.byId(created.id), repeated);
});

test('of parallel updates exactly those that are answered 200 are applied', async () => {
  const payments = paymentsOf(local.url, { repeatsConflicts: true });
  const created = await payments.create(draft);
  const numbers = Array.from({ length: 20 }, (_, number) => number);

  const results = await Promise.allSettled(numbers.map((number) => payments.update(created, note(number))));

  const applied = numbers.filter((number) => results[number].status === 'fulfilled');
  const current = await payments.byId(created.id);
  const found = current.interfaceInteractions.map(({ fields }) => fields.number).toSorted((one, two) => one - two);
  assert.ok(applied.length >= 1, 'none was applied');
  assert.deepEqual(found, applied);
  assert.equal(current.version, created.version + applied.length);
  const refusals = results.flatMap(({ reason }) => reason ?? []);
  for (const refused of refusals) assertError(refused, 'ConcurrentModification', 409, 'ConcurrentModification');
});

test('an action on the Payment raises its version, so that an update from before it is stale', async () => {
  const payments = paymentsOf(local.url);
  const created = await payments.create(draft);
  const answer = await act(local.url, created.id, capture(4_000));
  assert.equal(answer.status, 200);

  const refused = await failure(payments.update(created, code('1')));

  const { version } = await payments.byId(created.id);
  assertError(refused, 'ConcurrentModification', 409, 'ConcurrentModification', { currentVersion: version });
  assert.ok(version > created.version);
});

test('parallel updates and actions all succeed in the end', async () => {
  const payments = paymentsOf(local.url);
  const created = await payments.create(draft);
  const untilApplied = async (number) => {
    for (;;) {
      try {
        return await payments.update(await payments.byId(created.id), note(number));
      } catch (error) {
        assertError(error, 'ConcurrentModification', 409, 'ConcurrentModification');
      }
    }
  };

  const answers = Promise.all([1, 2, 3].map(() => act(local.url, created.id, capture(2_000))));
  await Promise.all(Array.from({ length: 5 }, (_, number) => untilApplied(number)));

  const captured = (await answers).filter(({ status }) => status === 200).length;
  const current = await payments.byId(created.id);
  const charges = current.transactions.filter(({ type, state }) => type === 'Charge' && state === 'Success');
  assert.ok(captured >= 1, 'no capture succeeded');
  assert.equal((await local.effects(created.id)).length, captured);
  assert.equal(charges.length, captured);
  assert.equal(current.interfaceInteractions.length, 5);
});
