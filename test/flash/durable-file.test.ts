import { readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { removeFileSafely, writeFileSafely } from '../../src/flash/durable-file.ts'
import { makeScratch } from '../../src/system/scratch.ts'

async function folder(): Promise<string> {
  const scratch = await makeScratch('durable-test')
  onTestFinished(() => scratch[Symbol.asyncDispose]())
  return scratch.path
}

test('makes a file with exactly these bits, and replaces it', async () => {
  const path = join(await folder(), 'file')
  await writeFileSafely(path, 'one', 0o666)
  expect((await stat(path)).mode & 0o777).toBe(0o666)
  await writeFileSafely(path, Buffer.from('two'), 0o600)
  expect(await readFile(path, 'utf8')).toBe('two')
  expect((await stat(path)).mode & 0o777).toBe(0o600)
})

test('leaves no second name, and takes away that of a run that was cut', async () => {
  const at = await folder()
  await writeFile(join(at, 'file.new'), 'half')
  await writeFileSafely(join(at, 'file'), 'whole', 0o600)
  expect(await readdir(at)).toEqual(['file'])
})

test('does not write through a link that stands in its way', async () => {
  const at = await folder()
  await writeFile(join(at, 'outside'), 'kept')
  await symlink(join(at, 'outside'), join(at, 'file.new'))
  await writeFileSafely(join(at, 'file'), 'whole', 0o600)
  expect(await readFile(join(at, 'outside'), 'utf8')).toBe('kept')
})

test('a write that fails leaves the old file alone', async () => {
  const at = await folder()
  await expect(writeFileSafely(join(at, 'no/file'), '', 0o600)).rejects.toMatchObject({
    code: 'io',
    message: `writing ${join(at, 'no/file')}: no such file or directory`,
  })
  expect(await readdir(at)).toEqual([])
})

test('removes a file, and does not mind when it is gone', async () => {
  const at = await folder()
  await writeFile(join(at, 'file'), '')
  await removeFileSafely(join(at, 'file'))
  await removeFileSafely(join(at, 'file'))
  await removeFileSafely(join(at, 'no/file'))
  expect(await readdir(at)).toEqual([])
})
