// One's own photo: choosing it, seeing it first, others seeing it at once.
import type { Page } from '@playwright/test';

import { twoFriends } from '../support/api.ts';
import * as flows from '../support/flows.ts';
import { expectInitials, expectPhoto, file, give, GREEN, png, RED } from '../support/pictures.ts';
import { expect, expectAccessible, expectNoSidewaysScroll, test } from '../support/test.ts';

// A trace fetches pictures again that the page has let go of, which the page's policy forbids.
test.use({ trace: 'off' });

const photo = (page: Page) => page.getByRole('group', { name: 'Your photo', exact: true });
const button = (page: Page, name: string | RegExp) => photo(page).getByRole('button', { name, exact: true });
const alert = (page: Page) => photo(page).getByRole('alert');
const status = (page: Page) => photo(page).getByRole('status');

async function toSettings(page: Page): Promise<void> {
  await page.getByRole('link', { name: 'Settings' }).click();
  await expect(photo(page)).toBeVisible();
}

/** Chooses a file with the file chooser. */
async function choose(page: Page, what: ReturnType<typeof file>): Promise<void> {
  const chooser = page.waitForEvent('filechooser');
  await button(page, /^(Add|Change) photo$|^Choose another$/).click();
  await (await chooser).setFiles(what);
}

async function change(page: Page, what = file('me.png', png(RED))): Promise<void> {
  await choose(page, what);
  await button(page, 'Save photo').click();
  await expect(status(page)).toHaveText('The photo is saved');
}

/** The keys of all commands of this name that leave the page. */
function keysOf(page: Page, name: string): string[] {
  const keys: string[] = [];
  page.on('request', (request) => {
    if (request.url().endsWith(`/command/v1/${name}`)) keys.push(request.headers()['idempotency-key']);
  });
  return keys;
}

test('a changed photo shows to a friend at once, wherever the friend sees one, and a removed one goes', async ({ open, server }) => {
  const { ann, boris, annApi, chat } = await twoFriends(server.url, ['Ann Arbor', 'Boris']);
  await annApi.send(chat, 'do I look well?');
  const [page, friend] = [await open(), await open()];
  await flows.signIn(page, ann);
  await flows.signIn(friend, boris);
  await flows.openChat(friend, ann.name);
  await friend.getByRole('button', { name: ann.name }).click();
  const places = [
    flows.chatInList(friend, ann.name),
    friend.getByRole('heading', { level: 1 }).filter({ hasText: ann.name }),
    flows.message(friend, 'do I look well?'),
    friend.getByRole('complementary'),
  ];
  for (const place of places) await expectInitials(place, 'AA');

  await toSettings(page);
  await expect(photo(page).getByRole('img', { name: 'No photo yet, your initials' })).toBeVisible();
  await change(page);
  await expectPhoto(photo(page).getByRole('img', { name: 'Your photo' }), RED);
  for (const place of places) await expectPhoto(place, RED);

  await change(page, file('other.png', png(GREEN)));
  for (const place of places) await expectPhoto(place, GREEN);
  await page.reload();
  await friend.reload();
  await expectPhoto(photo(page).getByRole('img', { name: 'Your photo' }), GREEN);
  for (const place of places.slice(0, 3)) await expectPhoto(place, GREEN);
  await friend.getByRole('link', { name: 'People', exact: true }).click();
  const line = friend.getByRole('listitem').filter({ hasText: `@${ann.nickname}` });
  await expectPhoto(line, GREEN);
  await friend.getByRole('searchbox').fill(ann.nickname);
  await expectPhoto(friend.getByRole('list', { name: 'People found' }).getByRole('listitem'), GREEN);
  await line.getByRole('link').focus();

  await button(page, 'Remove photo').click();
  await photo(page).getByRole('group', { name: 'Remove photo' }).getByRole('button', { name: 'Remove photo' }).click();
  await expect(status(page)).toHaveText('The photo is removed');
  await expectInitials(photo(page), 'AA');
  await expectInitials(line, 'AA');
  // What changes beside it takes the focus from nothing.
  await expect(line.getByRole('link')).toBeFocused();
});

