import { join } from 'node:path';
import { SqliteCatalog } from '../../catalog/sqlite/sqlite-catalog.ts';
import { newDirectory, removeDirectory } from '../support/sandbox.ts';
import { catalogContract } from './catalog-contract.ts';

catalogContract('a catalog in memory', () => {
  const catalog = SqliteCatalog.open(':memory:');
  return Promise.resolve({ catalog, end: () => catalog.close() });
});

catalogContract('a catalog in a file', () => {
  const directory = newDirectory('catalog');
  const path = join(directory, 'catalog.sqlite');
  let catalog = SqliteCatalog.open(path);
  return Promise.resolve({
    catalog,
    reopen: async () => {
      await catalog.close();
      catalog = SqliteCatalog.open(path);
      return catalog;
    },
    end: async () => {
      await catalog.close();
      removeDirectory(directory);
    },
  });
});
