// The Checkout SDK and its HTTP client, as published, and the errors as its user reads them.

import assert from 'node:assert/strict';

import { createApiBuilderFromCtpClient } from '@commercetools/checkout-sdk';

export const eur = (centAmount) => ({ centAmount, currencyCode: 'EUR' });
export const capture = (centAmount, merchantReference) =>
  ({ action: 'capturePayment', amount: eur(centAmount), merchantReference });

/**
 * The SDK over the client of `builder`, with all of its automatic retries. `attempts` holds the headers of each
 * request that it sends.
 */
export function checkoutWith(builder, http) {
  const attempts = [];
  const client = builder
    .withCorrelationIdMiddleware()
    .withConcurrentModificationMiddleware()
    .withHttpMiddleware({
      enableRetry: true,
      httpClient(url, options) {
        attempts.push(options.headers);
        return fetch(url, options);
      },
      ...http,
    })
    .build();
  const intents = createApiBuilderFromCtpClient(client).withProjectKey({ projectKey: 'demo' }).paymentIntents();
  const post = (paymentId, body, headers) => intents.withPaymentId({ paymentId }).post({ body, headers }).execute();
  return { attempts, post, act: (paymentId, action, headers) => post(paymentId, { actions: [action] }, headers) };
}

/** The error of a request that must fail. After a broken connection the SDK rejects with `{ body, error }`. */
export const failure = (execution) =>
  execution.then(
    (answer) => assert.fail(`answered ${answer.statusCode} ${JSON.stringify(answer.body)}`),
    (reason) => (reason instanceof Error ? reason : reason.error),
  );

/** The class, status and code of an error, read in all the places where the SDK keeps them. */
export function assertError(error, name, statusCode, code) {
  assert.deepEqual(
    { name: error.name, statusCode: error.statusCode, code: error.code },
    { name, statusCode, code: code ?? error.body?.errors?.[0].code },
    error.message,
  );
  assert.equal(error.body.statusCode, statusCode);
  assert.equal(error.body.message, error.body.errors[0].message);
}
