// The sample of docs/api.md, as it stands there: it compiles against the types of the SDK, and prints what it says.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { startLocal } from '../support/local.mjs';

const run = promisify(execFile);
const here = fileURLToPath(new URL('.', import.meta.url));
const strict = ['--strict', '--target', 'es2022', '--module', 'nodenext', '--skipLibCheck', '--types', 'node'];

let local;
before(async () => {
  local = await startLocal({ connectorTimeoutMs: 2_000 });
});
after(() => local?.stop());

test('the sample of the documents compiles, and prints what its comments say', async (t) => {
  // Beside the SDK, where imports find it.
  const folder = await mkdtemp(join(here, 'node_modules', 'sample-'));
  t.after(() => rm(folder, { recursive: true }));
  const document = await readFile(join(here, '../../docs/api.md'), 'utf8');
  const sample = document.split('```ts\n')[1].split('```')[0];
  await writeFile(join(folder, 'package.json'), '{"type":"module"}');
  await writeFile(join(folder, 'sample.ts'), sample.replace('http://127.0.0.1:9000', local.url));

  await run(join(here, 'node_modules/.bin/tsc'), [...strict, join(folder, 'sample.ts')]).catch((error) =>
    assert.fail(error.stdout),
  );
  const { stdout } = await run(process.execPath, [join(folder, 'sample.js')]);

  const [outcome, message, reason] = stdout.trim().split('\n');
  assert.equal(outcome, 'approved');
  assert.match(message, /^URI not found: /);
  assert.equal(reason, 'The Resource with ID no-such-payment was not found.');
});
