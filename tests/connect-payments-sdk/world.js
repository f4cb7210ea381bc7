// All participants: the service, its connector, their token service, and a merchant.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';

import { startLocal } from '../support/local.mjs';
import { startConnector } from './connector.js';
import { startPlatformProxy } from './platform-proxy.js';
import { startTokenService } from './token-service.js';

const CLIENTS = {
  connector: { secret: 'secret-of-the-connector', scope: 'manage_payments:demo introspect_oauth_tokens:demo' },
  merchant: { secret: 'secret-of-the-merchant', scope: 'manage_checkout_payment_intents:demo' },
  shop: { secret: 'secret-of-the-shop', scope: 'view_payments:demo' },
  service: { secret: 'secret-of-the-service', scope: 'introspect_oauth_tokens:demo' },
};

export const eur = (centAmount) => ({ centAmount, currencyCode: 'EUR' });
export const capture = (centAmount) => ({ action: 'capturePayment', amount: eur(centAmount) });
export const refund = (centAmount) => ({ action: 'refundPayment', amount: eur(centAmount) });
export const cancel = { action: 'cancelPayment' };
export const reverse = { action: 'reversePayment' };

/** The transactions after the authorization, in short. */
export const ledger = ({ transactions }) =>
  transactions
    .filter(({ type }) => type !== 'Authorization')
    .map(({ type, amount, state }) => [type, amount.centAmount, state]);

/** The PSP's references of these transactions. */
export const references = ({ transactions }) =>
  transactions.filter(({ type }) => type !== 'Authorization').map(({ interactionId }) => interactionId);

/** Starts everything. With `verifiesTokens`, the service introspects tokens; otherwise authorization is off. */
export async function startWorld({ verifiesTokens = false } = {}) {
  const tokens = await startTokenService(CLIENTS);
  const proxy = await startPlatformProxy();
  const connector = await startConnector({
    tokenServiceUrl: tokens.url,
    platformUrl: proxy.url,
    clientId: 'connector',
    clientSecret: CLIENTS.connector.secret,
  });
  const introspection = {
    AUTH: 'introspection',
    AUTH_INTROSPECTION_URL: `${tokens.url}/oauth/introspect`,
    AUTH_CLIENT_ID: 'service',
    AUTH_CLIENT_SECRET: CLIENTS.service.secret,
  };
  const local = await startLocal({
    connectorTimeoutMs: 10_000,
    connector: connector.url,
    environment: verifiesTokens ? introspection : {},
  });
  proxy.forwardTo(local.url);
  const merchant = tokens.issue('merchant');

  return {
    connector,
    local,
    proxy,
    tokens,

    /** A Payment with 100.00 EUR authorized, whose `interfaceId` is the PSP's reference. */
    async authorizedPayment() {
      const reference = `authorization-${randomUUID()}`;
      const authorization = { type: 'Authorization', amount: eur(10_000), interactionId: reference, state: 'Success' };
      const { id } = await connector.payments.createPayment({
        interfaceId: reference,
        amountPlanned: eur(10_000),
        paymentMethodInfo: { paymentInterface: 'mock', method: 'card' },
        transactions: [authorization],
      });
      return id;
    },

    /** Sends one action, with the merchant's token unless another one is given. */
    async act(paymentId, action, { token = merchant, key } = {}) {
      const answer = await fetch(`${local.url}/demo/payment-intents/${paymentId}`, {
        method: 'POST',
        headers: {
          'Content-Type': 'application/json',
          Authorization: `Bearer ${token}`,
          ...(key && { 'Idempotency-Key': key }),
        },
        body: JSON.stringify({ actions: [action] }),
      });
      const { errors } = await answer.json();
      return { status: answer.status, code: errors?.[0].code };
    },

    /** The Payment, as the connector reads it. */
    payment: (id) => connector.payments.getPayment({ id }),

    /** An update by another client, which does not pass the proxy. */
    async update(paymentId, ...actions) {
      const { version } = await this.payment(paymentId);
      const answer = await fetch(`${local.url}/demo/payments/${paymentId}`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${tokens.issue('connector')}` },
        body: JSON.stringify({ version, actions }),
      });
      assert.equal(answer.status, 200, await answer.text());
    },

    async stop() {
      await local.stop();
      for (const server of [connector, proxy, tokens]) server.stop();
    },
  };
}
