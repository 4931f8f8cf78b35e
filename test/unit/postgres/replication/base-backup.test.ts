import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isWaldenError } from '../../../../src/errors.ts';
import { baseBackupCommand } from '../../../../src/postgres/replication/base-backup-command.ts';
import { type BaseBackupEvent, BaseBackupMessages } from '../../../../src/postgres/replication/base-backup-messages.ts';
import { FrameReader } from '../../../../src/postgres/replication/frame-reader.ts';

const PLAIN = { label: "it's", compression: 'none', maxRateKilobytes: undefined, incremental: false } as const;

describe('the command of a base backup', () => {
  it.each([
    [130_023, "BASE_BACKUP LABEL 'it''s' PROGRESS FAST NOWAIT MANIFEST 'yes' MANIFEST_CHECKSUMS 'CRC32C'"],
    [140_020, "BASE_BACKUP LABEL 'it''s' PROGRESS FAST NOWAIT MANIFEST 'yes' MANIFEST_CHECKSUMS 'CRC32C'"],
    [
      150_015,
      "BASE_BACKUP (LABEL 'it''s', PROGRESS, CHECKPOINT 'fast', WAIT false, MANIFEST 'yes', MANIFEST_CHECKSUMS 'CRC32C')",
    ],
  ])('is as version %i takes it', (version, command) => {
    expect(baseBackupCommand(version, PLAIN)).toBe(command);
  });

  it('asks for what changed since the manifest that was uploaded', () => {
    expect(baseBackupCommand(170_010, { ...PLAIN, incremental: true })).toContain(
      ", MANIFEST_CHECKSUMS 'CRC32C', INCREMENTAL)",
    );
  });

  it('limits the rate, and compresses where that is possible', () => {
    const options = { ...PLAIN, compression: 'zstd', maxRateKilobytes: 976 } as const;
    expect(baseBackupCommand(130_000, options)).toContain(' MAX_RATE 976 ');
    expect(baseBackupCommand(130_000, options)).not.toContain('zstd');
    expect(baseBackupCommand(180_000, options)).toContain(
      ", MAX_RATE 976, COMPRESSION 'zstd', COMPRESSION_DETAIL 'level=1')",
    );
  });
});

function message(type: string, body: Buffer = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(5);
  head.write(type, 'latin1');
  head.writeUInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
}

function rows(columns: readonly string[], ...values: readonly (readonly (string | null)[])[]): Buffer {
  const count = (items: readonly unknown[]): Buffer => Buffer.from([0, items.length]);
  const described = columns.map((name) => Buffer.concat([Buffer.from(`${name}\0`), Buffer.alloc(18)]));
  const value = (text: string | null): Buffer => {
    const length = Buffer.alloc(4);
    length.writeInt32BE(text === null ? -1 : Buffer.byteLength(text));
    return text === null ? length : Buffer.concat([length, Buffer.from(text)]);
  };
  return Buffer.concat([
    message('T', Buffer.concat([count(columns), ...described])),
    ...values.map((row) => message('D', Buffer.concat([count(row), ...row.map(value)]))),
    message('C', Buffer.from('SELECT\0')),
  ]);
}

const position = (text: string): Buffer => rows(['recptr', 'tli'], [text, '1']);
const tablespaces = rows(['spcoid', 'spclocation', 'size'], ['16384', '/srv/space', '8'], [null, null, '2']);
const done = Buffer.concat([message('C', Buffer.from('BASE_BACKUP\0')), message('Z', Buffer.from('I'))]);
const data = (text: string): Buffer => message('d', Buffer.from(text));

const NEW = Buffer.concat([
  ...[position('0/2000028'), tablespaces, message('H'), data('n16384.tar\0/srv/space\0'), data('dspace')],
  ...[
    data('p\0\0\0\0\0\0\0\x05'),
    data('nbase.tar\0\0'),
    data('dba'),
    data('dse'),
    data('m'),
    data('d{ }'),
    message('c'),
  ],
  ...[position('0/2000100'), done],
]);
const OLD = Buffer.concat([
  ...[position('0/2000028'), tablespaces, message('H'), data('space'), data(''), message('c')],
  ...[message('H'), data('ba'), data('se'), message('c'), message('H'), data('{ }'), message('c')],
  ...[position('0/2000100'), done],
]);

