import fc from 'fast-check';

/** Valid things with something wrong in them: they come much further than bytes at random. */

/** Numbers at the edges of what is counted in bytes, in 32 and 64 bits, and in doubles. */
const EDGES = [
  ...[0, 1, 7, 8, 24, 255, 256, 511, 512, 4095, 4096, 8191, 8192, 65535, 65536, 1 << 20],
  ...[0x7fff_ffff, 0x8000_0000, 0xffff_fffe, 0xffff_ffff, 0x1_0000_0000],
];
const edge = fc.constantFrom(...EDGES.map(BigInt), 0x7fff_ffff_ffff_ffffn, 0xffff_ffff_ffff_ffffn);

type Change = (bytes: Buffer) => Buffer;

/** Where a change happens, as a part of the length: mostly near the beginning, where the headers are. */
const place = fc.oneof(
  fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
  fc.double({ min: 0, max: 0.05, noNaN: true }),
);

const change: fc.Arbitrary<Change> = fc.oneof(
  fc
    .tuple(place, fc.nat(7))
    .map(([at, bit]) => overwrite(at, 1, (bytes) => bytes.writeUInt8(bytes.readUInt8() ^ (1 << bit)))),
  fc
    .tuple(place, fc.constantFrom(0, 1, 0x7f, 0x80, 0xfe, 0xff), fc.constantFrom(1, 2, 4, 16))
    .map(([at, value, length]) => overwrite(at, length, (bytes) => bytes.fill(value))),
  fc.tuple(place, edge, fc.constantFrom(2, 4, 8), fc.boolean()).map(([at, value, length, bigEndian]) =>
    overwrite(at, length, (bytes) => {
      writeNumber(bytes, value, bigEndian);
    }),
  ),
  place.map((end) => (bytes: Buffer) => bytes.subarray(0, Math.floor(end * bytes.length))),
  fc.tuple(place, fc.uint8Array({ minLength: 1, maxLength: 64 })).map(
    ([at, added]) =>
      (bytes: Buffer) =>
        splice(bytes, at, 0, added),
  ),
  fc.tuple(place, fc.integer({ min: 1, max: 300 })).map(
    ([at, length]) =>
      (bytes: Buffer) =>
        splice(bytes, at, length, new Uint8Array(0)),
  ),
  fc
    .tuple(place, fc.integer({ min: 1, max: 5000 }), fc.integer({ min: 1, max: 40 }))
    .map(([at, length, times]) => (bytes: Buffer) => {
      const start = Math.floor(at * bytes.length);
      const part = bytes.subarray(start, start + length);
      return splice(bytes, at, 0, Buffer.concat(Array.from({ length: times }, () => part)));
    }),
);

/** `valid` with one to six changes. The original is left as it is. */
export function mutated(valid: Uint8Array): fc.Arbitrary<Buffer> {
  return fc
    .array(change, { minLength: 1, maxLength: 6 })
    .map((changes) => changes.reduce<Buffer>((bytes, one) => one(bytes), Buffer.from(valid)));
}

/** Bytes of any kind, or one of `valid` with changes. */
export function bytesLike(...valid: readonly Uint8Array[]): fc.Arbitrary<Buffer> {
  const arbitrary = fc.uint8Array({ maxLength: 5000 }).map((bytes) => Buffer.from(bytes));
  return fc.oneof({ weight: 1, arbitrary }, ...valid.map((one) => ({ weight: 4, arbitrary: mutated(one) })));
}

/** Pieces that text formats trip over. */
const TOKENS = [
  ...[
    '',
    ' ',
    '\t',
    '\n',
    '\r\n',
    '\0',
    '"',
    "'",
    '\\',
    '/',
    '..',
    '../',
    '%',
    '%00',
    '%s',
    '=',
    '#',
    ',',
    '[',
    ']',
    '{',
    '}',
  ],
  ...['0', '-1', '1e308', '1e999', 'NaN', '0x10', '9007199254740993', '18446744073709551616', '9'.repeat(400)],
  ...['__proto__', 'constructor', 'toString', 'null', 'true', 'é', '漢', '😀', '\ud800', '\u2028', '\ufeff'],
  ...['['.repeat(20_000), '{"a":'.repeat(20_000), ' '.repeat(20_000), 'a'.repeat(70_000), '1a '.repeat(20_000)],
];
const token = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(...TOKENS) },
  { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 30 }) },
);

