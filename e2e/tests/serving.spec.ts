// How the app reaches the browser.
import { somebody, twoFriends } from '../support/api.ts';
import * as flows from '../support/flows.ts';
import { expect, test } from '../support/test.ts';

test('the page forbids foreign and inline code, and its files are kept for ever', async ({ server, request }) => {
  const page = await request.get(`${server.url}/chats/anything`);
  expect(page.status()).toBe(200);
  expect(page.headers()['cache-control']).toBe('no-cache');
  const policy = page.headers()['content-security-policy'];
  expect(policy).toContain("default-src 'none'");
  expect(policy).not.toContain('unsafe-inline');
  expect(policy).not.toContain("'unsafe-eval'");
  const html = await page.text();
  expect(html).not.toMatch(/<script(?![^>]*\ssrc=)/);
  expect(html).not.toMatch(/\sstyle=|\son\w+=|<style/);

  const files = [...html.matchAll(/(?:href|src)="(\/[^"]+)"/g)].map((match) => match[1]);
  expect(files.length).toBeGreaterThan(3);
  for (const file of files) {
    const answer = await request.get(server.url + file);
    expect(answer.status(), file).toBe(200);
    expect(answer.headers()['x-content-type-options'], file).toBe('nosniff');
    expect(answer.headers()['cache-control'], file).toBe('public, max-age=31536000, immutable');
  }
});

test('the app can be installed', async ({ server, request }) => {
  const html = await (await request.get(`${server.url}/`)).text();
  const manifest = await (await request.get(server.url + html.match(/rel="manifest" href="([^"]+)"/)![1])).json();
  expect(manifest).toMatchObject({ name: 'Letopis', start_url: '/chats', scope: '/', display: 'standalone' });
  expect(manifest.icons.length).toBeGreaterThan(0);
  for (const { src, type } of manifest.icons) {
    const icon = await request.get(server.url + src);
    expect(icon.status(), src).toBe(200);
    expect(icon.headers()['content-type'], src).toContain(type);
  }
});

test('the first visit downloads no more than 350 kB', async ({ server, open }) => {
  const sizes = new Map<string, number>();
  const page = await open();
  // Counted in the browser, as the bytes that came over the wire.
  await page.waitForFunction(() => performance.getEntriesByType('resource').some((entry) => entry.name.endsWith('.wasm')));
  for (const [name, size] of await page.evaluate(() =>
    performance.getEntriesByType('resource').map((entry) => [entry.name, (entry as PerformanceResourceTiming).encodedBodySize] as const),
  )) {
    if (new URL(name).pathname !== '/sw.js') sizes.set(name, size);
  }
  const total = [...sizes.values()].reduce((sum, size) => sum + size, 0);
  expect([...sizes.keys()].every((name) => name.startsWith(server.url))).toBe(true);
  expect(total).toBeGreaterThan(10_000);
  expect(total).toBeLessThan(350_000);
});

test('without the part of the app that comes later one talks all the same, and it is fetched when it can be', async ({ server, open, expected }) => {
  expected.push(/net::ERR_FAILED/, /Failed to fetch/);
  const { ann, boris, borisApi, chat } = await twoFriends(server.url);
  const page = await open();
  const asked: string[] = [];
  await page.route('**/split_later*', (route) => {
    asked.push(route.request().url());
    return route.abort();
  });
  await flows.signIn(page, ann);
  await flows.openChat(page, boris.name);
  await flows.send(page, 'with the first load alone');
  await flows.expectSent(page, 'with the first load alone');
  await flows.expectRead(borisApi, chat, ['with the first load alone']);
  await expect.poll(() => asked.length).toBeGreaterThan(0);

  await page.getByRole('link', { name: 'Settings' }).click();
  await expect(page.getByRole('button', { name: 'Try again' })).toBeVisible();
  await page.unroute('**/split_later*');
  await page.getByRole('button', { name: 'Try again' }).click();
  await expect(page.getByRole('heading', { name: 'Settings' })).toBeVisible();
});

test('unknown paths of the APIs are problems and never the page', async ({ server, request }) => {
  for (const path of ['/command/v1/nothing', '/query/v1/nothing', '/query/nothing']) {
    const answer = await request.get(server.url + path);
    expect(answer.status(), path).toBeGreaterThanOrEqual(400);
    expect(answer.headers()['content-type'], path).toContain('application/problem+json');
  }
});

test('without a network the shell still opens, and says what is wrong', async ({ open, expected }) => {
  expected.push(/net::ERR_INTERNET_DISCONNECTED/, /net::ERR_FAILED/, /WebSocket connection to .* failed/);
  const page = await open({ serviceWorkers: 'allow' });
  await flows.signUp(page, somebody('Ann'));
  await page.evaluate(async () => (await navigator.serviceWorker.ready).active!.state);
  await page.waitForFunction(async () => (await caches.keys()).length === 1);
  await page.context().setOffline(true);
  await page.reload();
  await expect(page.getByRole('button', { name: 'Try again' })).toBeVisible();
  await page.context().setOffline(false);
  await page.getByRole('button', { name: 'Try again' }).click();
  await flows.expectSignedIn(page);
});

test('both APIs can be browsed, under a policy without exceptions', async ({ open }) => {
  const page = await open();
  await page.goto('/docs/');
  await expect(page.getByRole('heading', { name: /Letopis: commands/ })).toBeVisible();
  await expect(page.locator('[id$="-send"]').getByText('/command/v1/send')).toBeVisible();
  await page.getByLabel('Select a definition').selectOption('Queries');
  await expect(page.getByText('/query/v1/chats/{chat_id}/messages', { exact: true })).toBeVisible();
});
