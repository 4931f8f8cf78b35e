import { createHmac } from 'node:crypto';

/** A server's public key in a known_hosts file: its type, and the base64 of the whole key. */
export interface KnownKey {
  readonly type: string;
  readonly base64: string;
}

/** What a known_hosts file says about one server. */
export interface KnownServer {
  readonly trusted: readonly KnownKey[];
  /** Must not be believed, whatever else is said. */
  readonly revoked: readonly KnownKey[];
}

const SSH_PORT = 22;
const HASHED = '|1|';

/**
 * Looks a server up in the text of a known_hosts file, whose form sshd(8) describes. Lines that are no entries, and keys of
 * certificate authorities, are passed over.
 */
export function findServer(text: string, host: string, port: number): KnownServer {
  const name = port === SSH_PORT ? host.toLowerCase() : `[${host.toLowerCase()}]:${port}`;
  const trusted: KnownKey[] = [];
  const revoked: KnownKey[] = [];
  for (const line of text.split('\n')) {
    const words = line.trim().split(/\s+/);
    const marker = words[0]?.startsWith('@') === true ? words.shift() : undefined;
    const [hosts, type, base64] = words;
    if (hosts === undefined || hosts.startsWith('#') || type === undefined || base64 === undefined) continue;
    if (!names(hosts, name)) continue;
    if (marker === undefined) trusted.push({ type, base64 });
    if (marker === '@revoked') revoked.push({ type, base64 });
  }
  return { trusted, revoked };
}

/** A list of patterns fits when one of them does and none that begins with `!` does. */
function names(hosts: string, name: string): boolean {
  if (hosts.startsWith(HASHED)) return isHashOf(hosts, name);
  const patterns = hosts.toLowerCase().split(',');
  const unwanted = patterns.filter((pattern) => pattern.startsWith('!')).map((pattern) => pattern.slice(1));
  return patterns.some((pattern) => fits(pattern, name)) && !unwanted.some((pattern) => fits(pattern, name));
}

/** `|1|salt|hash`: the hash is the HMAC-SHA1 of the name. */
function isHashOf(hashed: string, name: string): boolean {
  const [salt = '', hash] = hashed.slice(HASHED.length).split('|');
  return createHmac('sha1', Buffer.from(salt, 'base64')).update(name).digest('base64') === hash;
}

function fits(pattern: string, name: string): boolean {
  const expression = pattern
    .replace(/[^a-z0-9*?]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.');
  return new RegExp(`^${expression}$`).test(name);
}
