// What people do in the app, through its labels alone.
import { expect, type Locator, type Page } from '@playwright/test';

import type { Person } from './api.ts';

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

export async function send(page: Page, text: string): Promise<void> {
  const composer = page.getByRole('textbox', { name: 'Message' });
  await composer.fill(text);
  await composer.press('Enter');
  await expect(composer).toHaveValue('');
}
