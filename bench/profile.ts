/**
 * `npm run bench:profile`: where the time of an unpack goes, on this machine.
 *
 * 1. The input of the small bench, in a scratch folder.
 * 2. Time per stage as `osflash unpack --stats` says it; three runs.
 * 3. Allocations per frame (allocations.ts) and system calls per GiB (syscalls.ts).
 * 4. Writes bench/results/DATE-MACHINE-profile.md, and prints it.
 */
import { mkdir, writeFile } from 'node:fs/promises'
import { availableParallelism, loadavg } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { makeScratch } from '../src/system/scratch.ts'
import { type Allocated, measureAllocations } from './allocations.ts'
import { buildInput } from './input.ts'
import { describeMachine, machineSlug, machineText } from './machine.ts'
import { type Shell, shell } from './measure.ts'
import { environmentOf, programsFor, say } from './session.ts'
import { type CallCount, countCalls, perGib } from './syscalls.ts'
import { READING } from './words.ts'

const RUNS = 3
/** Calls that are rarer say nothing. */
const FEWEST_CALLS = 50

const root = join(import.meta.dirname, '..')
const { values } = parseArgs({ options: { program: { type: 'string' } } })
const parent = join(root, 'build')
const cancel = new AbortController()
process.once('SIGINT', () => cancel.abort())
process.once('SIGTERM', () => cancel.abort())

await programsFor([])
await mkdir(parent, { recursive: true })
// Building the input is work of its own.
const loadBefore = (loadavg()[0] ?? 0).toFixed(1)
await using scratch = await makeScratch('profile', parent)
const workers = availableParallelism()
const common = await environmentOf(scratch.path, values.program)
const env = { ...common, WORKERS: String(workers) }
const bare: Shell = { folder: scratch.path, env, signal: cancel.signal }
say(`building the input in ${scratch.path}`)
const { diskBytes, mappedBytes } = await buildInput('small', bare)
const where: Shell = { ...bare, env: { ...env, DISK_BYTES: String(diskBytes) } }
say('time per stage')
const stages: string[] = []
for (let n = 0; n < RUNS; n += 1) stages.push(await stagesOf(where))
say('allocations per frame')
const frames = Number(/ in (\d+) frames/.exec(stages.join(''))?.[1])
const allocated = await measureAllocations(where, frames)
say('system calls')
const calls = perGib(await countCalls(where), mappedBytes)

const machine = describeMachine()
const date = new Date().toISOString().slice(0, 10)
const page = [
  `# Profile of ${date}`,
  '',
  `${machineText(machine)}; ${workers} workers; ${Math.round(mappedBytes / 1e6)} MB of data in`,
  `${frames} frames, to an allocated file; load before the run ${loadBefore}.`,
  '',
  '## Time per stage',
  ...stages.flatMap((text) => ['', '```', text.trim(), '```']),
  '',
  '## Allocations per frame, nothing written',
  '',
  ...allocationRows(allocated),
  '',
  '## System calls per GiB of data, start and end of the process included',
  '',
  ...callRows(calls),
  '',
].join('\n')
const path = join(root, 'bench', 'results', `${date}-${machineSlug(machine)}-profile.md`)
await writeFile(path, page)
process.stdout.write(`${page}\nwritten: ${path}\n`)

async function stagesOf(from: Shell): Promise<string> {
  await shell(from, 'rm -f out.img; fallocate -l $DISK_BYTES out.img; sync -f .')
  const command = `$OSFLASH unpack disk.osimg --to out.img --force --stats ${READING}`
  const text = await shell(from, command)
  await shell(from, 'cmp disk.img out.img && rm out.img')
  return text
}

function allocationRows({ main, workers: ofWorkers, ...rest }: Allocated): readonly string[] {
  return [
    '| what | per frame |',
    '|---|--:|',
    `| heap of the main thread, bytes | ${Math.round(main)} |`,
    `| heaps of all workers, bytes | ${Math.round(ofWorkers)} |`,
    `| collections of all threads (young generation of 1 MiB) | ${rest.collections.toFixed(3)} |`,
    `| page faults | ${rest.pageFaults.toFixed(2)} |`,
  ]
}

function callRows(counts: readonly CallCount[]): readonly string[] {
  const frequent = counts.filter((count) => count.calls >= FEWEST_CALLS)
  const rows = frequent.map(({ name, calls: number }) => `| ${name} | ${Math.round(number)} |`)
  return ['| call | number |', '|---|--:|', ...rows]
}
