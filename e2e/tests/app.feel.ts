// How the app feels, in figures: `./dev feel` prints them beside a page that does the same with nothing around it.
import { readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';

import type { Page } from '@playwright/test';

import { type Api, twoFriends } from '../support/api.ts';
import * as flows from '../support/flows.ts';
import { expect, test } from '../support/test.ts';

const MESSAGES = 10_000;
const ROUNDS = 40;
/** Pixels a frame: faster than a finger. */
const STRIDE = 160;
const PAGE = join(import.meta.dirname, '../../docs/performance.md');

/** Milliseconds, or frames of a second. */
interface Figure {
  middle: number;
  /** 95 of 100 are no worse. */
  most: number;
}

function figure(values: number[]): Figure {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (part: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))];
  return { middle: at(0.5), most: at(0.95) };
}

/** Puts into a page what measures: from an event of this kind to the first picture in which `selector` holds `text`. */
async function prepare(page: Page): Promise<void> {
  await page.evaluate(() => {
    const drawn = () =>
      new Promise<number>((done) =>
        requestAnimationFrame(() => {
          const after = new MessageChannel();
          after.port1.onmessage = () => done(performance.now());
          after.port2.postMessage(null);
        }),
      );
    Object.assign(window, {
      measure: (kind: string, selector: string, text: string) => {
        let began = 0;
        addEventListener(kind, (event) => (began ||= event.timeStamp), { capture: true, once: true });
        const holds = () => began > 0 && [...document.querySelectorAll(selector)].some((element) => element.textContent!.includes(text));
        const taken = new Promise<number>((done) => {
          const look = new MutationObserver(async () => {
            if (!holds()) return;
            look.disconnect();
            done((await drawn()) - began);
          });
          look.observe(document.body, { childList: true, subtree: true, characterData: true });
        });
        Object.assign(window, { taken });
      },
    });
  });
}

/** How long it takes from what `act` does to this on the screen, in milliseconds. */
async function time(page: Page, kind: string, selector: string, text: string, act: () => Promise<void>): Promise<number> {
  await page.evaluate(([kind, selector, text]) => (window as any).measure(kind, selector, text), [kind, selector, text]);
  await act();
  return page.evaluate(() => (window as any).taken);
}

/** Writes and sends, again and again. */
async function sends(page: Page): Promise<Figure> {
  await prepare(page);
  const composer = page.getByRole('textbox', { name: 'Message' });
  const times: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const text = `written in round ${round} of many`;
    await composer.fill(text);
    times.push(await time(page, 'keydown', 'article', text, () => composer.press('Enter')));
  }
  return figure(times);
}

/** Goes to and fro between two conversations. */
async function switches(page: Page, names: string[], ends: string[]): Promise<Figure> {
  await prepare(page);
  const times: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const to = round % 2;
    const link = page.getByRole('link', { name: names[to] }).first();
    times.push(await time(page, 'pointerdown', 'article', ends[to], () => link.click()));
  }
  return figure(times);
}

/** Scrolls up until the first message is there; frames of a second, rows on the page at most, and how many frames took over 25 ms. */
async function scrolls(page: Page): Promise<{ rate: number; late: number; rows: number }> {
  const scroller = await flows.historyScroller(page);
  return scroller.evaluate(async (scroller, stride) => {
    const next = () => new Promise<number>(requestAnimationFrame);
    const began = await next();
    let [before, frames, late, rows] = [began, 0, 0, 0];
    while (scroller.scrollTop > 0 || !document.querySelector('article[data-number="1"]')) {
      scroller.scrollTop -= stride;
      const now = await next();
      frames += 1;
      late += now - before > 25 ? 1 : 0;
      rows = Math.max(rows, document.querySelectorAll('article').length);
      before = now;
    }
    return { rate: (frames * 1000) / (before - began), late: late / frames, rows };
  }, STRIDE);
}

/** A page that does the same with nothing around it: no state, no server, no words of its own. */
async function barePage(page: Page): Promise<void> {
  await page.setContent(`<!doctype html><style>body { margin: 0; font: 16px sans-serif } nav { float: left; width: 300px }
    main { height: 600px; overflow-y: auto } article { padding: 12px }</style>
    <nav><a href="#a">One</a> <a href="#b">Other</a></nav><main></main><textarea aria-label="Message"></textarea>`);
  await page.evaluate((count) => {
    const main = document.querySelector('main')!;
    const article = (text: string, number?: number) => {
      const made = document.createElement('article');
      made.textContent = text;
      if (number) made.dataset.number = String(number);
      return made;
    };
    const fill = (name: string, count: number) =>
      main.replaceChildren(...Array.from({ length: count }, (_, at) => article(at === count - 1 ? `the end of ${name}` : `${name}: line ${at + 1}`, at + 1)));
    document.querySelector('textarea')!.addEventListener('keydown', (event) => {
      if (event.key !== 'Enter') return;
      event.preventDefault();
      const field = event.target as HTMLTextAreaElement;
      main.append(article(field.value));
      main.scrollTop = main.scrollHeight;
      field.value = '';
    });
    for (const link of document.querySelectorAll('a')) {
      link.addEventListener('click', (event) => {
        event.preventDefault();
        fill(link.textContent!, 50);
        main.scrollTop = main.scrollHeight;
      });
    }
    Object.assign(window, {
      fillAll: () => {
        fill('One', count);
        main.scrollTop = main.scrollHeight;
      },
    });
    fill('One', 50);
  }, MESSAGES);
}

