import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import type { Readable, Writable } from 'node:stream';
import { newDirectory, watchProcess } from './sandbox.ts';
import { within } from './until.ts';

/** A real browser, spoken to over two pipes in Chrome's DevTools protocol: JSON documents, each with a zero byte behind it. */

const DEADLINE_MS = 120_000;
const PROGRAM = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(existsSync);

/** Why there is none, with how to get it. */
export const noBrowser = PROGRAM === undefined ? 'needs a browser: apt-get install chromium' : undefined;

interface Message {
  readonly id?: number;
  readonly method?: string;
  readonly params?: Readonly<Record<string, unknown>>;
  readonly result?: Readonly<Record<string, unknown>>;
  readonly error?: { readonly message: string };
}

export interface Viewport {
  readonly width: number;
  readonly scheme: 'light' | 'dark';
}

export class Browser {
  readonly #child: ChildProcess;
  readonly #ended: () => void;
  readonly #waiting = new Map<number, (message: Message) => void>();
  readonly #events: Message[] = [];
  #loaded: () => void = () => undefined;
  #session: string | undefined;
  #calls = 0;

  constructor() {
    const profile = newDirectory('browser');
    const options = ['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run'];
    this.#child = spawn(PROGRAM!, [...options, `--user-data-dir=${profile}`, '--remote-debugging-pipe'], {
      stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'],
      env: { ...process.env, HOME: profile },
    });
    this.#ended = watchProcess(this.#child.pid!);
    let text = '';
    (this.#child.stdio[4] as Readable).setEncoding('utf8').on('data', (piece: string) => {
      const messages = (text + piece).split('\0');
      text = messages.pop() ?? '';
      for (const message of messages) this.#take(JSON.parse(message) as Message);
    });
  }

  async open(): Promise<void> {
    const { targetId } = await this.#call('Target.createTarget', { url: 'about:blank' });
    const { sessionId } = await this.#call('Target.attachToTarget', { targetId, flatten: true });
    this.#session = sessionId as string;
    for (const domain of ['Page', 'Network', 'Runtime', 'Log']) await this.#call(`${domain}.enable`);
  }

  /** Opens a page and waits until all of it is there. */
  async visit(url: string, { width, scheme }: Viewport): Promise<void> {
    await this.#call('Emulation.setDeviceMetricsOverride', {
      ...{ width, height: 900, deviceScaleFactor: 1, mobile: false },
    });
    const features = [{ name: 'prefers-color-scheme', value: scheme }];
    await this.#call('Emulation.setEmulatedMedia', { features });
    this.#events.length = 0;
    const loaded = new Promise<void>((resolve) => (this.#loaded = resolve));
    await this.#call('Page.navigate', { url });
    await within(loaded, DEADLINE_MS, `opening ${url}`);
  }

  /** What an expression has for its value in the page: JSON. */
  async evaluate<Value>(expression: string): Promise<Value> {
    const { result, exceptionDetails } = await this.#call('Runtime.evaluate', { expression, returnByValue: true });
    if (exceptionDetails !== undefined) throw new Error(`${expression}: ${JSON.stringify(exceptionDetails)}`);
    return (result as { readonly value: Value }).value;
  }

  /** The page as it looks, as PNG. */
  async picture(): Promise<Buffer> {
    const { data } = await this.#call('Page.captureScreenshot', { captureBeyondViewport: true });
    return Buffer.from(data as string, 'base64');
  }

  /** Addresses that the page asked for, itself among them. */
  get requests(): readonly string[] {
    return this.#paramsOf('Network.requestWillBeSent').map(({ request }) => (request as { readonly url: string }).url);
  }

  /** What the browser, or a script, complained of. */
  get complaints(): readonly unknown[] {
    return ['Log.entryAdded', 'Runtime.exceptionThrown', 'Runtime.consoleAPICalled'].flatMap((name) =>
      this.#paramsOf(name),
    );
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#child.once('close', resolve));
    this.#child.kill('SIGKILL');
    await within(closed, DEADLINE_MS, 'the end of the browser');
    this.#ended();
  }

  #paramsOf(method: string): readonly Readonly<Record<string, unknown>>[] {
    return this.#events.filter((event) => event.method === method).map(({ params = {} }) => params);
  }

  async #call(method: string, params: object = {}): Promise<Readonly<Record<string, unknown>>> {
    const id = ++this.#calls;
    const answered = new Promise<Message>((resolve) => this.#waiting.set(id, resolve));
    const session = this.#session === undefined ? {} : { sessionId: this.#session };
    (this.#child.stdio[3] as Writable).write(`${JSON.stringify({ id, method, params, ...session })}\0`);
    const { result, error } = await within(answered, DEADLINE_MS, `the browser's answer to ${method}`);
    if (error !== undefined) throw new Error(`${method}: ${error.message}`);
    return result ?? {};
  }

  #take(message: Message): void {
    if (message.id !== undefined) {
      this.#waiting.get(message.id)?.(message);
      this.#waiting.delete(message.id);
      return;
    }
    this.#events.push(message);
    if (message.method === 'Page.loadEventFired') this.#loaded();
  }
}
