import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Entry, secondsPrinted } from '../../bench/entry.ts'
import { measure, type Shell, shell } from '../../bench/measure.ts'

let where: Shell

beforeAll(async () => {
  const folder = await mkdtemp(join(tmpdir(), 'osflash-measure-'))
  where = { folder, env: { WORD: 'seen' }, signal: new AbortController().signal }
})
afterAll(() => rm(where.folder, { recursive: true, force: true }))

const entry = (run: string, more: Partial<Entry> = {}): Entry => ({
  name: 'x',
  group: 'disk',
  kind: 'peer',
  title: 'x',
  needs: [],
  reads: '',
  run,
  ...more,
})

test('a line of bash sees folder and variables, and gives what it prints', async () => {
  expect(await shell(where, 'echo "$WORD"; pwd')).toBe(`seen\n${where.folder}\n`)
})

test('a pipeline fails with any of its parts', async () => {
  await expect(shell(where, 'false | cat')).rejects.toMatchObject({ code: 'process' })
})

test('an unset variable fails, and so a target is never a wrong file', async () => {
  await expect(shell(where, 'echo $DISK_BYTES')).rejects.toMatchObject({ code: 'process' })
})

test('the whole process is timed, and its memory and processor time are seen', async () => {
  const work = 'x=; for ((i = 0; i < 200000; i++)); do x=$i; done; sleep 0.1'
  const { seconds, wallSeconds, cpuSeconds, peakBytes } = await measure(where, entry(work))
  expect(seconds).toBe(wallSeconds)
  expect(cpuSeconds).toBeGreaterThan(0)
  expect(cpuSeconds).toBeLessThan(seconds)
  expect(peakBytes).toBeGreaterThan(500_000)
})

test('an entry may say itself what it took', async () => {
  const { wallSeconds, ...one } = await measure(where, entry('echo 0.25', { took: secondsPrinted }))
  expect(one.seconds).toBe(0.25)
  const both = await measure(where, entry('echo 100 300', { took: secondsPrinted }))
  expect(both).toMatchObject({ seconds: 100, cpuSeconds: 300 })
  expect(wallSeconds).toBeLessThan(100)
})

test('what is measured runs on as many processors as were asked for', async () => {
  const counted = entry('nproc', { took: secondsPrinted })
  expect((await measure({ ...where, cores: 1 }, counted)).seconds).toBe(1)
})

test('a failing command is no measurement', async () => {
  await expect(measure(where, entry('exit 3'))).rejects.toMatchObject({
    code: 'process',
    data: { status: 3 },
  })
})
