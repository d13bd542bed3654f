import { defineConfig } from '@playwright/test';

import type { Options } from './support/test.ts';

const LONG = ['long.spec.ts', 'naughty.spec.ts'];

export default defineConfig<Options>({
  testDir: 'tests',
  // Every test has a server, a data folder and browser contexts of its own.
  fullyParallel: true,
  workers: 2,
  retries: 0,
  forbidOnly: !!process.env.CI,
  // A busy machine may need ten times what a quiet one does.
  timeout: 240_000,
  expect: { timeout: 45_000 },
  reporter: [['list']],
  outputDir: 'test-results',
  use: {
    // A worker would answer before the tests' own routes do; the test of the offline shell lets it in.
    serviceWorkers: 'block',
    locale: 'en-GB',
    timezoneId: 'Europe/Berlin',
    viewport: { width: 1280, height: 800 },
    actionTimeout: 45_000,
    // In CI nobody could look at one.
    trace: process.env.CI ? 'off' : 'retain-on-failure',
    screenshot: 'only-on-failure',
    launchOptions: {
      executablePath: process.env.LETOPIS_CHROMIUM || '/usr/bin/chromium',
      args: [
        '--no-sandbox',
        '--disable-gpu',
        '--disable-quic',
        '--no-first-run',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync',
      ],
    },
  },
  projects: [
    { name: 'e2e', testMatch: '*.spec.ts', testIgnore: LONG },
    // They keep a machine busy by themselves.
    { name: 'long', testMatch: LONG, workers: 1 },
    // The conversation again, with everything in real servers, and a look into them.
    {
      name: 'engines',
      testMatch: ['two-people.spec.ts', 'sending.spec.ts', 'history.spec.ts', 'crash.spec.ts', '*.engines.ts'],
      use: { onEngines: true },
      // A keyspace and its tables are made for each test.
      timeout: 360_000,
    },
    // The conversation once more, with limits on: nobody who uses the app meets one.
    { name: 'limits', testMatch: ['two-people.spec.ts', 'settings.spec.ts', 'keyboard.spec.ts'], use: { limited: true } },
    // Nothing may go on beside what is measured.
    { name: 'feel', testMatch: '*.feel.ts', workers: 1 },
    { name: 'shots', testMatch: '*.shots.ts' },
  ],
});
