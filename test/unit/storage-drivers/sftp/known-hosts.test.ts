import { describe, expect, it } from 'vitest';
import { findServer } from '../../../../storage-drivers/sftp/known-hosts.ts';

const KEY = 'AAAAC3NzaC1lZDI1NTE5AAAAIOMq';
const OTHER = 'AAAAC3NzaC1lZDI1NTE5AAAAIZZZ';

/** Keys that are trusted for a server. */
function trusted(text: string, host: string, port = 22): readonly string[] {
  return findServer(text, host, port).trusted.map(({ base64 }) => base64);
}

describe('a server in known_hosts', () => {
  it.each([
    ['its name', 'backup.example.org', 'backup.example.org', 22],
    ['its name in other letters', 'Backup.example.ORG', 'BACKUP.example.org', 22],
    ['its address', '192.0.2.7', '192.0.2.7', 22],
    ['one of several names', 'backup,192.0.2.7', '192.0.2.7', 22],
    ['its name and port', '[backup.example.org]:2222', 'backup.example.org', 2222],
    ['an IPv6 address and port', '[2001:db8::7]:2222', '2001:db8::7', 2222],
    ['a pattern', '*.example.org', 'backup.example.org', 22],
    ['a pattern of single letters', 'backup?.example.org', 'backup3.example.org', 22],
    ['a pattern with a port', '[*.example.org]:2222', 'backup.example.org', 2222],
    ['a pattern beside one that excludes another', '*.example.org,!old.example.org', 'backup.example.org', 22],
    // ssh-keygen -H of `backup.example.org` and of `[backup.example.org]:2222`
    ['a hashed name', '|1|9Cjffzu+ZIb3Bo/WcmzAkbwZ88Y=|kJhlO5vfMGwEICJuDRlXeBTDBOs=', 'backup.example.org', 22],
    [
      'a hashed name and port',
      '|1|3pFwePo0xYI5iSvPW+NRZpXdvn0=|c9i1zrApVuSCN4eOp/7CJJcJpoM=',
      'backup.example.org',
      2222,
    ],
  ])('is found by %s', (_how, hosts, host, port) => {
    expect(trusted(`${hosts} ssh-ed25519 ${KEY} a comment\n`, host, port)).toEqual([KEY]);
  });

  it.each([
    ['another name', 'backup.example.com', 'backup.example.org', 22],
    ['a longer name', 'backup.example.org.evil.example', 'backup.example.org', 22],
    ['a name in which a dot is another letter', 'backup.example.org', 'backupxexample.org', 22],
    ['its name without the port', 'backup.example.org', 'backup.example.org', 2222],
    ['another port', '[backup.example.org]:2222', 'backup.example.org', 22],
    ['a pattern that excludes it', '*.example.org,!backup.example.org', 'backup.example.org', 22],
    ['nothing but an exclusion', '!other.example.org', 'backup.example.org', 22],
    ['the hash of another name', '|1|9Cjffzu+ZIb3Bo/WcmzAkbwZ88Y=|kJhlO5vfMGwEICJuDRlXeBTDBOs=', 'other', 22],
    ['a damaged hash', '|1|9Cjffzu+ZIb3Bo/WcmzAkbwZ88Y=', 'backup.example.org', 22],
    ['an empty hash', '|1||', 'backup.example.org', 22],
  ])('is not found by %s', (_how, hosts, host, port) => {
    expect(trusted(`${hosts} ssh-ed25519 ${KEY}\n`, host, port)).toEqual([]);
  });

  it('has all of its keys, with their types', () => {
    const text = `# a comment\n\nbackup ssh-ed25519 ${KEY}\r\n  backup\tecdsa-sha2-nistp256  ${OTHER}\nother ssh-rsa AAAA\n`;
    expect(findServer(text, 'backup', 22)).toEqual({
      trusted: [
        { type: 'ssh-ed25519', base64: KEY },
        { type: 'ecdsa-sha2-nistp256', base64: OTHER },
      ],
      revoked: [],
    });
  });

  it('has keys that are revoked, and none of a certificate authority', () => {
    const text = `@revoked * ssh-ed25519 ${OTHER}\n@cert-authority * ssh-ed25519 ${KEY}\nbackup ssh-ed25519 ${KEY}\n`;
    expect(findServer(text, 'backup', 22)).toEqual({
      trusted: [{ type: 'ssh-ed25519', base64: KEY }],
      revoked: [{ type: 'ssh-ed25519', base64: OTHER }],
    });
  });

  it('is nowhere in what is no known_hosts file', () => {
    for (const text of ['', 'backup\n', 'backup ssh-ed25519\n', '@revoked\n', '# backup ssh-ed25519 AAAA\n', '\0\0']) {
      expect(findServer(text, 'backup', 22)).toEqual({ trusted: [], revoked: [] });
    }
  });
});
