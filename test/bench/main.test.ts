import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { HELP } from '../../bench/options.ts'
import { run } from '../../src/system/run.ts'
import { makeScratch } from '../../src/system/scratch.ts'

const main = join(import.meta.dirname, '../../bench/main.ts')
const bench = (...words: string[]) =>
  run([process.execPath, main, ...words], { statuses: [0, 2, 6, 130] })

test('the help needs nothing', async () => {
  expect(await bench('--help')).toMatchObject({ status: 0, stdout: HELP })
})

test('a wrong name ends before any input is built', async () => {
  await using scratch = await makeScratch('bench-test')
  const { status, stderrTail } = await bench('--only', 'nothing', '--folder', scratch.path)
  expect(status).toBe(2)
  expect(stderrTail).toMatch(/^bench: reading --only: no entry nothing\nbench: the entries are /)
  expect(await readdir(scratch.path)).toEqual([])
})

test('a bench that is stopped leaves nothing in its folder', async () => {
  await using scratch = await makeScratch('bench-test')
  const stop = new AbortController()
  const stopped = run([process.execPath, main, '--folder', scratch.path], {
    signal: stop.signal,
    onStderr: (text) => {
      if (text.includes('building the input')) stop.abort()
    },
  })
  await expect(stopped).rejects.toMatchObject({ code: 'cancelled' })
  expect(await readdir(scratch.path)).toEqual([])
})
