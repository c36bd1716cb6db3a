import { open, readdir, readFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { ProgressEvent } from '../../src/events.ts'
import { blankSteps, makeBlank, makeBlankAfter, zeroAround } from '../../src/flash/blank-stage.ts'
import { run } from '../../src/system/run.ts'
import { MIB } from '../../src/units.ts'
import { breakSector } from './bad-sector.ts'
import { hostFixture, isRoot } from './host-fixture.ts'

/** The fixture's disk has 24 MiB, all of it text. */
const plan = { store: { offset: 8 * MIB, bytes: 12 * MIB } }
const BAD = 14 * MIB

const isZero = (bytes: Uint8Array): boolean => bytes.every((byte) => byte === 0)

async function stage() {
  const host = await hostFixture({ system: 'target', plan, isBreakable: true })
  const notes: string[] = []
  const emit = (event: ProgressEvent) => void (event.event === 'note' && notes.push(event.text))
  const blankAfter = (left: string | undefined) => makeBlankAfter({ left, emit }, host.plan)
  return { host, notes, blankAfter }
}

test('what lies before the store is overwritten before any of the store', () => {
  const [rescue, store, tail, head] = blankSteps(plan.store, 24 * MIB, true)
  expect(rescue).toEqual({ offset: MIB, length: 7 * MIB })
  expect(store).toEqual({ offset: 8 * MIB, length: 16 * MIB })
  expect(tail).toEqual({ offset: 20 * MIB, length: 4 * MIB })
  expect(head).toEqual({ offset: 0, length: MIB })
  expect(blankSteps(plan.store, 24 * MIB, false)[1]).toEqual({ offset: 8 * MIB, length: 4 * MIB })
})

test('a disk that is smaller than its plan is overwritten to its end, and no further', () => {
  expect(blankSteps(plan.store, 4 * MIB, true)).toEqual([
    { offset: MIB, length: 3 * MIB },
    { offset: 4 * MIB, length: 0 },
    { offset: MIB, length: 3 * MIB },
    { offset: 0, length: MIB },
  ])
})

describe('a range of a disk that takes no zeros', () => {
  async function tried(isFailing: boolean) {
    const lengths: number[] = []
    const failed: unknown[] = []
    const zero = async (_offset: number, length: number) => {
      lengths.push(length)
      throw new Error('no')
    }
    const target = { zero, sync: async () => {} }
    await zeroAround({ target, failed, isFailing }, { offset: MIB, length: 1_000 * MIB })
    return { lengths, failed }
  }

  test('is tried whole, then in pieces, and given up', async () => {
    const { lengths, failed } = await tried(false)
    expect(lengths).toEqual([1_000 * MIB, ...Array(64).fill(MIB)])
    expect(failed).toHaveLength(64)
  })

  test('known to fail, in pieces alone', async () => {
    expect((await tried(true)).lengths).toEqual(Array(64).fill(MIB))
  })
})

describe.skipIf(!isRoot)('a stage becomes blank (as root)', () => {
  test('but for the middle of its store, where the secrets were erased', async () => {
    const { host, notes, blankAfter } = await stage()
    expect(await blankAfter(undefined)).toBe(true)
    const bytes = await readFile(host.file)
    expect(isZero(bytes.subarray(0, 12 * MIB))).toBe(true)
    expect(isZero(bytes.subarray(12 * MIB, 20 * MIB))).toBe(false)
    expect(isZero(bytes.subarray(20 * MIB))).toBe(true)
    expect(notes).toEqual([])
  })

  test('with all of the store, where they could not be', async () => {
    const { host, notes, blankAfter } = await stage()
    await blankAfter('why')
    expect(isZero(await readFile(host.file))).toBe(true)
    expect(notes).toEqual(['why; all of the store is overwritten instead'])
  })

  test('as far as the disk takes it', async () => {
    const { host, notes, blankAfter } = await stage()
    await breakSector(host, BAD)
    expect(await blankAfter('why')).toBe(false)
    const bytes = await readFile(host.file)
    expect(isZero(bytes.subarray(0, 12 * MIB))).toBe(true)
    expect(isZero(bytes.subarray(20 * MIB))).toBe(true)
    // What lies behind the bad sector as well.
    expect(isZero(bytes.subarray(15 * MIB))).toBe(true)
    expect(notes.at(-1)).toMatch(/^writing .*nothing, but secrets may be left on it$/)
  })

  test.each([
    ['in its rescue', 6],
    ['at its end', 22],
  ])('a bad sector %s keeps the beginning from nothing', async (_, at) => {
    const { host, notes, blankAfter } = await stage()
    await breakSector(host, at * MIB)
    expect(await blankAfter(undefined)).toBe(false)
    const bytes = await readFile(host.file)
    for (const [from, to] of [
      [0, 6],
      [7, 12],
      [20, 22],
      [23, 24],
    ] as const) {
      expect(isZero(bytes.subarray(from * MIB, to * MIB))).toBe(true)
    }
    expect(notes).toEqual([expect.stringMatching(/^writing .*secrets may be left on it$/)])
  })

  test('one that is to be taken again keeps its beginning until all else is zero', async () => {
    const { host } = await stage()
    await breakSector(host, 6 * MIB)
    await expect(makeBlank(host.plan)).rejects.toMatchObject({ code: 'io' })
    expect(isZero((await readFile(host.file)).subarray(0, MIB))).toBe(false)
  })

  test('the kernel forgets a partition, also one that somebody looks at meanwhile', async () => {
    const { host, blankAfter } = await stage()
    const table = 'label: gpt\nstart=1MiB, size=4MiB\nstart=6MiB, size=4MiB\n'
    await run(['sfdisk', '--quiet', '--no-reread', host.device], { stdin: Buffer.from(table) })
    await run(['partx', '--update', host.device], { statuses: [0, 1] })
    const name = basename(host.device)
    const partitions = async () =>
      (await readdir(join('/sys/class/block', name))).filter((entry) => entry.startsWith(name))
    expect(await partitions()).toHaveLength(2)
    const looking = await open(`${host.device}p1`)
    // Only when all but this one is gone.
    const rest = expect.poll(partitions, { timeout: 10_000 }).toEqual([`${name}p1`])
    const ended = rest.finally(() => looking.close())
    await blankAfter(undefined)
    await ended
    expect(await partitions()).toEqual([])
  })
})
