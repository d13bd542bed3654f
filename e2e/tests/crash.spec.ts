// The server dies without a word, and nothing that anybody saw is lost.
import type { Page } from '@playwright/test';

import { Api, somebody } from '../support/api.ts';
import * as flows from '../support/flows.ts';
import { expect, SERVER_AWAY, test } from '../support/test.ts';

test('after kill -9 both find what they had, and go on without signing in', async ({ open, server, expected }) => {
  expected.push(...SERVER_AWAY, /status of 503/);
  const [ann, boris] = [somebody('Ann'), somebody('Boris')];
  const chat = await (await Api.register(server.url, ann)).befriend(await Api.register(server.url, boris));
  const [annPage, borisPage] = [await open(), await open()];
  await flows.signIn(annPage, ann);
  await flows.signIn(borisPage, boris);
  await flows.openChat(annPage, boris.name);
  await flows.openChat(borisPage, ann.name);
  const texts: string[] = [];
  for (const [page, text] of [[annPage, 'one'], [borisPage, 'two'], [annPage, 'three']] as const) {
    await flows.send(page, text);
    texts.push(text);
    await flows.expectHistory(annPage, texts);
    await flows.expectHistory(borisPage, texts);
  }
  await flows.expectSent(annPage, 'three');

  const lost = (page: Page) => page.getByText('The connection is lost');
  await server.kill();
  for (const page of [annPage, borisPage]) await expect(lost(page)).toBeVisible();
  await server.run();

  await flows.send(borisPage, 'four');
  texts.push('four');
  // The longer the server was away, the longer a page waits before it tries again: up to 20 seconds.
  for (const page of [annPage, borisPage]) await expect(lost(page)).toHaveCount(0, { timeout: 90_000 });
  for (const page of [annPage, borisPage]) await flows.expectHistory(page, texts);
  for (const page of [annPage, borisPage]) {
    await page.reload();
    await flows.expectHistory(page, texts);
  }
  const history = (await (await Api.authorize(server.url, ann)).query(`chats/${chat}/messages`)).items;
  expect(history.map((message: { text: string }) => message.text)).toEqual(texts);
});

test('the server ends with 0 when asked to, and opens the same data again', async ({ server }) => {
  const ann = await Api.register(server.url, somebody('Ann'));
  const chat = await ann.befriend(await Api.register(server.url, somebody('Boris')));
  await ann.send(chat, 'before');
  expect(await server.stop()).toBe(0);
  await server.run();
  expect((await ann.query(`chats/${chat}/messages`)).items).toHaveLength(1);
});
