// The real server, one for each test: a free port, a folder of its own, ended by its process id.
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';

const BINARY = resolve(import.meta.dirname, '..', process.env.LETOPIS_BIN ?? '../target/debug/letopis');

async function freePort(): Promise<number> {
  return new Promise((done, failed) => {
    const probe = createServer();
    probe.once('error', failed);
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      const port = typeof address === 'object' && address ? address.port : 0;
      probe.close(() => done(port));
    });
  });
}

export class Server {
  private process?: ChildProcess;
  private output = '';

  private constructor(
    readonly port: number,
    readonly data: string,
    private readonly variables: Record<string, string>,
  ) {}

  /** How long a start or a stop may take, in milliseconds; real engines get their databases, keyspace and indices first. */
  private get patience(): number {
    return 'LETOPIS_LOG_URL' in this.variables ? 120_000 : 30_000;
  }

  /** Where the server is: what it takes for its public URL by itself. */
  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Starts one; `variables` say on which engines, if not the embedded ones. */
  static async start(variables: Record<string, string> = {}): Promise<Server> {
    if (!existsSync(BINARY)) throw new Error(`${BINARY} is not there; ./dev e2e builds it`);
    const server = new Server(await freePort(), await mkdtemp(join(tmpdir(), 'letopis-e2e-')), variables);
    await server.run();
    return server;
  }

  /** Starts the process on the same port and data, and waits until it is ready. */
  async run(): Promise<void> {
    const child = spawn(BINARY, [], { env: this.environment, stdio: ['ignore', 'pipe', 'pipe'] });
    child.stdout.on('data', (bytes) => (this.output += bytes));
    child.stderr.on('data', (bytes) => (this.output += bytes));
    this.process = child;
    const deadline = Date.now() + this.patience;
    while (Date.now() < deadline) {
      if (child.exitCode !== null) throw new Error(`the server ended with ${child.exitCode}:\n${this.output}`);
      const ready = await fetch(`${this.url}/readyz`).catch(() => undefined);
      if (ready?.status === 200) return;
      await new Promise((next) => setTimeout(next, 25));
    }
    throw new Error(`the server is not ready after ${this.patience} ms:\n${this.output}`);
  }

  private get environment(): NodeJS.ProcessEnv {
    return {
      PATH: process.env.PATH,
      LETOPIS_LISTEN: `127.0.0.1:${this.port}`,
      LETOPIS_DATA: this.data,
      LETOPIS_RATE_LIMIT: 'off',
      RUST_LOG: process.env.RUST_LOG ?? 'info',
      // Of panics; an error says by itself what it is.
      RUST_BACKTRACE: '1',
      RUST_LIB_BACKTRACE: '0',
      ...this.variables,
    };
  }

  /** Runs a subcommand beside the process and answers what it prints; fails unless it is content. */
  async letopis(...words: string[]): Promise<string> {
    const { stdout } = await promisify(execFile)(BINARY, words, { env: this.environment, timeout: this.patience });
    return stdout;
  }

  /** Ends the process as a crash would. */
  async kill(): Promise<void> {
    await this.end('SIGKILL');
  }

  /** Ends the process as an operator would, and says with which code. */
  async stop(): Promise<number | null> {
    return this.end('SIGTERM');
  }

  private async end(signal: NodeJS.Signals): Promise<number | null> {
    const child = this.process;
    if (!child || child.exitCode !== null || child.signalCode !== null) return child?.exitCode ?? null;
    const ended = new Promise<number | null>((done) => child.once('exit', done));
    const late = setTimeout(() => child.kill('SIGKILL'), this.patience);
    child.kill(signal);
    const code = await ended;
    clearTimeout(late);
    return code;
  }

  /** Everything that the processes have printed. */
  get log(): string {
    return this.output;
  }

  async remove(): Promise<void> {
    await this.kill();
    await rm(this.data, { recursive: true, force: true });
  }
}
