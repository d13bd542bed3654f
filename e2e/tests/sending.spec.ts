// Sending while the network or the server is not what it should be.
import type { Page, Route } from '@playwright/test';

import { twoFriends } from '../support/api.ts';
import * as flows from '../support/flows.ts';
import { file, GREEN, png, RED } from '../support/pictures.ts';
import { expect, SERVER_AWAY, test } from '../support/test.ts';

// A trace fetches pictures again that the page has let go of, which the page's policy forbids.
test.use({ trace: 'off' });

/** Ann's page, at her empty chat with Boris. */
async function talk(open: () => Promise<Page>, url: string) {
  const friends = await twoFriends(url);
  const page = await open();
  await flows.signIn(page, friends.ann);
  await flows.openChat(page, friends.boris.name);
  return { page, ...friends };
}

/** Has a command's requests wait until what this answers is called; they end in `end` then. */
async function hold(page: Page, command: string, end = (route: Route) => route.continue()): Promise<() => void> {
  const { held, release } = flows.gate();
  await page.route(`**/command/v1/${command}`, async (route) => {
    await held;
    await end(route);
  });
  return release;
}

test('a message is on the screen before the server knows of it', async ({ open, server }) => {
  const { page, borisApi, chat } = await talk(open, server.url);

  const release = await hold(page, 'send');
  await flows.send(page, 'already here');
  await flows.expectState(page, 'already here', 'pending');
  expect((await borisApi.query(`chats/${chat}/messages`)).items).toHaveLength(0);
  release();
  await flows.expectSent(page, 'already here');
});

test('an answer that gets lost makes no second message', async ({ open, server, expected }) => {
  expected.push(/net::ERR_FAILED/);
  const { page, borisApi, chat } = await talk(open, server.url);

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
  await flows.expectRead(borisApi, chat, ['only once']);
  expect(new Set(keys).size).toBe(1);
});

test('what could not be sent is kept over a reload, and goes out once under its key', async ({ open, server, expected }) => {
  expected.push(...SERVER_AWAY, /status of 503/, /net::ERR_FAILED/);
  const { page, borisApi, chat } = await talk(open, server.url);
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
    if (await flows.retryButton(page).isVisible()) await flows.retryButton(page).click({ timeout: 1_000 });
    await expect(flows.message(page, 'from the tunnel').locator('[data-state=sent]')).toBeAttached({ timeout: 2_000 });
  }).toPass();
  await expect(flows.messages(page)).toHaveCount(1);
  const history = await flows.expectRead(borisApi, chat, ['from the tunnel']);
  expect(new Set(keys).size).toBe(1);
  expect(history[0].message_id).toBe(keys[0]);
});

test('what did not get through goes out by itself once the server is back', async ({ open, server, expected }) => {
  expected.push(...SERVER_AWAY, /status of 503/, /net::ERR_FAILED/);
  const { page, borisApi, chat } = await talk(open, server.url);
  await expect(page.getByText('Nothing said yet')).toBeVisible();

  await server.kill();
  await flows.send(page, 'first');
  await flows.send(page, 'second');
  await flows.expectState(page, 'first', 'failed');
  await flows.expectState(page, 'second', 'failed');
  await server.run();
  await flows.expectSent(page, 'second');
  await flows.expectHistory(page, ['first', 'second']);
  await flows.expectRead(borisApi, chat, ['first', 'second']);
});

test('a message is on the screen before its files have arrived, and lets later ones pass', async ({ open, server }) => {
  const { page, borisApi, chat } = await talk(open, server.url);
  const release = await hold(page, 'upload');
  await page.getByLabel('Attach files').setInputFiles([
    file('wide.png', png(RED, 400, 200)),
    file('notes.txt', Buffer.from('remember the milk'), 'text/plain'),
  ]);
  await expect(flows.attached(page)).toHaveCount(2);
  await flows.send(page, 'with a picture');
  await expect(flows.attached(page)).toHaveCount(0);
  const row = flows.message(page, 'with a picture');
  await flows.expectState(page, 'with a picture', 'pending');
  await expect(row.getByRole('progressbar', { name: 'wide.png is being uploaded' })).toBeVisible();
  await expect(row.getByText('Waiting')).toBeVisible();
  await expect(row.getByText('notes.txt')).toBeVisible();
  const box = await row.getByRole('img', { name: 'wide.png' }).boundingBox();
  expect(box).toMatchObject({ width: 320, height: 160 });

  await flows.send(page, 'only words');
  await flows.expectSent(page, 'only words');
  // Elsewhere in the app it goes on.
  await page.getByRole('link', { name: 'Settings' }).click();
  release();
  const history = await flows.expectRead(borisApi, chat, ['only words', 'with a picture']);
  expect(history[1].attachments.map((it: { name: string }) => it.name)).toEqual(['wide.png', 'notes.txt']);
  await page.goBack();
  await flows.expectSent(page, 'with a picture');
  await flows.expectHistory(page, ['only words', 'with a picture']);
});

test('Enter right after a picture was given sends it along, however long it takes to be read', async ({ open, server }) => {
  const { page, borisApi, chat } = await talk(open, server.url);
  await page.evaluate(() => {
    const read = File.prototype.arrayBuffer;
    File.prototype.arrayBuffer = async function (this: File) {
      await new Promise((done) => setTimeout(done, 1_000));
      return read.call(this);
    };
  });
  await page.getByLabel('Attach files').setInputFiles([file('red.png', png(RED, 40)), file('green.png', png(GREEN, 40))]);
  const composer = page.getByRole('textbox', { name: 'Message' });
  await composer.fill('look at these');
  await composer.press('Enter');
  await flows.expectSent(page, 'look at these');
  await expect(composer).toHaveValue('');
  const [sent] = await flows.expectRead(borisApi, chat, ['look at these']);
  expect(sent.attachments.map((it: { name: string }) => it.name)).toEqual(['red.png', 'green.png']);
});

