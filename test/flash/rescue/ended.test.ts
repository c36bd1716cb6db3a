/** A rescue that starts again after the end gives the host to whom it belongs. */
import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { OsflashError } from '../../../src/errors.ts'
import type { ProgressEvent } from '../../../src/events.ts'
import { eraseSecrets } from '../../../src/flash/erase.ts'
import { createJournal } from '../../../src/flash/journal.ts'
import { STORE } from '../../../src/flash/places.ts'
import { afterAbort, afterConfirmation } from '../../../src/flash/rescue/ended.ts'
import type { State } from '../../../src/flash/states.ts'
import { DIGEST, scratchFolder } from '../journal-fixture.ts'

interface Setting {
  readonly state?: State
  readonly hasGuard?: boolean
  readonly isIntended?: boolean
  readonly isReachable?: boolean
  readonly atBoot?: boolean
}

async function rescue(setting: Setting = {}) {
  const { state = 'aborted', isIntended = false, isReachable = true, atBoot = true } = setting
  let { hasGuard = true } = setting
  const store = await scratchFolder()
  if (isIntended) await writeFile(join(store, STORE.intent), '')
  await mkdir(join(store, STORE.carry))
  await writeFile(join(store, STORE.sessionKey), 'secret')
  const attempts = { flash: 1, trial: 1 }
  const journal = await createJournal(store, {
    system: 'rescue',
    state,
    planDigest: DIGEST,
    attempts,
  })
  const done: string[] = []
  const said: string[] = []
  const hasSecret = async () => (await readdir(store)).includes(STORE.sessionKey)
  const boot = {
    hasGuard: async () => hasGuard,
    confirm: async () => {
      done.push((await hasSecret()) ? 'confirm' : 'confirm, erased before')
      hasGuard = false
    },
    release: async () => void done.push('release'),
  }
  const ended = {
    atBoot,
    store,
    boot,
    erase: () => eraseSecrets(store),
    isReachable: async () => isReachable,
    alive: async () => void done.push('alive'),
    emit: (event: ProgressEvent) => void said.push('text' in event ? event.text : ''),
  }
  /** What a firmware does that forgets. */
  const forget = (): void => {
    hasGuard = true
  }
  return { store, journal, ended, done, said, forget }
}

describe('a rescue behind a confirmed target', () => {
  it('makes it what boots again, once, and leaves no secret', async () => {
    const { ended, done, store, forget } = await rescue({ state: 'confirmed' })
    expect(await afterConfirmation(ended)).toBe('rebooting')
    expect(done).toEqual(['confirm'])
    const left = await readdir(store)
    for (const name of [STORE.sessionKey, STORE.carry]) expect(left).not.toContain(name)
    forget()
    expect(await afterConfirmation(ended)).toBe('held')
    expect(done).toEqual(['confirm'])
    // An operator may try again.
    expect(await afterConfirmation({ ...ended, atBoot: false })).toBe('rebooting')
    expect(done).toEqual(['confirm', 'confirm, erased before'])
  })

  it('gives the host to the target although a secret cannot be erased', async () => {
    const { ended, done, said } = await rescue({ state: 'confirmed' })
    const erase = () => Promise.reject(new OsflashError('io', 'erasing carry: no'))
    expect(await afterConfirmation({ ...ended, erase })).toBe('rebooting')
    expect(done).toEqual(['confirm'])
    expect(said).toContain('erasing carry: no; in the target: osflash cleanup')
  })

  it('stays where it was started by hand: the target is what boots', async () => {
    const { ended, done, store } = await rescue({ state: 'confirmed', hasGuard: false })
    expect(await afterConfirmation(ended)).toBe('held')
    expect(done).toEqual([])
    expect(await readdir(store)).not.toContain(STORE.restored)
  })

  it('counts the time before it asks the firmware: what fails is not tried for ever', async () => {
    const { ended, store } = await rescue({ state: 'confirmed' })
    const confirm = () => Promise.reject(new Error('the firmware is locked'))
    const locked = { ...ended, boot: { ...ended.boot, confirm } }
    await expect(afterConfirmation(locked)).rejects.toThrow('the firmware is locked')
    expect(await readdir(store)).not.toContain(STORE.sessionKey)
    expect(await afterConfirmation(locked)).toBe('held')
  })
})

describe('a rescue of a run that was aborted', () => {
  it.each(['aborted', 'staging', 'preflight'] as const)(
    'gives the host back (%s)',
    async (state) => {
      const { ended, done, journal } = await rescue({ state, hasGuard: false, isReachable: false })
      expect(await afterAbort(journal, ended)).toBe('rebooting')
      expect(done).toEqual(['release'])
      expect(journal.current?.state).toBe(state)
    },
  )

  it('stays where somebody can log in, or where an operator asked', async () => {
    for (const setting of [{}, { isReachable: false, atBoot: false }]) {
      const { ended, done, journal } = await rescue({ hasGuard: false, ...setting })
      expect(await afterAbort(journal, ended)).toBe('held')
      expect(done).toEqual(['release', 'alive'])
    }
  })

  it('holds behind a guard that a rescue put there, and can be told what to do', async () => {
    const { ended, done, journal } = await rescue({ isIntended: true, isReachable: false })
    expect(await afterAbort(journal, ended)).toBe('held')
    expect(done).toEqual(['alive'])
    expect(journal.current).toMatchObject({ state: 'held', error: 'aborted behind the guard' })
  })

  it('takes a guard that the firmware put there for none', async () => {
    const { ended, done, journal } = await rescue({ isReachable: false })
    expect(await afterAbort(journal, ended)).toBe('rebooting')
    expect(done).toEqual(['release'])
    expect(journal.current?.state).toBe('aborted')
  })
})
