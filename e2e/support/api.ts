// A program that uses the API with tokens, to set a scene quickly or to be the other person.
import { randomUUID } from 'node:crypto';

export interface Person {
  email: string;
  password: string;
  nickname: string;
  name: string;
}

let people = 0;

/** Somebody who is not registered yet; nobody else in this run has the same email or nickname. */
export function somebody(name: string): Person {
  const nickname = `${name.normalize('NFKD').replace(/[^A-Za-z]/g, '').toLowerCase() || 'person'}${++people}x${process.pid}`;
  return { email: `${nickname}@example.org`, password: `correct horse ${nickname}`, nickname, name };
}

/** An answer of the API. */
export type Answer = Record<string, any>;

export class Api {
  userId = '';
  private token = '';
  /** What all of a server's people have written: each sees what the others did before. */
  private static readonly written = new Map<string, number>();

  constructor(private readonly url: string) {}

  /** Tells that the server of `url` is a new one: ports come again, and what was written to an earlier one is not there. */
  static begin(url: string): void {
    Api.written.delete(url);
  }

  /** Registers somebody and acts as them from then on. */
  static async register(url: string, person: Person): Promise<Api> {
    const api = new Api(url);
    await api.signedIn('register', { ...person });
    return api;
  }

  static async authorize(url: string, person: Person): Promise<Api> {
    const api = new Api(url);
    await api.signedIn('authorize', { email: person.email, password: person.password });
    return api;
  }

  private async signedIn(name: string, body: object): Promise<void> {
    const answer = await this.command(name, body);
    this.userId = answer.user_id;
    this.token = answer.access_token;
  }

  /** A command; fails unless it is answered 200. */
  async command(name: string, body: object, key: string = randomUUID()): Promise<Answer> {
    const answer = await this.ask(`/command/v1/${name}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'idempotency-key': key },
      body: JSON.stringify(body),
    });
    this.wrote(answer.position);
    return answer;
  }

  /** Changes one's photo to these bytes. */
  changePhoto(bytes: Buffer, type = 'image/png'): Promise<Answer> {
    return this.file('change_photo', bytes, type);
  }

  /** Uploads what a message is to carry. */
  upload(bytes: Buffer, type = 'image/png'): Promise<Answer> {
    return this.file('upload', bytes, type);
  }

  private async file(name: string, bytes: Buffer, type: string): Promise<Answer> {
    const headers = { 'content-type': type, 'idempotency-key': randomUUID() };
    const answer = await this.ask(`/command/v1/${name}`, { method: 'POST', headers, body: new Uint8Array(bytes) });
    this.wrote(answer.position);
    return answer;
  }

  private wrote(position: number): void {
    Api.written.set(this.url, Math.max(Api.written.get(this.url) ?? 0, position));
  }

  /** A query that shows at least what was written through this class; fails unless it is answered 200. */
  async query(path: string): Promise<Answer> {
    const wanted = Api.written.get(this.url) ?? 0;
    // The server waits for its rows for 5 seconds, and then answers with what it has.
    for (let attempt = 1; ; attempt++) {
      const answer = await this.ask(`/query/v1/${path}`, { headers: { 'x-letopis-position': String(wanted) } });
      if (answer.position === undefined || answer.position >= wanted || attempt === 12) return answer;
    }
  }

  private async ask(path: string, request: RequestInit): Promise<Answer> {
    const headers = new Headers(request.headers);
    if (this.token) headers.set('authorization', `Bearer ${this.token}`);
    const answer = await fetch(this.url + path, { ...request, headers });
    const text = await answer.text();
    if (answer.status !== 200) throw new Error(`${path} is answered ${answer.status}: ${text}`);
    return JSON.parse(text);
  }

  /** Makes two people friends; answers the id of their chat. */
  async befriend(other: Api): Promise<string> {
    await this.command('add', { user_id: other.userId });
    await other.command('accept', { user_id: this.userId });
    return (await this.command('create_chat', { user_id: other.userId })).chat_id;
  }

  async send(chatId: string, text: string): Promise<Answer> {
    return this.command('send', { chat_id: chatId, text });
  }
}

/** Two friends with an empty chat. */
export async function twoFriends(url: string, names = ['Ann', 'Boris']) {
  const [ann, boris] = names.map(somebody);
  const [annApi, borisApi] = [await Api.register(url, ann), await Api.register(url, boris)];
  return { ann, boris, annApi, borisApi, chat: await annApi.befriend(borisApi) };
}
