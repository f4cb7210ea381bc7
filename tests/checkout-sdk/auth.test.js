// The client-credentials flow of the Checkout SDK. A token service issues its tokens, and our service introspects them
// there.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { ClientBuilder } from '@commercetools/ts-client';

import { startLocal } from '../support/local.mjs';
import { assertError, capture, checkoutWith, failure } from './sdk.js';
import { IN_MILLISECONDS, IN_SECONDS, startTokenService } from './token-service.js';

const ACT = 'manage_checkout_payment_intents:demo';
const REGISTER = 'manage_payments:demo';
const HOUR_MS = 3_600_000;

let tokenService;
let local;
before(async () => {
  tokenService = await startTokenService();
  local = await startLocalThatAsks(tokenService);
});
after(async () => {
  await local?.stop();
  await tokenService?.stop();
});

/** The server with introspection. Payments are registered with a token of another client. */
function startLocalThatAsks({ client, environment }) {
  const authorization = `Bearer ${client({ scopes: [REGISTER] }).issue()}`;
  return startLocal({ connectorTimeoutMs: 2_000, environment, authorization });
}

/** The SDK, which fetches its tokens itself and keeps them in `tokenCache`. */
function checkout(client, { tokenCache, ...http } = {}) {
  const { clientId, clientSecret, scopes } = client;
  const credentials = { clientId, clientSecret };
  const flow = { host: tokenService.url, projectKey: 'demo', credentials, scopes, tokenCache };
  return checkoutWith(new ClientBuilder().withClientCredentialsFlow(flow), { host: local.url, ...http });
}

/** The SDK with a given token, which it cannot replace. */
const checkoutWithToken = (token, http) =>
  checkoutWith(new ClientBuilder().withExistingTokenFlow(`Bearer ${token}`, {}), { host: local.url, ...http });

/** A token cache with a token that the SDK fetched an hour ago and takes for valid. */
function cacheWith(token) {
  let kept = { token, expirationTime: Date.now() + HOUR_MS };
  return {
    get: () => kept,
    set(next) {
      kept = next;
    },
  };
}

const tokensSent = (attempts) => attempts.map((headers) => headers.Authorization.replace(/^Bearer /, ''));

/** An error about access, with the fields of the contract and those of OAuth. */
function assertAccessError(error, name, statusCode, code) {
  assertError(error, name, statusCode, code);
  assert.equal(error.message, error.body.message);
  assert.equal(error.body.error, code);
  assert.equal(error.body.error_description, error.body.message);
}

const effectsOf = async (paymentId, at = local) =>
  (await at.effects(paymentId)).map(({ action, centAmount }) => [action, centAmount]);
const ONCE = [['capturePayment', 4_000]];

for (const scopes of [[ACT], ['manage_project:demo'], ['view_products:demo', ACT, 'manage_project:other']]) {
  test(`with ${scopes.join(' ')} the SDK gets a token by itself, and money moves once`, async () => {
    const paymentId = await local.authorizedPayment();
    const client = tokenService.client({ scopes });
    const { act, attempts } = checkout(client);

    const answer = await act(paymentId, capture(4_000));

    assert.equal(answer.statusCode, 200);
    assert.deepEqual(answer.body, {});
    assert.deepEqual(
      client.tokenRequests.map(({ form }) => form),
      [{ grant_type: 'client_credentials', scope: scopes.join(' ') }],
    );
    assert.deepEqual(tokensSent(attempts), client.tokens);
    assert.deepEqual(client.introspections, [{ token: client.tokens[0], token_type_hint: 'access_token' }]);
    assert.deepEqual(await effectsOf(paymentId), ONCE);
  });
}

for (const scope of ['manage_checkout_payment_intents:other', 'manage_project:demo2', REGISTER, 'view_payments:demo']) {
  test(`with ${scope} the SDK raises Forbidden 403 insufficient_scope and repeats nothing`, async () => {
    const paymentId = await local.authorizedPayment();
    const client = tokenService.client({ scopes: [scope] });
    const { act, attempts } = checkout(client);

    const error = await failure(act(paymentId, capture(4_000)));

    assertAccessError(error, 'Forbidden', 403, 'insufficient_scope');
    assert.match(error.message, /^Insufficient scope\..*manage_checkout_payment_intents/);
    assert.match(error.headers['www-authenticate'], /^Bearer .*error="insufficient_scope"/);
    assert.equal(error.headers['x-correlation-id'], attempts[0]['X-Correlation-ID']);
    assert.equal(attempts.length, 1);
    assert.equal(client.tokenRequests.length, 1);
    assert.deepEqual(await effectsOf(paymentId), []);
  });
}

