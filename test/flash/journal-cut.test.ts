/** Slots of the journal: their bytes, and what a power cut makes of them. */
import { readFile, truncate, writeFile } from 'node:fs/promises'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  createJournal,
  decodeSlot,
  encodeSlot,
  type Journal,
  SLOT_BYTES,
} from '../../src/flash/journal.ts'
import { type JournalRecord, NEXT } from '../../src/flash/states.ts'
import { first, record, reopen, STATES, scratchFolder, slot } from './journal-fixture.ts'

describe('slots', () => {
  const bytes = fc.record({
    sequence: fc.nat(),
    state: fc.constantFrom(...STATES),
    error: fc.string({ maxLength: 200 }),
  })

  test('decoding should invert encoding', () => {
    fc.assert(
      fc.property(bytes, (changes) => {
        const slotBytes = encodeSlot(record(changes))
        expect(slotBytes.length).toBe(SLOT_BYTES)
        expect(decodeSlot(slotBytes)).toEqual(record(changes))
      }),
    )
  })

  test('the text of a slot is JSON and newlines', () => {
    const text = encodeSlot(record())
      .subarray(0, SLOT_BYTES - 32)
      .toString()
    expect(text.trimEnd()).toBe(JSON.stringify(record()))
  })

  test('no flipped bit goes unseen', () => {
    const whole = encodeSlot(record())
    for (let bit = 0; bit < SLOT_BYTES * 8; bit += 7) {
      const flipped = Buffer.from(whole)
      flipped.writeUInt8(flipped.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3)
      expect(decodeSlot(flipped)).toBeUndefined()
    }
  })

  test('a digest alone makes no record', () => {
    const strange = { ...record(), extra: 1 }
    expect(() => encodeSlot(strange)).toThrow(RangeError)
    expect(() => encodeSlot(record({ bootId: 'x'.repeat(1_025) }))).toThrow(RangeError)
    const long = record({ bootId: '水'.repeat(1_024), error: '水'.repeat(1_024) })
    expect(() => encodeSlot(long)).toThrow(RangeError)
  })
})

describe('a write that is cut', () => {
  const OLD = record({ sequence: 3, state: 'wiped' })
  const NOW = record({ sequence: 4, state: 'flashing' })
  const NEW = record({ sequence: 5, state: 'flashing', attempts: { flash: 1, trial: 0 } })
  const before = encodeSlot(OLD)
  const after = encodeSlot(NEW)

  async function currentAfter(
    torn: Uint8Array,
    folder: string,
  ): Promise<JournalRecord | undefined> {
    await writeFile(slot(folder, 0), encodeSlot(NOW))
    await writeFile(slot(folder, 1), torn)
    return (await reopen(folder)).current
  }

  test('any prefix of it leaves the old or the new record', async () => {
    const folder = await scratchFolder('/dev/shm')
    const cut = fc.nat({ max: SLOT_BYTES })
    await fc.assert(
      fc.asyncProperty(cut, async (at) => {
        const torn = Buffer.concat([after.subarray(0, at), before.subarray(at)])
        const current = await currentAfter(torn, folder)
        expect(current).toEqual(torn.equals(after) ? NEW : NOW)
      }),
    )
  })

  test('any set of sectors of it leaves the old or the new record', async () => {
    const folder = await scratchFolder('/dev/shm')
    const sectors = fc.array(fc.boolean(), { minLength: 8, maxLength: 8 })
    await fc.assert(
      fc.asyncProperty(sectors, async (written) => {
        const torn = Buffer.concat(
          written.map((is, i) => (is ? after : before).subarray(i * 512, i * 512 + 512)),
        )
        const current = await currentAfter(torn, folder)
        expect(current).toEqual(torn.equals(after) ? NEW : NOW)
      }),
    )
  })

  test('bytes of any kind in its place leave the old record', async () => {
    const folder = await scratchFolder('/dev/shm')
    const noise = fc.uint8Array({ minLength: 1, maxLength: 600 })
    const place = fc.nat({ max: SLOT_BYTES - 1 })
    await fc.assert(
      fc.asyncProperty(noise, place, async (some, at) => {
        const torn = Buffer.from(after)
        torn.set(some.subarray(0, SLOT_BYTES - at), at)
        const current = await currentAfter(torn, folder)
        expect(current).toEqual(torn.equals(after) ? NEW : NOW)
      }),
    )
  })

  test('the next write goes to the torn slot and makes both whole', async () => {
    const folder = await scratchFolder()
    await currentAfter(after.subarray(0, 100), folder)
    await truncate(slot(folder, 1), SLOT_BYTES)
    const journal = await reopen(folder)
    const next = await journal.write({ state: 'body-complete' })
    expect(next.sequence).toBe(5)
    expect(decodeSlot(await readFile(slot(folder, 1)))).toEqual(next)
    expect(decodeSlot(await readFile(slot(folder, 0)))).toEqual(NOW)
  })
})

describe('a run that is cut again and again', () => {
  const step = fc.record({ choice: fc.nat(), cutAt: fc.option(fc.nat({ max: SLOT_BYTES })) })

  test('always goes on from the old or the new record', async () => {
    const folder = await scratchFolder('/dev/shm')
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
        let journal = await createJournal(folder, first('preflight'))
        for (const { choice, cutAt } of steps) {
          const before = currentOf(journal)
          const follow = [before.state, ...NEXT[before.state]]
          const state = follow[choice % follow.length] ?? before.state
          const path = slot(folder, before.sequence % 2 === 0 ? 1 : 0)
          const overwritten = await readFile(path)
          const after = await journal.write({ state })
          if (cutAt === null) continue
          const written = await readFile(path)
          const torn = Buffer.concat([written.subarray(0, cutAt), overwritten.subarray(cutAt)])
          await writeFile(path, torn)
          journal = await reopen(folder)
          expect([before, after]).toContainEqual(currentOf(journal))
          if (torn.equals(written)) expect(journal.current).toEqual(after)
          else expect(journal.current).toEqual(before)
        }
      }),
      { numRuns: 50 },
    )
  })
})

function currentOf({ current }: Journal): JournalRecord {
  if (current === undefined) throw new Error('no journal')
  return current
}
