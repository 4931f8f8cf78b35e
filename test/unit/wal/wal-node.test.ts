import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { nodeText, parseNodeText, toldNode } from '../../../src/wal/wal-node.ts';

const HEADERS = { 'walden-host': 'db1', 'walden-data-directory': '/data' };

/** As od and tr write it. */
const hex = (bytes: Buffer): string => [...bytes].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join('');

describe('the node that is told beside a file', () => {
  it('is nobody where an operator brings the file', () => {
    expect(toldNode({ 'content-type': 'application/octet-stream' })).toBeUndefined();
  });

  it('is its host and data directory, whether it is in recovery, and the newest timeline of its WAL', () => {
    const node = { host: 'db1', dataDirectory: '/data' };
    expect(toldNode(HEADERS)).toEqual({ node, inRecovery: false, newestTimeline: 1 });
    const more = { ...HEADERS, 'walden-in-recovery': 'yes', 'walden-newest-timeline': '0000000A' };
    expect(toldNode(more)).toEqual({ node, inRecovery: true, newestTimeline: 10 });
  });

  it('is shown as it is where it can be printed, and percent-encoded where not', () => {
    const told = (path: string | Buffer): string | undefined =>
      toldNode({ ...HEADERS, 'walden-data-directory': hex(Buffer.from(path)) })?.node.dataDirectory;
    expect(told('/a dir/it\'s "süß"')).toBe('/a dir/it\'s "süß"');
    expect(told('/one\ntwo\x1b[31m\u202E')).toBe('/one%0Atwo%1B[31m%E2%80%AE');
    expect(told('/100%')).toBe('/100%25');
    expect(told(Buffer.from([0x2f, 0xff, 0x61]))).toBe('/%FFa');
    expect(told(Buffer.from([0x2f, 0xc3, 0xbc, 0xff]))).toBe('/%C3%BC%FF');
    expect(toldNode({ ...HEADERS, 'walden-host': 'a%3Ab' })?.node.host).toBe('a%3Ab');
  });

  const WRONG: readonly (readonly [string, string | string[]])[] = [
    ['walden-host', ''],
    ['walden-host', 'a b'],
    ['walden-host', 'ü'],
    ['walden-host', 'x'.repeat(256)],
    ['walden-host', ['db1', 'db2']],
    ['walden-data-directory', 'relative'],
    ['walden-data-directory', '/%zz'],
    ['walden-data-directory', `/${'x'.repeat(1024)}`],
    ['walden-in-recovery', 'no'],
    ['walden-newest-timeline', '1'],
    ['walden-newest-timeline', '0000000g'],
  ];
  it.each(WRONG)('is refused with the header %s: %j', (name, value) => {
    expect(() => toldNode({ ...HEADERS, [name]: value })).toThrow(expect.objectContaining({ code: 'USAGE' }) as Error);
  });

  it('is refused when only half of it is told', () => {
    for (const name of Object.keys(HEADERS) as (keyof typeof HEADERS)[]) {
      const half = { [name]: HEADERS[name] };
      expect(() => toldNode(half)).toThrow(expect.objectContaining({ code: 'USAGE' }) as Error);
    }
  });

  it('can be given back as it is shown, whatever bytes it is made of, and two never look the same', () => {
    const name = fc.uint8Array({ minLength: 1, maxLength: 20 }).map((bytes) => Buffer.from(bytes));
    fc.assert(
      fc.property(name, name, (host, path) => {
        const node = toldNode({
          'walden-host': hex(host),
          'walden-data-directory': `/${hex(path)}`,
        })!.node;
        expect(parseNodeText(nodeText(node))).toEqual(node);
        expect(nodeText(node)).not.toMatch(/[\p{Cc}\p{Cf}]/u);
      }),
    );
    fc.assert(
      fc.property(name, name, (one, other) => {
        const shown = (path: Buffer): string =>
          toldNode({ ...HEADERS, 'walden-data-directory': `/${hex(path)}` })!.node.dataDirectory;
        expect(shown(one) === shown(other)).toBe(one.equals(other));
      }),
    );
  });
});
