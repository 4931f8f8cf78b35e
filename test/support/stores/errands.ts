import type { DriverOptions } from '../../../storage-drivers/registry.ts';
import type { HttpFault } from '../fault-proxy.ts';

/** What a request to a store is for; a `part` is one of an upload of several, which its `end` makes an object. */
export const ERRANDS = ['put', 'get', 'stat', 'list', 'remove', 'part', 'end'] as const;
export type Errand = (typeof ERRANDS)[number];
type HttpStore = Exclude<DriverOptions['driver'], 'local' | 'sftp'>;

/** METHOD and decoded URL of what a driver asks about an object whose key ends in `/it`; claims of it are others' matter. */
export const REQUESTS: Readonly<Record<HttpStore, Readonly<Record<Errand, RegExp>>>> = {
  s3: {
    put: /^PUT [^?]*\/it(\?x-id=PutObject)?$/,
    get: /^GET [^?]*\/it(\?x-id=GetObject)?$/,
    stat: /^HEAD [^?]*\/it$/,
    list: /^GET .*list-type=2.*prefix=(?!.*\.claims)/,
    remove: /^DELETE [^?]*\/it(\?x-id=DeleteObject)?$/,
    part: /^PUT .*\/it\?partNumber=/,
    end: /^POST .*\/it\?uploadId=/,
  },
  azure: {
    put: /^PUT [^?]*\/it$/,
    get: /^GET [^?]*\/it$/,
    stat: /^HEAD [^?]*\/it$/,
    list: /^GET .*comp=list/,
    remove: /^DELETE [^?]*\/it$/,
    part: /^PUT .*\/it\?comp=block&/,
    end: /^PUT .*\/it\?comp=blocklist/,
  },
  gcs: {
    put: /^POST .*uploadType=multipart/,
    get: /^GET .*\/it\?alt=media/,
    stat: /^GET .*\/it\?fields=size/,
    list: /^GET .*\/o\?prefix=/,
    remove: /^DELETE .*\/it$/,
    part: /^PUT .*upload_id=/,
    // The last of them.
    end: /^PUT .*upload_id=/,
  },
};

/** As the documentation of each has it. */
const ANSWERS: Readonly<Record<HttpStore, { readonly slowDown: HttpFault; readonly expired: HttpFault }>> = {
  s3: { slowDown: xml(503, 'SlowDown'), expired: xml(400, 'ExpiredToken') },
  azure: { slowDown: xml(503, 'ServerBusy'), expired: xml(403, 'AuthenticationFailed') },
  gcs: { slowDown: json(503, 'backendError'), expired: json(401, 'authError') },
};

/** How a store says that it is busy, and that credentials have run out. */
export function answersOf(driver: DriverOptions['driver']): (typeof ANSWERS)[HttpStore] {
  if (driver === 'local' || driver === 'sftp') throw new Error(`${driver} does not answer by HTTP`);
  return ANSWERS[driver];
}

function xml(status: number, code: string): HttpFault {
  const headers = { 'content-type': 'application/xml', 'x-ms-error-code': code };
  const body = `<?xml version="1.0"?><Error><Code>${code}</Code><Message>m</Message></Error>`;
  return { status, headers, body };
}

function json(status: number, reason: string): HttpFault {
  const body = JSON.stringify({ error: { code: status, message: 'm', errors: [{ reason }] } });
  return { status, headers: { 'content-type': 'application/json' }, body };
}
