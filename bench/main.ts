/**
 * `npm run bench`: ceilings, peers and osflash on this machine, in turn.
 *
 * 1. Build the input in a scratch folder, which is removed at the end, also after Ctrl-C.
 * 2. Detect which peers exist, and make what they read; who cannot is left out, with the reason.
 * 3. Rounds: new target, sources in the page cache, run, compare with the source, remove.
 * 4. Write bench/results/DATE-MACHINE.json, .md and .svg, and print the table.
 */
import { access, mkdir, stat, writeFile } from 'node:fs/promises'
import { loadavg } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { exitStatus, OsflashError, throwIfCancelled } from '../src/errors.ts'
import { makeScratch } from '../src/system/scratch.ts'
import { renderChart } from './chart.ts'
import { diskEntries } from './disk-entries.ts'
import type { Entry } from './entry.ts'
import { buildInput } from './input.ts'
import { describeMachine, findPrograms, machineSlug, versionsOf } from './machine.ts'
import { type Measurement, measure, type Shell, shell } from './measure.ts'
import { type BenchOptions, HELP, readOptions } from './options.ts'
import { packEntries } from './pack-entries.ts'
import { planBench, runsOf, type Skipped } from './plan.ts'
import { type BenchResults, type EntryRuns, resultOf } from './results.ts'
import { renderMarkdown } from './table.ts'
import { treeEntries } from './tree-entries.ts'

const root = join(import.meta.dirname, '..')
const LEVEL = 3
const TOOLS = ['time', 'bash', 'find', 'tar', 'mke2fs', 'fallocate', 'cmp', 'diff', 'sync']

/** Every entry starts with no target, nothing left to write, and its source in memory. */
const CLEAN =
  'rm -rf out.*; sync -f .; shopt -s nullglob; cat *.osimg disk.* tree.* frames.* > /dev/null'

const cancel = new AbortController()
process.once('SIGINT', () => cancel.abort())
process.once('SIGTERM', () => cancel.abort())

const say = (text: string): void => {
  process.stderr.write(`bench: ${text}\n`)
}

async function main(): Promise<void> {
  const options = readOptions(process.argv.slice(2), join(root, 'build', 'bench'))
  if (options.help) {
    process.stdout.write(HELP)
    return
  }
  const results = await bench(options)
  const folder = join(root, 'bench', 'results')
  await mkdir(folder, { recursive: true })
  const path = join(folder, `${results.date}-${machineSlug(results.machine)}`)
  const page = renderMarkdown(results)
  await writeFile(`${path}.json`, `${JSON.stringify(results, undefined, 1)}\n`)
  await writeFile(`${path}.md`, page)
  await writeFile(`${path}.svg`, renderChart(results))
  process.stdout.write(`${page}\nwritten: ${path}.json, .md, .svg\n`)
}

async function bench(options: BenchOptions): Promise<BenchResults> {
  const entries = [...diskEntries, ...treeEntries, ...packEntries]
  const programs = await findPrograms([...TOOLS, ...entries.flatMap(({ needs }) => needs)])
  const missing = TOOLS.filter((name) => !programs.has(name))
  if (missing.length > 0) {
    throw new OsflashError('missing-tool', `starting the bench: no ${missing.join(', ')}`, {
      hints: ['install them (time, e2fsprogs, util-linux, diffutils)'],
    })
  }
  const plan = planBench({ entries, only: options.only, programs })
  await mkdir(options.folder, { recursive: true })
  await using scratch = await makeScratch('bench', options.folder)
  const env = environmentOf(options)
  const bare: Shell = { folder: scratch.path, env, signal: cancel.signal }
  say(`building the input in ${scratch.path}`)
  const input = await buildInput(options.large ? 'large' : 'small', bare)
  const { diskBytes, mappedBytes } = input
  const sizes = { DISK_BYTES: String(diskBytes), MAPPED_BYTES: String(mappedBytes) }
  const where: Shell = { ...bare, env: { ...env, ...sizes } }
  try {
    const { ready, failed } = await prepare(where, plan.entries)
    const loadBefore = loadavg()[0] ?? 0
    const runs = await runAll(where, ready, options.rounds)
    return {
      format: 'osflash-bench/1',
      date: new Date().toISOString().slice(0, 10),
      machine: describeMachine(),
      workers: options.workers,
      rounds: options.rounds,
      level: LEVEL,
      loadBefore,
      input,
      versions: await versionsOf(ready.flatMap(({ needs }) => needs)),
      entries: runs.map((run) => resultOf(run, input)),
      skipped: [...plan.skipped, ...failed],
    }
  } finally {
    // gpg starts an agent in its folder, which would outlive the bench.
    if (programs.has('gpg')) await shell(withoutSignal(where), 'gpgconf --homedir gpg --kill all')
  }
}

function environmentOf({ workers }: BenchOptions): Record<string, string> {
  return {
    PATH: [dirname(process.execPath), process.env.PATH ?? ''].join(delimiter),
    OSFLASH: join(root, 'bin', 'osflash'),
    BENCH: join(root, 'bench'),
    WORKERS: String(workers),
    LEVEL: String(LEVEL),
  }
}

const withoutSignal = (where: Shell): Shell => ({ ...where, signal: new AbortController().signal })

/** Makes the inputs of all entries; an entry whose input cannot be made is left out. */
async function prepare(where: Shell, entries: readonly Entry[]) {
  const ready: Entry[] = []
  const failed: Skipped[] = []
  for (const entry of entries) {
    try {
      for (const { file, command } of entry.inputs ?? []) {
        if (await isThere(join(where.folder, file))) continue
        say(`making ${file}`)
        await shell(where, command)
      }
      // Some tools are there but too old for the format: the first run tells.
      if (entry.kind === 'peer' && entry.check === undefined) await shell(where, entry.run)
      ready.push(entry)
    } catch (error) {
      throwIfCancelled(cancel.signal)
      const why = error instanceof Error ? error.message : String(error)
      say(`leaving out ${entry.name}: ${why}`)
      failed.push({ name: entry.name, why: `its first run failed: ${why}` })
    }
  }
  return { ready, failed }
}

function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}

async function runAll(where: Shell, entries: readonly Entry[], rounds: number) {
  const measurements = new Map<string, Measurement[]>()
  const outputs = new Map<string, number>()
  for (const { round, entry } of runsOf(entries, rounds)) {
    const measured = await runOne(where, entry)
    measurements.set(entry.name, [...(measurements.get(entry.name) ?? []), measured.measurement])
    if (measured.outputBytes !== undefined) outputs.set(entry.name, measured.outputBytes)
    const { seconds, cpuSeconds, wallSeconds } = measured.measurement
    const cpu = (cpuSeconds / wallSeconds).toFixed(1)
    say(`round ${round}: ${entry.name}: ${seconds.toFixed(2)} s, ${cpu} cores`)
  }
  return entries.map((entry): EntryRuns => {
    const outputBytes = outputs.get(entry.name)
    const taken = measurements.get(entry.name) ?? []
    return { entry, measurements: taken, ...(outputBytes === undefined ? {} : { outputBytes }) }
  })
}

async function runOne(where: Shell, entry: Entry) {
  await shell(where, CLEAN)
  if (entry.before !== undefined) await shell(where, entry.before)
  const measurement = await measure(where, entry)
  if (entry.check !== undefined) await shell(where, entry.check)
  const outputBytes =
    entry.output === undefined ? undefined : (await stat(join(where.folder, entry.output))).size
  await shell(where, 'rm -rf out.*')
  return { measurement, outputBytes }
}

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
