import type { ContainerClient } from '@azure/storage-blob';

const PAGE = 1000;

/** Blobs by their own names, in the store's order, that begin with `prefix` and come behind `after`. */
export async function* namesBehind(
  container: ContainerClient,
  {
    prefix,
    after = '',
    signal,
  }: { readonly prefix: string; readonly after: string | undefined; readonly signal: AbortSignal | undefined },
): AsyncGenerator<{ readonly name: string; readonly size: number }> {
  const pages = container
    .listBlobsFlat({
      prefix,
      // The name itself comes too, and stores that do not know this yet begin at the beginning.
      ...(after.startsWith(prefix) ? { startFrom: after } : {}),
      // Tells the folders of an account with a hierarchical namespace, which are blobs there.
      includeMetadata: true,
      ...(signal === undefined ? {} : { abortSignal: signal }),
    })
    .byPage({ maxPageSize: PAGE });
  for await (const { segment } of pages) {
    for (const { name, properties, metadata } of segment.blobItems) {
      if (name <= after || metadata?.['hdi_isfolder'] === 'true') continue;
      yield { name, size: properties.contentLength ?? 0 };
    }
  }
}
