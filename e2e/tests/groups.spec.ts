// Groups: making one, who may do what in it, and how they look.
import type { Page } from '@playwright/test';

import { Api, somebody, twoFriends } from '../support/api.ts';
import * as flows from '../support/flows.ts';
import { expect, expectAccessible, expectNoSidewaysScroll, test } from '../support/test.ts';

/** Ann with two friends, and a group of the three. */
async function group(url: string, title = 'Ice fishing') {
  const two = await twoFriends(url);
  const clara = somebody('Clara');
  const claraApi = await Api.register(url, clara);
  await two.annApi.befriend(claraApi);
  const members = [two.borisApi.userId, claraApi.userId];
  const { chat_id: id } = await two.annApi.command('create_chat', { title, member_ids: members, history: 'all' });
  return { ...two, clara, claraApi, id: id as string, title };
}

function panel(page: Page) {
  return page.getByRole('complementary', { name: 'About this group' });
}

async function openPanel(page: Page, id: string, title: string) {
  await page.goto(`/chats/${id}`);
  await page.getByRole('button', { name: title }).click();
  await expect(panel(page)).toBeVisible();
  return panel(page);
}

/** Somebody's line in the panel. */
function member(page: Page, name: string) {
  return panel(page).getByRole('list', { name: 'Members' }).getByRole('listitem').filter({ hasText: name });
}

async function act(page: Page, name: string, step: string) {
  await panel(page).getByRole('button', { name: `What to do about ${name}` }).click();
  await page.getByRole('menuitem', { name: step }).click();
}

async function confirm(page: Page, step: string) {
  await panel(page).getByRole('group', { name: step }).getByRole('button', { name: step }).click();
}

test('a group is made with the keyboard, and its messages show with names', async ({ open, server }) => {
  const { ann, boris, borisApi } = await twoFriends(server.url);
  const [page, other] = [await open(), await open()];
  await flows.signIn(page, ann);
  await flows.signIn(other, boris);
  await flows.openSearch(page);
  await page.keyboard.type('new gr');
  await expect(page.getByRole('option', { name: 'New group' })).toBeVisible();
  await page.keyboard.press('Enter');
  await expect(page.getByLabel('Group name')).toBeFocused();
  await page.keyboard.type('Ice fishing');
  await expect(page.getByRole('checkbox', { name: boris.name })).toBeVisible();
  await page.getByRole('searchbox', { name: 'Search friends' }).focus();
  await page.keyboard.type(boris.nickname);
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('Space');
  await expect(page.getByText('1 friend chosen')).toBeVisible();
  await flows.choose(page, 'All messages');
  await page.getByRole('button', { name: 'Create group' }).press('Enter');

  await expect(page).toHaveURL(/\/chats\/[0-9a-f-]{36}$/);
  await expect(page.getByRole('heading', { name: /Ice fishing.*2 members/ })).toBeVisible();
  await expect(flows.chatInList(other, 'Ice fishing')).toBeVisible();
  await flows.send(page, 'The ice holds');
  await expect(flows.chatInList(other, 'Ice fishing')).toContainText('Ann: The ice holds');
  await expect(flows.chatInList(page, 'Ice fishing')).toContainText('You: The ice holds');
  const [chat] = (await borisApi.query('chats')).items;
  expect(chat).toMatchObject({ kind: 'group', title: 'Ice fishing', my_role: 'member', history: 'all' });
});

test('a group without a name is refused beside the field', async ({ open, server }) => {
  const { ann } = await twoFriends(server.url);
  const page = await open();
  await flows.signIn(page, ann);
  await page.getByRole('link', { name: 'New group' }).click();
  await page.getByRole('button', { name: 'Create group' }).click();
  const title = page.getByLabel('Group name');
  await expect(title).toHaveAttribute('aria-invalid', 'true');
  await expect(title).toBeFocused();
  await expect(page).toHaveURL(/\/chats\/new$/);
});

test('an owner renames, adds, changes roles and removes, and everybody sees it', async ({ open, server }) => {
  const { ann, annApi, boris, borisApi, clara, claraApi, id, title } = await group(server.url);
  const david = somebody('David');
  const davidApi = await Api.register(server.url, david);
  await annApi.befriend(davidApi);
  const [page, other] = [await open(), await open()];
  await flows.signIn(page, ann);
  await flows.signIn(other, boris);
  await openPanel(page, id, title);

  await panel(page).getByRole('button', { name: 'Rename' }).click();
  await panel(page).getByLabel('Group name').fill('Ice skating');
  await page.keyboard.press('Enter');
  await expect(panel(page).getByRole('heading', { name: 'Ice skating' })).toBeVisible();
  await expect(flows.chatInList(other, 'Ice skating')).toBeVisible();

  await panel(page).getByRole('button', { name: 'Add friends' }).click();
  await panel(page).getByRole('checkbox', { name: david.name }).check();
  await panel(page).getByRole('button', { name: 'Add', exact: true }).click();
  await expect(member(page, david.name)).toBeVisible();
  expect((await davidApi.query(`chats/${id}`)).title).toBe('Ice skating');

  await openPanel(other, id, 'Ice skating');
  await act(page, boris.name, 'Make admin');
  await expect(member(page, boris.name)).toContainText('Admin');
  // His row is another one, and the focus has not gone with the one before.
  await expect(panel(page).getByRole('heading', { name: 'Members' })).toBeFocused();
  await expect(panel(other).getByRole('button', { name: 'Add friends' })).toBeVisible();

  await act(page, clara.name, 'Remove from the group');
  await expect(page.getByRole('button', { name: 'Cancel' })).toBeFocused();
  await confirm(page, 'Remove from the group');
  await expect(member(page, clara.name)).toHaveCount(0);
  await expect(member(other, clara.name)).toHaveCount(0);
  expect((await claraApi.query(`chats/${id}`)).left).toBe(true);

  await act(page, boris.name, 'Make owner');
  await confirm(page, 'Make owner');
  await expect(member(page, boris.name)).toContainText('Owner');
  expect((await borisApi.query(`chats/${id}`)).my_role).toBe('owner');
});

