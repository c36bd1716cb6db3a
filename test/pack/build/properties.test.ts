/**
 * What must hold for every input: places never overlap, paths never leave the root, accounts
 * never collide.
 */
import { mkdir, rm, symlink } from 'node:fs/promises'
import { join, normalize } from 'node:path'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { encodeGpt, parseGpt } from '../../../src/format/gpt.ts'
import { encodeMbr } from '../../../src/format/mbr.ts'
import { accountsOf, groupsOf, withUsers } from '../../../src/pack/build/accounts.ts'
import { unusedRanges } from '../../../src/pack/build/ext4-free.ts'
import { kernelsOf } from '../../../src/pack/build/grub-config.ts'
import { identifiersFor } from '../../../src/pack/build/identifiers.ts'
import { layoutOf } from '../../../src/pack/build/layout.ts'
import { resolveInside } from '../../../src/system/inside-root.ts'
import { makeScratch } from '../../../src/system/scratch.ts'
import { MIB } from '../../../src/units.ts'

const sizes = fc.array(fc.integer({ min: 1, max: 2 ** 40 }), { minLength: 1, maxLength: 20 })

function layoutFor(bytes: readonly number[], table: 'gpt' | 'mbr', sectorSize: 512 | 4096) {
  const disk = { table, 'sector-size': sectorSize, partitions: [] }
  const made = bytes.map((size, position) => ({
    recipe: { role: 'other' as const, name: `p${position}`, grow: false },
    bytes: size,
    uuid: undefined,
  }))
  return layoutOf(disk, made, identifiersFor('test', {}))
}

test('GPT partitions are aligned, in order, apart, large enough, and on the disk', () => {
  fc.assert(
    fc.property(sizes, fc.constantFrom(512 as const, 4096 as const), (bytes, sectorSize) => {
      const layout = layoutFor(bytes, 'gpt', sectorSize)
      let next = MIB
      for (const [position, { firstLba, sectors }] of layout.partitions.entries()) {
        const start = firstLba * sectorSize
        expect(start % MIB).toBe(0)
        expect(start).toBe(next)
        expect(sectors * sectorSize).toBeGreaterThanOrEqual(bytes[position] ?? 0)
        next = start + sectors * sectorSize
      }
      const { head } = encodeGpt(layout, layout.minimumBytes / sectorSize)
      expect(parseGpt(head, sectorSize)?.partitions).toHaveLength(bytes.length)
      const ids = layout.partitions.map(({ guid }) => guid)
      expect(new Set(ids).size).toBe(ids.length)
    }),
  )
})

test('MBR partitions are read back as they were laid out', () => {
  const few = fc.array(fc.integer({ min: 1, max: 2 ** 36 }), { minLength: 1, maxLength: 4 })
  fc.assert(
    fc.property(few, (bytes) => {
      const layout = layoutFor(bytes, 'mbr', 512)
      const sector = Buffer.from(encodeMbr(layout))
      for (const [position, { firstLba, sectors }] of layout.partitions.entries()) {
        expect(sector.readUInt32LE(446 + 16 * position + 8)).toBe(firstLba)
        expect(sector.readUInt32LE(446 + 16 * position + 12)).toBe(sectors)
      }
    }),
  )
})

const part = fc.constantFrom('a', 'b', 'c', '..', '.', '')
const paths = fc.array(part, { minLength: 1, maxLength: 6 }).map((parts) => parts.join('/'))

test('no path and no link leads out of the root', async () => {
  await using scratch = await makeScratch('inside-property')
  const root = join(scratch.path, 'deep/root')
  await fc.assert(
    fc.asyncProperty(
      fc.record({ a: paths, b: paths, c: paths }),
      fc.boolean(),
      paths,
      async (links, absolute, path) => {
        await rm(root, { recursive: true, force: true })
        await mkdir(join(root, 'a'), { recursive: true })
        for (const [name, target] of Object.entries(links)) {
          const to = `${absolute ? '/' : ''}${target}` || '.'
          await symlink(to, join(root, 'a', name))
        }
        const resolved = await resolveInside(root, `/a/${path}/file`, 'follow').catch(
          () => undefined,
        )
        if (resolved === undefined) return
        expect(normalize(`/${resolved.inside}`)).toBe(`/${resolved.inside}`)
        expect(resolved.inside.split('/')).not.toContain('..')
        expect(resolved.inside.endsWith('file')).toBe(true)
      },
    ),
    { numRuns: 60 },
  )
})

const names = fc.uniqueArray(fc.stringMatching(/^[a-z][a-z0-9]{0,6}$/), { maxLength: 8 })

test('users get ids that nobody else has, and adding them again changes nothing', () => {
  const files = {
    passwd: 'root:x:0:0::/root:/bin/sh\n',
    group: 'root:x:0:\n',
    shadow: '',
    gshadow: '',
  }
  fc.assert(
    fc.property(names, (list) => {
      const users = list.map((name) => ({
        name,
        'password-hash': '*',
        'authorized-keys': [],
        groups: ['root'],
        shell: '/bin/sh',
      }))
      const once = withUsers(files, users)
      const uids = accountsOf(once.passwd).map(({ uid }) => uid)
      expect(new Set(uids).size).toBe(uids.length)
      const gids = groupsOf(once.group).map(({ gid }) => gid)
      expect(new Set(gids).size).toBe(gids.length)
      for (const name of list) {
        expect(accountsOf(once.passwd).filter((account) => account.name === name)).toHaveLength(1)
      }
      expect(withUsers(once, users)).toEqual(once)
    }),
  )
})

test('unused ranges are sorted, apart, and hold only free blocks', () => {
  const run = fc.tuple(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 100 }))
  fc.assert(
    fc.property(fc.array(run, { maxLength: 30 }), (runs) => {
      let block = 0
      const freeBlocks = runs.map(([gap, length]): [number, number] => {
        const first = block + gap
        block = first + length
        return [first, block - 1]
      })
      const usage = { blockBytes: 4096, blocks: block + 1, freeBlocks, usedInodes: [] }
      const free = new Set(freeBlocks.flatMap(([a, b]) => range(a, b)))
      let end = 0
      for (const { offset, length } of unusedRanges(usage)) {
        expect(offset).toBeGreaterThanOrEqual(end)
        end = offset + length
        for (const n of range(offset / 4096, end / 4096 - 1)) expect(free.has(n)).toBe(true)
      }
      const long = freeBlocks.filter(([a, b]) => b - a + 1 >= 16).length
      expect(unusedRanges(usage).length).toBeGreaterThanOrEqual(Math.min(long, 1))
    }),
  )
})

const range = (first: number, last: number): number[] =>
  Array.from({ length: last - first + 1 }, (_, i) => first + i)

test('the first kernel is the newest, in whatever order the names come', () => {
  const version = fc.tuple(fc.nat(9), fc.nat(120), fc.nat(300)).map((parts) => parts.join('.'))
  fc.assert(
    fc.property(fc.uniqueArray(version, { minLength: 1, maxLength: 6 }), (versions) => {
      const found = kernelsOf(versions.map((text) => `vmlinuz-${text}-amd64`))
      const number = (text: string) =>
        text
          .split(/[.-]/)
          .slice(0, 3)
          .reduce((sum, digits) => sum * 1000 + Number(digits), 0)
      const order = found.map((kernel) => number(kernel.version))
      expect(order).toEqual(order.toSorted((a, b) => b - a))
    }),
  )
})
