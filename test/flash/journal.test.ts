import {
  appendFile,
  mkdir,
  readFile,
  rm,
  stat,
  statfs,
  truncate,
  writeFile,
} from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, onTestFinished, test } from 'vitest'
import {
  createJournal,
  decodeSlot,
  encodeSlot,
  type Journal,
  openJournal,
  SLOT_BYTES,
} from '../../src/flash/journal.ts'
import { STORE } from '../../src/flash/places.ts'
import { type JournalRecord, NEXT, type State } from '../../src/flash/states.ts'
import { run } from '../../src/system/run.ts'
import { makeScratch } from '../../src/system/scratch.ts'

const DIGEST = 'a'.repeat(64)
const STATES = Object.keys(NEXT) as State[]

const record = (changes: Partial<JournalRecord> = {}): JournalRecord => ({
  format: 'osflash-journal/1',
  sequence: 0,
  state: 'staging',
  system: 'first-os',
  since: '2026-01-02T03:04:05.000Z',
  bootId: 'boot-1',
  planDigest: DIGEST,
  attempts: { flash: 0, trial: 0 },
  ...changes,
})

async function scratchFolder(parent?: string): Promise<string> {
  const scratch = await makeScratch('journal-test', parent)
  onTestFinished(() => scratch[Symbol.asyncDispose]())
  return scratch.path
}

const first = (state: State) => ({
  state,
  planDigest: DIGEST,
  attempts: { flash: 0, trial: 0 },
  system: 'first-os' as const,
  bootId: 'boot-1',
})

const reopen = (folder: string): Promise<Journal> =>
  openJournal(folder, { system: 'rescue', bootId: 'boot-2' })

const slot = (folder: string, n: 0 | 1): string => join(folder, STORE.journal[n])

describe('journal of a store', () => {
  test('is not there before it is created', async () => {
    const journal = await reopen(await scratchFolder())
    expect(journal.current).toBeUndefined()
    await expect(journal.write({ state: 'staging' })).rejects.toThrow(RangeError)
  })

  test('what was written is read by the next system', async () => {
    const folder = await scratchFolder()
    const journal = await createJournal(folder, first('staging'))
    await journal.write({ state: 'staged' })
    const armed = await journal.write({ state: 'armed' })
    const { current } = await reopen(folder)
    expect(current).toEqual(armed)
    expect(current).toMatchObject({ sequence: 2, state: 'armed', bootId: 'boot-1' })
  })

  test('both slots are whole files without holes, read by root alone', async () => {
    const folder = await scratchFolder('/var/tmp')
    await createJournal(folder, first('staging'))
    for (const n of [0, 1] as const) {
      const { size, blocks, mode } = await stat(slot(folder, n))
      expect({ size, mode: mode & 0o777 }).toEqual({ size: SLOT_BYTES, mode: 0o600 })
      expect(blocks * 512).toBeGreaterThanOrEqual(SLOT_BYTES)
    }
  })

  test('writes turn by turn, in place', async () => {
    const folder = await scratchFolder('/var/tmp')
    const journal = await createJournal(folder, first('staging'))
    const inodes = await Promise.all([stat(slot(folder, 0)), stat(slot(folder, 1))])
    const before = await readFile(slot(folder, 0))
    await journal.write({ state: 'staged' })
    expect(await readFile(slot(folder, 0))).toEqual(before)
    await journal.write({ state: 'armed' })
    expect(decodeSlot(await readFile(slot(folder, 0)))?.state).toBe('armed')
    expect(decodeSlot(await readFile(slot(folder, 1)))?.state).toBe('staged')
    const after = await Promise.all([stat(slot(folder, 0)), stat(slot(folder, 1))])
    expect(after.map(({ ino }) => ino)).toEqual(inodes.map(({ ino }) => ino))
  })

  test('writes at once stand in line', async () => {
    const folder = await scratchFolder()
    const journal = await createJournal(folder, first('staging'))
    await Promise.all([journal.write({ state: 'staged' }), journal.write({ state: 'armed' })])
    expect((await reopen(folder)).current).toMatchObject({ state: 'armed', sequence: 2 })
  })

  test('goes on after a step that was refused', async () => {
    const journal = await createJournal(await scratchFolder(), first('staging'))
    await expect(journal.write({ state: 'trial' })).rejects.toThrow('staging to trial')
    expect((await journal.write({ state: 'staged' })).sequence).toBe(1)
  })

  test('a second writer is refused', async () => {
    const folder = await scratchFolder()
    const journal = await createJournal(folder, first('staging'))
    await (await reopen(folder)).write({ state: 'staged' })
    await expect(journal.write({ state: 'aborted' })).rejects.toMatchObject({ code: 'refused' })
    expect((await reopen(folder)).current?.state).toBe('staged')
  })

  test('a record that cannot be written leaves the one before', async () => {
    const folder = await scratchFolder()
    const journal = await createJournal(folder, first('staging'))
    await rm(slot(folder, 1))
    await expect(journal.write({ state: 'staged' })).rejects.toMatchObject({ code: 'io' })
    expect(journal.current?.state).toBe('staging')
    expect((await reopen(folder)).current?.state).toBe('staging')
  })
})

