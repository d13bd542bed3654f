// Coming into a group by a link.
import type { Page } from '@playwright/test';

import { Api, somebody } from '../support/api.ts';
import * as flows from '../support/flows.ts';
import { expect, expectAccessible, expectNoSidewaysScroll, test } from '../support/test.ts';

async function invitation(url: string, title = 'Ice fishing', more: object = {}) {
  const ann = somebody('Ann');
  const annApi = await Api.register(url, ann);
  const id: string = (await annApi.command('create_chat', { title })).chat_id;
  const invite = await annApi.command('create_invite', { chat_id: id, ...more });
  return { ann, annApi, id, title, invite, path: `/invite#${invite.token}` };
}

/** Every address that the page asks its server for. */
function asked(page: Page): string[] {
  const addresses: string[] = [];
  page.on('request', (request) => addresses.push(request.url()));
  return addresses;
}

test('a link is made, copied, used once, and taken back', async ({ open, server }) => {
  const { ann, annApi, id, title } = await invitation(server.url);
  const boris = somebody('Boris');
  await Api.register(server.url, boris);
  const [page, other] = [await open({ permissions: ['clipboard-read', 'clipboard-write'] }), await open()];
  await flows.signIn(page, ann);
  await page.goto(`/chats/${id}`);
  await page.getByRole('button', { name: title }).click();
  const panel = page.getByRole('complementary', { name: 'About this group' });
  await panel.getByRole('button', { name: 'New link' }).click();
  await panel.getByLabel('Open for').selectOption({ label: '1 day' });
  await panel.getByLabel('How many people may use it').selectOption({ label: '5 people' });
  await panel.getByRole('button', { name: 'Create link' }).click();
  const made = panel.getByRole('listitem').filter({ hasText: '5 uses left' });
  await made.getByRole('button', { name: 'Copy link' }).click();
  await expect(panel.getByText('The link is copied')).toBeVisible();
  const link = await page.evaluate(() => navigator.clipboard.readText());
  expect(link).toBe(await made.getByRole('textbox', { name: 'Link' }).inputValue());
  expect(link).toContain('/invite#');

  await flows.signIn(other, boris);
  await other.goto(link);
  await other.getByRole('button', { name: 'Join group' }).click();
  await expect(other).toHaveURL(new RegExp(`/chats/${id}$`));
  await expect(panel.getByText('4 uses left')).toBeVisible();

  await panel.getByRole('listitem').filter({ hasText: '4 uses left' }).getByRole('button', { name: 'Revoke' }).click();
  await panel.getByRole('group', { name: 'Revoke' }).getByRole('button', { name: 'Revoke' }).click();
  await expect(panel.getByText('4 uses left')).toHaveCount(0);
  const clara = somebody('Clara');
  await Api.register(server.url, clara);
  const late = await open();
  await flows.signIn(late, clara);
  await late.goto(link);
  await expect(late.getByText('This invitation is over')).toBeVisible();
  expect((await annApi.query(`chats/${id}/members`)).items).toHaveLength(2);
});

test('opening an invitation changes nothing, and its token goes into no address', async ({ open, server }) => {
  const { annApi, id, title, invite, path } = await invitation(server.url);
  const boris = somebody('Boris');
  await Api.register(server.url, boris);
  const page = await open();
  const addresses = asked(page);
  await flows.signIn(page, boris);
  await page.goto(path);
  await expect(page.getByRole('heading', { name: title })).toBeVisible();
  await expect(page.getByText('1 member', { exact: true })).toBeVisible();
  await expect(page.getByText('Ann invites you to this group.')).toBeVisible();
  expect((await annApi.query(`chats/${id}/members`)).items).toHaveLength(1);
  const told = addresses.map((address) => address.split('#')[0]).filter((address) => address.includes(invite.token));
  expect(told).toEqual([]);
  const kept = await page.evaluate(() => JSON.stringify([localStorage, sessionStorage]));
  expect(kept).not.toContain(invite.token);
});

test('who is not signed in signs up first and is led back to the invitation', async ({ open, server }) => {
  const { id, title, invite, path } = await invitation(server.url);
  const page = await open();
  await page.goto(path);
  await expect(page.getByText('You are invited to a group.')).toBeVisible();
  await expectAccessible(page);
  expect(page.url()).not.toContain(invite.token);
  const boris = somebody('Boris');
  await page.getByRole('link', { name: 'Create an account' }).click();
  await expect(page.getByText('You are invited to a group.')).toBeVisible();
  await page.getByLabel('Email').fill(boris.email);
  await page.getByLabel('Password', { exact: true }).fill(boris.password);
  await page.getByLabel('Nickname').fill(boris.nickname);
  await page.getByRole('button', { name: 'Create account' }).click();
  await expect(page.getByRole('heading', { name: title })).toBeVisible();
  expect(await page.evaluate(() => JSON.stringify(sessionStorage))).not.toContain(invite.token);
  await page.getByRole('button', { name: 'Join group' }).click();
  await expect(page).toHaveURL(new RegExp(`/chats/${id}$`));
  await expect(page.getByRole('textbox', { name: 'Message' })).toBeVisible();
  await page.goto(path);
  await expect(page.getByText('You are in this group already.')).toBeVisible();
  await page.getByRole('link', { name: 'Open the group' }).click();
  await expect(page).toHaveURL(new RegExp(`/chats/${id}$`));
});

test('an unknown and an empty invitation are over alike, and who was removed is told so', async ({ open, server }) => {
  const { annApi, id, path } = await invitation(server.url);
  const boris = somebody('Boris');
  const borisApi = await Api.register(server.url, boris);
  await borisApi.command('accept_invite', { token: path.split('#')[1] });
  await annApi.command('remove_member', { chat_id: id, user_id: borisApi.userId });
  const page = await open();
  await flows.signIn(page, boris);
  for (const wrong of ['/invite', '/invite#nothing']) {
    await page.goto('/chats');
    await page.goto(wrong);
    await expect(page.getByText('This invitation is over')).toBeVisible();
  }
  await page.goto('/chats');
  await page.goto(path);
  await expect(page.getByRole('alert').filter({ hasText: 'You were removed from this group' })).toBeVisible();
});

for (const colorScheme of ['light', 'dark'] as const) {
  for (const width of [360, 1280]) {
    test(`an invitation is accessible and fits, ${colorScheme}, ${width} wide`, async ({ open, server }) => {
      const { path, title } = await invitation(server.url, `${'ش'.repeat(32)}${'W'.repeat(32)}`);
      const boris = somebody('Boris');
      await Api.register(server.url, boris);
      const page = await open({ colorScheme, viewport: { width, height: 740 }, reducedMotion: 'reduce' });
      await flows.signIn(page, boris);
      await page.goto(path);
      await expect(page.getByRole('heading', { name: title })).toBeVisible();
      await expectAccessible(page);
      await expectNoSidewaysScroll(page);
    });
  }
}
