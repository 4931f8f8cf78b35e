import { afterAll, beforeAll, describe, it } from 'vitest';
import type { StorageDriver } from '../../storage-drivers/driver.ts';
import { SftpDriver } from '../../storage-drivers/sftp/sftp-driver.ts';
import { driverWithDeadlines } from '../../storage-drivers/with-deadline.ts';
import { driverWithResumption } from '../../storage-drivers/with-resume.ts';
import { driverWithRetries } from '../../storage-drivers/with-retry.ts';
import { newDirectory, removeDirectory } from '../support/sandbox.ts';
import { PipedSftpServer, whyNoSftpServer } from '../support/stores/piped-sftp-server.ts';
import type { RunningSftpServer } from '../support/stores/sftp-keys.ts';
import { Sshd } from '../support/stores/sshd.ts';
import { driverContract } from './driver-contract.ts';

/** Far beyond what any test needs. */
const DEADLINES = { answerMs: 60_000, putMs: 60_000 };
const ONE_RETRY = { retries: 1, firstWaitMs: 1, longestWaitMs: 1 };

// Where the tests count, a server that is not there is a failure; who runs them decides whether sshd lets him in.
const inCi = process.env['CI'] !== undefined;
const SERVERS = [
  {
    what: "OpenSSH's sftp-server",
    missing: inCi ? undefined : whyNoSftpServer(),
    start: () => PipedSftpServer.start(),
  },
  { what: 'a server of the bare protocol', missing: undefined, start: startPlainServer },
  { what: 'sshd', missing: await Sshd.whyNot(), start: () => Sshd.start() },
];

async function startPlainServer(): Promise<PipedSftpServer> {
  const server = await PipedSftpServer.start();
  server.isPlain = true;
  return server;
}

function wrapped(driver: StorageDriver): StorageDriver {
  return driverWithResumption(driverWithRetries(driverWithDeadlines(driver, DEADLINES), ONE_RETRY));
}

for (const { what, missing, start } of SERVERS) {
  if (missing !== undefined) {
    it.skip(`${what}: ${missing}`, () => undefined);
    continue;
  }
  describe(what, () => {
    let server: RunningSftpServer;

    beforeAll(async () => {
      server = await start();
    });
    afterAll(async () => {
      await server.stop();
    });

    async function open(): Promise<{ driver: SftpDriver; end: () => Promise<void> }> {
      const path = newDirectory('store');
      const driver = await SftpDriver.open({ ...server.options, path }, { access: 'read-write' });
      return {
        driver,
        end: () => {
          removeDirectory(path);
          return Promise.resolve();
        },
      };
    }

    driverContract('sftp', open);
    driverContract('sftp in all its wrappers', async () => {
      const { driver, end } = await open();
      return { driver: wrapped(driver), end };
    });
  });
}
