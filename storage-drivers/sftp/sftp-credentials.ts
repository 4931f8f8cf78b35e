import { access, readFile, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import ssh2, {
  type AgentAuthMethod,
  type KeyboardInteractiveAuthMethod,
  type PasswordAuthMethod,
  type PublicKeyAuthMethod,
} from 'ssh2';
import { systemErrorCode, WaldenError } from '../../src/errors.ts';
import type { SftpOptions } from './sftp-options.ts';

/** A way to log in. */
export type Credential = AgentAuthMethod | KeyboardInteractiveAuthMethod | PasswordAuthMethod | PublicKeyAuthMethod;

const USUAL_KEYS = ['id_ed25519', 'id_ecdsa', 'id_rsa'];

/**
 * Ways to log in, in the order in which they are tried. Read for each connection, so that a changed file counts at once.
 * @throws STORAGE_DENIED when there is none, or a file is not what it should be
 */
export async function readCredentials(options: SftpOptions): Promise<readonly Credential[]> {
  const { user, keyFile, passphraseFile, passwordFile } = options;
  const credentials: Credential[] = [];
  if (keyFile !== undefined) credentials.push(await keyOf(user, keyFile, passphraseFile));
  if (passwordFile !== undefined) credentials.push(...passwordOf(user, await readSecret(passwordFile)));
  return credentials.length > 0 ? credentials : await usualCredentials(user, passphraseFile);
}

async function usualCredentials(user: string, passphraseFile: string | undefined): Promise<readonly Credential[]> {
  const agent = process.env['SSH_AUTH_SOCK'];
  if (agent !== undefined && agent !== '') return [{ type: 'agent', username: user, agent }];
  const keys: Credential[] = [];
  for (const path of USUAL_KEYS.map((name) => join(homedir(), '.ssh', name))) {
    if (await isThere(path)) keys.push(await keyOf(user, path, passphraseFile));
  }
  if (keys.length > 0) return keys;
  throw new WaldenError('STORAGE_DENIED', `there is neither an ssh-agent nor a key in ${join(homedir(), '.ssh')}`, {
    hint: "make a key with: ssh-keygen -t ed25519, and name it in key_file; ~ is that of the service's user",
  });
}

async function keyOf(user: string, path: string, passphraseFile: string | undefined): Promise<PublicKeyAuthMethod> {
  const text = await readSecret(path);
  const passphrase = passphraseFile === undefined ? undefined : firstLine(await readSecret(passphraseFile));
  const key = ssh2.utils.parseKey(text, passphrase);
  if (!(key instanceof Error) && key.isPrivateKey()) return { type: 'publickey', username: user, key };
  const reason = key instanceof Error ? key.message : 'no private key';
  throw new WaldenError('STORAGE_DENIED', `unable to use the key in ${path} (${reason})`, {
    hint: 'try it with: ssh-keygen -y -f; the passphrase of an encrypted key belongs into passphrase_file',
  });
}

/** Many servers take a password only as the answer to their own question. */
function passwordOf(user: string, text: string): readonly Credential[] {
  const password = firstLine(text);
  return [
    { type: 'password', username: user, password },
    {
      type: 'keyboard-interactive',
      username: user,
      prompt: (_name, _instructions, _language, prompts, finish) => {
        finish(prompts.map(() => password));
      },
    },
  ];
}

function firstLine(text: string): string {
  return text.split(/\r?\n/, 1)[0] ?? '';
}

/** @throws STORAGE_DENIED, also when others may read it: so OpenSSH does with keys */
async function readSecret(path: string): Promise<string> {
  try {
    const { mode, uid } = await stat(path);
    // Another owner may have good reasons to give it to a group: a container's secrets are root's.
    const forbidden = uid === process.getuid?.() ? 0o077 : 0o007;
    if ((mode & forbidden) !== 0) {
      throw new WaldenError('STORAGE_DENIED', `others may read ${path} (mode ${(mode & 0o777).toString(8)})`, {
        hint: `run: chmod 600 ${path}`,
      });
    }
    return await readFile(path, 'utf8');
  } catch (error) {
    if (error instanceof WaldenError) throw error;
    throw new WaldenError('STORAGE_DENIED', `unable to read ${path} (${systemErrorCode(error) ?? String(error)})`, {
      hint: 'name a file that the user of the service can read',
      cause: error,
    });
  }
}

async function isThere(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  );
}
