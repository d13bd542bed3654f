// Sending while the network or the server is not what it should be.
import { type Answer, type Api, twoFriends } from '../support/api.ts';
import * as flows from '../support/flows.ts';
import { expect, SERVER_AWAY, test } from '../support/test.ts';

/** What the other one reads is this, once the rows show what the page has written. */
async function expectHistory(api: Api, chat: string, texts: string[]): Promise<Answer[]> {
  let history: Answer[] = [];
  await expect(async () => {
    history = (await api.query(`chats/${chat}/messages`)).items;
    expect(history.map((message) => message.text)).toEqual(texts);
  }).toPass();
  return history;
}

test('a message is on the screen before the server knows of it', async ({ open, server }) => {
  const { ann, boris, borisApi, chat } = await twoFriends(server.url);
  const page = await open();
  await flows.signIn(page, ann);
  await flows.openChat(page, boris.name);

  let release = () => {};
  const held = new Promise<void>((done) => (release = done));
  await page.route('**/command/v1/send', async (route) => {
    await held;
    await route.continue();
  });
  await flows.send(page, 'already here');
  await flows.expectState(page, 'already here', 'pending');
  expect((await borisApi.query(`chats/${chat}/messages`)).items).toHaveLength(0);
  release();
  await flows.expectSent(page, 'already here');
});

test('an answer that gets lost makes no second message', async ({ open, server, expected }) => {
  expected.push(/net::ERR_FAILED/);
  const { ann, boris, borisApi, chat } = await twoFriends(server.url);
  const page = await open();
  await flows.signIn(page, ann);
  await flows.openChat(page, boris.name);

  const keys: string[] = [];
  await page.route('**/command/v1/send', async (route) => {
    keys.push(route.request().headers()['idempotency-key']);
    if (keys.length > 1) return route.continue();
    // The server hears it; the browser never hears of that.
    await route.fetch();
    await route.abort();
  });
  await flows.send(page, 'only once');
  await flows.expectSent(page, 'only once');
  await expect(flows.messages(page)).toHaveCount(1);
  await expectHistory(borisApi, chat, ['only once']);
  expect(new Set(keys).size).toBe(1);
});

test('what could not be sent is kept over a reload, and goes out once under its key', async ({ open, server, expected }) => {
  expected.push(...SERVER_AWAY, /status of 503/, /net::ERR_FAILED/);
  const { ann, boris, borisApi, chat } = await twoFriends(server.url);
  const page = await open();
  await flows.signIn(page, ann);
  await flows.openChat(page, boris.name);
  await expect(page.getByText('Nothing said yet')).toBeVisible();

  const keys: string[] = [];
  page.on('request', (request) => {
    if (request.url().endsWith('/command/v1/send')) keys.push(request.headers()['idempotency-key']);
  });
  await server.kill();
  await flows.send(page, 'from the tunnel');
  await expect(flows.message(page, 'from the tunnel')).toBeVisible();
  await expect(page.getByText(/offline|connection|reconnect/i).first()).toBeVisible();
  await server.run();
  await page.reload();
  await expect(async () => {
    // Whether it tries again by itself depends on when it noticed.
    if (await flows.retryButton(page).isVisible()) await flows.retryButton(page).click();
    await expect(flows.message(page, 'from the tunnel').locator('[data-state=sent]')).toBeAttached({ timeout: 2_000 });
  }).toPass();
  await expect(flows.messages(page)).toHaveCount(1);
  const history = await expectHistory(borisApi, chat, ['from the tunnel']);
  expect(new Set(keys).size).toBe(1);
  expect(history[0].message_id).toBe(keys[0]);
});

const REFUSED = {
  status: 403,
  contentType: 'application/problem+json',
  body: JSON.stringify({ type: '/docs/problems/not-permitted', title: 'That is not permitted', status: 403 }),
};

test('a refused message says so, and can be tried again or thrown away', async ({ open, server }) => {
  const { ann, boris, borisApi, chat } = await twoFriends(server.url);
  const page = await open();
  await flows.signIn(page, ann);
  await flows.openChat(page, boris.name);
  await page.route('**/command/v1/send', (route) => route.fulfill(REFUSED));
  await flows.send(page, 'refused once');
  await flows.expectState(page, 'refused once', 'failed');
  await page.unroute('**/command/v1/send');
  await flows.retryButton(page).click();
  await flows.expectSent(page, 'refused once');

  await page.route('**/command/v1/send', (route) => route.fulfill(REFUSED));
  await flows.send(page, 'refused for good');
  await flows.expectState(page, 'refused for good', 'failed');
  await page.getByRole('feed').getByRole('button', { name: /discard/i }).click();
  await expect(flows.messages(page)).toHaveCount(1);
  await page.reload();
  await flows.expectHistory(page, ['refused once']);
  expect((await borisApi.query(`chats/${chat}/messages`)).items).toHaveLength(1);
});

test('a draft stays with its chat over a reload', async ({ open, server }) => {
  const { ann, boris } = await twoFriends(server.url);
  const page = await open();
  await flows.signIn(page, ann);
  await flows.openChat(page, boris.name);
  const composer = page.getByRole('textbox', { name: 'Message' });
  await composer.fill('half a thought');
  await page.reload();
  await expect(composer).toHaveValue('half a thought');
});

test('Shift+Enter makes a line, Enter sends, and the text arrives exactly as typed', async ({ open, server }) => {
  const { ann, boris, borisApi, chat } = await twoFriends(server.url);
  const page = await open();
  await flows.signIn(page, ann);
  await flows.openChat(page, boris.name);
  const composer = page.getByRole('textbox', { name: 'Message' });
  await composer.pressSequentially('  one <b>&amp;');
  await composer.press('Shift+Enter');
  await composer.pressSequentially('two 🏳️‍🌈 ');
  await composer.press('Enter');
  await flows.expectSent(page, 'two 🏳️‍🌈');
  await expectHistory(borisApi, chat, ['  one <b>&amp;\ntwo 🏳️‍🌈 ']);
});
