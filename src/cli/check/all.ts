import { checkArchiver } from './archiver.ts';
import { checkArrival } from './arrival.ts';
import { checkBackups } from './backups.ts';
import { checkClock } from './clock.ts';
import type { Check, CheckFacts, CheckLine } from './facts.ts';
import { checkPermissions } from './permissions.ts';
import { checkReceiver } from './receiver.ts';
import { checkRefusals } from './refusals.ts';
import { checkRepositories } from './repositories.ts';
import { checkRoom } from './room.ts';
import { checkServer } from './server.ts';
import { checkService } from './service.ts';
import { checkSettings } from './settings.ts';
import { checkWal } from './wal.ts';

/** In the order in which they are told: what explains a later one comes first. */
const CHECKS: readonly Check[] = [
  checkService,
  checkServer,
  checkSettings,
  checkPermissions,
  checkArrival,
  checkArchiver,
  checkReceiver,
  checkRefusals,
  checkWal,
  checkRepositories,
  checkBackups,
  checkRoom,
  checkClock,
];

export function judge(facts: CheckFacts): readonly CheckLine[] {
  return CHECKS.flatMap((check) => check(facts));
}
