import { holdExclusiveLock } from '../../catalog/sqlite/exclusive-lock.ts';

/** A process that takes the lock named in its argument and keeps it until it is killed or its parent ends. */
holdExclusiveLock(process.argv[2] ?? '');
process.once('disconnect', () => process.exit());
process.send?.('held');
