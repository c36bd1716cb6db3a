/** A journal that is lost behind the guard: only an operator with another target gets a new one. */
import { copyFile, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { createJournal, openJournal } from '../../../src/flash/journal.ts'
import { STORE } from '../../../src/flash/places.ts'
import { planBytes, planDigest } from '../../../src/flash/plan/plan.ts'
import { openOrRenew } from '../../../src/flash/rescue/new-journal.ts'
import { settlePlan } from '../../../src/flash/rescue/new-target.ts'
import { readPlan } from '../../../src/flash/store.ts'
import { flashPlan } from '../flash-plan.ts'
import { scratchFolder } from '../journal-fixture.ts'

const STAGED = planBytes(flashPlan())
const OTHER = planBytes(flashPlan({ awaySeconds: 7 }))

/** A store behind the guard, in the middle of the flashing. */
async function store(plan = STAGED) {
  const path = await scratchFolder()
  const at = (name: string) => join(path, name)
  await writeFile(at(STORE.plan), plan)
  await writeFile(at(STORE.intent), '')
  const attempts = { flash: 1, trial: 0 }
  const first = { system: 'rescue', state: 'flashing', planDigest: planDigest(plan) } as const
  const journal = await createJournal(path, { ...first, attempts })
  await settlePlan(path, journal)
  const damage = async () => {
    for (const name of STORE.journal) await writeFile(at(name), 'torn')
  }
  const open = (changes: { isAsked?: boolean; hasGuard?: boolean } = {}) => {
    const { isAsked = true, hasGuard = true } = changes
    const stagedDigest = planDigest(STAGED)
    const makeBoot = async () => ({ hasGuard: async () => hasGuard })
    return openOrRenew({ store: path, stagedDigest, isAsked, makeBoot })
  }
  return { path, at, journal, damage, open }
}

describe('a journal in the rescue', () => {
  it('that can be read is taken as it is', async () => {
    const { open, journal } = await store()
    expect((await open()).current).toEqual(journal.current)
  })

  it('that is lost is begun anew as held, with the plan that it had', async () => {
    const { open, damage, path } = await store()
    await damage()
    const { current } = await open()
    expect(current).toMatchObject({ state: 'held', planDigest: planDigest(STAGED) })
    expect(current?.error).toContain('no slot is readable')
    expect((await openJournal(path, { system: 'rescue' })).current).toEqual(current)
    expect(await readPlan(path)).toEqual(flashPlan())
  })

  it('that is gone is begun anew too', async () => {
    const { open, at } = await store()
    for (const name of STORE.journal) await rm(at(name))
    expect((await open()).current?.state).toBe('held')
  })

  it.each([
    ['nobody brought a target', { isAsked: false }, 'format'],
    ['the guard does not stand', { hasGuard: false }, 'refused'],
  ] as const)('stays lost where %s', async (_, changes, code) => {
    const { open, damage, at } = await store()
    await damage()
    await expect(open(changes)).rejects.toMatchObject({ code })
    expect(await readFile(at(STORE.journal[0]), 'utf8')).toBe('torn')
  })

  it('stays lost where the rescue never meant to put a guard there', async () => {
    const { open, damage, at } = await store()
    await damage()
    await rm(at(STORE.intent))
    await expect(open()).rejects.toMatchObject({ code: 'refused' })
  })

  it('knows the plan of another target by its two files, and none that is in doubt', async () => {
    const { open, damage, at } = await store(OTHER)
    await damage()
    await copyFile(at(STORE.plan), at('kept'))
    await writeFile(at(STORE.plan), 'torn')
    await expect(open()).rejects.toMatchObject({ code: 'digest' })
    await copyFile(at('kept'), at(STORE.plan))
    expect((await open()).current?.planDigest).toBe(planDigest(OTHER))
  })

  it('does not forget that the target confirmed itself', async () => {
    const { open, damage, at } = await store()
    await damage()
    await writeFile(at(STORE.confirmed), `${planDigest(STAGED)}\n`)
    expect((await open()).current?.state).toBe('confirmed')
  })
})

describe('the second file of the plan', () => {
  it.each([STORE.plan, STORE.planCopy])('%s is mended from the other', async (name) => {
    const { path, at, journal } = await store()
    await writeFile(at(name), 'torn')
    expect(await readPlan(path)).toEqual(flashPlan())
    await settlePlan(path, journal)
    expect(await readFile(at(name))).toEqual(STAGED)
  })

  it('follows the plan of another target', async () => {
    const { path, at, journal } = await store()
    await writeFile(at(`${STORE.plan}.next`), OTHER)
    await journal.write({ state: 'held', planDigest: planDigest(OTHER) })
    await settlePlan(path, journal)
    expect(await readFile(at(STORE.planCopy))).toEqual(OTHER)
    expect(await readFile(at(STORE.plan))).toEqual(OTHER)
  })

  it('is not taken for a plan that the journal did not pin', async () => {
    const { path, at } = await store()
    for (const name of [STORE.plan, STORE.planCopy]) await writeFile(at(name), OTHER)
    await expect(readPlan(path)).rejects.toMatchObject({ code: 'digest' })
  })
})
