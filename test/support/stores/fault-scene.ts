import { afterAll, afterEach, beforeAll } from 'vitest';
import type { StorageDriver } from '../../../storage-drivers/driver.ts';
import { driverInUse, type DriverUse } from '../../../storage-drivers/in-use.ts';
import { type DriverOptions, openDriver } from '../../../storage-drivers/registry.ts';
import { SftpDriver } from '../../../storage-drivers/sftp/sftp-driver.ts';
import { PATIENCE } from '../../../storage-drivers/sftp/sftp-options.ts';
import { FaultProxy } from '../fault-proxy.ts';
import { TcpFaultProxy } from '../tcp-fault-proxy.ts';
import { until } from '../until.ts';
import { answersOf } from './errands.ts';
import { atPort, type StoreKindUnderTest, type StoreUnderTest } from './store-under-test.ts';

/** Two answers of three come within this, however busy the machine is. */
const SFTP_PATIENCE = { ...PATIENCE, connectMs: 3_000, keepaliveMs: 1_000, tidyMs: 500 };
const USE: DriverUse = {
  instance: 'test',
  allowed: 'read-write',
  deadlines: { answerMs: 60_000, putMs: 60_000 },
  retries: { retries: 2, firstWaitMs: 1, longestWaitMs: 1 },
};

/** One store for all tests of a suite, the way to it, and drivers that end with the test. */
export class FaultScene {
  store!: StoreUnderTest;
  way!: FaultProxy | TcpFaultProxy;
  readonly #driver: DriverOptions['driver'];
  readonly #opened: StorageDriver[] = [];

  /** To be called where the suite is described. */
  constructor(kind: StoreKindUnderTest) {
    this.#driver = kind.driver;
    beforeAll(async () => {
      this.store = await kind.start();
      const Way = kind.driver === 'sftp' ? TcpFaultProxy : FaultProxy;
      this.way = await Way.start(this.store.port);
    });
    afterAll(async () => {
      await this.way.stop();
      await this.store.end();
    });
    afterEach(async () => {
      this.way.clear();
      for (const driver of this.#opened.splice(0)) await driver.close();
      await until(() => this.way.connections === 0, { what: 'the end of the connections' });
    });
  }

  /** Fails whatever is asked of the store. */
  failAll(): void {
    if (this.way instanceof FaultProxy) this.way.plan(/./, { status: 503 }, { times: Infinity });
    else this.way.plan('reset', 'up', { afterBytes: 1, times: Infinity });
  }

  /** Has the credentials run out, until the result is called. */
  expire(): () => void {
    const { way, store } = this;
    if (way instanceof FaultProxy) {
      way.plan(/./, answersOf(this.#driver).expired, { times: Infinity });
      return () => {
        way.clear();
      };
    }
    // Who is logged in stays so.
    way.plan('reset', 'up', { afterBytes: 1 });
    return store.withdraw?.() ?? (() => undefined);
  }

  /** A repository of its own, on the way to which things go wrong. */
  options(): DriverOptions {
    return atPort(this.store.options(), this.way.port);
  }

  /** The bare driver. */
  async bare(options = this.options()): Promise<StorageDriver> {
    const access = 'read-write';
    const driver =
      options.driver === 'sftp'
        ? await SftpDriver.open(options, { access, patience: SFTP_PATIENCE })
        : await openDriver(options, { instance: 'test', access });
    this.#opened.push(driver);
    return driver;
  }

  /** As the service uses it. */
  async open(use: Partial<DriverUse> = {}, options?: DriverOptions): Promise<StorageDriver> {
    return driverInUse(await this.bare(options), { ...USE, ...use });
  }
}
