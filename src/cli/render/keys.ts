import { join } from 'node:path';
import type { KeyFile, KeyOptions, Keys, RewrapOutcome } from '../../../storage-drivers/with-encryption.ts';
import { type ErrorDocument, errorToDocument } from '../../errors.ts';
import { renderTable } from './table.ts';
import { count } from './units.ts';

/** What `walden key` says. The secret half of a key is in none of it. */

export interface MadeKeyDocument {
  readonly repository: string;
  readonly key: string;
  readonly file: string;
  readonly recipient: string;
  /** Who else can open new objects. */
  readonly recipients: readonly string[];
}

export function madeKeyDocument(options: KeyOptions, { name, identity }: KeyFile): MadeKeyDocument {
  const { repository, keyDirectory, recipients } = options;
  return { repository, key: name, file: join(keyDirectory, name), recipient: identity.recipient, recipients };
}

export function renderMadeKey({ repository, file, recipient, recipients }: MadeKeyDocument): string {
  const others =
    recipients.length === 0
      ? 'There is no recovery key beside it: see recipients in docs/encryption.md.'
      : `Besides, ${count(recipients.length, 'recovery key')} of the configuration can open them.`;
  return [
    `New objects of repository ${repository} are encrypted to ${recipient}.`,
    others,
    '',
    `KEEP A COPY OF ${file} ELSEWHERE, NOW.`,
    'Without it nothing that is stored from now on can be restored, by nobody: not after the loss of this host, and not by Walden.',
  ].join('\n');
}

export interface KeyListDocument {
  readonly repository: string;
  readonly directory: string;
  readonly keys: readonly {
    readonly name: string;
    /** Null for a file that Walden did not name. */
    readonly created: string | null;
    readonly recipient: string;
    readonly current: boolean;
  }[];
  readonly recipients: readonly string[];
}

export function keyListDocument(options: KeyOptions, { files, current }: Keys): KeyListDocument {
  return {
    repository: options.repository,
    directory: options.keyDirectory,
    keys: files.map((file) => ({
      name: file.name,
      created: file.createdAt?.toISOString().replace('.000', '') ?? null,
      recipient: file.identity.recipient,
      current: file === current,
    })),
    recipients: options.recipients,
  };
}

export function renderKeyList({ keys, recipients }: KeyListDocument, columns: number): string {
  const rows = [
    ...keys.map(({ name, created, recipient, current }) => ({
      name,
      created: created ?? '',
      use: current ? 'new and old objects' : 'old objects',
      recipient,
    })),
    ...recipients.map((recipient) => ({ name: '(recovery key)', created: '', use: 'kept elsewhere', recipient })),
  ];
  if (rows.length === 0) return 'there is no key';
  return renderTable(
    [
      { heading: 'KEY', cell: ({ name }) => name },
      { heading: 'USE', cell: ({ use }) => use },
      { heading: 'CREATED', cell: ({ created }) => created },
      { heading: 'RECIPIENT', cell: ({ recipient }) => recipient },
    ],
    rows,
    columns,
  );
}

export interface RewrapDocument {
  readonly repository: string;
  readonly key: string | null;
  readonly rewrapped: number;
  readonly kept: number;
  readonly failures: readonly { readonly key: string; readonly error: ErrorDocument }[];
}

export function rewrapDocument(
  repository: string,
  current: KeyFile | undefined,
  { rewrapped, kept, failures }: RewrapOutcome,
): RewrapDocument {
  return {
    repository,
    key: current?.name ?? null,
    rewrapped,
    kept,
    failures: failures.map(({ key, error }) => ({ key, error: errorToDocument(error) })),
  };
}

export function renderRewrap({ key, rewrapped, kept, failures }: RewrapDocument): string {
  return [
    `${count(rewrapped, 'object')} rewrapped for ${key ?? 'no key'}, ${kept} had its header already`,
    ...failures.map((failure) => `not rewrapped: ${failure.error.code}: ${failure.error.message}`),
  ].join('\n');
}
