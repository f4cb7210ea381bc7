// The Adyen on localhost with Adyen's own client: it signs what this service verifies, it verifies what the Adyen on
// localhost signs, and its models and types are those of all bodies.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { after, before, test } from 'node:test';
import adyenLibrary from '@adyen/api-library';
import { HMAC_KEY, MERCHANT_ACCOUNT, PSP_REFERENCE, act, amount, eventually, startWorld, transactions } from './world.js';

const { Types, hmacValidator } = adyenLibrary;
const validator = new hmacValidator();

let world;
before(async () => {
  world = await startWorld();
});
after(() => world?.stop());

/** A notification item that Adyen's client signs. */
function signed(fields) {
  const item = {
    amount: { currency: 'EUR', value: 500 },
    eventCode: 'REFUND',
    eventDate: new Date(Date.now() - 1_000).toISOString(),
    merchantAccountCode: MERCHANT_ACCOUNT,
    merchantReference: 'order:7',
    originalReference: PSP_REFERENCE,
    pspReference: 'CLIENT0000000001',
    success: 'true',
    ...fields,
  };
  return { ...item, additionalData: { hmacSignature: validator.calculateHmac(item, HMAC_KEY) } };
}

async function webhook(...items) {
  const notificationItems = items.map((item) => ({ NotificationRequestItem: item }));
  const answer = await fetch(`${world.url}/demo/webhooks/adyen`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ live: 'false', notificationItems }),
  });
  return [answer.status, await answer.text()];
}

const ACCEPTED = [200, '[accepted]'];

const modify = (value, reference) => ({
  amount: { currency: 'EUR', value },
  merchantAccount: MERCHANT_ACCOUNT,
  reference,
});

test('what was captured and refunded comes to its end by webhook', async () => {
  const captured = await act(world, { action: 'capturePayment', amount: amount(6_000) }, 'capture');
  assert.deepEqual([captured.status, captured.body], [200, {}]);
  await eventually(async () => (await transactions(world)).includes('Charge Success 6000'));
  // Adyen cancelled the rest, and the Payment says so.
  assert.ok((await transactions(world)).includes('CancelAuthorization Success 4000'));
  await act(world, { action: 'refundPayment', amount: amount(1_000) }, 'refund');
  await eventually(async () => (await transactions(world)).includes('Refund Success 1000'));
});

test('the client reads each answer as what it is', async () => {
  const { modifications } = world;
  const refunded = await modifications.refundCapturedPayment(PSP_REFERENCE, modify(700, 'by-client'), { idempotencyKey: 'k1' });
  assert.equal(refunded.status, Types.checkout.PaymentRefundResponse.StatusEnum.Received);
  assert.deepEqual(
    [refunded.paymentPspReference, refunded.reference, refunded.merchantAccount, refunded.amount.value],
    [PSP_REFERENCE, 'by-client', MERCHANT_ACCOUNT, 700],
  );
  await eventually(async () => (await transactions(world)).includes('Refund Success 700'));
  // The same key has one effect, and one answer.
  const again = await modifications.refundCapturedPayment(PSP_REFERENCE, modify(700, 'by-client'), { idempotencyKey: 'k1' });
  assert.equal(again.pspReference, refunded.pspReference);
  assert.equal((await transactions(world)).filter((one) => one === 'Refund Success 700').length, 1);

  const captured = await modifications.captureAuthorisedPayment(PSP_REFERENCE, modify(1, 'too-late'), { idempotencyKey: 'k2' });
  assert.equal(captured.status, Types.checkout.PaymentCaptureResponse.StatusEnum.Received);
  const cancel = { merchantAccount: MERCHANT_ACCOUNT, reference: 'too-late' };
  const cancelled = await modifications.cancelAuthorisedPaymentByPspReference(PSP_REFERENCE, cancel, { idempotencyKey: 'k3' });
  assert.equal(cancelled.status, Types.checkout.PaymentCancelResponse.StatusEnum.Received);
});

