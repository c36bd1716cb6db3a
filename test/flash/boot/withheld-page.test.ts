import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, onTestFinished, test } from 'vitest'
import { PAGE_BYTES, returnPage, withholdPage } from '../../../src/flash/boot/withheld-page.ts'
import { makeScratch } from '../../../src/system/scratch.ts'
import { MIB } from '../../../src/units.ts'
import { makeKeys } from '../../pack/image/fixtures.ts'
import { packDisk, regions, unpackTest } from '../../unpack/disk-fixtures.ts'
import { fakeTarget } from '../../unpack/fake-target.ts'
import { targetContract } from '../../unpack/target-contract.ts'

const OFFSET = 8_192
const DISK_BYTES = 20_480

async function scratchFolder(): Promise<string> {
  const scratch = await makeScratch('withheld')
  onTestFinished(() => scratch[Symbol.asyncDispose]())
  return scratch.path
}

const isZero = (bytes: Uint8Array): boolean => bytes.every((byte) => byte === 0)

describe('a target with a withheld page is a target', () => {
  targetContract(async () => {
    const disk = fakeTarget(32 * MIB, false)
    disk.disk.fill(0, MIB, MIB + PAGE_BYTES)
    return withholdPage(disk, { offset: MIB, path: join(await scratchFolder(), 'page') })
  })
})

const act = fc.record({
  kind: fc.constantFrom('write' as const, 'zero' as const),
  offset: fc.integer({ min: 0, max: DISK_BYTES }),
  length: fc.integer({ min: 0, max: 12_000 }),
  fill: fc.nat(255),
})

test('whatever is written, the page stays zero, and reads give what was meant', async () => {
  const path = join(await scratchFolder(), 'page')
  await fc.assert(
    fc.asyncProperty(fc.array(act, { maxLength: 8 }), async (acts) => {
      await writeFile(path, '')
      const disk = fakeTarget(DISK_BYTES, true)
      const onDisk = disk.disk.subarray(OFFSET, OFFSET + PAGE_BYTES)
      const meant = Buffer.alloc(DISK_BYTES)
      disk.before = () => expect(isZero(onDisk)).toBe(true)
      for (const { kind, offset, length: most, fill } of acts) {
        // As after a cut: what is known is what is remembered.
        const target = withholdPage(disk, { offset: OFFSET, path })
        const length = Math.min(most, DISK_BYTES - offset)
        if (kind === 'write') await target.write(offset, new Uint8Array(length).fill(fill))
        else await target.zeroAll([{ offset, length }])
        meant.fill(kind === 'write' ? fill : 0, offset, offset + length)
        const seen = Buffer.alloc(DISK_BYTES)
        await target.read(0, seen)
        expect(seen.equals(meant)).toBe(true)
        expect(isZero(onDisk)).toBe(true)
      }
      meant.fill(0, OFFSET, OFFSET + PAGE_BYTES)
      expect(disk.disk.equals(meant)).toBe(true)
    }),
    { numRuns: 50 },
  )
})

test('what cannot be remembered is not written', async () => {
  const folder = await scratchFolder()
  const path = join(folder, 'page')
  const disk = fakeTarget(DISK_BYTES, true)
  const target = withholdPage(disk, { offset: OFFSET, path })
  const bytes = Buffer.alloc(PAGE_BYTES, 7)
  await target.write(OFFSET, bytes)
  expect((await readFile(path)).equals(bytes)).toBe(true)
  const lost = withholdPage(disk, { offset: OFFSET, path: join(folder, 'none/page') })
  const log = [...disk.log]
  await expect(lost.write(OFFSET, bytes)).rejects.toMatchObject({ code: 'io' })
  expect(disk.log).toEqual(log)
  expect(() => withholdPage(disk, { offset: 512, path })).toThrow(RangeError)
})

test('a page that is on the disk all the same is an error', async () => {
  const disk = fakeTarget(DISK_BYTES, true)
  const target = withholdPage(disk, { offset: OFFSET, path: join(await scratchFolder(), 'page') })
  disk.disk[OFFSET + 510] = 0x55
  await expect(target.read(0, new Uint8Array(DISK_BYTES))).rejects.toMatchObject({
    code: 'readback',
  })
  await target.read(0, new Uint8Array(OFFSET))
})

test('no ESP until it is returned, and a plain unpack from then on', async () => {
  const folder = await scratchFolder()
  const keys = await makeKeys()
  const [boot, efi, root] = regions()
  if (boot === undefined || efi === undefined || root === undefined) throw new Error('no regions')
  const start = Buffer.from(efi.raw)
  start.set([0x55, 0xaa], 510)
  const image = await packDisk({ folder, regions: [boot, { ...efi, raw: start }, root] }, keys)
  const [plain, held] = [join(folder, 'plain'), join(folder, 'held')]
  for (const to of [plain, held]) await writeFile(to, Buffer.alloc(16 * MIB))
  const page = { offset: MIB, path: join(folder, 'page') }
  const options = { image, keys, overwrite: true, verify: true }
  await unpackTest({ ...options, to: plain })
  await unpackTest({ ...options, to: held, wrapTarget: (target) => withholdPage(target, page) })
  const expected = await readFile(plain)
  const without = Buffer.from(expected)
  without.fill(0, MIB, MIB + PAGE_BYTES)
  expect((await readFile(held)).equals(without)).toBe(true)
  for (let again = 0; again < 2; again += 1) await returnPage(held, page)
  expect((await readFile(held)).equals(expected)).toBe(true)
})

test.each([
  ['nothing', undefined],
  ['zeros', Buffer.alloc(PAGE_BYTES)],
  ['a piece', Buffer.alloc(512, 0x55)],
])('%s is not returned', async (_, remembered) => {
  const folder = await scratchFolder()
  const page = { offset: 0, path: join(folder, 'page') }
  const disk = join(folder, 'disk')
  await writeFile(disk, Buffer.alloc(PAGE_BYTES, 1))
  if (remembered !== undefined) await writeFile(page.path, remembered)
  await expect(returnPage(disk, page)).rejects.toMatchObject({ code: 'format' })
  expect(await readFile(disk)).toEqual(Buffer.alloc(PAGE_BYTES, 1))
})
