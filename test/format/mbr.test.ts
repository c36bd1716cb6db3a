/** Master boot records: what sfdisk says of them. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import type { DiskLayout, Partition } from '../../src/format/manifest.ts'
import { encodeMbr } from '../../src/format/mbr.ts'
import { run } from '../../src/system/run.ts'
import { makeScratch } from '../../src/system/scratch.ts'
import { MIB } from '../../src/units.ts'
import { gptLayout } from '../unpack/disk-fixtures.ts'

const entry = (number: number, type: string, firstLba: number, sectors: number): Partition => ({
  number,
  name: '',
  type,
  firstLba,
  sectors,
  grow: false,
})

function layout(partitions: readonly Partition[]): DiskLayout {
  const bootCode = Buffer.alloc(440, 0x90).toString('base64')
  return {
    sectorBytes: 512,
    minimumBytes: 16 * MIB,
    table: { kind: 'mbr', diskId: '1234abcd', bootCode },
    partitions: [...partitions],
  }
}

it('makes a table that sfdisk reads as it was meant', async () => {
  await using scratch = await makeScratch('mbr')
  const path = join(scratch.path, 'disk')
  const disk = Buffer.alloc(16 * MIB)
  const active = { ...entry(1, '83', 2_048, 8_192), attributes: '80' }
  disk.set(encodeMbr(layout([active, entry(3, '0c', 10_240, 1_000)])))
  await writeFile(path, disk)
  const { partitiontable: table } = JSON.parse((await run(['sfdisk', '--json', path])).stdout)
  expect(table).toMatchObject({ label: 'dos', id: '0x1234abcd' })
  expect(table.partitions).toEqual([
    { node: `${path}1`, start: 2_048, size: 8_192, type: '83', bootable: true },
    { node: `${path}3`, start: 10_240, size: 1_000, type: 'c' },
  ])
  expect(disk.subarray(0, 440).every((byte) => byte === 0x90)).toBe(true)
})

it('reaches the last sector that 32 bits can say, and refuses the next', () => {
  expect(() => encodeMbr(layout([entry(1, '83', 2_048, 2 ** 32 - 2_048)]))).not.toThrow()
  const past = layout([entry(1, '83', 2_048, 2 ** 32 - 2_047)])
  expect(() => encodeMbr(past)).toThrow(/partition 1 is past what an MBR can say/)
})

it('refuses another kind of table', () => {
  expect(() => encodeMbr(gptLayout())).toThrow('not an MBR layout')
})
