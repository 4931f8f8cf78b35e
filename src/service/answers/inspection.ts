import { userInfo } from 'node:os';
import { errorToDocument, WaldenError } from '../../errors.ts';
import { withDeadline } from '../../platform/deadline.ts';
import { readControlFile } from '../../postgres/control-file.ts';
import type { Repository } from '../../repository/repository.ts';
import { readRepositoryFile } from '../../repository/repository-file.ts';
import { diskRooms } from '../../setup/disk-rooms.ts';
import { readyFiles } from '../../wal/archive-status.ts';
import type { ClusterRoom } from '../cluster-room.ts';
import type { ServiceDeps } from '../deps.ts';
import type { InspectionDocument } from '../inspection-document.ts';

const REPOSITORY_DEADLINE_MS = 20_000;

export async function inspection(
  { config, clock }: Pick<ServiceDeps, 'config' | 'clock'>,
  room: ClusterRoom,
): Promise<InspectionDocument> {
  const { name, dataDirectory } = room.config;
  return {
    cluster: name,
    user: userName(),
    dataDirectory:
      dataDirectory === undefined
        ? null
        : { path: dataDirectory, error: await failureOf(() => assertReadable(dataDirectory)) },
    repositories: await Promise.all(
      room.repositories.map(async (repository) => {
        const start = clock.now().getTime();
        const error = await failureOf(() => assertThere(repository));
        const milliseconds = clock.now().getTime() - start;
        return { name: repository.name, required: room.required.includes(repository), milliseconds, error };
      }),
    ),
    rooms: (await diskRooms(config, room.config)).map((found) => ({ ...found })),
  };
}

/** What archiving and backups of files read. */
async function assertReadable(dataDirectory: string): Promise<void> {
  await readControlFile(dataDirectory);
  await readyFiles(dataDirectory);
}

/** An empty directory where a disk should be mounted answers too. */
async function assertThere(repository: Repository): Promise<void> {
  const { name } = repository;
  const found = await withDeadline(
    readRepositoryFile(repository),
    REPOSITORY_DEADLINE_MS,
    () => new WaldenError('STORAGE_UNAVAILABLE', `repository ${name} did not answer within 20 s`),
  );
  if (found !== undefined) return;
  throw new WaldenError('STORAGE_UNAVAILABLE', `repository ${name} has no walden.json any more`, {
    hint: 'see that what it lies on is mounted, or has not been emptied',
  });
}

async function failureOf(work: () => Promise<void>): Promise<ReturnType<typeof errorToDocument> | null> {
  try {
    await work();
    return null;
  } catch (error) {
    return errorToDocument(error);
  }
}

function userName(): string {
  try {
    return userInfo().username;
  } catch {
    // A user without an entry in passwd has no name.
    return String(process.getuid?.() ?? '');
  }
}
