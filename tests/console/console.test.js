// The console of `cargo local` in a real browser.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';

import { send, serve } from '../support/http.mjs';
import { startLocal } from '../support/local.mjs';
import { launch, open } from './browser.js';

const AUTHORIZED = '11111111-1111-4111-8111-111111111111';
const run = promisify(execFile);

let browser;
let local;
before(async () => {
  [browser, local] = await Promise.all([launch(), startLocal({ connectorTimeoutMs: 2_000 })]);
});
after(async () => {
  await browser?.close();
  await local?.stop();
});

/** The console with a Payment of its own selected. */
async function withPayment(t, id, viewport) {
  await local.authorizedPayment(id);
  const page = await open(t, browser, local.url, viewport);
  await page.page.locator('#payments button', { hasText: id }).waitFor();
  await page.select(id);
  return page;
}

/** The console of a server that has the demo Payments only, as a newcomer sees it. */
async function asNew(t, viewport) {
  const server = await startLocal({ connectorTimeoutMs: 2_000 });
  t.after(() => server.stop());
  const page = await open(t, browser, server.url, viewport);
  await page.select(AUTHORIZED);
  return [page, server];
}

test('a capture is seen in the balances, in both ledgers, on the wire and in the log', async (t) => {
  const [page, server] = await asNew(t);

  await page.act('Capture', '40.00');

  await page.said('200');
  await page.captured('agree', '40.00', '40.00');
  await page.balance('captured', '40.00');
  await page.balance('capturable', '60.00');
  await page.states('Success', 'Success');
  const panel = page.page.locator('#panel');
  const http = await panel.innerText();
  for (const part of [`POST /demo/payment-intents/${AUTHORIZED} HTTP/1.1`, 'idempotency-key: console-', '"centAmount": 4000', 'HTTP/1.1 200 OK', 'x-transaction-id: ', '{}']) {
    assert.ok(http.includes(part), `${part} is not in:\n${http}`);
  }
  await page.picture('capture');
  await page.page.getByRole('tab', { name: 'Log' }).click();
  await panel.getByText('a call to the connector ended').waitFor();

  // The line for a shell sends the very same request, so it is answered from the record.
  await page.page.getByRole('tab', { name: 'curl' }).click();
  const line = await panel.innerText();
  const { stdout } = await run('sh', ['-c', `${line} --silent`]);
  assert.match(stdout, /^HTTP\/1.1 200 OK/);
  assert.match(stdout, /idempotent-replayed: true/);
  assert.equal((await server.effects(AUTHORIZED)).length, 1);
});

test('a capture of more than is left is refused with the figures, and nothing moves', async (t) => {
  const [page] = await asNew(t);
  await page.act('Capture', '40');
  await page.said('200');

  await page.act('Capture', '70');

  await page.said('Cannot capture 7000 EUR: 6000 is left to capture');
  await page.captured('agree', '40.00', '40.00');
  await page.picture('refusal');
});

test('an amount that cannot be one is not sent', async (t) => {
  const page = await withPayment(t, 'amounts');
  for (const amount of ['', '0', '-1', '1.234', 'ten']) {
    await page.page.getByLabel('Amount').fill(amount);
    await page.page.locator('#send').click();
    await page.said('at most 2 digits');
  }
  assert.deepEqual(await local.effects('amounts'), []);
});

test('a time-out leaves an outcome open, and the operator resolves it', async (t) => {
  const [page] = await asNew(t);

  await page.act('Capture', '15', 'sandbox:timeout');

  await page.said('is not known yet');
  await page.captured('open', '0.00', '15.00');
  await page.balance('held', '15.00');
  await page.states('Unknown', 'Success');
  await page.picture('timeout');

  await page.page.getByRole('button', { name: /^It happened/ }).click();

  await page.said('The report was recorded');
  await page.captured('agree', '15.00', '15.00');
  await page.balance('held', '0.00');
  await page.states('Success', 'Success');
  await page.picture('resolved');
});