/** `valid` with pieces put in, taken out, doubled and replaced: mostly at the borders of its words and numbers. */
export function mutatedText(valid: string): fc.Arbitrary<string> {
  const words = valid.split(/(\d+|\w+|\s+)/).filter((word) => word !== '');
  const one = fc.tuple(
    fc.nat(Math.max(0, words.length - 1)),
    fc.constantFrom('put', 'replace', 'drop', 'double', 'cut'),
    token,
  );
  return fc.array(one, { minLength: 1, maxLength: 5 }).map((changes) => {
    let text = words;
    for (const [at, kind, piece] of changes) text = changeWord(text, at, kind, piece);
    return text.join('');
  });
}

/** Text of any kind, or one of `valid` with changes. */
export function textLike(...valid: readonly string[]): fc.Arbitrary<string> {
  return fc.oneof(
    { weight: 1, arbitrary: token },
    { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 200 }) },
    ...valid.map((one) => ({ weight: 3, arbitrary: mutatedText(one) })),
  );
}

export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };

const jsonPiece: fc.Arbitrary<Json> = fc.oneof(
  token,
  fc.constantFrom<Json>(null, true, 0, -1, 0.5, 1e300, -1e300, 2 ** 31, 2 ** 32, 2 ** 53 - 1, 2 ** 53, 2 ** 63, [], {}),
  fc.constantFrom(...EDGES),
  fc.constant(deep(200)),
);

/** A JSON value with members replaced, left out, added or made many, one to three times. */
export function mutatedJson(valid: Json): fc.Arbitrary<Json> {
  const one = fc.tuple(fc.nat(), fc.constantFrom('replace', 'drop', 'add', 'double'), jsonPiece, token);
  return fc
    .array(one, { minLength: 1, maxLength: 3 })
    .map((changes) =>
      changes.reduce<Json>((value, [at, kind, piece, key]) => changeJson(value, at, kind, piece, key), valid),
    );
}

function overwrite(at: number, length: number, write: (bytes: Buffer) => unknown): Change {
  return (bytes) => {
    const start = Math.floor(at * bytes.length);
    const part = bytes.subarray(start, start + length);
    if (part.length === length) write(part);
    return bytes;
  };
}

function writeNumber(bytes: Buffer, value: bigint, bigEndian: boolean): void {
  for (let index = 0; index < bytes.length; index += 1) {
    const shift = BigInt(8 * (bigEndian ? bytes.length - 1 - index : index));
    bytes.writeUInt8(Number((value >> shift) & 0xffn), index);
  }
}

function splice(bytes: Buffer, at: number, removed: number, added: Uint8Array): Buffer {
  const start = Math.floor(at * bytes.length);
  return Buffer.concat([bytes.subarray(0, start), added, bytes.subarray(start + removed)]);
}

function changeWord(words: readonly string[], at: number, kind: string, piece: string): string[] {
  const word = words[at] ?? '';
  const [before, after] = [words.slice(0, at), words.slice(at + 1)];
  switch (kind) {
    case 'put':
      return [...before, piece, word, ...after];
    case 'replace':
      return [...before, piece, ...after];
    case 'drop':
      return [...before, ...after];
    case 'double':
      return [...before, word, ...words.slice(at, at + 20), ...after];
    default:
      return before;
  }
}

/** Changes the member with number `at` of all that stand in the value, counted from outside in. */
function changeJson(value: Json, at: number, kind: string, piece: Json, key: string): Json {
  const members = entriesOf(value);
  if (members.length === 0) return piece;
  const [name, member] = members[at % members.length] ?? ['', null];
  const inside = Math.floor(at / members.length);
  const goesIn = entriesOf(member).length > 0 && inside % 3 !== 0;
  const changed = goesIn ? changeJson(member, Math.floor(inside / 3), kind, piece, key) : piece;
  if (Array.isArray(value)) {
    const list = value as readonly Json[];
    const index = Number(name);
    if (!goesIn && kind === 'drop') return list.toSpliced(index, 1);
    if (!goesIn && kind === 'double') return [...list, ...Array.from({ length: 60 }, () => member)];
    return list.toSpliced(index, kind === 'add' && !goesIn ? 0 : 1, changed);
  }
  const rest = members.filter(([other]) => other !== name);
  if (!goesIn && kind === 'drop') return Object.fromEntries(rest);
  if (!goesIn && kind === 'add') return Object.fromEntries([...members, [key, piece]]);
  return Object.fromEntries(members.map(([other, old]) => [other, other === name ? changed : old]));
}

function entriesOf(value: Json): readonly (readonly [string, Json])[] {
  return typeof value === 'object' && value !== null ? Object.entries(value) : [];
}

function deep(levels: number): Json {
  let value: Json = [];
  for (let level = 0; level < levels; level += 1) value = [value];
  return value;
}
