// A look into the servers with their makers' clients: what the design says lies where it says, and nothing else does.
import { createHash } from 'node:crypto';

import { Api, somebody, twoFriends } from '../support/api.ts';
import type { Engines } from '../support/engines.ts';
import * as flows from '../support/flows.ts';
import { expectPhoto, GREEN, png, RED } from '../support/pictures.ts';
import { expect, test as base } from '../support/test.ts';

/** The engines, which are always there in this project. */
const test = base.extend<{ inside: Engines }>({
  inside: async ({ engines, server }, use) => {
    expect(server.url).toBeTruthy();
    await use(engines!);
  },
});

// A trace fetches pictures again that the page has let go of, which the page's policy forbids.
test.use({ trace: 'off' });

/** Everything that there is, as text in which a string can be looked for; bytes as Latin-1. */
function said(what: unknown): string {
  return JSON.stringify(what, (_, value) => {
    if (value instanceof Map) return [...value];
    if (value?.type === 'Buffer') return Buffer.from(value.data).toString('latin1');
    if (value instanceof Uint8Array) return Buffer.from(value).toString('latin1');
    return typeof value === 'bigint' ? String(value) : value;
  });
}

/** The rows of a table of PostgreSQL, in whichever schemas it is. */
async function rows(inside: Engines, database: string, table: string): Promise<Record<string, any>[]> {
  const found = await inside.sql(
    database,
    `SELECT table_schema FROM information_schema.tables WHERE table_name = '${table}' ORDER BY 1`,
  );
  const all = await Promise.all(found.map(({ table_schema }) => inside.sql(database, `SELECT * FROM "${table_schema}".${table}`)));
  return all.flat();
}

test('users, friendships and blocks are rows in PostgreSQL', async ({ inside, server }) => {
  const { ann, boris, annApi, borisApi } = await twoFriends(server.url);
  const eve = await Api.register(server.url, somebody('Eve'));
  await annApi.command('block', { user_id: eve.userId });

  const ids = new Map([[ann, annApi], [boris, borisApi]].map(([person, api]) => [(person as typeof ann).nickname, (api as Api).userId]));
  await expect(async () => {
    const users = await rows(inside, 'directory', 'users');
    for (const [nickname, id] of ids) {
      expect(users.filter((user) => user.nickname === nickname).map((user) => user.user_id)).toEqual([id]);
    }
    const relations = await rows(inside, 'directory', 'relations');
    const between = (person: Api, other: Api) =>
      relations.filter((row) => row.person === person.userId && row.other === other.userId);
    expect(between(annApi, borisApi).map((row) => row.relation)).toEqual(['friends']);
    expect(between(borisApi, annApi).map((row) => row.relation)).toEqual(['friends']);
    expect(between(annApi, eve).map((row) => row.blocked)).toEqual([true]);
  }).toPass({ timeout: 90_000 });
});

test('a session lies in KeyDB while it lives, and its end once it is revoked', async ({ inside, server }) => {
  const ann = somebody('Ann');
  const kept = await Api.register(server.url, ann);
  const revoked = await Api.authorize(server.url, ann);
  const live = (await kept.query('sessions')).items as { session_id: string; current: boolean }[];
  expect(live).toHaveLength(2);
  const [current] = live.filter((session) => session.current);
  const [other] = live.filter((session) => !session.current);
  const before = [...(await inside.held())].filter(([key, value]) => said([key, value]).includes(other.session_id));
  expect(before.length, 'keys about the session').toBeGreaterThan(0);

  await kept.command('revoke', { session_id: other.session_id });
  await expect(revoked.query('me')).rejects.toThrow(/401/);
  await expect(async () => {
    const after = [...(await inside.held())].filter(([key, value]) => said([key, value]).includes(other.session_id));
    expect(after.length, 'keys about the revocation').toBeGreaterThan(0);
    expect(after).not.toEqual(before);
    expect(said([...(await inside.held())])).toContain(current.session_id);
  }).toPass({ timeout: 90_000 });
});

test('messages lie in Cassandra by chat and time, sealed, and come back after a kill', async ({ inside, server }) => {
  const { borisApi, annApi, chat } = await twoFriends(server.url);
  const texts = ['canary in a coal mine', 'канарейка'];
  for (const text of texts) await annApi.send(chat, text);
  expect((await borisApi.query(`chats/${chat}/messages`)).items).toHaveLength(2);

  const tables = await inside.tables();
  const [messages] = tables.filter((table) => table.startsWith('messages'));
  const found = (await inside.cql(`SELECT * FROM ${inside.name}.${messages}`)).filter((row) => String(row.chat_id) === chat);
  expect(found.map((row) => Number(row.number)).sort()).toEqual([1, 2]);
  for (const row of found) {
    expect(String(row.author)).toBe(annApi.userId);
    expect(row.text).toMatch(/^s1\./);
    expect(row.bucket).toBeDefined();
  }
  for (const table of tables) {
    const all = said(await inside.cql(`SELECT * FROM ${inside.name}.${table}`));
    for (const text of texts) expect(all, table).not.toContain(text);
  }

  await server.kill();
  await server.run();
  const history = (await borisApi.query(`chats/${chat}/messages`)).items;
  expect(history.map((message: { text: string }) => message.text)).toEqual(texts);
});

