// What one sets for oneself about a chat, and the passing signs of others in the list.
import { Api, somebody, twoFriends } from '../support/api.ts';
import * as flows from '../support/flows.ts';
import { expect, expectAccessible, test } from '../support/test.ts';

test('a pinned chat stays on top, here and on the server', async ({ open, server }) => {
  const { ann, boris, annApi, borisApi, chat } = await twoFriends(server.url);
  const claraApi = await Api.register(server.url, somebody('Clara'));
  const second = await annApi.befriend(claraApi);
  await borisApi.send(chat, 'first');
  await claraApi.send(second, 'second');
  const page = await open();
  await flows.signIn(page, ann);
  const rows = page.getByRole('list', { name: 'Chats' }).getByRole('link');
  await expect(rows.first()).toContainText('Clara');
  await flows.openChat(page, boris.name);
  await page.getByRole('button', { name: 'What to do with this chat' }).click();
  await expect(page.getByRole('menuitem', { name: 'Pin to the top' })).toBeFocused();
  await page.keyboard.press('Enter');
  await expect(page.getByRole('button', { name: 'What to do with this chat' })).toBeFocused();
  await expect(rows.first()).toContainText(boris.name);
  await expect(rows.first()).toContainText('Pinned');
  await claraApi.send(second, 'third');
  await expect(rows.nth(1)).toContainText('third');
  await expect.poll(async () => (await annApi.query(`chats/${chat}`)).pinned).toBe(true);
  await page.reload();
  await expect(rows.first()).toContainText(boris.name);
  await page.getByRole('button', { name: 'What to do with this chat' }).click();
  await page.getByRole('menuitem', { name: 'Unpin' }).click();
  await expect(rows.first()).toContainText('Clara');
});

test('a muted chat counts what is new in grey, and nowhere else', async ({ open, server }) => {
  const { ann, boris, borisApi, annApi, chat } = await twoFriends(server.url);
  const page = await open();
  await flows.signIn(page, ann);
  await flows.openChat(page, boris.name);
  await page.getByRole('button', { name: 'What to do with this chat' }).click();
  await page.getByRole('menuitem', { name: 'Mute for 8 hours' }).click();
  await expect(flows.chatInList(page, boris.name)).toContainText('Muted');
  await page.getByRole('link', { name: 'People', exact: true }).click();
  await borisApi.send(chat, 'psst');
  await page.getByRole('link', { name: 'Chats', exact: true }).click();
  await expect(flows.chatInList(page, boris.name).getByText('1 unread message')).toBeVisible();
  await expect(page).not.toHaveTitle(/^\(/);
  await expectAccessible(page);
  const off = async () => Math.abs(Date.parse((await annApi.query(`chats/${chat}`)).muted_until) - Date.now() - 8 * 3_600_000);
  await expect.poll(off).toBeLessThan(120_000);
  await flows.openChat(page, boris.name);
  await page.getByRole('button', { name: 'What to do with this chat' }).click();
  await page.getByRole('menuitem', { name: 'Unmute' }).click();
  await expect(flows.chatInList(page, boris.name)).not.toContainText('Muted');
});

test('the list says what is deleted', async ({ open, server }) => {
  const { ann, boris, borisApi, chat } = await twoFriends(server.url);
  const { number } = await borisApi.send(chat, 'never mind');
  const page = await open();
  await flows.signIn(page, ann);
  await expect(flows.chatInList(page, boris.name)).toContainText('never mind');
  await borisApi.command('delete_message', { chat_id: chat, number });
  await expect(flows.chatInList(page, boris.name)).not.toContainText('never mind');
  await expect(flows.chatInList(page, boris.name)).toContainText(/deleted/i);
});

test('a friend sees that one is here, and that one is writing', async ({ open, server }) => {
  const { ann, boris } = await twoFriends(server.url);
  const [page, other] = [await open(), await open()];
  await flows.signIn(page, ann);
  await flows.signIn(other, boris);
  await flows.openChat(page, boris.name);
  await flows.openChat(other, ann.name);
  await expect(page.getByRole('heading', { name: /here now/ })).toBeVisible({ timeout: 70_000 });
  // The sign holds for six seconds, and is given again as he goes on writing.
  await expect(async () => {
    await other.getByRole('textbox', { name: 'Message' }).press('w');
    await expect(page.getByRole('heading', { name: /Boris is typing…/ })).toBeVisible({ timeout: 2_000 });
    await expect(flows.chatInList(page, boris.name)).toContainText('Boris is typing…', { timeout: 2_000 });
  }).toPass();
  await flows.send(other, 'I am writing');
  await expect(flows.message(page, 'I am writing')).toBeVisible();
  await expect(page.getByText('Boris is typing…')).toHaveCount(0);
});

test('a search that finds many shows them page by page', async ({ open, server }) => {
  const ann = somebody('Ann');
  const api = await Api.register(server.url, ann);
  for (let count = 0; count < 31; count++) await Api.register(server.url, somebody('Crowd'));
  expect((await api.query('users?q=crowd&limit=200')).items).toHaveLength(31);
  const page = await open();
  await flows.signIn(page, ann);
  await page.getByRole('link', { name: 'People', exact: true }).click();
  await page.getByRole('searchbox').fill('crowd');
  const found = page.getByRole('list', { name: 'People found' }).getByRole('listitem');
  await expect(found).toHaveCount(30);
  const more = page.getByRole('button', { name: 'Show more people' });
  await more.press('Enter');
  await expect(found).toHaveCount(31);
  await expect(more).toHaveCount(0);
  // The button has gone, and what had its focus has not lost its place.
  await expect(found.last().getByRole('link')).toBeFocused();
});
