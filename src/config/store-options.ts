import type { Variant } from './option.ts';

/** What a `[repository.NAME]` says about its store, by `driver`. Secrets stand in files that are named here, never here. */

const OPTIONAL = { required: false } as const;
const TEXT = { type: 'text', ...OPTIONAL } as const;
const FILE = { type: 'path', ...OPTIONAL, file: true } as const;

const PREFIX = {
  ...TEXT,
  doc: 'Where the objects of this repository begin, such as `backups/postgres`. Without it: at the top.',
} as const;
const CA_FILE = {
  ...FILE,
  doc: 'Certificates (PEM) of the authorities to trust, instead of those of the system.',
} as const;
const PROXY = { ...TEXT, secret: true, doc: 'URL of an HTTP proxy to go through.' } as const;
const TAGS = { type: 'names', ...OPTIONAL, doc: 'Put on every object, each as `"key=value"`.' } as const;
const SECRET_FILE_NOTE = 'The file must not be readable by other users.';

export const STORES = {
  local: {
    doc: 'A directory of this host, which may be on a network file system.',
    options: {
      path: {
        type: 'path',
        required: true,
        doc: 'Directory of the repository. It must not lie inside a data directory or another repository.',
      },
    },
  },
  s3: {
    doc: 'Amazon S3, and what speaks its protocol: Ceph, MinIO, Swift, R2, Wasabi. See [stores/s3.md](stores/s3.md).',
    options: {
      bucket: { type: 'text', required: true, doc: 'The bucket. It must exist.' },
      prefix: PREFIX,
      endpoint: { ...TEXT, default: { words: 'that of AWS' }, doc: 'URL of a server that is not AWS.' },
      region: {
        ...TEXT,
        default: { words: 'what the environment or the profile says, else `us-east-1`' },
        doc: 'The region of the bucket.',
      },
      path_style: {
        type: 'switch',
        ...OPTIONAL,
        default: { words: '`true` where `endpoint` is given' },
        doc: 'Whether the bucket stands in the path of the URL rather than in its host name.',
      },
      checksums: {
        type: 'choice',
        ...OPTIONAL,
        choices: ['when_required', 'when_supported'],
        default: { words: '`"when_required"` where `endpoint` is given, else `"when_supported"`' },
        doc: 'Whether requests carry the newer checksums of S3, which some other servers refuse or corrupt. The SHA-256 of what is stored is sent and checked either way.',
      },
      profile: { ...TEXT, doc: 'The profile of the credentials file to use.' },
      credentials_file: {
        ...FILE,
        default: {
          words: "the AWS SDK's own chain: environment, `~/.aws`, the role of the instance, container or web identity",
        },
        doc: `A file in the format of \`~/.aws/credentials\`. ${SECRET_FILE_NOTE}`,
      },
      ca_file: CA_FILE,
      proxy: PROXY,
      storage_class: { ...TEXT, doc: 'Storage class of every object, such as `STANDARD_IA`.' },
      tags: TAGS,
      server_side_encryption: {
        type: 'choice',
        ...OPTIONAL,
        choices: ['AES256', 'aws:kms'],
        doc: 'What the store encrypts every object with.',
      },
      kms_key: { ...TEXT, doc: 'The key for `aws:kms`.' },
      object_lock: {
        type: 'lock',
        ...OPTIONAL,
        doc: 'How long the store keeps every WAL file and every object of a backup from being removed, from its upload on. With `compliance` nobody can shorten that, not even the owner of the account. The bucket must have object lock.',
      },
    },
  },
  azure: {
    doc: 'Azure Blob Storage. See [stores/azure.md](stores/azure.md).',
    options: {
      container: { type: 'text', required: true, doc: 'The container. It must exist.' },
      prefix: PREFIX,
      account: { ...TEXT, doc: 'The storage account. Not needed with a connection string.' },
      endpoint: {
        ...TEXT,
        default: { words: '`https://<account>.blob.core.windows.net`' },
        doc: 'URL of the blob service.',
      },
      connection_string_file: { ...FILE, doc: `A file with a connection string. ${SECRET_FILE_NOTE}` },
      key_file: { ...FILE, doc: `A file with a key of the account. ${SECRET_FILE_NOTE}` },
      sas_file: {
        ...FILE,
        default: {
          words:
            "without any of these files: `AZURE_STORAGE_CONNECTION_STRING`, `AZURE_STORAGE_KEY` or `AZURE_STORAGE_SAS_TOKEN` of the environment, else the Azure SDK's own chain (environment, workload and managed identity)",
        },
        doc: `A file with a shared access signature. ${SECRET_FILE_NOTE}`,
      },
      ca_file: CA_FILE,
      proxy: PROXY,
      access_tier: { ...TEXT, doc: 'Access tier of every object, such as `Cool`.' },
      tags: TAGS,
      encryption_scope: { ...TEXT, doc: 'Encryption scope of every object.' },
    },
  },
  gcs: {
    doc: 'Google Cloud Storage. See [stores/gcs.md](stores/gcs.md).',
    options: {
      bucket: { type: 'text', required: true, doc: 'The bucket. It must exist.' },
      prefix: PREFIX,
      endpoint: { ...TEXT, default: { words: 'that of Google' }, doc: 'URL of another server.' },
      project: { ...TEXT, doc: 'The project, where the credentials do not say it.' },
      credentials_file: {
        ...FILE,
        default: { words: "the Google SDK's own chain: environment, `gcloud`, the service account of the instance" },
        doc: `A key of a service account, or a configuration of workload identity. ${SECRET_FILE_NOTE}`,
      },
      ca_file: CA_FILE,
      proxy: PROXY,
      storage_class: { ...TEXT, doc: 'Storage class of every object, such as `NEARLINE`.' },
      kms_key: { ...TEXT, doc: 'Key of Cloud KMS to encrypt every object with.' },
      tags: { ...TAGS, doc: 'Custom metadata of every object, each as `"key=value"`.' },
    },
  },
  sftp: {
    doc: 'A directory of another host, over SSH. See [stores/sftp.md](stores/sftp.md).',
    options: {
      host: { type: 'text', required: true, doc: 'Name or address of the host.' },
      port: { type: 'integer', ...OPTIONAL, minimum: 1, maximum: 65_535, default: 22, doc: 'Port of its SSH server.' },
      user: { type: 'text', required: true, doc: 'Who logs in.' },
      path: {
        type: 'path',
        required: true,
        doc: 'Directory of the repository on that host; made where it is missing.',
      },
      key_file: {
        ...FILE,
        default: { words: 'the SSH agent, else `~/.ssh/id_ed25519`, `id_ecdsa` or `id_rsa`' },
        doc: `A private key. ${SECRET_FILE_NOTE}`,
      },
      passphrase_file: { ...FILE, doc: `A file with the passphrase of the key. ${SECRET_FILE_NOTE}` },
      password_file: { ...FILE, doc: `A file with the password, for servers that take no key. ${SECRET_FILE_NOTE}` },
      known_hosts_file: {
        ...FILE,
        default: { words: '`~/.ssh/known_hosts`' },
        doc: "Where the host's key stands. A host that is not in it is refused.",
      },
      host_key: {
        ...TEXT,
        doc: "Fingerprint of the host's key, as `ssh-keygen -lf` prints it (`SHA256:…`), instead of a known_hosts file.",
      },
    },
  },
} as const satisfies Readonly<Record<string, Variant>>;

export type StoreKind = keyof typeof STORES;

export const STORE_KINDS = Object.keys(STORES) as readonly StoreKind[];
