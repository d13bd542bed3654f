// Menus and dialogs of a conversation by the keyboard, and what the composer keeps.
import type { Page } from '@playwright/test';

import { Api, somebody, twoFriends } from '../support/api.ts';
import * as flows from '../support/flows.ts';
import { GREEN, RED, file, png } from '../support/pictures.ts';
import { expect, expectAccessible, test } from '../support/test.ts';

/** The menu key on a message. */
async function menuKey(page: Page, text: string): Promise<void> {
  await flows.message(page, text).focus();
  await page.keyboard.press('ContextMenu');
  await expect(page.getByRole('menu')).toBeVisible();
}

function waiting(page: Page) {
  return page.getByRole('list', { name: 'To be sent with the message' }).getByRole('listitem');
}

test('the menu key opens a message\'s menu; arrows move in it alone; Escape closes one thing at a time', async ({ open, server }) => {
  const { ann, boris, borisApi, chat } = await twoFriends(server.url);
  await borisApi.send(chat, 'one');
  await borisApi.send(chat, 'two');
  const page = await open();
  await flows.signIn(page, ann);
  await flows.openChat(page, boris.name);
  await menuKey(page, 'two');
  await expectAccessible(page);
  await expect(page.getByRole('menuitem').first()).toBeFocused();
  await page.keyboard.press('ArrowDown');
  await expect(page.getByRole('menuitem').nth(1)).toBeFocused();
  await page.keyboard.press('Escape');
  await expect(page.getByRole('menu')).toHaveCount(0);
  await expect(page).toHaveURL(new RegExp(chat));

  await menuKey(page, 'two');
  await page.keyboard.press('End');
  await page.keyboard.press('Enter');
  await expect(page.getByRole('dialog', { name: 'Report' })).toBeVisible();
  await page.keyboard.press('Escape');
  await expect(page.getByRole('dialog')).toHaveCount(0);
  await expect(page).toHaveURL(new RegExp(chat));
});

test('the usual emoji come first, and the others on demand', async ({ open, server }) => {
  const { ann, boris, borisApi, chat } = await twoFriends(server.url);
  await borisApi.send(chat, 'Cake!');
  const page = await open();
  await flows.signIn(page, ann);
  await flows.openChat(page, boris.name);
  await menuKey(page, 'Cake!');
  await page.getByRole('menuitem', { name: 'React' }).press('Enter');
  const dialog = page.getByRole('dialog', { name: 'React' });
  await expect(dialog.getByRole('button', { name: '🎂' })).toHaveCount(0);
  await dialog.getByRole('button', { name: 'More emoji' }).click();
  await expectAccessible(page);
  await dialog.getByRole('button', { name: '🎂' }).click();
  await expect(page.getByRole('list', { name: 'Reactions' }).getByRole('button', { pressed: true })).toHaveText(/🎂\s*1/);
  // Another one takes its place: one a person.
  await menuKey(page, 'Cake!');
  await page.getByRole('menuitem', { name: 'React' }).press('Enter');
  await dialog.getByRole('button', { name: '👍', exact: true }).click();
  await expect(page.getByRole('list', { name: 'Reactions' }).getByRole('button')).toHaveText([/👍\s*1/]);
  await expect.poll(async () => (await borisApi.query(`chats/${chat}/messages`)).items[0].reactions).toEqual([
    { emoji: '👍', count: 1, mine: false },
  ]);
});