test('without a token the SDK raises Unauthorized 401 access_denied, and nothing is introspected', async () => {
  const paymentId = await local.authorizedPayment();
  const { act, attempts } = checkoutWith(new ClientBuilder(), { host: local.url });

  const error = await failure(act(paymentId, capture(4_000)));

  assertAccessError(error, 'Unauthorized', 401, 'access_denied');
  assert.equal(attempts[0].Authorization, undefined);
  // The challenge to a request without a token has no error (RFC 6750, 3.1).
  assert.match(error.headers['www-authenticate'], /^Bearer /);
  assert.doesNotMatch(error.headers['www-authenticate'], /error=/);
  assert.equal(attempts.length, 1);
  assert.deepEqual(tokenService.introspectionsOfUnknown, []);
  assert.deepEqual(await effectsOf(paymentId), []);
});

const activeButOver = (exp) => (answer) =>
  answer(200, { active: true, scope: ACT, exp: exp(Date.now() - HOUR_MS) });
for (const { which, isRevoked, client } of [
  { which: 'a revoked token', isRevoked: true, client: {} },
  { which: 'an expired token', client: { lifetimeMs: 0 } },
  { which: 'a token with an exp that is over, in seconds', client: { inPlaceOfAnswer: activeButOver(IN_SECONDS) } },
  {
    which: 'a token with an exp that is over, in milliseconds',
    client: { inPlaceOfAnswer: activeButOver(IN_MILLISECONDS) },
  },
  { which: 'an unknown token' },
]) {
  test(`${which}: the SDK raises Unauthorized 401 invalid_token, and has no other to repeat with`, async () => {
    const paymentId = await local.authorizedPayment();
    const issuer = client && tokenService.client({ scopes: [ACT], ...client });
    const token = issuer?.issue() ?? 'unknown-token';
    if (isRevoked) issuer.revoke(token);
    const { act, attempts } = checkoutWithToken(token);

    const error = await failure(act(paymentId, capture(4_000)));

    assertAccessError(error, 'Unauthorized', 401, 'invalid_token');
    assert.match(error.headers['www-authenticate'], /^Bearer .*error="invalid_token"/);
    assert.equal(attempts.length, 1);
    assert.equal((issuer?.introspections ?? tokenService.introspectionsOfUnknown).length, 1);
    assert.deepEqual(await effectsOf(paymentId), []);
  });
}

for (const headers of [undefined, { 'Idempotency-Key': 'order-7-capture-1' }]) {
  const how = headers ? 'with a key' : 'without a key';
  test(`a revoked token: the SDK gets a new one, repeats once ${how}, and money moves once`, async () => {
    const paymentId = await local.authorizedPayment();
    const client = tokenService.client({ scopes: [ACT] });
    const revoked = client.issue();
    client.revoke(revoked);
    const { act, attempts } = checkout(client, { tokenCache: cacheWith(revoked) });

    const answer = await act(paymentId, capture(4_000), headers);

    assert.equal(answer.statusCode, 200);
    assert.deepEqual(answer.body, {});
    const [, renewed] = client.tokens;
    assert.deepEqual(tokensSent(attempts), [revoked, renewed]);
    assert.equal(client.tokenRequests.length, 1);
    // It is the same request, with the same correlation id and key.
    assert.equal(attempts[1]['X-Correlation-ID'], attempts[0]['X-Correlation-ID']);
    assert.equal(attempts[1]['Idempotency-Key'], headers?.['Idempotency-Key']);
    assert.equal(answer.headers['x-correlation-id'], attempts[0]['X-Correlation-ID']);
    // The refused attempt left no record.
    assert.equal(answer.headers['idempotent-replayed'], undefined);
    assert.deepEqual(await effectsOf(paymentId), ONCE);

    await act(paymentId, capture(1));
    assert.deepEqual(tokensSent(attempts), [revoked, renewed, renewed], 'the new token was not kept');
    assert.equal(client.tokenRequests.length, 1);
  });
}

for (const [unit, exp] of Object.entries({ seconds: IN_SECONDS, milliseconds: IN_MILLISECONDS })) {
  test(`a token that expires earlier than the SDK thinks, in ${unit}: the cached introspection ends with it`, async () => {
    const paymentId = await local.authorizedPayment();
    const lifetimeMs = 2_000;
    const client = tokenService.client({ scopes: [ACT], lifetimeMs, exp });
    const { act, attempts } = checkout(client);

    await act(paymentId, capture(4_000));
    await sleep(lifetimeMs + 50);
    await act(paymentId, capture(6_000));

    const [expired, renewed] = client.tokens;
    assert.deepEqual(tokensSent(attempts), [expired, expired, renewed]);
    assert.deepEqual(await effectsOf(paymentId), [...ONCE, ['capturePayment', 6_000]]);
  });
}

test('a new token that is refused as well: the SDK raises Unauthorized after the second attempt', async () => {
  const paymentId = await local.authorizedPayment();
  const client = tokenService.client({ scopes: [ACT], lifetimeMs: 0 });
  const { act, attempts } = checkout(client, { tokenCache: cacheWith(client.issue()) });

  const error = await failure(act(paymentId, capture(4_000)));

  assertAccessError(error, 'Unauthorized', 401, 'invalid_token');
  assert.equal(attempts.length, 2);
  assert.deepEqual(tokensSent(attempts), client.tokens);
  assert.deepEqual(await effectsOf(paymentId), []);
});