test('a message whose file did not arrive says so, and goes with it at the next try', async ({ open, server, expected }) => {
  expected.push(/net::ERR_FAILED/);
  const { page, borisApi, chat } = await talk(open, server.url);
  const release = await hold(page, 'upload', (route) => route.abort());
  await page.getByLabel('Attach files').setInputFiles(file('red.png', png(RED, 40)));
  await flows.send(page, 'look');
  release();
  await flows.expectState(page, 'look', 'failed');
  await expect(flows.message(page, 'look').getByText('Not uploaded')).toBeVisible();
  await page.unroute('**/command/v1/upload');
  await flows.retryButton(page).click();
  await flows.expectSent(page, 'look');
  const [sent] = await flows.expectRead(borisApi, chat, ['look']);
  expect(sent.attachments).toHaveLength(1);
});

test('what was written about files that went with the page is a draft again', async ({ open, server }) => {
  const { page, borisApi, chat } = await talk(open, server.url);
  await hold(page, 'upload');
  await page.getByLabel('Attach files').setInputFiles(file('green.png', png(GREEN, 40)));
  await flows.send(page, 'see this');
  await flows.expectState(page, 'see this', 'pending');
  const asked = page.waitForEvent('dialog');
  const reloaded = page.reload();
  const dialog = await asked;
  expect(dialog.type()).toBe('beforeunload');
  await dialog.accept();
  await reloaded;
  // It is said for a few seconds.
  await Promise.all([
    expect(page.getByText('Its words are a draft again')).toBeVisible(),
    expect(page.getByRole('textbox', { name: 'Message' })).toHaveValue('see this'),
  ]);
  expect((await borisApi.query(`chats/${chat}/messages`)).items).toHaveLength(0);
  // Nothing asks before leaving any more.
  await page.reload();
  await expect(page.getByRole('textbox', { name: 'Message' })).toHaveValue('see this');
});

const REFUSED = {
  status: 403,
  contentType: 'application/problem+json',
  body: JSON.stringify({ type: '/docs/problems/not-permitted', title: 'That is not permitted', status: 403 }),
};

test('a refused message says so, and can be tried again or thrown away', async ({ open, server }) => {
  const { page, borisApi, chat } = await talk(open, server.url);
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

test('what a busy server puts off goes out by itself', async ({ open, server, expected }) => {
  expected.push(/status of 503/);
  const { page, borisApi, chat } = await talk(open, server.url);
  let putOff = 0;
  await page.route('**/command/v1/send', (route) => {
    if (++putOff > 2) return route.continue();
    const [status, name, title] = putOff === 1 ? [429, 'too-many-requests', 'Too many requests'] : [503, 'unavailable', 'Unavailable'];
    const body = JSON.stringify({ type: `/docs/problems/${name}`, title, status });
    return route.fulfill({ status, contentType: 'application/problem+json', headers: { 'retry-after': '1' }, body });
  });
  await flows.send(page, 'first');
  await flows.send(page, 'second');
  await flows.expectSent(page, 'second');
  await flows.expectRead(borisApi, chat, ['first', 'second']);
});

test('a tab leaves to another what that one is sending', async ({ open, server }) => {
  const { page, borisApi, chat } = await talk(open, server.url);
  const release = await hold(page, 'upload');
  await page.getByLabel('Attach files').setInputFiles(file('red.png', png(RED, 40)));
  await flows.send(page, 'with a picture');
  await flows.expectState(page, 'with a picture', 'pending');
  const second = await page.context().newPage();
  await second.goto(`/chats/${chat}`);
  await flows.send(second, 'from the second');
  await flows.expectSent(second, 'from the second');
  await expect(second.getByRole('textbox', { name: 'Message' })).toHaveValue('');
  await expect(second.getByText('Its words are a draft again')).toHaveCount(0);
  // The first one still has it after a reload: its file is lost, and not its words.
  page.on('dialog', (dialog) => dialog.accept());
  await page.reload();
  release();
  await expect(page.getByRole('textbox', { name: 'Message' })).toHaveValue('with a picture');
  await flows.expectRead(borisApi, chat, ['from the second']);
});

test('a draft stays with its chat over a reload', async ({ open, server }) => {
  const { page } = await talk(open, server.url);
  const composer = page.getByRole('textbox', { name: 'Message' });
  await composer.fill('half a thought');
  await page.reload();
  await expect(composer).toHaveValue('half a thought');
});

test('Shift+Enter makes a line, Enter sends, and the text arrives exactly as typed', async ({ open, server }) => {
  const { page, borisApi, chat } = await talk(open, server.url);
  const composer = page.getByRole('textbox', { name: 'Message' });
  await composer.pressSequentially('  one <b>&amp;');
  await composer.press('Shift+Enter');
  await composer.pressSequentially('two 🏳️‍🌈 ');
  await composer.press('Enter');
  await flows.expectSent(page, 'two 🏳️‍🌈');
  await flows.expectRead(borisApi, chat, ['  one <b>&amp;\ntwo 🏳️‍🌈 ']);
});
