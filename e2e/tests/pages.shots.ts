// Pictures of every page, to be looked at.
import { eachPage } from '../support/scenes.ts';
import { test } from '../support/test.ts';

for (const colorScheme of ['light', 'dark'] as const) {
  for (const width of [360, 1280]) {
    test(`${width} ${colorScheme}`, async ({ open, server }) => {
      const page = await open({ colorScheme, viewport: { width, height: width === 360 ? 740 : 800 }, reducedMotion: 'reduce' });
      await eachPage(page, server.url, async (name) => {
        await page.screenshot({ path: `shots/${name}-${width}-${colorScheme}.png` });
      });
    });
  }
}
