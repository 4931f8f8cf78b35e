import fs, { type PathLike } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { dirname, join } from 'node:path';
import { devNull } from 'node:os';
import { type Disk, real } from './disk.ts';
import { MortalProcess } from './mortal-process.ts';

/**
 * Puts itself in the place of the functions of `node:fs` and `node:fs/promises` that change files, for this thread: below a
 * watched directory each change and each fsync is a step of the process it belongs to, and the disk is told of it. A
 * recursive call is as many steps as the system calls it is made of. What writes in a way that is not followed here is
 * refused there, so that nothing escapes.
 */

const disks = new Set<Disk>();
/** Of what is open below a watched directory. */
const opened = new Map<number, { readonly disk: Disk; readonly path: string }>();
let installed = false;

export async function watchFiles(disk: Disk): Promise<void> {
  disks.add(disk);
  if (installed) return;
  installed = true;
  const handle = await open(devNull);
  const prototype = Object.getPrototypeOf(handle) as FileHandle;
  Object.assign(fs, SYNCHRONOUS, refusals(REFUSED, fs));
  Object.assign(fs.promises, PROMISING, refusals(REFUSED_PROMISING, fs.promises));
  patchHandles(prototype);
  await handle.close();
  syncBuiltinESMExports();
}

export function forgetFiles(disk: Disk): void {
  disks.delete(disk);
}

function diskOf(path: unknown): Disk | undefined {
  if (typeof path !== 'string') return undefined;
  for (const disk of disks) if (disk.contains(path)) return disk;
  return undefined;
}

function step(what: string, lastGasp?: () => void): void {
  MortalProcess.current?.step(what, lastGasp);
}

function exists(path: string): boolean {
  return real.lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}

/** A change of one name, as one step; a failure changes nothing. */
function changeName<Result>(what: string, paths: readonly string[], work: () => Result): Result {
  step(`${what} ${paths.join(' ')}`);
  const disk = paths.map(diskOf).find((found) => found !== undefined);
  const done = disk?.changing(paths.filter((path) => disk.contains(path)));
  const result = work();
  done?.();
  return result;
}

function makesOrTruncates(flags: number): boolean {
  return (flags & (fs.constants.O_CREAT | fs.constants.O_TRUNC)) !== 0;
}

function flagsOf(flags: string | number | undefined): number {
  const { O_RDONLY, O_RDWR, O_WRONLY, O_CREAT, O_TRUNC, O_EXCL } = fs.constants;
  const known: Readonly<Record<string, number>> = {
    r: O_RDONLY,
    'r+': O_RDWR,
    w: O_WRONLY | O_CREAT | O_TRUNC,
    wx: O_WRONLY | O_CREAT | O_TRUNC | O_EXCL,
  };
  const found = typeof flags === 'number' ? flags : known[flags ?? 'r'];
  if (found === undefined) throw new Error(`flags that are not followed here: ${flags ?? ''}`);
  return found;
}

/** Opens by `work`; what opening makes or empties is one step. */
function opening(path: PathLike, flags: string | number | undefined, work: () => number): number {
  const disk = diskOf(path);
  if (disk === undefined || typeof path !== 'string') return tracked(work());
  const wanted = flagsOf(flags);
  if (!makesOrTruncates(wanted)) return tracked(work(), disk, path);
  const before = real.lstatSync(path, { throwIfNoEntry: false });
  if (before === undefined) {
    const descriptor = changeName('create', [path], work);
    disk.created(real.fstatSync(descriptor).ino);
    return tracked(descriptor, disk, path);
  }
  if ((wanted & fs.constants.O_TRUNC) !== 0 && (wanted & fs.constants.O_EXCL) === 0 && before.isFile()) {
    step(`truncate ${path}`);
    disk.writing(before.ino, path);
  }
  return tracked(work(), disk, path);
}

function tracked(descriptor: number, disk?: Disk, path?: string): number {
  if (disk === undefined || path === undefined) opened.delete(descriptor);
  else opened.set(descriptor, { disk, path });
  return descriptor;
}

function writing(descriptor: number, bytes: number, half: () => void, work: () => number): number {
  const file = opened.get(descriptor);
  if (file === undefined || bytes === 0) return work();
  const begin = (): void => {
    file.disk.writing(real.fstatSync(descriptor).ino, file.path);
  };
  step(`write ${bytes} bytes to ${file.path}`, () => {
    begin();
    half();
  });
  begin();
  return work();
}

function syncing(descriptor: number): void {
  const file = opened.get(descriptor);
  if (file === undefined) return;
  const { ino } = real.fstatSync(descriptor);
  // What was fsynced already changes nothing, so it is no step.
  if (!file.disk.isUnsynced(ino, file.path)) {
    MortalProcess.current?.assertAlive();
    return;
  }
  step(`fsync ${file.path}`);
  file.disk.synced(ino, file.path);
}

/** Elsewhere a process need not wait for the real disk: nobody will look at what would be lost there. */
function fsyncSync(descriptor: number): void {
  if (opened.has(descriptor)) syncing(descriptor);
  else if (MortalProcess.current === undefined) real.fsyncSync(descriptor);
}