test('a token that is refused when it has just been issued: the SDK repeats nothing', async () => {
  const paymentId = await local.authorizedPayment();
  const client = tokenService.client({ scopes: [ACT], lifetimeMs: 0 });
  const { act, attempts } = checkout(client);

  const error = await failure(act(paymentId, capture(4_000)));

  assertAccessError(error, 'Unauthorized', 401, 'invalid_token');
  assert.equal(attempts.length, 1);
  assert.equal(client.tokenRequests.length, 1);
  assert.deepEqual(await effectsOf(paymentId), []);
});

const saidOfTheEnd = { 'exp in seconds': IN_SECONDS, 'exp in milliseconds': IN_MILLISECONDS, 'no exp': null };
for (const [said, exp] of Object.entries(saidOfTheEnd)) {
  test(`a token in use is introspected once, with ${said}`, async () => {
    const paymentId = await local.authorizedPayment();
    const client = tokenService.client({ scopes: [ACT], lifetimeMs: HOUR_MS, exp });
    const { act, attempts } = checkout(client);

    await act(paymentId, capture(4_000));
    for (const centAmount of [3_000, 2_000, 1_000]) await act(paymentId, capture(centAmount));

    assert.equal(attempts.length, 4);
    assert.equal(client.tokenRequests.length, 1);
    assert.equal(client.introspections.length, 1);
    assert.equal((await effectsOf(paymentId)).length, 4);
  });
}

test('a cached introspection applies to its own token only', async () => {
  const paymentId = await local.authorizedPayment();
  const allowed = tokenService.client({ scopes: [ACT] });
  const other = tokenService.client({ scopes: ['manage_project:other'] });

  await checkout(allowed).act(paymentId, capture(4_000));
  const error = await failure(checkout(other).act(paymentId, capture(1)));

  assertAccessError(error, 'Forbidden', 403, 'insufficient_scope');
  assert.equal(other.introspections.length, 1);
  assert.deepEqual(await effectsOf(paymentId), ONCE);
});

/** The answer when introspection is unavailable. */
function assertUnavailable(error) {
  assertError(error, 'ServiceUnavailable', 503, 'ServiceUnavailable');
  assert.match(error.headers['retry-after'], /^\d+$/);
  // The caller's token may still be valid.
  assert.equal(error.headers['www-authenticate'], undefined);
  assert.equal(error.body.error, undefined);
}

test('a token service that is down: the SDK raises ServiceUnavailable 503, and nothing was sent', async (t) => {
  const own = await startTokenService();
  t.after(() => own.stop());
  const server = await startLocalThatAsks(own);
  t.after(() => server.stop());
  const paymentId = await server.authorizedPayment();
  const token = own.client({ scopes: [ACT] }).issue();
  await own.stop();
  const { act, attempts } = checkoutWithToken(token, { host: server.url, enableRetry: false });

  assertUnavailable(await failure(act(paymentId, capture(4_000))));

  assert.equal(attempts.length, 1);
  assert.deepEqual(await effectsOf(paymentId, server), []);
});

for (const [how, inPlaceOfAnswer] of Object.entries({
  'closes the connection': (_, response) => response.destroy(),
  'never answers': () => {},
  'fails': (answer) => answer(500, { active: true, scope: ACT }),
  'refuses the service': (answer) => answer(401, { active: true, scope: ACT }),
  'forbids the service to ask': (answer) => answer(403, { active: true, scope: ACT }),
  'answers a page': (answer) => answer(200, '<html>It works!</html>'),
  'answers nothing of a token': (answer) => answer(200, {}),
  'says an exp that is no number': (answer) => answer(200, { active: true, scope: ACT, exp: 'never' }),
})) {
  test(`a token service that ${how}: the SDK raises ServiceUnavailable 503, and nothing was sent`, async () => {
    const paymentId = await local.authorizedPayment();
    const client = tokenService.client({ scopes: [ACT], inPlaceOfAnswer });
    const { act, attempts } = checkout(client, { enableRetry: false });

    assertUnavailable(await failure(act(paymentId, capture(4_000))));

    assert.equal(attempts.length, 1);
    assert.equal(client.introspections.length, 1);
    assert.deepEqual(await effectsOf(paymentId), []);
  });
}

test('after an outage of the token service the retry of the SDK is answered, and money moves once', async () => {
  const paymentId = await local.authorizedPayment();
  const client = tokenService.client({ scopes: [ACT] });
  client.inPlaceOfAnswer = (answer) => {
    client.inPlaceOfAnswer = undefined;
    answer(503, {});
  };
  const { act, attempts } = checkout(client, { retryConfig: { retryDelay: 50, backoff: false } });

  const answer = await act(paymentId, capture(4_000));

  assert.equal(answer.statusCode, 200);
  assert.equal(answer.retryCount, 1);
  assert.deepEqual(tokensSent(attempts), [client.tokens[0], client.tokens[0]]);
  assert.equal(client.tokenRequests.length, 1);
  assert.deepEqual(await effectsOf(paymentId), ONCE);
});
