// The real engines, and a place of one test's own on each: databases, key prefix, indices, keyspace, objects.
// They are looked into with their makers' clients, never with code of ours.
import { randomBytes } from 'node:crypto';

import { DeleteObjectsCommand, GetObjectCommand, ListObjectsV2Command, S3Client } from '@aws-sdk/client-s3';
import { createClient } from '@redis/client';
import cassandra from 'cassandra-driver';
import pg from 'pg';

/** Where ./dev has put a server for the tests. */
function named(engine: string): URL {
  const variable = `LETOPIS_TEST_${engine}`;
  const url = process.env[variable];
  if (!url) throw new Error(`${variable} is not set: run ./dev e2e --engines, which starts the servers`);
  return new URL(url);
}

const keydb = (host: string) => createClient({ url: `redis://${host}/0` });

/** A document that Elasticsearch has found. */
export interface Hit {
  _index: string;
  _id: string;
  _source: Record<string, unknown>;
}

export class Engines {
  /** Unique to the test, and a name that every engine takes. */
  readonly name = `e2e${randomBytes(6).toString('hex')}`;

  private readonly postgres = named('POSTGRES');
  private readonly keydb = named('KEYDB');
  private readonly elasticsearch = named('ELASTICSEARCH');
  private readonly cassandra = named('CASSANDRA');
  private readonly s3 = named('S3');

  private constructor() {}

  static async create(): Promise<Engines> {
    const engines = new Engines();
    for (const database of engines.databases) await engines.sql('postgres', `CREATE DATABASE ${database}`);
    return engines;
  }

  private get databases(): string[] {
    return ['log', 'keys', 'directory'].map((what) => `${this.name}_${what}`);
  }

  /** What puts letopis on them. */
  get variables(): Record<string, string> {
    const [log, keys, directory] = this.databases.map((database) => new URL(`/${database}`, this.postgres).href);
    const keydb = `${new URL('/0', this.keydb).href}?prefix=${this.name}`;
    const aws = Object.entries(process.env).filter(([name]) => name.startsWith('AWS_')) as [string, string][];
    return {
      ...Object.fromEntries(aws),
      LETOPIS_LOG_URL: log,
      LETOPIS_KEYS_URL: keys,
      LETOPIS_DIRECTORY_URL: directory,
      LETOPIS_SESSIONS_URL: keydb,
      LETOPIS_LIVE_URL: keydb,
      LETOPIS_SEARCH_URL: new URL(`/${this.name}`, this.elasticsearch).href,
      LETOPIS_TIMELINE_URL: new URL(`/${this.name}`, this.cassandra).href,
      LETOPIS_BLOBS_URL: `s3://${this.s3.host}/${this.name}`,
    };
  }

  /** Asks PostgreSQL. `database` is log, keys, directory, or another one's whole name. */
  async sql(database: string, statement: string): Promise<Record<string, any>[]> {
    const whole = this.databases.find((one) => one === `${this.name}_${database}`) ?? database;
    const client = new pg.Client(new URL(`/${whole}`, this.postgres).href);
    await client.connect();
    try {
      return (await client.query(statement)).rows;
    } finally {
      await client.end();
    }
  }

  /** Asks KeyDB. */
  async keys<T>(ask: (client: ReturnType<typeof keydb>) => Promise<T>): Promise<T> {
    const client = keydb(this.keydb.host);
    // Without a listener an error ends the process; what is asked for fails by itself.
    client.on('error', () => {});
    await client.connect();
    try {
      return await ask(client);
    } finally {
      await client.close();
    }
  }

  /** Every key of this test, with what it holds, whatever its type. */
  async held(): Promise<Map<string, unknown>> {
    return this.keys(async (client) => {
      const held = new Map<string, unknown>();
      for (const key of await client.keys(`*${this.name}*`)) {
        const type = await client.type(key);
        if (type === 'string') held.set(key, await client.get(key));
        else if (type === 'hash') held.set(key, await client.hGetAll(key));
        else if (type === 'set') held.set(key, await client.sMembers(key));
        else if (type === 'zset') held.set(key, await client.zRangeWithScores(key, 0, -1));
        else if (type === 'list') held.set(key, await client.lRange(key, 0, -1));
        else if (type !== 'none') throw new Error(`${key} is a ${type}, which this test can't read`);
      }
      return held;
    });
  }

  /** Asks Elasticsearch; `path` comes after the host. */
  async search(path: string, method = 'GET', body?: object): Promise<any> {
    const answer = await fetch(`http://${this.elasticsearch.host}/${path}`, {
      method,
      headers: { 'content-type': 'application/json' },
      body: body && JSON.stringify(body),
    });
    const said = await answer.json();
    if (!answer.ok) throw new Error(`Elasticsearch answers ${answer.status}: ${JSON.stringify(said)}`);
    return said;
  }

  /** All documents of an index or alias. */
  async documents(index: string): Promise<Hit[]> {
    await this.search(`${index}/_refresh`, 'POST');
    return (await this.search(`${index}/_search`, 'POST', { size: 1_000, query: { match_all: {} } })).hits.hits;
  }

  /** Asks Cassandra, in this test's keyspace. */
  async cql(statement: string): Promise<Record<string, any>[]> {
    const client = new cassandra.Client({
      contactPoints: [this.cassandra.host],
      localDataCenter: 'datacenter1',
      socketOptions: { connectTimeout: 60_000, readTimeout: 60_000 },
    });
    await client.connect();
    try {
      return (await client.execute(statement)).rows as Record<string, any>[];
    } finally {
      await client.shutdown();
    }
  }

  /** The tables of this test's keyspace. */
  async tables(): Promise<string[]> {
    const rows = await this.cql(`SELECT table_name FROM system_schema.tables WHERE keyspace_name = '${this.name}'`);
    return rows.map((row) => row.table_name as string).sort();
  }

  /** What is in S3 for this test: names and bytes. */
  async objects(): Promise<Map<string, Uint8Array>> {
    const [client, Bucket] = [this.store(), this.s3.host];
    const found = new Map<string, Uint8Array>();
    for (const Key of await this.objectNames()) {
      // Whose blobs they are is no blob.
      if (Key.endsWith('/log-id')) continue;
      const { Body } = await client.send(new GetObjectCommand({ Bucket, Key }));
      found.set(Key, await Body!.transformToByteArray());
    }
    return found;
  }

  private async objectNames(): Promise<string[]> {
    const { Contents } = await this.store().send(new ListObjectsV2Command({ Bucket: this.s3.host, Prefix: `${this.name}/` }));
    return (Contents ?? []).map(({ Key }) => Key!);
  }

  /** A client of S3, which finds the address and the keys in AWS_… itself. */
  private store(): S3Client {
    return new S3Client({ forcePathStyle: true });
  }

  /** Leaves nothing behind. */
  async remove(): Promise<void> {
    const objects = (await this.objectNames()).map((Key) => ({ Key }));
    const emptied = objects.length > 0 && new DeleteObjectsCommand({ Bucket: this.s3.host, Delete: { Objects: objects } });
    await Promise.all([
      ...this.databases.map((database) => this.sql('postgres', `DROP DATABASE IF EXISTS ${database} WITH (FORCE)`)),
      this.keys(async (client) => {
        const keys = await client.keys(`*${this.name}*`);
        if (keys.length > 0) await client.del(keys);
      }),
      this.search(`${this.name}*?expand_wildcards=all`, 'DELETE'),
      this.cql(`DROP KEYSPACE IF EXISTS ${this.name}`),
      emptied && this.store().send(emptied),
    ]);
  }
}
