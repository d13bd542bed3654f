// What can be done with a message, and what it carries.
import type { Locator, Page } from '@playwright/test';

import { Api, somebody, twoFriends } from '../support/api.ts';
import * as flows from '../support/flows.ts';
import { GREEN, RED, png } from '../support/pictures.ts';
import { expect, expectAccessible, expectNoSidewaysScroll, test } from '../support/test.ts';

// A trace fetches pictures again that the page has let go of, which the page's policy forbids.
test.use({ trace: 'off' });

/** Opens the menu of a message and chooses from it. */
async function choose(page: Page, message: Locator, step: string) {
  await message.hover();
  await message.getByRole('button', { name: 'What to do with this message' }).click();
  await page.getByRole('menuitem', { name: step, exact: true }).click();
}

function dialog(page: Page): Locator {
  return page.getByRole('dialog');
}

test('a message is edited, its earlier wording stays to be read, and it is deleted for both', async ({ open, server }) => {
  const { ann, boris, borisApi, chat } = await twoFriends(server.url);
  const [page, other] = [await open(), await open()];
  await flows.signIn(page, ann);
  await flows.signIn(other, boris);
  await flows.openChat(page, boris.name);
  await flows.openChat(other, ann.name);
  await flows.send(page, 'Meet at two');
  await flows.expectSent(page, 'Meet at two');

  // The arrow up brings the last own message back into the field.
  const field = page.getByRole('textbox', { name: 'Message' });
  await field.press('ArrowUp');
  await expect(field).toHaveValue('Meet at two');
  await expect(page.getByText('Editing', { exact: true })).toBeVisible();
  await expectAccessible(page);
  await field.fill('Meet at ten');
  // Going elsewhere and coming back loses nothing.
  await page.getByRole('link', { name: 'People' }).click();
  await expect(field).toHaveCount(0);
  await flows.openChat(page, boris.name);
  await expect(page.getByText('Editing', { exact: true })).toBeVisible();
  await expect(field).toHaveValue('Meet at ten');
  await field.press('Enter');
  await expect(field).toHaveValue('');
  for (const screen of [page, other]) {
    await expect(flows.message(screen, 'Meet at ten')).toContainText('edited');
    await expect(flows.messages(screen)).toHaveCount(1);
  }
  await flows.message(other, 'Meet at ten').getByRole('button', { name: 'edited' }).click();
  await expect(dialog(other).getByRole('listitem')).toHaveText([/Meet at two/, /Meet at ten/]);
  await expectAccessible(other);
  await other.keyboard.press('Escape');
  await expect(dialog(other)).toHaveCount(0);

  // Whoever quotes it quotes nothing once it is gone.
  await borisApi.command('send', { chat_id: chat, text: 'Gladly', reply_to: 1 });
  await expect(flows.message(page, 'Gladly')).toContainText('Meet at ten');
  await choose(page, flows.messages(page).first(), 'Delete');
  await expect(dialog(page)).toContainText('sealed');
  await dialog(page).getByRole('button', { name: 'Delete for everybody' }).click();
  for (const screen of [page, other]) {
    await expect(flows.messages(screen).first()).toContainText('Deleted by its author');
    await expect(screen.getByText('Meet at ten')).toHaveCount(0);
  }
});

test('who leads a group removes a message of somebody else', async ({ open, server }) => {
  const { ann, annApi, borisApi } = await twoFriends(server.url);
  const { chat_id: id } = await annApi.command('create_chat', { title: 'Ice', member_ids: [borisApi.userId] });
  await borisApi.send(id, 'Buy my boat');
  const page = await open();
  await flows.signIn(page, ann);
  await page.goto(`/chats/${id}`);
  await choose(page, flows.message(page, 'Buy my boat'), 'Remove');
  await dialog(page).getByRole('button', { name: 'Remove for everybody' }).click();
  await expect(flows.messages(page)).toContainText(['Removed by a moderator']);
});

test('reactions show to both, count, and are taken back', async ({ open, server }) => {
  const { ann, boris, borisApi, chat } = await twoFriends(server.url);
  await borisApi.send(chat, 'Tea?');
  const page = await open();
  await flows.signIn(page, ann);
  await flows.openChat(page, boris.name);
  await choose(page, flows.message(page, 'Tea?'), 'React');
  await expectAccessible(page);
  await dialog(page).getByRole('button', { name: '👍', exact: true }).click();
  const reaction = page.getByRole('list', { name: 'Reactions' }).getByRole('button');
  await expect(reaction).toHaveAttribute('aria-pressed', 'true');
  await borisApi.command('react', { chat_id: chat, number: 1, emoji: '👍' });
  await expect(reaction).toHaveText(/👍\s*2/);
  await reaction.click();
  await expect(reaction).toHaveText(/👍\s*1/);
  await expect(reaction).toHaveAttribute('aria-pressed', 'false');
  await expectAccessible(page);
});

