// The page: what the server says, and what the reader asks for.

import { $, h, render } from './dom.js';
import { parse, plain, text } from './money.js';
import * as wire from './wire.js';
import { badges, bar, show } from './payment.js';

const BURST = 50;
const LABELS = { capturePayment: 'Capture', refundPayment: 'Refund', cancelPayment: 'Cancel', reversePayment: 'Reverse' };

let state = { payments: [] };
let selectedId = location.hash.slice(1);
let last = null;

const selected = () => state.payments.find(({ id }) => id === decodeURIComponent(selectedId)) ?? state.payments[0];
const newKey = () => `console-${crypto.randomUUID().slice(0, 8)}`;
const action = () => new FormData($('act')).get('action');

function draw() {
  const payment = selected();
  $('payment').hidden = !payment;
  $('behaviour-field').hidden = $('burst').hidden = $('ledger-link').hidden = !state.hasSandbox;
  // A connector may want the caller's token, too.
  $('token-field').hidden = state.isOpen !== false && state.hasSandbox;
  if (!payment) return;
  const rows = state.payments.map((one) => [one.id, one.version, one === payment]);
  render($('payments'), rows, () => state.payments.map((one) => h('li', {},
    h('button', {
      type: 'button', data: { key: one.id }, aria: { current: one === payment ? 'true' : 'false' },
      onclick: () => select(one.id),
    },
    h('span', { className: 'line' },
      h('b', {}, text(one.planned ?? one.authorized, one.fractionDigits)), h('small', {}, one.currency), badges(one)),
    h('span', { className: 'mono id' }, one.id),
    bar(one)))));
  show(payment, (fact) => run(() => report(payment, fact)));
  drawForm(payment);
}

function select(id) {
  selectedId = encodeURIComponent(id);
  history.replaceState(null, '', `#${selectedId}`);
  $('result').replaceChildren();
  suggest();
  draw();
}

function drawForm(payment) {
  const hasAmount = ['capturePayment', 'refundPayment'].includes(action());
  $('amount-field').hidden = !hasAmount;
  $('act-currency').textContent = payment.currency;
  $('send').textContent = LABELS[action()];
  if (!$('act-amount').value) suggest();
}

/** The most that the action can take. */
function suggest() {
  const payment = selected();
  if (!payment) return;
  const most = action() === 'refundPayment' ? payment.refundable : payment.capturable;
  $('act-amount').value = plain(most || payment.planned || 0, payment.fractionDigits);
}

function request() {
  const payment = selected();
  const asked = { action: action() };
  if (!$('amount-field').hidden) {
    const centAmount = parse($('act-amount').value, payment.fractionDigits);
    $('act-amount').setAttribute('aria-invalid', String(centAmount === null));
    if (centAmount === null) {
      say('bad', `An amount of ${payment.currency} has at most ${payment.fractionDigits} digits after the point.`);
      $('act-amount').focus();
      return null;
    }
    asked.amount = { centAmount, currencyCode: payment.currency };
  }
  if ($('behaviour').value) asked.merchantReference = $('behaviour').value;
  const headers = { 'Content-Type': 'application/json' };
  if ($('key').value) headers['Idempotency-Key'] = $('key').value;
  if ($('outcome').checked) headers.Prefer = 'return=representation';
  return { path: `/${payment.project}/payment-intents/${encodeURIComponent(payment.id)}`, headers, body: { actions: [asked] } };
}

const authorization = () => ($('token').value ? { Authorization: `Bearer ${$('token').value}` } : {});

async function send({ path, headers, body }) {
  const waiting = setTimeout(() => say('', 'Waiting for the connector…'), 300);
  try {
    const answer = await fetch(path, { method: 'POST', headers: { ...headers, ...authorization() }, body: JSON.stringify(body) });
    const said = await answer.json();
    return { status: answer.status, isReplayed: answer.headers.has('idempotent-replayed'), body: said };
  } finally {
    clearTimeout(waiting);
  }
}

