import type { ReceiverDocument } from '../../service/api.ts';
import type { SlotView } from '../../setup/server-view.ts';
import { formatAge, formatBytes } from '../render/units.ts';
import { type Check, type CheckLine, failed, ok, valueOf, warning } from './facts.ts';

/** WAL that a slot nobody reads from may keep before it is worth a word. */
const IDLE_SLOT_BYTES = 1024 ** 3;

/** How WAL is received, and the slot that keeps what was not. */
export const checkReceiver: Check = ({ service, server, config, now }) => {
  const slots = valueOf(server)?.slots;
  const receiver = valueOf(service)?.status.receiver ?? null;
  const own = config.receive?.slot;
  return [
    ...(receiver === null ? [] : receiverLines(config.name, receiver, now)),
    ...(own === undefined || slots === undefined ? [] : ownSlot(config.name, own, slots)),
    ...(slots ?? []).filter(({ name }) => name !== own).flatMap(foreignSlot),
  ];
};

function receiverLines(cluster: string, receiver: ReceiverDocument, now: Date): readonly CheckLine[] {
  const { state, failure, stoppedAt, gap, host, lagBytes } = receiver;
  const measures = lagBytes === null ? [] : [{ label: 'receiver_lag', value: lagBytes, unit: 'B' } as const];
  const lines: CheckLine[] = [];
  if (stoppedAt !== null) {
    const fact = `stopped by an operator ${formatAge(stoppedAt, now)}: its slot keeps all WAL on the server`;
    lines.push(failed('receiver', fact, `walden receiver start ${cluster}`, ...measures));
  } else if (failure !== null) {
    lines.push(failed('receiver', `${state}: ${failure.error.message}`, failure.error.hint, ...measures));
  } else if (state === 'streaming') {
    lines.push(ok('receiver', `streams${host === null ? '' : ` from ${host}`}`, ...measures));
  } else {
    lines.push(
      warning('receiver', `${state}: it does not stream`, `look again: walden status ${cluster}`, ...measures),
    );
  }
  if (gap !== null) {
    const fact = `WAL from ${gap.first} to ${gap.last} was lost before it was received`;
    lines.push(warning('receiver', fact, `take a backup, which begins behind it: walden backup ${cluster}`));
  }
  return lines;
}

function ownSlot(cluster: string, name: string, slots: readonly SlotView[]): readonly CheckLine[] {
  const slot = slots.find((one) => one.name === name);
  const again = `walden receiver start ${cluster}, which makes it; WAL that the server no longer has is lost to the archive`;
  if (slot === undefined) return [failed('slot', `the server has no replication slot ${name}`, again)];
  const { active, walStatus, retainedBytes, isPhysical } = slot;
  if (!isPhysical) {
    return [failed('slot', `${name} is a logical slot`, `name another one: slot in [cluster.${cluster}]`)];
  }
  const measure = { label: 'slot_retained', value: retainedBytes, unit: 'B' } as const;
  const kept = `keeps ${formatBytes(retainedBytes)} of WAL`;
  if (walStatus === 'lost') return [failed('slot', `the server gave ${name} up: its WAL is gone`, again, measure)];
  if (walStatus === 'unreserved') {
    const fix = 'raise max_slot_wal_keep_size, and see why the receiver is behind';
    return [failed('slot', `the server is about to give ${name} up`, fix, measure)];
  }
  if (!active) {
    const fix = `nobody reads from it, and it fills the server's disk: walden status ${cluster} says why`;
    return [failed('slot', `${name} ${kept} and is not in use`, fix, measure)];
  }
  return [ok('slot', `${name} is in use and ${kept}`, measure)];
}

/** A forgotten slot fills the disk under pg_wal, whoever made it. */
function foreignSlot({ name, active, retainedBytes, walStatus }: SlotView): readonly CheckLine[] {
  if (active || walStatus === 'lost' || retainedBytes < IDLE_SLOT_BYTES) return [];
  const fact = `slot ${name} is not in use and keeps ${formatBytes(retainedBytes)} of WAL on the server`;
  return [warning('other slots', fact, `if nobody needs it: select pg_drop_replication_slot('${name}')`)];
}
