import { formatBytes } from '../render/units.ts';
import { type Check, failed, ok, valueOf, warning } from './facts.ts';

/** Both must be true: a tenth of a large disk is much, and little room on a small one may be as meant. */
const LITTLE = { share: 0.1, bytes: 20 * 1024 ** 3 };
const ALMOST_NONE = { share: 0.03, bytes: 2 * 1024 ** 3 };

/** Room on the disks of this host that archiving and backups fill. Places on one disk are one line. */
export const checkRoom: Check = ({ rooms, service }) => {
  const backups = (valueOf(service)?.status.repositories ?? []).flatMap(({ lastBackup }) => lastBackup?.facts ?? []);
  const largest = Math.max(0, ...backups.map(({ storedBytes }) => storedBytes));
  const disks = new Map<string, typeof rooms>();
  for (const room of rooms) {
    const disk = `${room.freeBytes} ${room.totalBytes}`;
    disks.set(disk, [...(disks.get(disk) ?? []), room]);
  }
  return [...disks.values()].flatMap((places) => {
    const [first] = places;
    if (first === undefined) return [];
    const { freeBytes, totalBytes, path } = first;
    const fact = `${formatBytes(freeBytes)} free for ${places.map(({ what }) => what).join(', ')} (${path})`;
    const isBelow = ({ share, bytes }: typeof LITTLE): boolean => freeBytes < totalBytes * share && freeBytes < bytes;
    const holdsBackups = places.some(({ what }) => what.startsWith('repository '));
    if (isBelow(ALMOST_NONE)) return [failed('room', fact, 'make room, or archiving stops and the server after it')];
    if (isBelow(LITTLE)) return [warning('room', fact, 'make room before archiving stops')];
    if (holdsBackups && freeBytes < largest) {
      return [warning('room', `${fact}: less than the newest backup takes`, 'make room for the next backup')];
    }
    return [ok('room', fact)];
  });
};
