// What a page must never hold or do.
import { somebody, twoFriends } from '../support/api.ts';
import * as flows from '../support/flows.ts';
import { expect, test } from '../support/test.ts';

test('the browser keeps no secret where scripts can read it', async ({ open }) => {
  const ann = somebody('Ann');
  const page = await open();
  await flows.signUp(page, ann);
  const kept = await page.evaluate(() => JSON.stringify({ ...localStorage, ...sessionStorage }) + document.cookie);
  const cookies = await page.context().cookies();
  expect(cookies.length).toBeGreaterThan(0);
  for (const cookie of cookies) {
    expect(cookie.httpOnly, cookie.name).toBe(true);
    expect(cookie.sameSite, cookie.name).toBe('Strict');
    expect(kept).not.toContain(cookie.value);
  }
  expect(kept).not.toContain(ann.password);
  expect(kept).not.toMatch(/eyJ/);
});

test('a message is text, whatever it looks like', async ({ open, server }) => {
  const { ann, boris, borisApi, chat } = await twoFriends(server.url);
  const hostile = '<img src=x onerror="document.title=1"><script>document.title=2</script> javascript:alert(1)';
  await borisApi.send(chat, hostile);
  await borisApi.send(chat, 'see https://example.org/a?b=c#d.');
  const page = await open();
  await flows.signIn(page, ann);
  await flows.openChat(page, boris.name);
  await expect(flows.message(page, '<img src=x')).toContainText(hostile);
  await expect(flows.message(page, '<img src=x').getByRole('link')).toHaveCount(0);
  const link = flows.message(page, 'see').getByRole('link');
  await expect(link).toHaveAttribute('href', 'https://example.org/a?b=c#d');
  for (const word of [/noopener/, /noreferrer/, /nofollow/]) await expect(link).toHaveAttribute('rel', word);
});

test('a chat that is not one\'s own is not found', async ({ open, server }) => {
  const { chat } = await twoFriends(server.url);
  const page = await open();
  await flows.signUp(page, somebody('Stranger'));
  await page.goto(`/chats/${chat}`);
  await expect(page.getByRole('textbox', { name: 'Message' })).toHaveCount(0);
  await expect(page.getByText(/nothing here|not found|no such|isn.t/i).first()).toBeVisible();
});

test('an access token that has run out is renewed unseen, in two tabs at once', async ({ open, server }) => {
  const { ann, boris } = await twoFriends(server.url);
  const page = await open();
  await Promise.all([flows.live(page), flows.signIn(page, ann)]);
  const context = page.context();
  const other = await context.newPage();
  await Promise.all([flows.live(other), other.goto('/chats')]);
  await expect(flows.chatInList(other, boris.name)).toBeVisible();

  const access = (await context.cookies()).filter((cookie) => cookie.name === 'letopis-access');
  expect(access).toHaveLength(1);
  // As the browser forgets it when its time is over; the refresh token stays.
  await context.clearCookies({ name: access[0].name });
  await Promise.all([page.goto('/chats'), other.reload()]);
  for (const tab of [page, other]) await expect(flows.chatInList(tab, boris.name)).toBeVisible();
  const renewed = (await context.cookies()).filter((cookie) => cookie.name === 'letopis-access');
  expect(renewed).toHaveLength(1);
  expect(renewed[0].value).not.toBe(access[0].value);
});
