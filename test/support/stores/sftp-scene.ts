import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest';
import { objectKey } from '../../../storage-drivers/object-key.ts';
import { SftpDriver } from '../../../storage-drivers/sftp/sftp-driver.ts';
import { PATIENCE, type SftpPatience } from '../../../storage-drivers/sftp/sftp-options.ts';
import { newDirectory, removeDirectory } from '../sandbox.ts';
import { until } from '../until.ts';
import { PipedSftpServer } from './piped-sftp-server.ts';

/** One server for all tests of a suite, and for each an empty repository on it. */
export class SftpScene {
  server!: PipedSftpServer;
  /** Of the repository. */
  path = '';
  driver!: SftpDriver;
  #fences = 0;

  /** To be called where the suite is described. */
  constructor() {
    beforeAll(async () => {
      this.server = await PipedSftpServer.start();
    });
    afterAll(async () => {
      await this.server.stop();
    });
    beforeEach(async () => {
      this.path = join(newDirectory('store'), 'repository');
      this.driver = await this.open();
    });
    afterEach(async () => {
      await this.driver.close();
      const { server } = this;
      await until(() => server.processes.length === 0, { what: 'the end of the sessions' });
      server.mostSessions = Infinity;
      removeDirectory(join(this.path, '..'));
    });
  }

  async open(
    access: 'read-only' | 'read-write' = 'read-write',
    { path = this.path, ...patience }: Partial<SftpPatience> & { readonly path?: string } = {},
  ): Promise<SftpDriver> {
    return await SftpDriver.open({ ...this.server.options, path }, { access, patience: { ...PATIENCE, ...patience } });
  }

  /** The test's own driver, with another patience. */
  async reopen(patience: Partial<SftpPatience> = {}): Promise<void> {
    await this.driver.close();
    this.driver = await this.open('read-write', patience);
  }

  /** Files that are not whole yet. */
  staged(): readonly string[] {
    return readdirSync(join(this.path, '.staging/sftp'));
  }

  /** What the server says that it did for `work`, of what a driver asked it one after the other. */
  async logOf(work: () => Promise<unknown>, driver: SftpDriver = this.driver): Promise<readonly string[]> {
    const begin = await this.logged(driver);
    await work();
    return this.server.log.slice(begin, await this.logged(driver));
  }

  /**
   * How many lines the server's log has, once what a driver asked before is in it. Its words come by another way than its
   * answers: a look at something that is not there tells that those before it are here.
   */
  async logged(driver: SftpDriver = this.driver): Promise<number> {
    await this.#fence(driver);
    return this.server.log.length;
  }

  async #fence(driver: SftpDriver): Promise<void> {
    this.#fences += 1;
    const key = objectKey(`fence-${this.#fences}`);
    await driver.stat(key).catch(() => undefined);
    const told = (): boolean => this.server.log.some((line) => line.endsWith(`/${key}"`));
    await until(told, { what: 'the words of the server', everyMs: 5 });
  }

  /** Stops, or continues, what serves the sessions. */
  signal(name: 'SIGSTOP' | 'SIGCONT'): void {
    for (const pid of this.server.processes) process.kill(pid, name);
  }
}
