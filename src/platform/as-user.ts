/** A user and a group of this host. */
export interface LocalUser {
  readonly uid: number;
  readonly gid: number;
}

/**
 * What root does as another user, without the rights of root: PostgreSQL knows whoever connects over its socket by the
 * effective user (peer authentication). For anybody but root it is `work` alone. The whole process steps back: nothing else
 * of it may go on meanwhile.
 */
export async function asUser<Result>({ uid, gid }: LocalUser, work: () => Promise<Result>): Promise<Result> {
  const { seteuid, setegid } = process;
  if (process.geteuid?.() !== 0 || uid === 0 || seteuid === undefined || setegid === undefined) return await work();
  setegid(gid);
  seteuid(uid);
  try {
    return await work();
  } finally {
    seteuid(0);
    setegid(0);
  }
}
