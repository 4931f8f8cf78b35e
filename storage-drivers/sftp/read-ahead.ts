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
  const underWay: Promise<Buffer>[] = [];
  let next = offset;
  const ask = (): void => {
    for (; underWay.length < most && next < end; next += files.readBytes) {
      const reading = files.read(handle, next, Math.min(files.readBytes, end - next));
      // Given up before its turn came.
      reading.catch(() => undefined);
      underWay.push(reading);
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
      first.then(
        // Nothing: the file became shorter than it was.
        (bytes) => this.push(bytes.length > 0 ? bytes : null),
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
