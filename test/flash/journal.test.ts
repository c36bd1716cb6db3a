import { appendFile, mkdir, readFile, rm, stat, statfs, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import {
  createJournal,
  decodeSlot,
  encodeSlot,
  type Journal,
  SLOT_BYTES,
} from '../../src/flash/journal.ts'
import { STORE } from '../../src/flash/places.ts'
import { NEXT, type State } from '../../src/flash/states.ts'
import { run } from '../../src/system/run.ts'
import { DIGEST, first, record, reopen, STATES, scratchFolder, slot } from './journal-fixture.ts'

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

  test.each(['trial', 'held'] as const)('makes %s confirmed by the target', async (state) => {
    const { current } = await withConfirmed(state, `${DIGEST}\n`)
    expect(current).toMatchObject({ state: 'confirmed', system: 'target' })
    expect(current).not.toHaveProperty('error')
  })

  test('one that cannot be read is an error, for it may say yes', async () => {
    const folder = await scratchFolder()
    await createJournal(folder, first('trial'))
    await mkdir(join(folder, STORE.confirmed))
    await expect(reopen(folder)).rejects.toMatchObject({ code: 'io' })
  })

  test('can be made a record', async () => {
    const journal = await withConfirmed('trial', DIGEST)
    expect(await journal.write({ state: 'confirmed' })).toMatchObject({ sequence: 1 })
  })

  test.each([
    ['of another plan', 'trial', 'b'.repeat(64)],
    ['that was cut', 'trial', DIGEST.slice(0, 60)],
    ['in another state', 'retargeted', DIGEST],
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
