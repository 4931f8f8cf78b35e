import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { type ErrorDocument, errorFromDocument, errorToDocument } from '../errors.ts';

/**
 * A one-way stream of bytes to a worker, with back-pressure: the receiver grants credits, the sender waits for one per
 * chunk. Chunks are transferred, not copied, where they own their memory.
 *
 * Sender to receiver: `chunk` …, then `end` or `error`. Receiver to sender: `credit` …, or `stop` when it has had enough.
 */
type ToReceiver =
  | { readonly type: 'chunk'; readonly bytes: Uint8Array }
  | { readonly type: 'end' }
  | { readonly type: 'error'; readonly error: ErrorDocument };
type ToSender = { readonly type: 'credit' } | { readonly type: 'stop' };

const INITIAL_CREDITS = 4;

/** The receiver's end, to be put into a task's input and its transfer list. */
export type ByteChannelPort = MessagePort;

export interface ByteChannel {
  readonly receiver: ByteChannelPort;
  /** Resolves when all is handed over or the receiver has stopped. An error of the source reaches the receiver too. */
  send(source: AsyncIterable<Uint8Array>): Promise<void>;
}

export function createByteChannel(): ByteChannel {
  const { port1: sender, port2: receiver } = new MessageChannel();
  return { receiver, send: (source) => sendAll(sender, source) };
}

async function sendAll(port: MessagePort, source: AsyncIterable<Uint8Array>): Promise<void> {
  let credits = INITIAL_CREDITS;
  let stopped = false;
  let wake: (() => void) | undefined;
  const post = (message: ToReceiver, transfer: readonly ArrayBuffer[] = []): void => {
    port.postMessage(message, transfer);
  };
  port.on('message', (message: ToSender) => {
    if (message.type === 'credit') credits += 1;
    else stopped = true;
    wake?.();
  });
  // A worker that dies closes its end: without this the sender would wait for ever.
  port.on('close', () => {
    stopped = true;
    wake?.();
  });
  const isStopped = (): boolean => stopped;
  try {
    for await (const chunk of source) {
      while (credits === 0 && !isStopped()) {
        await new Promise<void>((resolve) => (wake = resolve));
      }
      if (isStopped()) return;
      credits -= 1;
      const whole = chunk.byteLength === chunk.buffer.byteLength ? chunk : Uint8Array.from(chunk);
      post({ type: 'chunk', bytes: whole }, [whole.buffer as ArrayBuffer]);
    }
    post({ type: 'end' });
  } catch (error) {
    post({ type: 'error', error: errorToDocument(error) });
    throw error;
  } finally {
    // `end` must be read before the channel goes: the receiver closes it; here only the hold on the process ends.
    port.unref();
  }
}

/** The receiver's side. Throws the sender's error. Ends the channel when left early. */
export async function* receiveBytes(port: ByteChannelPort): AsyncGenerator<Uint8Array, void, undefined> {
  const queue: ToReceiver[] = [];
  let wake: (() => void) | undefined;
  port.on('message', (message: ToReceiver) => {
    queue.push(message);
    wake?.();
  });
  try {
    for (;;) {
      const message = queue.shift();
      if (message === undefined) {
        await new Promise<void>((resolve) => (wake = resolve));
        continue;
      }
      if (message.type === 'end') return;
      if (message.type === 'error') throw errorFromDocument(message.error);
      yield message.bytes;
      port.postMessage({ type: 'credit' } satisfies ToSender);
    }
  } finally {
    port.postMessage({ type: 'stop' } satisfies ToSender);
    port.close();
  }
}
