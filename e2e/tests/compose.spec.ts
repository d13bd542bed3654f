// deploy/compose.yaml puts the same servers in the same places as ./dev stack does.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';

import { expect, test } from '@playwright/test';
import { parseDocument } from 'yaml';

const ROOT = resolve(import.meta.dirname, '../..');
const FILE = join(ROOT, 'deploy/compose.yaml');

interface Service {
  image: string;
  ports: string[];
  volumes: string[];
  healthcheck: { test: string[] };
}

const document = parseDocument(readFileSync(FILE, 'utf8'), { strict: true, uniqueKeys: true });
const { services, volumes } = document.toJS() as { services: Record<string, Service>; volumes: Record<string, unknown> };

/** What `./dev stack env` prints for a stack that nobody has moved. */
function variables(): Record<string, string> {
  const stack = mkdtempSync(join(tmpdir(), 'letopis-compose-'));
  try {
    const env = { ...process.env, LETOPIS_STACK: stack, LETOPIS_STACK_PORT: '' };
    const lines = execFileSync(join(ROOT, 'dev'), ['stack', 'env'], { env, encoding: 'utf8' }).trim().split('\n');
    return Object.fromEntries(lines.map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]));
  } finally {
    rmSync(stack, { recursive: true });
  }
}

test('it is YAML without doubles, and every server has what compose needs to keep it', () => {
  expect([...document.errors, ...document.warnings]).toEqual([]);
  for (const [name, service] of Object.entries(services)) {
    // A version is pinned, and no registry is named.
    expect(service.image, name).toMatch(/^([a-z0-9-]+\/)?[a-z0-9-]+:[\w.-]*\d+\.\d+[\w.-]*$/);
    expect(service.healthcheck.test.length, name).toBeGreaterThan(1);
    const kept = service.volumes.map((volume) => volume.split(':')[0]);
    expect(kept.filter((volume) => !volume.startsWith('.')), `${name}'s data`).toEqual([name]);
    for (const file of kept.filter((volume) => volume.startsWith('.'))) {
      expect(existsSync(resolve(dirname(FILE), file)), file).toBe(true);
    }
  }
  expect(Object.keys(volumes)).toEqual(Object.keys(services));
});

test('its servers listen on loopback, where ./dev stack env says that they are', () => {
  const env = variables();
  const places = Object.fromEntries(
    Object.entries(services).map(([name, { ports }]) => [name, ports.map((port) => port.match(/^(127\.0\.0\.1:\d+):\d+$/)?.[1])]),
  );
  const host = (variable: string) => new URL(env[variable]).host;
  expect(places).toEqual({
    postgres: [host('LETOPIS_LOG_URL')],
    keydb: [host('LETOPIS_SESSIONS_URL')],
    elasticsearch: [host('LETOPIS_SEARCH_URL')],
    cassandra: [host('LETOPIS_TIMELINE_URL')],
    s3: [host('AWS_ENDPOINT_URL_S3')],
  });
  const databases = readFileSync(join(ROOT, 'deploy/postgres/databases.sql'), 'utf8').match(/(?<=CREATE DATABASE )\w+/g);
  const meant = ['LETOPIS_LOG_URL', 'LETOPIS_KEYS_URL', 'LETOPIS_DIRECTORY_URL'].map((name) => new URL(env[name]).pathname);
  expect(databases?.map((database) => `/${database}`)).toEqual(meant);
  const [identity] = JSON.parse(readFileSync(join(ROOT, 'deploy/seaweedfs/s3.json'), 'utf8')).identities;
  expect(identity.credentials).toEqual([{ accessKey: env.AWS_ACCESS_KEY_ID, secretKey: env.AWS_SECRET_ACCESS_KEY }]);
});
