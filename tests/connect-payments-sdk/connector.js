// A connector built like the public template, on the library of the public connectors.

import { AsyncLocalStorage } from 'node:async_hooks';
import { randomUUID } from 'node:crypto';

import { ErrorInvalidOperation, Errorx, setupPaymentSDK } from '@commercetools/connect-payments-sdk';

import { send, serve } from '../support/http.mjs';

const PATH = /^\/operations\/payment-intents\/([^/]+)$/;
const STATES = { approved: 'Success', received: 'Pending', rejected: 'Failure' };
const NOTHING = () => {};

/** The connector, and a PSP behind it. */
export async function startConnector({ tokenServiceUrl, platformUrl, clientId, clientSecret }) {
  const context = new AsyncLocalStorage();
  const sdk = setupPaymentSDK({
    authUrl: tokenServiceUrl,
    apiUrl: platformUrl,
    projectKey: 'demo',
    clientId,
    clientSecret,
    // Required settings, which nothing used here requests.
    sessionUrl: platformUrl,
    checkoutUrl: platformUrl,
    jwksUrl: `${platformUrl}/jwks`,
    jwtIssuer: platformUrl,
    getContextFn: () => context.getStore() ?? { correlationId: '', requestId: '' },
    updateContextFn: (changes) => Object.assign(context.getStore() ?? {}, changes),
    // The library logs every update, which would hide the output of a failed test.
    logger: { debug: NOTHING, info: NOTHING, warn: NOTHING, error: NOTHING },
  });
  const payments = sdk.ctPaymentService;
  const authenticate = sdk.oauth2AuthHookFn.authenticate();
  const authorize = sdk.authorityAuthorizationHookFn.authorize('manage_project', 'manage_checkout_payment_intents');
  const plans = new Map();
  const effects = [];
  const modifications = new Map();

  const report = (paymentId, { type, amount, interactionId }, state) =>
    payments.updatePayment({ id: paymentId, transaction: { type, amount, interactionId, state } });

  /** The result of an action, as the template decides it. */
  function modificationOf(payment, { action, amount }) {
    const has = (transactionType, ...states) => payments.hasTransactionInState({ payment, transactionType, states });
    switch (action) {
      case 'capturePayment':
        return { type: 'Charge', amount };
      case 'refundPayment':
        return { type: 'Refund', amount };
      case 'cancelPayment':
        return { type: 'CancelAuthorization', amount: payment.amountPlanned };
      case 'reversePayment': {
        const reverted = has('Refund', 'Success', 'Pending') || has('CancelAuthorization', 'Success', 'Pending');
        if (has('Charge', 'Success') && !reverted) return { type: 'Refund', amount: payment.amountPlanned };
        if (has('Authorization', 'Success') && !reverted) {
          return { type: 'CancelAuthorization', amount: payment.amountPlanned };
        }
        throw new ErrorInvalidOperation('There is no successful payment transaction to reverse.');
      }
      default:
        throw new ErrorInvalidOperation(`Operation ${action} not supported.`);
    }
  }

  async function modify(paymentId, action, plan) {
    const payment = await payments.getPayment({ id: paymentId });
    const { outcome, acts = outcome !== 'rejected', reports = true } = plan;
    const interactionId = plan.interactionId ?? `psp-${randomUUID()}`;
    const modification = { ...modificationOf(payment, action), interactionId };
    modifications.set(paymentId, modification);
    if (acts) effects.push({ paymentId, type: modification.type, centAmount: modification.amount.centAmount });
    if (reports) await report(paymentId, modification, STATES[outcome]);
    await plan.beforeAnswer?.();
    return { outcome };
  }

  const server = await serve((request, response, body) =>
    context.run({ correlationId: request.headers['x-correlation-id'] ?? '', requestId: randomUUID() }, async () => {
      const paymentId = request.method === 'POST' && PATH.exec(request.url)?.[1];
      if (!paymentId) return send(response, 404, { code: 'General', message: 'Not Found', statusCode: 404 });
      try {
        await authenticate(request);
        await authorize();
        const plan = { outcome: 'approved', ...plans.get(paymentId) };
        plans.delete(paymentId);
        const answer = await modify(paymentId, JSON.parse(body).actions[0], plan);
        return plan.loses ? response.socket.destroy() : send(response, 200, answer);
      } catch (error) {
        // Like the template's error handler: details of other errors are not sent to the caller.
        if (!(error instanceof Errorx)) throw error;
        const { httpErrorStatus: statusCode, code, message, fields } = error;
        const errors = fields && { errors: [{ code, message, ...fields }] };
        return send(response, statusCode, { statusCode, code, message, ...errors });
      }
    }),
  );

  return {
    ...server,

    /** The library's service for the Payments of the platform. */
    payments,

    /**
     * Scripts the next action on a Payment. `outcome`: the answer. `acts`: whether the PSP does it. `reports`: whether
     * the outcome is reported before the answer. `interactionId`: the PSP's reference. `beforeAnswer`: runs before the
     * answer. `loses`: whether the connection closes without an answer.
     */
    plan: (paymentId, plan) => plans.set(paymentId, plan),

    /** Sends a webhook about the last request for a Payment, or about `effect`. */
    notify: (paymentId, state, effect = modifications.get(paymentId)) => report(paymentId, effect, state),

    /** The PSP's reference of the last request for a Payment. */
    reference: (paymentId) => modifications.get(paymentId).interactionId,

    /** The effects on a Payment at the PSP, in order. */
    effects: (paymentId) =>
      effects
        .filter((effect) => effect.paymentId === paymentId)
        .map(({ type, centAmount }) => [type, centAmount]),
  };
}
