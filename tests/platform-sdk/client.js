// The platform's client, as published, and the requests of the tests.

import assert from 'node:assert/strict';

import { createApiBuilderFromCtpClient } from '@commercetools/platform-sdk';
import { ClientBuilder } from '@commercetools/ts-client';

export const eur = (centAmount) => ({ centAmount, currencyCode: 'EUR' });
export const transaction = (type, centAmount, state, rest) => ({ type, amount: eur(centAmount), state, ...rest });

/**
 * The Payments of a project, through the client with its automatic retries. `repeatsConflicts` adds the middleware
 * that repeats an update after a 409. `sent` holds each body that was sent.
 */
export function paymentsOf(host, { projectKey = 'demo', repeatsConflicts = false } = {}) {
  const sent = [];
  const builder = new ClientBuilder()
    .withExistingTokenFlow('Bearer unknown-token', {})
    .withCorrelationIdMiddleware()
    .withHttpMiddleware({
      host,
      enableRetry: true,
      httpClient(url, options) {
        sent.push(options.body && JSON.parse(options.body));
        return fetch(url, options);
      },
    });
  if (repeatsConflicts) builder.withConcurrentModificationMiddleware();
  const payments = createApiBuilderFromCtpClient(builder.build()).withProjectKey({ projectKey }).payments();
  const payment = (answer) => answer.body;
  return {
    sent,
    create: (draft) => payments.post({ body: draft }).execute().then(payment),
    byId: (ID) => payments.withId({ ID }).get().execute().then(payment),
    byInterfaceId: (interfaceId) =>
      payments.get({ queryArgs: { where: `interfaceId="${interfaceId}"` } }).execute().then(payment),
    where: (where) => payments.get({ queryArgs: { where } }).execute().then(payment),
    byKey: (key) => payments.withKey({ key }).get().execute().then(payment),
    update: ({ id, version }, ...actions) =>
      payments.withId({ ID: id }).post({ body: { version, actions } }).execute().then(payment),
  };
}

/** Sends one action to the service, and returns the answer. */
export async function act(host, paymentId, action) {
  const answer = await fetch(`${host}/demo/payment-intents/${paymentId}`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ actions: [action] }),
  });
  const { errors } = await answer.json();
  return { status: answer.status, code: errors?.[0].code, transactionId: answer.headers.get('x-transaction-id') };
}

export const capture = (centAmount, merchantReference) =>
  ({ action: 'capturePayment', amount: eur(centAmount), merchantReference });
export const refund = (centAmount) => ({ action: 'refundPayment', amount: eur(centAmount) });

/** The error of a request that must fail. */
export const failure = (execution) =>
  execution.then(
    (payment) => assert.fail(`answered ${JSON.stringify(payment)}`),
    (error) => error,
  );

/** The class, status and code of an error, and its first entry with all of `fields`. */
export function assertError(error, name, statusCode, code, fields) {
  assert.deepEqual(
    { name: error.name, statusCode: error.statusCode, code: error.code },
    { name, statusCode, code },
    error.message,
  );
  const [first] = error.body.errors;
  assert.equal(error.body.message, first.message);
  assert.deepEqual({ ...first, ...fields }, first);
}

const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/;

function assertAmount(amount) {
  assert.equal(amount.type, 'centPrecision');
  assert.ok(Number.isSafeInteger(amount.centAmount), `${amount.centAmount} is no number of cents`);
  assert.match(amount.currencyCode, /^[A-Z]{3}$/);
  assert.ok(Number.isInteger(amount.fractionDigits), `${amount.fractionDigits} is no number of digits`);
}

/** The fields that the client's types require. */
export function assertPayment(payment) {
  assert.equal(typeof payment.id, 'string');
  assert.ok(Number.isSafeInteger(payment.version), `${payment.version} is no version`);
  assert.match(payment.createdAt, TIME);
  assert.match(payment.lastModifiedAt, TIME);
  assertAmount(payment.amountPlanned);
  assert.equal(typeof payment.paymentMethodInfo, 'object');
  assert.equal(typeof payment.paymentStatus, 'object');
  assert.ok(Array.isArray(payment.interfaceInteractions));
  assert.ok(Array.isArray(payment.transactions));
  for (const { id, type, state, amount } of payment.transactions) {
    assert.equal(typeof id, 'string');
    assert.ok(['Authorization', 'CancelAuthorization', 'Charge', 'Refund', 'Chargeback'].includes(type), type);
    assert.ok(['Initial', 'Pending', 'Success', 'Failure'].includes(state), state);
    assertAmount(amount);
  }
}
