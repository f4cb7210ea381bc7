// Reports of the connector about an action, before, during and after its answer: they are the same transaction, once.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { cancel, capture, eur, ledger, references, refund, reverse, startWorld } from './world.js';

const DONE = { status: 200, code: undefined };
const REFUSED = { status: 400, code: 'InvalidOperation' };
const UNKNOWN = { status: 500, code: 'General' };

let world;
before(async () => {
  world = await startWorld();
});
after(() => world?.stop());

/** A webhook that the PSP delivers twice, as it does when the first delivery is in doubt. */
const deliverTwice = (paymentId, state) =>
  Promise.all([world.connector.notify(paymentId, state), world.connector.notify(paymentId, state)]);

/** One Charge of 60.00 EUR of 100.00, in its reported state, with the matching balances. */
async function assertOneCharge(paymentId, state) {
  const payment = await world.payment(paymentId);
  assert.deepEqual(ledger(payment), [['Charge', 6_000, state]]);
  assert.deepEqual(references(payment), [world.connector.reference(paymentId)]);
  const happened = state === 'Success';
  assert.deepEqual(world.connector.effects(paymentId), happened ? [['Charge', 6_000]] : []);
  assert.deepEqual(await world.act(paymentId, happened ? capture(4_001) : refund(1)), REFUSED);
  assert.deepEqual(await world.act(paymentId, happened ? refund(6_000) : capture(10_000)), DONE);
}

/**
 * A rejected capture did not happen. So a report after it is an effect of its own, like a capture in the dashboard.
 */
async function assertRejectedAndAnother(paymentId) {
  const payment = await world.payment(paymentId);
  assert.deepEqual(ledger(payment), [['Charge', 6_000, 'Failure'], ['Charge', 6_000, 'Success']]);
  assert.equal(references(payment)[1], world.connector.reference(paymentId));
  assert.deepEqual(await world.act(paymentId, capture(4_001)), REFUSED);
  assert.deepEqual(await world.act(paymentId, refund(6_001)), REFUSED);
  assert.deepEqual(await world.act(paymentId, refund(6_000)), DONE);
}

/** The result of a report and an answer. Against an approval, a Failure counts when it is reported after it. */
async function assertDecided(paymentId, state, outcome) {
  if (state === 'Success' && outcome === 'rejected') return assertRejectedAndAnother(paymentId);
  if (state === 'Failure' && outcome === 'approved') await world.connector.notify(paymentId, state);
  return assertOneCharge(paymentId, state);
}

const OUTCOMES = ['approved', 'received', 'rejected'];
for (const outcome of OUTCOMES) {
  for (const state of ['Success', 'Failure']) {
    const plan = { outcome, acts: state === 'Success', reports: false };

    test(`a ${state} that arrives twice before the answer ${outcome} decides`, async () => {
      const paymentId = await world.authorizedPayment();
      world.connector.plan(paymentId, { ...plan, beforeAnswer: () => deliverTwice(paymentId, state) });

      await world.act(paymentId, capture(6_000));

      await assertDecided(paymentId, state, outcome);
    });

    test(`a ${state} that arrives twice during the answer ${outcome} decides`, async () => {
      const paymentId = await world.authorizedPayment();
      let delivered;
      world.connector.plan(paymentId, {
        ...plan,
        beforeAnswer() {
          // Not awaited, so that report and answer are on their way at the same time.
          delivered = deliverTwice(paymentId, state);
        },
      });

      await world.act(paymentId, capture(6_000));
      await delivered;

      await assertDecided(paymentId, state, outcome);
    });

    test(`a ${state} that arrives twice after the answer ${outcome} decides`, async () => {
      const paymentId = await world.authorizedPayment();
      world.connector.plan(paymentId, plan);

      const answer = await world.act(paymentId, capture(6_000));
      await deliverTwice(paymentId, state);

      assert.deepEqual(answer, outcome === 'rejected' ? { status: 400, code: 'PaymentFailure' } : DONE);
      await assertDecided(paymentId, state, outcome);
    });
  }
}

for (const state of ['Success', 'Failure']) {
  test(`a ${state} after a connector reported the contrary decides, and the other way round again`, async () => {
    const paymentId = await world.authorizedPayment();
    const contrary = { Success: 'rejected', Failure: 'approved' }[state];
    world.connector.plan(paymentId, { outcome: contrary, acts: true });
    await world.act(paymentId, capture(6_000));

    await world.connector.notify(paymentId, state);
    assert.deepEqual(ledger(await world.payment(paymentId)), [['Charge', 6_000, state]]);
    await world.connector.notify(paymentId, state === 'Success' ? 'Failure' : 'Success');
    await world.connector.notify(paymentId, 'Success');

    await assertOneCharge(paymentId, 'Success');
  });
}

