// What one can change about oneself and one's devices.
import { Api, somebody, twoFriends } from '../support/api.ts';
import * as flows from '../support/flows.ts';
import { expect, test } from '../support/test.ts';

/** That somebody has signed in here before: no credential, and kept so that guesses from elsewhere slow nobody here. */
const KNOWN = /letopis-device$/;

test('a changed profile shows to a friend at once', async ({ open, server }) => {
  const { ann, boris } = await twoFriends(server.url);
  const [page, friend] = [await open(), await open()];
  await flows.signIn(page, ann);
  await flows.signIn(friend, boris);
  await expect(flows.chatInList(friend, ann.name)).toBeVisible();
  await page.getByRole('link', { name: 'Settings' }).click();
  await page.getByLabel('Name', { exact: true }).fill('Ann the Second');
  await page.getByLabel(/^About/).fill('Born in a chronicle');
  await page.getByRole('button', { name: /^Save/ }).click();
  await expect(flows.chatInList(friend, 'Ann the Second')).toBeVisible();
  await page.reload();
  await expect(page.getByLabel('Name', { exact: true })).toHaveValue('Ann the Second');
  await expect(page.getByLabel(/^About/)).toHaveValue('Born in a chronicle');
});

test('a taken nickname is refused beside its field', async ({ open, server }) => {
  const { ann, boris } = await twoFriends(server.url);
  const page = await open();
  await flows.signIn(page, ann);
  await page.getByRole('link', { name: 'Settings' }).click();
  await page.getByLabel('Nickname').fill(boris.nickname.toUpperCase());
  await page.getByRole('button', { name: /^Save/ }).click();
  await expect(page.getByText(/nickname.*taken/i)).toBeVisible();
});

test('signing another device out takes effect on it at once', async ({ open, server }) => {
  const ann = somebody('Ann');
  await Api.register(server.url, ann);
  const [here, there] = [await open(), await open()];
  await flows.signIn(here, ann);
  await Promise.all([flows.live(there), flows.signIn(there, ann)]);
  await here.getByRole('link', { name: 'Settings' }).click();
  // Which is which: where, since when, and when last.
  const sessions = here.getByRole('list', { name: 'Active sessions' }).getByRole('listitem');
  await expect(sessions).toHaveCount(3);
  for (const words of [/Chrome, Linux/, /Signed in .*20\d\d/, /Last active .*20\d\d/, /127\.0\.0\.1/]) {
    await expect(sessions.filter({ hasText: 'This device' })).toContainText(words);
  }
  await here.getByRole('button', { name: /others/i }).press('Enter');
  await flows.expectSignedOut(there);
  await expect(sessions).toHaveCount(1);
  await expect(here.getByRole('heading', { name: 'Active sessions' })).toBeFocused();
  await here.reload();
  await flows.expectSignedIn(here);
  await there.goto('/chats');
  await flows.expectSignedOut(there);
});

test('signing out leaves nothing behind', async ({ open, server }) => {
  const { ann, boris } = await twoFriends(server.url);
  const page = await open();
  await flows.signIn(page, ann);
  await flows.openChat(page, boris.name);
  await page.getByRole('textbox', { name: 'Message' }).fill('a secret draft');
  await page.getByRole('link', { name: 'Settings' }).click();
  // The form is there before the page is loaded anew.
  const anew = page.waitForEvent('load');
  await page.getByRole('button', { name: 'Sign out', exact: true }).click();
  await anew;
  await flows.expectSignedOut(page);
  expect(await page.evaluate(() => JSON.stringify(localStorage))).not.toContain('a secret draft');
  expect((await page.context().cookies()).filter((cookie) => cookie.httpOnly && cookie.value && !KNOWN.test(cookie.name))).toEqual([]);
  await page.goto('/settings');
  await flows.expectSignedOut(page);
});

test('the language comes from the browser, changes in the settings, and stays', async ({ open, server }) => {
  const ann = somebody('Ann');
  await Api.register(server.url, ann);
  const page = await open({ locale: 'ru-RU' });
  await page.goto('/signin');
  await expect(page.locator('html')).toHaveAttribute('lang', 'ru');
  await expect(page.getByRole('button', { name: 'Войти' })).toBeVisible();
  await page.getByLabel(/почт/i).fill(ann.email);
  await page.getByLabel('Пароль', { exact: true }).fill(ann.password);
  await page.getByRole('button', { name: 'Войти' }).click();
  await page.getByRole('link', { name: 'Настройки' }).click();
  await flows.choose(page, 'English');
  await expect(page.locator('html')).toHaveAttribute('lang', 'en');
  await expect(page.getByRole('link', { name: 'Settings' })).toBeVisible();
  await page.reload();
  await expect(page.locator('html')).toHaveAttribute('lang', 'en');
});

test('the theme follows the system until one is chosen, and stays', async ({ open, server }) => {
  const ann = somebody('Ann');
  await Api.register(server.url, ann);
  const page = await open({ colorScheme: 'dark' });
  await flows.signIn(page, ann);
  const brightness = () =>
    page.evaluate(() => {
      const canvas = document.createElement('canvas').getContext('2d')!;
      canvas.fillStyle = getComputedStyle(document.body).backgroundColor;
      canvas.fillRect(0, 0, 1, 1);
      const [red, green, blue] = canvas.getImageData(0, 0, 1, 1).data;
      return (red + green + blue) / 3;
    });
  expect(await brightness()).toBeLessThan(80);
  await page.getByRole('link', { name: 'Settings' }).click();
  await flows.choose(page, 'Light');
  await expect.poll(brightness).toBeGreaterThan(200);
  await page.reload();
  await flows.expectSignedIn(page);
  expect(await brightness()).toBeGreaterThan(200);
});
