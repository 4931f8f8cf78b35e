import { execFile } from 'node:child_process';

/**
 * Tells systemd (sd_notify) that the service is ready or stopping. Node has no datagram unix sockets, so systemd's own
 * program does it; the unit needs `NotifyAccess=all`. Does nothing where `notifySocket` (NOTIFY_SOCKET) is not set.
 * @returns why it did not work, if so; the service itself goes on all the same.
 */
export async function tellServiceManager(
  state: 'READY=1' | 'STOPPING=1',
  notifySocket: string | undefined,
): Promise<string | undefined> {
  if (notifySocket === undefined || notifySocket === '') return undefined;
  return await new Promise((resolve) => {
    execFile('systemd-notify', [state], { env: { ...process.env, NOTIFY_SOCKET: notifySocket } }, (error) => {
      resolve(error === null ? undefined : error.message);
    });
  });
}
