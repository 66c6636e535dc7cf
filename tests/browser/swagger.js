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
  return { block, request: answer.request(), status: answer.status(), json: text.startsWith('{') ? JSON.parse(text) : null };
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
