import { describe } from 'vitest';
import { STORE_KINDS_UNDER_TEST } from '../support/stores/all-stores.ts';
import { storeFaults } from './store-faults.ts';
import { storeUnderStrain } from './store-strain.ts';

for (const kind of STORE_KINDS_UNDER_TEST.filter(({ driver }) => driver === 's3')) {
  describe.skipIf(kind.whyNot !== undefined)(kind.whyNot ?? 'a store that is hard to reach', () => {
    storeFaults(kind);
    storeUnderStrain(kind);
  });
}