test('a wrong report makes the ledgers disagree, and that is seen', async (t) => {
  const page = await withPayment(t, 'wrong');
  await page.act('Capture', '15', 'sandbox:error');
  await page.said('is not known yet');

  await page.page.getByRole('button', { name: /^It did not/ }).click();

  await page.captured('disagree', '0.00', '15.00');
});

test('of 50 requests at once one is carried out, and 49 are told that it is in flight', async (t) => {
  const [page, server] = await asNew(t);

  await page.page.getByRole('button', { name: '50 at once' }).click();

  await page.said('1 × 200, 49 × 409');
  await page.said('1 effect at the PSP');
  await page.captured('agree', '100.00', '100.00');
  assert.equal((await server.effects(AUTHORIZED)).length, 1);
  await page.picture('fifty-at-once');
});

test('a repeat with the same key is answered from the record', async (t) => {
  const page = await withPayment(t, 'repeat');
  await page.act('Capture', '40');
  await page.said('200');

  await page.page.getByRole('button', { name: 'Repeat the last' }).click();

  await page.said('answered from the record');
  await page.page.locator('#exchanges .badge', { hasText: 'replayed' }).first().waitFor();
  assert.equal((await local.effects('repeat')).length, 1);
});

test('a key that is kept is one request', async (t) => {
  const page = await withPayment(t, 'kept');
  await page.page.getByLabel('New key after each request').uncheck();
  await page.act('Capture', '10');
  await page.said('200');

  await page.act('Capture', '20');

  await page.said('The Idempotency-Key was used for an action with other content');
});

test('each action can be asked for, and each outcome is shown', async (t) => {
  const page = await withPayment(t, 'outcomes');
  await page.page.getByLabel('Prefer the outcome in the answer').check();
  await page.act('Capture', '10', 'sandbox:rejected');
  await page.said('"rejected"');
  await page.act('Capture', '60', 'sandbox:received');
  await page.said('"received"');
  await page.page.getByRole('button', { name: /^It happened/ }).click();
  await page.said('The report was recorded');
  await page.act('Refund', '20');
  await page.said('"approved"');
  await page.states('Success', 'Success', 'Failure', 'Success');
  await page.balance('refunded', '20.00');
  await page.act('Cancel');
  await page.said('captured funds can be refunded, not cancelled');
  await page.act('Reverse');
  await page.said('"approved"');
  await page.balance('refunded', '60.00');
});

test('what does not fit the ledger is marked, and the operator accepts it', async (t) => {
  const page = await withPayment(t, 'discrepancy');
  await page.act('Capture', '100');
  await page.said('200');
  const { transactions, version } = await (await fetch(`${local.url}/demo/payments/discrepancy`)).json();
  const amount = { centAmount: 5_000, currencyCode: 'EUR' };
  const transaction = { type: 'Charge', state: 'Success', amount, interactionId: 'PSP-odd' };
  const answer = await fetch(`${local.url}/demo/payments/discrepancy`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ version, actions: [{ action: 'addTransaction', transaction }] }),
  });
  assert.equal(answer.status, 200, await answer.text());
  assert.equal(transactions.length, 2);

  await page.page.locator('.summary .badge', { hasText: 'discrepancy' }).waitFor();
  await page.page.getByRole('button', { name: /^Accept it/ }).click();

  await page.said('The report was recorded');
  await page.page.locator('.summary .badge', { hasText: 'discrepancy' }).waitFor({ state: 'detached' });
});

test('what others do is shown without a reload', async (t) => {
  const page = await withPayment(t, 'others');
  const action = { action: 'capturePayment', amount: { centAmount: 2_500, currencyCode: 'EUR' } };

  await fetch(`${local.url}/demo/payment-intents/others`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ actions: [action] }),
  });

  await page.page.locator('[data-balance=captured]', { hasText: '25.00' }).waitFor();
  await page.page.locator('#panel', { hasText: '"centAmount": 2500' }).waitFor();
});

