import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import type { KeyRing } from '../../../storage-drivers/age/key-ring.ts';
import { plainSize, sealedSize } from '../../../storage-drivers/age/payload.ts';
import { MemoryDriver } from '../../../storage-drivers/memory/memory-driver.ts';
import { objectKey } from '../../../storage-drivers/object-key.ts';
import { bodyOf, collect } from '../../support/bodies.ts';
import { encrypted, newKeyRing } from '../../support/encryption.ts';

let keys: KeyRing;
beforeAll(async () => {
  keys = await newKeyRing();
});

/** Sizes around the edges of chunks, and any other. */
const size = fc.oneof(
  fc.nat(300_000),
  fc.tuple(fc.nat(4), fc.integer({ min: -2, max: 2 })).map(([chunks, off]) => Math.max(0, chunks * 65_536 + off)),
);

describe('an encrypted object', () => {
  it('has a size from which that of its content follows', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          size,
          fc.maxSafeNat().map((n) => n % 1e13),
        ),
        (bytes) => {
          expect(plainSize(sealedSize(bytes))).toBe(bytes);
        },
      ),
    );
  });

  it('gives any range as it was stored', async () => {
    await fc.assert(
      fc.asyncProperty(size, fc.array(fc.tuple(fc.nat(), fc.nat()), { maxLength: 5 }), async (bytes, ranges) => {
        const plain = Buffer.from(Array.from({ length: bytes }, (_, index) => (index * 7 + (index >> 8)) % 256));
        const driver = encrypted(new MemoryDriver(), keys);
        await driver.put(objectKey('it'), bodyOf(plain), { ifExists: 'fail' });
        expect((await driver.stat(objectKey('it'))).size).toBe(bytes);
        for (const [from, count] of ranges) {
          const offset = from % (bytes + 1);
          const length = count % (bytes - offset + 1);
          const part = await collect(await driver.get(objectKey('it'), { offset, length }));
          expect(part.equals(plain.subarray(offset, offset + length))).toBe(true);
        }
      }),
      { numRuns: 60 },
    );
  });
});

describe('the listing of encrypted objects', () => {
  /** Short keys of few letters, so that many begin as others do. */
  const key = fc
    .array(fc.constantFrom('a', 'b', '-', '.', '/', 'age', 'A', '_'), { minLength: 1, maxLength: 5 })
    .map((parts) => parts.join(''))
    .filter((text) => text.split('/').every((part) => part !== '' && part !== '.' && part !== '..'));

  it('is in the order of the keys, from any prefix and behind any key', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(key, { maxLength: 12 }),
        fc.constantFrom('', 'a', 'a.', 'a-', 'b/', '.'),
        fc.option(key, { nil: undefined }),
        async (names, prefix, after) => {
          const driver = encrypted(new MemoryDriver(), keys);
          for (const name of names) await driver.put(objectKey(name), bodyOf(name), { ifExists: 'fail' });
          const options = after === undefined ? {} : { after: objectKey(after) };
          const listed: [string, number][] = [];
          for await (const info of driver.list(prefix, options)) listed.push([info.key, info.size]);
          const expected = names
            .filter((name) => name.startsWith(prefix) && (after === undefined || name > after))
            .sort()
            .map((name) => [name, name.length]);
          expect(listed).toEqual(expected);
        },
      ),
      { numRuns: 300 },
    );
  });
});
