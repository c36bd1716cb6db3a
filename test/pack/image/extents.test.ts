import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { ExtentKind } from '../../../src/format/index.ts'
import { LIMITS } from '../../../src/format/limits.ts'
import {
  CELL_BYTES,
  type CellRun,
  ExtentPlanner,
  type FramePlan,
} from '../../../src/pack/image/extents.ts'

const LETTERS: Readonly<Record<string, ExtentKind>> = { d: 'data', z: 'zero', u: 'unused' }

/** Plans cells given as letters; the last cell has `tail` bytes. */
function plan(letters: string, tail = CELL_BYTES, cut: (cell: number) => boolean = () => true) {
  const rawBytes = letters.length === 0 ? 0 : (letters.length - 1) * CELL_BYTES + tail
  const planner = new ExtentPlanner(rawBytes)
  const frames: FramePlan[] = []
  let run: CellRun | undefined
  for (const [i, letter] of [...letters].entries()) {
    const kind = LETTERS[letter] ?? 'data'
    if (run?.kind === kind && !cut(i)) run = { kind, cells: run.cells + 1 }
    else {
      if (run !== undefined) frames.push(...planner.add(run))
      run = { kind, cells: 1 }
    }
  }
  if (run !== undefined) frames.push(...planner.add(run))
  frames.push(...planner.finish())
  return { rawBytes, frames, extents: planner.extents }
}

/** The extents as letters, one for each cell. */
function lettersOf({ extents }: ReturnType<typeof plan>): string {
  const letter = { data: 'd', zero: 'z', unused: 'u' }
  return extents
    .map(({ length, kind }) => letter[kind].repeat(Math.ceil(length / CELL_BYTES)))
    .join('')
}

const cells = fc
  .array(fc.tuple(fc.constantFrom('d', 'z', 'u'), fc.integer({ min: 1, max: 70 })), {
    maxLength: 30,
  })
  .map((runs) => runs.map(([letter, count]) => letter.repeat(count)).join(''))
const tails = fc.integer({ min: 1, max: CELL_BYTES })

describe('ExtentPlanner', () => {
  it.each([
    ['', ''],
    ['d', 'd'],
    ['zzz', 'zzz'],
    ['dzzzd', 'ddddd'],
    ['dzzzzd', 'dzzzzd'],
    ['dzuzd', 'ddddd'],
    ['dzuuzd', 'dzuuzd'],
    ['zzd', 'zzd'],
    ['dzz', 'dzz'],
    ['dzdzzdzzzd', 'dddddddddd'],
    ['uzzd', 'uzzd'],
  ])('makes of %j %j', (given, expected) => {
    expect(lettersOf(plan(given))).toBe(expected)
  })

  it('covers the payload exactly, in order, without gaps, neighbours of one kind joined', () => {
    fc.assert(
      fc.property(cells, tails, (letters, tail) => {
        const { extents, rawBytes } = plan(letters, tail)
        let end = 0
        for (const [i, extent] of extents.entries()) {
          expect(extent.offset).toBe(end)
          expect(extent.length).toBeGreaterThan(0)
          expect(extent.kind).not.toBe(extents[i - 1]?.kind)
          end += extent.length
        }
        expect(end).toBe(rawBytes)
      }),
    )
  })

  it('keeps every DATA cell and makes DATA of short gaps alone', () => {
    fc.assert(
      fc.property(cells, (letters) => {
        const merged = letters.replace(/(?<=d)[zu]{1,3}(?=d)/g, (gap) => 'd'.repeat(gap.length))
        expect(lettersOf(plan(letters))).toBe(merged)
      }),
    )
  })

  it('cuts each DATA extent into frames of 4 MiB, the last one shorter', () => {
    fc.assert(
      fc.property(cells, tails, (letters, tail) => {
        const { extents, frames } = plan(letters, tail)
        const expected = extents
          .filter(({ kind }) => kind === 'data')
          .flatMap(({ offset, length }) =>
            Array.from({ length: Math.ceil(length / LIMITS.frameRawBytes) }, (_, i) => {
              const start = i * LIMITS.frameRawBytes
              const size = Math.min(LIMITS.frameRawBytes, length - start)
              return { offset: offset + start, length: size }
            }),
          )
        expect(frames).toEqual(expected)
      }),
    )
  })

  it('does not depend on how many cells come at once', () => {
    fc.assert(
      fc.property(cells, fc.infiniteStream(fc.boolean()), (letters, cuts) => {
        const some = plan(letters, 1, () => cuts.next().value ?? true)
        expect(some).toEqual(plan(letters, 1))
        expect(plan(letters, 1, () => false)).toEqual(some)
      }),
    )
  })

  it('gives a full frame before the extent ends, so that packing need not wait', () => {
    const planner = new ExtentPlanner(100 * LIMITS.frameRawBytes)
    const framesBefore = planner.add({ kind: 'data', cells: 65 })
    expect(framesBefore).toEqual([{ offset: 0, length: LIMITS.frameRawBytes }])
  })

  it('refuses cells that do not add up to the payload', () => {
    const planner = new ExtentPlanner(2 * CELL_BYTES)
    planner.add({ kind: 'zero', cells: 1 })
    expect(() => planner.finish()).toThrow(RangeError)
  })
})
