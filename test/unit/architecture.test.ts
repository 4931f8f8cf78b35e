import { readFileSync } from 'node:fs';
import { join, normalize } from 'node:path';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';
import { projectDirectory, projectFiles } from '../support/project.ts';

/**
 * The rooms by floor, lowest first; the longest path that fits a file is its room. An import goes to a lower floor or
 * stays in its room.
 */
const FLOORS: readonly (readonly string[])[] = [
  ['src/errors.ts', 'src/typebox.ts', 'src/version.ts'],
  ['src/postgres', 'src/platform', 'src/config'],
  ['catalog', 'storage-drivers'],
  // The API's documents are types and schemas: what a request means is read by the room that it concerns.
  ['src/service/api-parts.ts'],
  ['src/service/api-proof.ts', 'src/service/api-writers.ts'],
  ['src/repository', 'src/service/api.ts'],
  ['src/wal'],
  ['src/backup', 'src/restore', 'src/retention'],
  // A drill is a restore that is really done.
  ['src/verify'],
  // Setting up uses what restores know of running servers.
  ['src/copy', 'src/setup'],
  ['src/service'],
  ['src/open-stores.ts'],
  ['src/compose.ts', 'src/worker.ts'],
  ['src/cli'],
];

/** Imports that do not go down, each with its reason. */
const EXCEPTIONS: readonly { readonly from: string; readonly to: string; readonly reason: string }[] = [
  { from: 'src/config', to: 'catalog/catalog.ts', reason: 'the types of names' },
  { from: 'src/config', to: 'src/repository/names.ts', reason: 'what a name may look like' },
  { from: 'catalog', to: 'storage-drivers/driver.ts', reason: 'the types of keys and checksums' },
];

/** Where a package is at home. What is not listed here is used nowhere in the product. */
const HOMES: Readonly<Record<string, readonly string[]>> = {
  '@node-rs/crc32': ['src/postgres'],
  '@fastify/swagger': ['src/service'],
  '@fastify/type-provider-typebox': ['src/service'],
  'better-sqlite3': ['catalog'],
  'cli-progress': ['src/cli'],
  commander: ['src/cli'],
  croner: ['src/config'],
  fastify: ['src/service'],
  '@aws-sdk/client-s3': ['storage-drivers/s3'],
  '@azure/identity': ['storage-drivers/azure'],
  '@azure/storage-blob': ['storage-drivers/azure'],
  '@google-cloud/storage': ['storage-drivers/gcs'],
  '@scure/base': ['storage-drivers/age'],
  'age-encryption': ['storage-drivers/age'],
  'async-mutex': ['storage-drivers'],
  'p-queue': ['src/wal', 'src/platform'],
  ssh2: ['storage-drivers/sftp'],
  pg: ['src/postgres'],
  pino: ['src/platform'],
  piscina: ['src/platform'],
  'prom-client': ['src/service'],
  'toml-eslint-parser': ['src/config'],
  // Schemas of what comes from outside: requests, and objects of a repository.
  typebox: ['src/typebox.ts'],
  'zstd-napi': ['src/repository'],
};

const MAX_LINES = 400;

interface Import {
  readonly from: string;
  /** A file of the project, or the name of a package. */
  readonly to: string;
  readonly isFile: boolean;
  readonly typesOnly: boolean;
}

const files = projectFiles();
const productFiles = files.filter((file) => /^(src|catalog|storage-drivers)\/.*\.ts$/.test(file));
const imports = productFiles.flatMap(importsOf);

function read(file: string): string {
  return readFileSync(join(projectDirectory, file), 'utf8');
}

function importsOf(file: string): readonly Import[] {
  const source = ts.createSourceFile(file, read(file), ts.ScriptTarget.ESNext);
  return source.statements.flatMap((statement): readonly Import[] => {
    if (!ts.isImportDeclaration(statement) && !ts.isExportDeclaration(statement)) return [];
    const { moduleSpecifier } = statement;
    if (moduleSpecifier === undefined || !ts.isStringLiteral(moduleSpecifier)) return [];
    const name = moduleSpecifier.text;
    const typesOnly = isTypesOnly(statement);
    if (name.startsWith('.')) return [{ from: file, to: normalize(join(file, '..', name)), isFile: true, typesOnly }];
    if (name.startsWith('node:')) return [];
    const parts = name.split('/').slice(0, name.startsWith('@') ? 2 : 1);
    return [{ from: file, to: parts.join('/'), isFile: false, typesOnly }];
  });
}

