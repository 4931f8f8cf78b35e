import type { Catalog } from '../../../catalog/catalog.ts';
import type { CatalogReplacement, ReplaceableCatalog } from '../../../catalog/replacement.ts';
import type { MortalProcess } from './mortal-process.ts';

type Method = (...parameters: readonly unknown[]) => unknown;

const CHANGES = new Set<string>([
  'registerCluster',
  'recordWalFile',
  'forgetWalFile',
  'recordRefusal',
  'clearRefusal',
  'openBackup',
  'completeBackup',
  'failBackup',
  'markRemoving',
  'cancelRemoval',
  'forgetBackup',
  'recordHold',
  'forgetHold',
  'recordExpired',
  'createJob',
  'finishJob',
  'recordEvent',
  'recordSchedule',
  'beginReplacement',
] satisfies (keyof ReplaceableCatalog)[]);

/**
 * The catalog as one process sees it: each change is a step of the process, and it answers nothing after the death. What is
 * in `inner` is on disk as soon as a call has returned: SQLite sees to that.
 */
export function mortalCatalog<Kind extends Catalog>(inner: Kind, process: MortalProcess): Kind {
  return new Proxy(inner, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name, target);
      if (typeof member !== 'function' || typeof name === 'symbol') return member;
      const method = (member as Method).bind(target);
      if (name === 'close') return method;
      if (name === 'walFiles') {
        return (...parameters: readonly unknown[]) => {
          process.assertAlive();
          return method(...parameters);
        };
      }
      return async (...parameters: readonly unknown[]) => {
        if (CHANGES.has(name)) process.step(`catalog ${name}`);
        else process.assertAlive();
        const result = await method(...parameters);
        return name === 'beginReplacement' ? mortalReplacement(result as CatalogReplacement, process) : result;
      };
    },
  });
}

function mortalReplacement(inner: CatalogReplacement, process: MortalProcess): CatalogReplacement {
  return {
    catalog: mortalCatalog(inner.catalog, process),
    changedMeanwhile: (...entry) => inner.changedMeanwhile(...entry),
    commit: () => inner.commit(),
    discard: () => inner.discard(),
  };
}
