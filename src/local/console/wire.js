// Requests and answers as they were on the wire, as curl, and in the log.

import { $, h, render, time } from './dom.js';

const KEPT_MAX = 300;
const exchanges = [];
const lines = [];
let selected = null;
let tab = 'http';

export const correlationId = (exchange) => header(exchange.responseHeaders, 'x-correlation-id');
const header = (headers, name) => headers.find(([known]) => known === name)?.[1];

export function add(exchange) {
  exchanges.unshift(exchange);
  exchanges.length = Math.min(exchanges.length, KEPT_MAX);
  if (exchange.method !== 'GET') selected = exchange;
  draw();
}

export function log(line) {
  lines.push(line);
  if (lines.length > 2 * KEPT_MAX) lines.shift();
  draw();
}

/** Everything is sent again after a break. */
export function clear() {
  exchanges.length = 0;
  lines.length = 0;
  selected = null;
}

/** The action or the kind of request. */
function title(exchange) {
  try {
    return JSON.parse(exchange.requestBody).actions[0].action;
  } catch {
    return exchange.method === 'POST' ? 'register' : exchange.path.split('/').pop();
  }
}

let isDrawing = false;

/** Once for all that comes in one go. */
function draw() {
  if (isDrawing) return;
  isDrawing = true;
  requestAnimationFrame(() => {
    isDrawing = false;
    drawNow();
  });
}

function drawNow() {
  const shown = exchanges.filter(({ method }) => method !== 'GET').slice(0, 60);
  render($('exchanges'), [shown.map(correlationId), correlationId(selected ?? { responseHeaders: [] })], () =>
    shown.map((exchange) => h('li', {},
      h('button', {
        type: 'button', data: { key: correlationId(exchange) }, tabIndex: exchange === selected ? 0 : -1,
        aria: { current: exchange === selected ? 'true' : 'false' },
        onclick: () => { selected = exchange; draw(); },
      },
      h('b', { className: `status s${String(exchange.status)[0]}` }, String(exchange.status)),
      h('span', { className: 'title' }, title(exchange)),
      header(exchange.responseHeaders, 'idempotent-replayed') && h('span', { className: 'badge' }, 'replayed'),
      h('span', { className: 'ms' }, `${exchange.durationMs} ms`),
      h('time', { dateTime: exchange.at }, time(exchange.at))))));
  $('exchange').hidden = selected === null;
  if (selected === null) return;
  for (const button of document.querySelectorAll('[role=tab]')) {
    const isSelected = button.id === `tab-${tab}`;
    button.setAttribute('aria-selected', String(isSelected));
    button.tabIndex = isSelected ? 0 : -1;
  }
  $('panel').setAttribute('aria-labelledby', `tab-${tab}`);
  $('copy').hidden = tab !== 'curl';
  const content = { http, curl: (exchange) => h('pre', {}, curl(exchange)), log: logOf }[tab](selected);
  render($('panel'), [tab, content.outerHTML ?? [...content].map((one) => one.outerHTML)], () => [content].flat());
}

const pretty = (body) => {
  try {
    return JSON.stringify(JSON.parse(body), null, 2);
  } catch {
    return body;
  }
};

/** Headers that a browser adds to each request. */
const BROWSER = /^(accept|connection|content-length|origin|referer|user-agent|sec-.*|accept-.*|cache-control|pragma)$/;

const REASONS = {
  200: 'OK', 201: 'Created', 400: 'Bad Request', 401: 'Unauthorized', 403: 'Forbidden', 404: 'Not Found',
  405: 'Method Not Allowed', 409: 'Conflict', 413: 'Content Too Large', 415: 'Unsupported Media Type',
  422: 'Unprocessable Content', 500: 'Internal Server Error', 502: 'Bad Gateway', 503: 'Service Unavailable',
};

function http(exchange) {
  const lines = (headers) => headers.map(([name, value]) => [h('span', { className: 'name' }, name), `: ${value}\n`]).flat();
  const message = (first, headers, more, body) => h('pre', {},
    h('b', {}, first), '\n', lines(headers),
    more.length > 0 && h('details', {}, h('summary', {}, `${more.length} more headers`), lines(more)),
    body && `\n${pretty(body)}`);
  const isOwn = ([name]) => !BROWSER.test(name);
  const { requestHeaders, responseHeaders, status } = exchange;
  return [
    message(`${exchange.method} ${exchange.path} HTTP/1.1`, requestHeaders.filter(isOwn),
      requestHeaders.filter((header) => !isOwn(header)), exchange.requestBody),
    message(`HTTP/1.1 ${status} ${REASONS[status] ?? ''}`.trim(), responseHeaders, [], exchange.responseBody),
  ];
}

const quoted = (text) => `'${text.replaceAll("'", `'\\''`)}'`;

/** The line for a shell that sends the same. The token is the reader's own. */
export function curl(exchange) {
  const own = ['authorization', 'idempotency-key', 'prefer', 'x-correlation-id'];
  const headers = exchange.requestHeaders.filter(([name]) => own.includes(name)).map(([name, value]) =>
    name === 'authorization' ? `-H "Authorization: Bearer $TOKEN"` : `-H ${quoted(`${name}: ${value}`)}`);
  const body = exchange.requestBody ? [`--json ${quoted(exchange.requestBody)}`] : [];
  return ['curl -i', quoted(location.origin + exchange.path), ...headers, ...body].join(' \\\n  ');
}

/** The lines with the request's correlation id, and those of its transaction. */
function logOf(exchange) {
  const [id, transaction] = [correlationId(exchange), header(exchange.responseHeaders, 'x-transaction-id')];
  const own = lines.filter(({ fields }) =>
    fields.correlation_id === id || (transaction && fields.transaction === transaction));
  if (own.length === 0) return h('p', { className: 'quiet' }, 'No line of the log names this request.');
  return h('ol', { className: 'log' }, own.map(({ at, level, message, fields }) => h('li', { className: level.toLowerCase() },
    h('time', { dateTime: at }, time(at)), h('b', {}, message),
    h('p', { className: 'mono' }, Object.entries(fields).map(([name, value]) => `${name} ${value}`).join('   ')))));
}

export function start() {
  // One stop of the Tab key; Up and Down go through the list.
  $('exchanges').onkeydown = (event) => {
    const step = { ArrowDown: 'nextElementSibling', ArrowUp: 'previousElementSibling' }[event.key];
    const next = step && event.target.closest('li')?.[step]?.querySelector('button');
    if (!next) return;
    event.preventDefault();
    next.focus();
    next.click();
  };
  const tabs = ['http', 'curl', 'log'];
  for (const name of tabs) {
    $(`tab-${name}`).onclick = () => { tab = name; drawNow(); };
    $(`tab-${name}`).onkeydown = ({ key }) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[key];
      if (!step) return;
      tab = tabs[(tabs.indexOf(name) + step + tabs.length) % tabs.length];
      drawNow();
      $(`tab-${tab}`).focus();
    };
  }
  $('copy').onclick = async () => {
    await navigator.clipboard.writeText(curl(selected));
    $('copy').textContent = 'Copied';
    setTimeout(() => { $('copy').textContent = 'Copy'; }, 1500);
  };
}
