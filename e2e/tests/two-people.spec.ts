// Two people who have never met talk, each in a browser of their own.
import { Api, somebody, twoFriends } from '../support/api.ts';
import * as flows from '../support/flows.ts';
import { expect, test } from '../support/test.ts';

test('two people sign up, find each other, become friends, talk live, and find it all again', async ({ open, server }) => {
  const [ann, boris] = [somebody('Ann Arbor'), somebody('Борис')];
  const [annPage, borisPage] = [await open(), await open()];
  await flows.signUp(annPage, ann);
  await flows.signUp(borisPage, boris);

  await test.step('Ann finds Boris and asks; he sees it at once and accepts', async () => {
    await flows.addByNickname(annPage, boris);
    await flows.acceptRequest(borisPage, ann);
  });

  await test.step('the chat opens for both, and messages go both ways live', async () => {
    await flows.write(annPage, boris);
    await flows.send(annPage, 'Hello Boris');
    await borisPage.getByRole('link', { name: 'Chats', exact: true }).click();
    await expect(flows.chatInList(borisPage, ann.name)).toContainText('Hello Boris');
    await expect(flows.chatInList(borisPage, ann.name)).toContainText('1');

    await flows.openChat(borisPage, ann.name);
    await expect(flows.message(borisPage, 'Hello Boris')).toBeVisible();
    await flows.send(borisPage, 'Привет, Ann');
    await expect(flows.message(annPage, 'Привет, Ann')).toBeVisible();
    await flows.send(annPage, 'How are you?');
    await expect(flows.message(borisPage, 'How are you?')).toBeVisible();
  });

  await test.step('what was read is no longer counted, and its author sees so', async () => {
    await expect(flows.chatInList(borisPage, ann.name).getByText(/unread/i)).toHaveCount(0);
    await flows.expectState(annPage, 'How are you?', 'read');
  });

  const everything = ['Hello Boris', 'Привет, Ann', 'How are you?'];
  await test.step('after a reload everything is there, once and in order', async () => {
    for (const page of [annPage, borisPage]) {
      await page.reload();
      await flows.expectHistory(page, everything);
    }
  });

  await test.step('in a fresh browser both sign in again and everything is there', async () => {
    await annPage.context().close();
    await borisPage.context().close();
    for (const [person, other] of [[ann, boris], [boris, ann]]) {
      const page = await open();
      await flows.signIn(page, person);
      await flows.openChat(page, other.name);
      await flows.expectHistory(page, everything);
    }
  });

  await test.step('the API says the same', async () => {
    const api = await Api.authorize(server.url, ann);
    const [chat] = (await api.query('chats')).items;
    const history = (await api.query(`chats/${chat.chat_id}/messages`)).items;
    expect(history.map((message: { text: string }) => message.text)).toEqual(everything);
    expect(history.map((message: { number: number }) => message.number)).toEqual([1, 2, 3]);
  });
});

test('a request can be declined or withdrawn', async ({ open, server }) => {
  const [ann, boris] = [somebody('Ann'), somebody('Boris')];
  const page = await open();
  await flows.signUp(page, ann);
  const other = await Api.register(server.url, boris);
  const annApi = await Api.authorize(server.url, ann);
  const me = (await annApi.query('me')).user_id;

  await other.command('add', { user_id: me });
  await flows.declineRequest(page, boris);
  expect((await annApi.query('friends?state=incoming')).items).toEqual([]);
  // He is not told, and goes on seeing his request.
  expect((await other.query('friends?state=outgoing')).items).toHaveLength(1);

  const clara = somebody('Clara');
  const claraApi = await Api.register(server.url, clara);
  await flows.addByNickname(page, clara);
  expect((await claraApi.query('friends?state=incoming')).items).toHaveLength(1);
  await flows.withdrawRequest(page, clara);
  expect((await claraApi.query('friends?state=incoming')).items).toEqual([]);
});

test('a friend is removed only after a question, and then can only be read', async ({ open, server }) => {
  const { ann, boris, borisApi, chat } = await twoFriends(server.url);
  await borisApi.send(chat, 'still friends');
  const page = await open();
  await flows.signIn(page, ann);
  await page.getByRole('link', { name: 'People', exact: true }).click();
  await page.getByRole('link').filter({ hasText: `@${boris.nickname}` }).click();
  const remove = page.getByRole('button', { name: 'Remove friend', exact: true });
  await remove.click();
  await page.getByRole('group', { name: 'Remove friend' }).getByRole('button', { name: 'Remove friend' }).click();
  await expect(page.getByRole('button', { name: 'Add friend', exact: true })).toBeVisible();
  await page.getByRole('link', { name: 'Chats', exact: true }).click();
  await flows.chatInList(page, boris.name).click();
  await expect(flows.message(page, 'still friends')).toBeVisible();
  await expect(page.getByRole('textbox', { name: 'Message' })).toHaveCount(0);
});

test('who is blocked can no longer write, and is told no more than a former friend', async ({ open, server }) => {
  const { ann, boris, annApi, borisApi, chat } = await twoFriends(server.url);
  const [page, blocked] = [await open(), await open()];
  await flows.signIn(page, ann);
  await flows.signIn(blocked, boris);
  await flows.openChat(blocked, ann.name);
  await page.getByRole('link', { name: 'People', exact: true }).click();
  await page.getByRole('link').filter({ hasText: `@${boris.nickname}` }).click();
  await page.getByRole('button', { name: 'Block', exact: true }).click();
  await page.getByRole('group', { name: 'Block' }).getByRole('button', { name: 'Block' }).click();
  await expect(page.getByRole('button', { name: 'Unblock', exact: true })).toBeVisible();

  await expect(blocked.getByRole('textbox', { name: 'Message' })).toHaveCount(0);
  await expect(borisApi.send(chat, 'psst')).rejects.toThrow(/403.*not-permitted/s);
  const seen = await borisApi.query(`users/${annApi.userId}`);
  expect(seen.relation).toBe('none');
  expect(seen.blocked ?? false).toBe(false);
});

test('what is wrong with a form is said beside its field', async ({ open, server }) => {
  const taken = somebody('Taken');
  await Api.register(server.url, taken);
  const page = await open();
  await page.goto('/signup');
  await page.getByLabel('Email').fill(taken.email);
  await page.getByLabel('Password', { exact: true }).fill('short');
  await page.getByLabel('Nickname').fill(taken.nickname);
  await page.getByRole('button', { name: 'Create account' }).click();
  const password = page.getByLabel('Password', { exact: true });
  await expect(password).toHaveAttribute('aria-invalid', 'true');
  await expect(password).toHaveAccessibleDescription(/8/);

  await password.fill('long enough to pass');
  await page.getByRole('button', { name: 'Create account' }).click();
  await expect(page.getByText(/(email|nickname).*(taken|account)/i).first()).toBeVisible();
  await expect(page).toHaveURL(/\/signup/);
});

test('a wrong password and an unknown email are told the same', async ({ open, server }) => {
  const known = somebody('Known');
  await Api.register(server.url, known);
  const page = await open();
  const said: string[] = [];
  for (const email of [known.email, somebody('Nobody').email]) {
    await page.goto('/signin');
    await page.getByLabel('Email').fill(email);
    await page.getByLabel('Password', { exact: true }).fill('not the password');
    await page.getByRole('button', { name: 'Sign in' }).click();
    await expect(page.getByRole('alert')).not.toBeEmpty();
    said.push(await page.getByRole('alert').innerText());
  }
  expect(said[0]).toBe(said[1]);
  await flows.signIn(page, known);
});