async function write(api: Api, chat: string, count: number): Promise<void> {
  let next = 1;
  const writer = async () => {
    while (next <= count) await api.send(chat, `said in turn ${next++}: ${'and so on '.repeat(next % 7)}`);
  };
  await Promise.all(Array.from({ length: 32 }, writer));
  await api.send(chat, 'this is where it ends');
}

test('figures', async ({ open, server }) => {
  test.setTimeout(900_000);
  const { ann, boris, annApi, borisApi, chat } = await twoFriends(server.url);
  await write(borisApi, chat, MESSAGES);
  await annApi.command('mark_read', { chat_id: chat, number: MESSAGES + 1 });
  const { chat_id: group } = await annApi.command('create_chat', { title: 'The other one', member_ids: [borisApi.userId] });
  for (let turn = 1; turn < 50; turn++) await borisApi.send(group, `${turn} in the other one`);
  await annApi.send(group, 'the other one ends here');

  const page = await open();
  await flows.signIn(page, ann);
  await flows.openChat(page, boris.name);
  await expect(flows.message(page, 'this is where it ends')).toBeVisible();
  await flows.openChat(page, 'The other one');
  const switching = await switches(page, [boris.name, 'The other one'], ['this is where it ends', 'the other one ends here']);
  const sending = await sends(page);
  await flows.openChat(page, boris.name);
  await expect(flows.message(page, 'this is where it ends')).toBeVisible();
  const scrolling = await scrolls(page);
  expect(scrolling.rows).toBeLessThanOrEqual(400);

  const bare = await page.context().newPage();
  await barePage(bare);
  const bareSwitching = await switches(bare, ['One', 'Other'], ['the end of One', 'the end of Other']);
  const bareSending = await sends(bare);
  await bare.evaluate(() => (window as any).fillAll());
  const bareScrolling = await scrolls(bare);

  const ms = ({ middle, most }: Figure) => `${middle.toFixed(1)} ms (95 % under ${most.toFixed(1)})`;
  const times = (a: number, b: number) => `${(a / b).toFixed(1)}×`;
  const row = (name: string, ours: string, theirs: string, ratio: string, bar: string, met: boolean) =>
    `| ${name} | ${ours} | ${theirs} | ${ratio} | ${bar} | ${met ? 'met' : '**open**'} |`;
  const frames = ({ rate, late, rows }: typeof scrolling) => `${rate.toFixed(1)} frames/s (${(late * 100).toFixed(1)} % late, at most ${rows} messages on the page)`;
  const table = [
    `- commit: ${process.env.LETOPIS_FEEL_COMMIT ?? 'unknown'}`,
    `- command: \`./dev feel${process.env.LETOPIS_FEEL_SAVE ? ' --save' : ''}\``,
    `- in: Chromium ${page.context().browser()!.version()}, without a graphics card, server and browser on ${availableParallelism()} CPUs`,
    '',
    '| figure | Letopis | the bare page | ratio | bar | |',
    '|---|---:|---:|---:|---:|---|',
    row('from Enter to the own message on the screen', ms(sending), ms(bareSending), times(sending.middle, bareSending.middle), '< 50 ms', sending.most < 50),
    row('from the mouse button to a conversation seen before', ms(switching), ms(bareSwitching), times(switching.middle, bareSwitching.middle), '< 100 ms', switching.most < 100),
    row(`scrolling up ${MESSAGES.toLocaleString('en')} messages, ${STRIDE} pixels a frame`, frames(scrolling), frames(bareScrolling), times(scrolling.rate, bareScrolling.rate), '60 frames/s', scrolling.rate > 59),
  ].join('\n');
  console.log(`\n${table}\n`);
  if (process.env.LETOPIS_FEEL_SAVE) {
    const [begin, end] = ['<!-- feel: begin (written by ./dev feel --save) -->\n', '\n<!-- feel: end -->'];
    const text = readFileSync(PAGE, 'utf8');
    const [from, to] = [text.indexOf(begin), text.indexOf(end)];
    if (from < 0 || to < from) throw new Error(`${PAGE} has no place for the table`);
    writeFileSync(PAGE, text.slice(0, from + begin.length) + table + text.slice(to));
  }
});