/** Whether nothing of the import is left at run time. */
function isTypesOnly(statement: ts.ImportDeclaration | ts.ExportDeclaration): boolean {
  if (ts.isExportDeclaration(statement)) return statement.isTypeOnly;
  const clause = statement.importClause;
  if (clause === undefined) return false;
  const { phaseModifier, name, namedBindings } = clause;
  if (phaseModifier === ts.SyntaxKind.TypeKeyword) return true;
  if (name !== undefined || namedBindings === undefined || !ts.isNamedImports(namedBindings)) return false;
  return namedBindings.elements.every((element) => element.isTypeOnly);
}

function isIn(file: string, room: string): boolean {
  return file === room || file.startsWith(`${room}/`);
}

function roomOf(file: string): { readonly room: string; readonly floor: number } {
  const fitting = FLOORS.flatMap((rooms, floor) => rooms.map((room) => ({ room, floor })))
    .filter(({ room }) => isIn(file, room))
    .sort((a, b) => b.room.length - a.room.length);
  const [best] = fitting;
  if (best === undefined) throw new Error(`${file} is in no room: add it to FLOORS`);
  return best;
}

function goesDown({ from, to }: Import): boolean {
  const [above, below] = [roomOf(from), roomOf(to)];
  if (above.room === below.room || above.floor > below.floor) return true;
  return EXCEPTIONS.some((exception) => isIn(from, exception.from) && isIn(to, exception.to));
}

/** The first circle found from `file`, as a path that ends where it began. */
function circleFrom(
  file: string,
  graph: ReadonlyMap<string, readonly string[]>,
  done: Set<string>,
  path: readonly string[],
): readonly string[] | undefined {
  if (path.includes(file)) return [...path.slice(path.indexOf(file)), file];
  if (done.has(file)) return undefined;
  for (const next of graph.get(file) ?? []) {
    const circle = circleFrom(next, graph, done, [...path, file]);
    if (circle !== undefined) return circle;
  }
  done.add(file);
  return undefined;
}

describe('the rooms', () => {
  it('import downwards only', () => {
    const upwards = imports.filter((one) => one.isFile && !goesDown(one)).map(({ from, to }) => `${from} -> ${to}`);
    expect(upwards).toEqual([]);
  });

  it('have no circle of files that load each other', () => {
    const loads = imports.filter((one) => one.isFile && !one.typesOnly);
    const graph = new Map(
      productFiles.map((file) => [file, loads.filter(({ from }) => from === file).map(({ to }) => to)]),
    );
    const done = new Set<string>();
    const circles = productFiles.flatMap((file) => circleFrom(file, graph, done, [])?.join(' -> ') ?? []);
    expect(circles).toEqual([]);
  });

  it('name concrete catalogs in compose.ts and drivers in open-stores.ts only', () => {
    const named = imports.filter(
      ({ from, to, isFile }) =>
        isFile &&
        /^src\//.test(from) &&
        ((/^catalog\/[^/]+\//.test(to) && from !== 'src/compose.ts') ||
          (/^storage-drivers\/[^/]+\//.test(to) && from !== 'src/open-stores.ts')),
    );
    expect(named.map(({ from, to }) => `${from} -> ${to}`)).toEqual([]);
  });

  it('hold each package in its home', () => {
    const strays = imports.filter(
      ({ from, to, isFile }) => !isFile && !(HOMES[to] ?? []).some((home) => isIn(from, home)),
    );
    expect(strays.map(({ from, to }) => `${from} => ${to}`)).toEqual([]);
  });
});

describe('the files', () => {
  it(`have at most ${MAX_LINES} lines`, () => {
    const long = files
      .filter((file) => /\.(ts|js|mjs|sh)$/.test(file) || file.startsWith('bin/'))
      .filter((file) => read(file).split('\n').length > MAX_LINES + 1);
    expect(long).toEqual([]);
  });

  it('export nothing by default', () => {
    const byDefault = productFiles.filter((file) => /^export default /m.test(read(file)));
    expect(byDefault).toEqual([]);
  });

  it('know nothing of the machine that they were written on', () => {
    const own = 'test/unit/architecture.test.ts';
    const texts = files.filter(
      (file) => file !== own && /\.(ts|js|mjs|json|md|toml|service|sh|yml)$|^bin\//.test(file),
    );
    const strays = texts.filter((file) => /\/work\/|\/root\/|\/tmp\/wt\b|\/home\/\w+\/|"resolved":/.test(read(file)));
    expect(strays).toEqual([]);
  });
});