describe('steps', () => {
  const pairs = STATES.flatMap((from) => STATES.map((to) => [from, to] as const))

  test('each of the states may follow as NEXT says, or again, and no other', async () => {
    const folder = await scratchFolder('/dev/shm')
    for (const [from, to] of pairs) {
      const journal = await createJournal(folder, first(from))
      const step = journal.write({ state: to })
      if (from === to || NEXT[from].includes(to)) {
        expect((await step).state).toBe(to)
        expect((await reopen(folder)).current?.state).toBe(to)
      } else {
        await expect(step, `${from} to ${to}`).rejects.toThrow(RangeError)
        expect((await reopen(folder)).current?.state).toBe(from)
      }
    }
  })

  test('what a step does not say stays as it was', async () => {
    const folder = await scratchFolder()
    await createJournal(folder, first('retargeted'))
    const journal = await reopen(folder)
    const attempts = { flash: 1, trial: 1 }
    await journal.write({ state: 'trial', attempts })
    const held = await journal.write({ state: 'held', error: 'no answer' })
    expect(held).toMatchObject({ attempts, planDigest: DIGEST, system: 'rescue' })
    expect(held.bootId).toBe('boot-2')
    const digest = 'b'.repeat(64)
    const next = await journal.write({ state: 'committed', planDigest: digest })
    expect(next).toMatchObject({ attempts, planDigest: digest })
  })

  test('an error stays until another state is entered', async () => {
    const journal = await createJournal(await scratchFolder(), first('wiped'))
    await journal.write({ state: 'flashing', error: 'disk is gone' })
    expect((await journal.write({ state: 'flashing' })).error).toBe('disk is gone')
    expect((await journal.write({ state: 'body-complete' })).error).toBeUndefined()
  })

  test('holding keeps the error that led to it', async () => {
    const journal = await createJournal(await scratchFolder(), first('flashing'))
    await journal.write({ state: 'flashing', error: 'disk is gone' })
    expect((await journal.write({ state: 'held' })).error).toBe('disk is gone')
  })

  test('a state that is entered again keeps its time', async () => {
    const folder = await scratchFolder()
    await createJournal(folder, first('flashing'))
    await writeFile(slot(folder, 0), encodeSlot(record({ state: 'flashing' })))
    const journal = await reopen(folder)
    expect((await journal.write({ state: 'flashing' })).since).toBe(record().since)
    expect((await journal.write({ state: 'held' })).since).not.toBe(record().since)
  })

  test('any text can be the error', async () => {
    const folder = await scratchFolder()
    const journal = await createJournal(folder, first('flashing'))
    const texts = [
      '\u0000'.repeat(5_000),
      '\ud800'.repeat(2_000),
      '"\\'.repeat(3_000),
      '水'.repeat(2_000),
    ]
    for (const error of texts) {
      const { error: kept = '' } = await journal.write({ state: 'flashing', error })
      expect(kept.length).toBeLessThanOrEqual(1_024)
      expect((await reopen(folder)).current?.error).toBe(kept)
    }
  })
})

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

describe('damage', () => {
  test('of both slots is an error of its own', async () => {
    const folder = await scratchFolder()
    await createJournal(folder, first('flashing'))
    await writeFile(slot(folder, 0), Buffer.alloc(SLOT_BYTES))
    await expect(reopen(folder)).rejects.toMatchObject({
      code: 'format',
      message: expect.stringMatching(/^reading the journal: /),
    })
  })

  test('a record in the other slot counts as damage', async () => {
    const folder = await scratchFolder()
    await createJournal(folder, first('staging'))
    await writeFile(slot(folder, 1), encodeSlot(record({ sequence: 8, state: 'trial' })))
    expect((await reopen(folder)).current?.state).toBe('staging')
  })

  test('a slot that grew is no record', async () => {
    const folder = await scratchFolder()
    await createJournal(folder, first('staging'))
    await appendFile(slot(folder, 0), 'x')
    await expect(reopen(folder)).rejects.toMatchObject({ code: 'format' })
  })

  test('a first write that was cut is no journal yet', async () => {
    const folder = await scratchFolder()
    await createJournal(folder, first('staging'))
    await rm(slot(folder, 0))
    expect((await reopen(folder)).current).toBeUndefined()
  })

  test('a slot that is no file is an error, not an empty journal', async () => {
    const folder = await scratchFolder()
    await mkdir(slot(folder, 0))
    await expect(reopen(folder)).rejects.toMatchObject({ code: 'io' })
  })
})

describe('the file of the trial agent', () => {
  async function withConfirmed(state: State, text: string): Promise<Journal> {
    const folder = await scratchFolder()
    await createJournal(folder, first(state))
    await writeFile(join(folder, STORE.confirmed), text)
    return reopen(folder)
  }

  test('makes a trial confirmed by the target', async () => {
    const { current } = await withConfirmed('trial', `${DIGEST}\n`)
    expect(current).toMatchObject({ state: 'confirmed', system: 'target' })
    expect(current).not.toHaveProperty('error')
  })

  test('can be made a record', async () => {
    const journal = await withConfirmed('trial', DIGEST)
    expect(await journal.write({ state: 'confirmed' })).toMatchObject({ sequence: 1 })
  })

  test.each([
    ['of another plan', 'trial', 'b'.repeat(64)],
    ['that was cut', 'trial', DIGEST.slice(0, 60)],
    ['in another state', 'held', DIGEST],
  ] as const)('counts for nothing: %s', async (_, state, text) => {
    expect((await withConfirmed(state, text)).current?.state).toBe(state)
  })
})

const TMPFS = 0x01021994
const { type: fileSystem } = await statfs('/var/tmp')

test.skipIf(fileSystem === TMPFS)('a slot is written past the page cache (on a disk)', async () => {
  const folder = await scratchFolder('/var/tmp')
  const journal = await createJournal(folder, first('staging'))
  await journal.write({ state: 'staged' })
  const { stdout } = await run(['fincore', '-b', '-n', '-o', 'PAGES', slot(folder, 1)])
  expect(stdout.trim()).toBe('0')
})
