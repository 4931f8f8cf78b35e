import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { keysOfFile } from '../../../../storage-drivers/s3/s3-credentials.ts';
import { newDirectory, removeDirectory } from '../../../support/sandbox.ts';

const TEXT = `# keys of the backup
[default]
aws_access_key_id=first
aws_secret_access_key = one/with+all=signs
; another
[ profile other ]
region = eu-central-1
aws_access_key_id = second
aws_secret_access_key = two
aws_session_token = three==

[empty]
aws_access_key_id = lonely
`;

describe('the keys of a credentials file', () => {
  let directory: string;
  let file: string;
  beforeEach(() => {
    directory = newDirectory('keys');
    file = join(directory, 'credentials');
    writeFileSync(file, TEXT, { mode: 0o640 });
  });
  afterEach(() => {
    removeDirectory(directory);
  });

  it('are those of the profile, and are asked for again before long', async () => {
    const expiration = expect.any(Date) as Date;
    expect(await keysOfFile(file, 'default')).toEqual({
      accessKeyId: 'first',
      secretAccessKey: 'one/with+all=signs',
      expiration,
    });
    expect(await keysOfFile(file, 'other')).toEqual({
      accessKeyId: 'second',
      secretAccessKey: 'two',
      sessionToken: 'three==',
      expiration,
    });
  });

  it.each(['empty', 'none', 'region'])('are missed where there are none (%s)', async (profile) => {
    const error = keysOfFile(file, profile);
    await expect(error).rejects.toMatchObject({ code: 'STORAGE_DENIED' });
    await expect(error).rejects.toThrow(profile);
    await expect(error).rejects.not.toThrow('lonely');
  });

  it.each([0o604, 0o602, 0o644])('are not taken from a file that is open to everybody (%o)', async (mode) => {
    chmodSync(file, mode);
    await expect(keysOfFile(file, 'default')).rejects.toMatchObject({
      code: 'STORAGE_DENIED',
      hint: expect.stringContaining('chmod') as string,
    });
  });

  it('are denied where the file cannot be read', async () => {
    for (const path of [join(directory, 'none'), directory]) {
      await expect(keysOfFile(path, 'default')).rejects.toMatchObject({ code: 'STORAGE_DENIED' });
    }
  });
});
