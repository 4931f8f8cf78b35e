// The order in which vitest begins with the test files: those that take longest first, so that at the end no worker has
// a long one left while the others have nothing to do. What is not named here takes less than half a minute.
import { BaseSequencer } from 'vitest/node';

/** Parts of paths, the longest first. One that fits nothing any more does no harm. */
const LONGEST = [
  ...['contract/store-faults', 'postgres/stores', 'crash/backup-every-step', 'postgres/killed-upload'],
  ...['postgres/rejoin', 'postgres/receiver-safety', 'postgres/writer-promotion', 'crash/backup.'],
  ...[
    'postgres/unfinished-',
    'postgres/clone.',
    'postgres/nodes',
    'postgres/stream-service',
    'postgres/encryption',
    'postgres/filled-repository',
    'postgres/outage',
    'postgres/verify',
    'postgres/drill',
    'postgres/restore-targets',
    'crash/restore/delta-every-step',
  ],
  ...[
    'postgres/incremental',
    'crash/restore/chain-every-step',
    'postgres/stream-',
    'postgres/damage',
    'postgres/restore-edges',
    'postgres/refused-wal',
    'soak/',
    'postgres/wal-repair',
    'postgres/taken-over',
  ],
  ...[
    'postgres/second-writer',
    'postgres/schedule',
    'postgres/standby',
    'postgres/delta',
    'postgres/check',
    'postgres/setup',
    'postgres/init',
    'postgres/clone',
    'crash/restore/every-step',
    'faults/stored-objects',
    'contract/s3-contract',
    'postgres/backup',
  ],
  ...['faults/catalog', 'faults/two-services', 'postgres/', 'faults/', 'crash/', 'contract/', 'cli/', 'fuzz/'],
];

/** @param {string} file */
function rank(file) {
  const found = LONGEST.findIndex((part) => file.includes(`dist/test/${part}`));
  return found === -1 ? LONGEST.length : found;
}

export class LongestFirst extends BaseSequencer {
  async sort(files) {
    const sorted = await super.sort(files);
    return sorted.sort((one, other) => rank(one.moduleId) - rank(other.moduleId));
  }
}
