/**
 * `npm run bench:floor-proof`: shows that the floor sees a worker that is half as fast.
 *
 * 1. Copies the sources to a scratch folder in this checkout.
 * 2. There, the worker of the unpacker does every job (or every Nth) twice; nothing else changes.
 * 3. Runs the floor of that copy, which compiles it and must fail; a floor that passes is status 1.
 *
 * `npm run bench:floor-proof -- 2` does every second job twice: the fast path has lost a third.
 * `npm run bench:floor` is the other half of the proof: it must pass.
 */
import { cp, mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { run } from '../src/system/run.ts'
import { makeScratch } from '../src/system/scratch.ts'

const WORKER = 'src/unpack/decode-worker.ts'
const LEFT = new Set(['.git', 'build', 'dist', 'docs', 'node_modules', 'test'])

/** The worker's source, with every Nth job done twice. */
function slowed(source: string): string {
  const changed = source.replace(
    'answerJobs(parentPort, makeJobHandler)',
    `answerJobs(parentPort, (setup: Parameters<typeof makeJobHandler>[0]) => {
      const once = makeJobHandler(setup)
      let jobs = 0
      return (job) => {
        jobs += 1
        if (jobs % ${every} === 0) once(job)
        return once(job)
      }
    })`,
  )
  if (changed === source) throw new Error(`${WORKER} does not look as expected`)
  return changed
}

const every = Number(process.argv[2] ?? 1)
if (!(every >= 1)) throw new Error('usage: node bench/floor-proof.ts [N]')
const root = join(import.meta.dirname, '..')
const parent = join(root, 'build')
await mkdir(parent, { recursive: true })
await using scratch = await makeScratch('floor-proof', parent)
const inCopy = (...path: string[]): string => join(scratch.path, ...path)
for (const name of (await readdir(root)).filter((one) => !LEFT.has(one))) {
  await cp(join(root, name), inCopy(name), { recursive: true })
}
await writeFile(inCopy(WORKER), slowed(await readFile(inCopy(WORKER), 'utf8')))

const cancel = new AbortController()
process.once('SIGINT', () => cancel.abort())
process.once('SIGTERM', () => cancel.abort())
const inside = { cwd: scratch.path, signal: cancel.signal }
const floor = await run([process.execPath, inCopy('bench', 'floor.ts')], {
  ...inside,
  statuses: [0, 1],
})
process.stdout.write(floor.stdout)
const slow = every === 1 ? 'every job done twice' : `one job of ${every} done twice`
const seen = floor.status === 1 && floor.stdout.includes('BELOW')
process.stdout.write(
  seen
    ? `floor-proof: ok: with ${slow} the floor fails\n`
    : `floor-proof: FAILED: status ${floor.status} with ${slow}\n${floor.stderrTail}`,
)
process.exitCode = seen ? 0 : 1
