/**
 * The step of the build behind the compiler: makes one file of each of these modules and of what it imports from packages.
 * They work without it, but slower: every file that a thread loads takes it some tenths of a millisecond.
 */
import { fileURLToPath } from 'node:url';
import { build } from 'rolldown';

const MODULES = ['src/typebox.js'];

for (const name of MODULES) {
  const path = fileURLToPath(new URL(`../dist/${name}`, import.meta.url));
  // In place, so that nobody need know: what is in one file already stays as it is.
  await build({
    input: path,
    platform: 'node',
    logLevel: 'warn',
    output: { file: path, format: 'esm', sourcemap: false },
  });
}
