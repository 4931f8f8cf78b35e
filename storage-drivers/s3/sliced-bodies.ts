import { Readable } from 'node:stream';
import type { S3Client } from '@aws-sdk/client-s3';

/** Small enough not to be copied as a whole on its way into TLS, and large enough to be few. */
const SLICE_BYTES = 256 * 1024;

/**
 * From now on the client sends large bodies piece by piece. Given as one, Node would copy all of it, and all that TLS makes of
 * it, into fresh memory before the first byte is on its way.
 */
export function sliceBodies(client: S3Client): void {
  client.middlewareStack.add(
    (next) => (step) => {
      const { request } = step;
      if (hasBody(request) && request.body.byteLength > SLICE_BYTES) {
        const slices = Readable.from(slicesOf(request.body), { objectMode: false });
        return next({ ...step, request: Object.assign(request, { body: slices }) });
      }
      return next(step);
    },
    // Behind the signature: the last before the request goes out.
    { step: 'deserialize', priority: 'low' },
  );
}

/** The SDK does not say of what kind its requests are. */
function hasBody(request: unknown): request is { readonly body: Uint8Array } {
  return typeof request === 'object' && request !== null && 'body' in request && request.body instanceof Uint8Array;
}

function* slicesOf(bytes: Uint8Array): Generator<Uint8Array, void, undefined> {
  for (let at = 0; at < bytes.byteLength; at += SLICE_BYTES) yield bytes.subarray(at, at + SLICE_BYTES);
}
