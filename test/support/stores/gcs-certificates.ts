import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** An authority of its own, and a certificate of it for this host and for Google's names. */
export interface GcsCertificates {
  readonly caFile: string;
  readonly tls: { readonly key: string; readonly cert: string };
}

const NAMES = 'subjectAltName=IP:127.0.0.1,DNS:storage.googleapis.com,DNS:www.googleapis.com\n';
const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];

/** Makes them with the openssl program, in `directory`. */
export function gcsCertificates(directory: string): GcsCertificates {
  const at = (name: string): string => join(directory, name);
  const openssl = (...words: readonly string[]): void => {
    execFileSync('openssl', words, { stdio: 'pipe' });
  };
  const caFile = at('ca.pem');
  writeFileSync(at('names'), NAMES);
  openssl('req', '-x509', ...NEW_KEY, '-keyout', at('ca.key'), '-out', caFile, '-days', '2', '-subj', '/CN=authority');
  openssl('req', ...NEW_KEY, '-keyout', at('key.pem'), '-out', at('request.pem'), '-subj', '/CN=store');
  const signed = ['-CA', caFile, '-CAkey', at('ca.key'), '-CAcreateserial', '-days', '2', '-extfile', at('names')];
  openssl('x509', '-req', '-in', at('request.pem'), ...signed, '-out', at('cert.pem'));
  return { caFile, tls: { key: readFileSync(at('key.pem'), 'utf8'), cert: readFileSync(at('cert.pem'), 'utf8') } };
}