test('pictures and files are attached, seen, opened and saved, and gone with their message', async ({ open, server }) => {
  const { ann, boris } = await twoFriends(server.url);
  const [page, other] = [await open(), await open()];
  await flows.signIn(page, ann);
  await flows.signIn(other, boris);
  await flows.openChat(page, boris.name);
  await flows.openChat(other, ann.name);
  await page.getByLabel('Attach files').setInputFiles([
    { name: 'red.png', mimeType: 'image/png', buffer: png(RED, 800, 600) },
    { name: 'notes “ё”.txt', mimeType: 'text/plain', buffer: Buffer.from('words') },
  ]);
  const waiting = flows.attached(page);
  await expect(waiting).toHaveCount(2);
  await flows.expectUploaded(page);
  await expectAccessible(page);
  await page.getByRole('button', { name: 'Send', exact: true }).click();
  await expect(waiting).toHaveCount(0);
  for (const screen of [page, other]) {
    const shown = flows.messages(screen).first().getByRole('button', { name: /Open the picture red\.png/ });
    await expect(shown).toBeVisible();
    await expect.poll(() => shown.locator('img').evaluate((image: HTMLImageElement) => image.naturalWidth)).toBe(640);
  }
  await flows.messages(other).first().getByRole('button', { name: /Open the picture/ }).click();
  await expect(dialog(other).getByRole('img')).toBeVisible();
  await expectAccessible(other);
  await other.keyboard.press('Escape');
  const [saved] = await Promise.all([
    other.waitForEvent('download'),
    flows.messages(other).first().getByRole('link', { name: /notes/ }).click(),
  ]);
  expect(saved.suggestedFilename()).toBe('notes “ё”.txt');

  await choose(page, flows.messages(page).first(), 'Delete');
  await dialog(page).getByRole('button', { name: 'Delete for everybody' }).click();
  await expect(flows.messages(other).first()).toContainText('Deleted by its author');
  await expect(other.locator('article img, article .file')).toHaveCount(0);
});

test('a picture is pasted, another dropped, and what is not wanted is not sent', async ({ open, server }) => {
  const { ann, boris } = await twoFriends(server.url);
  const page = await open();
  await flows.signIn(page, ann);
  await flows.openChat(page, boris.name);
  const bytes = (colour: typeof RED) => [...png(colour, 40)];
  const deliver = (type: 'paste' | 'drop', data: number[]) =>
    page.evaluate(
      ([type, data]) => {
        const transfer = new DataTransfer();
        transfer.items.add(new File([new Uint8Array(data as number[])], `${type}.png`, { type: 'image/png' }));
        const target = document.querySelector('#composer')!;
        const options = { bubbles: true, cancelable: true };
        target.dispatchEvent(
          type === 'paste'
            ? new ClipboardEvent('paste', { ...options, clipboardData: transfer })
            : new DragEvent('drop', { ...options, dataTransfer: transfer }),
        );
      },
      [type, data] as const,
    );
  await deliver('paste', bytes(RED));
  await deliver('drop', bytes(GREEN));
  const waiting = flows.attached(page);
  await expect(waiting).toHaveCount(2);
  await page.getByRole('button', { name: 'Do not send drop.png' }).click();
  await expect(waiting).toHaveCount(1);
  await flows.send(page, 'just one');
  await expect(flows.message(page, 'just one').getByRole('button', { name: /Open the picture/ })).toHaveCount(1);
});

test('a message is forwarded in the name of who wrote it, copied and reported', async ({ open, server }) => {
  const { ann, boris, annApi, borisApi, chat } = await twoFriends(server.url);
  const clara = somebody('Clara');
  await annApi.befriend(await Api.register(server.url, clara));
  await borisApi.send(chat, 'The ice holds');
  const page = await open({ permissions: ['clipboard-read', 'clipboard-write'] });
  await flows.signIn(page, ann);
  await flows.openChat(page, boris.name);
  await choose(page, flows.message(page, 'The ice holds'), 'Copy the text');
  await expect(page.getByText('Copied.')).toBeVisible();
  expect(await page.evaluate(() => navigator.clipboard.readText())).toBe('The ice holds');
  await choose(page, flows.message(page, 'The ice holds'), 'Report');
  await expectAccessible(page);
  await dialog(page).getByRole('button', { name: 'Something else' }).click();
  await expect(page.getByText('Thank you, it was reported.')).toBeVisible();
  await choose(page, flows.message(page, 'The ice holds'), 'Forward');
  await dialog(page).getByRole('button', { name: 'Clara' }).click();
  await expect(dialog(page)).toHaveCount(0);
  await flows.openChat(page, clara.name);
  await expect(flows.message(page, 'The ice holds')).toContainText('Forwarded from Boris');
});