test('arrows turn from picture to picture, and Escape leads back to the message', async ({ open, server }) => {
  const { ann, boris } = await twoFriends(server.url);
  const page = await open();
  await flows.signIn(page, ann);
  await flows.openChat(page, boris.name);
  await page.getByLabel('Attach files').setInputFiles([file('red.png', png(RED, 400)), file('green.png', png(GREEN, 400))]);
  await expect(waiting(page)).toHaveCount(2);
  await expect(waiting(page).getByRole('progressbar')).toHaveCount(0);
  await page.getByRole('textbox', { name: 'Message' }).press('Enter');
  const first = page.getByRole('button', { name: 'Open the picture red.png' });
  // What is on its way has no number yet, and does not open.
  await expect(flows.messages(page).locator('[data-state=sent]')).toBeAttached();
  await first.press('Enter');
  const dialog = page.getByRole('dialog');
  await expect(dialog.getByRole('img', { name: 'red.png' })).toBeVisible();
  await expectAccessible(page);
  await page.keyboard.press('ArrowRight');
  await expect(dialog.getByRole('img', { name: 'green.png' })).toBeVisible();
  await page.keyboard.press('ArrowRight');
  await expect(dialog.getByRole('img', { name: 'red.png' })).toBeVisible();
  await page.keyboard.press('ArrowLeft');
  await expect(dialog.getByRole('img', { name: 'green.png' })).toBeVisible();
  for (let count = 0; count < 12; count++) {
    await page.keyboard.press('Tab');
    const outside = await page.evaluate(() => {
      const here = document.activeElement;
      return !!here && here !== document.body && !here.closest('dialog');
    });
    expect(outside, 'the focus stays in the dialog').toBe(false);
  }
  await page.keyboard.press('Escape');
  await expect(dialog).toHaveCount(0);
  await expect(first).toBeFocused();
});

test('a picture takes its room before it is there', async ({ open, server }) => {
  const { ann, boris } = await twoFriends(server.url);
  const page = await open();
  await flows.signIn(page, ann);
  await flows.openChat(page, boris.name);
  await page.getByLabel('Attach files').setInputFiles(file('wide.png', png(RED, 800, 400)));
  await expect(waiting(page).getByRole('progressbar')).toHaveCount(0);
  await page.getByRole('textbox', { name: 'Message' }).press('Enter');
  const shown = page.getByRole('button', { name: 'Open the picture wide.png' });
  await expect.poll(() => shown.locator('img').evaluate((image: HTMLImageElement) => image.naturalWidth)).toBeGreaterThan(0);
  const settled = (await shown.boundingBox())!;

  let release = () => {};
  const held = new Promise<void>((done) => (release = done));
  await page.route('**/query/v1/blobs/**', async (route) => {
    await held;
    await route.continue();
  });
  await page.reload();
  await expect(shown).toBeVisible();
  const before = (await shown.boundingBox())!;
  expect([before.width, before.height]).toEqual([settled.width, settled.height]);
  release();
});

test('what was attached waits while one looks at another chat', async ({ open, server }) => {
  const { ann, boris, annApi } = await twoFriends(server.url);
  const clara = somebody('Clara');
  await annApi.befriend(await Api.register(server.url, clara));
  const page = await open();
  await flows.signIn(page, ann);
  await flows.openChat(page, boris.name);
  await page.getByLabel('Attach files').setInputFiles(file('red.png', png(RED, 40)));
  await expect(waiting(page)).toHaveCount(1);
  await flows.openChat(page, clara.name);
  await expect(waiting(page)).toHaveCount(0);
  await flows.openChat(page, boris.name);
  await expect(waiting(page)).toHaveCount(1);
  await expect(waiting(page).getByRole('progressbar')).toHaveCount(0);
  await flows.send(page, 'with it');
  await expect(flows.message(page, 'with it').getByRole('button', { name: /Open the picture/ })).toHaveCount(1);
});

