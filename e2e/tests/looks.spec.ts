// Every page is open to everybody, in both themes and on a narrow screen.
import { somebody, Api } from '../support/api.ts';
import * as flows from '../support/flows.ts';
import { eachPage } from '../support/scenes.ts';
import { expect, expectAccessible, expectNoSidewaysScroll, test } from '../support/test.ts';

// A trace fetches pictures again that the page has let go of, which the page's policy forbids.
test.use({ trace: 'off' });

for (const colorScheme of ['light', 'dark'] as const) {
  for (const width of [360, 1280]) {
    test(`every page is accessible and fits, ${colorScheme}, ${width} wide`, async ({ open, server }) => {
      // So many pages take a slow machine a while.
      test.setTimeout(300_000);
      const page = await open({ colorScheme, viewport: { width, height: 740 }, reducedMotion: 'reduce' });
      await eachPage(page, server.url, async () => {
        await expectAccessible(page);
        await expectNoSidewaysScroll(page);
      });
    });
  }
}

for (const width of [360, 2560]) {
  test(`the longest names and texts and right-to-left writing fit a screen ${width} wide`, async ({ open, server }) => {
    const ann = somebody('Ann');
    const long = { ...somebody('Long'), name: 'W'.repeat(64) };
    long.nickname = `${long.nickname}${'w'.repeat(32)}`.slice(0, 32);
    const [annApi, longApi] = [await Api.register(server.url, ann), await Api.register(server.url, long)];
    const chat = await annApi.befriend(longApi);
    await longApi.send(chat, 'w'.repeat(4000));
    await longApi.send(chat, `https://example.org/${'path'.repeat(200)}`);
    await annApi.send(chat, 'مرحبا، كيف حالك اليوم؟ هذا نص طويل يكتب من اليمين إلى اليسار');
    const page = await open({ viewport: { width, height: 740 } });
    await flows.signIn(page, ann);
    await expectNoSidewaysScroll(page);
    await flows.openChat(page, long.name);
    const arabic = flows.message(page, 'مرحبا');
    await expect(arabic).toBeVisible();
    expect(await arabic.locator('[dir=auto]').last().evaluate((element) => element.matches(':dir(rtl)'))).toBe(true);
    await expectNoSidewaysScroll(page);
    await expectAccessible(page);
    await page.goto(`/people/${longApi.userId}`);
    await expect(page.getByRole('heading', { name: long.name })).toBeVisible();
    await expectNoSidewaysScroll(page);
  });
}
