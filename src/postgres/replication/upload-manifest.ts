import { WaldenError } from '../../errors.ts';
import { COPY_DONE, copyData, simpleQuery } from './messages.ts';
import { serverError, type Wire } from './wire.ts';

/** The server takes a piece in milliseconds, and parses all of it at the end. */
const TIMEOUT_MS = 300_000;

/**
 * UPLOAD_MANIFEST (protocol.sgml): gives the server the `backup_manifest` of the backup that the incremental one which
 * follows on the same connection is to build on.
 * @throws SERVER_QUERY when the server does not take it, SERVER_UNREACHABLE, and what `pieces` throws
 */
export async function uploadManifest(wire: Wire, pieces: AsyncIterable<Buffer>): Promise<void> {
  wire.send(simpleQuery('UPLOAD_MANIFEST'));
  await until(wire, 'G');
  for await (const piece of pieces) await wire.sendAsTaken(copyData(piece), TIMEOUT_MS);
  wire.send(COPY_DONE);
  await until(wire, 'Z');
}

/** An error is followed by ReadyForQuery, which nobody waits for: the connection is of no more use. */
async function until(wire: Wire, type: string): Promise<void> {
  for (;;) {
    const message = await wire.receive(TIMEOUT_MS);
    if (message === undefined) {
      const fact = `PostgreSQL did not take the manifest of the parent within ${TIMEOUT_MS / 1000} s`;
      throw new WaldenError('SERVER_UNREACHABLE', fact);
    }
    if (message.type === 'E') throw serverError('unable to tell PostgreSQL what to build on', message.body);
    if (message.type === type) return;
  }
}
