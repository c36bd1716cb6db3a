/** GUID partition tables: what sfdisk and sgdisk say of them, and what parsing gives back. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { encodeGpt, GPT_PROBE_BYTES, gptReservedSectors, parseGpt } from '../../src/format/gpt.ts'
import type { DiskLayout } from '../../src/format/manifest.ts'
import { run } from '../../src/system/run.ts'
import { makeScratch } from '../../src/system/scratch.ts'
import { GIB, MIB } from '../../src/units.ts'
import { gptLayout, LINUX, partition } from '../unpack/disk-fixtures.ts'

function whole(layout: DiskLayout, bytes: number): Buffer {
  const disk = Buffer.alloc(bytes)
  const { head, tail } = encodeGpt(layout, bytes / layout.sectorBytes)
  disk.set(head, 0)
  disk.set(tail, bytes - tail.length)
  return disk
}

describe('encodeGpt', () => {
  it('makes a table that sgdisk and sfdisk read as it was meant', async () => {
    await using scratch = await makeScratch('gpt')
    const path = join(scratch.path, 'disk')
    const layout = gptLayout()
    const [first, ...rest] = layout.partitions
    const named = { ...first, name: 'Größe 🙂', attributes: '4' }
    const partitions = [{ ...partition(1, 40, 2_008), ...named }, ...rest]
    await writeFile(path, whole({ ...layout, partitions }, 16 * MIB))
    expect((await run(['sgdisk', '-v', path])).stdout).toContain('No problems found')
    const { stdout } = await run(['sfdisk', '--json', path])
    const { partitiontable: table } = JSON.parse(stdout)
    expect(table).toMatchObject({
      label: 'gpt',
      id: 'AAAAAAAA-BBBB-4CCC-8DDD-EEEEEEEEEEEE',
      firstlba: 34,
      lastlba: 32_734,
      sectorsize: 512,
    })
    expect(table.partitions).toMatchObject([
      { start: 40, size: 2_008, name: 'Größe 🙂', attrs: 'LegacyBIOSBootable' },
      { start: 2_048, size: 6_144, type: LINUX.toUpperCase(), name: 'part2' },
      { start: 8_192, size: 24_543, uuid: '00000000-0000-4000-8000-000000000003' },
    ])
  })

  it.each([512, 4_096])('is read back, with sectors of %i bytes', (sectorBytes) => {
    const first = MIB / sectorBytes
    const layout: DiskLayout = {
      ...gptLayout(),
      sectorBytes: sectorBytes === 512 ? 512 : 4_096,
      partitions: [partition(2, first, 10), { ...partition(7, first + 10, 1), attributes: 'ff' }],
    }
    const disk = whole(layout, 64 * MIB)
    const parsed = parseGpt(disk.subarray(0, GPT_PROBE_BYTES), sectorBytes)
    expect(parsed?.partitions).toEqual(layout.partitions)
    expect(parsed?.guid).toBe('aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee')
    expect(Buffer.from(parsed?.bootCode ?? []).toString('latin1', 0, 9)).toBe('boot code')
    expect(gptReservedSectors(sectorBytes)).toBe(sectorBytes === 512 ? 34 : 6)
  })

  it('says in the protective entry no more than 2^32 sectors', () => {
    const layout = { ...gptLayout(), partitions: [] }
    const head = Buffer.from(encodeGpt(layout, (4096 * GIB) / 512).head)
    expect(head.readUInt32LE(458)).toBe(0xffffffff)
    expect(head.readUInt16LE(510)).toBe(0xaa55)
  })

  it('refuses a partition that lies in the backup table', () => {
    const layout = { ...gptLayout(), partitions: [partition(1, 2_048, 30_687)] }
    expect(() => encodeGpt(layout, 32_768)).not.toThrow()
    const longer = { ...layout, partitions: [partition(1, 2_048, 30_688)] }
    expect(() => encodeGpt(longer, 32_768)).toThrow(/partition 1 is past the end/)
  })
})

describe('parseGpt', () => {
  const disk = (): Buffer => whole(gptLayout(), 16 * MIB).subarray(0, GPT_PROBE_BYTES)

  it('gives nothing for a disk without a table', () => {
    expect(parseGpt(Buffer.alloc(GPT_PROBE_BYTES), 512)).toBeUndefined()
    expect(parseGpt(disk(), 4_096)).toBeUndefined()
  })

  it.each([
    ['the header', 512 + 60, /header does not match its checksum/],
    ['the checksum', 512 + 16, /header does not match its checksum/],
    ['the entries', 1_024 + 40, /entries do not match their checksum/],
  ])('refuses a bit flipped in %s', (_, byte, message) => {
    const damaged = disk()
    damaged.writeUInt8(damaged.readUInt8(byte) ^ 1, byte)
    expect(() => parseGpt(damaged, 512)).toThrow(message)
  })

  it('refuses a start of the disk that ends before the entries do', () => {
    expect(() => parseGpt(disk().subarray(0, 4_096), 512)).toThrow(/entries are not at the start/)
  })
})