/** With the data of one archive, or of the manifest, put together. */
function read(version: number, bytes: Buffer, cuts: readonly number[] = []): unknown[] {
  const frames = new FrameReader();
  frames.piecesOfCopyData = true;
  const messages = new BaseBackupMessages(version, 'unable to take it');
  const events: (BaseBackupEvent | { kind: 'data'; text: string })[] = [];
  const places = [0, ...[...cuts].sort((a, b) => a - b), bytes.length];
  for (const [index, from] of places.slice(0, -1).entries()) {
    for (const one of frames.feed(bytes.subarray(from, places[index + 1]))) {
      const event = messages.read(one);
      if (event === undefined) continue;
      const last = events.at(-1);
      if (event.kind !== 'data') events.push(event);
      else if (last !== undefined && 'text' in last && last.kind === 'data') last.text += event.bytes.toString();
      else events.push({ kind: 'data', text: event.bytes.toString() });
    }
  }
  return events;
}

const EVENTS = [
  { kind: 'started', position: { lsn: 0x2000028n, timeline: 1 } },
  { kind: 'tablespaces', tablespaces: [{ oid: 16384, location: '/srv/space' }], totalBytes: 10_240 },
  { kind: 'archive', tablespace: 16384 },
  { kind: 'data', text: 'space' },
  { kind: 'archive', tablespace: undefined },
  { kind: 'data', text: 'base' },
  { kind: 'manifest' },
  { kind: 'data', text: '{ }' },
  { kind: 'stopped', position: { lsn: 0x2000100n, timeline: 1 } },
  { kind: 'done', corrupt: false },
];

describe.each([
  [14, 140_020, OLD],
  [15, 150_015, NEW],
])('the messages of a base backup of version %i', (_major, version, bytes) => {
  it('say the same, wherever the network cuts them', () => {
    expect(read(version, bytes)).toEqual(EVENTS);
    for (let cut = 0; cut < bytes.length; cut += 1) expect(read(version, bytes, [cut])).toEqual(EVENTS);
    fc.assert(
      fc.property(fc.array(fc.nat(bytes.length), { maxLength: 30 }), (cuts) => {
        expect(read(version, bytes, cuts)).toEqual(EVENTS);
      }),
    );
  });

  it('tell of corrupt pages at their end only', () => {
    const error = message('E', Buffer.from('SERROR\0VERROR\0CXX001\0Mchecksum verification failure\0\0'));
    const end = bytes.length - done.length;
    const told = Buffer.concat([bytes.subarray(0, end), error, message('Z', Buffer.from('I'))]);
    expect(read(version, told).at(-1)).toEqual({ kind: 'done', corrupt: true });
    expect(() => read(version, Buffer.concat([position('0/2000028'), error]))).toThrow();
  });

  it('are none without their end', () => {
    const ready = message('Z', Buffer.from('I'));
    const withoutStop = bytes.length - done.length - position('0/2000100').length;
    for (const length of [0, withoutStop]) {
      expect(() => read(version, Buffer.concat([bytes.subarray(0, length), ready]))).toThrow('without a word');
    }
    const withoutWord = bytes.subarray(0, bytes.length - done.length);
    expect(() => read(version, Buffer.concat([withoutWord, ready]))).toThrow('without a word');
  });

  it('end with what the server refuses', () => {
    const refusal = message('E', Buffer.from('SFEHLER\0VERROR\0C42501\0Mmust be replication role\0\0'));
    let thrown: unknown;
    try {
      read(version, refusal);
    } catch (error) {
      thrown = error;
    }
    expect(isWaldenError(thrown, 'SERVER_QUERY')).toBe(true);
  });
});

describe('archives of a base backup', () => {
  it.each([
    ['an unknown name', data('n../etc.tar\0\0')],
    ['an unknown letter', data('x')],
    ['a name without an end', data(`n${'a'.repeat(5000)}`)],
  ])('are refused with %s', (_what, bytes) => {
    expect(() => read(150_000, Buffer.concat([position('0/1'), tablespaces, message('H'), bytes]))).toThrow(
      'unable to take it',
    );
  });
});
