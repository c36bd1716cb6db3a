/** Payloads of awkward sizes, through pack and unpack, to the same bytes. */
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, expect, it } from 'vitest'
import { KIB, MIB } from '../../src/units.ts'
import { makeFolder, makeKeys, noise, type TestKeys } from '../pack/image/fixtures.ts'
import { gptLayout, packDisk, unpackTest } from '../unpack/disk-fixtures.ts'

let keys: TestKeys
beforeAll(async () => {
  keys = await makeKeys()
})

const AROUND = [KIB * 4, KIB * 64, KIB * 256, MIB * 4].flatMap((n) => [n - 512, n, n + 512])

it.each([1, 511, 512, 513, ...AROUND, 4 * MIB + 1, 8 * MIB - 1])(
  '%i bytes, in the first MiB and behind it',
  async (bytes) => {
    await using folder = await makeFolder()
    const to = join(folder.path, 'disk.img')
    for (const offset of [20 * KIB, 4 * MIB]) {
      const raw = noise(bytes, offset + bytes)
      const regions = [{ name: 'root', offset, raw }]
      const image = await packDisk({ folder: folder.path, regions, disk: gptLayout() }, keys)
      await unpackTest({ image, keys, to, verify: true })
      const disk = await readFile(to)
      expect(disk.subarray(offset, offset + bytes).equals(raw)).toBe(true)
      await rm(image)
      await rm(to)
    }
  },
)
