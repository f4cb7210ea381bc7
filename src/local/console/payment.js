// One Payment: what it is, where its money is, and what happened to it.

import { $, h, render, time } from './dom.js';
import { compare, parts, text } from './money.js';

const WORDS = {
  Authorization: 'Authorization',
  Charge: 'Capture',
  Refund: 'Refund',
  CancelAuthorization: 'Cancel',
  Chargeback: 'Chargeback',
};

const STATES = {
  Initial: ['in flight', 'It was reserved and sent. The answer is still to come.'],
  Pending: ['pending', 'The PSP took it on, and will report.'],
  Success: ['done', null],
  Failure: ['failed', null],
  Unknown: ['outcome unknown', 'It may have happened. Its amount is held until somebody knows.'],
};

/** The bar of a Payment, small or large. Its legend says the same in words. */
export function bar(payment) {
  const shown = parts(payment).filter(([, , amount]) => amount > 0);
  const bar = h('div', { className: 'bar', aria: { hidden: 'true' } });
  for (const [name, , amount] of shown) {
    const part = h('span', { className: `part ${name}` });
    part.style.flexGrow = String(amount);
    bar.append(part);
  }
  return bar;
}

export function badges(payment) {
  const unknown = payment.transactions.filter(({ state }) => state === 'Unknown').length;
  const pending = payment.transactions.filter(({ state }) => state === 'Pending').length;
  return [
    unknown > 0 && h('span', { className: 'badge unknown' }, unknown === 1 ? 'unknown' : `${unknown} unknown`),
    payment.hasDiscrepancy && h('span', { className: 'badge discrepancy' }, 'discrepancy'),
    pending > 0 && h('span', { className: 'badge' }, 'pending'),
    payment.inFlight && h('span', { className: 'badge' }, 'in flight'),
  ].filter(Boolean);
}

export function show(payment, resolve) {
  const { fractionDigits: digits, currency } = payment;
  const amount = (minorUnits) => text(minorUnits, digits);
  render($('summary'), [payment.id, payment.version, payment.planned, badges(payment).length], () => [
    h('p', { className: 'id mono' }, payment.id),
    h('h2', { id: 'amount', className: 'amount' }, amount(payment.planned ?? payment.authorized), h('small', {}, currency)),
    h('p', { className: 'meta' },
      [payment.method, payment.paymentInterface && `interface ${payment.paymentInterface}`, `version ${payment.version}`]
        .filter(Boolean).join(' · '), ' ', badges(payment)),
  ]);
  render($('balances'), parts(payment), () => [
    bar(payment),
    h('dl', { className: 'legend' }, parts(payment).map(([name, label, minorUnits]) =>
      h('div', { className: minorUnits === 0 ? 'none' : '' },
        h('dt', {}, h('i', { className: `part ${name}`, aria: { hidden: 'true' } }), label),
        h('dd', { data: { balance: name } }, amount(minorUnits))))),
  ]);
  render($('ledgers'), [payment.id, payment.transactions, payment.effects], () => ledgers(payment, amount));
  render($('transactions'), [payment.id, payment.transactions, payment.version], () =>
    [...payment.transactions].reverse().map((one) => transaction(one, `${amount(one.amount)} ${currency}`, resolve)));
}

const VERDICTS = {
  agree: ['✓', 'Both ledgers agree', 'Each cent moved exactly once.'],
  open: ['?', 'An outcome is open', 'What the PSP did is within what is held.'],
  disagree: ['✕', 'The ledgers disagree', 'The PSP did something that the service did not ask for.'],
};

function ledgers(payment, amount) {
  if (payment.effects === null) {
    return [h('p', { className: 'quiet' }, 'The PSP behind your connector shows its ledger elsewhere.')];
  }
  const { rows, verdict } = compare(payment);
  const [mark, title, reason] = VERDICTS[verdict];
  return [
    h('p', { className: `verdict ${verdict}`, data: { verdict } },
      h('i', { aria: { hidden: 'true' } }, mark), h('span', {}, h('b', {}, title), reason)),
    h('table', {},
      h('thead', {}, h('tr', {}, h('td', {}), h('th', { scope: 'col' }, 'Ours'), h('th', { scope: 'col' }, 'The PSP’s'))),
      h('tbody', {}, rows.map(({ label, settled, open, psp }) =>
        h('tr', {},
          h('th', { scope: 'row' }, label),
          ours(label, settled, open, amount),
          h('td', { data: { psp: label } }, amount(psp)))))),
  ];
}

function ours(label, settled, open, amount) {
  return h('td', { data: { ours: label } }, amount(settled), open > 0 && h('small', {}, ` + ${amount(open)} open`));
}

function transaction(one, amount, resolve) {
  const [word, hint] = STATES[one.state];
  const isOpen = ['Unknown', 'Pending'].includes(one.state);
  const isExcess = one.isDiscrepant && !isOpen;
  const button = (label, action, className) => h('button', {
    type: 'button', className, data: { key: `${one.id} ${label}` },
    aria: { label: `${label}: ${WORDS[one.type]} of ${amount}` },
    onclick: () => resolve(action),
  }, label);
  const state = (to) => ({ action: 'changeTransactionState', transactionId: one.id, state: to });
  return h('li', { className: `transaction ${one.state.toLowerCase()}`, data: { transaction: one.id, state: one.state } },
    h('i', { className: 'mark', aria: { hidden: 'true' } }),
    h('div', { className: 'what' },
      h('b', {}, WORDS[one.type]), h('span', { className: 'sum' }, amount), h('span', { className: 'state' }, word)),
    h('p', { className: 'who' }, `${who(one)} · `, h('time', { dateTime: one.at }, time(one.at))),
    h('p', { className: 'ids mono' }, [one.id, one.interactionId, one.merchantReference].filter(Boolean).join('  ')),
    hint && h('p', { className: 'hint' }, hint),
    one.isDiscrepant && h('p', { className: 'hint discrepant' }, 'What was reported of it does not fit the ledger.'),
    (isOpen || isExcess) && h('p', { className: 'resolve' },
      isOpen && button('It happened', state('Success')),
      isOpen && button('It did not', state('Failure')),
      isExcess && button('Accept it', { action: 'acknowledgeDiscrepancy', transactionId: one.id })));
}

function who(one) {
  if (one.acknowledged) return `accepted by ${one.acknowledged.by ?? 'the operator'}`;
  if (one.reported) return `reported by ${one.reported.by ?? 'the operator'}`;
  if (one.isExternal) return 'registered';
  return { Initial: 'sent to the connector', Unknown: 'no answer that proves anything' }[one.state] ?? 'answered by the connector';
}
