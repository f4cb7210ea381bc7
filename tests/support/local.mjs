// The built local server as a child process, and its sandbox ledger.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

const START_TIMEOUT_MS = 30_000;

/** None of them outlives this process. */
const running = new Set();
process.on('exit', () => running.forEach((server) => server.kill('SIGKILL')));
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => process.exit(1));

/**
 * Starts the server on a free port, with the additional variables `environment`, and waits until it listens. It ends
 * with this process. `connector` is a URL in place of the sandbox; `authorization` is the header with which Payments
 * are registered, if the server requires one. With `stripe` or `adyen`, that PSP runs beside the
 * sandbox.
 */
export async function startLocal({ connectorTimeoutMs, connector, environment, authorization, stripe, adyen }) {
  const binary = process.env.PAYMENT_INTENTS_LOCAL;
  assert.ok(binary, 'PAYMENT_INTENTS_LOCAL must name the built `local` binary');
  const options = ['--port', '0', '--connector-timeout-ms', String(connectorTimeoutMs)];
  if (connector) options.push('--connector', connector);
  if (stripe) options.push('--stripe');
  if (adyen) options.push('--adyen');
  const server = spawn(binary, options, {
    env: { ...process.env, ...environment },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  running.add(server);

  const welcome = [];
  const url = await new Promise((resolve, reject) => {
    const deadline = setTimeout(() => {
      server.kill('SIGKILL');
      reject(new Error('the server did not say that it listens'));
    }, START_TIMEOUT_MS);
    server.on('error', reject);
    server.on('exit', (code, signal) => reject(new Error(`the server ended before it listened: ${code ?? signal}`)));
    createInterface({ input: server.stdout }).on('line', (line) => {
      welcome.push(line);
      const listening = /listening on (http:\/\/127\.0\.0\.1:\d+)/.exec(line);
      if (!listening) return;
      clearTimeout(deadline);
      resolve(listening[1]);
    });
  });

  return {
    url,
    /** The lines that it has printed so far. */
    welcome,

    /** Registers a Payment with 100.00 EUR authorized and returns its id. */
    async authorizedPayment(id) {
      const amount = { centAmount: 10_000, currencyCode: 'EUR' };
      const draft = { id, amountPlanned: amount, transactions: [{ type: 'Authorization', amount, state: 'Success' }] };
      const answer = await fetch(`${url}/demo/payments`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json', ...(authorization && { Authorization: authorization }) },
        body: JSON.stringify(draft),
      });
      const payment = await answer.json();
      assert.equal(answer.status, 201, JSON.stringify(payment));
      return payment.id;
    },

    /** The effects on a Payment at the sandbox PSP, in order. */
    async effects(paymentId) {
      const ledger = await (await fetch(`${url}/sandbox/ledger`)).json();
      return ledger.filter((effect) => effect.paymentId === paymentId);
    },

    async stop() {
      if (server.exitCode !== null || server.signalCode !== null) return;
      server.kill('SIGKILL');
      await once(server, 'exit');
    },
  };
}