test('who is meant is offered while it is typed, and stands out for them', async ({ open, server }) => {
  const { ann, boris, annApi, borisApi } = await twoFriends(server.url);
  const { chat_id: id } = await annApi.command('create_chat', { title: 'Ice', member_ids: [borisApi.userId] });
  const [page, other] = [await open(), await open()];
  await flows.signIn(page, ann);
  await flows.signIn(other, boris);
  await page.goto(`/chats/${id}`);
  await other.goto(`/chats/${id}`);
  const field = page.getByRole('textbox', { name: 'Message' });
  await field.pressSequentially('Ask @bor');
  const offered = page.getByRole('listbox', { name: 'People to mention' }).getByRole('option');
  // Who is in the chat is asked at the first @: the next letter finds them.
  await field.press('i');
  await expect(offered).toHaveText([/Boris/]);
  await expectAccessible(page);
  await field.press('Enter');
  await expect(field).toHaveValue(`Ask @${boris.nickname} `);
  await expect(field).toBeFocused();
  await field.pressSequentially('about it');
  await field.press('Enter');
  await expect(flows.message(other, 'about it').locator('.mention.me')).toHaveText(`@${boris.nickname}`);
  await expect(flows.message(page, 'about it').locator('.mention:not(.me)')).toHaveText(`@${boris.nickname}`);
});

test('one sees that the other writes, and that they are here', async ({ open, server }) => {
  const { ann, boris } = await twoFriends(server.url);
  const [page, other] = [await open(), await open()];
  await flows.signIn(page, ann);
  await flows.signIn(other, boris);
  await flows.openChat(page, boris.name);
  await flows.openChat(other, ann.name);
  // It is told once in three seconds, and only to those who are connected by then.
  await expect(async () => {
    await page.getByRole('textbox', { name: 'Message' }).press('m');
    const head = other.getByRole('banner').or(other.locator('.talk-head'));
    await expect(head.getByText(/typing/)).toBeVisible({ timeout: 2_000 });
  }).toPass();
});

test('one goes to a day by the keyboard', async ({ open, server }) => {
  const { ann, boris, borisApi, chat } = await twoFriends(server.url);
  for (let number = 1; number <= 70; number++) await borisApi.send(chat, `message no. ${number}.`);
  const page = await open();
  await flows.signIn(page, ann);
  await flows.openChat(page, boris.name);
  await page.getByRole('button', { name: 'What to do with this chat' }).click();
  await page.getByRole('menuitem', { name: 'Go to a date' }).click();
  await expectAccessible(page);
  await dialog(page).getByLabel('Day').fill(new Date().toISOString().slice(0, 10));
  await dialog(page).getByRole('button', { name: 'Go', exact: true }).click();
  await expect(flows.message(page, 'no. 1.')).toBeInViewport();
});

for (const colorScheme of ['light', 'dark'] as const) {
  test(`a conversation with everything in it fits 360 pixels and keeps nobody out (${colorScheme})`, async ({ open, server }) => {
    const { ann, annApi, borisApi, chat } = await twoFriends(server.url, ['Ann', 'Б'.repeat(64)]);
    const long = 'x'.repeat(4_000);
    await borisApi.send(chat, long);
    await annApi.command('react', { chat_id: chat, number: 1, emoji: '👍' });
    await borisApi.send(chat, 'مرحبا بالعالم، كيف حالك؟ '.repeat(40));
    await annApi.command('send', { chat_id: chat, text: 'quoting', reply_to: 1 });
    const page = await open({ viewport: { width: 360, height: 720 }, colorScheme });
    await flows.signIn(page, ann);
    await page.goto(`/chats/${chat}`);
    await page.getByLabel('Attach files').setInputFiles([
      { name: `${'long-name-'.repeat(20)}.png`, mimeType: 'image/png', buffer: png(RED, 1200, 300) },
      { name: `${'very-long-name-'.repeat(14)}.bin`, mimeType: 'application/octet-stream', buffer: Buffer.alloc(2_000) },
    ]);
    await flows.expectUploaded(page);
    await expectNoSidewaysScroll(page);
    await page.getByRole('button', { name: 'Send', exact: true }).click();
    await expect(page.getByRole('button', { name: /Open the picture/ })).toBeVisible();
    await expectNoSidewaysScroll(page);
    await expectAccessible(page);
    await page.getByRole('button', { name: 'What to do with this message' }).last().focus();
    await page.keyboard.press('Enter');
    await expect(page.getByRole('menu')).toBeVisible();
    await expectNoSidewaysScroll(page);
  });
}
