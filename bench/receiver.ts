import type { Rounds } from './report.ts';
import { benchCatchUp } from './receiver-catch-up.ts';
import { benchSynchronous } from './receiver-synchronous.ts';

/** WAL over the replication protocol, beside pg_receivewal: as a synchronous standby, and from far behind. */
export async function benchReceiver(rounds: Rounds): Promise<void> {
  await benchSynchronous(rounds);
  await benchCatchUp(rounds);
}
