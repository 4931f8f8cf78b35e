import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  type Stats,
  statSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import ssh2, { type SFTPWrapper } from 'ssh2';
import { systemErrorCode } from '../../../src/errors.ts';

const { OPEN_MODE, STATUS_CODE } = ssh2.utils.sftp;

/**
 * Serves files as version 3 of the protocol says and not a word more: no links, no rename that replaces, no fsync, requests of
 * 32 KiB. Some servers that are not OpenSSH are like this.
 */
export function servePlainly(sftp: SFTPWrapper): void {
  const directories = new Map<number, string | undefined>();
  let lastDirectory = 1 << 30;

  /** Answers with what `work` gives, or with its error. */
  const serve = (request: number, work: () => void): void => {
    try {
      work();
    } catch (error) {
      sftp.status(request, statusOf(error));
    }
  };
  const done = (request: number, work: () => void): void => {
    serve(request, () => {
      work();
      sftp.status(request, STATUS_CODE.OK);
    });
  };

  sftp.on('OPEN', (request, path, flags) => {
    serve(request, () => {
      const descriptor = openSync(path, systemFlags(flags), 0o640);
      if (fstatSync(descriptor).isFile()) {
        sftp.handle(request, toHandle(descriptor));
      } else {
        closeSync(descriptor);
        sftp.status(request, STATUS_CODE.FAILURE);
      }
    });
  });
  sftp.on('READ', (request, handle, offset, length) => {
    serve(request, () => {
      const bytes = Buffer.alloc(length);
      const count = readSync(handle.readUInt32BE(), bytes, 0, length, offset);
      if (count === 0) sftp.status(request, STATUS_CODE.EOF);
      else sftp.data(request, bytes.subarray(0, count));
    });
  });
  sftp.on('WRITE', (request, handle, offset, bytes) => {
    done(request, () => writeSync(handle.readUInt32BE(), bytes, 0, bytes.length, offset));
  });
  sftp.on('CLOSE', (request, handle) => {
    done(request, () => {
      if (!directories.delete(handle.readUInt32BE())) closeSync(handle.readUInt32BE());
    });
  });
  sftp.on('FSTAT', (request, handle) => {
    serve(request, () => {
      sftp.attrs(request, attributesOf(fstatSync(handle.readUInt32BE())));
    });
  });
  for (const [event, look] of [
    ['STAT', statSync],
    ['LSTAT', lstatSync],
  ] as const) {
    sftp.on(event, (request: number, path: string) => {
      serve(request, () => {
        sftp.attrs(request, attributesOf(look(path)));
      });
    });
  }
  sftp.on('OPENDIR', (request, path) => {
    serve(request, () => {
      readdirSync(path);
      directories.set((lastDirectory += 1), path);
      sftp.handle(request, toHandle(lastDirectory));
    });
  });
  sftp.on('READDIR', (request, handle) => {
    serve(request, () => {
      const path = directories.get(handle.readUInt32BE());
      directories.set(handle.readUInt32BE(), undefined);
      if (path === undefined) {
        sftp.status(request, STATUS_CODE.EOF);
        return;
      }
      const entries = readdirSync(path).map((filename) => {
        const attrs = attributesOf(lstatSync(join(path, filename)));
        return { filename, longname: filename, attrs };
      });
      sftp.name(request, entries);
    });
  });
  sftp.on('MKDIR', (request, path) => {
    done(request, () => {
      mkdirSync(path, { mode: 0o750 });
    });
  });
  sftp.on('REMOVE', (request, path) => {
    done(request, () => {
      unlinkSync(path);
    });
  });
  sftp.on('RENAME', (request, path, target) => {
    done(request, () => {
      if (existsSync(target)) throw new Error('the target exists');
      renameSync(path, target);
    });
  });
}

function toHandle(number: number): Buffer {
  const handle = Buffer.alloc(4);
  handle.writeUInt32BE(number);
  return handle;
}

function systemFlags(flags: number): number {
  if ((flags & OPEN_MODE.WRITE) === 0) return constants.O_RDONLY;
  return constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL;
}

function attributesOf({ mode, uid, gid, size, atimeMs, mtimeMs }: Stats): {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  readonly atime: number;
  readonly mtime: number;
} {
  return { mode, uid, gid, size, atime: Math.floor(atimeMs / 1000), mtime: Math.floor(mtimeMs / 1000) };
}

function statusOf(error: unknown): number {
  const code = systemErrorCode(error);
  if (code === 'ENOENT' || code === 'ENOTDIR') return STATUS_CODE.NO_SUCH_FILE;
  return code === 'EACCES' ? STATUS_CODE.PERMISSION_DENIED : STATUS_CODE.FAILURE;
}