test('people are documents of Elasticsearch under the alias, which a rebuild moves', async ({ inside, server }) => {
  const ann = somebody('Ann');
  const { userId } = await Api.register(server.url, ann);
  const alias = `${inside.name}-search`;
  const people = async () => (await inside.documents(alias)).filter(({ _id }) => _id === userId);
  await expect(async () => {
    expect((await people()).map(({ _source }) => _source.nickname)).toEqual([ann.nickname]);
  }).toPass({ timeout: 90_000 });
  const [{ _index: before }] = await people();
  expect(Object.keys(await inside.search(`_alias/${alias}`))).toEqual([before]);

  await server.letopis('projections', 'rebuild', 'search');
  const [{ _index: after, _source }] = await people();
  expect(after).not.toBe(before);
  expect(Object.keys(await inside.search(`_alias/${alias}`))).toEqual([after]);
  expect(_source.nickname).toBe(ann.nickname);
});

test('photos are objects of S3, sealed, named by their bytes, and gone when nothing names them', async ({ inside, open, server }) => {
  const { ann, boris, annApi, chat } = await twoFriends(server.url);
  await annApi.send(chat, 'do I look well?');
  expect([...(await inside.objects()).keys()]).toEqual([]);
  await annApi.changePhoto(png(RED));

  // The original and the three sizes that are made of it.
  const four = async () => {
    const objects = await inside.objects();
    expect([...objects.keys()].map((key) => key.replace(/^.*\/[0-9a-f]{64}/, '')).sort()).toEqual(['', '-1024', '-256', '-64']);
    return objects;
  };
  let first = new Map<string, Uint8Array>();
  await expect(async () => void (first = await four())).toPass({ timeout: 90_000 });
  for (const [key, bytes] of first) {
    expect(Buffer.from(bytes.subarray(0, 15)).toString('latin1'), key).toBe('letopis-blob/1\n');
    const held = Buffer.from(bytes).toString('latin1');
    for (const magic of ['\x89PNG', '\xff\xd8\xff', 'WEBP', 'JFIF', 'Exif']) expect(held, key).not.toContain(magic);
    if (/[0-9a-f]{64}$/.test(key)) expect(key.slice(-64)).toBe(createHash('sha256').update(bytes).digest('hex'));
  }

  const friend = await open();
  await flows.signIn(friend, boris);
  await flows.openChat(friend, ann.name);
  await expectPhoto(flows.message(friend, 'do I look well?'), RED);

  await annApi.changePhoto(png(GREEN));
  await expectPhoto(flows.message(friend, 'do I look well?'), GREEN);
  await expect(async () => {
    for (const key of (await four()).keys()) expect([...first.keys()]).not.toContain(key);
  }).toPass({ timeout: 90_000 });
  await annApi.command('remove_photo', {});
  await expect(async () => expect([...(await inside.objects()).keys()]).toEqual([])).toPass({ timeout: 90_000 });
});

test('what was said is nowhere to be read in any server', async ({ inside, server }) => {
  const { ann, boris, annApi, borisApi, chat } = await twoFriends(server.url);
  const secret = 'nobody else shall read this line';
  await annApi.send(chat, secret);
  expect((await borisApi.query(`chats/${chat}/messages`)).items[0].text).toBe(secret);
  expect((await borisApi.query(`users?q=${ann.nickname}`)).items).toHaveLength(1);
  expect((await annApi.query('sessions')).items).toHaveLength(1);

  const everything: Record<string, string> = {
    log: said(await rows(inside, 'log', 'events')),
    keys: said(await rows(inside, 'keys', 'keys')),
    directory: said(await rows(inside, 'directory', 'users')),
    keydb: said(await inside.held()),
    elasticsearch: said(await inside.documents(`${inside.name}*`)),
    s3: said(await inside.objects()),
  };
  for (const table of await inside.tables()) {
    everything[`cassandra ${table}`] = said(await inside.cql(`SELECT * FROM ${inside.name}.${table}`));
  }
  for (const [place, held] of Object.entries(everything)) {
    expect(held, place).not.toContain(secret);
    expect(held, place).not.toContain(Buffer.from(secret).toString('base64').slice(0, 36));
    expect(held, place).not.toContain(boris.password);
  }
  // It would have been found: what may be read there is.
  expect(everything.log).toContain(annApi.userId);
  expect(everything.directory).toContain(ann.nickname);
  expect(everything.keydb).toContain(annApi.userId);
  expect(everything.elasticsearch).toContain(ann.nickname);
});