test('a member is offered only what a member may do', async ({ open, server }) => {
  const { boris, id, title } = await group(server.url);
  const page = await open();
  await flows.signIn(page, boris);
  await openPanel(page, id, title);
  await expect(member(page, 'Ann')).toContainText('Owner');
  for (const name of ['Rename', 'Add friends', 'New link', 'End group for everyone']) {
    await expect(panel(page).getByRole('button', { name })).toHaveCount(0);
  }
  await panel(page).getByRole('button', { name: 'What to do about Ann' }).click();
  await expect(page.getByRole('menuitem')).toHaveText(['Write']);
  await page.keyboard.press('Escape');
  await expect(page.getByRole('menuitem')).toHaveCount(0);
  await expect(panel(page)).toBeVisible();
});

test('who leaves reads on, and the last owner hands over', async ({ open, server }) => {
  const { ann, annApi, boris, borisApi, id, title } = await group(server.url);
  await annApi.send(id, 'Farewell');
  const page = await open();
  await flows.signIn(page, ann);
  await openPanel(page, id, title);
  await panel(page).getByRole('button', { name: 'Leave group' }).click();
  await expect(panel(page).getByText('You are its only owner')).toBeVisible();
  await confirm(page, 'Leave group');
  await expect(page.getByText('You are no longer in this group.')).toBeVisible();
  await expect(flows.message(page, 'Farewell')).toBeVisible();
  await expect(page.getByRole('textbox', { name: 'Message' })).toHaveCount(0);
  await expect(flows.chatInList(page, title)).toContainText('You are no longer in it');
  expect((await borisApi.query(`chats/${id}`)).my_role).toBe('owner');
  await borisApi.send(id, 'She cannot see this');
  await page.reload();
  await expect(flows.message(page, 'Farewell')).toBeVisible();
  await expect(flows.message(page, 'She cannot see this')).toHaveCount(0);
  expect(boris.name).toBe('Boris');
});

test('a group that ends is read by all and written in by nobody', async ({ open, server }) => {
  const { ann, annApi, boris, borisApi, id, title } = await group(server.url);
  await annApi.send(id, 'The last fish');
  await borisApi.command('react', { chat_id: id, number: 1, emoji: '👍' });
  const [page, other] = [await open(), await open()];
  await flows.signIn(page, ann);
  await flows.signIn(other, boris);
  await other.goto(`/chats/${id}`);
  await expect(other.getByRole('textbox', { name: 'Message' })).toBeVisible();
  const message = flows.message(other, 'The last fish');
  const [reaction, reply] = [message.getByRole('button', { name: /👍/ }), message.getByRole('button', { name: 'Reply' })];
  await expect(reaction).toBeEnabled();
  await expect(reply).toHaveCount(1);
  await openPanel(page, id, title);
  await panel(page).getByRole('button', { name: 'End group for everyone' }).click();
  await confirm(page, 'End group for everyone');
  for (const each of [page, other]) {
    await expect(each.getByText('This group has ended. You can read it')).toBeVisible();
    await expect(each.getByRole('textbox', { name: 'Message' })).toHaveCount(0);
    await expect(flows.chatInList(each, title)).toContainText('The group has ended');
  }
  await expect(reaction).toBeDisabled();
  await expect(reply).toHaveCount(0);
});

for (const colorScheme of ['light', 'dark'] as const) {
  for (const width of [360, 1280]) {
    test(`the screens of groups are accessible and fit, ${colorScheme}, ${width} wide`, async ({ open, server }) => {
      const { ann, annApi, id, title } = await group(server.url, 'W'.repeat(64));
      const arabic = 'مجموعة الأصدقاء القدامى من المدرسة';
      const second = await annApi.command('create_chat', { title: arabic });
      await annApi.send(id, 'w'.repeat(400));
      await annApi.send(second.chat_id, 'مرحبا');
      await annApi.command('create_invite', { chat_id: id, uses: 5 });
      await annApi.command('set_chat_prefs', { chat_id: id, pinned: true, muted_until: '2100-01-01T00:00:00Z' });
      const page = await open({ colorScheme, viewport: { width, height: 740 }, reducedMotion: 'reduce' });
      await flows.signIn(page, ann);
      await expect(flows.chatInList(page, arabic)).toBeVisible();
      const look = async () => {
        await expectAccessible(page);
        await expectNoSidewaysScroll(page);
      };
      await look();
      await page.goto('/chats/new');
      await expect(page.getByRole('checkbox').first()).toBeVisible();
      await look();
      await openPanel(page, id, title);
      await expect(panel(page).getByRole('textbox', { name: 'Link' })).toBeVisible();
      await look();
      await panel(page).getByRole('button', { name: /^What to do about/ }).first().click();
      await expect(page.getByRole('menu')).toBeVisible();
      await look();
      await page.keyboard.press('Escape');
      await panel(page).getByRole('button', { name: 'New link' }).click();
      await panel(page).getByRole('button', { name: 'Add friends' }).click();
      await panel(page).getByRole('button', { name: 'Leave group' }).click();
      await look();
    });
  }
}
