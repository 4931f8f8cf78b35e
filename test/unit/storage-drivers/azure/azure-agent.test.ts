import http from 'node:http';
import https from 'node:https';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { azureAgent } from '../../../../storage-drivers/azure/azure-agent.ts';
import { until, within } from '../../../support/until.ts';

const DIRECT = { ca: undefined, proxy: undefined };
const SOON = { connectMs: 50, idleMs: 50 };
const LATE = 30_000;

/** Takes connections and whatever is said on them; `answer` is what it says itself, once. */
interface Listener {
  readonly host: string;
  readonly sockets: Set<Socket>;
  answer: string | undefined;
  readonly stop: () => Promise<void>;
}

let listener: Listener;
beforeEach(async () => {
  listener = await listen();
});
afterEach(async () => {
  await listener.stop();
});

async function listen(): Promise<Listener> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined).once('close', () => sockets.delete(socket));
    socket.once('data', () => {
      if (running.answer !== undefined) socket.write(running.answer);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const running: Listener = {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    sockets,
    answer: undefined,
    stop: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
  return running;
}

/** The whole answer as text. */
async function ask(url: URL, agent: http.Agent): Promise<string> {
  const { get } = url.protocol === 'https:' ? https : http;
  const answer = new Promise<http.IncomingMessage>((resolve, reject) => {
    get(url, { agent }, resolve).once('error', reject);
  });
  let text = '';
  for await (const chunk of await answer) text += String(chunk);
  return text;
}

async function expectTimeout(url: URL, proxy?: URL): Promise<void> {
  const agent = azureAgent(url, { ...DIRECT, proxy }, SOON);
  await expect(within(ask(url, agent), LATE, 'the end')).rejects.toMatchObject({ code: 'ETIMEDOUT' });
  await until(() => listener.sockets.size === 0, { what: 'the connection to be closed', deadlineMs: LATE });
  agent.destroy();
}

describe('a connection', () => {
  it('on which no answer comes is lost', async () => {
    await expectTimeout(new URL(`http://${listener.host}/`));
  });

  it('on which TLS does not come to be is lost', async () => {
    await expectTimeout(new URL(`https://${listener.host}/`));
  });

  it('to a proxy that says nothing is lost', async () => {
    await expectTimeout(new URL('http://store.invalid/'), new URL(`http://${listener.host}`));
  });

  it('through a proxy behind which nothing answers is lost, with TLS and without', async () => {
    listener.answer = 'HTTP/1.1 200 Connection established\r\n\r\n';
    for (const scheme of ['http', 'https']) {
      await expectTimeout(new URL(`${scheme}://store.invalid/`), new URL(`http://${listener.host}`));
    }
  });

  it('that ends in the middle of an answer is an error', async () => {
    listener.answer = 'HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly so much';
    const url = new URL(`http://${listener.host}/`);
    const agent = azureAgent(url, DIRECT, SOON);
    await expect(within(ask(url, agent), LATE, 'the end')).rejects.toMatchObject({
      code: expect.any(String) as string,
    });
    agent.destroy();
  });

  it('is used again, and ends with its agent', async () => {
    listener.answer = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok';
    const url = new URL(`http://${listener.host}/`);
    const agent = azureAgent(url, DIRECT);
    expect(await ask(url, agent)).toBe('ok');
    const [first] = listener.sockets;
    first!.once('data', () => first!.write('HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nagain'));
    expect(await ask(url, agent)).toBe('again');
    expect(listener.sockets.size).toBe(1);
    agent.destroy();
    await until(() => listener.sockets.size === 0, { what: 'the connection to be closed', deadlineMs: LATE });
  });
});
