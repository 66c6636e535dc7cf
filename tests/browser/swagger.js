// Swagger UI as a person uses it.

import assert from 'node:assert/strict';

/** The block of the operation, opened. */
export async function open(page, tag, operation) {
  const block = page.locator(`#operations-${tag}-${operation}`);
  if (!(await block.evaluate(element => element.classList.contains('is-open')))) {
    await block.locator('.opblock-summary-control').click();
  }
  await block.locator('.btn.execute').waitFor();
  return block;
}

/**
 * Fills in what is given, presses Execute and gives the status and the body that the page shows; they must be what came.
 * `body` is a text, or makes the text from the one that is offered.
 */
export async function tryOut(page, tag, operation, { parameters = {}, body } = {}) {
  const block = await open(page, tag, operation);
  for (const [name, value] of Object.entries(parameters)) {
    const field = block.locator(`tr[data-param-name="${name}"]`).locator('input, select');
    await ((await field.evaluate(element => element.tagName)) === 'SELECT' ? field.selectOption(value) : field.fill(value));
  }
  if (body !== undefined) {
    const area = block.locator('.body-param__text');
    await area.fill(typeof body === 'function' ? body(await area.inputValue()) : body);
  }
  const [answer] = await Promise.all([
    page.waitForResponse(response => response.request().resourceType() === 'fetch'),
    block.locator('.btn.execute').click(),
  ]);
  const shown = block.locator('.live-responses-table .response').first();
  await shown.locator('.response-col_status').filter({ hasText: String(answer.status()) }).waitFor();
  const text = await answer.text();
  if (text) {
    const wanted = text.startsWith('{') ? JSON.stringify(JSON.parse(text), null, 2) : text;
    const code = shown.locator('.response-col_description .highlight-code code').first();
    await code.filter({ hasText: wanted.slice(0, 40).split('\n')[1]?.trim() ?? wanted.slice(0, 40) }).waitFor();
    assert.equal(await code.innerText(), wanted);
  }
  const json = text.startsWith('{') ? JSON.parse(text) : null;
  return { block, request: answer.request(), status: answer.status(), text, json };
}

/** Gives tokens to the dialog behind the Authorize button; by the names that the document has for them. */
export async function authorize(page, tokens) {
  await page.locator('.auth-wrapper .btn.authorize').first().click();
  for (const [scheme, token] of Object.entries(tokens)) {
    const form = page.locator('.auth-container').filter({ hasText: scheme });
    await form.locator('input').fill(token);
    await form.getByRole('button', { name: 'Apply credentials' }).click();
    await form.getByRole('button', { name: 'Remove authorization' }).waitFor();
  }
  await page.locator('.modal-ux').getByRole('button', { name: 'Close' }).last().click();
  await page.locator('.modal-ux').waitFor({ state: 'detached' });
}

/**
 * Texts that cannot be read in the window's width: past its edges, or behind the edge of a box that cuts them off. Code
 * may have long lines, in a box that scrolls them.
 */
export function cutOff(page) {
  return page.evaluate(() => {
    const wrong = new Set();
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const range = document.createRange();
    while (walker.nextNode()) {
      const node = walker.currentNode;
      const element = node.parentElement;
      if (!node.data.trim() || ['SCRIPT', 'STYLE', 'TEXTAREA', 'OPTION'].includes(element.tagName)) continue;
      if (!element.checkVisibility({ visibilityProperty: true })) continue;
      range.selectNodeContents(node);
      const { left, right, width } = range.getBoundingClientRect();
      let [from, to] = [0, document.documentElement.clientWidth];
      for (let box = element; box; box = box.parentElement) {
        const overflow = getComputedStyle(box).overflowX;
        const edges = box.getBoundingClientRect();
        if (box.matches('pre, .highlight-code') && ['auto', 'scroll'].includes(overflow)) {
          [from, to] = [-Infinity, Infinity];
          break;
        }
        if (['hidden', 'clip'].includes(overflow)) [from, to] = [Math.max(from, edges.left), Math.min(to, edges.right)];
      }
      // A fraction of a pixel cuts nothing off.
      if (width && (left < from - 1 || right > to + 1)) wrong.add(`${node.data.trim().slice(0, 60)} (${left}-${right})`);
    }
    const context = new OffscreenCanvas(1, 1).getContext('2d');
    for (const select of document.querySelectorAll('select')) {
      const { font, paddingLeft, paddingRight } = getComputedStyle(select);
      context.font = font;
      const width = select.clientWidth - parseFloat(paddingLeft) - parseFloat(paddingRight);
      const longest = Math.max(...[...select.selectedOptions].map(option => context.measureText(option.text).width));
      if (select.checkVisibility() && longest > width + 1) wrong.add(`${select.value} in ${width} of ${longest}`);
    }
    if (document.scrollingElement.scrollWidth > innerWidth) wrong.add(`the page is ${document.scrollingElement.scrollWidth} wide`);
    return [...wrong];
  });
}

/** Texts whose contrast with what is behind them is below `least` (WCAG 2.2, 1.4.3). */
export function faint(page, least) {
  return page.evaluate(least => {
    const canvas = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
    const paint = colors => {
      canvas.clearRect(0, 0, 1, 1);
      for (const color of colors) {
        canvas.fillStyle = color;
        canvas.fillRect(0, 0, 1, 1);
      }
      return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
    };
    const luminance = rgb => {
      const [r, g, b] = rgb.map(v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const seen = new Map();
    const check = (element, text) => {
      const colors = [];
      for (let at = element; at; at = at.parentElement) colors.unshift(getComputedStyle(at).backgroundColor);
      const [back, front] = [paint(colors), paint([...colors, getComputedStyle(element).color])].map(luminance);
      const contrast = (Math.max(back, front) + 0.05) / (Math.min(back, front) + 0.05);
      if (contrast < least) seen.set(`${element.tagName}.${element.className}`, `${contrast.toFixed(1)} ${text.slice(0, 40)}`);
    };
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
      const node = walker.currentNode;
      const element = node.parentElement;
      if (!node.data.trim() || ['SCRIPT', 'STYLE', 'OPTION'].includes(element.tagName)) continue;
      if (element.checkVisibility({ visibilityProperty: true })) check(element, node.data.trim());
    }
    for (const field of document.querySelectorAll('input, textarea, select')) check(field, field.value);
    return [...seen].map(pair => pair.join(' '));
  }, least);
}
