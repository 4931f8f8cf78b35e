import { closeSync, openSync, readSync } from 'node:fs';
import { localIoError, WaldenError } from '../errors.ts';
import type { PackMember, PlannedFiles } from './pack-input.ts';

/** The members of a task, given themselves or to be read from the plan. @throws LOCAL_IO */
export function membersOf(given: readonly PackMember[] | PlannedFiles): readonly PackMember[] {
  if (!('plan' in given)) return given;
  const paths = JSON.parse(readBundle(given)) as readonly string[];
  return paths.map((path) => ({ type: 'file', path, source: `${given.dataDirectory}/${path}` }));
}

function readBundle({ plan, offset, length }: PlannedFiles): string {
  const bytes = Buffer.allocUnsafe(length);
  try {
    const descriptor = openSync(plan, 'r');
    try {
      const count = readSync(descriptor, bytes, 0, length, offset);
      if (count !== length) throw new WaldenError('LOCAL_IO', `the list of files ${plan} is shorter than was written`);
    } finally {
      closeSync(descriptor);
    }
  } catch (error) {
    throw localIoError(error, `unable to read the list of files ${plan}`);
  }
  return bytes.toString('utf8');
}
