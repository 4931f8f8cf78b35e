import { Readable } from 'node:stream';
import type { Handle, RemoteFiles } from './remote-files.ts';
import { requestsInFlight } from './requests-in-flight.ts';

/**
 * A range of an open file as a stream that always has some requests under way, and so many bytes in memory at most. It ends
 * early where the file does. When it closes, the file is closed and `files` ended, also when it was never read.
 */
export function readAhead(
  files: RemoteFiles,
  handle: Handle,
  { offset, length }: { readonly offset: number; readonly length: number },
): Readable {
  const { signal } = files;
  const end = offset + length;
  const most = requestsInFlight(files.readBytes);
  const underWay: { readonly room: Buffer; readonly filled: Promise<number> }[] = [];
  // What is handed on is a copy: memory that waits for its answer grows old, and V8 would go through the whole heap to free it.
  const free: Buffer[] = [];
  let next = offset;
  const ask = (): void => {
    for (; underWay.length < most && next < end; next += files.readBytes) {
      // Only the last one is shorter, and nothing is read into it afterwards.
      const bytes = Math.min(files.readBytes, end - next);
      const room = free.pop() ?? Buffer.allocUnsafeSlow(bytes);
      const filled = files.read(handle, next, room.subarray(0, bytes));
      // Given up before its turn came.
      filled.catch(() => undefined);
      underWay.push({ room, filled });
    }
  };
  return new Readable({
    ...(signal === undefined ? {} : { signal }),
    highWaterMark: files.readBytes,
    read() {
      ask();
      const first = underWay.shift();
      if (first === undefined) {
        this.push(null);
        return;
      }
      first.filled.then(
        (bytes) => {
          const copy = Buffer.allocUnsafeSlow(bytes);
          first.room.copy(copy, 0, 0, bytes);
          free.push(first.room);
          // Nothing: the file became shorter than it was.
          this.push(bytes > 0 ? copy : null);
        },
        (error: unknown) => this.destroy(error instanceof Error ? error : new Error(String(error))),
      );
    },
    destroy(error, done) {
      files.close(handle).catch(() => undefined);
      files.end();
      done(error);
    },
  });
}