test('an upload that failed says why and goes at the next try; more than ten are refused', async ({ open, server, expected }) => {
  expected.push(/net::ERR_FAILED/);
  const { ann, boris } = await twoFriends(server.url);
  const page = await open();
  await flows.signIn(page, ann);
  await flows.openChat(page, boris.name);
  await page.route('**/command/v1/upload', (route) => route.abort());
  await page.getByLabel('Attach files').setInputFiles(file('red.png', png(RED, 40)));
  await expect(waiting(page).getByRole('alert')).toContainText('could not be reached');
  await expect(page.getByRole('button', { name: 'Send', exact: true })).toHaveAttribute('aria-disabled', 'true');
  await expectAccessible(page);
  await page.unroute('**/command/v1/upload');
  await waiting(page).getByRole('button', { name: 'Try again' }).click();
  await expect(waiting(page).getByRole('alert')).toHaveCount(0);
  await expect(waiting(page).getByRole('progressbar')).toHaveCount(0);

  const many = Array.from({ length: 10 }, (_, index) => ({ name: `${index}.txt`, mimeType: 'text/plain', buffer: Buffer.from('x') }));
  await page.getByLabel('Attach files').setInputFiles(many);
  await expect(page.getByText('A message carries at most 10 files.')).toBeVisible();
  await expect(waiting(page)).toHaveCount(10);
});

test('the draft is there again after editing, and a reply is given up with Escape', async ({ open, server }) => {
  const { ann, boris, annApi, borisApi, chat } = await twoFriends(server.url);
  await annApi.send(chat, 'mine');
  await borisApi.send(chat, 'his');
  const page = await open();
  await flows.signIn(page, ann);
  await flows.openChat(page, boris.name);
  const field = page.getByRole('textbox', { name: 'Message' });
  await field.fill('half a thought');
  await menuKey(page, 'mine');
  await page.getByRole('menuitem', { name: 'Edit' }).press('Enter');
  await expect(field).toHaveValue('mine');
  await expect(field).toBeFocused();
  await page.keyboard.press('Escape');
  await expect(field).toHaveValue('half a thought');
  await menuKey(page, 'his');
  await expect(page.getByRole('menuitem', { name: 'Edit' })).toHaveCount(0);
  await expect(page.getByRole('menuitem', { name: 'Delete' })).toHaveCount(0);
  await page.getByRole('menuitem', { name: 'Reply' }).press('Enter');
  await expect(page.getByText('Reply to Boris')).toBeVisible();
  await expect(field).toBeFocused();
  await page.keyboard.press('Escape');
  await expect(page.getByText('Reply to Boris')).toHaveCount(0);
  await expect(field).toHaveValue('half a thought');
  await expect(page).toHaveURL(new RegExp(chat));
});

test('of somebody blocked a group shows one line, until it is asked for', async ({ open, server }) => {
  const { ann, annApi, borisApi, chat } = await twoFriends(server.url);
  const { chat_id: id } = await annApi.command('create_chat', { title: 'Ice', member_ids: [borisApi.userId] });
  await annApi.command('block', { user_id: borisApi.userId });
  await borisApi.send(id, 'you will not see this');
  const page = await open();
  await flows.signIn(page, ann);
  await page.goto(`/chats/${id}`);
  await expect(flows.messages(page)).toHaveCount(1);
  await expect(page.getByText('you will not see this')).toHaveCount(0);
  await expectAccessible(page);
  await flows.messages(page).getByRole('button', { name: /blocked/ }).click();
  await expect(flows.message(page, 'you will not see this')).toBeVisible();
  await page.goto(`/chats/${chat}`);
  await expect(page.getByText('You have blocked this person')).toBeVisible();
});

test('what happens in a group stands between its messages, in both languages', async ({ open, server }) => {
  const { ann, annApi, borisApi } = await twoFriends(server.url);
  const { chat_id: id } = await annApi.command('create_chat', { title: 'Ice', member_ids: [borisApi.userId] });
  await annApi.send(id, 'first');
  await annApi.command('rename_chat', { chat_id: id, title: 'Snow' });
  await annApi.send(id, 'second');
  const page = await open();
  await flows.signIn(page, ann);
  await page.goto(`/chats/${id}`);
  await expect(page.getByRole('feed')).toContainText(/made the group[\s\S]*first[\s\S]*named the group “Snow”[\s\S]*second/);
  await borisApi.command('leave_chat', { chat_id: id });
  await expect(page.getByRole('feed')).toContainText(/second[\s\S]*Boris left/);
  await expectAccessible(page);
  await page.evaluate(() => localStorage.setItem('letopis:lang', 'ru'));
  await page.reload();
  await expect(page.getByRole('feed')).toContainText(/first[\s\S]*«Snow»[\s\S]*second/);
});