test('a capture needs no mouse', async (t) => {
  await local.authorizedPayment('keyboard');
  const { page } = await open(t, browser, `${local.url}`);
  const press = async (key, until) => {
    for (let presses = 0; presses < 60; presses += 1) {
      await page.keyboard.press(key);
      if (await page.evaluate((is) => document.activeElement.matches(is), until)) return;
    }
    assert.fail(`${key} never comes to ${until}`);
  };
  await page.locator('[data-key=keyboard]').waitFor();
  await press('Tab', '#payments button');
  await press('ArrowDown', '[data-key=keyboard]');
  await page.keyboard.press('Enter');
  await press('Tab', '#act-amount');
  await page.keyboard.press('Control+A');
  await page.keyboard.type('30');
  await page.keyboard.press('Enter');
  await page.locator('#result', { hasText: '200' }).waitFor();
  await press('Tab', '[role=tab]');
  await press('ArrowRight', '#tab-curl');
  await page.locator('#panel', { hasText: 'curl -i' }).waitFor();
  assert.deepEqual((await local.effects('keyboard')).map(({ centAmount }) => centAmount), [3_000]);
});

for (const colorScheme of ['light', 'dark']) {
  for (const width of [360, 1440]) {
    test(`nothing is out of reach at ${width} px in ${colorScheme}`, async (t) => {
      const [page] = await asNew(t, { width, colorScheme });
      await page.act('Capture', '40');
      await page.said('200');
      await page.act('Refund', '10');
      await page.said('200');
      await page.act('Capture', '15', 'sandbox:error');
      await page.said('is not known yet');
      await page.states('Unknown', 'Success', 'Success', 'Success');
      assert.equal(await page.page.evaluate(() => document.documentElement.scrollWidth), width);
      const name = { 'dark 1440': 'dark', 'light 360': 'narrow' }[`${colorScheme} ${width}`];
      if (name) await page.picture(name);
      assert.deepEqual(await page.faults(), []);
    });
  }
}

test('the page allows nothing but its own files, and pages of other sites get no events', async () => {
  const answer = await fetch(local.url);
  const policy = answer.headers.get('content-security-policy');
  assert.match(policy, /^default-src 'none'; script-src 'self'; style-src 'self';/);
  assert.doesNotMatch(policy, /unsafe|\*|data:|https?:/);
  for (const [path, method] of [['/console/events', 'GET'], ['/console/burst', 'POST']]) {
    const refused = await fetch(local.url + path, { method, headers: { Origin: 'https://elsewhere.example' } });
    assert.equal(refused.status, 404, path);
  }
});

test('with a connector of one’s own nothing is said of the sandbox', async (t) => {
  const connector = await serve((request, response) => send(response, 200, { outcome: 'approved' }));
  t.after(() => connector.stop());
  const server = await startLocal({ connectorTimeoutMs: 500, connector: connector.url });
  t.after(() => server.stop());
  const { page } = await open(t, browser, server.url);
  for (const hidden of ['50 at once', 'PSP ledger']) assert.equal(await page.getByText(hidden).isVisible(), false);
  assert.equal(await page.locator('#behaviour').isVisible(), false);
  // The connector wants the caller's token, and the page has none to give.
  await page.getByLabel('Access token').fill('any');
  await page.locator('#send').click();
  await page.locator('#result', { hasText: '200' }).waitFor();
});

test('with authorization on the page asks for a token', async (t) => {
  const environment = { AUTH: 'jwt', AUTH_ISSUER: 'i', AUTH_AUDIENCE: 'a', AUTH_JWKS_URL: 'http://127.0.0.1:9/keys' };
  const closed = await startLocal({ connectorTimeoutMs: 500, environment });
  t.after(() => closed.stop());
  const page = await open(t, browser, closed.url);
  await page.page.getByLabel('Access token').waitFor();
  await page.select(AUTHORIZED);
  await page.act('Capture', '40');
  await page.said('401');
});