test('the client raises the errors that Adyen raises', async () => {
  const { modifications } = world;
  const refund = (psp, body, idempotencyKey) => modifications.refundCapturedPayment(psp, body, { idempotencyKey });
  await assert.rejects(refund('NOSUCHPAYMENT001', modify(1, 'a'), 'k4'), { statusCode: 422, errorCode: '167', errorType: 'validation' });
  await assert.rejects(refund(PSP_REFERENCE, modify(0, 'a'), 'k5'), { statusCode: 422, errorCode: '137' });
  const elsewhere = { ...modify(1, 'a'), merchantAccount: 'Other' };
  await assert.rejects(refund(PSP_REFERENCE, elsewhere, 'k6'), { statusCode: 403, errorType: 'security' });
});

test('what the Adyen on localhost signs is verified by the client', async () => {
  const items = await world.items();
  assert.ok(items.length >= 5, 'there are events');
  for (const item of items) {
    assert.ok(validator.validateHMAC(item, HMAC_KEY), JSON.stringify(item));
    assert.ok(!validator.validateHMAC({ ...item, pspReference: 'other' }, HMAC_KEY));
  }
});

test('what the client signs is accepted, and nothing else', async () => {
  assert.deepEqual(await webhook(signed({})), ACCEPTED);
  assert.equal((await transactions(world)).filter((one) => one === 'Refund Success 500').length, 1);
  assert.deepEqual(await webhook(signed({})), ACCEPTED);
  assert.equal((await transactions(world)).filter((one) => one === 'Refund Success 500').length, 1);
  assert.deepEqual(await webhook(signed({ eventCode: 'REPORT_AVAILABLE', originalReference: undefined })), ACCEPTED);
  const second = signed({ pspReference: 'CLIENT0000000002', amount: { currency: 'EUR', value: 501 } });
  const altered = { ...second, amount: { currency: 'EUR', value: 502 } };
  for (const items of [[altered], [second, altered], [{ ...second, additionalData: {} }], []]) {
    const [status, text] = await webhook(...items);
    assert.equal(status, 401, text);
  }
  assert.ok(!(await transactions(world)).includes('Refund Success 501'));
  assert.deepEqual(await webhook(second, signed({})), ACCEPTED);
  assert.ok((await transactions(world)).includes('Refund Success 501'));
  // A Payment that is not here: Adyen repeats what is not accepted.
  const [status, text] = await webhook(signed({ originalReference: 'ELSEWHERE0000001' }));
  assert.equal(status, 409, text);
});

test("each body has the type that Adyen's client gives it", async () => {
  const lines = [
    "import { Types } from '@adyen/api-library';",
    '/** The type as JSON has it: an enum is one of its texts. */',
    'type Wire<T> = T extends string ? `${T}` : T extends (infer U)[] ? Wire<U>[]',
    '  : T extends object ? { [K in keyof T]: Wire<T[K]> } : T;',
  ];
  let count = 0;
  const check = (type, body) => {
    count += 1;
    lines.push(`export const body${count}: Wire<Types.${type}> = ${JSON.stringify(body)};`);
  };
  const models = { captures: 'PaymentCapture', cancels: 'PaymentCancel', refunds: 'PaymentRefund' };
  for (const { path, status, body } of world.answers) {
    check(status === 201 ? `checkout.${models[path]}Response` : 'checkout.ServiceError', body);
  }
  for (const [line, body] of await world.requests()) {
    check(`checkout.${models[line.split('/').pop()]}Request`, JSON.parse(body));
  }
  for (const item of await world.items()) {
    check('notification.Notification', { live: 'false', notificationItems: [{ NotificationRequestItem: item }] });
  }
  assert.ok(count > 15, `${count} bodies`);
  assert.equal(compile(lines), '');
  // The check can fail.
  const wrong = "export const wrong: Wire<Types.checkout.PaymentCancelResponse> = { status: 'done' };";
  assert.match(compile([...lines.slice(0, 4), wrong]), /"done"' is not assignable/);
});

/** What the compiler says of the lines. */
function compile(lines) {
  const file = new URL('bodies.ts', import.meta.url);
  writeFileSync(file, `${lines.join('\n')}\n`);
  const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc');
  const options = ['--noEmit', '--strict', '--skipLibCheck', '--target', 'es2022', '--module', 'nodenext'];
  try {
    execFileSync(process.execPath, [tsc, ...options, file.pathname], { encoding: 'utf8' });
    return '';
  } catch (error) {
    return error.stdout;
  }
}
