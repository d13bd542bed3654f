// What people do in the app, through its labels alone.
import { expect, type JSHandle, type Locator, type Page } from '@playwright/test';

import type { Answer, Api, Person } from './api.ts';

export async function signUp(page: Page, person: Person): Promise<void> {
  await page.goto('/signup');
  await page.getByLabel('Email').fill(person.email);
  await page.getByLabel('Password', { exact: true }).fill(person.password);
  await page.getByLabel('Nickname').fill(person.nickname);
  await page.getByLabel('Name (optional)').fill(person.name);
  await page.getByRole('button', { name: 'Create account' }).click();
  await expectSignedIn(page);
}

export async function signIn(page: Page, person: Person): Promise<void> {
  await page.goto('/signin');
  await page.getByLabel('Email').fill(person.email);
  await page.getByLabel('Password', { exact: true }).fill(person.password);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await expectSignedIn(page);
}

/** Fulfilled once the page that comes next hears of what changes. To be begun before that page is opened. */
export async function live(page: Page): Promise<void> {
  const socket = await page.waitForEvent('websocket', { timeout: 60_000 });
  await socket.waitForEvent('framereceived', { timeout: 60_000 });
}

export async function expectSignedIn(page: Page): Promise<void> {
  await expect(page.getByRole('link', { name: 'Settings' })).toBeVisible();
}

export async function expectSignedOut(page: Page): Promise<void> {
  await expect(page.getByRole('button', { name: 'Sign in' })).toBeVisible();
  await expect(page).toHaveURL(/\/signin/);
}

/** Opens the chat with somebody from the list. */
export async function openChat(page: Page, name: string): Promise<void> {
  await page.getByRole('link', { name: 'Chats', exact: true }).click();
  await chatInList(page, name).click();
  await expect(page.getByRole('textbox', { name: 'Message' })).toBeVisible();
}

/** Somebody's line in the list of chats. */
export function chatInList(page: Page, name: string): Locator {
  return page.getByRole('list', { name: 'Chats' }).getByRole('link').filter({ hasText: name });
}

/** The messages on the screen. */
export function messages(page: Page): Locator {
  return page.getByRole('feed').getByRole('article');
}

/** The message with this text; strict, so that a double fails the test. */
export function message(page: Page, text: string): Locator {
  return messages(page).filter({ hasText: text });
}

/** What is awaited until it is released. */
export function gate(): { held: Promise<void>; release: () => void } {
  let release = () => {};
  const held = new Promise<void>((done) => (release = done));
  return { held, release };
}

export async function send(page: Page, text: string): Promise<void> {
  const composer = page.getByRole('textbox', { name: 'Message' });
  await composer.fill(text);
  await composer.press('Enter');
  await expect(composer).toHaveValue('');
}

/** Opens the search of chats and people, which comes later than the rest of the page; what is typed then goes there. */
export async function openSearch(page: Page): Promise<void> {
  await page.keyboard.press('Control+k');
  await expect(page.getByRole('combobox', { name: 'Search chats and people' })).toBeFocused();
}

/** Somebody's line in the lists of people. */
function personRow(page: Page, person: Person): Locator {
  return page.getByRole('listitem').filter({ hasText: `@${person.nickname}` });
}

export async function addByNickname(page: Page, person: Person): Promise<void> {
  await page.getByRole('link', { name: 'People', exact: true }).click();
  const row = personRow(page, person);
  // Whoever has just signed up is found a little later, and the page searches only when something is typed.
  await expect(async () => {
    await page.getByRole('searchbox').fill('');
    await page.getByRole('searchbox').fill(person.nickname);
    await expect(row).toBeVisible({ timeout: 15_000 });
  }).toPass();
  await row.getByRole('button', { name: /^Add/ }).click();
  await expect(row.getByRole('button', { name: /^Withdraw/ })).toBeVisible();
  await page.getByRole('searchbox').fill('');
}

