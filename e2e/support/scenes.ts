// Every page of the app with something on it, for whoever looks at all of them.
import type { Page } from '@playwright/test';

import { Api, somebody, twoFriends } from './api.ts';
import * as flows from './flows.ts';
import { file, picture } from './pictures.ts';
import { expect } from './test.ts';

const LINES = [
  'Did you see the ice on the river?',
  'Yes, and the fishermen on it. Brave people',
  'https://example.org/ice says it holds a horse',
  'A horse, not a van 🚐',
  'Shall we walk there on Sunday? I could bring tea, and you bring the sledge that your brother left in the cellar.',
  'Gladly. At ten?',
];

/** Calls `look` once for each page, with its name. */
export async function eachPage(page: Page, url: string, look: (name: string) => Promise<void>): Promise<void> {
  await page.goto('/signin');
  await expect(page.getByRole('button', { name: 'Sign in' })).toBeVisible();
  await look('sign-in');
  await page.goto('/signup');
  await expect(page.getByRole('button', { name: 'Create account' })).toBeVisible();
  await look('sign-up');
  await page.getByRole('button', { name: 'Create account' }).click();
  await expect(page.getByLabel('Email')).toHaveAttribute('aria-invalid', 'true');
  await look('sign-up-refused');

  const newcomer = somebody('Newcomer');
  await Api.register(url, newcomer);
  await flows.signIn(page, newcomer);
  await look('chats-empty');
  await page.goto('/people');
  await expect(page.getByRole('heading', { name: 'People' })).toBeVisible();
  await look('people-empty');
  await page.context().clearCookies();

  const { ann, boris, annApi, borisApi, chat } = await twoFriends(url, ['Ann Arbor', 'Борис Годунов']);
  for (const [index, line] of LINES.entries()) await [annApi, borisApi][index % 2].send(chat, line);
  await borisApi.changePhoto(picture());
  await annApi.changePhoto(picture(30));
  const clara = await Api.register(url, somebody('Clara Schumann'));
  await clara.command('add', { user_id: annApi.userId });
  const david = await Api.register(url, somebody('David'));
  await annApi.command('add', { user_id: david.userId });
  const emil = await Api.register(url, somebody('Emil of Lönneberga'));
  const other = await annApi.befriend(emil);
  await emil.send(other, 'New and unread');

  const { chat_id: group } = await annApi.command('create_chat', {
    title: 'Ice fishing on the upper lake',
    member_ids: [borisApi.userId, emil.userId],
    history: 'all',
  });
  await borisApi.send(group, 'Who brings the drill?');
  await emil.send(group, 'I do. And @' + boris.nickname + ' brings the soup');
  await annApi.command('react', { chat_id: group, number: 2, emoji: '👍' });
  await borisApi.command('react', { chat_id: group, number: 2, emoji: '🎉' });
  await borisApi.command('send', { chat_id: group, text: 'Fish soup', reply_to: 2 });
  await borisApi.command('edit_message', { chat_id: group, number: 3, text: 'Fish soup, if there is fish' });
  await emil.send(group, 'wrong chat');
  await emil.command('delete_message', { chat_id: group, number: 4 });
  const { token } = await annApi.command('create_invite', { chat_id: group, uses: 5 });

  await flows.signIn(page, ann);
  await expect(flows.chatInList(page, boris.name).first()).toBeVisible();
  await look('chats');
  await page.goto(`/chats/${group}`);
  await page.getByLabel('Attach files').setInputFiles([file('hole in the ice.png', picture(120)), { name: 'checklist.pdf', mimeType: 'application/pdf', buffer: Buffer.alloc(48_000) }]);
  await flows.expectUploaded(page);
  await page.getByRole('button', { name: 'Send', exact: true }).click();
  await expect(page.getByRole('button', { name: /Open the picture/ })).toBeVisible();
  await look('group');
  const soup = flows.message(page, 'Fish soup');
  await soup.getByRole('button', { name: 'What to do with this message' }).press('Enter');
  await expect(page.getByRole('menu')).toBeVisible();
  await look('message-menu');
  await page.keyboard.press('Escape');
  await page.getByRole('button', { name: 'Ice fishing on the upper lake' }).click();
  await expect(page.getByRole('complementary', { name: 'About this group' })).toBeVisible();
  await look('group-panel');
  await page.goto(`/invite#${token}`);
  await expect(page.getByText('You are in this group already.')).toBeVisible();
  await look('invitation');
  await page.goto('/chats/new');
  await expect(page.getByLabel('Group name')).toBeVisible();
  await look('new-group');
  await page.goto('/chats');
  await page.goto(`/chats/${chat}`);
  await expect(flows.message(page, 'At ten?')).toBeVisible();
  await look('conversation');
  await page.goto('/people');
  await expect(page.getByText('Clara Schumann').first()).toBeVisible();
  await look('people');
  await page.goto(`/people/${borisApi.userId}`);
  await expect(page.getByRole('heading', { name: boris.name })).toBeVisible();
  await look('person');
  await page.goto('/settings');
  await expect(page.getByRole('button', { name: 'Sign out', exact: true })).toBeVisible();
  await look('settings');
  const chooser = page.waitForEvent('filechooser');
  await page.getByRole('button', { name: 'Change photo' }).click();
  await (await chooser).setFiles(file('new.png', picture(200)));
  await expect(page.getByRole('button', { name: 'Save photo' })).toBeVisible();
  await look('settings-photo');
  await page.getByRole('button', { name: 'Cancel' }).click();
  await flows.openSearch(page);
  await page.keyboard.type(boris.nickname);
  await expect(page.getByRole('dialog').getByText(boris.name).first()).toBeVisible();
  await look('search');
}
