// Strings that have broken other people's programs, each sent as a message through the app.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

import { twoFriends } from '../support/api.ts';
import * as flows from '../support/flows.ts';
import { expect, expectNoSidewaysScroll, test } from '../support/test.ts';

const STRINGS: string[] = JSON.parse(readFileSync(createRequire(import.meta.url).resolve('big-list-of-naughty-strings'), 'utf8'));

test('naughty strings arrive as they were typed, and are nothing but text', async ({ open, server }) => {
  test.setTimeout(1_500_000);
  const { ann, boris, borisApi, chat } = await twoFriends(server.url);
  const page = await open({ viewport: { width: 360, height: 740 } });
  const dialogs: string[] = [];
  page.on('dialog', (dialog) => {
    dialogs.push(dialog.message());
    void dialog.dismiss();
  });
  await flows.signIn(page, ann);
  await flows.openChat(page, boris.name);
  const field = page.getByRole('textbox', { name: 'Message' });
  const send = page.getByRole('button', { name: 'Send', exact: true });
  const sent: string[] = [];
  for (const text of STRINGS) {
    await field.fill(text);
    // What is blank cannot be sent.
    if ((await send.getAttribute('aria-disabled')) === 'true') continue;
    await send.click();
    await expect(field).toHaveValue('');
    sent.push(text);
  }
  expect(sent.length).toBeGreaterThan(450);
  await expect(page.locator('article [data-state=pending]')).toHaveCount(0, { timeout: 120_000 });
  await expect(page.locator('article [data-state=failed]')).toHaveCount(0);

  // The rows show a little later what a page has written.
  await expect(async () => {
    const kept: string[] = [];
    while (kept.length < sent.length) {
      const { items } = await borisApi.query(`chats/${chat}/messages?limit=200&after=${kept.length}`);
      if (items.length === 0) break;
      kept.push(...items.map((message: { text: string }) => message.text));
    }
    expect(kept).toEqual(sent);
  }).toPass({ timeout: 120_000 });

  const shown = await page.locator('article').evaluateAll((articles) =>
    articles.map((article) => ({
      number: Number((article as HTMLElement).dataset.number),
      text: article.querySelector('.text')?.textContent,
    })),
  );
  expect(shown.length).toBeGreaterThan(300);
  expect(shown.map(({ text }) => text)).toEqual(shown.map(({ number }) => sent[number - 1]));
  expect(dialogs).toEqual([]);
  await expect(page.locator('article').locator('script, img, iframe, style, object, embed, form, input, video, audio')).toHaveCount(0);
  const addresses = await page.locator('article a').evaluateAll((links) => links.map((link) => (link as HTMLAnchorElement).protocol));
  expect(addresses.filter((protocol) => !/^https?:$/.test(protocol))).toEqual([]);
  await expectNoSidewaysScroll(page);

  // The other one sees the same, and so does who comes back.
  await page.reload();
  const last = sent.length;
  await expect(page.locator(`article[data-number="${last}"] .text`)).toHaveText(sent[last - 1], { useInnerText: false });
  await expectNoSidewaysScroll(page);
});
