import fc from 'fast-check';
import { expect, it } from 'vitest';
import { SeenNames } from '../../../src/backup/seen-names.ts';

const number = fc.oneof(fc.nat(300), fc.constantFrom(255, 256, 4_294_967_295, 2 ** 53)).map(String);
const digits = fc.oneof(
  number,
  number.map((text) => `0${text}`),
  fc.constant('9'.repeat(25)),
  fc.constant('9'.repeat(26)),
);
const relation = fc
  .tuple(digits, fc.constantFrom('', '_fsm', '_vm', '_init', '_other'), fc.constantFrom('', '.0', '.1', '.01', '.2'))
  .map((parts) => parts.join(''));
const name = fc.oneof(relation, fc.constantFrom('PG_VERSION', 'pg_filenode.map', '', '_vm', 't3_16384'));

it('tells exactly the names that came before, whatever they look like', () => {
  fc.assert(
    fc.property(fc.array(name, { maxLength: 200 }), (names) => {
      const seen = new SeenNames();
      const model = new Set<string>();
      for (const each of names) {
        expect(seen.add(each), each).toBe(!model.has(each));
        model.add(each);
      }
    }),
  );
});
