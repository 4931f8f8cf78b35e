import { execFile } from 'node:child_process';

const DEADLINE_MS = 10_000;

/**
 * Tells systemd (sd_notify) that the service is ready or stopping. Node has no datagram unix sockets, so systemd's own
 * program does it; the unit needs `NotifyAccess=all`. Does nothing where NOTIFY_SOCKET is not set.
 */
export class ServiceManager {
  readonly #socket: string | undefined;

  /**
   * Takes the socket out of the environment, which processes of the service inherit: PostgreSQL, started by a drill, would
   * tell systemd of its own stop, and systemd would take it for that of the service and kill it after a while.
   */
  constructor(environment: Record<string, string | undefined>) {
    this.#socket = environment['NOTIFY_SOCKET'];
    delete environment['NOTIFY_SOCKET'];
  }

  /** @returns why it did not work, if so; the service itself goes on all the same. */
  async tell(state: 'READY=1' | 'STOPPING=1'): Promise<string | undefined> {
    const socket = this.#socket;
    if (socket === undefined || socket === '') return undefined;
    return await new Promise((resolve) => {
      const options = { env: { ...process.env, NOTIFY_SOCKET: socket }, timeout: DEADLINE_MS };
      execFile('systemd-notify', [state], options, (error) => {
        resolve(error === null ? undefined : error.message);
      });
    });
  }
}
