import type { DriverOptions } from '../../../storage-drivers/registry.ts';

/** A real store that runs for a test. */
export interface StoreUnderTest {
  /** Where it listens. */
  readonly port: number;
  /** As the registry of drivers takes them; each call is a repository of its own. */
  options(): DriverOptions;
  /** Lets nobody in any more until its result is called; only where the store itself can be told so. */
  readonly withdraw?: () => () => void;
  end(): Promise<void>;
}

export interface StoreKindUnderTest {
  readonly what: string;
  readonly driver: DriverOptions['driver'];
  /** Why there is none on this machine. */
  readonly whyNot: string | undefined;
  start(): Promise<StoreUnderTest>;
}

/** The lines of a `[repository.NAME]` of the configuration. */
export function sectionOf(options: DriverOptions): readonly string[] {
  return Object.entries(options)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => {
      const key = name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
      return `${key} = ${JSON.stringify(value)}`;
    });
}

/** The same store, asked at another port of this host, by TLS when an authority is given. */
export function atPort(options: DriverOptions, port: number, caFile?: string): DriverOptions {
  switch (options.driver) {
    case 'local':
      return options;
    case 'sftp':
      return { ...options, port };
    case 's3':
      return { ...options, ...otherEndpoint(options, port, caFile) };
    case 'azure':
      return { ...options, ...otherEndpoint(options, port, caFile) };
    case 'gcs':
      return { ...options, ...otherEndpoint(options, port, caFile) };
  }
}

function otherEndpoint(
  { endpoint = 'http://127.0.0.1' }: { readonly endpoint: string | undefined },
  port: number,
  caFile: string | undefined,
): { readonly endpoint: string; readonly caFile: string | undefined } {
  const url = new URL(endpoint);
  url.port = String(port);
  if (caFile !== undefined) url.protocol = 'https:';
  return { endpoint: url.href.replace(/\/$/, ''), caFile };
}
