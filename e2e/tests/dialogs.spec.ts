// Menus and dialogs of a conversation by the keyboard, and what the composer keeps.
import type { Page } from '@playwright/test';

import { Api, somebody, twoFriends } from '../support/api.ts';
import * as flows from '../support/flows.ts';
import { GREEN, RED, file, png } from '../support/pictures.ts';
import { expect, expectAccessible, test } from '../support/test.ts';

// A trace fetches pictures again that the page has let go of, which the page's policy forbids.
test.use({ trace: 'off' });

/** The menu key on a message; the menu is ready for keys once its first item has the focus. */
async function menuKey(page: Page, text: string): Promise<void> {
  await flows.message(page, text).focus();
  await page.keyboard.press('ContextMenu');
  await expect(page.getByRole('menu')).toBeVisible();
  await expect(page.getByRole('menuitem').first()).toBeFocused();
}

/** Ann, and her friends Boris and Clara, in the group Ice. */
async function three(url: string) {
  const friends = await twoFriends(url);
  const clara = await Api.register(url, somebody('Clara'));
  await friends.annApi.befriend(clara);
  const members = [friends.borisApi.userId, clara.userId];
  const { chat_id: group } = await friends.annApi.command('create_chat', { title: 'Ice', member_ids: members });
  return { ...friends, clara, group };
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
  const reactions = async () => (await borisApi.query(`chats/${chat}/messages`)).items[0].reactions;
  await expect.poll(reactions).toEqual([{ emoji: '🎂', count: 1, mine: false }]);
  // Another one takes its place: one a person.
  await menuKey(page, 'Cake!');
  await page.getByRole('menuitem', { name: 'React' }).press('Enter');
  await dialog.getByRole('button', { name: '👍', exact: true }).click();
  await expect(page.getByRole('list', { name: 'Reactions' }).getByRole('button')).toHaveText([/👍\s*1/]);
  await expect.poll(reactions).toEqual([{ emoji: '👍', count: 1, mine: false }]);
});

test('arrows turn from picture to picture, and Escape leads back to the message', async ({ open, server }) => {
  const { ann, boris } = await twoFriends(server.url);
  const page = await open();
  await flows.signIn(page, ann);
  await flows.openChat(page, boris.name);
  await page.getByLabel('Attach files').setInputFiles([file('red.png', png(RED, 400)), file('green.png', png(GREEN, 400))]);
  await expect(flows.attached(page)).toHaveCount(2);
  await flows.expectUploaded(page);
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
  await flows.expectUploaded(page);
  await page.getByRole('textbox', { name: 'Message' }).press('Enter');
  const shown = page.getByRole('button', { name: 'Open the picture wide.png' });
  await expect.poll(() => shown.locator('img').evaluate((image: HTMLImageElement) => image.naturalWidth)).toBeGreaterThan(0);
  const settled = (await shown.boundingBox())!;

  const { held, release } = flows.gate();
  await page.route('**/query/v1/blobs/**', async (route) => {
    await held;
    await route.continue();
  });
  await page.reload();
  await expect(shown).toBeVisible();
  const before = (await shown.boundingBox())!;
  expect([before.width, before.height]).toEqual([settled.width, settled.height]);
  release();
  // The test ends only when nothing is held any more.
  await page.unrouteAll({ behavior: 'wait' });
});

