// What one lets others see.
import { somebody, Api, twoFriends } from '../support/api.ts';
import * as flows from '../support/flows.ts';
import { expect, expectAccessible, test } from '../support/test.ts';

test('a choice is saved at once, stays, and can be taken back', async ({ open, server }) => {
  const { ann, annApi } = await twoFriends(server.url);
  const page = await open();
  await flows.signIn(page, ann);
  await page.getByRole('link', { name: 'Settings' }).click();
  const privacy = page.getByRole('region', { name: 'Privacy' });
  const found = privacy.getByRole('switch', { name: 'Found in the search of people' });
  await expect(found).toBeChecked();
  await found.press('Space');
  await expect(privacy.getByText('Saved')).toBeVisible();
  const photo = privacy.getByRole('group', { name: 'Who sees your photo' });
  await photo.getByRole('radio', { name: 'Friends' }).check({ force: true });
  await expect(privacy.getByText('Saved')).toBeVisible();
  await expectAccessible(page);
  await page.reload();
  await expect(found).not.toBeChecked();
  await expect(photo.getByRole('radio', { name: 'Friends' })).toBeChecked();
  expect((await annApi.query('me')).settings).toMatchObject({ discoverable: false, photo: 'friends', about: 'everyone' });

  await found.press('Space');
  await privacy.getByRole('button', { name: 'Undo' }).click();
  await expect(found).not.toBeChecked();
  await expect.poll(async () => (await annApi.query('me')).settings.discoverable).toBe(false);
});

test('a choice that could not be saved is not shown as if it were', async ({ open, server, expected }) => {
  const ann = somebody('Ann');
  await Api.register(server.url, ann);
  expected.push(/503/);
  const page = await open();
  await flows.signIn(page, ann);
  await page.getByRole('link', { name: 'Settings' }).click();
  await page.route('**/command/v1/change_settings', (route) =>
    route.fulfill({
      status: 503,
      contentType: 'application/problem+json',
      body: JSON.stringify({ type: '/docs/problems/unavailable', title: 'Not available right now', status: 503 }),
    }),
  );
  const privacy = page.getByRole('region', { name: 'Privacy' });
  const found = privacy.getByRole('switch', { name: 'Found in the search of people' });
  await found.press('Space');
  await expect(privacy.getByText('The server is not available right now.')).toBeVisible();
  await expect(found).toBeChecked();
});
