/**
 * `npm run bench`: ceilings, peers and osflash on this machine, in turn.
 *
 * 1. Build the input in a scratch folder, which is removed at the end, also after Ctrl-C.
 * 2. Detect which peers exist, and make what they read; who cannot is left out, with the reason.
 * 3. Rounds on 2 processors and on all: see session.ts.
 * 4. Write bench/results/DATE-MACHINE.json, .md and .svg, and print the table; a part of the
 *    bench (`--only`) goes to build/bench-results.
 */
import { mkdir, writeFile } from 'node:fs/promises'
import { loadavg } from 'node:os'
import { join } from 'node:path'
import { exitStatus, OsflashError } from '../src/errors.ts'
import { makeScratch } from '../src/system/scratch.ts'
import { renderChart } from './chart.ts'
import { codecEntries } from './codec-entries.ts'
import { diskEntries } from './disk-entries.ts'
import type { Entry } from './entry.ts'
import { buildInput } from './input.ts'
import { describeMachine, machineSlug, versionsOf } from './machine.ts'
import type { Shell } from './measure.ts'
import { memoryEntries } from './memory-entries.ts'
import { type BenchOptions, HELP, readOptions } from './options.ts'
import { packEntries } from './pack-entries.ts'
import { planBench } from './plan.ts'
import { type BenchResults, resultOf } from './results.ts'
import { frameFiles, scalingEntries, workerCounts } from './scaling-entries.ts'
import { endAgents, environmentOf, LEVEL, prepare, programsFor, runAll, say } from './session.ts'
import { renderMarkdown } from './table.ts'
import { treeEntries } from './tree-entries.ts'

const root = join(import.meta.dirname, '..')

const cancel = new AbortController()
process.once('SIGINT', () => cancel.abort())
process.once('SIGTERM', () => cancel.abort())

async function main(): Promise<void> {
  const options = readOptions(process.argv.slice(2), join(root, 'build', 'bench'))
  if (options.help) {
    process.stdout.write(HELP)
    return
  }
  const results = await bench(options)
  // A part must not take the place of the whole.
  const kept = options.only.length === 0 ? 'bench/results' : 'build/bench-results'
  const folder = options.results ?? join(root, kept)
  await mkdir(folder, { recursive: true })
  const size = options.large ? '-large' : ''
  const path = join(folder, `${results.date}-${machineSlug(results.machine)}${size}`)
  const page = renderMarkdown(results)
  await writeFile(`${path}.json`, `${JSON.stringify(results, undefined, 1)}\n`)
  await writeFile(`${path}.md`, page)
  await writeFile(`${path}.svg`, renderChart(results))
  process.stdout.write(`${page}\nwritten: ${path}.json, .md, .svg\n`)
}

async function bench(options: BenchOptions): Promise<BenchResults> {
  const { cores, rounds, large } = options
  // Building the inputs is work of its own: the load of others shows before it.
  const loadBefore = loadavg()[0] ?? 0
  const widest = Math.max(...cores)
  const entries = allEntries(widest)
  const programs = await programsFor(entries)
  const plan = planBench({ entries, only: options.only, mainOnly: large, programs })
  await mkdir(options.folder, { recursive: true })
  await using scratch = await makeScratch('bench', options.folder)
  const files = frameFiles([...cores, ...workerCounts(widest)])
  const env = {
    ...(await environmentOf(scratch.path, options.program)),
    WORKERS: String(widest),
    FRAME_FILES: String(files),
  }
  const bare: Shell = { folder: scratch.path, env, signal: cancel.signal }
  say(`building the input in ${scratch.path}`)
  const input = await buildInput(large ? 'large' : 'small', bare)
  const { diskBytes, mappedBytes } = input
  const sizes = { DISK_BYTES: String(diskBytes), MAPPED_BYTES: String(mappedBytes) }
  const where: Shell = { ...bare, env: { ...env, ...sizes } }
  try {
    const { ready, failed } = await prepare(where, plan.entries)
    const runs = await runAll(where, ready, { rounds, cores })
    return {
      format: 'osflash-bench/2',
      date: new Date().toISOString().slice(0, 10),
      machine: describeMachine(),
      cores,
      rounds,
      level: LEVEL,
      loadBefore,
      input,
      versions: await versionsOf(ready.flatMap(({ needs }) => needs)),
      entries: runs.map((run) => resultOf(run, input)),
      skipped: [...plan.skipped, ...failed],
    }
  } finally {
    await endAgents(where, programs)
  }
}

const allEntries = (cores: number): readonly Entry[] => [
  ...diskEntries,
  ...scalingEntries(cores),
  ...treeEntries,
  ...packEntries,
  ...codecEntries,
  ...memoryEntries,
]

try {
  await main()
} catch (error) {
  if (error instanceof OsflashError) {
    say(error.message)
    const { stderr = '' } = error.data
    for (const line of [String(stderr).trim(), ...error.hints]) if (line !== '') say(line)
  } else say(String(error))
  process.exitCode = exitStatus(error)
}
