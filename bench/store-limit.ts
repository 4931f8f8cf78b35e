import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Agent } from 'node:https';
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import type { Rgw } from '../test/support/stores/rgw.ts';
import type { S3Scene } from '../test/support/stores/s3-scene.ts';
import type { Figures } from './report.ts';
import { sideBySide } from './store-clients.ts';

const SIDE_BY_SIDE = 4;
const OBJECTS = 150;
/** Of a segment half of whose bytes can be compressed. */
const BYTES = 8_400_000;

/** What the store itself takes on this machine: bytes that are ready in memory, neither read, compressed nor hashed here. */
export async function limitOfStore({ bucket, server }: S3Scene<Rgw>): Promise<Figures> {
  const agent = new Agent({ keepAlive: true, ca: readFileSync(server.caFile) });
  const client = new S3Client({
    endpoint: server.tlsEndpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    requestChecksumCalculation: 'WHEN_REQUIRED',
    credentials: { accessKeyId: server.accessKey, secretAccessKey: server.secretKey },
    requestHandler: { httpsAgent: agent },
  });
  client.middlewareStack.add(
    (next) => (step) => {
      (step.request as { headers: Record<string, string> }).headers['x-amz-content-sha256'] = 'UNSIGNED-PAYLOAD';
      return next(step);
    },
    { step: 'build' },
  );
  const body = randomBytes(BYTES);
  const names = Array.from({ length: OBJECTS }, (_, index) => `limit/${index}`);
  const usage = process.cpuUsage();
  const begin = performance.now();
  await sideBySide(names, SIDE_BY_SIDE, async (name) => {
    await client.send(new PutObjectCommand({ Bucket: bucket, Key: name, Body: body }));
  });
  const seconds = (performance.now() - begin) / 1000;
  const { user, system } = process.cpuUsage(usage);
  client.destroy();
  return { 'segments/s': OBJECTS / seconds, 'CPU ms/segment': (user + system) / 1000 / OBJECTS };
}
