import { rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { openJournal } from '../../src/flash/journal.ts'
import { nextSteps } from '../../src/flash/next-steps.ts'
import { FIRST_OS, STORE } from '../../src/flash/places.ts'
import { planBytes } from '../../src/flash/plan/plan.ts'
import { readStatus } from '../../src/flash/status.ts'
import { flashPlan } from './flash-plan.ts'
import {
  damageStore,
  type HostFixture,
  hostFixture,
  isRoot,
  scratchFolder,
} from './host-fixture.ts'

const armed = (): Promise<boolean> => Promise.resolve(true)
const spent = (): Promise<boolean> => Promise.resolve(false)
const unknown = (): Promise<boolean> => Promise.reject(new Error('no grubenv'))

const statusOf = ({ root }: HostFixture, isArmed = armed) =>
  readStatus({ root, isArmed, startsByStage: spent })

test('a host without a replacement', async () => {
  const root = await scratchFolder()
  expect(await readStatus({ root, isArmed: armed, startsByStage: spent })).toEqual({
    system: 'first-os',
    state: 'none',
    failed: false,
    notes: [],
    next: [],
    trialLog: [],
  })
})

describe.skipIf(!isRoot)('status on a host with a stage (as root)', () => {
  test('before the store is made it is staging', async () => {
    const status = await statusOf(await hostFixture({ system: 'first-os' }))
    expect(status).toMatchObject({ state: 'staging', failed: false })
    expect(status.next).toContain('osflash abort undoes what was prepared')
  })

  test('has state, plan and what comes next', async () => {
    const host = await hostFixture({ system: 'first-os', state: 'staged' })
    const status = await statusOf(host)
    expect(status).toMatchObject({
      system: 'first-os',
      state: 'staged',
      failed: false,
      attempts: { flash: 0, trial: 0 },
      planDigest: host.digest,
      plan: { hostname: 'web-1', target: 'debian-13', disk: 'DISK-1 (8.00 GiB)' },
    })
    expect(status.since).toMatch(/^\d{4}-/)
  })

  test('a rescue that did not come up is named', async () => {
    const host = await hostFixture({ system: 'first-os', state: 'armed', bootId: 'before' })
    expect(await statusOf(host, spent)).toMatchObject({
      state: 'armed',
      failed: true,
      notes: ['the rescue was started and did not come up'],
    })
  })

  test.each([
    ['the one-shot is not spent', 'before', armed],
    ['the host was not started again', undefined, spent],
    ['nobody can tell', 'before', unknown],
  ])('is only armed when %s', async (_, bootId, isArmed) => {
    const given = bootId === undefined ? {} : { bootId }
    const host = await hostFixture({ system: 'first-os', state: 'armed', ...given })
    expect(await statusOf(host, isArmed)).toMatchObject({ failed: false, notes: [] })
  })

  test('a rescue that went away in its rehearsal is named', async () => {
    const host = await hostFixture({ system: 'first-os', state: 'rehearsal' })
    const { failed, notes, next } = await statusOf(host, spent)
    expect({ failed, notes }).toEqual({
      failed: true,
      notes: ['the rescue came up, and did not end its rehearsal'],
    })
    expect(next[0]).toContain('osflash abort')
  })

  test('an aborted run says why', async () => {
    const host = await hostFixture({ system: 'first-os', state: 'rehearsal' })
    await host.inStore(async (path) => {
      const journal = await openJournal(path, { system: 'rescue' })
      await journal.write({ state: 'aborted', error: 'gateway 192.0.2.1 does not answer' })
    })
    expect(await statusOf(host)).toMatchObject({
      state: 'aborted',
      failed: true,
      error: 'gateway 192.0.2.1 does not answer',
    })
  })

  test('an abort that was asked for is no failure', async () => {
    const host = await hostFixture({ system: 'first-os', state: 'aborted' })
    expect(await statusOf(host)).toMatchObject({ state: 'aborted', failed: false })
  })

  test('held, with the last lines of the trial', async () => {
    const host = await hostFixture({ system: 'rescue', state: 'trial' })
    await host.inStore(async (path) => {
      const journal = await openJournal(path, { system: 'rescue' })
      await journal.write({ state: 'held', error: 'sshd does not answer' })
      const lines = Array.from({ length: 8 }, (_, i) => `line ${i + 1}\n`)
      await writeFile(join(path, STORE.trialLog), lines.join(''))
    })
    const status = await statusOf(host)
    expect(status).toMatchObject({ system: 'rescue', failed: true, error: 'sshd does not answer' })
    expect(status.trialLog).toEqual(['line 4', 'line 5', 'line 6', 'line 7', 'line 8'])
    expect(status.next[0]).toBe('osflash resume tries again')
  })

  test('the way back behind the guard is named until the disk is wiped', async () => {
    const host = await hostFixture({ system: 'rescue', state: 'committed' })
    const isOffered = async () =>
      (await statusOf(host)).next.some((step) => step.startsWith('osflash abort'))
    expect(await isOffered()).toBe(false)
    await host.inStore((path) => writeFile(join(path, STORE.guardBackup), '{"kind":"sector-0"}'))
    expect(await isOffered()).toBe(true)
    await host.inStore((path) => writeFile(join(path, STORE.wiping), ''))
    expect(await isOffered()).toBe(false)
  })

  test.each(['committed', 'held'] as const)(
    'a first OS behind the guard (%s) undoes only what no longer leads to the rescue',
    async (state) => {
      const host = await hostFixture({ system: 'first-os', state })
      await host.inStore((path) => writeFile(join(path, STORE.guardBackup), '{"kind":"sector-0"}'))
      const next = async (startsByStage: () => Promise<boolean>) =>
        (await readStatus({ root: host.root, isArmed: armed, startsByStage })).next
      const situation = { state, system: 'first-os', canGoBack: true } as const
      expect(await next(spent)).toEqual(nextSteps(situation))
      for (const starts of [armed, unknown]) {
        expect(await next(starts)).toEqual(nextSteps({ ...situation, isGuarded: true }))
      }
    },
  )

  test.each(['rehearsal', 'aborted'] as const)(
    'from %s the first OS is told what abort would do, behind the guard or not',
    async (state) => {
      const next = async (firmware: 'bios' | 'uefi', startsByStage: () => Promise<boolean>) => {
        const plan = { host: { ...flashPlan().host, firmware } }
        const { root } = await hostFixture({ system: 'first-os', state, plan })
        return (await readStatus({ root, isArmed: armed, startsByStage })).next
      }
      const guarded = nextSteps({ state, system: 'first-os', isGuarded: true })
      const free = nextSteps({ state, system: 'first-os' })
      expect(guarded).not.toEqual(free)
      expect(await next('bios', armed)).toEqual(guarded)
      expect(await next('bios', spent)).toEqual(free)
      expect(await next('uefi', armed)).toEqual(free)
    },
  )

  test('an armed host whose stage is gone says so, and how to undo it', async () => {
    const host = await hostFixture({ system: 'first-os' })
    await writeFile(join(host.root, FIRST_OS.armBackup), '{}')
    const status = await statusOf(host)
    expect(status).toMatchObject({
      state: 'armed',
      failed: true,
      error: expect.stringMatching(/stage disk does not answer/),
      next: [expect.stringMatching(/^osflash abort /), expect.stringMatching(/--stage-lost/)],
    })
  })

  test('GO is told where it is waited for', async () => {
    const plan = { go: { how: 'ssh', withinSeconds: 300 } } as const
    const host = await hostFixture({ system: 'rescue', state: 'rehearsal', plan })
    expect((await statusOf(host)).next).toEqual([
      'osflash go starts it; without GO in 300 s the host returns to its first OS',
    ])
  })

  test('a confirmed target', async () => {
    const host = await hostFixture({ system: 'target', state: 'trial' })
    await host.inStore((path) => writeFile(join(path, STORE.confirmed), `${host.digest}\n`))
    const status = await statusOf(host)
    expect(status).toMatchObject({ system: 'target', state: 'confirmed', failed: false })
    expect(status.next[0]).toContain('osflash cleanup')
  })

  test.each([
    ['target', 'osflash cleanup'],
    ['rescue', 'osflash resume'],
  ] as const)('secrets that a cut left behind a confirmed target (%s)', async (system, command) => {
    const host = await hostFixture({ system, state: 'confirmed' })
    expect((await statusOf(host)).notes).toEqual([])
    await host.inStore((path) => writeFile(join(path, STORE.sessionKey), 'key'))
    const { failed, notes } = await statusOf(host)
    const note = `secrets of the run are still on the store: ${command} erases them`
    expect({ failed, notes }).toEqual({ failed: false, notes: [note] })
  })

  test('a place of secrets that cannot be looked at is a note, not the end', async () => {
    const host = await hostFixture({ system: 'target', state: 'confirmed' })
    // Stands for a bad sector.
    await host.inStore((path) => symlink(STORE.carry, join(path, STORE.carry)))
    const { state, failed, notes } = await statusOf(host)
    const note = expect.stringMatching(/^looking for .*carry/)
    expect({ state, failed, notes }).toEqual({ state: 'confirmed', failed: false, notes: [note] })
  })

  test('a target whose stage is gone has nothing under way', async () => {
    const status = await statusOf(await hostFixture({ system: 'target' }))
    expect(status).toMatchObject({ system: 'target', state: 'none', failed: false })
    expect(status.notes).toEqual(['the stage disk of the last replacement is not there'])
  })

  test('a journal that cannot be read is held', async () => {
    const host = await hostFixture({ system: 'rescue', state: 'flashing' })
    await host.inStore((path) => writeFile(join(path, STORE.journal[0]), 'torn'))
    const status = await statusOf(host)
    expect(status).toMatchObject({ state: 'held', failed: true })
    expect(status.error).toMatch(/^reading the journal: /)
    expect(status.since).toBeUndefined()
  })

  const lost = { system: 'rescue', state: 'held', failed: true, notes: [] }

  test('a rescue whose store is gone holds', async () => {
    const host = await hostFixture({ system: 'rescue' })
    const status = await statusOf(host)
    const error = `finding the store ${host.uuid}: no device has this file system`
    expect(status).toMatchObject({ ...lost, error })
    expect(status.next).toEqual(nextSteps({ state: 'held', system: 'rescue', lacks: 'store' }))
  })

  test('a rescue whose store does not mount holds', async () => {
    const host = await hostFixture({ system: 'rescue', state: 'flashing' })
    await damageStore(host.device)
    const status = await statusOf(host)
    expect(status).toMatchObject({ ...lost, error: expect.stringMatching(/^mounting /) })
    expect(status.next).toEqual(nextSteps({ state: 'held', system: 'rescue', lacks: 'store' }))
  })

  test('a rescue without a journal holds, and knows the plan that was staged', async () => {
    const host = await hostFixture({ system: 'rescue', state: 'flashing' })
    await host.inStore(async (path) => {
      for (const name of STORE.journal) await rm(join(path, name))
    })
    const status = await statusOf(host)
    const error = 'reading the journal: there is none on the store'
    expect(status).toMatchObject({ ...lost, error, plan: { hostname: 'web-1' } })
    expect(status.next).toEqual(nextSteps({ state: 'held', system: 'rescue', lacks: 'journal' }))
  })

  test.each([
    ['first-os', spent, false],
    ['first-os', armed, true],
    ['target', spent, false],
  ] as const)('without a journal the %s is told its own way on', async (...given) => {
    const [system, startsByStage, isGuarded] = given
    const host = await hostFixture({ system, state: 'trial' })
    await host.inStore((path) => writeFile(join(path, STORE.journal[0]), 'torn'))
    const found = await readStatus({ root: host.root, isArmed: armed, startsByStage })
    const { state, failed, next } = found
    const wanted = nextSteps({ state: 'held', system, isGuarded, lacks: 'journal' })
    expect({ state, failed, next }).toEqual({ state: 'held', failed: true, next: wanted })
  })

  test('the plan that the first OS keeps says what the host starts', async () => {
    const host = await hostFixture({ system: 'first-os', state: 'trial' })
    await host.inStore(async (path) => {
      for (const name of [STORE.journal[0], STORE.plan]) await writeFile(join(path, name), 'torn')
    })
    const situation = { state: 'held', system: 'first-os', lacks: 'journal' } as const
    const next = async () => (await statusOf(host)).next
    expect(await next()).toEqual(nextSteps({ ...situation, isGuarded: true }))
    await writeFile(join(host.root, FIRST_OS.plan), planBytes(host.plan))
    expect(await next()).toEqual(nextSteps(situation))
  })

  test('another plan than the pinned one is not shown', async () => {
    const host = await hostFixture({ system: 'rescue', state: 'flashing' })
    await host.inStore((path) => writeFile(join(path, STORE.plan), '{}'))
    const status = await statusOf(host)
    expect(status.plan).toBeUndefined()
    expect(status.notes[0]).toContain('it is not the plan that was pinned')
  })

  test('changes nothing on the store', async () => {
    const host = await hostFixture({ system: 'first-os', state: 'armed' })
    const before = await host.inStore((path) => openJournal(path, { system: 'rescue' }))
    await statusOf(host, spent)
    const after = await host.inStore((path) => openJournal(path, { system: 'rescue' }))
    expect(after.current).toEqual(before.current)
  })
})
