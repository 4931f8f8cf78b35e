import { randomBytes, randomUUID } from 'node:crypto';
import { afterAll, describe, expect, it } from 'vitest';
import type { StorageDriver } from '../../storage-drivers/driver.ts';
import { driverInUse } from '../../storage-drivers/in-use.ts';
import { objectKey } from '../../storage-drivers/object-key.ts';
import { type DriverOptions, openDriver, type StoreAccess } from '../../storage-drivers/registry.ts';
import { bodyOf, collect, keysOf, sha256Of } from '../support/bodies.ts';
import { driverContract } from '../contract/driver-contract.ts';

/**
 * The same as against the servers of the other tests, against stores of somebody's own. CONTRIBUTING.md names the variables.
 * Everything is stored below `walden-test/` and removed in the end, but for empty directories; so what is stored must be free to
 * be removed.
 */
const RUN = `walden-test/${randomUUID()}`;
/** In several parts, where bodies go up in parts. */
const LARGE_BYTES = 40 * 1024 ** 2;

function variable(name: string): string | undefined {
  return process.env[`WALDEN_TEST_${name}`];
}

/** A repository below `prefix`; undefined without the variable that names the store. */
type Store = (prefix: string) => DriverOptions | undefined;

const s3: Store = (prefix) => {
  const bucket = variable('S3_BUCKET');
  return bucket === undefined
    ? undefined
    : {
        driver: 's3',
        bucket,
        prefix,
        endpoint: variable('S3_ENDPOINT'),
        region: variable('S3_REGION'),
        pathStyle: undefined,
        checksums: undefined,
        profile: variable('S3_PROFILE'),
        credentialsFile: variable('S3_CREDENTIALS_FILE'),
        caFile: variable('S3_CA_FILE'),
        proxy: undefined,
        storageClass: undefined,
        tags: undefined,
        serverSideEncryption: undefined,
        kmsKey: undefined,
        objectLock: undefined,
      };
};

const azure: Store = (prefix) => {
  const container = variable('AZURE_CONTAINER');
  return container === undefined
    ? undefined
    : {
        driver: 'azure',
        container,
        prefix,
        account: variable('AZURE_ACCOUNT'),
        endpoint: variable('AZURE_ENDPOINT'),
        connectionStringFile: undefined,
        keyFile: variable('AZURE_KEY_FILE'),
        sasFile: variable('AZURE_SAS_FILE'),
        caFile: variable('AZURE_CA_FILE'),
        proxy: undefined,
        accessTier: undefined,
        tags: undefined,
        encryptionScope: undefined,
      };
};

const sftp: Store = (prefix) => {
  const host = variable('SFTP_HOST');
  const port = variable('SFTP_PORT');
  return host === undefined
    ? undefined
    : {
        driver: 'sftp',
        host,
        port: port === undefined ? undefined : Number(port),
        user: variable('SFTP_USER') ?? '',
        path: `${variable('SFTP_DIRECTORY') ?? '/'}/${prefix}`,
        keyFile: variable('SFTP_KEY_FILE'),
        passphraseFile: undefined,
        passwordFile: variable('SFTP_PASSWORD_FILE'),
        knownHostsFile: variable('SFTP_KNOWN_HOSTS_FILE'),
        hostKey: variable('SFTP_HOST_KEY'),
      };
};

describe.each([
  { what: 'S3', named: 'WALDEN_TEST_S3_BUCKET', store: s3 },
  { what: 'Azure', named: 'WALDEN_TEST_AZURE_CONTAINER', store: azure },
  { what: 'SFTP', named: 'WALDEN_TEST_SFTP_HOST', store: sftp },
])('$what of somebody’s own (set $named to run this)', ({ what, store }) => {
  async function open(prefix: string, access: StoreAccess): Promise<StorageDriver> {
    const options = store(prefix);
    if (options === undefined) throw new Error(`no ${what} is named`);
    return await openDriver(options, { instance: 'test', access });
  }

  async function fresh(): Promise<StorageDriver> {
    return await open(`${RUN}/${randomUUID()}`, 'read-write');
  }

  async function inUse(): Promise<StorageDriver> {
    return driverInUse(await fresh(), { instance: 'test', allowed: 'read-write' });
  }

  describe.skipIf(store('') === undefined)(what, () => {
    afterAll(async () => {
      // From above all of them, where what drivers keep for themselves is listed too.
      const driver = await open(RUN, 'read-only');
      for (const key of await keysOf(driver)) await driver.remove(objectKey(key));
      await driver.close();
    });

    // Of racing writers one wins wherever the wrappers are around the driver, whatever the store can do by itself.
    const end = (): Promise<void> => Promise.resolve();
    driverContract(what, async () => ({ driver: await fresh(), end }), { atomicCreate: false });
    driverContract(`${what} as it is used`, async () => ({ driver: await inUse(), end }));

    it('lets exactly one of four racing uploads in parts win, and shows its bytes', async () => {
      const driver = await inUse();
      const key = objectKey('large');
      const bodies = Array.from({ length: 4 }, () => randomBytes(LARGE_BYTES));
      const outcomes = await Promise.allSettled(
        bodies.map((bytes) => driver.put(key, bodyOf(bytes), { ifExists: 'fail' })),
      );
      const winners = bodies.filter((_, writer) => outcomes[writer]?.status === 'fulfilled');
      expect(winners).toHaveLength(1);
      expect(sha256Of(await collect(await driver.get(key)))).toBe(sha256Of(winners[0]!));
      await driver.close();
    });
  });
});
