import { mkdir, rm, symlink, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, onTestFinished, test } from 'vitest'
import { openFileSource } from '../../src/deliver/file.ts'
import { run } from '../../src/system/run.ts'
import { makeScratch } from '../../src/system/scratch.ts'

async function scratchFolder(): Promise<string> {
  const scratch = await makeScratch('file-source')
  onTestFinished(() => scratch[Symbol.asyncDispose]())
  return scratch.path
}

const BYTES = Uint8Array.from({ length: 10_000 }, (_, index) => (index * 31) % 251)

async function sampleFile(): Promise<string> {
  const path = join(await scratchFolder(), 'image')
  await writeFile(path, BYTES)
  return path
}

test('has the name and the size of the file', async () => {
  const path = await sampleFile()
  await using source = await openFileSource(path)
  expect(source).toMatchObject({ name: path, bytes: BYTES.length })
})

test('gives any range, in any order and at once', async () => {
  await using source = await openFileSource(await sampleFile())
  const range = fc.tuple(fc.nat(BYTES.length), fc.nat(BYTES.length)).map(([one, other]) => ({
    start: Math.min(one, other),
    end: Math.max(one, other),
  }))
  await fc.assert(
    fc.asyncProperty(fc.array(range, { maxLength: 8 }), async (ranges) => {
      const read = await Promise.all(
        ranges.map(async ({ start, end }) => {
          const into = new Uint8Array(end - start)
          await source.read(start, into)
          return into
        }),
      )
      expect(read).toEqual(ranges.map(({ start, end }) => BYTES.slice(start, end)))
    }),
  )
})

test('fills a view of a larger buffer and nothing beside it', async () => {
  await using source = await openFileSource(await sampleFile())
  const whole = new Uint8Array(30).fill(255)
  await source.read(100, whole.subarray(10, 20))
  expect(whole.subarray(10, 20)).toEqual(BYTES.slice(100, 110))
  expect([...whole.subarray(0, 10), ...whole.subarray(20)]).toEqual(new Array(20).fill(255))
})

test('an empty range is read without a call, also at the end', async () => {
  await using source = await openFileSource(await sampleFile())
  await expect(source.read(BYTES.length, new Uint8Array(0))).resolves.toBeUndefined()
})

test('a range beyond the end names the byte where the file ends', async () => {
  const path = await sampleFile()
  await using source = await openFileSource(path)
  await expect(source.read(BYTES.length - 4, new Uint8Array(10))).rejects.toMatchObject({
    code: 'io',
    message: `reading ${path} at byte ${BYTES.length}: the file ends here`,
  })
})

test('a file that shrinks after opening is told, not read as zeros', async () => {
  const path = await sampleFile()
  await using source = await openFileSource(path)
  await truncate(path, 5_000)
  await expect(source.read(4_990, new Uint8Array(20))).rejects.toMatchObject({
    code: 'io',
    message: `reading ${path} at byte 5000: the file ends here`,
  })
})

test('a file that was removed after opening is still read', async () => {
  const path = await sampleFile()
  await using source = await openFileSource(path)
  await rm(path)
  const into = new Uint8Array(100)
  await source.read(50, into)
  expect(into).toEqual(BYTES.slice(50, 150))
})

test('an empty file is a source of no bytes', async () => {
  const path = join(await scratchFolder(), 'empty')
  await writeFile(path, '')
  await using source = await openFileSource(path)
  expect(source.bytes).toBe(0)
  await expect(source.read(0, new Uint8Array(1))).rejects.toMatchObject({ code: 'io' })
})

test('a symbolic link is followed', async () => {
  const path = await sampleFile()
  await symlink('image', `${path}.link`)
  await using source = await openFileSource(`${path}.link`)
  expect(source.bytes).toBe(BYTES.length)
})

test.each([
  ['missing', 'no such file or directory'],
  ['image/below', 'not a directory'],
])('%s: %s', async (name, why) => {
  const folder = await scratchFolder()
  await writeFile(join(folder, 'image'), 'x')
  await expect(openFileSource(join(folder, name))).rejects.toMatchObject({
    code: 'io',
    message: `opening ${join(folder, name)}: ${why}`,
  })
})

test.each(['folder', 'device'])('a %s is no image', async (kind) => {
  const path = kind === 'device' ? '/dev/null' : join(await scratchFolder(), 'folder')
  if (kind === 'folder') await mkdir(path)
  await expect(openFileSource(path)).rejects.toMatchObject({
    code: 'io',
    message: `opening ${path}: not a regular file`,
  })
})

test('a named pipe that nobody writes to is no image, and is not waited for', async () => {
  const path = join(await scratchFolder(), 'pipe')
  await run(['mkfifo', path])
  await expect(openFileSource(path)).rejects.toThrow(/not a regular file$/)
})

test('an error of the disk names the byte', async () => {
  // Nothing is mapped at address 0, so the kernel answers EIO.
  await using source = await openFileSource('/proc/self/mem')
  await expect(source.read(0, new Uint8Array(10))).rejects.toMatchObject({
    code: 'io',
    message: 'reading /proc/self/mem at byte 0: input/output error',
    data: { errno: 'EIO' },
  })
})
