// A long conversation.
import { twoFriends } from '../support/api.ts';
import * as flows from '../support/flows.ts';
import { expect, test } from '../support/test.ts';

const COUNT = 130;

test('paging back through a long history moves nothing that is on the screen', async ({ open, server }) => {
  const { ann, boris, annApi, borisApi, chat } = await twoFriends(server.url);
  for (let number = 1; number <= COUNT; number++) await borisApi.send(chat, `message no. ${number}.`);
  // Read elsewhere, so that the chat opens at its end.
  await annApi.command('mark_read', { chat_id: chat, number: COUNT });
  const page = await open();
  await flows.signIn(page, ann);
  await flows.openChat(page, boris.name);
  const newest = flows.message(page, `no. ${COUNT}.`);
  await expect(newest).toBeVisible();
  await expect(newest).toHaveAttribute('aria-posinset', String(COUNT));
  await expect(newest).toHaveAttribute('aria-setsize', '-1');

  // Back to the first one, page by page. Each time the reader's line must stay where it is on the screen.
  const feed = page.getByRole('feed');
  let loads = 0;
  while ((await flows.message(page, 'no. 1.').count()) === 0) {
    expect(++loads, 'pages of history').toBeLessThan(20);
    const first = flows.messages(page).first();
    const text = (await first.innerText()).match(/no\. \d+\./)![0];
    const anchor = flows.message(page, text);
    const shift = await page.evaluate(async (text) => {
      const find = () => [...document.querySelectorAll('article')].find((one) => one.textContent!.includes(text))!;
      let scroller: Element | null = find();
      while (scroller && scroller.scrollHeight <= scroller.clientHeight + 1) scroller = scroller.parentElement;
      while (scroller && !/auto|scroll/.test(getComputedStyle(scroller).overflowY)) scroller = scroller.parentElement;
      const before = find().getBoundingClientRect().top + scroller!.scrollTop;
      scroller!.scrollTop = 0;
      const shown = find().getBoundingClientRect().top;
      const rows = document.querySelectorAll('article').length;
      const deadline = performance.now() + 10_000;
      while (document.querySelectorAll('article').length === rows && performance.now() < deadline) {
        await new Promise(requestAnimationFrame);
      }
      // Whatever the page does about it, it has done by the second frame.
      await new Promise(requestAnimationFrame);
      await new Promise(requestAnimationFrame);
      return { moved: Math.abs(find().getBoundingClientRect().top - shown), before };
    }, text);
    expect(shift.moved, `${text} moved`).toBeLessThanOrEqual(2);
    await expect(anchor).toBeAttached();
  }
  await expect(feed).toHaveAttribute('aria-busy', 'false');

  // Nothing is missing and nothing is there twice.
  const numbers = (await flows.messages(page).allInnerTexts()).map((text) => Number(text.match(/no\. (\d+)\./)![1]));
  expect(numbers).toEqual(Array.from({ length: COUNT }, (_, index) => index + 1));
});

test('no more than 400 messages are ever in the page, and the way down is complete', async ({ open, server }) => {
  test.slow();
  const { ann, boris, annApi, borisApi, chat } = await twoFriends(server.url);
  for (let number = 1; number <= 520; number++) await borisApi.send(chat, `message no. ${number}.`);
  await annApi.command('mark_read', { chat_id: chat, number: 520 });
  const page = await open();
  await flows.signIn(page, ann);
  await flows.openChat(page, boris.name);
  await expect(flows.message(page, 'no. 520.')).toBeVisible();
  for (const [up, goal] of [[true, 'no. 1.'], [false, 'no. 520.']] as const) {
    await expect(async () => {
      expect(await flows.scrollHistory(page, up)).toBeLessThanOrEqual(400);
      expect(await flows.message(page, goal).count()).toBe(1);
    }).toPass({ intervals: [50] });
  }
  const numbers = (await flows.messages(page).allInnerTexts()).map((text) => Number(text.match(/no\. (\d+)\./)![1]));
  expect(numbers).toEqual(Array.from({ length: numbers.length }, (_, index) => 520 - numbers.length + 1 + index));
});

test('a divider shows where the unread begin', async ({ open, server }) => {
  const { ann, boris, annApi, borisApi, chat } = await twoFriends(server.url);
  await annApi.send(chat, 'old');
  await borisApi.send(chat, 'new one');
  await borisApi.send(chat, 'new two');
  const page = await open();
  await flows.signIn(page, ann);
  await expect(flows.chatInList(page, boris.name)).toContainText('2');
  await flows.openChat(page, boris.name);
  const order = await page.getByRole('feed').innerText();
  expect(order).toMatch(/old[\s\S]*unread[\s\S]*new one[\s\S]*new two/i);
});

test('an answer quotes what it answers', async ({ open, server }) => {
  const { ann, boris, annApi, borisApi, chat } = await twoFriends(server.url);
  const { number } = await borisApi.send(chat, 'Where shall we meet?');
  await annApi.command('send', { chat_id: chat, text: 'At the river', reply_to: number });
  const page = await open();
  await flows.signIn(page, ann);
  await flows.openChat(page, boris.name);
  const answer = flows.messages(page).filter({ hasText: 'At the river' });
  await expect(answer).toContainText('Where shall we meet?');
});
