import fs from 'node:fs';
import { join } from 'node:path';

/** By name, which file it is. */
type Names = Readonly<Record<string, string>>;

/**
 * What of a directory, and of those in it, is on the disk, kept elsewhere: of each directory the names, and of each file the
 * content, as of its last fsync. Nothing else is promised (fsync(2)), although most file systems do more; but what was
 * removed is taken for gone at once. A process notes its fsyncs here (record-fsyncs.ts). When it was killed, `losePower`
 * leaves of the directory what a loss of power would have left.
 */
export class DurableImage {
  readonly #root: string;
  readonly #place: string;

  constructor(root: string, place: string) {
    this.#root = root;
    this.#place = place;
    fs.mkdirSync(place, { recursive: true });
  }

  contains(path: string): boolean {
    return path === this.#root || path.startsWith(`${this.#root}/`);
  }

  /** Before an fsync of a file or a directory, with what it sees. Call the result when it has worked. */
  syncing(path: string): () => void {
    const found = fs.statSync(path, { bigint: true });
    const isDirectory = found.isDirectory();
    const to = isDirectory ? this.#placeOfNames(path) : this.#placeOfContent(identityOf(found));
    // Whoever writes here may be killed: only a whole one gets its name.
    const seen = `${to}.${process.hrtime.bigint()}`;
    if (isDirectory) fs.writeFileSync(seen, JSON.stringify(namesIn(path)));
    else fs.copyFileSync(path, seen);
    return () => {
      fs.renameSync(seen, to);
    };
  }

  losePower(): void {
    const directories = directoriesBelow(this.#root);
    const there = new Set(directories.flatMap((directory) => Object.values(namesIn(directory))));
    const left = directories.flatMap((directory) =>
      Object.entries(this.#syncedNames(directory))
        .filter(([, identity]) => there.has(identity))
        .map(([name, identity]) => ({ path: join(directory, name), content: this.#syncedContent(identity) })),
    );
    for (const directory of directories) for (const name in namesIn(directory)) fs.rmSync(join(directory, name));
    for (const { path, content } of left) fs.writeFileSync(path, content);
    // That is what the next process finds on the disk.
    for (const path of [...left.map((file) => file.path), ...directories]) this.syncing(path)();
  }

  #syncedNames(directory: string): Names {
    const place = this.#placeOfNames(directory);
    return fs.existsSync(place) ? (JSON.parse(fs.readFileSync(place, 'utf8')) as Names) : {};
  }

  #syncedContent(identity: string): Buffer {
    const place = this.#placeOfContent(identity);
    return fs.existsSync(place) ? fs.readFileSync(place) : Buffer.alloc(0);
  }

  #placeOfNames(directory: string): string {
    return join(this.#place, `names-${encodeURIComponent(directory)}`);
  }

  #placeOfContent(identity: string): string {
    return join(this.#place, `content-${identity}`);
  }
}

function directoriesBelow(root: string): readonly string[] {
  const entries = fs.readdirSync(root, { recursive: true, withFileTypes: true });
  return [root, ...entries.filter((entry) => entry.isDirectory()).map((entry) => join(entry.parentPath, entry.name))];
}

function namesIn(directory: string): Names {
  const names: Record<string, string> = {};
  for (const name of fs.readdirSync(directory)) {
    // One that is removed meanwhile is gone.
    const found = fs.statSync(join(directory, name), { bigint: true, throwIfNoEntry: false });
    if (found?.isFile() === true) names[name] = identityOf(found);
  }
  return names;
}

/** Of a file, whatever its name is: an inode that was given to another file was born again. */
function identityOf({ ino, birthtimeNs }: fs.BigIntStats): string {
  return `${ino}-${birthtimeNs}`;
}