const COUNT = 100_000;

test('a conversation of 100,000 messages never has more than 400 rows on the page', async ({ open, server }) => {
  test.slow();
  const { ann, boris, borisApi, chat } = await twoFriends(server.url);
  await borisApi.send(chat, 'so that there is one');
  const page = await open();
  // So many are made up here; the app cannot tell.
  const author = { user_id: borisApi.userId, nickname: boris.nickname, name: boris.name, state: 'active' };
  const one = (number: number) => ({
    message_id: `00000000-0000-7000-8000-${number.toString(16).padStart(12, '0')}`,
    chat_id: chat,
    number,
    author,
    text: `message no. ${number}.`,
    sent_at: new Date(1_700_000_000_000 + number * 60_000).toISOString(),
    ...(number === COUNT && { reply_to: { number: 1, author, excerpt: 'the first' } }),
    ...(number % 7 === 0 && {
      attachments: [
        { blob_id: 'a'.repeat(64), kind: 'image', media_type: 'image/jpeg', size: 1, width: 640, height: 480, name: 'picture.jpg' },
      ],
    }),
  });
  const line = (number: number) => ({ position: number, after_number: number, kind: 'left', person: author, at: one(number).sent_at });
  await page.route(/\/query\/v1\/chats\/[^/]+\/messages/, (route) => {
    const asked = new URL(route.request().url()).searchParams;
    const [before, after] = [asked.get('before'), asked.get('after')].map((it) => (it === null ? undefined : Number(it)));
    const first = after === undefined ? Math.max(1, (before ?? COUNT + 1) - 50) : after + 1;
    const numbers = Array.from({ length: 50 }, (_, index) => first + index).filter((number) => number <= COUNT && number < (before ?? Infinity));
    const lines = numbers.filter((number) => number % 5 === 0).map(line);
    return route.fulfill({ json: { items: numbers.map(one), lines, position: 1 } });
  });
  await page.route('**/query/v1/blobs/**', (route) => route.fulfill({ body: png(RED, 8), contentType: 'image/png' }));
  await page.route('**/command/v1/mark_read', (route) => route.fulfill({ json: { position: 1 } }));
  await flows.signIn(page, ann);
  await page.goto(`/chats/${chat}`);
  await expect(flows.message(page, `no. ${COUNT}.`)).toBeVisible();

  const scroll = (up: boolean) =>
    page.evaluate(async (up) => {
      let scroller: Element | null = document.querySelector('article');
      while (scroller && !/auto|scroll/.test(getComputedStyle(scroller).overflowY)) scroller = scroller.parentElement;
      scroller!.scrollTop = up ? 0 : scroller!.scrollHeight;
      for (let frame = 0; frame < 6; frame++) await new Promise(requestAnimationFrame);
      return document.querySelectorAll('article, .line').length;
    }, up);
  for (let turn = 0; turn < 30; turn++) expect(await scroll(true)).toBeLessThanOrEqual(400);
  await page.getByRole('button', { name: 'Jump to the newest messages' }).click();
  await expect(flows.message(page, `no. ${COUNT}.`)).toBeVisible();
  await flows.message(page, `no. ${COUNT}.`).getByRole('button', { name: /the first/ }).click();
  await expect(flows.message(page, 'no. 1.')).toBeFocused();
  for (let turn = 0; turn < 30; turn++) expect(await scroll(false)).toBeLessThanOrEqual(400);
  const numbers = (await flows.messages(page).allInnerTexts()).map((text) => Number(text.match(/no\. (\d+)\./)![1]));
  expect(numbers).toEqual(Array.from({ length: numbers.length }, (_, index) => numbers[0] + index));
});
