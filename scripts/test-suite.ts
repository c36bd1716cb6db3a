/**
 * One slow suite: `node scripts/test-suite.ts boot`. Writes build/reports/NAME.json, which
 * .ci/run sums up.
 */

import { runSuite } from './suites.ts'

const [name, ...more] = process.argv.slice(2)
if (name === undefined) throw new Error('usage: node scripts/test-suite.ts SUITE [vitest options]')
process.exitCode = await runSuite(name, more)
