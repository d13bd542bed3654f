// Everything that the mouse can do, without it.
import { somebody, Api, twoFriends } from '../support/api.ts';
import * as flows from '../support/flows.ts';
import { expect, test } from '../support/test.ts';

test('somebody signs up with nothing but the keyboard', async ({ open }) => {
  const ann = somebody('Ann');
  const page = await open();
  await page.goto('/signup');
  await expect(page.getByLabel('Email')).toBeFocused();
  for (const text of [ann.email, ann.password, ann.nickname, ann.name]) {
    await page.keyboard.type(text);
    await page.keyboard.press('Tab');
  }
  await expect(page.getByRole('button', { name: 'Create account' })).toBeFocused();
  await page.keyboard.press('Enter');
  await flows.expectSignedIn(page);
});

test('Ctrl+K finds a chat, Alt+arrows move between chats, Esc closes', async ({ open, server }) => {
  const { ann, boris, annApi, borisApi, chat } = await twoFriends(server.url);
  const clara = somebody('Clara');
  const claraApi = await Api.register(server.url, clara);
  const second = await annApi.befriend(claraApi);
  await borisApi.send(chat, 'from Boris');
  await claraApi.send(second, 'from Clara');
  const page = await open();
  await flows.signIn(page, ann);
  await expect(flows.chatInList(page, clara.name)).toBeVisible();

  await flows.openSearch(page);
  await page.keyboard.type(boris.nickname);
  await expect(page.getByRole('option').filter({ hasText: boris.name }).first()).toBeVisible();
  await page.keyboard.press('Enter');
  await expect(flows.message(page, 'from Boris')).toBeVisible();
  await expect(page).toHaveURL(new RegExp(chat));

  await page.keyboard.press('Alt+ArrowUp');
  await expect(page).toHaveURL(new RegExp(second));
  await expect(flows.message(page, 'from Clara')).toBeVisible();
  await page.keyboard.press('Alt+ArrowDown');
  await expect(page).toHaveURL(new RegExp(chat));

  await page.keyboard.press('Control+k');
  await expect(page.getByRole('dialog')).toBeVisible();
  await page.keyboard.press('Escape');
  await expect(page.getByRole('dialog')).toHaveCount(0);
  await expect(page).toHaveURL(new RegExp(chat));
  // The app hears of the dialog's end a moment after it has gone.
  await expect(page.locator('.finder')).toHaveCount(0);
  await page.keyboard.press('Escape');
  await expect(page).toHaveURL(/\/chats$/);
});

test('from the history one answers a message and is back at writing', async ({ open, server }) => {
  const { ann, boris, borisApi, chat } = await twoFriends(server.url);
  await borisApi.send(chat, 'Shall we?');
  const page = await open();
  await flows.signIn(page, ann);
  await flows.openChat(page, boris.name);
  await expect(flows.message(page, 'Shall we?')).toBeVisible();
  await page.getByRole('feed').focus();
  await page.keyboard.press('ArrowUp');
  await expect(flows.message(page, 'Shall we?')).toBeFocused();
  await page.keyboard.press('r');
  await expect(page.getByRole('textbox', { name: 'Message' })).toBeFocused();
  await page.keyboard.type('We shall');
  await page.keyboard.press('Enter');
  await flows.expectSent(page, 'We shall');
  const history = await flows.expectRead(borisApi, chat, ['Shall we?', 'We shall']);
  expect(history[1].reply_to.number).toBe(1);
});

test('the arrows reach every message of a long history', async ({ open, server }) => {
  const { ann, annApi, borisApi, chat } = await twoFriends(server.url);
  for (let turn = 1; turn <= 50; turn++) await borisApi.send(chat, `said in turn ${turn}`);
  await annApi.command('mark_read', { chat_id: chat, number: 50 });
  const page = await open();
  await flows.signIn(page, ann);
  await page.goto(`/chats/${chat}`);
  const message = (number: number) => page.locator(`article[data-number="${number}"]`);
  await message(50).focus();
  for (let number = 49; number >= 30; number--) {
    await page.keyboard.press('ArrowUp');
    await expect(message(number)).toBeFocused();
  }
  for (let number = 31; number <= 50; number++) {
    await page.keyboard.press('ArrowDown');
    await expect(message(number)).toBeFocused();
  }
});
