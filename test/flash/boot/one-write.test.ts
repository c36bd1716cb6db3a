import { constants } from 'node:fs'
import { readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import {
  readGrubEnvironment,
  setGrubVariables,
  writeGrubEnvironment,
} from '../../../src/flash/boot/grub-environment.ts'
import { readPiece, writeOnce } from '../../../src/flash/boot/one-write.ts'
import {
  changeGrubEnvironment,
  emptyGrubEnvironment,
} from '../../../src/format/grub-environment.ts'
import { makeScratch, type Scratch } from '../../../src/system/scratch.ts'
import { pattern } from '../../vectors/cases.ts'
import { faultyOpen } from './faulty-file.ts'

let scratch: Scratch
let path: string
beforeAll(async () => {
  scratch = await makeScratch('one-write')
  path = join(scratch.path, 'file')
})
afterAll(() => scratch[Symbol.asyncDispose]())
beforeEach(() => writeFile(path, pattern(10_000, 1)))

test('a piece is one write, then a flush, then a read; nothing beside it changes', async () => {
  const log: string[] = []
  const inode = (await stat(path)).ino
  await writeOnce({ path, offset: 512, bytes: pattern(512, 2) }, faultyOpen({}, log))
  expect(log).toEqual(['write 512 512', 'sync', 'read 0'])
  const expected = pattern(10_000, 1)
  expected.set(pattern(512, 2), 512)
  expect(await readFile(path)).toEqual(Buffer.from(expected))
  expect((await stat(path)).ino).toBe(inode)
})

test('where direct reads are refused, the page cache answers', async () => {
  const openError = { errno: 'EINVAL', flags: constants.O_DIRECT }
  const open = faultyOpen({ openError })
  await writeOnce({ path, offset: 5_000, bytes: pattern(100, 3) }, open)
  const seen = await readPiece({ path, offset: 5_000, length: 100 }, open)
  expect(seen).toEqual(Uint8Array.from(pattern(100, 3)))
})

test('a short write, another reading and a failing disk are errors', async () => {
  const piece = { path, offset: 0, bytes: pattern(1_024, 2) }
  await expect(writeOnce(piece, faultyOpen({ writesAtMost: 512 }))).rejects.toMatchObject({
    code: 'io',
    message: `writing ${path} at byte 0: 512 of 1024 bytes`,
  })
  await expect(writeOnce(piece, faultyOpen({ readsDiffer: true }))).rejects.toMatchObject({
    code: 'readback',
    message: `reading back ${path} at byte 0: it is not what was written`,
  })
  await expect(writeOnce(piece, faultyOpen({ writeError: 'EIO' }))).rejects.toMatchObject({
    code: 'io',
    message: `writing ${path} at byte 0: input/output error`,
  })
})

test('a file never grows, and is never made', async () => {
  await expect(writeOnce({ path, offset: 9_999, bytes: pattern(2, 1) })).rejects.toMatchObject({
    message: `writing ${path} at byte 9999: the file has 10000 bytes`,
  })
  expect((await stat(path)).size).toBe(10_000)
  const none = join(scratch.path, 'none')
  await expect(writeOnce({ path: none, offset: 0, bytes: pattern(2, 1) })).rejects.toMatchObject({
    message: `writing ${none} at byte 0: no such file or directory`,
  })
  await expect(stat(none)).rejects.toMatchObject({ code: 'ENOENT' })
  await expect(readPiece({ path, offset: 9_999, length: 2 })).rejects.toMatchObject({ code: 'io' })
})

test('an environment block is changed in place; a file that holds none stays', async () => {
  await expect(setGrubVariables(path, { trial: '1' })).rejects.toMatchObject({ code: 'format' })
  expect(await readFile(path)).toEqual(Buffer.from(pattern(10_000, 1)))
  const block = changeGrubEnvironment(emptyGrubEnvironment(), { saved_entry: '0', trial: '0' })
  await expect(writeGrubEnvironment(path, block)).rejects.toMatchObject({ code: 'format' })
  await writeFile(path, block)
  const log: string[] = []
  await setGrubVariables(path, { trial: '1' }, faultyOpen({}, log))
  expect(log.filter((act) => act.startsWith('write'))).toEqual(['write 0 1024'])
  expect(await readGrubEnvironment(path)).toEqual(changeGrubEnvironment(block, { trial: '1' }))
  await expect(writeGrubEnvironment(path, pattern(1_024, 1))).rejects.toMatchObject({
    code: 'format',
  })
})
