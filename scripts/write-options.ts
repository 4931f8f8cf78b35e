import { writeFileSync } from 'node:fs';
import { optionsDocument } from '../src/config/options-document.ts';

// npm run docs: from the compiled place, dist/scripts, to docs/options.md of the project.
writeFileSync(new URL('../../docs/options.md', import.meta.url), optionsDocument());
