// A conversation as long as years.
import { Api, somebody } from '../support/api.ts';
import * as flows from '../support/flows.ts';
import { RED, png } from '../support/pictures.ts';
import { expect, test } from '../support/test.ts';

const COUNT = 100_000;
/** Requests that are on their way at a time. */
const AT_ONCE = 64;

test('a conversation of 100,000 messages never has more than 400 rows on the page', async ({ open, server }) => {
  test.setTimeout(1_800_000);
  const [ann, boris] = [somebody('Ann'), somebody('Boris')];
  const [annApi, borisApi] = [await Api.register(server.url, ann), await Api.register(server.url, boris)];
  await annApi.befriend(borisApi);
  const { chat_id: chat } = await annApi.command('create_chat', { title: 'Years', member_ids: [borisApi.userId] });

  // All of them through the API, and near both ends, where this test goes, pictures and lines of events as well.
  let next = 1;
  const writer = async (api: Api) => {
    while (next <= COUNT) {
      const turn = next++;
      const near = turn < 300 || turn > COUNT - 300;
      if (near && turn % 5 === 0) await annApi.command('rename_chat', { chat_id: chat, title: `Years and ${turn} days` });
      const attachments = near && turn % 7 === 0 ? [{ blob_id: (await api.upload(png(RED, 64 + (turn % 60)))).blob_id, name: 'ice.png' }] : [];
      await api.command('send', { chat_id: chat, text: `said in turn ${turn}`, attachments });
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, (_, index) => writer(index % 2 ? annApi : borisApi)));
  const last = await borisApi.command('send', { chat_id: chat, text: 'and now the beginning', reply_to: 1 });
  expect(last.number).toBe(COUNT + 1);
  expect((await borisApi.query(`chats/${chat}/messages?limit=1`)).items[0].number).toBe(COUNT + 1);

  const page = await open();
  await flows.signIn(page, ann);
  await page.goto(`/chats/${chat}`);
  await expect(flows.message(page, 'and now the beginning')).toBeVisible();

  const numbers = () => flows.messages(page).evaluateAll((rows) => rows.map((row) => Number((row as HTMLElement).dataset.number)));
  const expectRun = async () => {
    const shown = await numbers();
    expect(shown).toEqual(Array.from({ length: shown.length }, (_, index) => shown[0] + index));
    return shown;
  };
  // As many times as it takes for rows to have gone at the other end.
  while ((await numbers())[0] >= COUNT - 400) expect(await flows.scrollHistory(page, true)).toBeLessThanOrEqual(400);
  const up = await expectRun();
  expect(up[0]).toBeLessThan(COUNT - 400);
  await page.getByRole('button', { name: 'Jump to the newest messages' }).click();
  await expect(flows.message(page, 'and now the beginning')).toBeVisible();
  await flows.message(page, 'and now the beginning').getByRole('button', { name: /said in turn/ }).click();
  await expect(page.locator('article[data-number="1"]')).toBeFocused();
  while ((await numbers()).at(-1)! <= 400) expect(await flows.scrollHistory(page, false)).toBeLessThanOrEqual(400);
  const down = await expectRun();
  expect(down.at(-1)).toBeGreaterThan(400);
  expect(down.at(-1)).toBeLessThan(COUNT);
});
