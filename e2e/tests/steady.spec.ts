// What is being read stays where it is, whatever else comes.
import type { Page } from '@playwright/test';

import { twoFriends } from '../support/api.ts';
import * as flows from '../support/flows.ts';
import { expect, test } from '../support/test.ts';
import { GREEN, png, RED } from '../support/pictures.ts';

/** How far everything has moved by itself since the page was loaded: Chromium's layout shifts, all of them together. */
function moved(page: Page): Promise<number> {
  return page.evaluate(
    () =>
      new Promise<number>((done) => {
        let sum = 0;
        const observer = new PerformanceObserver((list) => {
          for (const entry of list.getEntries() as any[]) if (!entry.hadRecentInput) sum += entry.value;
        });
        observer.observe({ type: 'layout-shift', buffered: true });
        setTimeout(() => done(sum), 100);
      }),
  );
}

for (const width of [360, 1280]) {
  test(`nothing jumps while pages, pictures and messages come in, ${width} wide`, async ({ open, server }) => {
    const { ann, annApi, borisApi, chat } = await twoFriends(server.url);
    for (let turn = 1; turn <= 130; turn++) {
      const api = turn % 3 ? borisApi : annApi;
      const attachments = turn % 10 ? [] : [{ blob_id: (await api.upload(png(turn % 20 ? RED : GREEN, 300 + turn, 200))).blob_id, name: 'ice.png' }];
      await api.command('send', { chat_id: chat, text: `said in turn ${turn}`, attachments });
    }
    const page = await open({ viewport: { width, height: 740 } });
    await flows.signIn(page, ann);
    expect(await moved(page), 'signing in').toBeLessThan(0.1);
    await page.goto(`/chats/${chat}`);
    await expect(flows.message(page, 'said in turn 130')).toBeVisible();
    await expect(async () => {
      await flows.scrollHistory(page, true);
      await expect(page.getByText('said in turn 1', { exact: true })).toBeVisible({ timeout: 200 });
    }).toPass();
    await borisApi.send(chat, 'and one while she reads');
    const jump = page.getByRole('button', { name: 'Jump to the newest messages' });
    await expect(jump).toContainText('1');
    await jump.click();
    await borisApi.send(chat, 'and one at the end');
    await expect(flows.message(page, 'and one at the end')).toBeVisible();
    expect(await moved(page), 'reading').toBeLessThan(0.1);

    // What sees no jump would find everything steady.
    await expect(async () => {
      await page.evaluate(() => {
        const { style } = document.querySelector('main')!;
        style.paddingTop = style.paddingTop ? '' : '40vh';
      });
      expect(await moved(page), 'a jump').toBeGreaterThan(0.1);
    }).toPass();
  });
}
