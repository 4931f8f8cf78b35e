import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';

/** Where Linux tells this boot from any other (random(4)); bin/walden-fetch reads it too. */
const BOOT_ID = '/proc/sys/kernel/random/boot_id';

/**
 * Names this boot of the host: what was written under another one may have lost bytes that were never fsynced. Where the
 * system does not tell, each call counts as a boot of its own.
 */
export async function bootId(): Promise<string> {
  try {
    return (await readFile(BOOT_ID, 'latin1')).trim();
  } catch {
    // Not Linux, or no /proc here: nothing from before may be believed then.
    return randomUUID();
  }
}
