import { readFile } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import type { ProgressEvent } from '../../src/events.ts'
import { makeBlankAfter } from '../../src/flash/blank-stage.ts'
import { MIB } from '../../src/units.ts'
import { breakSector } from './bad-sector.ts'
import { hostFixture, isRoot } from './host-fixture.ts'

/** The fixture's disk has 24 MiB, all of it text. */
const plan = { store: { offset: 8 * MIB, bytes: 12 * MIB } }
const BAD = 14 * MIB

const isZero = (bytes: Uint8Array): boolean => bytes.every((byte) => byte === 0)

async function stage() {
  const host = await hostFixture({ system: 'target', plan })
  const notes: string[] = []
  const emit = (event: ProgressEvent) => void (event.event === 'note' && notes.push(event.text))
  const blankAfter = (left: string | undefined) => makeBlankAfter({ left, emit }, host.plan)
  return { host, notes, blankAfter }
}

describe.skipIf(!isRoot)('a stage becomes blank (as root)', () => {
  test('but for the middle of its store, where the secrets were erased', async () => {
    const { host, notes, blankAfter } = await stage()
    await blankAfter(undefined)
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
    await blankAfter('why')
    const bytes = await readFile(host.file)
    expect(isZero(bytes.subarray(0, 12 * MIB))).toBe(true)
    expect(isZero(bytes.subarray(20 * MIB))).toBe(true)
    // What lies behind the bad sector as well.
    expect(isZero(bytes.subarray(15 * MIB))).toBe(true)
    expect(notes.at(-1)).toMatch(/^writing .*nothing, but secrets may be left on it$/)
  })
})
