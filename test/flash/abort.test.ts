import { mkdir, open, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { ProgressEvent } from '../../src/events.ts'
import { type AbortOptions, abortRun as abortFully, undoOtherRun } from '../../src/flash/abort.ts'
import { firstOsBoot } from '../../src/flash/boot/first-os.ts'
import type { ArmBackup } from '../../src/flash/boot/method.ts'
import { openJournal } from '../../src/flash/journal.ts'
import { FIRST_OS, STORE, STORE_MOUNT, stageCheckpoint } from '../../src/flash/places.ts'
import { planBytes } from '../../src/flash/plan/plan.ts'
import { armRescue } from '../../src/flash/stage/arm.ts'
import { NEXT, type State } from '../../src/flash/states.ts'
import { readStatus } from '../../src/flash/status.ts'
import { mountStore } from '../../src/flash/store.ts'
import { emptyGrubEnvironment } from '../../src/format/grub-environment.ts'
import { DEBIAN_GRUB_CFG } from './boot/grub-cfg.ts'
import { type HostFixture, hostFixture, isRoot, loseStage, scratchFolder } from './host-fixture.ts'

const BACKUP = { kind: 'grub', custom: null, bytes: 1_024 }
/** Where ext4 has it; its revision lies at 0x4c, its magic number at 0x38. */
const SUPERBLOCK = 1_024
const UNDOABLE = ['preflight', 'staging', 'staged', 'armed', 'rehearsal', 'aborted']

/** Remembers what it was told to put back. */
function bootOf(disarmed: ArmBackup[]) {
  return async () => ({ disarm: async (backup: ArmBackup) => void disarmed.push(backup) })
}

const neverBoot = () => Promise.reject(new Error('nothing was armed'))

/** On a host that does not start by way of the stage, unless it is said. */
const startsByStage = () => Promise.resolve(false)
const abortRun = (options: Omit<AbortOptions, 'startsByStage'> & Partial<AbortOptions>) =>
  abortFully({ startsByStage, ...options })

const isUnderWay = ({ root }: HostFixture): Promise<boolean> =>
  stat(join(root, FIRST_OS.run)).then(
    () => true,
    () => false,
  )

/** Nothing of the rescue, the store or a table is left. */
const isBlank = async ({ file }: HostFixture): Promise<boolean> =>
  (await readFile(file)).every((byte) => byte === 0)

const stateOf = ({ inStore }: HostFixture) =>
  inStore(async (path) => (await openJournal(path, { system: 'rescue' })).current?.state)

test('without a replacement there is nothing to do', async () => {
  const root = await scratchFolder()
  expect(await abortRun({ root, makeBoot: neverBoot })).toBe(false)
})

describe.skipIf(!isRoot)('abort on a host with a stage (as root)', () => {
  test('puts the boot back, erases secrets, and forgets the run', async () => {
    const host = await hostFixture({ system: 'first-os', state: 'armed' })
    await host.inStore(async (path) => {
      await writeFile(join(path, STORE.armBackup), JSON.stringify(BACKUP))
      await writeFile(join(path, STORE.sessionKey), 'secret')
      await writeFile(join(path, STORE.go), '')
      await mkdir(join(path, STORE.carry))
    })
    const disarmed: ArmBackup[] = []
    expect(await abortRun({ root: host.root, makeBoot: bootOf(disarmed) })).toBe(true)
    expect(disarmed).toEqual([BACKUP])
    expect(await isUnderWay(host)).toBe(false)
    expect(await isBlank(host)).toBe(true)
    expect(await abortRun({ root: host.root, makeBoot: neverBoot })).toBe(false)
  })

  test.each(['committed', 'held'] as const)('from %s where nothing was wiped', async (state) => {
    const host = await hostFixture({ system: 'first-os', state })
    const abort = (starts: boolean) =>
      abortRun({ root: host.root, makeBoot: neverBoot, startsByStage: async () => starts })
    await expect(abort(false)).rejects.toMatchObject({ code: 'refused' })
    await host.inStore((path) => writeFile(join(path, STORE.guardBackup), JSON.stringify(BACKUP)))
    await expect(abort(true)).rejects.toMatchObject({ code: 'refused' })
    await host.inStore((path) => writeFile(join(path, STORE.wiping), ''))
    await expect(abort(false)).rejects.toMatchObject({ code: 'refused' })
    await host.inStore((path) => rm(join(path, STORE.wiping)))
    expect(await abort(false)).toBe(true)
    expect(await isUnderWay(host)).toBe(false)
  })

  test.each(Object.keys(NEXT) as State[])('from %s only when it can be undone', async (state) => {
    const host = await hostFixture({ system: 'first-os', state })
    const aborting = abortRun({ root: host.root, makeBoot: neverBoot })
    if (UNDOABLE.includes(state)) {
      expect(await aborting).toBe(true)
      expect(await isUnderWay(host)).toBe(false)
    } else {
      await expect(aborting).rejects.toMatchObject({
        code: 'refused',
        message: `aborting the replacement: the state is ${state}`,
      })
      expect(await isUnderWay(host)).toBe(true)
      expect(await stateOf(host)).toBe(state)
    }
  })

  test('a GRUB that was armed is byte-identical, and status knew it all along', async () => {
    const folder = await scratchFolder()
    const files = { 'grub.cfg': DEBIAN_GRUB_CFG, grubenv: emptyGrubEnvironment() }
    for (const [name, bytes] of Object.entries(files)) await writeFile(join(folder, name), bytes)
    const plan = { arm: { kind: 'grub', folder } } as const
    const host = await hostFixture({ system: 'first-os', state: 'staged', plan })
    const boot = await firstOsBoot(host.plan)
    await host.inStore(async (store) => {
      const journal = await openJournal(store, { system: 'first-os' })
      await armRescue({ store, journal, boot, root: host.root })
    })
    const status = () =>
      readStatus({
        root: host.root,
        isArmed: () => boot.isArmed(),
        startsByStage: async () => true,
      })
    expect(await status()).toMatchObject({ state: 'armed', failed: false })
    await abortRun({ root: host.root, makeBoot: firstOsBoot })
    expect((await readdir(folder)).sort()).toEqual(Object.keys(files).sort())
    expect(await readFile(join(folder, 'grubenv'))).toEqual(Buffer.from(files.grubenv))
    expect(await readFile(join(folder, 'grub.cfg'), 'utf8')).toBe(files['grub.cfg'])
    expect(await status()).toMatchObject({ state: 'none', failed: false })
  })

  test.each(['rescue', 'target'] as const)('is refused in the %s', async (system) => {
    const { root } = await hostFixture({ system, state: 'armed' })
    await expect(abortRun({ root, makeBoot: neverBoot })).rejects.toMatchObject({
      code: 'refused',
      message: `aborting the replacement: this is the ${system}`,
    })
  })

  test('a boot that cannot be put back leaves all for another try', async () => {
    const host = await hostFixture({ system: 'first-os', state: 'armed' })
    await host.inStore((path) => writeFile(join(path, STORE.armBackup), JSON.stringify(BACKUP)))
    const makeBoot = () => Promise.reject(new Error('read-only'))
    await expect(abortRun({ root: host.root, makeBoot })).rejects.toThrow('read-only')
    expect(await isUnderWay(host)).toBe(true)
    expect(await stateOf(host)).toBe('armed')
  })

  test('a damaged backup is an error, not a guess', async () => {
    const host = await hostFixture({ system: 'first-os', state: 'armed' })
    await host.inStore((path) => writeFile(join(path, STORE.armBackup), '{"kind":['))
    await expect(abortRun({ root: host.root, makeBoot: neverBoot })).rejects.toMatchObject({
      code: 'format',
    })
    expect(await isUnderWay(host)).toBe(true)
  })

  test('while staging had not made the store yet', async () => {
    const host = await hostFixture({ system: 'first-os' })
    expect(await abortRun({ root: host.root, makeBoot: neverBoot })).toBe(true)
    expect(await isUnderWay(host)).toBe(false)
  })

  test('waits for a stage disk that is gone', async () => {
    const host = await hostFixture({ system: 'first-os' })
    await loseStage(host)
    const aborting = abortRun({ root: host.root, makeBoot: neverBoot })
    const hint = expect.stringContaining('osflash abort --stage-lost')
    const hints = expect.arrayContaining([hint])
    await expect(aborting).rejects.toMatchObject({ code: 'refused', hints })
    expect(await isUnderWay(host)).toBe(true)
  })

  test('a stage disk that is lost before it was armed may have the keys', async () => {
    const host = await hostFixture({ system: 'first-os', state: 'staged' })
    await loseStage(host)
    const notes: string[] = []
    const emit = (event: ProgressEvent) => void (event.event === 'note' && notes.push(event.text))
    const options = { root: host.root, makeBoot: neverBoot, stageLost: true, emit }
    expect(await abortRun(options)).toBe(true)
    expect(notes).toEqual([expect.stringMatching(/may be left on the lost stage$/)])
    expect(await isUnderWay(host)).toBe(false)
  })

  test('a stage disk that is said to be lost, and is there, is not given up', async () => {
    const host = await hostFixture({ system: 'first-os' })
    const aborting = abortRun({ root: host.root, makeBoot: neverBoot, stageLost: true })
    await expect(aborting).rejects.toMatchObject({
      code: 'refused',
      message: 'aborting the replacement: the stage disk is there',
    })
    expect(await isUnderWay(host)).toBe(true)
  })

  test('a journal that cannot be read is put out of the way of the next apply', async () => {
    const host = await hostFixture({ system: 'first-os', state: 'armed' })
    await host.inStore(async (path) => {
      await writeFile(join(path, STORE.journal[0]), 'torn')
      await writeFile(join(path, STORE.armBackup), JSON.stringify(BACKUP))
    })
    const disarmed: ArmBackup[] = []
    await abortRun({ root: host.root, makeBoot: bootOf(disarmed) })
    expect(disarmed).toEqual([BACKUP])
    expect(await isBlank(host)).toBe(true)
  })

  describe('armed, with what the first OS keeps itself', () => {
    const armed = async () => {
      const host = await hostFixture({ system: 'first-os', state: 'armed' })
      await host.inStore(async (path) => {
        await writeFile(join(path, STORE.armBackup), JSON.stringify(BACKUP))
        await writeFile(join(path, STORE.sessionKey), SECRET)
      })
      await writeFile(join(host.root, FIRST_OS.armBackup), JSON.stringify(BACKUP))
      await writeFile(join(host.root, FIRST_OS.plan), planBytes(host.plan))
      const disarmed: ArmBackup[] = []
      const abort = (changes: Partial<AbortOptions> = {}) =>
        abortRun({ root: host.root, makeBoot: bootOf(disarmed), ...changes })
      return { host, disarmed, abort }
    }
    const SECRET = 'secret'.repeat(100)

    test.each([
      ['the plan', STORE.plan],
      ['what is to be put back', STORE.armBackup],
    ])('when %s on the store is damaged', async (_, name) => {
      const { host, disarmed, abort } = await armed()
      await host.inStore((path) => writeFile(join(path, name), '{'))
      expect(await abort()).toBe(true)
      expect(disarmed).toEqual([BACKUP])
      expect([await isBlank(host), await isUnderWay(host)]).toEqual([true, false])
      expect(await readdir(join(host.root, FIRST_OS.folder))).toEqual([])
    })

    test.each([
      ['cannot be mounted', SUPERBLOCK + 0x4c],
      ['is not found any more', SUPERBLOCK + 0x38],
    ])('when the store %s; none of it is left', async (_, at) => {
      const { host, disarmed, abort } = await armed()
      await using file = await open(host.device, 'r+')
      await file.write(Buffer.alloc(4, 0xee), 0, 4, at)
      await file.sync()
      expect(await abort()).toBe(true)
      expect(disarmed).toEqual([BACKUP])
      await file.sync()
      expect((await readFile(host.file)).includes(SECRET)).toBe(false)
      expect([await isBlank(host), await isUnderWay(host)]).toEqual([true, false])
    })

    test('when the stage disk is lost for good', async () => {
      const { host, disarmed, abort } = await armed()
      await loseStage(host)
      await expect(abort()).rejects.toMatchObject({ code: 'refused' })
      expect(disarmed).toEqual([])
      const notes: string[] = []
      const emit = (event: ProgressEvent) => void (event.event === 'note' && notes.push(event.text))
      expect(await abort({ stageLost: true, emit })).toBe(true)
      expect(notes).toEqual([expect.stringMatching(/may be left on the lost stage$/)])
      expect(disarmed).toEqual([BACKUP])
      expect(await isUnderWay(host)).toBe(false)
      expect(await readdir(join(host.root, FIRST_OS.folder))).toEqual([])
    })

    test('but not with a plan of another run', async () => {
      const { host, disarmed, abort } = await armed()
      await host.inStore((path) => writeFile(join(path, STORE.plan), '{'))
      await writeFile(join(host.root, FIRST_OS.plan), '{}')
      await expect(abort()).rejects.toMatchObject({ code: 'digest' })
      expect(disarmed).toEqual([])
      expect(await isUnderWay(host)).toBe(true)
    })
  })

  test('a store that cannot be mounted is an error where nothing else knows it', async () => {
    const host = await hostFixture({ system: 'first-os', state: 'armed' })
    await using file = await open(host.device, 'r+')
    await file.write(Buffer.alloc(4, 0xee), 0, 4, SUPERBLOCK + 0x4c)
    await file.sync()
    const aborting = abortRun({ root: host.root, makeBoot: neverBoot })
    await expect(aborting).rejects.toMatchObject({ code: 'process' })
    expect(await isUnderWay(host)).toBe(true)
  })

  test('a stage in use is undone all the same, and blank at the next try', async () => {
    const host = await hostFixture({ system: 'first-os', state: 'staged' })
    await host.inStore(async (path) => {
      await writeFile(join(path, STORE.sessionKey), 'secret')
      await expect(abortRun({ root: host.root, makeBoot: neverBoot })).rejects.toMatchObject({
        code: 'refused',
        message: expect.stringContaining('in use'),
      })
      expect(await readdir(path)).not.toContain(STORE.sessionKey)
    })
    expect(await stateOf(host)).toBe('aborted')
    expect(await isUnderWay(host)).toBe(true)
    expect(await abortRun({ root: host.root, makeBoot: neverBoot })).toBe(true)
    expect(await isBlank(host)).toBe(true)
    expect(await isUnderWay(host)).toBe(false)
  })

  test('a store that an earlier run left mounted is no obstacle', async () => {
    const host = await hostFixture({ system: 'first-os', state: 'staged' })
    await mountStore({ uuid: host.uuid, at: join(host.root, STORE_MOUNT) })
    expect(await abortRun({ root: host.root, makeBoot: neverBoot })).toBe(true)
    expect(await isBlank(host)).toBe(true)
  })

  test('a run of another plan is undone before apply takes the stage', async () => {
    const host = await hostFixture({ system: 'first-os', state: 'aborted' })
    await host.inStore((path) => writeFile(join(path, STORE.armBackup), JSON.stringify(BACKUP)))
    const disarmed: ArmBackup[] = []
    const options = { root: host.root, makeBoot: bootOf(disarmed), startsByStage }
    expect(await undoOtherRun(host.digest, options)).toBe(false)
    expect([await isUnderWay(host), disarmed]).toEqual([true, []])
    expect(await undoOtherRun('0'.repeat(64), options)).toBe(true)
    expect([await isUnderWay(host), disarmed]).toEqual([false, [BACKUP]])
    expect(await undoOtherRun('0'.repeat(64), options)).toBe(false)
  })

  test('how far the rescue was unpacked is forgotten, for the stage is blank', async () => {
    const host = await hostFixture({ system: 'first-os', state: 'staging' })
    const path = join(host.root, stageCheckpoint(host.digest))
    await writeFile(path, '{}')
    await abortRun({ root: host.root, makeBoot: neverBoot })
    await expect(stat(path)).rejects.toMatchObject({ code: 'ENOENT' })
  })
})
