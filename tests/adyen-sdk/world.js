// The built local server with its Adyen, and Adyen's own client of that.

import assert from 'node:assert/strict';
import adyenLibrary from '@adyen/api-library';
import { startLocal } from '../support/local.mjs';

const { CheckoutAPI, Client, EnvironmentEnum } = adyenLibrary;

export const PAYMENT = '66666666-6666-4666-8666-666666666666';
export const PSP_REFERENCE = 'ADYENDEMO0000001';
export const MERCHANT_ACCOUNT = 'SandboxShop';
export const HMAC_KEY = '44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056';

/** Starts the server. `adyen` is Adyen's own client of its Adyen. */
export async function startWorld() {
  const server = await startLocal({ connectorTimeoutMs: 5_000, adyen: true });
  const line = await eventually(() =>
    server.welcome.map((said) => /An Adyen on localhost: (\S+) with the key (\S+)/.exec(said)).find(Boolean),
  );
  const [, adyenUrl, key] = line;
  const { modifications, answers } = client(adyenUrl, key);
  const origin = new URL(adyenUrl).origin;
  const items = async () => (await fetch(`${origin}/sandbox/events`)).json();
  const requests = async () => (await fetch(`${origin}/sandbox/requests`)).json();
  return { ...server, modifications, answers, items, requests };
}

/** The client, and the bodies of the answers that it gets. It knows only `https` and Adyen's hosts. */
function client(adyenUrl, key) {
  const answers = [];
  const httpClient = {
    async request(endpoint, body, config, isApiKeyRequired, options = {}) {
      const url = `${adyenUrl}${new URL(endpoint).pathname.replace(/^\/v\d+/, '')}`;
      const headers = { 'content-type': 'application/json', 'x-api-key': config.apiKey, ...options.headers };
      if (options.idempotencyKey) headers['idempotency-key'] = options.idempotencyKey;
      const answer = await fetch(url, { method: 'POST', headers, body });
      const text = await answer.text();
      answers.push({ path: new URL(url).pathname.split('/').pop(), status: answer.status, body: JSON.parse(text) });
      if (!answer.ok) throw Object.assign(new Error(text), { statusCode: answer.status, ...JSON.parse(text) });
      return text;
    },
  };
  const checkout = new CheckoutAPI(new Client({ apiKey: key, environment: EnvironmentEnum.TEST }, httpClient));
  return { modifications: checkout.ModificationsApi, answers };
}

/** What `look` finds, as soon as it finds something. */
export async function eventually(look) {
  for (let tries = 0; tries < 200; tries += 1) {
    const found = await look();
    if (found) return found;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assert.fail('it did not come');
}

/** One action on the Payment, with a key. Returns the answer and the id of its transaction. */
export async function act(world, action, key) {
  const answer = await fetch(`${world.url}/demo/payment-intents/${PAYMENT}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'idempotency-key': key },
    body: JSON.stringify({ actions: [action] }),
  });
  return { status: answer.status, body: await answer.json(), id: answer.headers.get('x-transaction-id') };
}

/** The transactions of the Payment: type, state and amount. */
export async function transactions(world) {
  const payment = await (await fetch(`${world.url}/demo/payments/${PAYMENT}`)).json();
  return payment.transactions.map(({ type, state, amount }) => `${type} ${state} ${amount.centAmount}`);
}

export const amount = (centAmount) => ({ centAmount, currencyCode: 'EUR' });
