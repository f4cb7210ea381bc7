// A page of the console in Debian's Chromium, and what is read from it.

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { mkdir, readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { isDeepStrictEqual } from 'node:util';

import { chromium } from 'playwright-core';

const axe = createRequire(import.meta.url).resolve('axe-core/axe.min.js');
const documents = fileURLToPath(new URL('../../docs/console/', import.meta.url));

/** Chromium refuses to sandbox a process of root, which a container has. */
const args = process.getuid?.() === 0 ? ['--no-sandbox'] : [];

export const launch = () =>
  chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args });

/**
 * Opens the console. The test fails if the page makes an error, or asks anybody but its server for anything.
 */
export async function open(t, browser, url, { width = 1440, height = 900, colorScheme = 'light' } = {}) {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme, reducedMotion: 'reduce' });
  const page = await context.newPage();
  page.setDefaultTimeout(10_000);
  const faults = [];
  page.on('pageerror', (error) => faults.push(error.message));
  page.on('console', (message) => {
    // An error of the API is the subject, and the browser notes each.
    if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) faults.push(message.text());
  });
  page.on('request', (request) => {
    if (!request.url().startsWith(`${url}/`)) faults.push(`asks ${request.url()}`);
  });
  t.after(async () => {
    await context.close();
    assert.deepEqual(faults, []);
  });
  await page.goto(url);
  await page.getByRole('heading', { level: 2, name: /EUR|JPY/ }).waitFor();
  return new Console(page);
}

/** Reads until it is what is expected: the page learns of changes a moment later. */
async function until(expected, read) {
  for (let tries = 0; tries < 100; tries += 1) {
    if (isDeepStrictEqual(await read(), expected)) return;
    await sleep(100);
  }
  assert.deepEqual(await read(), expected);
}

class Console {
  constructor(page) {
    this.page = page;
  }

  select = (id) => this.page.locator('#payments button', { hasText: id }).click();

  /** Fills the form and sends it. */
  async act(action, amount, behaviour = '') {
    await this.page.locator('.choice label', { hasText: action }).click();
    if (amount) await this.page.getByLabel('Amount').fill(amount);
    await this.page.locator('#behaviour').selectOption(behaviour);
    await this.page.locator('#send').click();
  }

  /** Waits until the form says this. */
  said = (text) => this.page.locator('#result', { hasText: text }).waitFor();

  /** Waits until a balance is this. */
  balance = (name, expected) => until(expected, () => this.page.locator(`[data-balance=${name}]`).innerText());

  /** Waits for the verdict about both ledgers, and for what was captured by ours and by the PSP's. */
  captured(verdict, ...sums) {
    const read = async () => {
      const cells = ['ours', 'psp'].map((of) => this.page.locator(`[data-${of}=Captured]`).innerText());
      const shown = (await Promise.all(cells)).map((text) => text.split('\n')[0].trim());
      return [await this.page.locator('.verdict').getAttribute('data-verdict'), ...shown];
    };
    return until([verdict, ...sums], read);
  }

  /** Waits until the transactions have these states, the last one first. */
  states = (...expected) =>
    until(expected, () => this.page.locator('[data-transaction]').evaluateAll((all) => all.map((one) => one.dataset.state)));

  /** The violations that axe calls serious or critical. */
  async faults() {
    // The page's own policy would not let the script in.
    await this.page.evaluate(await readFile(axe, 'utf8'));
    const { violations } = await this.page.evaluate(() => globalThis.axe.run());
    return violations
      .filter(({ impact }) => ['serious', 'critical'].includes(impact))
      .map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`);
  }

  /** Takes a picture. It becomes one of the documents' where SCREENSHOTS says so. */
  async picture(name) {
    // Nothing that the pointer is on looks different.
    await this.page.mouse.move(0, 0);
    await this.page.evaluate(() => scrollTo(0, 0));
    const path = process.env.SCREENSHOTS ? `${documents}${name}.png` : undefined;
    if (path) await mkdir(documents, { recursive: true });
    const picture = await this.page.screenshot({ path, animations: 'disabled' });
    assert.ok(picture.length > 10_000);
  }
}