for (const [what, action, begin, effect] of [
  ['a capture', capture(10_000), [], ['Charge', 10_000]],
  ['a refund', refund(10_000), [capture(10_000)], ['Refund', 10_000]],
  ['a cancellation', cancel, [], ['CancelAuthorization', 10_000]],
  ['a reversal of what is authorized', reverse, [], ['CancelAuthorization', 10_000]],
  ['a reversal of what is captured', reverse, [capture(10_000)], ['Refund', 10_000]],
]) {
  test(`${what} whose answer is lost after its report is final at once`, async () => {
    const paymentId = await world.authorizedPayment();
    for (const earlier of begin) assert.deepEqual(await world.act(paymentId, earlier), DONE);
    world.connector.plan(paymentId, { loses: true });
    const key = `lost-${paymentId}`;

    await world.act(paymentId, action, { key });

    const payment = await world.payment(paymentId);
    assert.deepEqual(ledger(payment).at(-1), [...effect, 'Success']);
    assert.equal(references(payment).at(-1), world.connector.reference(paymentId));
    assert.deepEqual(await world.act(paymentId, action, { key }), DONE);
    const effects = [...begin.map(({ amount }) => ['Charge', amount.centAmount]), effect];
    assert.deepEqual(world.connector.effects(paymentId), effects);
    assert.equal(ledger(await world.payment(paymentId)).length, effects.length);
  });

  test(`${what} whose answer is lost before its report waits, and is final when the PSP says so`, async () => {
    const paymentId = await world.authorizedPayment();
    for (const earlier of begin) assert.deepEqual(await world.act(paymentId, earlier), DONE);
    world.connector.plan(paymentId, { loses: true, reports: false });

    assert.deepEqual(await world.act(paymentId, action), UNKNOWN);
    assert.deepEqual(ledger(await world.payment(paymentId)).at(-1), [...effect, 'Initial']);
    await deliverTwice(paymentId, 'Success');

    const payment = await world.payment(paymentId);
    assert.deepEqual(ledger(payment).at(-1), [...effect, 'Success']);
    assert.equal(ledger(payment).length, begin.length + 1);
    assert.equal(references(payment).at(-1), world.connector.reference(paymentId));
    assert.equal(world.connector.effects(paymentId).length, begin.length + 1);
  });
}

test('a capture whose report meets conflicts until the library gives up is unclear until a webhook', async () => {
  const paymentId = await world.authorizedPayment();
  let conflicts = 0;
  world.proxy.beforeUpdates(paymentId, 3, async () => {
    conflicts += 1;
    await world.update(paymentId, { action: 'setStatusInterfaceText', interfaceText: `conflict ${conflicts}` });
  });
  const asked = world.proxy.watch(paymentId);

  assert.deepEqual(await world.act(paymentId, capture(6_000)), UNKNOWN);
  assert.deepEqual(asked().filter((request) => request.startsWith('POST')), ['POST 409', 'POST 409', 'POST 409']);
  assert.deepEqual(ledger(await world.payment(paymentId)), [['Charge', 6_000, 'Initial']]);
  await world.connector.notify(paymentId, 'Success');

  await assertOneCharge(paymentId, 'Success');
});

test('two captures of one amount whose answers are lost are both final when the PSP reports them', async () => {
  const paymentId = await world.authorizedPayment();
  const reported = [];
  for (const interactionId of ['one', 'two']) {
    world.connector.plan(paymentId, { loses: true, reports: false, interactionId: `${interactionId}-${paymentId}` });
    assert.deepEqual(await world.act(paymentId, capture(5_000)), UNKNOWN);
    reported.push({ type: 'Charge', amount: eur(5_000), interactionId: world.connector.reference(paymentId) });
  }

  for (const effect of reported) await world.connector.notify(paymentId, 'Success', effect);

  const payment = await world.payment(paymentId);
  assert.deepEqual(ledger(payment), [['Charge', 5_000, 'Success'], ['Charge', 5_000, 'Success']]);
  assert.deepEqual(references(payment).toSorted(), reported.map(({ interactionId }) => interactionId));
});

test('an approval against a failure that was reported of the same capture is open, and holds its amount', async () => {
  const paymentId = await world.authorizedPayment();
  world.connector.plan(paymentId, { reports: false, beforeAnswer: () => deliverTwice(paymentId, 'Failure') });

  assert.deepEqual(await world.act(paymentId, capture(10_000)), UNKNOWN);

  const payment = await world.payment(paymentId);
  assert.deepEqual(ledger(payment), [['Charge', 10_000, 'Initial']]);
  assert.equal(payment.discrepancy, true);
  assert.deepEqual(await world.act(paymentId, capture(10_000)), REFUSED);
  assert.deepEqual(world.connector.effects(paymentId), [['Charge', 10_000]]);
  await world.connector.notify(paymentId, 'Success');
  assert.deepEqual(ledger(await world.payment(paymentId)), [['Charge', 10_000, 'Success']]);
  assert.deepEqual(await world.act(paymentId, refund(10_000)), DONE);
});

test('a capture of the same amount in the PSP\'s dashboard is a second one as soon as both were reported', async () => {
  const paymentId = await world.authorizedPayment();
  const dashboard = { type: 'Charge', amount: eur(4_000), interactionId: `dashboard-${paymentId}` };
  world.connector.plan(paymentId, { beforeAnswer: () => world.connector.notify(paymentId, 'Success', dashboard) });

  assert.deepEqual(await world.act(paymentId, capture(4_000)), DONE);

  assert.deepEqual(ledger(await world.payment(paymentId)), [['Charge', 4_000, 'Success'], ['Charge', 4_000, 'Success']]);
  assert.deepEqual(await world.act(paymentId, capture(2_001)), REFUSED);
  assert.deepEqual(await world.act(paymentId, capture(2_000)), DONE);
  assert.deepEqual(await world.act(paymentId, refund(10_000)), DONE);
});

test('a capture in the PSP\'s dashboard while another is on its way is a second one', async () => {
  const paymentId = await world.authorizedPayment();
  const dashboard = { type: 'Charge', amount: eur(3_000), interactionId: `dashboard-${paymentId}` };
  world.connector.plan(paymentId, { beforeAnswer: () => world.connector.notify(paymentId, 'Success', dashboard) });

  assert.deepEqual(await world.act(paymentId, capture(6_000)), DONE);

  const shown = ledger(await world.payment(paymentId));
  assert.deepEqual(shown.toSorted(), [['Charge', 3_000, 'Success'], ['Charge', 6_000, 'Success']]);
  assert.deepEqual(await world.act(paymentId, capture(1_001)), REFUSED);
  assert.deepEqual(await world.act(paymentId, refund(9_000)), DONE);
});
