/**
 * A folder with inputs in which entries are measured, in turn.
 *
 * 1. `prepare`: makes the inputs of the entries; who cannot run is left out, with the reason.
 * 2. `runAll`: new target, sources in the page cache, run, compare with the source, remove.
 *
 * Not promised: that nothing else runs on the machine; the load is part of the results.
 */
import { access, cp, stat, symlink } from 'node:fs/promises'
import { delimiter, dirname, join } from 'node:path'
import { OsflashError, throwIfCancelled } from '../src/errors.ts'
import { run } from '../src/system/run.ts'
import type { Entry } from './entry.ts'
import { findPrograms } from './machine.ts'
import { type Measurement, measure, type Shell, shell } from './measure.ts'
import { type Passes, type PlannedRun, runsOf, type Skipped } from './plan.ts'
import type { EntryRuns } from './results.ts'

/** Of zstd, for osflash and for peers. */
export const LEVEL = 3

const root = join(import.meta.dirname, '..')
const TOOLS = [
  ...['time', 'taskset', 'bash', 'find', 'tar', 'mke2fs', 'fallocate', 'cmp', 'diff', 'sync'],
  ...['seq', 'stat', 'xargs'],
]

/** Every entry starts with no target, and nothing left to write. */
const CLEAN = 'rm -rf out.*; sync -f .'

export const say = (text: string): void => {
  process.stderr.write(`bench: ${text}\n`)
}

/** @throws OsflashError `missing-tool` when the bench itself lacks something */
export async function programsFor(entries: readonly Entry[]): Promise<ReadonlySet<string>> {
  const programs = await findPrograms([...TOOLS, ...entries.flatMap(({ needs }) => needs)])
  const missing = TOOLS.filter((name) => !programs.has(name))
  if (missing.length === 0) return programs
  throw new OsflashError('missing-tool', `starting the bench: no ${missing.join(', ')}`, {
    hints: ['install them (time, e2fsprogs, util-linux, diffutils)'],
  })
}

/** The variables of the commands in `folder`. @param program starts osflash, if not our own */
export async function environmentOf(
  folder: string,
  program?: string,
): Promise<Readonly<Record<string, string>>> {
  return {
    PATH: [dirname(process.execPath), process.env.PATH ?? ''].join(delimiter),
    OSFLASH: program ?? (await compileProgram(folder)),
    BENCH: join(root, 'bench'),
    // As bin/osflash sets it, for the engine alone.
    UV_THREADPOOL_SIZE: '16',
    LEVEL: String(LEVEL),
  }
}

/** Makes what a host installs, in the folder: `dist` may change while the bench runs. */
async function compileProgram(folder: string): Promise<string> {
  const installed = join(folder, 'program')
  await run([process.execPath, join(root, 'scripts', 'build.ts'), join(installed, 'dist')])
  await cp(join(root, 'bin'), join(installed, 'bin'), { recursive: true })
  await cp(join(root, 'package.json'), join(installed, 'package.json'))
  await symlink(join(root, 'node_modules'), join(installed, 'node_modules'))
  return join(installed, 'bin', 'osflash')
}

/** The same folder for `entry`, on `cores` processors. */
const pinned = (where: Shell, entry: Entry, cores: number): Shell => ({
  ...where,
  env: { ...where.env, WORKERS: String(entry.workers ?? cores) },
  cores,
})

/** Makes the inputs of all entries; an entry whose input cannot be made is left out. */
export async function prepare(where: Shell, entries: readonly Entry[]) {
  const ready: Entry[] = []
  const failed: Skipped[] = []
  for (const entry of entries) {
    try {
      for (const { file, command } of entry.inputs ?? []) {
        if (await isThere(join(where.folder, file))) continue
        say(`making ${file}`)
        await shell(where, command)
      }
      if (entry.probe !== undefined) await shell(where, entry.probe)
      // Some tools are there but too old for the format: the first run tells.
      if (entry.kind === 'peer' && entry.check === undefined) await shell(where, entry.run)
      ready.push(entry)
    } catch (error) {
      throwIfCancelled(where.signal)
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

/** Measures all entries in all passes; in the order of passes and entries. */
export async function runAll(
  where: Shell,
  entries: readonly Entry[],
  passes: Passes,
): Promise<readonly EntryRuns[]> {
  const all = new Map<string, EntryRuns>()
  for (const planned of runsOf(entries, passes)) {
    const { round, cores, entry } = planned
    const key = `${cores} ${entry.name}`
    const { measurement, ...output } = await runOne(where, planned)
    const before = all.get(key)?.measurements ?? []
    all.set(key, { entry, cores, measurements: [...before, measurement], ...output })
    say(`round ${round}, ${cores} cores: ${entry.name}: ${tookText(measurement)}`)
  }
  return [...all.values()]
}

const tookText = ({ seconds, cpuSeconds }: Measurement): string =>
  `${seconds.toFixed(2)} s, processors ${cpuSeconds.toFixed(2)} s`

async function runOne(where: Shell, { entry, cores }: PlannedRun) {
  const own = pinned(where, entry, cores)
  await shell(own, CLEAN)
  if (entry.reads !== '') await shell(own, `cat ${entry.reads} > /dev/null`)
  if (entry.before !== undefined) await shell(own, entry.before)
  try {
    const measurement = await measure(own, entry)
    if (entry.check !== undefined) await shell(own, entry.check)
    if (entry.output === undefined) return { measurement }
    const { size } = await stat(join(where.folder, entry.output))
    return { measurement, outputBytes: size }
  } finally {
    const last = { ...own, signal: new AbortController().signal }
    if (entry.after !== undefined) await shell(last, entry.after)
    await shell(last, 'rm -rf out.*')
  }
}

/** Ends what the commands left running: gpg starts an agent in its folder. */
export async function endAgents(where: Shell, programs: ReadonlySet<string>): Promise<void> {
  if (!programs.has('gpg')) return
  const last = { ...where, signal: new AbortController().signal }
  await shell(last, 'gpgconf --homedir gpg --kill all')
}
