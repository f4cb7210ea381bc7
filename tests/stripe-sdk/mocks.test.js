// The Stripe on localhost against two public mocks of Stripe, each for what it is good at: the same calls have to come
// to the same ends. `localstripe` (PyPI) knows the states of PaymentIntents; LOCALSTRIPE names its program.
// `stripe-stateful-mock` (npm) keeps keys as documented, and refuses to refund too much.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createServer } from 'node:net';
import { after, before, describe, test } from 'node:test';
import mock from 'stripe-stateful-mock';
import { eventually, startWorld } from './world.js';

let world;
let stateful;
let localstripe;

before(async () => {
  world = await startWorld();
  stateful = mock.createExpressApp().listen(0, '127.0.0.1');
  if (process.env.LOCALSTRIPE) localstripe = await startLocalstripe(process.env.LOCALSTRIPE);
});
after(async () => {
  stateful?.close();
  localstripe?.process.kill('SIGKILL');
  await world?.stop();
});

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function startLocalstripe(program) {
  const port = await freePort();
  const child = spawn(program, ['--port', String(port)], { stdio: 'ignore' });
  process.on('exit', () => child.kill('SIGKILL'));
  const url = `http://127.0.0.1:${port}`;
  await eventually(() => fetch(url).then(() => true, () => false));
  return { url, process: child };
}

let count = 0;

/** One call of the API. Without a key of the test's own it has a new one. */
async function call(url, apiKey, path, form, key = `key-${(count += 1)}`) {
  const answer = await fetch(`${url.replace(/\/$/, '')}/v1/${path}`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${apiKey}`,
      'content-type': 'application/x-www-form-urlencoded',
      'idempotency-key': key,
      'stripe-version': '2026-10-28.endive',
    },
    body: new URLSearchParams(form).toString(),
  });
  const body = await answer.json();
  return { status: answer.status, isReplay: answer.headers.get('idempotent-replayed') === 'true', body };
}

describe('states, against localstripe', { skip: !process.env.LOCALSTRIPE && 'LOCALSTRIPE names no program' }, () => {
  /** The ends of calls on a new PaymentIntent of 100, of which nothing is captured. */
  async function ends(calls) {
    const at = {
      ours: { url: world.stripeUrl, key: world.key },
      theirs: { url: localstripe.url, key: 'sk_test_12345' },
    };
    const ended = {};
    for (const [name, { url, key }] of Object.entries(at)) {
      const method = name === 'ours' ? { body: { id: 'pm_card_visa' } } : await call(url, key, 'payment_methods', CARD);
      const intent = await call(url, key, 'payment_intents', {
        amount: '100', currency: 'eur', capture_method: 'manual', confirm: 'true', payment_method: method.body.id,
      });
      ended[name] = [intent.body.status];
      for (const [path, form] of calls) {
        const isRefund = path === 'refunds';
        const answer = isRefund
          ? await call(url, key, path, { payment_intent: intent.body.id, ...form })
          : await call(url, key, `payment_intents/${intent.body.id}/${path}`, form);
        ended[name].push(answer.status === 200
          ? [answer.body.object, answer.body.status, answer.body.amount]
          : [answer.status, answer.body.error.type]);
      }
    }
    return ended;
  }

  const CARD = {
    type: 'card', 'card[number]': '4242424242424242', 'card[exp_month]': '12', 'card[exp_year]': '2030', 'card[cvc]': '123',
  };
  const whole = ['capture', { amount_to_capture: '100' }];
  const part = ['capture', { amount_to_capture: '40' }];
  const cancel = ['cancel', {}];
  const refund = ['refunds', { amount: '10' }];
  for (const [name, calls, last] of [
    ['a whole capture', [whole], ['payment_intent', 'succeeded', 100]],
    ['a capture of a part is the last', [part, part], [400, 'invalid_request_error']],
    ['a capture of too much', [['capture', { amount_to_capture: '101' }]], [400, 'invalid_request_error']],
    ['a cancel', [cancel], ['payment_intent', 'canceled', 100]],
    ['a second cancel', [cancel, cancel], [400, 'invalid_request_error']],
    // Not a capture after a cancel: localstripe answers that with 200, and Stripe with an error.
    ['a cancel after a capture', [part, cancel], [400, 'invalid_request_error']],
    ['a refund', [whole, refund], ['refund', 'succeeded', 10]],
    ['two equal refunds', [part, refund, refund], ['refund', 'succeeded', 10]],
  ]) {
    test(name, async () => {
      const { ours, theirs } = await ends(calls);
      assert.deepEqual(ours, theirs);
      assert.deepEqual(ours.at(-1), last);
    });
  }
});

describe('keys and refunds, against stripe-stateful-mock', () => {
  /** What `calls` come to on a payment of which 100 are captured. */
  async function ends(calls) {
    const theirUrl = `http://127.0.0.1:${stateful.address().port}`;
    const charge = await call(theirUrl, 'sk_test_a', 'charges', { amount: '100', currency: 'eur', source: 'tok_visa' });
    assert.equal(charge.status, 200, JSON.stringify(charge.body));
    const intent = await call(world.stripeUrl, world.key, 'payment_intents', { amount: '100', currency: 'eur' });
    await call(world.stripeUrl, world.key, `payment_intents/${intent.body.id}/capture`, {});
    const run = async (url, apiKey, of) => {
      const ended = [];
      const ids = [];
      for (const [form, key] of calls) {
        const answer = await call(url, apiKey, 'refunds', { ...of, ...form }, key && `${key}-${count}`);
        const { error } = answer.body;
        if (!error) ids.push(answer.body.id);
        const end = error ? [error.type, error.code ?? null] : ['refund', answer.body.amount, ids.indexOf(answer.body.id)];
        ended.push([answer.status, answer.isReplay, ...end]);
      }
      return ended;
    };
    const tag = count;
    const theirs = await run(theirUrl, 'sk_test_a', { charge: charge.body.id });
    count = tag;
    const ours = await run(world.stripeUrl, world.key, { payment_intent: intent.body.id });
    count += 1_000;
    return { ours, theirs };
  }

  const refund = (amount) => ({ amount: String(amount) });
  for (const [name, calls, last] of [
    ['the same key again is answered again', [[refund(40), 'k'], [refund(40), 'k']], [200, true, 'refund', 40, 0]],
    ['the same key with other content', [[refund(40), 'k'], [refund(41), 'k']], [400, false, 'idempotency_error', null]],
    ['an error is saved, too', [[refund(101), 'k'], [refund(101), 'k']], [400, true, 'invalid_request_error', null]],
    ['other keys have effects of their own', [[refund(40)], [refund(40)]], [200, false, 'refund', 40, 1]],
    ['more than is left', [[refund(60)], [refund(60)]], [400, false, 'invalid_request_error', null]],
    ['all is refunded', [[refund(100)], [refund(1)]], [400, false, 'invalid_request_error', 'charge_already_refunded']],
    ['nothing', [[refund(0)]], [400, false, 'invalid_request_error', 'parameter_invalid_integer']],
  ]) {
    test(name, async () => {
      const { ours, theirs } = await ends(calls);
      assert.deepEqual(ours, theirs);
      assert.deepEqual(ours.at(-1), last);
    });
  }
});