test('everything about the photo is done by keyboard, and the focus stays where one is', async ({ open, server }) => {
  const { ann } = await twoFriends(server.url);
  const page = await open();
  await flows.signIn(page, ann);
  await toSettings(page);
  await button(page, 'Add photo').focus();
  const byKey = async (key: string) => {
    const chooser = page.waitForEvent('filechooser');
    await button(page, 'Add photo').press(key);
    await (await chooser).setFiles(file('me.png', png(RED)));
    await expect(photo(page).getByRole('img', { name: 'Preview of the new photo' })).toBeVisible();
    await expect(button(page, 'Save photo')).toBeFocused();
  };
  await byKey('Enter');
  await expect(status(page)).toContainText('not saved yet');
  await page.keyboard.press('Escape');
  await expect(button(page, 'Add photo')).toBeFocused();
  await expectInitials(photo(page), 'A');
  await expect(page).toHaveURL(/\/settings$/);

  await byKey('Space');
  await page.keyboard.press('Enter');
  await expect(button(page, 'Change photo')).toBeFocused();
  await expect(status(page)).toHaveText('The photo is saved');
  await page.keyboard.press('Tab');
  await expect(button(page, 'Remove photo')).toBeFocused();
  await page.keyboard.press('Enter');
  await expect(photo(page).getByRole('group').getByRole('button', { name: 'Remove photo' })).toBeFocused();
  await page.keyboard.press('Escape');
  await expect(button(page, 'Change photo')).toBeFocused();
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  await expect(photo(page).getByRole('group').getByRole('button', { name: 'Remove photo' })).toBeFocused();
  await page.keyboard.press('Enter');
  await expect(button(page, 'Add photo')).toBeFocused();
  await expect(status(page)).toHaveText('The photo is removed');
});

test('a picture is dropped or pasted, and text that is pasted stays text', async ({ open, server }) => {
  const { ann } = await twoFriends(server.url);
  const page = await open();
  await flows.signIn(page, ann);
  await toSettings(page);
  await give(page, 'drop', '.photo', png(GREEN));
  await expectPhoto(photo(page).getByRole('img', { name: 'Preview of the new photo' }), GREEN);
  await give(page, 'paste', 'body', png(RED));
  await expectPhoto(photo(page).getByRole('img', { name: 'Preview of the new photo' }), RED);
  await button(page, 'Save photo').click();
  await expect(status(page)).toHaveText('The photo is saved');
  await expectPhoto(photo(page), RED);

  const about = page.getByLabel(/^About/);
  await about.focus();
  await about.evaluate((field: HTMLTextAreaElement) => {
    const data = new DataTransfer();
    data.setData('text/plain', 'words with a picture');
    data.items.add(new File(['x'], 'picture.png', { type: 'image/png' }));
    const paste = new ClipboardEvent('paste', { bubbles: true, cancelable: true, clipboardData: data });
    field.value = String(field.dispatchEvent(paste));
  });
  await expect(about).toHaveValue('true');
  await expect(alert(page)).toBeEmpty();
});