function writeSync(
  descriptor: number,
  data: NodeJS.ArrayBufferView | string,
  offset?: number | null,
  length?: number | null,
  position?: number | null,
): number {
  if (!opened.has(descriptor)) return real.writeSync(descriptor, data as Buffer, offset, length, position);
  if (typeof data === 'string') throw new Error('writing text to a descriptor is not followed here');
  const from = offset ?? 0;
  const bytes = length ?? data.byteLength - from;
  const write = (count: number) => (): number => real.writeSync(descriptor, data, from, count, position);
  return writing(descriptor, bytes, write(bytes >> 1), write(bytes));
}

function openSync(path: PathLike, flags?: string | number, mode?: fs.Mode | null): number {
  return opening(path, flags, () => real.openSync(path, flags ?? 'r', mode));
}

type Data = string | NodeJS.ArrayBufferView;
interface WriteOptions {
  readonly mode?: fs.Mode | undefined;
  readonly flag?: string | undefined;
}

function writeAll(descriptor: number, data: Data): void {
  const bytes = typeof data === 'string' ? Buffer.from(data) : data;
  for (let done = 0; done < bytes.byteLength;)
    done += writeSync(descriptor, bytes, done, bytes.byteLength - done, null);
}

function writeFileSync(path: string, data: Data, options: WriteOptions = {}): void {
  const descriptor = openSync(path, options.flag ?? 'w', options.mode ?? 0o666);
  try {
    writeAll(descriptor, data);
  } finally {
    closeSync(descriptor);
  }
}

function closeSync(descriptor: number): void {
  opened.delete(descriptor);
  real.closeSync(descriptor);
}

function rmSync(path: string, options: fs.RmOptions = {}): void {
  const found = real.lstatSync(path, { throwIfNoEntry: false });
  if (found?.isDirectory() === true && options.recursive === true) {
    for (const name of real.readdirSync(path)) rmSync(join(path, name), options);
    changeName('rmdir', [path], () => {
      real.rmdirSync(path);
    });
  } else if (found === undefined) {
    real.rmSync(path, options);
  } else {
    changeName('unlink', [path], () => {
      if (found.isDirectory()) real.rmdirSync(path);
      else real.unlinkSync(path);
    });
  }
}

function mkdirSync(path: string, options?: fs.MakeDirectoryOptions): string | undefined {
  if (exists(path)) return real.mkdirSync(path, options);
  if (options?.recursive !== true) {
    if (!exists(dirname(path))) return real.mkdirSync(path, options);
    return changeName('mkdir', [path], () => real.mkdirSync(path, options));
  }
  const first = exists(dirname(path)) ? undefined : mkdirSync(dirname(path), options);
  changeName('mkdir', [path], () => {
    real.mkdirSync(path, { ...options, recursive: false });
  });
  return first ?? path;
}

/** What changes no name and no content is no step: nothing else is left when the process dies there. */
function attribute<Parameters extends readonly [unknown, ...(readonly unknown[])]>(
  work: (...parameters: Parameters) => void,
): (...parameters: Parameters) => void {
  return (...parameters) => {
    const [place] = parameters;
    if (diskOf(typeof place === 'number' ? opened.get(place)?.path : place) !== undefined) {
      MortalProcess.current?.assertAlive();
    }
    work(...parameters);
  };
}

const one =
  (what: string, work: (path: string) => void) =>
  (path: string): void => {
    if (diskOf(path) === undefined || !exists(path)) work(path);
    else
      changeName(what, [path], () => {
        work(path);
      });
  };

const two =
  (what: string, work: (from: string, to: string) => void, changed: (from: string, to: string) => readonly string[]) =>
  (from: string, to: string): void => {
    if (diskOf(from) === undefined && diskOf(to) === undefined) work(from, to);
    else if (what === 'rename' && real.lstatSync(from, { throwIfNoEntry: false })?.isDirectory() === true) {
      throw new Error('to rename a directory is not followed here');
    } else if (what !== 'rename' && exists(to)) {
      work(from, to);
    } else {
      changeName(what, changed(from, to), () => {
        work(from, to);
      });
    }
  };

/** By the watched one below a watched directory, by the real one elsewhere. */
function below<Parameters extends readonly [unknown, ...(readonly unknown[])], Result>(
  watched: (...parameters: Parameters) => Result,
  original: unknown,
): (...parameters: Parameters) => Result {
  return (...parameters) =>
    diskOf(parameters[0]) === undefined ? (original as typeof watched)(...parameters) : watched(...parameters);
}

