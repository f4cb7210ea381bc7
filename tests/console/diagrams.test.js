// Each diagram of the documents can be drawn.

import assert from 'node:assert/strict';
import { readFile, readdir } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { after, before, test } from 'node:test';

import { launch } from './browser.js';

const root = new URL('../../', import.meta.url);
const mermaid = createRequire(import.meta.url).resolve('mermaid/dist/mermaid.min.js');

let browser;
let page;
before(async () => {
  browser = await launch();
  page = await browser.newPage();
  await page.setContent('<!doctype html><body></body>');
  await page.addScriptTag({ path: mermaid });
  await page.evaluate(() => globalThis.mermaid.initialize({ startOnLoad: false }));
});
after(() => browser?.close());

/** The width of the diagram, or what is wrong with it. */
const draw = (text) =>
  page.evaluate(async (text) => {
    try {
      const { svg } = await globalThis.mermaid.render(`diagram-${Date.now()}`, text);
      document.body.innerHTML = svg;
      return document.querySelector('svg').getBoundingClientRect().width;
    } catch (error) {
      return error.message;
    }
  }, text);

test('each diagram of the documents is drawn', async () => {
  const pages = ['README.md', ...(await readdir(new URL('docs', root))).map((name) => ['docs', name].join('/'))];
  let drawn = 0;
  for (const name of pages.filter((name) => name.endsWith('.md'))) {
    const document = await readFile(new URL(name, root), 'utf8');
    for (const block of document.split('```mermaid\n').slice(1)) {
      const width = await draw(block.split('\n```')[0]);
      assert.ok(typeof width === 'number' && width > 100, `${name}: ${width}\n${block.slice(0, 200)}`);
      drawn += 1;
    }
  }
  assert.ok(drawn >= 3, `only ${drawn} diagrams`);
});

test('a broken diagram is noticed', async () => {
  assert.equal(typeof (await draw('sequenceDiagram\n  A->>')), 'string');
});