function say(kind, ...what) {
  $('result').className = `result ${kind}`;
  $('result').replaceChildren(...what);
}

function sayAnswer({ status, isReplayed, body }) {
  const kind = status < 400 ? 'good' : status < 500 ? 'bad' : 'unclear';
  say(kind, h('b', {}, String(status)), ' ', body.message ?? JSON.stringify(body),
    isReplayed ? ' — answered from the record; nothing was sent again' : '');
}

async function actOnce(asked) {
  last = asked;
  $('repeat').disabled = false;
  sayAnswer(await send(asked));
}

async function burst() {
  const asked = request();
  if (!asked) return;
  const before = selected().effects.length;
  const id = selected().id;
  // Slow, so that all of them arrive while the first is at its connector; and each with a key of its own.
  asked.body.actions[0].merchantReference = 'sandbox:slow';
  say('', `${BURST} requests are on their way…`);
  const answer = await fetch('/console/burst', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ path: asked.path, body: JSON.stringify(asked.body), authorization: authorization().Authorization, count: BURST }),
  });
  const counts = new Map();
  for (const status of await answer.json()) counts.set(status, (counts.get(status) ?? 0) + 1);
  const ledger = await (await fetch('/sandbox/ledger')).json();
  const effects = ledger.filter(({ paymentId }) => paymentId === id).length - before;
  const answers = [...counts].sort().map(([status, count]) => `${count} × ${status}`).join(', ');
  say(effects === 1 ? 'good' : 'bad', h('b', {}, answers), ` ${effects} ${effects === 1 ? 'effect' : 'effects'} at the PSP`);
}

async function report(payment, fact) {
  const answer = await send({
    path: `/${payment.project}/payments/${encodeURIComponent(payment.id)}`,
    headers: { 'Content-Type': 'application/json' },
    body: { version: payment.version, actions: [fact] },
  });
  if (answer.status === 200) say('good', h('b', {}, '200'), ' The report was recorded.');
  else sayAnswer(answer);
}

/** Runs one thing at a time, and says what stopped it. */
async function run(work) {
  say('');
  const buttons = [$('send'), $('repeat'), $('burst')];
  const were = buttons.map((button) => button.disabled);
  const focused = document.activeElement;
  for (const button of buttons) button.disabled = true;
  try {
    await work();
  } catch (error) {
    say('unclear', `The server did not answer: ${error.message}`);
  } finally {
    buttons.forEach((button, index) => { button.disabled = index === 1 ? last === null : were[index]; });
    if (document.activeElement === document.body) focused?.focus();
  }
}

function listen() {
  const events = new EventSource('/console/events');
  const link = (kind, words) => {
    $('link').className = `link ${kind}`;
    $('link').textContent = words;
  };
  events.onopen = () => { wire.clear(); link('live', 'live'); };
  events.onerror = () => link('lost', 'no connection');
  events.addEventListener('state', ({ data }) => { state = JSON.parse(data); draw(); });
  events.addEventListener('exchange', ({ data }) => wire.add(JSON.parse(data)));
  events.addEventListener('log', ({ data }) => wire.log(JSON.parse(data)));
}

$('key').value = newKey();
$('act').addEventListener('submit', (event) => {
  event.preventDefault();
  const asked = request();
  if (asked) {
    run(async () => {
      await actOnce(asked);
      if ($('renew').checked) $('key').value = newKey();
    });
  }
});
$('act').addEventListener('change', ({ target }) => {
  if (target.name === 'action') { suggest(); drawForm(selected()); }
});
$('repeat').onclick = () => run(() => actOnce(last));
$('burst').onclick = () => run(burst);
/** Up and Down go through a list. */
$('payments').onkeydown = (event) => {
  const step = { ArrowDown: 'nextElementSibling', ArrowUp: 'previousElementSibling' }[event.key];
  const next = step && event.target.closest('li')?.[step]?.querySelector('button');
  if (next) { event.preventDefault(); next.focus(); }
};
addEventListener('hashchange', () => { selectedId = location.hash.slice(1); draw(); });
wire.start();
listen();
