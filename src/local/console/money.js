// Amounts are integers in the minor unit. Only their texts have a decimal point.

const grouped = (digits) => digits.replace(/\B(?=(\d{3})+$)/g, '\u2009');

/** 4000 with 2 digits is 40.00. */
export function text(minorUnits, digits) {
  const padded = String(minorUnits).padStart(digits + 1, '0');
  const whole = grouped(padded.slice(0, padded.length - digits));
  return digits === 0 ? whole : `${whole}.${padded.slice(-digits)}`;
}

/** 40.5 with 2 digits is 4050; `null` where the text is no such amount. */
export function parse(text, digits) {
  const match = /^(\d+)(?:[.,](\d*))?$/.exec(text.replace(/\s/g, ''));
  const fraction = match?.[2] ?? '';
  if (!match || fraction.length > digits) return null;
  const minorUnits = Number(match[1] + fraction.padEnd(digits, '0'));
  return Number.isSafeInteger(minorUnits) && minorUnits > 0 ? minorUnits : null;
}

/** The same for a field, without thin spaces. */
export const plain = (minorUnits, digits) => text(minorUnits, digits).replaceAll('\u2009', '');

/** The parts of the authorized amount. They add up to it. */
export function parts(payment) {
  const heldForRefunds = payment.captured - payment.refundable - payment.refunded;
  const heldForCaptures = payment.authorized - payment.capturable - payment.captured - payment.cancelled;
  return [
    ['capturable', 'Capturable', payment.capturable],
    ['captured', 'Captured', payment.refundable],
    ['refunded', 'Refunded', payment.refunded],
    ['cancelled', 'Cancelled', payment.cancelled],
    ['held', 'Held', Math.max(0, heldForCaptures) + Math.max(0, heldForRefunds)],
  ];
}

const KINDS = [
  ['Captured', 'Charge', 'capturePayment'],
  ['Refunded', 'Refund', 'refundPayment'],
  ['Released', 'CancelAuthorization', 'cancelPayment'],
];

/** The effects of this service's actions by its own ledger and by the PSP's, and the verdict about both. */
export function compare(payment) {
  const sum = (amounts) => amounts.reduce((total, amount) => total + amount, 0);
  const rows = KINDS.map(([label, type, action]) => {
    const ours = payment.transactions.filter((one) => !one.isExternal && one.type === type);
    const settled = sum(ours.filter(({ state }) => state === 'Success').map(({ amount }) => amount));
    const open = sum(ours.filter(({ state }) => !['Success', 'Failure'].includes(state)).map(({ amount }) => amount));
    const psp = sum(payment.effects.filter((effect) => effect.action === action).map(({ centAmount }) => centAmount));
    return { label, settled, open, psp };
  });
  const isPossible = rows.every(({ settled, open, psp }) => settled <= psp && psp <= settled + open);
  const isOpen = rows.some(({ open }) => open > 0);
  return { rows, verdict: isPossible ? (isOpen ? 'open' : 'agree') : 'disagree' };
}
