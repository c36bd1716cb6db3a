/**
 * `npm run e2e -- NAME…`: scenarios on whole machines, by name; without a name all of them.
 *
 * 1. NAME is that of a file, test/e2e/NAME.test.ts, or of several: NAME-….test.ts.
 * 2. `--core` stands for the five that matter most; `.ci/run` has time for three of them.
 * 3. As many machines at once as there are processors, for each of them keeps one busy.
 * 4. What begins with a dash, and all behind it, goes to vitest: `-t bios` takes a part of a file.
 * 5. What vitest reports goes to build/reports/e2e.json, which .ci/run sums up.
 */
import { readdir } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { runSuite } from './suites.ts'

const CORE = ['bios-two-disks', 'uefi-two-disks', 'rescue-dead', 'target-dead', 'power-cut']
const ENDING = '.test.ts'

const folder = join(import.meta.dirname, '../test/e2e')
const known = (await readdir(folder))
  .filter((file) => file.endsWith(ENDING))
  .map((file) => file.slice(0, -ENDING.length))

const words = process.argv.slice(2)
const place = words.findIndex((word) => word.startsWith('-') && word !== '--core')
const ours = place === -1 ? words : words.slice(0, place)
const options = words.slice(ours.length)
const names = [
  ...ours.filter((word) => word !== '--core'),
  ...(ours.includes('--core') ? CORE : []),
]
const filesOf = (name: string): readonly string[] =>
  known.filter((file) => file === name || file.startsWith(`${name}-`))
const unknown = names.filter((name) => filesOf(name).length === 0)
if (unknown.length > 0) {
  throw new Error(`no scenario ${unknown.join(', ')}; there are ${known.toSorted().join(', ')}`)
}
const chosen = names.length > 0 ? new Set(names.flatMap(filesOf)) : known
const files = [...chosen].map((name) => `test/e2e/${name}${ENDING}`)
// By vitest.config.ts two files at once, at most.
const atOnce = Math.max(1, Math.floor(availableParallelism() / Math.min(2, files.length)))
const env = { OSFLASH_MACHINES: String(atOnce) }
process.exitCode = await runSuite('e2e', [...files, ...options], env)
