// What every test gets: a server of its own and people with browsers of their own, all watched for errors.
import { test as base, expect, type BrowserContext, type BrowserContextOptions, type Page } from '@playwright/test';
import AxeBuilder from '@axe-core/playwright';

import { Api } from './api.ts';
import { Engines } from './engines.ts';
import { Server } from './server.ts';

export { expect };

export interface Options {
  /** Whether everything lies in real servers instead of the embedded engines. */
  onEngines: boolean;
  /** Whether requests and sign-ins are limited as they are for everybody. */
  limited: boolean;
}

interface Fixtures {
  /** What lies where; only with `onEngines`. */
  engines: Engines | undefined;
  server: Server;
  /** Opens the app in a fresh browser profile, at its first page. */
  open: (options?: BrowserContextOptions) => Promise<Page>;
  /** Console errors that this test brings about on purpose. */
  expected: RegExp[];
}

/** Chromium reports every refused request as an error of the console; whether it is one, the tests say. */
const REFUSED = /^Failed to load resource: the server responded with a status of 4\d\d/;

/** What Chromium says while there is no server. */
export const SERVER_AWAY = [/net::ERR_CONNECTION_(REFUSED|RESET|CLOSED)/, /net::ERR_EMPTY_RESPONSE/, /WebSocket connection to .* failed/];

/** What real servers may take to make a place and to empty it is not the test's time. */
const SLOW = { timeout: 300_000 };

export const test = base.extend<Options & Fixtures>({
  onEngines: [false, { option: true }],
  limited: [false, { option: true }],

  engines: [async ({ onEngines }, use) => {
    const engines = onEngines ? await Engines.create() : undefined;
    await use(engines);
    await engines?.remove();
  }, SLOW],

  server: [async ({ engines, limited }, use, info) => {
    const limits: Record<string, string> = limited ? { LETOPIS_RATE_LIMIT: 'on' } : {};
    const server = await Server.start({ ...engines?.variables, ...limits });
    Api.begin(server.url);
    await use(server);
    await server.remove();
    // Of a run in CI only what was printed is left.
    if (info.status !== info.expectedStatus) console.log(`The server's last lines:\n${server.log.split('\n').slice(-60).join('\n')}`);
  }, SLOW],

  expected: async ({}, use) => use([]),

  open: async ({ browser, server, expected }, use) => {
    const contexts: BrowserContext[] = [];
    const errors: string[] = [];
    const watch = (page: Page) => {
      page.on('pageerror', (error) => errors.push(`${page.url()}: ${error.stack ?? error.message}`));
      page.on('console', (message) => {
        if (message.type() !== 'error') return;
        const api = /\/(command|query)\//.test(message.location().url);
        if (!(api && REFUSED.test(message.text()))) errors.push(`${page.url()}: ${message.text()}`);
      });
    };
    await use(async (options = {}) => {
      const context = await browser.newContext({ ...options, baseURL: server.url });
      context.on('page', watch);
      contexts.push(context);
      const page = await context.newPage();
      await page.goto('/');
      return page;
    });
    // A route that is still at work would fail the test that has ended.
    const pages = contexts.flatMap((context) => context.pages());
    await Promise.all(pages.map((page) => page.unrouteAll({ behavior: 'ignoreErrors' })));
    await Promise.all(contexts.map((context) => context.close()));
    const unexpected = errors.filter((error) => !expected.some((pattern) => pattern.test(error)));
    expect(unexpected, 'errors in the console').toEqual([]);
  },
});

/** Nothing on the page keeps anybody out (WCAG 2.2 AA and axe's best practices). */
export async function expectAccessible(page: Page): Promise<void> {
  const { violations } = await new AxeBuilder({ page }).analyze();
  const found = violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map((node) => node.html).join(' | ')}`);
  expect(found, `${page.url()} in axe`).toEqual([]);
}

/** The page is never wider than its window. */
export async function expectNoSidewaysScroll(page: Page): Promise<void> {
  const { wide, width } = await page.evaluate(() => {
    const root = document.documentElement;
    const scrolled = [...document.querySelectorAll('*')].filter((element) => {
      const overflow = getComputedStyle(element).overflowX;
      return (overflow === 'auto' || overflow === 'scroll') && element.scrollWidth > element.clientWidth + 1;
    });
    const names = scrolled.map((element) => `${element.tagName}.${element.className} is ${element.scrollWidth} wide`);
    if (root.scrollWidth > root.clientWidth) names.push(`the page is ${root.scrollWidth} wide`);
    return { wide: names, width: root.clientWidth };
  });
  expect(wide, `${page.url()} at ${width}`).toEqual([]);
}
