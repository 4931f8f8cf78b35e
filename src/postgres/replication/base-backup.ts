import { WaldenError } from '../../errors.ts';
import { baseBackupCommand, type BaseBackupOptions } from './base-backup-command.ts';
import { type BaseBackupEvent, BaseBackupMessages } from './base-backup-messages.ts';
import { simpleQuery } from './messages.ts';
import type { Wire } from './wire.ts';

export type { BaseBackupOptions } from './base-backup-command.ts';

/** A base backup as it comes from BASE_BACKUP. */
export class BaseBackup {
  readonly #wire: Wire;
  readonly #messages: BaseBackupMessages;

  constructor(wire: Wire, serverVersion: number, options: BaseBackupOptions) {
    this.#wire = wire;
    this.#messages = new BaseBackupMessages(serverVersion, 'unable to take a base backup');
    wire.piecesOfCopyData = true;
    wire.reusesMemory = true;
    wire.send(simpleQuery(baseBackupCommand(serverVersion, options)));
  }

  /**
   * What has come, in order, good until the next call; it may be nothing that matters. What is not asked for stays with the
   * server, but for some MB.
   * @throws SERVER_QUERY when the server refuses, SERVER_UNREACHABLE when it is lost or nothing comes in this time
   */
  async next(timeoutMs: number): Promise<readonly BaseBackupEvent[]> {
    const messages = await this.#wire.receiveAll(timeoutMs);
    if (messages.length === 0) {
      const fact = `PostgreSQL sent nothing of the base backup for ${Math.round(timeoutMs / 1000)} s`;
      throw new WaldenError('SERVER_UNREACHABLE', fact);
    }
    const events: BaseBackupEvent[] = [];
    for (const message of messages) {
      const event = this.#messages.read(message);
      if (event === undefined) continue;
      if (event.kind === 'done') {
        this.#wire.piecesOfCopyData = false;
        this.#wire.reusesMemory = false;
      }
      events.push(event);
    }
    return events;
  }
}