const SYNCHRONOUS = {
  openSync,
  closeSync,
  writeSync,
  fsyncSync,
  renameSync: two('rename', real.renameSync, (from, to) => [from, to]),
  linkSync: two('link', real.linkSync, (_from, to) => [to]),
  symlinkSync: two('symlink', real.symlinkSync, (_from, to) => [to]),
  unlinkSync: one('unlink', real.unlinkSync),
  rmdirSync: one('rmdir', real.rmdirSync),
  rmSync: below(rmSync, real.rmSync),
  mkdirSync: below(mkdirSync, real.mkdirSync),
  writeFileSync: below(writeFileSync, real.writeFileSync),
  chmodSync: attribute(real.chmodSync),
  chownSync: attribute(real.chownSync),
  lchownSync: attribute(real.lchownSync),
  utimesSync: attribute(real.utimesSync),
  fchmodSync: attribute(real.fchmodSync),
  fchownSync: attribute(real.fchownSync),
  futimesSync: attribute(real.futimesSync),
};

/** In one turn, after one: what others do meanwhile comes before or after it, never between it and its record. */
function later<Parameters extends readonly unknown[], Result>(
  work: (...parameters: Parameters) => Result,
): (...parameters: Parameters) => Promise<Result> {
  return async (...parameters) => {
    await Promise.resolve();
    return work(...parameters);
  };
}

const realOpen = open;

const PROMISING = {
  async open(path: PathLike, flags?: string | number, mode?: fs.Mode): Promise<FileHandle> {
    if (diskOf(path) === undefined) return await realOpen(path, flags, mode);
    // Opened twice: once to be recorded in one turn, and once as the handle that there is no other way to get.
    const first = openSync(path, flags, mode ?? 0o666);
    try {
      const { O_CREAT, O_EXCL, O_TRUNC } = fs.constants;
      const handle = await realOpen(path, flagsOf(flags) & ~(O_CREAT | O_EXCL | O_TRUNC));
      const file = opened.get(first);
      tracked(handle.fd, file?.disk, file?.path);
      return handle;
    } finally {
      closeSync(first);
    }
  },
  rename: later(SYNCHRONOUS.renameSync),
  link: later(SYNCHRONOUS.linkSync),
  symlink: later(SYNCHRONOUS.symlinkSync),
  unlink: later(SYNCHRONOUS.unlinkSync),
  rmdir: later(SYNCHRONOUS.rmdirSync),
  rm: later(SYNCHRONOUS.rmSync),
  mkdir: later(SYNCHRONOUS.mkdirSync),
  writeFile: below(later(writeFileSync), fs.promises.writeFile),
  chmod: later(SYNCHRONOUS.chmodSync),
  chown: later(SYNCHRONOUS.chownSync),
  lchown: later(SYNCHRONOUS.lchownSync),
  utimes: later(SYNCHRONOUS.utimesSync),
};

function patchHandles(prototype: FileHandle): void {
  const own = { ...ownMethods(prototype) };
  const watched = (
    name: string,
    work: (descriptor: number, ...parameters: never[]) => unknown,
    elsewhereToo = (): boolean => false,
  ): void => {
    Object.assign(prototype, {
      async [name](this: FileHandle, ...parameters: never[]): Promise<unknown> {
        if (!opened.has(this.fd) && !elsewhereToo()) return await own[name]?.apply(this, parameters);
        await Promise.resolve();
        return work(this.fd, ...parameters);
      },
    });
  };
  const refused = (): never => {
    throw new Error('this way of writing is not followed here');
  };
  watched('sync', fsyncSync, () => MortalProcess.current !== undefined);
  watched('writeFile', writeAll);
  watched('chmod', SYNCHRONOUS.fchmodSync);
  watched('chown', SYNCHRONOUS.fchownSync);
  watched('utimes', SYNCHRONOUS.futimesSync);
  for (const name of ['write', 'writev', 'appendFile', 'truncate', 'datasync']) watched(name, refused);
}

type Method = (...parameters: never[]) => unknown;

function ownMethods(prototype: object): Record<string, Method> {
  const methods: Record<string, Method> = {};
  for (const name of Object.getOwnPropertyNames(prototype)) {
    const value: unknown = Object.getOwnPropertyDescriptor(prototype, name)?.value;
    if (typeof value === 'function') methods[name] = value as Method;
  }
  return methods;
}

const REFUSED_PROMISING = ['appendFile', 'copyFile', 'cp', 'truncate', 'lutimes'];
const REFUSED = [
  ...REFUSED_PROMISING,
  ...['appendFileSync', 'copyFileSync', 'cpSync', 'truncateSync', 'lutimesSync', 'createWriteStream', 'writeFile'],
  ...['rename', 'link', 'symlink', 'unlink', 'rmdir', 'rm', 'mkdir', 'chmod', 'chown', 'lchown', 'utimes'],
];

function refusals(names: readonly string[], module: object): Record<string, Method> {
  const originals = module as Record<string, (...parameters: unknown[]) => unknown>;
  return Object.fromEntries(
    names.map((name) => {
      const original = originals[name];
      const refusing = (...parameters: unknown[]): unknown => {
        if (parameters.some((parameter) => diskOf(parameter) !== undefined)) {
          throw new Error(`${name} is not followed here: teach it to watched-files.ts`);
        }
        return original?.(...parameters);
      };
      return [name, refusing];
    }),
  );
}