test('what cannot be a photo is refused before it is sent, in words that say why', async ({ open, server }) => {
  const { ann } = await twoFriends(server.url);
  const page = await open();
  await flows.signIn(page, ann);
  await toSettings(page);
  const keys = keysOf(page, 'change_photo');
  const huge = Buffer.concat([png(RED), Buffer.alloc(10 * 1024 * 1024)]);
  for (const [what, words] of [
    [file('huge.png', huge), /larger than 10 MB/],
    [file('page.png', Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"/>')), /not a JPEG, PNG or WebP/],
    [file('empty.png', Buffer.alloc(0)), /not a JPEG, PNG or WebP/],
    [file('broken.png', png(RED).subarray(0, 20)), /damaged/],
    [file('wide.png', png(RED, 6000, 4001, 1)), /more than 24 million pixels/],
  ] as const) {
    await choose(page, what);
    await expect(alert(page), what.name).toHaveText(words);
    await expect(button(page, 'Add photo')).toBeFocused();
  }
  await choose(page, file('good.png', png(RED)));
  await expect(alert(page)).toBeEmpty();
  expect(keys).toEqual([]);
});

test('a picture that only the server finds out is refused in clear words, and another one is chosen', async ({ open, server }) => {
  const { ann } = await twoFriends(server.url);
  const page = await open();
  await flows.signIn(page, ann);
  await toSettings(page);
  // The browser shows what there is of it.
  await choose(page, file('cut.png', png(RED, 300, 300, 3)));
  await button(page, 'Save photo').click();
  await expect(alert(page)).toHaveText(/damaged/);
  await expect(button(page, 'Choose another')).toBeFocused();
  await choose(page, file('text.png', Buffer.from('no picture')));
  await expect(alert(page)).toHaveText(/not a JPEG/);
  await expect(button(page, 'Choose another')).toBeFocused();
  await choose(page, file('good.png', png(GREEN)));
  await expect(alert(page)).toBeEmpty();
  await button(page, 'Save photo').click();
  await expect(status(page)).toHaveText('The photo is saved');

  for (const [status, type, code, words] of [
    [413, 'too-large', '', /larger than 10 MB/],
    [415, 'unsupported-type', '', /not a JPEG, PNG or WebP/],
    [422, 'invalid', 'too-many-pixels', /more than 24 million pixels/],
    [422, 'invalid', 'unreadable', /damaged/],
  ] as const) {
    const errors = code ? [{ pointer: '', code, params: {} }] : [];
    const body = JSON.stringify({ type: `/docs/problems/${type}`, title: '', status, errors });
    await page.route('**/command/v1/change_photo', (route) => route.fulfill({ status, contentType: 'application/problem+json', body }));
    await choose(page, file('me.png', png(RED)));
    await button(page, 'Save photo').click();
    await expect(alert(page)).toHaveText(words);
    await button(page, 'Cancel').click();
    await page.unroute('**/command/v1/change_photo');
  }
  await expectPhoto(photo(page), GREEN);
});

test('an answer that gets lost is asked for again under the same key, and the photo changes once', async ({ open, server, expected }) => {
  expected.push(/net::ERR_FAILED/);
  const { ann, annApi } = await twoFriends(server.url);
  const page = await open();
  await flows.signIn(page, ann);
  await toSettings(page);
  const keys = keysOf(page, 'change_photo');
  const seen: string[] = [];
  await page.route('**/command/v1/change_photo', async (route) => {
    const answer = await route.fetch();
    seen.push(await answer.text());
    // The server hears it; the browser never hears of that.
    if (keys.length === 1) return route.abort();
    await route.fulfill({ response: answer });
  });
  await choose(page, file('me.png', png(RED)));
  await button(page, 'Save photo').click();
  await expect(alert(page)).toHaveText(/could not be reached/);
  await expect(button(page, 'Try again')).toBeFocused();
  // The rows show a little later what a page has written.
  const kept = async () => (await annApi.query('me')).photo_id;
  await expect.poll(kept).toBeTruthy();
  const first = await kept();
  await button(page, 'Try again').click();
  await expect(status(page)).toHaveText('The photo is saved');
  expect(keys).toHaveLength(2);
  expect(new Set(keys).size).toBe(1);
  expect(seen[1]).toBe(seen[0]);
  expect(await kept()).toBe(first);

  // Another picture is another command.
  await change(page, file('other.png', png(GREEN)));
  expect(new Set(keys).size).toBe(2);
});

test('while the photo goes its progress shows, and it can be called off', async ({ open, server, expected }) => {
  expected.push(/net::ERR_FAILED/);
  const { ann, annApi } = await twoFriends(server.url);
  const page = await open();
  await flows.signIn(page, ann);
  await toSettings(page);
  await page.route('**/command/v1/change_photo', () => {});
  await choose(page, file('me.png', png(RED)));
  await button(page, 'Save photo').click();
  await expect(photo(page).getByRole('progressbar', { name: /Sending/ })).toBeVisible();
  await expect(status(page)).toHaveText(/Sending/);
  await expect(button(page, 'Save photo')).toHaveAttribute('aria-disabled', 'true');
  const gone = page.waitForEvent('requestfailed', (request) => request.url().endsWith('change_photo'));
  await button(page, 'Cancel').click();
  await gone;
  await expect(button(page, 'Add photo')).toBeFocused();
  await expectInitials(photo(page), 'A');
  expect((await annApi.query('me')).photo_id ?? null).toBeNull();
});

test('where a photo does not load the initials stay, in the same place, and it comes once it can', async ({ open, server, expected }) => {
  expected.push(/status of 503/);
  const { ann, boris } = await twoFriends(server.url);
  const [page, friend] = [await open(), await open()];
  await flows.signIn(page, ann);
  await toSettings(page);
  await change(page);
  await page.route('**/query/v1/photos/**', (route) => route.fulfill({ status: 503 }));
  await friend.route('**/query/v1/photos/**', (route) => route.fulfill({ status: 503 }));
  const failed = friend.waitForResponse(/\/query\/v1\/photos\//, { timeout: 60_000 });
  await flows.signIn(friend, boris);
  const line = flows.chatInList(friend, ann.name);
  await failed;
  await expectInitials(line, 'A');
  const before = await line.boundingBox();
  await friend.unroute('**/query/v1/photos/**');
  await expectPhoto(line, RED);
  expect(await line.boundingBox()).toEqual(before);
});

test('on a dense screen the sharper photo is fetched, and what is out of sight is not', async ({ open, server }) => {
  const { ann, boris } = await twoFriends(server.url);
  const page = await open();
  await flows.signIn(page, ann);
  await toSettings(page);
  await change(page);
  for (const [deviceScaleFactor, size] of [[1, '64'], [2, '256']] as const) {
    const friend = await open({ deviceScaleFactor });
    const asked = friend.waitForRequest(/\/query\/v1\/photos\//, { timeout: 60_000 });
    await flows.signIn(friend, boris);
    expect(new URL((await asked).url()).searchParams.get('size')).toBe(size);
    const image = flows.chatInList(friend, ann.name).locator('img');
    await expect(image).toHaveAttribute('loading', 'lazy');
    // The name stands beside.
    await expect(image).toHaveAttribute('alt', '');
  }
});

test('the photo is spoken of in Russian', async ({ open, server }) => {
  const { ann } = await twoFriends(server.url);
  const page = await open({ locale: 'ru-RU' });
  await page.goto('/signin');
  await page.getByLabel(/почт/i).fill(ann.email);
  await page.getByLabel('Пароль', { exact: true }).fill(ann.password);
  await page.getByRole('button', { name: 'Войти' }).click();
  await page.getByRole('link', { name: 'Настройки' }).click();
  const group = page.getByRole('group', { name: 'Ваше фото' });
  const chooser = page.waitForEvent('filechooser');
  await group.getByRole('button', { name: 'Добавить фото' }).click();
  await (await chooser).setFiles(file('page.png', Buffer.from('GIF89a')));
  await expect(group.getByRole('alert')).toHaveText(/Подойдёт только JPEG, PNG или WebP/);
  await give(page, 'drop', '.photo', png(GREEN));
  await group.getByRole('button', { name: 'Сохранить фото' }).click();
  await expect(group.getByRole('status')).toHaveText('Фото сохранено');
});

for (const colorScheme of ['light', 'dark'] as const) {
  for (const width of [360, 1280]) {
    test(`every state of the photo is accessible and fits, ${colorScheme}, ${width} wide`, async ({ open, server }) => {
      const { ann } = await twoFriends(server.url);
      const page = await open({ colorScheme, viewport: { width, height: 740 }, reducedMotion: 'reduce' });
      await flows.signIn(page, ann);
      await toSettings(page);
      const look = async () => {
        await expectAccessible(page);
        await expectNoSidewaysScroll(page);
      };
      await choose(page, file('text.png', Buffer.from('no picture')));
      await expect(alert(page)).not.toBeEmpty();
      await look();
      await choose(page, file('me.png', png(RED)));
      await expect(button(page, 'Save photo')).toBeVisible();
      await look();
      await page.route('**/command/v1/change_photo', () => {});
      await button(page, 'Save photo').click();
      await expect(photo(page).getByRole('progressbar')).toBeVisible();
      await look();
      await button(page, 'Cancel').click();
      await page.unroute('**/command/v1/change_photo');
      await change(page);
      await look();
      await button(page, 'Remove photo').click();
      await expect(photo(page).getByRole('group')).toBeVisible();
      await look();
    });
  }
}