test('what was attached waits while one looks at another chat', async ({ open, server }) => {
  const { ann, boris, annApi } = await twoFriends(server.url);
  const clara = somebody('Clara');
  await annApi.befriend(await Api.register(server.url, clara));
  const page = await open();
  await flows.signIn(page, ann);
  await flows.openChat(page, boris.name);
  await page.getByLabel('Attach files').setInputFiles(file('red.png', png(RED, 40)));
  await expect(flows.attached(page)).toHaveCount(1);
  await flows.openChat(page, clara.name);
  await expect(flows.attached(page)).toHaveCount(0);
  await flows.openChat(page, boris.name);
  await expect(flows.attached(page)).toHaveCount(1);
  await flows.expectUploaded(page);
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
  await expect(flows.attached(page).getByRole('alert')).toContainText('could not be reached');
  await expect(page.getByRole('button', { name: 'Send', exact: true })).toHaveAttribute('aria-disabled', 'true');
  await expectAccessible(page);
  await page.unroute('**/command/v1/upload');
  await flows.attached(page).getByRole('button', { name: 'Try again' }).click();
  await expect(flows.attached(page).getByRole('alert')).toHaveCount(0);
  await expect(flows.attached(page).getByRole('progressbar')).toHaveCount(0);

  const many = Array.from({ length: 10 }, (_, index) => ({ name: `${index}.txt`, mimeType: 'text/plain', buffer: Buffer.from('x') }));
  await page.getByLabel('Attach files').setInputFiles(many);
  await expect(page.getByText('A message carries at most 10 files.')).toBeVisible();
  await expect(flows.attached(page)).toHaveCount(10);
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

test('blocking somebody is seen at once in a group that is open, and unblocking, too', async ({ open, server }) => {
  const { ann, annApi, borisApi, clara, group } = await three(server.url);
  await borisApi.send(group, 'said by Boris');
  await clara.command('send', { chat_id: group, text: 'said by Clara', reply_to: 1 });
  const [page, second] = [await open(), await open()];
  for (const screen of [page, second]) {
    await flows.signIn(screen, ann);
    await flows.openChat(screen, 'Ice');
    await expect(flows.messages(screen)).toHaveCount(2);
  }
  await expect(flows.message(page, 'said by Clara')).toContainText('said by Boris');
  await annApi.command('block', { user_id: borisApi.userId });
  for (const screen of [page, second]) await expect(screen.getByText('said by Boris')).toHaveCount(0);
  // What is said now is told of Clara, and not of Boris.
  await borisApi.send(group, 'still here');
  await clara.send(group, 'and so am I');
  await expect(page.getByRole('log', { name: 'New messages' })).toContainText('and so am I');
  await expect(page.getByRole('log', { name: 'New messages' })).not.toContainText('still here');
  await expect(page.getByRole('button', { name: /somebody you blocked/ })).toHaveCount(2);
  await borisApi.command('edit_message', { chat_id: group, number: 1, text: 'edited by Boris' });
  await clara.send(group, 'the last word');
  await expect(flows.message(page, 'the last word')).toBeVisible();
  await expect(page.getByText('edited by Boris')).toHaveCount(0);
  await annApi.command('unblock', { user_id: borisApi.userId });
  await expect(flows.message(page, 'edited by Boris')).toHaveCount(2);
  await expect(flows.message(page, 'still here')).toBeVisible();
});

test('what is deleted goes from what shows it, and from a page that was on its way', async ({ open, server }) => {
  const { ann, boris, borisApi, chat } = await twoFriends(server.url);
  await borisApi.send(chat, 'first wording');
  await borisApi.command('edit_message', { chat_id: chat, number: 1, text: 'second wording' });
  await borisApi.send(chat, 'a secret');
  const page = await open();
  await flows.signIn(page, ann);
  await flows.openChat(page, boris.name);
  await flows.message(page, 'second wording').getByRole('button', { name: 'edited' }).click();
  await expect(page.getByRole('dialog').getByText('first wording')).toBeVisible();
  await borisApi.command('delete_message', { chat_id: chat, number: 1 });
  await expect(page.getByRole('dialog')).toHaveCount(0);
  await expect(page.getByText('first wording')).toHaveCount(0);

  // The page is read before the second one is deleted, and arrives after that was told.
  const [read, arrival] = [flows.gate(), flows.gate()];
  await page.route('**/query/v1/chats/*/messages?*', async (route) => {
    // What is fetched here leaves without what a browser says of its own requests.
    const headers = { ...route.request().headers(), 'sec-fetch-site': 'same-origin' };
    const response = await route.fetch({ headers });
    read.release();
    await arrival.held;
    await route.fulfill({ response });
  });
  await page.reload();
  await read.held;
  await borisApi.command('delete_message', { chat_id: chat, number: 2 });
  await expect(flows.chatInList(page, boris.name)).toContainText('Deleted by its author');
  arrival.release();
  await expect(flows.messages(page)).toHaveCount(2);
  await expect(page.getByText('a secret')).toHaveCount(0);
});

test('in a group nobody\'s reading marks a message as read', async ({ open, server }) => {
  const { ann, boris, borisApi, chat, group } = await three(server.url);
  const page = await open();
  await flows.signIn(page, ann);
  await flows.openChat(page, boris.name);
  await flows.send(page, 'to Boris');
  await flows.expectSent(page, 'to Boris');
  await flows.openChat(page, 'Ice');
  await flows.send(page, 'to all');
  await flows.expectState(page, 'to all', 'sent');
  await borisApi.command('mark_read', { chat_id: group, number: 1 });
  await borisApi.command('mark_read', { chat_id: chat, number: 1 });
  // One after the other they are told.
  await flows.openChat(page, boris.name);
  await flows.expectState(page, 'to Boris', 'read');
  await flows.openChat(page, 'Ice');
  await flows.expectState(page, 'to all', 'sent');
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
