/** A first OS that was started by hand: its stage is what the next boot needs. */
import { readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { ProgressEvent } from '../../src/events.ts'
import { type AbortOptions, abortRun } from '../../src/flash/abort.ts'
import type { ArmBackup } from '../../src/flash/boot/method.ts'
import { FIRST_OS, STORE } from '../../src/flash/places.ts'
import { planBytes } from '../../src/flash/plan/plan.ts'
import type { State } from '../../src/flash/states.ts'
import { run } from '../../src/system/run.ts'
import { flashPlan } from './flash-plan.ts'
import { damageStore, type HostFixture, hostFixture, isRoot } from './host-fixture.ts'

const SAVED = { kind: 'grub', custom: null, bytes: 1_024 }
const BACKUP = JSON.stringify(SAVED)
const yes = () => Promise.resolve(true)
const no = () => Promise.resolve(false)
const GUARDED = [
  ['stands', yes],
  ['may stand', () => Promise.reject(new Error('no such disk'))],
] as const

/** Armed, as the first OS itself remembers it. */
async function armed(state: State = 'armed', firmware: 'bios' | 'uefi' = 'bios') {
  const plan = { host: { ...flashPlan().host, firmware } }
  const host = await hostFixture({ system: 'first-os', state, plan })
  await writeFile(join(host.root, FIRST_OS.armBackup), BACKUP)
  await writeFile(join(host.root, FIRST_OS.plan), planBytes(host.plan))
  const disarmed: ArmBackup[] = []
  const makeBoot = async () => ({
    disarm: async (backup: ArmBackup) => void disarmed.push(backup),
  })
  const abort = (startsByStage: () => Promise<boolean>, more: Partial<AbortOptions> = {}) =>
    abortRun({ root: host.root, makeBoot, startsByStage, ...more })
  /** But for the way back into the rescue, which abort takes away first. */
  const expectAsBefore = async () => {
    expect(disarmed[0]).toEqual(SAVED)
    expect(new Set(disarmed.map((backup) => JSON.stringify(backup))).size).toBe(1)
    expect((await stat(join(host.root, FIRST_OS.run))).isFile()).toBe(true)
    expect((await readFile(host.file)).every((byte) => byte === 0)).toBe(false)
  }
  return { host, abort, disarmed, expectAsBefore }
}

/** As a disk that fails every read: a loop device keeps its size when its file loses it. */
async function breakDisk({ file, device }: HostFixture): Promise<void> {
  await truncate(file, 0)
  await run(['blockdev', '--flushbufs', device])
}

describe.skipIf(!isRoot)('a stage that the host may start by way of stays (as root)', () => {
  test.each(GUARDED)('without its store, while the guard %s', async (_, starts) => {
    const { host, abort, expectAsBefore } = await armed()
    await damageStore(host.device)
    const before = await readFile(host.file)
    await expect(abort(starts)).rejects.toMatchObject({
      code: 'refused',
      message: expect.stringMatching(/every boot ends in the rescue|no such disk/),
    })
    expect((await readFile(host.file)).equals(before)).toBe(true)
    await expectAsBefore()
  })

  test.each(GUARDED)('without its journal, while the guard %s', async (_, starts) => {
    const { host, abort, expectAsBefore } = await armed()
    await host.inStore(async (path) => {
      for (const name of STORE.journal) await rm(join(path, name))
      await writeFile(join(path, STORE.plan), '{')
    })
    await expect(abort(starts)).rejects.toMatchObject({ code: 'refused' })
    await host.inStore((path) => writeFile(join(path, STORE.journal[0]), 'torn'))
    await expect(abort(starts)).rejects.toMatchObject({ code: 'refused' })
    await expectAsBefore()
  })

  test.each(['rehearsal', 'aborted'] as const)(
    'from %s: the journal may be a step off',
    async (state) => {
      const { abort, expectAsBefore } = await armed(state)
      await expect(abort(yes)).rejects.toMatchObject({
        code: 'refused',
        message: 'aborting the replacement: every boot ends in the rescue',
        hints: ['boot from the stage disk; where its rescue holds: osflash abort there'],
      })
      await expectAsBefore()
    },
  )
})

describe.skipIf(!isRoot)('what no longer leads to the stage is undone (as root)', () => {
  test.each(['rehearsal', 'aborted', 'armed'] as const)(
    'under UEFI from %s: disarming takes the rescue out of the list',
    async (state) => {
      const { host, abort, disarmed } = await armed(state, 'uefi')
      expect(await abort(async () => disarmed.length === 0)).toBe(true)
      expect((await readFile(host.file)).every((byte) => byte === 0)).toBe(true)
    },
  )

  test('a stage that cannot be read is undone when it is said to be lost', async () => {
    const { host, abort, disarmed } = await armed()
    await breakDisk(host)
    await expect(abort(no)).rejects.toMatchObject({
      code: 'io',
      hints: expect.arrayContaining([expect.stringContaining('--stage-lost')]),
    })
    expect((await stat(join(host.root, FIRST_OS.run))).isFile()).toBe(true)
    const notes: string[] = []
    const emit = (event: ProgressEvent) => void (event.event === 'note' && notes.push(event.text))
    expect(await abort(no, { stageLost: true, emit })).toBe(true)
    // It takes writes, as a disk does with sectors that it can put elsewhere.
    expect(notes).toEqual([expect.stringMatching(/all of the store is overwritten instead$/)])
    expect(disarmed).toEqual([SAVED])
    await expect(stat(join(host.root, FIRST_OS.run))).rejects.toMatchObject({ code: 'ENOENT' })
  })

  test.each([
    ['bios', 'refused'],
    ['uefi', 'undone'],
  ] as const)('under %s a lost stage behind the guard is %s', async (firmware, outcome) => {
    const { host, abort, disarmed } = await armed('armed', firmware)
    await breakDisk(host)
    const gone = () => Promise.reject(new Error('no such disk'))
    const aborting = abort(gone, { stageLost: true })
    if (outcome === 'undone') expect(await aborting).toBe(true)
    else {
      await expect(aborting).rejects.toMatchObject({
        code: 'refused',
        message: expect.stringContaining('no such disk'),
        hints: [expect.stringContaining('grub-install')],
      })
      expect((await stat(join(host.root, FIRST_OS.run))).isFile()).toBe(true)
    }
    expect(disarmed).toEqual([SAVED])
  })
})
