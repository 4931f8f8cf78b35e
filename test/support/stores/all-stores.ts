import { join } from 'node:path';
import { fingerprintOf } from '../../../storage-drivers/sftp/host-key.ts';
import { newDirectory } from '../sandbox.ts';
import { startAzurite, whyNoAzurite } from './azurite.ts';
import { FakeGcs } from './fake-gcs.ts';
import { BUCKET, gcsOptions } from './gcs-setup.ts';
import { PipedSftpServer, whyNoSftpServer } from './piped-sftp-server.ts';
import { startRgw, whyNoRgw } from './rgw.ts';
import { S3Scene } from './s3-scene.ts';
import type { StoreKindUnderTest, StoreUnderTest } from './store-under-test.ts';
import { startSwift, whyNoSwift } from './swift.ts';

/** Every kind of store that is far, by a real server where there is one. */
export const STORE_KINDS_UNDER_TEST: readonly StoreKindUnderTest[] = [
  { what: 'S3 on Ceph', driver: 's3', whyNot: whyNoRgw(), start: () => startS3(startRgw) },
  { what: "S3 on OpenStack's Swift", driver: 's3', whyNot: whyNoSwift(), start: () => startS3(startSwift) },
  { what: 'Azure Blob Storage', driver: 'azure', whyNot: whyNoAzurite(), start: startAzure },
  { what: "Google's protocol", driver: 'gcs', whyNot: undefined, start: startGcs },
  { what: 'SFTP', driver: 'sftp', whyNot: whyNoSftpServer(), start: startSftp },
];

async function startS3(start: typeof startRgw | typeof startSwift): Promise<StoreUnderTest> {
  const scene = await S3Scene.start(start);
  return {
    port: Number(new URL(scene.server.endpoint).port),
    options: () => ({ driver: 's3', ...scene.options() }),
    end: () => scene.end(),
  };
}

async function startAzure(): Promise<StoreUnderTest> {
  const server = await startAzurite();
  return { port: server.port, options: () => ({ driver: 'azure', ...server.options() }), end: server.stop };
}

async function startGcs(): Promise<StoreUnderTest> {
  const server = await FakeGcs.start();
  server.objects.addBucket(BUCKET);
  return {
    port: server.port,
    options: () => ({ driver: 'gcs', ...gcsOptions(server.url) }),
    end: () => server.stop(),
  };
}

async function startSftp(): Promise<StoreUnderTest> {
  const server = await PipedSftpServer.start();
  const { keys, port, options } = server;
  // Not by known_hosts, which knows the server by its port.
  const hostKey = fingerprintOf(Buffer.from(keys.publicKey(keys.host).split(' ')[1] ?? '', 'base64'));
  return {
    port,
    options: () => {
      const path = join(newDirectory('sftp'), 'repository');
      return { driver: 'sftp', ...options, knownHostsFile: undefined, hostKey, path };
    },
    withdraw: () => server.withdrawKey(),
    end: () => server.stop(),
  };
}
