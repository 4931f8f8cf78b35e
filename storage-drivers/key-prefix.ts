import { objectKey } from './object-key.ts';
import type { ObjectKey } from './driver.ts';

/** Where the objects of one repository begin in a store that several may share: '' or `some/path/`. */
export class KeyPrefix {
  readonly text: string;

  /** @param prefix as configured: without a slash at its ends, or empty. @throws FORMAT_INVALID */
  constructor(prefix: string) {
    this.text = prefix === '' ? '' : `${objectKey(prefix)}/`;
  }

  /** The store's own name of an object. @throws FORMAT_INVALID */
  nameOf(key: ObjectKey): string {
    return `${this.text}${objectKey(key)}`;
  }

  /** Undefined for what no key can name: it is not Walden's. */
  keyOf(name: string): ObjectKey | undefined {
    const rest = name.slice(this.text.length);
    try {
      return name.startsWith(this.text) ? objectKey(rest) : undefined;
    } catch {
      // Somebody else's object in the same place, such as the marker of a folder.
      return undefined;
    }
  }
}
