import { expect, test } from 'vitest'
import { encodeGpt, parseGpt } from '../../../src/format/gpt.ts'
import { identifiersFor } from '../../../src/pack/build/identifiers.ts'
import { layoutOf } from '../../../src/pack/build/layout.ts'
import type { Recipe, RecipePartition } from '../../../src/pack/recipe/schema.ts'
import { MIB } from '../../../src/units.ts'

const ids = identifiersFor('test', {})
const disk = (more: Partial<Recipe['disk']> = {}): Recipe['disk'] => ({
  table: 'gpt',
  'sector-size': 512,
  partitions: [],
  ...more,
})
const made = (role: RecipePartition['role'], bytes: number, grow = false) => ({
  recipe: { role, grow },
  bytes,
  uuid: undefined,
})

test('partitions start at whole MiB, and the smallest disk holds the backup table', () => {
  const parts = [made('bios-boot', MIB), made('esp', 64 * MIB + 512), made('root', 10 * MIB, true)]
  const layout = layoutOf(disk(), parts, ids)
  expect(layout.partitions.map(({ firstLba, sectors }) => [firstLba, sectors])).toEqual([
    [2048, 2048],
    [4096, 65 * 2048],
    [4096 + 65 * 2048, 10 * 2048],
  ])
  expect(layout.minimumBytes).toBe(78 * MIB)
  const { head } = encodeGpt(layout, layout.minimumBytes / 512)
  expect(parseGpt(head, 512)?.partitions.map(({ name }) => name)).toEqual([
    'bios-boot',
    'esp',
    'root',
  ])
})

test('sectors of 4,096 bytes give the same places in bytes', () => {
  const parts = [made('esp', 64 * MIB), made('root', 10 * MIB)]
  const layout = layoutOf(disk({ 'sector-size': 4_096 }), parts, ids)
  expect(layout.partitions.map(({ firstLba }) => firstLba * 4_096)).toEqual([MIB, 65 * MIB])
})

test('an MBR has type bytes, an active root, and no backup table', () => {
  const layout = layoutOf(disk({ table: 'mbr' }), [made('root', 10 * MIB)], ids)
  expect(layout.minimumBytes).toBe(11 * MIB)
  expect(layout.partitions[0]).toMatchObject({ type: '83', attributes: '80' })
  expect(layout.partitions[0]?.guid).toBeUndefined()
})

test('a disk size that is too small is refused with the size that is needed', () => {
  expect(() => layoutOf(disk({ size: '10MiB' }), [made('root', 10 * MIB)], ids)).toThrow(
    'laying out the disk: the partitions need 12.0 MiB, disk.size is 10MiB',
  )
})