export async function acceptRequest(page: Page, person: Person): Promise<void> {
  await page.getByRole('link', { name: 'People', exact: true }).click();
  const row = personRow(page, person);
  await row.getByRole('button', { name: /^Accept/ }).click();
  await expect(page.getByRole('region', { name: /^Friends/ }).filter({ hasText: person.name })).toBeVisible();
}

export async function declineRequest(page: Page, person: Person): Promise<void> {
  await page.getByRole('link', { name: 'People', exact: true }).click();
  await personRow(page, person).getByRole('button', { name: /^Decline/ }).click();
  await expect(personRow(page, person)).toHaveCount(0);
}

export async function withdrawRequest(page: Page, person: Person): Promise<void> {
  await page.getByRole('link', { name: 'People', exact: true }).click();
  await personRow(page, person).getByRole('button', { name: /^Withdraw/ }).click();
  await expect(personRow(page, person)).toHaveCount(0);
}

/** Opens a friend's page and from there the chat. */
export async function write(page: Page, person: Person): Promise<void> {
  await page.getByRole('link', { name: 'People', exact: true }).click();
  await personRow(page, person).getByRole('link').click();
  await page.getByRole('button', { name: 'Write', exact: true }).click();
  await expect(page.getByRole('textbox', { name: 'Message' })).toBeVisible();
}

/** Exactly these messages are on the screen, in this order. */
export async function expectHistory(page: Page, texts: string[]): Promise<void> {
  await expect(messages(page)).toHaveCount(texts.length);
  await expect(messages(page)).toContainText(texts);
}

/** What the page says has become of an own message. */
export async function expectState(page: Page, text: string, ...states: string[]): Promise<void> {
  await expect(message(page, text).locator('[data-state]')).toHaveAttribute('data-state', new RegExp(`^(${states.join('|')})$`));
}

export async function expectSent(page: Page, text: string): Promise<void> {
  await expectState(page, text, 'sent', 'read');
}

/** The button beside a message that could not be sent. */
export function retryButton(page: Page): Locator {
  return page.getByRole('feed').getByRole('button', { name: /again|retry/i });
}

/** What the next message is to carry. */
export function attached(page: Page): Locator {
  return page.getByRole('list', { name: 'To be sent with the message' }).getByRole('listitem');
}

/** Everything that was attached has been uploaded, and can be sent. */
export async function expectUploaded(page: Page): Promise<void> {
  await expect(attached(page)).not.toHaveCount(0);
  await expect(attached(page).getByRole('progressbar')).toHaveCount(0);
  await expect(page.getByRole('button', { name: 'Send', exact: true })).not.toHaveAttribute('aria-disabled', 'true');
}

/** What the messages are scrolled in. */
export function historyScroller(page: Page): Promise<JSHandle<Element>> {
  return page.evaluateHandle(() => {
    let scroller: Element | null = document.querySelector('article');
    while (scroller && !/auto|scroll/.test(getComputedStyle(scroller).overflowY)) scroller = scroller.parentElement;
    return scroller!;
  });
}

/** Scrolls the history to an end of what is there, and answers how many rows the page has once it has done about it what it does. */
export async function scrollHistory(page: Page, up: boolean): Promise<number> {
  const scroller = await historyScroller(page);
  return scroller.evaluate(async (scroller, up) => {
    scroller.scrollTop = up ? 0 : scroller.scrollHeight;
    for (let frame = 0; frame < 6; frame++) await new Promise(requestAnimationFrame);
    return document.querySelectorAll('article, .line').length;
  }, up);
}

/** These are what somebody's program reads of a chat, once the rows show what a page has written; answers the messages. */
export async function expectRead(api: Api, chat: string, texts: string[]): Promise<Answer[]> {
  let history: Answer[] = [];
  await expect(async () => {
    history = (await api.query(`chats/${chat}/messages`)).items;
    expect(history.map((message) => message.text)).toEqual(texts);
  }).toPass();
  return history;
}

/** Picks one of a setting's choices. */
export async function choose(page: Page, name: string): Promise<void> {
  // The round button itself is drawn by its label.
  await page.getByRole('radio', { name }).check({ force: true });
}
