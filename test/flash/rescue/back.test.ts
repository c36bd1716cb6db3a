/** Back to the first OS from behind the guard: only while nothing was wiped, whatever is cut. */
import { readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import type { ArmBackup } from '../../../src/flash/boot/method.ts'
import { createJournal, openJournal } from '../../../src/flash/journal.ts'
import { STORE } from '../../../src/flash/places.ts'
import { goBack, takeBack } from '../../../src/flash/rescue/back.ts'
import { canGoBack } from '../../../src/flash/rescue/way-back.ts'
import type { State } from '../../../src/flash/states.ts'
import { DIGEST, STATES, scratchFolder } from '../journal-fixture.ts'

const SAVED = { kind: 'sector-0', sector0: 'AAAA' }

/** A rescue behind its guard, and the boot method as far as it is asked. */
async function rescue(state: State = 'committed') {
  const store = await scratchFolder()
  for (const name of [STORE.intent, STORE.hold]) await writeFile(join(store, name), '')
  await writeFile(join(store, STORE.guardBackup), JSON.stringify(SAVED))
  const attempts = { flash: 0, trial: 0 }
  const first = { system: 'rescue', state, planDigest: DIGEST, attempts } as const
  const journal = await createJournal(store, first)
  const put: ArmBackup[] = []
  const states: (State | undefined)[] = []
  const boot = {
    unguard: async (saved: ArmBackup) => {
      states.push((await openJournal(store, { system: 'rescue' })).current?.state)
      put.push(saved)
    },
    hasGuard: async () => put.length === 0,
  }
  const findDisk = async () => 'found'
  return { store, journal, boot, findDisk, put, states }
}

it.each(['committed', 'held'] as const)('from %s, with the journal first', async (state) => {
  const one = await rescue(state)
  expect(await canGoBack(one.store, state)).toBe(true)
  await takeBack(one)
  expect(one.put).toEqual([SAVED])
  expect(one.states).toEqual(['aborted'])
  const left = await readdir(one.store)
  for (const name of [STORE.intent, STORE.hold]) expect(left).not.toContain(name)
})

it.each(STATES.filter((state) => state !== 'committed' && state !== 'held'))(
  'not from %s',
  async (state) => {
    const one = await rescue(state)
    expect(await canGoBack(one.store, state)).toBe(false)
    await expect(takeBack(one)).rejects.toMatchObject({ code: 'refused' })
    expect(one.put).toEqual([])
    expect(one.journal.current?.state).toBe(state)
  },
)

it('not once the wiping was begun, nor without what was saved', async () => {
  const wiping = await rescue('held')
  await writeFile(join(wiping.store, STORE.wiping), '')
  expect(await canGoBack(wiping.store, 'held')).toBe(false)
  await expect(takeBack(wiping)).rejects.toThrow('going back to the first OS: its disk was wiped')
  const unknown = await rescue('held')
  await rm(join(unknown.store, STORE.guardBackup))
  expect(await canGoBack(unknown.store, 'held')).toBe(false)
  await expect(takeBack(unknown)).rejects.toThrow('nobody knows what the guard took the place of')
  const damaged = await rescue('held')
  await writeFile(join(damaged.store, STORE.guardBackup), '{"kind":')
  expect(await canGoBack(damaged.store, 'held')).toBe(false)
  await expect(takeBack(damaged)).rejects.toMatchObject({ code: 'format' })
  expect([...wiping.put, ...unknown.put, ...damaged.put]).toEqual([])
})

it('not on a disk that is another one now', async () => {
  const one = await rescue()
  const findDisk = () => Promise.reject(new Error('another table'))
  await expect(takeBack({ ...one, findDisk })).rejects.toThrow('another table')
  expect(one.journal.current?.state).toBe('committed')
})

it('holds when the guard cannot be taken away, and can be asked again', async () => {
  const one = await rescue()
  const unguard = () => Promise.reject(new Error('read-only'))
  await expect(takeBack({ ...one, boot: { ...one.boot, unguard } })).rejects.toThrow('read-only')
  expect(one.journal.current).toMatchObject({ state: 'held', error: 'read-only' })
  const hasGuard = async () => true
  await expect(takeBack({ ...one, boot: { ...one.boot, hasGuard } })).rejects.toThrow('still')
  expect(one.journal.current?.state).toBe('held')
  await takeBack(one)
  expect(one.journal.current?.state).toBe('aborted')
})

it('is for the rescue alone', async () => {
  await expect(goBack(() => undefined)).rejects.toThrow('this is not the rescue')
})
